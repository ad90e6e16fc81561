"""Read lens images from every file format of the field; what an array's axes mean is decided here."""

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .safe_numpy import load_npy, load_npz

MAX_BANDS = 16
MIN_SIDE = 8
_IMAGE_KEYS = ("image", "images", "img", "data", "arr_0", "x")
"""Names that image arrays have in `.npz` and HDF5 files; another name is taken if it is the only image."""
_AXION_MASS_RANGE = (-30.0, -15.0)
"""What an axion mass can be [log10 eV]."""


@dataclass(frozen=True)
class LensImage:
    """One image of a file.

    Attributes:
        image: Raw image, float32, `(bands, height, width)`.
        source_file: The file, with `#3` behind it for the fourth image of several.
        parameters: Physical parameters the file holds, by name of `schema.PHYSICAL_PARAMETERS`.
        pixel_scale: [arcsec/pixel], if the file says it.
    """

    image: np.ndarray
    source_file: str
    parameters: dict[str, float] = field(default_factory=dict)
    pixel_scale: float | None = None


def find_image_files(paths: Iterable[Path]) -> list[Path]:
    """Find the image files among files and below folders.

    Args:
        paths: Files and folders.

    Returns:
        Files with a known ending, sorted within each folder; hidden ones are left out.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If a file that is named itself has an unknown ending.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_file():
            reader_of(path)
            found[path] = None
        elif path.is_dir():
            for file in sorted(path.rglob("*")):
                inner = file.relative_to(path).parts
                hidden = any(part.startswith((".", "__MACOSX")) for part in inner)
                if not hidden and _ending(file) in READERS and file.is_file():
                    found[file] = None
        else:
            raise FileNotFoundError(f"{path} does not exist.")
    return list(found)


def read_images(path: Path) -> list[LensImage]:
    """Read all images of a file.

    Args:
        path: The file.

    Returns:
        At least one image.

    Raises:
        ValueError: If the file cannot be read as images: unknown, empty, cut off, damaged, not finite, constant.
        OSError: If it cannot be opened.
    """
    reader = reader_of(path)
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name} is empty.")
    try:
        arrays, pixel_scale = reader(path)
    except (EOFError, KeyError, TypeError, IndexError, SyntaxError) as error:
        # what the libraries behind the readers raise on damaged files
        raise ValueError(f"{path.name} is damaged ({type(error).__name__}: {error}).") from None
    images = [entry for name, array in arrays for entry in split_array(array, name)]
    checked = []
    for number, (image, parameters) in enumerate(images):
        name = path.name if len(images) == 1 else f"{path.name}#{number}"
        checked.append(LensImage(check_image(image, name), name, parameters, pixel_scale))
    return checked


def reader_of(path: Path) -> "Reader":
    """Return the reader of a file.

    Args:
        path: The file.

    Returns:
        A function from a path to named arrays and a pixel scale.

    Raises:
        ValueError: If the ending is unknown.
    """
    ending = _ending(path)
    if ending not in READERS:
        raise ValueError(f"{path.name}: expected one of {', '.join(READERS)}.")
    return READERS[ending]


def _ending(path: Path) -> str:
    name = path.name.lower()
    return ".fits.gz" if name.endswith(".fits.gz") else Path(name).suffix


def check_image(image: np.ndarray, name: str) -> np.ndarray:
    """Refuse what is not a usable image.

    Args:
        image: `(bands, height, width)`.
        name: Its name, for the message.

    Returns:
        The image, float32.

    Raises:
        ValueError: If it is too small, not finite or constant.
    """
    if min(image.shape[1:]) < MIN_SIDE:
        raise ValueError(f"{name}: shape {image.shape} is too small, at least {MIN_SIDE}x{MIN_SIDE} pixels are needed.")
    image = np.ascontiguousarray(image, dtype=np.float32)
    bad = image.size - int(np.isfinite(image).sum())
    if bad:
        raise ValueError(f"{name}: {bad} of {image.size} pixels are NaN or infinite.")
    if image.min() == image.max():
        raise ValueError(f"{name}: every pixel is {image.flat[0]:g}.")
    return image


def split_array(array: np.ndarray, name: str) -> list[tuple[np.ndarray, dict[str, float]]]:
    """Decide what an array holds.

    Args:
        array: Numbers of 1 to 5 axes, or objects: `[image, mass]`, or the rows of an image.
        name: Its name, for messages.

    Returns:
        Images `(bands, height, width)`, each with the parameters found beside it.

    Raises:
        ValueError: If it holds no image.
    """
    if array.dtype == object:
        return _split_objects(array, name)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: values of type {array.dtype} are no pixels.")
    if array.ndim == 1:
        return [(_unflatten(array, name), {})]
    if array.ndim == 2:
        return [(array[None], {})]
    if array.ndim == 3:
        return [(image, {}) for image in _split_three_axes(array, name)]
    if array.ndim == 5:
        # [batches, batch, bands, height, width], as the unsupervised DeepLense loaders want it
        array = array.reshape(-1, *array.shape[2:])
    if array.ndim == 4:
        return [(bands_first(image, name), {}) for image in array]
    raise ValueError(f"{name}: shape {array.shape} is no image.")


def bands_first(array: np.ndarray, name: str) -> np.ndarray:
    """Put the band axis first; it is the first or last one and shorter than the others.

    Args:
        array: Three axes.
        name: Its name, for the message.

    Returns:
        `(bands, height, width)`.

    Raises:
        ValueError: If no axis is short enough.
    """
    first, middle, last = array.shape
    if first <= MAX_BANDS and first <= min(middle, last):
        return array
    if last <= MAX_BANDS and last <= min(first, middle):
        return np.moveaxis(array, -1, 0)
    raise ValueError(f"{name}: none of the outer axes of shape {array.shape} can be bands (at most {MAX_BANDS}).")


def _split_three_axes(array: np.ndarray, name: str) -> list[np.ndarray]:
    """One image with bands, or a stack of more than 16 square images of one band."""
    first, height, width = array.shape
    if first > MAX_BANDS and height == width and height >= MIN_SIDE:
        return [image[None] for image in array]
    return [bands_first(array, name)]


def _unflatten(values: np.ndarray, name: str) -> np.ndarray:
    """A square image written as one row, perhaps with a label behind it."""
    side = math.isqrt(len(values))
    if side < MIN_SIDE or len(values) not in (side**2, side**2 + 1):
        raise ValueError(f"{name}: {len(values)} numbers in a row are no square image.")
    return values[: side**2].reshape(1, side, side)


def _split_objects(array: np.ndarray, name: str) -> list[tuple[np.ndarray, dict[str, float]]]:
    """The layouts of DeepLense: an image with its axion mass, or the rows of an image."""
    items = list(array.flat)
    arrays = [item for item in items if isinstance(item, np.ndarray) and item.ndim > 0]
    numbers = [float(item) for item in items if _is_number(item)]
    if len(arrays) + len(numbers) != len(items):
        raise ValueError(f"{name}: an object array may hold arrays and numbers only.")
    if arrays and all(row.ndim == 1 for row in arrays):
        return [_join_rows(arrays, numbers, name)]
    if not arrays:
        return split_array(np.array(numbers).reshape(array.shape), name)
    if len(arrays) != 1 or len(numbers) > 1:
        raise ValueError(
            f"{name}: expected one image and at most one mass, found {len(arrays)} arrays and {len(numbers)} numbers."
        )
    images = split_array(arrays[0], name)
    if len(images) != 1:
        raise ValueError(f"{name}: expected one image beside the mass, found {len(images)}.")
    image, parameters = images[0]
    return [(image, parameters | _axion_mass(numbers, name))]


def _join_rows(rows: list[np.ndarray], numbers: list[float], name: str) -> tuple[np.ndarray, dict[str, float]]:
    """Rows of an image, one array each."""
    if len(rows) == 1:
        return _unflatten(_numeric(rows[0], name), name), _axion_mass(numbers, name)
    if len({len(row) for row in rows}) != 1 or len(numbers) > 1:
        raise ValueError(f"{name}: its {len(rows)} rows do not make an image.")
    return np.stack([_numeric(row, name) for row in rows])[None], _axion_mass(numbers, name)


def _numeric(row: np.ndarray, name: str) -> np.ndarray:
    if row.dtype == object and all(_is_number(value) for value in row):
        row = row.astype(np.float64)
    if row.dtype.kind not in "biuf":
        raise ValueError(f"{name}: values of type {row.dtype} are no pixels.")
    return row


def _is_number(item: Any) -> bool:
    return isinstance(item, int | float | np.integer | np.floating) or (
        isinstance(item, np.ndarray) and item.ndim == 0 and item.dtype.kind in "biuf"
    )


def _axion_mass(numbers: list[float], name: str) -> dict[str, float]:
    """The number beside an image: a mass in eV (Models I to III), or its logarithm (Model IV), which is negative."""
    if not numbers:
        return {}
    value = numbers[0]
    logarithm = value if value < 0 else math.log10(value) if value > 0 else math.nan
    if not _AXION_MASS_RANGE[0] <= logarithm <= _AXION_MASS_RANGE[1]:
        raise ValueError(f"{name}: {value:g} is neither an axion mass in eV nor its decimal logarithm.")
    return {"log10_axion_mass_ev": logarithm}


Arrays = list[tuple[str, np.ndarray]]
Reader = Callable[[Path], tuple[Arrays, float | None]]


def _read_npy(path: Path) -> tuple[Arrays, None]:
    return [(path.name, load_npy(path))], None


def _read_npz(path: Path) -> tuple[Arrays, None]:
    return [_choose_image(dict(load_npz(path)), path.name)], None


def _choose_image(arrays: dict[str, np.ndarray], name: str) -> tuple[str, np.ndarray]:
    """Find the image among the arrays of a file."""
    by_name = {key.lower().rpartition("/")[2]: array for key, array in arrays.items()}
    for key in _IMAGE_KEYS:
        if key in by_name:
            return name, by_name[key]
    images = [array for array in arrays.values() if array.ndim >= 2]
    if len(images) != 1:
        raise ValueError(
            f"{name}: cannot tell which of {', '.join(arrays) or 'no arrays'} is the image; name it 'image'."
        )
    return name, images[0]


def _read_picture(path: Path) -> tuple[Arrays, None]:
    import PIL.Image

    try:
        with PIL.Image.open(path) as picture:
            if picture.mode not in ("L", "F", "I", "RGB") and not picture.mode.startswith("I;16"):
                picture = picture.convert("RGB")  # noqa: PLW2901 - palettes and transparency become colours
            pixels = np.asarray(picture)
    except (OSError, PIL.Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name} is not a complete picture ({error}).") from None
    return [(path.name, np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels)], None


def _read_fits(path: Path) -> tuple[Arrays, float | None]:
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    try:
        with warnings.catch_warnings():
            # a cut-off file is only warned of; astropy's other warnings are about cards we do not read
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(path, memmap=False) as units:
                for unit in units:
                    if getattr(unit, "is_image", False) and unit.data is not None and unit.data.ndim >= 2:
                        return [(path.name, np.asarray(unit.data, dtype=np.float32))], _fits_scale(unit.header)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path.name} is not a complete FITS file ({' '.join(str(error).split())}).") from None
    raise ValueError(f"{path.name} holds no image.")


def _fits_scale(header: Any) -> float | None:
    """Pixel scale of a FITS header [arcsec/pixel], if it has celestial coordinates or says it."""
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    for key in ("PIXSCALE", "PIXSCAL1", "D001SCAL"):
        if isinstance(header.get(key), int | float) and header[key] > 0:
            return float(header[key])
    try:
        coordinates = WCS(header).celestial
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    if coordinates.naxis != 2:
        return None
    scale = float(np.mean(proj_plane_pixel_scales(coordinates))) * 3600.0
    # without coordinates a header defaults to one degree per pixel
    return scale if 0 < scale < 600 else None


def _read_hdf5(path: Path) -> tuple[Arrays, None]:
    import h5py

    arrays: dict[str, np.ndarray] = {}
    try:
        with h5py.File(path, "r") as file:
            names: list[str] = []
            file.visit(names.append)
            for name in names:
                item = file[name]
                if isinstance(item, h5py.Dataset) and item.ndim >= 2 and item.dtype.kind in "biuf":
                    arrays[name] = item[()]
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path.name} is not a complete HDF5 file ({error}).") from None
    return [_choose_image(arrays, path.name)], None


READERS: dict[str, Reader] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".fits": _read_fits,
    ".fits.gz": _read_fits,
    ".fit": _read_fits,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".jpg": _read_picture,
    ".jpeg": _read_picture,
    ".png": _read_picture,
    ".tif": _read_picture,
    ".tiff": _read_picture,
}
