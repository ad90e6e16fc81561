"""Pictures as PIL reads them, as far as it keeps their numbers; of TIFF and PNG files one or several.

PIL gives the upper 8 of the 16 bits of colours, bytes that have a sign as if they had none, and whole numbers above
2,147,483,647 as negative ones. None of this is an error to it, so what a file says of itself is compared with what came
out of it.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from .fits_images import MOST_NUMBERS

PICTURE_FORMATS = ("JPEG", "PNG", "TIFF")
# modes whose numbers are brightness; others (palettes, transparency, inks) become colours
_BRIGHTNESS_MODES = ("1", "L", "I", "F", "RGB")
# the search for the pages of a file takes time that grows with the square of their number
_MOST_PAGES = 10_000
# tags of TIFF, and the values of two of them
_PAGE_KIND, _BITS, _NUMBER_KIND = 254, 258, 339
_THUMBNAIL_OR_MASK = 1 | 4
_UNSIGNED, _SIGNED, _FLOATING = 1, 2, 3
_SAVE_OTHERWISE = "save the image as .npy or FITS"
_KINDS = {_UNSIGNED: "whole numbers without a sign", _SIGNED: "whole numbers with a sign", _FLOATING: "floats"}


class UnfitPictureError(ValueError):
    """A picture that cannot be taken as it is; the text says why, without the name of the file."""


def is_eight_bit(picture: Image.Image) -> bool:
    """Tell whether the numbers of a picture, or those of its palette, have at most 8 bits.

    Args:
        picture: Of any mode.

    Returns:
        False for 16- and 32-bit whole numbers and floats.
    """
    return not picture.mode.startswith(("I", "F"))


def picture_array(picture: Image.Image) -> np.ndarray:
    """Return the numbers of a picture; palettes, transparency and inks become colours.

    Args:
        picture: Of any mode.

    Returns:
        `(height, width)` or, of colours, `(height, width, 3)`, of the type that they have in the picture.
    """
    bright = picture.mode in _BRIGHTNESS_MODES or picture.mode.startswith("I;16")
    return np.array(picture if bright else picture.convert("RGB"))


def iterate_pages(picture: Image.Image, most: int = _MOST_PAGES) -> Iterator[int]:
    """Find the images of a picture file.

    Args:
        picture: As `PIL.Image.open` returns it; it stands on the page whose number comes, and on the last one in the
            end.
        most: Pages that are looked at, thumbnails among them.

    Yields:
        Numbers of the pages that are images of their own, the first always: thumbnails and masks of TIFF files are
        none, nor is what cameras put behind a JPEG picture.

    Raises:
        UnfitPictureError: If there are more pages.
    """
    yield 0
    if picture.format not in ("PNG", "TIFF"):
        return
    for page in range(1, most + 1):
        try:
            picture.seek(page)
        except EOFError:
            return
        if page == most:
            raise UnfitPictureError(f"it has more than {most:,} pages; save its images as an array, .npy or HDF5")
        if not _tag(picture, _PAGE_KIND, 0)[0] & _THUMBNAIL_OR_MASK:
            yield page


def read_page(picture: Image.Image, page: int, largest: int = MOST_NUMBERS) -> Image.Image:
    """Read one image of a picture file.

    Args:
        picture: As `PIL.Image.open` returns it.
        page: Its number, from 0.
        largest: Numbers that it may have, of all bands; of more none is unpacked.

    Returns:
        The same picture, which stands on the page and is in memory.

    Raises:
        UnfitPictureError: If it is larger, or PIL would change its numbers.
        OSError: If it is damaged; the other errors of PIL's decoders too.
    """
    picture.seek(page)
    if picture.width * picture.height * len(picture.getbands()) > largest:
        raise UnfitPictureError(f"it has {picture.width} x {picture.height} pixels; cut the lens out")
    stored = _stored_as(picture)
    picture.load()
    # a tag can be missing or speak of each band
    if picture.format == "TIFF":
        bits, kinds = max(_tag(picture, _BITS, 1)), set(_tag(picture, _NUMBER_KIND, _UNSIGNED))
        if not _is_kept(picture, bits, kinds):
            kind = " and ".join(_KINDS.get(kind, "others") for kind in sorted(kinds))
            raise UnfitPictureError(f"it holds {kind} of {bits} bits, which would be changed; {_SAVE_OTHERWISE}")
    elif picture.format == "PNG" and "16" in stored and is_eight_bit(picture):
        raise UnfitPictureError(f"it holds colours of 16 bits, of which 8 would be lost; {_SAVE_OTHERWISE}")
    return picture


def _stored_as(picture: Image.Image) -> str:
    """Return what PIL calls the numbers in the file, such as `RGB;16B`, before it unpacks them."""
    tiles = getattr(picture, "tile", [])
    how = tiles[0][3] if tiles else ""
    return str(how[0] if isinstance(how, tuple) else how)


def _is_kept(picture: Image.Image, bits: int, kinds: set[int]) -> bool:
    """Tell whether the numbers of a page of a TIFF file are those that came out of it."""
    if picture.mode == "F":
        return kinds == {_FLOATING}
    if is_eight_bit(picture):
        return kinds == {_UNSIGNED} and bits <= 8
    # the whole numbers of 32 bits of PIL have a sign
    return kinds == {_SIGNED} or (kinds == {_UNSIGNED} and (bits < 32 or np.asarray(picture).min() >= 0))


def _tag(picture: Image.Image, number: int, otherwise: int) -> tuple[int, ...]:
    """Return the values of a tag of a page of a TIFF file; pages of other files have none."""
    value = getattr(picture, "tag_v2", {}).get(number, otherwise)
    return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),)
