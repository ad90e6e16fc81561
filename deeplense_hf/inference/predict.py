"""The command `predict`: from image files to a table of answers: classes, quantities or scores, by the model's task."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from .option_checks import check_positive

if TYPE_CHECKING:
    from .chain import Chain
    from .prediction_store import Position, PredictionRow, PredictionStore
    from .predictor import Predictor
    from .sources import InputImage, Unit

    Answerer = Predictor | Chain

logger = logging.getLogger(__name__)

_SECONDS_PER_PART = 30.0


@dataclass
class PredictOptions:
    """Options of the command `predict`."""

    model: list[str] = field(
        metadata={
            "help": "model folder or Hugging Face Hub id; several are a chain, a lens finder, a classifier and a "
            "regression, each asked about what the one before passes on"
        }
    )
    input: list[str] = field(
        metadata={"help": "image files, folders of them (npy, npz, FITS, HDF5, jpg, png, tif), built data sets"}
    )
    output: str = field(metadata={"help": "table to write, ending in .parquet or .csv"})
    batch_size: int = field(default=64, metadata={"help": "images at a time"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1, mps"})
    bands: list[int] = field(
        default_factory=list,
        metadata={
            "help": "bands to give to the model, counted from 0 as files hold them (pictures: red, green, blue), in "
            "this order; empty: all, those of a picture in the order that the model wants"
        },
    )
    pixel_scale: float | None = field(
        default=None, metadata={"help": "pixel scale of images that do not say theirs [arcsec/pixel]"}
    )
    rows_per_part: int = field(
        default=4096,
        metadata={"help": "rows after which a part is on disk (at the latest every 30 s); a kill loses no more"},
    )

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is out of range.
        """
        if not self.model:
            raise ValueError("model is empty; give the folder or Hub id of a trained model.")
        check_positive("batch_size", self.batch_size, 64)
        check_positive("rows_per_part", self.rows_per_part, 4096)
        if any(band < 0 for band in self.bands):
            raise ValueError(f"bands={self.bands} has a negative number; bands are counted from 0.")
        if self.pixel_scale is not None and not 0 < self.pixel_scale < float("inf"):
            raise ValueError(f"pixel_scale={self.pixel_scale} is not a positive number of arcsec per pixel.")


def predict(options: PredictOptions) -> None:
    """Answer for images what the model's task asks and write one row each; a killed run goes on where it was.

    Args:
        options: The model, the images, the table.

    Raises:
        FileNotFoundError: If the model or an input is missing.
        ValueError: If nothing is found, the model answers for no image, or the table in the way was made by
            another model, input or options.
        OSError: If the table cannot be written; what is done is kept.
    """
    from .chain import Chain
    from .prediction_store import PredictionStore, check_output
    from .predictor import Predictor, count
    from .sources import find_units

    output = Path(options.output)
    check_output(output)
    units = find_units(options.input)
    predictor = (
        Predictor.from_pretrained(options.model[0], options.device)
        if len(options.model) == 1
        else Chain.from_pretrained(options.model, options.device)
    )
    identity, about = _identity(options, predictor, units), {"model name": " ".join(options.model)}
    with PredictionStore(output, identity, about, predictor.task.columns) as store:
        if store.finished:
            print(f"{output} is complete already, made by this model from this input; nothing to do.")
            return
        _answer_all(options, predictor, units, store)
        rows, failed, first_error = store.failures()
        if failed == rows:
            store.discard()
            raise ValueError(f"none of the {rows} images could be used; the first one: {first_error}")
        store.finish()
    print(f"written: {output} ({count(rows, 'row')}, {failed} of them with an error instead of an answer)")


def _identity(options: PredictOptions, predictor: "Answerer", units: Sequence["Unit"]) -> dict[str, object]:
    """Return all that decides the rows; the keys are words of the sentence that refuses a mixture."""
    from deeplense_hf import __version__

    from .sources import fingerprint

    # the fingerprint is that of the answers for raw images, before which pictures are brought to the order of bands
    colours = "".join(f" {band}" for band in predictor.colour_bands or ())
    return {
        "model": predictor.fingerprint() + colours,
        "input": fingerprint(units),
        "bands": options.bands,
        "pixel_scale": options.pixel_scale,
        "version of deeplense_hf": __version__,
    }


