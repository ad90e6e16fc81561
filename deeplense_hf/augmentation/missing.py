"""Missing pixels: those that are NaN or infinite, as masks and saturation leave them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fill_missing(images: NDArray[Any]) -> NDArray[Any]:
    """Replace missing pixels by the median of the band's other pixels, by zero where there are none.

    It is what the image processor does before anything else. Of an even number of pixels the lower middle one is taken,
    so that counts stay whole numbers.

    Args:
        images: `(..., height, width)`.

    Returns:
        The images, finite.
    """
    missing = ~np.isfinite(images)
    if not missing.any():
        return images
    filled = images.copy()
    for band in zip(*np.nonzero(missing.any(axis=(-2, -1))), strict=True):
        known = np.sort(images[band][~missing[band]])
        filled[band][missing[band]] = known[(len(known) - 1) // 2] if len(known) else 0
    return filled
