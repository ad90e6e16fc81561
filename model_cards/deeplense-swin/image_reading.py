"""Images as users have them, brought to one form: float32, `(bands, height, width)`."""

import io
import math
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

LAYOUTS = ("channels_first", "channels_last")
# an axis that is longer holds rows or columns, not bands
_MOST_BANDS = 16
_FITS, _GZIP = b"SIMPLE  =", b"\x1f\x8b"
# what an image may need in memory [bytes]
_LARGEST = 2**30
# modes whose numbers are brightness; others (palettes, transparency, inks) become colours
_BRIGHTNESS_MODES = ("1", "L", "I", "F", "RGB")


def iterate_images(images: Any) -> Iterator[Any]:
    """Go through single images in any nesting of lists, batches and paths.

    Args:
        images: One image (2-D or 3-D array or tensor, nested lists of numbers, PIL image, path), a batch (4-D), or
            lists of these.

    Yields:
        Arrays and tensors of 2 or 3 dimensions, PIL images.

    Raises:
        ValueError: If something else is among them.
        FileNotFoundError: If a path does not exist.
        ImportError: If a FITS file is given and astropy is missing.
    """
    if isinstance(images, list | tuple):
        if _is_rows(images):
            yield np.asarray(images)
            return
        for image in images:
            yield from iterate_images(image)
    elif isinstance(images, str | Path):
        yield from iterate_images(read_image(Path(images)))
    elif isinstance(images, Image.Image):
        yield images
    elif isinstance(images, np.ndarray | torch.Tensor):
        if images.ndim == 4:
            yield from images
        elif images.ndim in (2, 3):
            yield images
        else:
            raise ValueError(f"an image has 2 or 3 dimensions and a batch 4, but the array has {images.ndim}.")
    else:
        raise ValueError(
            f"an image is a NumPy array, a torch tensor, a PIL image or a path of a file, not {type(images).__name__}."
        )


def _is_rows(images: Sequence[Any]) -> bool:
    """Whether nested lists are the rows of one image rather than a list of images."""
    first = images[0] if images else None
    return isinstance(first, list | tuple) and len(first) > 0 and isinstance(first[0], int | float)


def read_image(path: Path) -> Any:
    """Read an image file without losing precision.

    Args:
        path: `.npy`, FITS (also compressed), or a picture that PIL reads; told by the content, not by the name.

    Returns:
        An array, or a PIL image.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no image.
        ImportError: If it is a FITS file and astropy is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give the path of an image on this machine.")
    return image_from_bytes(path.read_bytes(), str(path))


def image_from_bytes(content: bytes, name: str) -> Any:
    """Read what is in an image file; nothing is unpickled, and what claims to be larger than it can be is refused.

    Args:
        content: The file's content, as in `read_image`.
        name: What messages call it.

    Returns:
        An array, or a PIL image.

    Raises:
        ValueError: If it holds no image, or one that needs more than 1 GiB.
        ImportError: If it is a FITS file and astropy is missing.
    """
    try:
        if content.startswith(np.lib.format.MAGIC_PREFIX):
            return _read_npy(content)
        plain = _decompressed(content) if content.startswith(_GZIP) else content
        if plain.startswith(_FITS):
            return _read_fits(plain, name)
        picture = Image.open(io.BytesIO(content))
        picture.load()
        return picture
    except (ValueError, EOFError, OSError, SyntaxError, KeyError, TypeError, zlib.error, MemoryError) as error:
        raise ValueError(f"{name} is not a readable image: {error}.") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name} is not a readable image: {error}") from None


def _read_npy(content: bytes) -> np.ndarray:
    """Return the array of a `.npy` file; a pickled one is refused, since it could run code."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    needed = math.prod(shape) * dtype.itemsize
    # numpy would reserve the memory first and look for the numbers then
    if not dtype.hasobject and needed > len(content) - file.tell():
        raise ValueError(f"its header announces {needed} bytes of numbers, but {len(content) - file.tell()} follow")
    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def _decompressed(content: bytes) -> bytes:
    """Unpack gzip, as far as it is not too large."""
    unpacked = zlib.decompressobj(wbits=31).decompress(content, _LARGEST + 1)
    if len(unpacked) > _LARGEST:
        raise ValueError(f"unpacked it is larger than {_LARGEST} bytes")
    return unpacked


def _read_fits(content: bytes, name: str) -> np.ndarray:
    """Return the first image of a FITS file."""
    try:
        from astropy.io import fits
    except ImportError:
        raise ImportError(f"{name} needs astropy. Install it with: pip install astropy") from None
    with fits.open(io.BytesIO(content), memmap=False) as units:
        for unit in units:
            if not isinstance(unit, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU) or not unit.shape:
                continue
            if 8 * math.prod(unit.shape) > _LARGEST:
                raise ValueError(f"its image of shape {unit.shape} is too large")
            if unit.data is not None:
                return np.array(unit.data)
    raise ValueError("the FITS file holds no image")


def to_tensor(image: Any, layout: str | None = None) -> Tensor:
    """Bring one image to float32 and `(bands, height, width)`; values are kept, whatever the type was.

    Args:
        image: An array or tensor of 2 or 3 dimensions, or a PIL image.
        layout: `channels_first` or `channels_last` of a 3-D array; told by the shape when absent.

    Returns:
        The image, float32; tensors stay on their device.

    Raises:
        ValueError: If it holds no numbers or no pixel, or the bands cannot be told.
    """
    if isinstance(image, Image.Image):
        bright = image.mode in _BRIGHTNESS_MODES or image.mode.startswith("I;16")
        image = np.array(image if bright else image.convert("RGB"))
        layout = "channels_last"
    if isinstance(image, np.ndarray):
        if image.dtype.kind not in "biuf":
            raise ValueError(f"an image holds numbers, but the array is of type {image.dtype}.")
        # a copy, since arrays may be read-only or the caller's own
        image = torch.from_numpy(np.array(image, dtype=np.float32, order="C"))
    elif image.is_complex():
        raise ValueError(f"an image holds real numbers, but the tensor is of type {image.dtype}.")
    image = image.float()
    if image.numel() == 0:
        raise ValueError(f"the image has no pixel, its shape is {tuple(image.shape)}.")
    if image.ndim == 2:
        return image[None]
    return image.permute(2, 0, 1) if (layout or _layout(image.shape)) == "channels_last" else image


def _layout(shape: Sequence[int]) -> str:
    """Tell which axis holds the bands: a short one, the first before the last."""
    first, height, last = shape
    if first <= min(_MOST_BANDS, height, last):
        return "channels_first"
    if last <= min(_MOST_BANDS, first, height):
        return "channels_last"
    raise ValueError(
        f"it cannot be told which axis of shape {tuple(shape)} holds the bands; give input_data_format="
        "'channels_first' or 'channels_last', or a list of images."
    )
