"""Pictures of the page: the image in a stretch, how an answer falls under covers, what the masked model fills in.

Rows of FITS files and arrays are plotted as the sky is, the first at the bottom, and three bands are ordered by
wavelength. Pictures (PNG, JPEG, TIFF) have their first row at the top and red first.
"""

from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from deeplense_hf.data.display import COLOUR_BANDS, COLOUR_MAP, colours, display_intensity, mean_band
from deeplense_hf.evaluation.explanation import Occlusion, Window

STRETCHES = ("asinh", "linear", "log", "square root")
FALL_TINT, RISE_TINT = (0.9, 0.1, 0.1), (0.15, 0.45, 1.0)
"""Colours where the answer falls and rises, red first; told apart with red-green blindness too."""
STRONGEST_TINT = 0.75
SMALLEST_SCALE = 0.5
"""Falls of the logarithm of the odds that are shown in full colour are at least this large: of noise none is made."""
_SIDE = 450
_COLOURS = 3
_SMALLEST_DIFFERENCE = 0.25
"""Differences from a filled-in image that are shown in full colour are at least this share of its brightness."""
DIFFERENCE_MAP = "RdBu_r"
_BAR_LENGTHS = (60.0, 30.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)


def shown_image(
    image: NDArray[np.float32], stretch: str, pixel_scale: float | None = None, is_picture: bool = False
) -> NDArray[np.uint8]:
    """Make the picture of a raw image.

    Args:
        image: `(bands, height, width)`.
        stretch: One of `STRETCHES`.
        pixel_scale: [arcsec/pixel], for a scale bar; none where unknown.
        is_picture: Whether it was read from a picture file.

    Returns:
        `(height, width, 3)`, enlarged.

    Raises:
        ValueError: If there is no such stretch.
    """
    if stretch not in STRETCHES:
        raise ValueError(f"stretch='{stretch}' is not one of {', '.join(STRETCHES)}.")
    if stretch == "asinh":
        # `colours` wants the sky's order of rows and bands
        flat = colours(image[::-1, ::-1] if is_picture else image)
    else:
        bent = _bent(image if len(image) == _COLOURS else mean_band(image)[None], stretch)
        if len(bent) == _COLOURS:
            flat = _eight_bit(np.moveaxis(bent if is_picture else bent[list(COLOUR_BANDS)], 0, -1))
        else:
            flat = _mapped(bent[0], COLOUR_MAP)
        flat = _upright(flat, is_picture)
    return _with_scale_bar(_enlarged(flat), pixel_scale, image.shape[2])


def _bent(bands: NDArray[Any], stretch: str) -> NDArray[np.float64]:
    """Stretch bands alike, each above its own background, so that colours are kept; what is missing becomes dark.

    Args:
        bands: `(bands, height, width)`.
        stretch: One of `STRETCHES` but `asinh`.

    Returns:
        Values between 0 and 1 of the same shape.
    """
    known = np.nan_to_num(bands.astype(np.float64), posinf=0, neginf=0)
    above = known - np.quantile(known, 0.02, axis=(1, 2), keepdims=True)
    relative = np.clip(above / max(float(np.quantile(above, 0.999, axis=(1, 2)).max()), 1e-12), 0, 1)
    bent: NDArray[np.float64] = {
        "linear": relative,
        "log": np.log1p(100 * relative) / np.log(101),
        "square root": np.sqrt(relative),
    }[stretch]
    return bent


def tint_scale(occlusion: Occlusion) -> float:
    """Return the change of the logarithm of the odds that is shown in full colour.

    Args:
        occlusion: The map.

    Returns:
        The largest change, at least `SMALLEST_SCALE`.
    """
    return max(float(np.nanmax(np.abs(occlusion.falls))), SMALLEST_SCALE)


def shown_occlusion(image: NDArray[np.float32], occlusion: Occlusion, is_picture: bool = False) -> NDArray[np.uint8]:
    """Lay over the image how the answer changes under covers: red where it falls, blue where it rises.

    Args:
        image: Raw image, `(bands, height, width)`.
        occlusion: The map.
        is_picture: Whether the image was read from a picture file.

    Returns:
        `(height, width, 3)`, enlarged, with a frame around the part that enters the model where that is not all.
    """
    grey = np.nan_to_num(display_intensity(mean_band(image)))[..., None]
    relative = np.nan_to_num(occlusion.falls) / tint_scale(occlusion)
    tint = np.where(relative[..., None] > 0, FALL_TINT, RISE_TINT)
    strength = STRONGEST_TINT * np.abs(relative)[..., None]
    picture = _enlarged(_upright(_eight_bit((1 - strength) * grey + strength * tint), is_picture))
    return _with_frame(picture, occlusion.window, image.shape[1], image.shape[2], is_picture)


