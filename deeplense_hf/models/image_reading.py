"""Images as users have them, brought to one form: float32, `(bands, height, width)`.

| array, tensor or nested lists | taken as |
|---|---|
| `(h, w)` | one image |
| `(c, h, w)` or `(h, w, c)`, c at most 16 and the shortest axis | one image of c bands; if both fit, the first axis |
| `(n, h, h)`, n above 16 | n images of one band |
| `(n, c, h, w)` or `(n, h, w, c)`, `(batches, n, c, h, w)` | images of c bands |
| `(h * h,)`, `(h * h + 1,)` | one image, row by row; the number behind it is a label and dropped |

These are the rules by which the package reads files too. Pixels that a NumPy mask covers are missing.

The channels of a colour picture are red, green and blue. A model of bands that stand in another order has an image
processor that knows it, `colour_bands`; `in_band_order` brings pictures, and nothing else, to that order.
"""

import math
from collections.abc import Iterator, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .image_files import read_image
from .pictures import picture_array

LAYOUTS = ("channels_first", "channels_last")
# an axis that is longer holds rows or columns, not bands
_MOST_BANDS = 16
_SMALLEST_SIDE = 8
# of a band, that may be missing
_MOST_MISSING = 0.5


def iterate_images(images: Any, layout: str | None = None) -> Iterator[Any]:
    """Go through single images in any nesting of lists, batches and paths.

    Args:
        images: One image (array or tensor, nested lists of numbers, PIL image, path), several in an array, see above,
            or lists, other sequences and iterators of these.
        layout: Where the bands of 3-D arrays are; one that is given makes them one image.

    Yields:
        Arrays and tensors of 2 or 3 dimensions, PIL images.

    Raises:
        ValueError: If something else is among them.
        FileNotFoundError: If a path does not exist.
        ImportError: If a FITS file is given and astropy is missing.
    """
    if isinstance(images, list | tuple):
        if is_numbers(images):
            yield from _split(array_of_lists(images), layout)
            return
        for image in images:
            yield from iterate_images(image, layout)
    elif isinstance(images, str | Path):
        yield from iterate_images(read_image(Path(images)), layout)
    elif isinstance(images, Image.Image):
        yield images
    elif isinstance(images, np.ndarray | torch.Tensor):
        yield from _split(images, layout)
    elif holds_images(images):
        for image in images:
            yield from iterate_images(image, layout)
    else:
        raise ValueError(
            f"an image is a NumPy array, a torch tensor, a PIL image or a path of a file, not {type(images).__name__}."
        )


def holds_images(images: Any) -> bool:
    """Tell whether something is a sequence or an iterator of images, such as a column of a data set.

    Args:
        images: No array, tensor or PIL image.

    Returns:
        False for texts and bytes, which are sequences too.
    """
    return isinstance(images, Sequence | Iterator) and not isinstance(images, str | bytes | bytearray | memoryview)


def is_numbers(images: Any) -> bool:
    """Tell whether nested lists hold numbers, rather than images."""
    while isinstance(images, list | tuple) and images:
        images = images[0]
    # NumPy registers its real numbers as such, but not its truth values
    return images is None or isinstance(images, Real | np.bool_)


