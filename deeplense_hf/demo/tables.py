"""Answers for many images as a table: read and asked about a few at a time."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from deeplense_hf.inference.asking import choose_bands, in_own_order, rows_or_reasons
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.inference.spreadsheets import spreadsheet_safe

from .answers import Models, with_bands
from .uploads import UploadedImage

_BATCH = 16
# raw pixels of one batch [bytes]
_BATCH_BYTES = 32 * 2**20
_NAME, _ERROR = "image", "error"


def answer_table(
    models: Models,
    names: Sequence[str],
    images: Iterable[UploadedImage],
    bands: list[int],
    pixel_scale: float | None,
) -> tuple[pandas.DataFrame, int]:
    """Ask models about many images.

    Args:
        models: All models.
        names: Those to ask.
        images: The images; each is read when its turn comes, and forgotten afterwards.
        bands: Bands that the models get; all when empty.
        pixel_scale: Of images that do not say theirs [arcsec/pixel], None where unknown.

    Returns:
        A row for each image, the reason where a model does not answer in the second column, safe for spreadsheet
        programs; and the number of images that no model answered for.
    """
    rows: list[dict[str, Any]] = []
    for batch in _batches(_prepared(image, bands, pixel_scale) for image in images):
        rows += _rows(models, names, batch)
    columns = dict.fromkeys(column for row in rows for column in row if column not in (_NAME, _ERROR))
    # beside the name, for the columns of several models are wider than any screen
    ordered = [_NAME, _ERROR, *sorted(columns, key=lambda column: _rank(column, names))]
    silent = sum(set(row) <= {_NAME, _ERROR} for row in rows)
    safe = [
        {key: spreadsheet_safe(value) if isinstance(value, str) else value for key, value in row.items()}
        for row in rows
    ]
    return pandas.DataFrame(safe, columns=ordered), silent


def _rank(column: str, names: Sequence[str]) -> int:
    """Return the place of the model that a column is of."""
    return next(place for place, name in enumerate(names) if column.startswith(f"{name}: "))


def _prepared(image: UploadedImage, bands: list[int], pixel_scale: float | None) -> UploadedImage:
    """Select the bands and fill in the pixel scale."""
    if image.image is None:
        return image
    try:
        chosen = choose_bands(image.image, bands)
    except ValueError as error:
        return UploadedImage(image.name, error=str(error))
    red_first = image.red_first and not bands
    return replace(image, image=chosen, pixel_scale=image.pixel_scale or pixel_scale, red_first=red_first)


def _batches(images: Iterable[UploadedImage]) -> Iterator[list[UploadedImage]]:
    """Collect images of one shape that follow each other, as many as fit."""
    batch: list[UploadedImage] = []
    for image in images:
        if batch and not _fits(image, batch):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _fits(image: UploadedImage, batch: Sequence[UploadedImage]) -> bool:
    """Whether an image can go through a model together with others."""
    first = batch[0]
    if image.image is None or first.image is None:
        return image.image is first.image and len(batch) < _BATCH
    most = min(_BATCH, _BATCH_BYTES // first.image.nbytes)
    alike = (image.pixel_scale is None) == (first.pixel_scale is None) and image.red_first == first.red_first
    return alike and image.image.shape == first.image.shape and len(batch) < most


def _rows(models: Models, names: Sequence[str], batch: Sequence[UploadedImage]) -> list[dict[str, Any]]:
    """Ask models about alike images."""
    rows: list[dict[str, Any]] = [{_NAME: image.name} for image in batch]
    reasons: list[list[str]] = [[image.error] if image.error else [] for image in batch]
    images = [image.image for image in batch if image.image is not None]
    if images:
        scales = None
        if batch[0].pixel_scale is not None:
            scales = np.array([image.pixel_scale for image in batch], dtype=np.float32)
        for name in names:
            found = _answers(models[name], in_own_order(models[name], np.stack(images), batch[0].red_first), scales)
            for row, why, answer in zip(rows, reasons, found, strict=True):
                if isinstance(answer, str):
                    why.append(f"{name}: {answer}")
                else:
                    row.update({f"{name}: {column}": _shown(value) for column, value in answer.items()})
    return [row | {_ERROR: " ".join(why)} for row, why in zip(rows, reasons, strict=True)]


def rounded(value: float) -> float:
    """Round to four decimals, or to four digits of what a small number is from 0, or a large probability from 1.

    >>> rounded(-23.67184), rounded(0.0000123456), rounded(0.9999987654)
    (-23.6718, 1.235e-05, 0.999998765)

    Args:
        value: Any number.

    Returns:
        It rounded; never 0 or 1 where it was not.
    """
    distance = min(abs(value), abs(1 - value))
    if not 0 < distance < math.inf:
        return value
    return round(value, max(4, 3 - math.floor(math.log10(distance))))


def _shown(value: Any) -> Any:
    """Return a value as a person reads it; texts and counts stay."""
    return rounded(value) if isinstance(value, float) else value


def _answers(
    predictor: Predictor, images: NDArray[np.float32], scales: NDArray[np.float32] | None
) -> list[dict[str, Any] | str]:
    """Return the columns of each image, or why there are none."""
    try:
        matching = with_bands(predictor, images)
    except ValueError as error:
        return [str(error)] * len(images)
    return rows_or_reasons(predictor, matching, scales)
