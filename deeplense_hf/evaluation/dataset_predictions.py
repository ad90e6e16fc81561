"""Answers for a whole data set, in its order, from one process or several."""

import dataclasses
import hashlib
from typing import TYPE_CHECKING

import numpy as np
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray
from tqdm import tqdm

from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import IMAGE, IMAGE_CONFIGURATION
from deeplense_hf.inference.asking import in_own_order, rows_or_reasons
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.tasks.task import NOT_A_NUMBER, Arrays, References

if TYPE_CHECKING:
    from datasets import Dataset


@dataclasses.dataclass(frozen=True)
class DatasetPredictions:
    """What a model answers for the images of a data set that can be compared.

    Attributes:
        references: The rows and their truths.
        answers: Answers by name, see the task, each of shape `(n, ...)`.
        system_ids: Lens system of each image, shape `(n,)`.
        left_out: Images that nothing is known of to compare with.
        fingerprint: Hash of images and truths.
        morphologies: What is seen in each image (`image_configuration` of `data.schema`), empty where that is unknown,
            shape `(n,)`.
    """

    references: References
    answers: Arrays
    system_ids: NDArray[np.str_]
    left_out: int
    fingerprint: str
    morphologies: NDArray[np.str_]


def predict_dataset(predictor: Predictor, dataset: "Dataset", batch_size: int) -> DatasetPredictions:
    """Answer for the images of a data set that can be compared.

    Under several processes each takes a contiguous share and all of them return everything, in the data set's
    order.

    Args:
        predictor: The model; classes and targets are matched to the data set's by name.
        dataset: One split with the columns of `data.schema`.
        batch_size: Images at a time; has no influence on the result beyond rounding.

    Returns:
        Truths and answers.

    Raises:
        ValueError: If model and data do not fit, there is nothing to compare with, or the model refuses an image.
    """
    references = predictor.task.references(dataset)
    if len(references.rows) == 0:
        raise ValueError("the split holds no image to compare with; evaluate another one.")
    check_images(dataset, predictor)
    state = PartialState()
    share = np.array_split(references.rows, state.num_processes)[state.process_index]
    decoder = LensImageDecoder(dataset)
    scales, red_first = decoder.pixel_scales, decoder.red_first
    answers, digests = [], []
    starts = range(0, len(share), batch_size)
    for start in tqdm(starts, desc="evaluating", unit="batch", disable=not state.is_main_process):
        batch = share[start : start + batch_size]
        images = decoder[batch]
        asked = in_own_order(predictor, images, red_first[batch])
        scale = None if np.isnan(scales[batch]).all() else scales[batch]
        try:
            answers.append(predictor.answers(asked, scale))
        except ValueError:
            _name_the_refused(predictor, asked, scale, batch)
            raise
        digests += [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
    shares = gather_object([(answers, digests)])
    parts = [part for share_answers, _ in shares for part in share_answers]
    names = "\n".join(references.group_names).encode()
    digest = hashlib.sha256(names + np.ascontiguousarray(references.values).tobytes())
    for _, share_digests in shares:
        digest.update(b"".join(share_digests))
    return DatasetPredictions(
        references=references,
        answers={name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        system_ids=decoder.system_ids[references.rows],
        left_out=len(dataset) - len(references.rows),
        fingerprint=digest.hexdigest()[:16],
        morphologies=_morphologies(decoder)[references.rows],
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


def _name_the_refused(
    predictor: Predictor, images: NDArray[np.float32], scale: NDArray[np.float32] | None, rows: NDArray[np.int64]
) -> None:
    """Say which row it is that a model refuses, and why, in the words of `predict`."""
    answers = zip(rows, rows_or_reasons(predictor, images, scale), strict=True)
    refused = [(row, found) for row, found in answers if isinstance(found, str) and found != NOT_A_NUMBER]
    # what is said of all is not the fault of one
    if refused and len(refused) < len(rows):
        row, found = refused[0]
        raise ValueError(f"row {row} of the data set: {found.rstrip('.')}; remove it from the data set.") from None


def _morphologies(decoder: LensImageDecoder) -> NDArray[np.str_]:
    """Return what is seen in each row's image; empty where unknown."""
    if IMAGE_CONFIGURATION not in decoder.dataset.column_names:
        return np.full(len(decoder), "")
    return np.array([value or "" for value in decoder.column(IMAGE_CONFIGURATION)], dtype=str)