def _answer_all(
    options: PredictOptions, predictor: "Answerer", units: Sequence["Unit"], store: "PredictionStore"
) -> None:
    """Answer what is not answered yet, a batch at a time, and store the rows in parts."""
    from time import monotonic

    from tqdm import tqdm

    position = store.position
    if position.unit or position.offset:
        logger.info("going on after %d of %d inputs.", position.unit, len(units))
    rows: list[PredictionRow] = []
    doubts: set[str] = set()
    stored_at = monotonic()
    with tqdm(total=len(units), initial=position.unit, desc="predicting", unit="input") as bar:
        for batch, after in _batches(units, position, options.batch_size):
            rows += _answer(batch, predictor, options, doubts)
            bar.update(after.unit - bar.n)
            if len(rows) >= options.rows_per_part or monotonic() - stored_at > _SECONDS_PER_PART:
                store.append(rows, after)
                rows, stored_at = [], monotonic()
        bar.update(len(units) - bar.n)
    if rows:
        store.append(rows, after)


def _batches(
    units: Sequence["Unit"], position: "Position", batch_size: int
) -> Iterator[tuple[list["InputImage"], "Position"]]:
    """Read images from a position on, a batch at a time, with the position after each batch."""
    from .prediction_store import Position

    batch: list[InputImage] = []
    after = position
    for number in range(position.unit, len(units)):
        done = position.offset if number == position.unit else 0
        for offset, image in enumerate(units[number].read()):
            if offset < done:
                continue
            batch.append(image)
            after = Position(number, offset + 1)
            if len(batch) == batch_size:
                yield batch, after
                batch = []
    if batch:
        yield batch, after


def _answer(
    batch: Sequence["InputImage"], predictor: "Answerer", options: PredictOptions, doubts: set[str]
) -> list["PredictionRow"]:
    """Answer for a batch whose images may differ in shape; one that cannot be answered for gets its reason.

    A reason to doubt answers is told once, of the first image that it is of.
    """
    import dataclasses

    prepared = []
    for image in batch:
        try:
            prepared.append(_prepared(image, predictor, options))
            if prepared[-1].image is not None:
                _tell_doubt(predictor.doubt_about(prepared[-1].image.shape, prepared[-1].pixel_scale), image, doubts)
        except ValueError as error:
            prepared.append(dataclasses.replace(image, image=None, error=str(error)))
    rows: list[PredictionRow] = []
    for _, group in groupby(prepared, key=_likeness):
        rows += _answer_alike(list(group), predictor)
    return rows


def _tell_doubt(doubt: str | None, image: "InputImage", told: set[str]) -> None:
    """Warn of what makes answers doubtful, unless it was told of another image."""
    if doubt is not None and doubt not in told:
        told.add(doubt)
        logger.warning("%s, and maybe others: %s", image.path, doubt)


def _prepared(image: "InputImage", predictor: "Answerer", options: PredictOptions) -> "InputImage":
    """Select the bands and fill in the pixel scale."""
    import dataclasses

    from .asking import choose_bands, in_own_order

    if image.image is None:
        return image
    # who names the bands names them as the file holds them
    pixels = in_own_order(predictor, image.image, image.red_first and not options.bands)
    pixels = choose_bands(pixels, options.bands, image.path)
    pixels = predictor.match_bands(pixels, image.path, "choose bands with --bands, for example --bands 0")
    scale = options.pixel_scale if image.pixel_scale is None else image.pixel_scale
    return dataclasses.replace(image, image=pixels, pixel_scale=scale)


def _likeness(image: "InputImage") -> tuple[tuple[int, ...] | None, bool]:
    """Return what images must share to go through the model together."""
    return (None if image.image is None else image.image.shape), image.pixel_scale is None


def _answer_alike(group: list["InputImage"], predictor: "Answerer") -> list["PredictionRow"]:
    """Answer for images of one shape."""
    import numpy as np

    from .asking import rows_or_reasons
    from .prediction_store import PredictionRow

    images = [image.image for image in group if image.image is not None]
    if not images:
        return [PredictionRow(image.path, image.index, None, image.error) for image in group]
    known = group[0].pixel_scale is not None
    scales = np.array([image.pixel_scale for image in group], dtype=np.float32) if known else None
    return [
        PredictionRow(image.path, image.index, None, found)
        if isinstance(found, str)
        else PredictionRow(image.path, image.index, found, None)
        for image, found in zip(group, rows_or_reasons(predictor, np.stack(images), scales), strict=True)
    ]