def shown_pair(pair: tuple[NDArray[np.float32], NDArray[np.float32]], is_picture: bool = False) -> NDArray[np.uint8]:
    """Show what a masked model sees beside what it fills in, and their difference.

    Args:
        pair: `ModelAnswer.processed`.
        is_picture: Whether the image was read from a picture file.

    Returns:
        Three pictures side by side, the first two in one scale, the third in that of `difference_scale`.
    """
    seen, filled = pair
    low, extent = _extent(seen)
    parts = [_mapped(np.clip((part - low) / extent, 0, 1), COLOUR_MAP) for part in (seen, filled)]
    difference = (seen - filled) / (extent * difference_scale(pair))
    parts.append(_mapped(np.clip(0.5 + difference / 2, 0, 1), DIFFERENCE_MAP))
    return np.concatenate([_enlarged(_upright(part, is_picture)) for part in parts], axis=1)


def difference_scale(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> float:
    """Return the difference between what is seen and what is filled in that is shown in full colour.

    Args:
        pair: `ModelAnswer.processed`.

    Returns:
        The largest difference, as a share of the range of brightness that is shown, at least `_SMALLEST_DIFFERENCE`.
    """
    seen, filled = pair
    return max(float(np.abs(seen - filled).max()) / _extent(seen)[1], _SMALLEST_DIFFERENCE)


def _extent(seen: NDArray[np.float32]) -> tuple[float, float]:
    """Return the lowest brightness of a processed image that is shown, and the range above it."""
    low, high = float(seen.min()), float(np.quantile(seen, 0.999))
    return low, max(high - low, 1e-9)


def _with_scale_bar(picture: NDArray[np.uint8], pixel_scale: float | None, columns: int) -> NDArray[np.uint8]:
    """Draw a bar of a round length at the lower left, at most 40% of the width."""
    height, width = picture.shape[:2]
    if pixel_scale is None:
        return picture
    shown_scale = pixel_scale * columns / width
    length = next((one for one in _BAR_LENGTHS if one <= 0.4 * width * shown_scale), None)
    if length is None:
        return picture
    canvas, unit = Image.fromarray(picture), max(1, width // 150)
    draw = ImageDraw.Draw(canvas)
    left, bottom = 5 * unit, height - 5 * unit
    right = left + round(length / shown_scale)
    draw.rectangle((left - 1, bottom - unit - 1, right + 1, bottom + 1), fill="black")
    draw.rectangle((left, bottom - unit, right, bottom), fill="white")
    font = ImageFont.load_default(size=8 * unit)
    place = (left, bottom - 2 * unit)
    draw.text(place, f'{length:g}"', "white", font, anchor="lb", stroke_width=unit // 2, stroke_fill="black")
    return np.asarray(canvas)


def _with_frame(
    picture: NDArray[np.uint8], window: Window, rows: int, columns: int, is_picture: bool
) -> NDArray[np.uint8]:
    """Draw a frame around a window of the raw image."""
    down, across = window
    if (down.stop - down.start, across.stop - across.start) == (rows, columns):
        return picture
    factor = picture.shape[0] // rows
    top, bottom = (down.start, down.stop) if is_picture else (rows - down.stop, rows - down.start)
    canvas = Image.fromarray(picture)
    box = (factor * across.start, factor * top, factor * across.stop - 1, factor * bottom - 1)
    ImageDraw.Draw(canvas).rectangle(box, outline="white", width=2)
    return np.asarray(canvas)


def _mapped(values: NDArray[Any], colour_map: str) -> NDArray[np.uint8]:
    return _eight_bit(colormaps[colour_map](values)[..., :3])


def _eight_bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn values between 0 and 1 into those of a picture."""
    return np.round(255 * values).astype(np.uint8)


def _upright(picture: NDArray[np.uint8], is_picture: bool) -> NDArray[np.uint8]:
    """Put the first row where it belongs."""
    return picture if is_picture else picture[::-1]


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = max(1, round(_SIDE / max(picture.shape[:2])))
    return np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1)
