"""Pictures of the page: the image in a stretch, where the classifier looks, what the masked model fills in."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from deeplense_hf.data.display import COLOUR_MAP, colours, display_intensity, mean_band

STRETCHES = ("asinh", "linear", "log", "square root")
_SIDE = 300


def shown_image(image: NDArray[np.float32], stretch: str) -> NDArray[np.uint8]:
    """Make the picture of a raw image.

    Args:
        image: `(bands, height, width)`.
        stretch: One of `STRETCHES`.

    Returns:
        `(height, width, 3)`, enlarged.

    Raises:
        ValueError: If there is no such stretch.
    """
    if stretch not in STRETCHES:
        raise ValueError(f"stretch='{stretch}' is not one of {', '.join(STRETCHES)}.")
    if stretch == "asinh":
        return _enlarged(colours(image))
    mean = np.nan_to_num(mean_band(image))
    low, high = np.quantile(mean, [0.02, 0.999])
    relative = np.clip((mean - low) / max(high - low, 1e-12), 0, 1)
    bent = {"linear": relative, "log": np.log1p(100 * relative) / np.log(101), "square root": np.sqrt(relative)}[
        stretch
    ]
    return _mapped(bent, COLOUR_MAP)


def shown_explanation(image: NDArray[np.float32], explanation: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Lay where a classifier looks over the image, red where it speaks for the class, blue where against it.

    Args:
        image: Raw image, `(bands, height, width)`.
        explanation: `LensAnswers.explanation`.

    Returns:
        `(height, width, 3)`, enlarged.
    """
    grey = np.nan_to_num(display_intensity(mean_band(image)))[..., None]
    largest = max(float(np.abs(explanation).max()), 1e-9)
    tint = colormaps["RdBu_r"](0.5 + 0.5 * explanation / largest)[..., :3]
    strength = (np.abs(explanation) / largest)[..., None] * 0.65
    return _as_picture((1 - strength) * grey + strength * tint)


def shown_pair(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Show what a masked model sees beside what it fills in, and their difference, in one scale.

    Args:
        pair: `LensAnswers.processed`.

    Returns:
        Three pictures side by side.
    """
    seen, filled = pair
    low, high = float(seen.min()), float(np.quantile(seen, 0.999))
    parts = [_mapped(np.clip((part - low) / max(high - low, 1e-9), 0, 1), COLOUR_MAP) for part in (seen, filled)]
    difference = np.clip(0.5 + (seen - filled) / (2 * max(high - low, 1e-9)), 0, 1)
    parts.append(_mapped(difference, "RdBu_r"))
    return np.concatenate(parts, axis=1)


def _mapped(values: NDArray[Any], colour_map: str) -> NDArray[np.uint8]:
    return _as_picture(colormaps[colour_map](values)[..., :3])


def _as_picture(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn values between 0 and 1 into a picture, the first row at the bottom as the sky is plotted."""
    return _enlarged(np.round(255 * values[::-1]).astype(np.uint8))


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = max(1, round(_SIDE / max(picture.shape[:2])))
    return np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1)
