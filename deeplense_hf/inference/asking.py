"""Asking about a batch, so that an image which is refused keeps no other from its answer."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deeplense_hf.models.image_reading import in_band_order
from deeplense_hf.tasks.task import NOT_A_NUMBER, Arrays, finite_rows

from .predictor import count
from .shortages import FAILURES, ends_all, what_failed


class Table(Protocol):
    """What arranges answers as columns: a task, or that of a chain."""

    def table(self, answers: Arrays) -> dict[str, list[Any]]:
        """Return the values of every column, one for each image."""


class Answerer(Protocol):
    """What can be asked: a `Predictor`, or a `Chain` of them."""

    @property
    def task(self) -> Table:
        """What is asked."""

    @property
    def colour_bands(self) -> tuple[int, ...] | None:
        """Which band red, green and blue of a colour picture are; None where it is not known."""

    def answers(self, images: NDArray[np.float32], pixel_scale: NDArray[np.float32] | None = None) -> Arrays:
        """Answer for a batch, or raise ValueError."""


def rows_or_reasons(
    answerer: Answerer, images: NDArray[np.float32], pixel_scale: NDArray[np.float32] | None
) -> list[dict[str, Any] | str]:
    """Ask about images of one shape; if the batch is refused or fails, one by one, to find out which image is to blame.

    Args:
        answerer: What is asked.
        images: Raw images, `(batch, bands, height, width)`, at least one.
        pixel_scale: Of each [arcsec/pixel], `(batch,)`; None where unknown.

    Returns:
        For each image the values of the columns, or the sentence why there are none: the image is refused, is
        too much for the memory, or its answer is not a number.

    Raises:
        RuntimeError: If an accelerator fails, which answers for no other image then.
    """
    try:
        answers = answerer.answers(images, pixel_scale)
    except (ValueError, *FAILURES) as error:
        if ends_all(error):
            raise
        reason = " ".join(str(error).split()) if isinstance(error, ValueError) else what_failed(error)
    else:
        finite, table = finite_rows(answers), answerer.task.table(answers)
        return [
            {name: values[row] for name, values in table.items()} if finite[row] else NOT_A_NUMBER
            for row in range(len(images))
        ]
    if len(images) == 1:
        return [reason]
    # the error is gone by now, and with it what its frames kept in memory
    singles = [slice(number, number + 1) for number in range(len(images))]
    return [
        rows_or_reasons(answerer, images[one], None if pixel_scale is None else pixel_scale[one])[0] for one in singles
    ]


def in_own_order(
    answerer: Answerer, images: NDArray[np.float32], red_first: bool | NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Bring colour pictures to the order of bands in which a model wants them.

    Args:
        answerer: What is asked.
        images: Raw images, `(bands, height, width)`, or `(batch, bands, height, width)`.
        red_first: Whether all of them are colour pictures, or which of a batch, `(batch,)`; others stay as they are.

    Returns:
        The images.
    """
    if answerer.colour_bands is None or not np.any(red_first):
        return images
    ordered = images.copy()
    ordered[red_first] = in_band_order(images[red_first], answerer.colour_bands)
    return ordered


def choose_bands(image: NDArray[np.float32], bands: list[int], what: str = "the image") -> NDArray[np.float32]:
    """Select bands of an image.

    Args:
        image: `(bands, height, width)`.
        bands: Which, counted from 0, in which order; all when empty.
        what: The image, as the sentence names it.

    Returns:
        The image with these bands.

    Raises:
        ValueError: If the image lacks one.
    """
    if bands and max(bands) >= len(image):
        raise ValueError(
            f"{what} has {count(len(image), 'band')}, but band {max(bands)} is asked for, counted from 0; choose "
            f"among 0 to {len(image) - 1}."
        )
    return image[bands] if bands else image