def array_of_lists(rows: Any) -> np.ndarray:
    """Turn nested lists of numbers into an array; None is a missing pixel.

    Args:
        rows: The lists.

    Returns:
        The array, float64.

    Raises:
        ValueError: If they are no numbers, too large ones, or lists of several lengths.
    """
    try:
        return np.asarray(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(
            "nested lists must hold numbers and be of one length at every depth: rows x columns, or bands x rows x "
            "columns."
        ) from None


def _split(array: Any, layout: str | None) -> Iterator[Any]:
    """Go through the images of an array or tensor."""
    shape = tuple(array.shape)
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        if side < _SMALLEST_SIDE or shape[0] not in (side**2, side**2 + 1):
            raise ValueError(f"{shape[0]} numbers in a row are no square image; an image has 2 or 3 dimensions.")
        yield array[: side**2].reshape(side, side)
    elif len(shape) == 3 and layout is None and shape[0] > _MOST_BANDS and shape[1] == shape[2] >= _SMALLEST_SIDE:
        yield from array
    elif len(shape) in (2, 3):
        yield array
    elif len(shape) == 4:
        yield from array
    elif len(shape) == 5:
        for batch in array:
            yield from batch
    else:
        raise ValueError(f"an image has 2 or 3 dimensions and a batch 4, but the array has {len(shape)}.")


def check_image(image: Tensor, name: str = "the image", bands: Sequence[int] | None = None) -> Tensor:
    """Refuse an image in which nothing can be seen; a model would answer for it all the same, and surely.

    Args:
        image: `(bands, height, width)`; of each band up to half of the pixels may be missing, NaN or infinite.
        name: What messages call it.
        bands: Which of them are looked at, counted from 0; all when absent.

    Returns:
        The image.

    Raises:
        ValueError: If it is smaller than 8 x 8 pixels, no pixel is finite, all finite ones are equal, or more than half
            of the pixels of a band that is looked at are missing.
    """
    if min(image.shape[1:]) < _SMALLEST_SIDE:
        raise ValueError(
            f"{name}: shape {tuple(image.shape)} is too small, at least {_SMALLEST_SIDE}x{_SMALLEST_SIDE} pixels are "
            "needed."
        )
    finite = torch.isfinite(image)
    whole = bool(finite.all())
    if not whole and not bool(finite.any()):
        raise ValueError(f"{name}: {image.numel()} of {image.numel()} pixels are NaN or infinite.")
    # a copy of what is known would cost as much again as the image, which seldom has holes
    lowest = (image if whole else image.masked_fill(~finite, torch.inf)).min()
    highest = (image if whole else image.masked_fill(~finite, -torch.inf)).max()
    if lowest == highest:
        raise ValueError(f"{name}: every pixel is {float(lowest):g}.")
    if not whole:
        check_missing(image, name, bands)
    return image


def check_missing(image: Tensor, name: str = "the image", bands: Sequence[int] | None = None) -> None:
    """Refuse an image of which too much is missing; filled with the median it would be an image of nothing.

    Args:
        image: `(bands, height, width)`; missing pixels are NaN or infinite.
        name: What messages call it.
        bands: Which of them are looked at, counted from 0; all when absent.

    Raises:
        ValueError: If more than half of the pixels of a band that is looked at are missing.
    """
    missing = (~torch.isfinite(image)).sum(dim=(1, 2)).tolist()
    pixels = math.prod(image.shape[1:])
    # a band that is not there is told where bands are selected
    for band in range(len(missing)) if bands is None else [band for band in bands if band < len(missing)]:
        if missing[band] > _MOST_MISSING * pixels:
            which = "" if len(missing) == 1 else f" of band {band}, counted from 0,"
            raise ValueError(
                f"{name}: {missing[band]} of {pixels} pixels{which} are NaN or infinite, but at most half may be; give "
                "an image, or a part of it, of which more is known."
            )


def eight_bit(images: np.ndarray, processor: str) -> np.ndarray:
    """Return images that hold 8-bit values as such; a stock processor, which rescales, misreads all others.

    Args:
        images: Whole numbers from 0 to 255, of any type and shape.
        processor: Name of the processor, for the message.

    Returns:
        The same numbers, uint8.

    Raises:
        ValueError: If a number is another one.
    """
    converted: np.ndarray = np.clip(np.nan_to_num(images), 0, 255).astype(np.uint8)
    if not np.array_equal(converted, images):
        raise ValueError(
            f"the model's processor {processor} takes 8-bit images, but this one holds values from "
            f"{np.nanmin(images):.3g} to {np.nanmax(images):.3g}; use a model with a DeepLenseImageProcessor."
        )
    return converted


def in_band_order(image: Any, colour_bands: Sequence[int] | None) -> Any:
    """Bring the channels of a colour picture to the order of a model's bands.

    Args:
        image: Array or tensor, `(..., 3, height, width)`, red first; of another number of channels it is no colours.
        colour_bands: Which band, counted from 0, red, green and blue are; None leaves them as they are.

    Returns:
        The same numbers, `(..., 3, height, width)`.
    """
    if colour_bands is None or image.shape[-3] != len(colour_bands):
        return image
    channels = [list(colour_bands).index(band) for band in range(len(colour_bands))]
    return image[..., channels, :, :]


def to_tensor(image: Any, layout: str | None = None, colour_bands: Sequence[int] | None = None) -> Tensor:
    """Bring one image to float32 and `(bands, height, width)`; values are kept, whatever the type was.

    Args:
        image: An array or tensor of 2 or 3 dimensions, or a PIL image; what a NumPy mask covers becomes NaN.
        layout: `channels_first` or `channels_last` of a 3-D array; told by the shape when absent.
        colour_bands: See `in_band_order`; of PIL images alone.

    Returns:
        The image, float32; tensors stay on their device.

    Raises:
        ValueError: If it holds no numbers or no pixel, or the bands cannot be told.
    """
    if isinstance(image, Image.Image):
        image = picture_array(image)
        if image.ndim == 3:
            image = in_band_order(np.moveaxis(image, -1, 0), colour_bands)
        layout = "channels_first"
    if isinstance(image, np.ndarray):
        if image.dtype.kind not in "biuf":
            raise ValueError(f"an image holds numbers, but the array is of type {image.dtype}.")
        # a copy, since arrays may be read-only or the caller's own
        with np.errstate(over="ignore"):
            if isinstance(image, np.ma.MaskedArray):
                image = np.ma.filled(image.astype(np.float32), np.nan)
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
