"""What the axes of an array mean: one image, a stack of images, the rows of an image, an image and its mass.

| array | taken as |
|---|---|
| `(h, w)` | one image |
| `(c, h, w)` or `(h, w, c)`, c at most 16 and the shortest axis | one image of c bands; if both fit, the first axis |
| `(n, h, h)`, n above 16 | n images of one band |
| `(n, c, h, w)` or `(n, h, w, c)` | n images of c bands |
| `(batches, n, c, h, w)` | batches x n images of c bands |
| `(h * h,)`, `(h * h + 1,)` | one image, row by row; the number behind it is a label and dropped |
| objects `[image, mass]` | one image, and its axion mass in eV or, if negative, log10 eV |
| objects, all rows of one length, with or without a mass | one image |
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

MAX_BANDS = 16
MIN_SIDE = 8
_BLOCK_BYTES = 64 * 2**20
AXION_MASS = "log10_axion_mass_ev"
_AXION_MASS_RANGE = (-30.0, -15.0)
"""What an axion mass can be [log10 eV]."""


class UnreadableImageError(ValueError):
    """A file or image that cannot be used; its text names it and says why."""


def split_array(array: Any, name: str) -> Iterator[tuple[np.ndarray, dict[str, float]]]:
    """Yield the images of an array, one in memory at a time.

    Args:
        array: Numbers or objects, see above: an array, a mapped file or an HDF5 data set.
        name: Its name, for messages.

    Yields:
        Images `(bands, height, width)`, each with the parameters found beside it.

    Raises:
        UnreadableImageError: If it holds no image.
    """
    if array.dtype == object:
        yield from _split_objects(array, name)
        return
    if array.dtype.kind not in "biuf":
        raise UnreadableImageError(f"{name}: values of type {array.dtype} are no pixels.")
    shape = tuple(array.shape)
    if len(shape) == 1:
        yield _unflatten(array[()], name), {}
    elif len(shape) == 2:
        yield array[()][None], {}
    elif len(shape) == 3 and _is_stack(shape):
        for image in _rows(array):
            yield image[None], {}
    elif len(shape) == 3:
        yield bands_first(array[()], name), {}
    elif len(shape) == 4:
        for image in _rows(array):
            yield bands_first(image, name), {}
    elif len(shape) == 5:
        # [batches, batch, bands, height, width], as the unsupervised DeepLense loaders want it
        for batch in _rows(array):
            yield from split_array(batch, name)
    else:
        raise UnreadableImageError(f"{name}: shape {shape} is no image.")


def count_images(array: Any) -> int:
    """Say how many images `split_array` takes an array for.

    Args:
        array: Numbers or objects.

    Returns:
        At least 1 for every array that holds images.
    """
    shape = tuple(array.shape)
    if array.dtype == object or len(shape) < 3 or (len(shape) == 3 and not _is_stack(shape)):
        return 1
    return math.prod(shape[: 2 if len(shape) == 5 else 1])


def bands_first(array: np.ndarray, name: str) -> np.ndarray:
    """Put the band axis first; it is the first or last one and no longer than the others.

    Args:
        array: Three axes.
        name: Its name, for the message.

    Returns:
        `(bands, height, width)`.

    Raises:
        UnreadableImageError: If no axis is short enough.
    """
    first, middle, last = array.shape
    if first <= MAX_BANDS and first <= min(middle, last):
        return array
    if last <= MAX_BANDS and last <= min(first, middle):
        return np.moveaxis(array, -1, 0)
    raise UnreadableImageError(
        f"{name}: none of the outer axes of shape {array.shape} can be bands (at most {MAX_BANDS})."
    )


def check_image(image: np.ndarray, name: str, allow_missing: bool = False) -> np.ndarray:
    """Refuse what is not a usable image, in the words of `models/image_reading.py`.

    Args:
        image: `(bands, height, width)`.
        name: Its name, for the message.
        allow_missing: Whether single pixels may be NaN or infinite.

    Returns:
        The image, float32.

    Raises:
        UnreadableImageError: If it is too small, not finite (also: too large for float32) or constant where it is.
    """
    if min(image.shape[1:]) < MIN_SIDE:
        raise UnreadableImageError(
            f"{name}: shape {image.shape} is too small, at least {MIN_SIDE}x{MIN_SIDE} pixels are needed."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        image = np.ascontiguousarray(image, dtype=np.float32)
    finite = np.isfinite(image)
    known = image.ravel() if finite.all() else image[finite]
    bad = image.size - known.size
    if bad and (not allow_missing or known.size == 0):
        raise UnreadableImageError(f"{name}: {bad} of {image.size} pixels are NaN or infinite.")
    if known.min() == known.max():
        raise UnreadableImageError(f"{name}: every pixel is {known[0]:g}.")
    return image


def _rows(array: Any) -> Iterator[np.ndarray]:
    """Go along the first axis, some of it in memory at a time: chunks of an HDF5 file are not unpacked per image."""
    step = max(1, _BLOCK_BYTES // (math.prod(array.shape[1:]) * array.dtype.itemsize))
    for start in range(0, array.shape[0], step):
        yield from array[start : start + step]


def _is_stack(shape: tuple[int, ...]) -> bool:
    """Whether three axes are many square images of one band rather than one image of bands."""
    first, height, width = shape
    return first > MAX_BANDS and height == width and height >= MIN_SIDE


def _unflatten(values: np.ndarray, name: str) -> np.ndarray:
    """A square image written as one row, perhaps with a label behind it."""
    side = math.isqrt(len(values))
    if side < MIN_SIDE or len(values) not in (side**2, side**2 + 1):
        raise UnreadableImageError(f"{name}: {len(values)} numbers in a row are no square image.")
    return values[: side**2].reshape(1, side, side)


def _split_objects(array: np.ndarray, name: str) -> Iterator[tuple[np.ndarray, dict[str, float]]]:
    """The layouts of DeepLense: an image with its axion mass, or the rows of an image."""
    items = list(array.flat)
    arrays = [item for item in items if isinstance(item, np.ndarray) and item.ndim > 0]
    numbers = [float(item) for item in items if _is_number(item)]
    if len(arrays) + len(numbers) != len(items):
        raise UnreadableImageError(f"{name}: an object array may hold arrays and real numbers only.")
    if not arrays:
        yield from split_array(np.array(numbers).reshape(array.shape), name)
        return
    if all(row.ndim == 1 for row in arrays):
        yield _join_rows(arrays, name), _axion_mass(numbers, name)
        return
    if len(arrays) != 1 or len(numbers) > 1:
        raise UnreadableImageError(
            f"{name}: expected one image and at most one mass, found {len(arrays)} arrays and {len(numbers)} numbers."
        )
    images = list(split_array(arrays[0], name))
    if len(images) != 1:
        raise UnreadableImageError(f"{name}: expected one image beside the mass, found {len(images)}.")
    image, parameters = images[0]
    yield image, parameters | _axion_mass(numbers, name)


def _join_rows(rows: list[np.ndarray], name: str) -> np.ndarray:
    """Rows of an image, one array each; a single one is a whole image in a row."""
    numeric = [_numeric(row, name) for row in rows]
    if len(numeric) == 1:
        return _unflatten(numeric[0], name)
    if len({len(row) for row in numeric}) != 1:
        raise UnreadableImageError(f"{name}: its {len(rows)} rows differ in length.")
    return np.stack(numeric)[None]


def _numeric(row: np.ndarray, name: str) -> np.ndarray:
    if row.dtype == object and all(_is_number(value) for value in row):
        row = row.astype(np.float64)
    if row.dtype.kind not in "biuf":
        raise UnreadableImageError(f"{name}: values of type {row.dtype} are no pixels.")
    return row


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float | np.integer | np.floating | np.bool_) or (
        isinstance(item, np.ndarray) and item.ndim == 0 and item.dtype.kind in "biuf"
    )


def _axion_mass(numbers: list[float], name: str) -> dict[str, float]:
    """The number beside an image: a mass in eV (Models I to III), or its logarithm (Model IV), which is negative."""
    if not numbers:
        return {}
    if len(numbers) > 1:
        raise UnreadableImageError(f"{name}: expected at most one mass beside the image, found {len(numbers)} numbers.")
    value = numbers[0]
    logarithm = value if value < 0 else math.log10(value) if value > 0 else math.nan
    if not _AXION_MASS_RANGE[0] <= logarithm <= _AXION_MASS_RANGE[1]:
        raise UnreadableImageError(f"{name}: {value:g} is neither an axion mass in eV nor its decimal logarithm.")
    return {AXION_MASS: logarithm}
