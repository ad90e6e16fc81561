"""From whatever a caller hands over to float32 arrays (bands, height, width); never through 8 bits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

# More bands than this are taken for rows: an axis is a band axis only if it is short.
MAX_BANDS = 16
FITS_ENDINGS = (".fits", ".fit", ".fits.gz", ".fz")


def as_image_list(images: Any, input_data_format: str | None = None) -> list[np.ndarray]:
    """Turn one image or many into a list of arrays.

    Args:
        images: An image, a list of images, or an array of four axes. An image is an array or tensor (2-D, bands first
            or last), nested lists of numbers, a PIL image of any mode, or the path of a `.npy`, FITS or picture file.
        input_data_format: `channels_first` or `channels_last`; decided by the shape when absent.

    Returns:
        Float32 arrays of shape `(bands, height, width)`.

    Raises:
        ValueError: If something is not an image.
        FileNotFoundError: If a path does not exist.
        ImportError: If a FITS file is given and astropy is not installed.
    """
    if isinstance(images, list | tuple):
        if images and _is_number_rows(images):
            return [as_band_image(np.asarray(images), input_data_format)]
        return [array for image in images for array in as_image_list(image, input_data_format)]
    if isinstance(images, np.ndarray | torch.Tensor) and images.ndim == 4:
        return [as_band_image(image, input_data_format) for image in images]
    return [as_band_image(images, input_data_format)]


def _is_number_rows(rows: Sequence[Any]) -> bool:
    """Whether nested lists are the rows of one image rather than a list of images."""
    first = rows[0]
    return isinstance(first, list | tuple) and len(first) > 0 and isinstance(first[0], int | float)


def as_band_image(image: Any, input_data_format: str | None = None) -> np.ndarray:
    """Turn one image into an array.

    Args:
        image: See `as_image_list`.
        input_data_format: `channels_first` or `channels_last`; decided by the shape when absent.

    Returns:
        Float32 array of shape `(bands, height, width)`.

    Raises:
        ValueError: If it is not an image.
        FileNotFoundError: If a path does not exist.
        ImportError: If a FITS file is given and astropy is not installed.
    """
    if isinstance(image, str | Path):
        image = _read(Path(image))
    if isinstance(image, PIL.Image.Image):
        if image.mode not in ("1", "L", "F", "I", "RGB") and not image.mode.startswith("I;16"):
            image = image.convert("RGB")
        pixels = np.asarray(image)
        input_data_format = "channels_last" if pixels.ndim == 3 else None
    elif isinstance(image, torch.Tensor):
        pixels = image.detach().to(device="cpu", dtype=torch.float32).numpy()
    else:
        pixels = np.asarray(image)
    if pixels.dtype == object or not (np.issubdtype(pixels.dtype, np.number) or pixels.dtype == bool):
        raise ValueError(f"an image must hold numbers, not {pixels.dtype}; read it with deeplense_hf.data first.")
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels[None], dtype=np.float32)
    if pixels.ndim != 3:
        raise ValueError(f"an image has two or three axes, got an array of shape {pixels.shape}.")
    if _layout(pixels.shape, input_data_format) == "channels_last":
        pixels = np.moveaxis(pixels, -1, 0)
    return np.ascontiguousarray(pixels, dtype=np.float32)


def _layout(shape: tuple[int, ...], input_data_format: str | None) -> str:
    """Decide which axis holds the bands."""
    if input_data_format is not None:
        return str(getattr(input_data_format, "value", input_data_format))
    if shape[0] <= MAX_BANDS and shape[0] <= min(shape[1:]):
        return "channels_first"
    if shape[2] <= MAX_BANDS and shape[2] <= min(shape[:2]):
        return "channels_last"
    raise ValueError(
        f"cannot tell which axis of shape {shape} holds the bands; give input_data_format='channels_first' or "
        "'channels_last', or a list of images."
    )


def _read(path: Path) -> Any:
    """Read an image file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    name = path.name.lower()
    try:
        if name.endswith(".npy"):
            return np.load(path, allow_pickle=False)
        if name.endswith(FITS_ENDINGS):
            return _read_fits(path)
        with PIL.Image.open(path) as picture:
            picture.load()
            return picture
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is not a readable image: {error}.") from None


def _read_fits(path: Path) -> np.ndarray:
    """Return the first image of a FITS file."""
    try:
        from astropy.io import fits
    except ImportError:
        raise ImportError(f"{path} needs astropy. Install it with: pip install astropy") from None
    with fits.open(path, memmap=False) as units:
        for unit in units:
            if unit.data is not None and getattr(unit.data, "ndim", 0) >= 2:
                return np.asarray(unit.data, dtype=np.float32)
    raise ValueError("it holds no image of two or more axes")
