"""Probabilities of a whole data set, in its order, from one process or several."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray
from tqdm import tqdm

from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import IMAGE, LABEL, PIXEL_SCALE, SYSTEM_ID
from deeplense_hf.inference.predictor import Predictor

if TYPE_CHECKING:
    from datasets import Dataset


@dataclasses.dataclass(frozen=True)
class DatasetPredictions:
    """What a model says about the labelled images of a data set.

    Attributes:
        labels: True class of each image in the model's order, shape `(n,)`.
        probabilities: Class probabilities in the model's order, shape `(n, classes)`.
        system_ids: Lens system of each image, shape `(n,)`.
        unlabelled: Images without a label, left out.
        fingerprint: Hash of images and labels.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    system_ids: NDArray[np.str_]
    unlabelled: int
    fingerprint: str


def predict_dataset(predictor: Predictor, dataset: "Dataset", batch_size: int) -> DatasetPredictions:
    """Classify the labelled images of a data set.

    Under several processes each takes a contiguous share and all of them return everything, in the data set's
    order.

    Args:
        predictor: The model; its classes are matched to the data set's by name.
        dataset: One split with the columns of `data.schema`.
        batch_size: Images at a time; has no influence on the result beyond rounding.

    Returns:
        Labels and probabilities.

    Raises:
        ValueError: If classes or bands of model and data do not fit, or nothing is labelled.
    """
    labels = model_labels(dataset, predictor.class_names)
    check_images(dataset, predictor)
    rows = np.flatnonzero(labels >= 0)
    state = PartialState()
    share = np.array_split(rows, state.num_processes)[state.process_index]
    decoder = LensImageDecoder(dataset)
    scales = decoder.column(PIXEL_SCALE) if PIXEL_SCALE in dataset.features else None
    probabilities, digests = [], []
    starts = range(0, len(share), batch_size)
    for start in tqdm(starts, desc="evaluating", unit="batch", disable=not state.is_main_process):
        batch = share[start : start + batch_size]
        images = decoder[batch]
        scale = None if scales is None or np.isnan(scales[batch]).all() else scales[batch]
        probabilities.append(predictor.probabilities(images, scale))
        digests += [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
    classes = len(predictor.class_names)
    mine = (np.concatenate([np.empty((0, classes)), *probabilities]), digests)
    shares = gather_object([mine])
    digest = hashlib.sha256("\n".join(predictor.class_names).encode() + labels[rows].tobytes())
    for _, parts in shares:
        digest.update(b"".join(parts))
    return DatasetPredictions(
        labels=labels[rows],
        probabilities=np.concatenate([part for part, _ in shares]),
        system_ids=_system_ids(decoder)[rows],
        unlabelled=len(labels) - len(rows),
        fingerprint=digest.hexdigest()[:16],
    )


def check_images(dataset: "Dataset", predictor: Predictor) -> None:
    """Refuse a data set whose images the model cannot take, before any work.

    Args:
        dataset: One split.
        predictor: The model.

    Raises:
        ValueError: If the numbers of bands differ.
    """
    bands = dataset.features[IMAGE].shape[0]
    predictor.check_bands(bands, "an image of the data set", "evaluate a model that was trained on these bands")


def model_labels(dataset: "Dataset", class_names: Sequence[str]) -> NDArray[np.int64]:
    """Translate a data set's labels to a model's classes by name.

    Args:
        dataset: One split with a `ClassLabel` column.
        class_names: The model's classes.

    Returns:
        Index into `class_names` of each row, -1 for unlabelled rows, shape `(len(dataset),)`.

    Raises:
        ValueError: If there are no labels, or labelled rows belong to a class that the model does not know.
    """
    names = getattr(dataset.features.get(LABEL), "names", None)
    if names is None:
        raise ValueError(
            f"the data set has no column '{LABEL}' with class names, so there is nothing to compare with; "
            "use deeplense-hf predict for images without labels."
        )
    labels = LensImageDecoder(dataset).labels
    present = np.unique(labels[labels >= 0])
    if len(present) == 0:
        raise ValueError(
            f"none of the {len(labels)} images has a label, so there is nothing to compare with; use "
            "deeplense-hf predict for images without labels."
        )
    unknown = [names[index] for index in present if names[index] not in class_names]
    if unknown:
        raise ValueError(
            f"label mismatch: the data has images of {_listed(unknown)}, but the model only knows "
            f"{_listed(class_names)}; evaluate a model that was trained on these classes."
        )
    # one entry more, so that -1 stays -1
    translation = np.array([class_names.index(name) if name in class_names else -1 for name in names] + [-1])
    translated: NDArray[np.int64] = translation[labels].astype(np.int64)
    return translated


def _system_ids(decoder: LensImageDecoder) -> NDArray[np.str_]:
    """Return the system of each row; without that column each row is its own."""
    if SYSTEM_ID in decoder.dataset.column_names:
        return decoder.column(SYSTEM_ID).astype(str)
    return np.arange(len(decoder)).astype(str)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
