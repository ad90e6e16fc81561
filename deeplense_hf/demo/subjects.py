"""What the models are asked about: a lens drawn with the sliders, or the first image of a file."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplense_hf.data.readers import PICTURE_ENDINGS
from deeplense_hf.inference.asking import choose_bands

from .lens_sliders import RECIPE, DrawnLens, draw_lens, is_smooth, unlike_training
from .orientation import orientation_of
from .uploads import read_uploads


@dataclass(frozen=True)
class DroppedFile:
    """A file and what a person said about it.

    Attributes:
        path: The file.
        bands: Bands that are given to the models, as typed; all when empty.
        pixel_scale: [arcsec/pixel] if the file does not say it, as typed; empty where unknown.
    """

    path: str
    bands: str = ""
    pixel_scale: str = ""


Source = DrawnLens | DroppedFile


@dataclass(frozen=True)
class Subject:
    """An image to ask about.

    Attributes:
        image: Raw image, `(bands, height, width)`.
        pixel_scale: [arcsec/pixel], None where unknown.
        is_picture: Whether it was read from a picture file, which has its first row at the top and red first.
        caption: What it is and how it lies.
        note: What a person should know before believing an answer; may be empty.
        red_first: Whether models may bring its bands to their own order: those of a colour picture, unless a person
            chose among them.
    """

    image: NDArray[np.float32]
    pixel_scale: float | None
    is_picture: bool
    caption: str
    note: str
    red_first: bool = False


def subject_of(source: Source) -> Subject:
    """Simulate or read what is asked about.

    Args:
        source: Lens or file.

    Returns:
        The image and what is known of it.

    Raises:
        ValueError: If the file holds no usable image, or bands or pixel scale cannot be read.
    """
    return _drawn(source) if isinstance(source, DrawnLens) else _dropped(source)


def parse_bands(text: str | None) -> list[int]:
    """Read a choice of bands.

    >>> parse_bands("2, 1 0")
    [2, 1, 0]

    Args:
        text: Numbers counted from 0, between commas or spaces; None or empty for all bands.

    Returns:
        The bands in this order; none for all.

    Raises:
        ValueError: If it is something else.
    """
    words = re.split(r"[,\s]+", (text or "").strip())
    if words == [""]:
        return []
    if not all(re.fullmatch(r"\d{1,3}", word, re.ASCII) for word in words):
        raise ValueError(f"bands '{text}' are not numbers counted from 0; write for example 0 or 2, 1, 0.")
    return [int(word) for word in words]


def parse_pixel_scale(text: str | None) -> float | None:
    """Read a pixel scale.

    Args:
        text: Number [arcsec/pixel]; None or empty where unknown.

    Returns:
        The pixel scale.

    Raises:
        ValueError: If it is no positive number.
    """
    if not (text or "").strip():
        return None
    try:
        scale = float(text or "")
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise ValueError(f"pixel scale '{text}' is no positive number of arcsec per pixel; write for example 0.05.")
    return scale


def _drawn(lens: DrawnLens) -> Subject:
    """Simulate the lens."""
    image, pixel_scale = draw_lens(lens)
    note = unlike_training(lens) or ""
    if lens.substructure == "cdm" and is_smooth(lens):
        note = f"Without subhaloes this is a smooth lens, of the class no_sub. {note}".strip()
    caption = f"Simulated lens of recipe {RECIPE}, {_described(image, pixel_scale)} x to the right, y up."
    return Subject(image, pixel_scale, False, caption, note)


def _dropped(file: DroppedFile) -> Subject:
    """Read the first image of the file."""
    bands, typed = parse_bands(file.bands), parse_pixel_scale(file.pixel_scale)
    images = read_uploads([file.path])
    first = next(images)
    if first.image is None:
        why = first.error or "it holds no image."
        # readers name the file themselves where the file is what is wrong
        raise ValueError(why if why.startswith(first.name) else f"{first.name} cannot be used: {why}")
    image = choose_bands(first.image, bands)
    path, pixel_scale = Path(file.path), first.pixel_scale or typed
    is_picture = path.suffix.lower() in PICTURE_ENDINGS
    lies = orientation_of(path) or f"As stored, first row at the {'top' if is_picture else 'bottom'}."
    note = "The first of several images; the tab “many images” answers for all." if next(images, None) else ""
    caption = f"{first.name}, {_described(image, pixel_scale)} {lies}"
    return Subject(image, pixel_scale, is_picture, caption, note, first.red_first and not bands)


def _described(image: NDArray[np.float32], pixel_scale: float | None) -> str:
    """Say how large an image is."""
    bands, height, width = image.shape
    scale = "pixel scale unknown" if pixel_scale is None else f'{pixel_scale:.3g}" per pixel'
    return f"{width} x {height} pixels, {bands} {'band' if bands == 1 else 'bands'}, {scale}."
