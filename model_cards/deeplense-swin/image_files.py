"""What is in an image file: `.npy`, FITS, JPEG, PNG or TIFF, told by the content, bounded and never unpickled.

What else the package reads (`.npz`, HDF5, pickled `.npy`) is refused with a word on how to go on. Pictures are read by
`pictures.py`.
"""

import io
import math
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .fits_images import GZIP, LARGEST_FILE, MOST_NUMBERS, check_extension, first_image, unpacked
from .pictures import PICTURE_FORMATS, iterate_pages, read_page

_FITS = b"SIMPLE  ="
_MOST_HEADER = 10_000
# of a file of one image, thumbnails among them
_MOST_PAGES = 64
_USE_PREDICT = "save its image alone as .npy, or install deeplense_hf and use its command predict"
_KNOWN_ELSEWHERE = {b"PK\x03\x04": "a .npz archive", b"\x89HDF\r\n\x1a\n": "an HDF5 file"}


def read_image(path: Path, pictures: tuple[str, ...] = PICTURE_FORMATS) -> Any:
    """Read an image file without losing precision.

    Args:
        path: `.npy`, FITS (also packed with gzip or in compressed tiles), JPEG, PNG or TIFF; told by the content, not
            by the name.
        pictures: Formats of pictures that are read.

    Returns:
        An array, or a PIL image.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a folder, or holds no image.
        ImportError: If it is a FITS file and astropy is missing.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give an image file, or use the command predict for a folder of them.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give the path of an image on this machine.")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, more than {LARGEST_FILE}; cut the lens out.")
    return image_from_bytes(path.read_bytes(), str(path), pictures=pictures)


def image_from_bytes(
    content: bytes, name: str, largest: int = MOST_NUMBERS, pictures: tuple[str, ...] = PICTURE_FORMATS
) -> Any:
    """Read what is in an image file; nothing is unpickled, and what claims to be larger than it can be is refused.

    Args:
        content: The file's content, as in `read_image`.
        name: What messages call it.
        largest: Numbers that it may have, of all its bands and images; at most 67,108,864. More are refused before they
            are unpacked.
        pictures: Formats of pictures that are read.

    Returns:
        An array, or a PIL image.

    Raises:
        ValueError: If it holds no image, a larger one, a picture of which numbers would be lost, several pictures, or a
            FITS extension in which nothing can be seen.
        ImportError: If it is a FITS file and astropy is missing.
    """
    if not content:
        raise ValueError(f"{name} is empty.")
    try:
        return _read(content, min(largest, MOST_NUMBERS), pictures)
    except ImportError:
        raise ImportError(f"{name} is a FITS file, which needs astropy; install it with: pip install astropy") from None
    except Exception as error:  # noqa: BLE001 - as the libraries raise
        # on damaged files anything, some of it of the libraries' own making
        reason = " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__
        raise ValueError(f"{name} is not a readable image: {reason}.") from None


def _read(content: bytes, largest: int, pictures: tuple[str, ...]) -> Any:
    """Read an image file by its first bytes."""
    if content.startswith(np.lib.format.MAGIC_PREFIX):
        return _read_npy(content, largest)
    for beginning, kind in _KNOWN_ELSEWHERE.items():
        if content.startswith(beginning):
            raise ValueError(f"it is {kind}; {_USE_PREDICT}")
    plain = unpacked(content) if content.startswith(GZIP) else content
    if plain.startswith(_FITS):
        return _read_fits(plain, largest)
    return _read_picture(content, largest, pictures)


def _read_npy(content: bytes, largest: int) -> np.ndarray:
    """Return the array of a `.npy` file; a pickled one is refused, since it could run code."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = header(file, max_header_size=_MOST_HEADER)
    if dtype.hasobject:
        raise ValueError(f"it holds a pickle, which could run code; {_USE_PREDICT}")
    if dtype.kind not in "biuf":
        raise ValueError(f"it holds values of type {dtype}, not numbers")
    numbers = math.prod(shape)
    if numbers > largest or min(shape, default=1) < 0:
        raise ValueError(f"its array of shape {shape} has more than {largest} numbers")
    # numpy would reserve the memory first and look for the numbers then
    needed, there = numbers * dtype.itemsize, len(content) - file.tell()
    if needed > there:
        raise ValueError(f"its header announces {needed} bytes of numbers, but {there} follow")
    flat = np.frombuffer(content, dtype, numbers, file.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _read_fits(content: bytes, largest: int) -> np.ndarray:
    """Return the image of a FITS file, see `fits_images`."""
    # first, so that only what is missing is called missing
    try:
        from astropy.io import fits
        from astropy.utils.exceptions import AstropyWarning
    except ImportError:
        raise ImportError("astropy") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        with fits.open(io.BytesIO(first_image(content, largest)), memmap=False) as parts:
            part = parts[-1]
            # as astropy understands the header
            if not part.is_image or math.prod(part.shape) > largest:
                raise ValueError("its header is ambiguous")
            data = np.array(part.data)
            check_extension(data, part.name)
            return data


def _read_picture(content: bytes, largest: int, formats: tuple[str, ...]) -> Image.Image:
    """Return the one picture of a file, by no other decoder than those of the formats."""
    try:
        picture = Image.open(io.BytesIO(content), formats=formats)
    except Image.UnidentifiedImageError:
        # its text is an address in memory
        raise ValueError(f"it is none of .npy, FITS, {', '.join(formats[:-1])} and {formats[-1]}, or damaged") from None
    if len(list(islice(iterate_pages(picture, _MOST_PAGES), 2))) > 1:
        raise ValueError(f"it holds several images; {_USE_PREDICT}")
    return read_page(picture, 0, largest)
