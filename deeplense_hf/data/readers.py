"""Read lens images from every file format of the field; `layouts.py` says what an array's axes mean.

Every format is opened by its ending only: a file that calls itself `.jpg` reaches no other decoder than that of JPEG,
PNG and TIFF.
"""

import io
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .layouts import UnreadableImageError, check_image, count_images, split_array
from .safe_numpy import MAX_BYTES, load_npy, load_npz, npz_shapes

_IMAGE_KEYS = ("image", "images", "img", "imgs", "data", "arr_0", "x")
"""Names that image arrays have in `.npz` and HDF5 files; another name is taken if it is the only image."""
_DOUBLE_ENDINGS = (".fits.gz", ".fits.fz")
_ARCSEC_PER_DEGREE = 3600.0


@dataclass(frozen=True)
class LensImage:
    """One image of a file.

    Attributes:
        image: Raw image, float32, `(bands, height, width)`.
        source_file: Name of the file, with `#3` behind it for the fourth image of several.
        parameters: Physical parameters the file holds, by name of `schema.PHYSICAL_PARAMETERS`.
        pixel_scale: [arcsec/pixel], if the file says it.
        instrument: Camera, if the file says it.
        red_first: Whether its bands are the red, green and blue of a colour picture.
    """

    image: np.ndarray
    source_file: str
    parameters: dict[str, float] = field(default_factory=dict)
    pixel_scale: float | None = None
    instrument: str | None = None
    red_first: bool = False


@dataclass(frozen=True)
class UnreadableImage:
    """An image of a file that cannot be used, while others of the file may be.

    Attributes:
        source_file: As of a `LensImage`.
        reason: One sentence.
    """

    source_file: str
    reason: str


@dataclass(frozen=True)
class OpenFile:
    """An opened image file.

    Attributes:
        array: Its images: an array, a mapped file or an HDF5 data set.
        pixel_scale: [arcsec/pixel], if the file says it.
        instrument: Camera, if the file says it.
        red_first: As of a `LensImage`.
    """

    array: Any
    pixel_scale: float | None = None
    instrument: str | None = None
    red_first: bool = False


def find_image_files(paths: Iterable[Path]) -> list[Path]:
    """Find the image files among files and below folders.

    Args:
        paths: Files and folders.

    Returns:
        Files with a known ending, sorted within each folder; hidden ones and other files (tables, texts) are left out.

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
        ValueError: If an image of the file cannot be read: unknown, empty, cut off, damaged, not finite, constant.
        OSError: If it cannot be opened.
    """
    images = []
    for image in iterate_images(path):
        if isinstance(image, UnreadableImage):
            raise UnreadableImageError(image.reason)
        images.append(image)
    return images


def iterate_images(
    path: Path, largest: int | None = None, allow_missing: bool = False
) -> Iterator[LensImage | UnreadableImage]:
    """Read the images of a file one by one; a bad one among many is passed on as such.

    Args:
        path: The file.
        largest: Numbers that one image may have, of all its bands; more are refused before they are converted, and
            before they are read where they are not packed together. None for no limit.
        allow_missing: Whether single pixels may be NaN or infinite, which models can answer for: their image processor
            gives such the median of the band. A data set takes complete images only.

    Yields:
        The images of a stack that is larger than memory as well, and what stands in the place of bad ones.

    Raises:
        ValueError: If the file as a whole cannot be read: unknown, empty, cut off, damaged.
        OSError: If it cannot be opened.
    """
    reader = reader_of(path)
    if path.stat().st_size == 0:
        raise UnreadableImageError(f"{path.name} is empty.")
    with _one_sentence(path), reader(path) as opened:
        number_of_images = count_images(opened.array)
        size = math.prod(opened.array.shape) // number_of_images
        if largest is not None and size > largest:
            raise UnreadableImageError(
                f"{path.name}: an image of {size:,} numbers is too large, {largest:,} are taken."
            )
        several = number_of_images > 1
        for number, (image, parameters) in enumerate(split_array(opened.array, path.name)):
            name = f"{path.name}#{number}" if several else path.name
            try:
                checked = check_image(image, name, allow_missing)
            except UnreadableImageError as error:
                yield UnreadableImage(name, str(error))
                continue
            yield LensImage(checked, name, parameters, opened.pixel_scale, opened.instrument, opened.red_first)


def reader_of(path: Path) -> "Reader":
    """Return the reader of a file.

    Args:
        path: The file.

    Returns:
        A function that opens the file.

    Raises:
        ValueError: If the ending is unknown.
    """
    ending = _ending(path)
    if ending not in READERS:
        raise UnreadableImageError(f"{path.name} is no image file; known endings are {', '.join(READERS)}.")
    return READERS[ending]


def choose_image(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    """Find the image among the named arrays of a file.

    Args:
        shapes: Shape by name, `group/name` in HDF5.
        name: Name of the file, for the message.

    Returns:
        One of the names: a usual one, else the only one with two or more axes.

    Raises:
        UnreadableImageError: If it cannot be told.
    """
    candidates = [key for key, shape in shapes.items() if len(shape) >= 2]
    usual = {key.lower().rpartition("/")[2]: key for key in (*shapes, *candidates)}
    for key in _IMAGE_KEYS:
        if key in usual and (usual[key] in candidates or not candidates):
            return usual[key]
    if len(candidates) != 1:
        raise UnreadableImageError(
            f"{name}: cannot tell which of {', '.join(shapes) or 'no arrays'} is the image; name it 'image'."
        )
    return candidates[0]


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn what the libraries raise on damaged files into one sentence; errors of the disk pass."""
    try:
        yield
    except (UnreadableImageError, ImportError):
        raise
    except Exception as error:
        # on damaged files the libraries raise anything, some of it of their own making
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _damaged(path, error) from None


def _damaged(path: Path, error: BaseException) -> UnreadableImageError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, ValueError) and reason.startswith(path.name):
        return UnreadableImageError(f"{reason}.")
    return UnreadableImageError(f"{path.name} cannot be read as a complete {_ending(path)[1:]} file ({reason[:200]}).")


def _ending(path: Path) -> str:
    name = path.name.lower()
    return next((ending for ending in _DOUBLE_ENDINGS if name.endswith(ending)), Path(name).suffix)


@contextmanager
def _open_npy(path: Path) -> Iterator[OpenFile]:
    yield OpenFile(load_npy(path))


@contextmanager
def _open_npz(path: Path) -> Iterator[OpenFile]:
    yield OpenFile(load_npz(path, choose_image(npz_shapes(path), path.name)))


class _Pages:
    """The images of a picture file as an array `(images, bands, height, width)` that is read along its first axis.

    Args:
        picture: As PIL opens it.
        pages: Numbers of the pages.

    Raises:
        UnfitPictureError: If they differ in size or kind.
    """

    def __init__(self, picture: Any, pages: list[int]) -> None:
        from deeplense_hf.models.pictures import UnfitPictureError

        self._picture, self._pages = picture, pages
        # before one is read, which turns it the right way up
        if len({self._kind(page) for page in pages}) > 1:
            raise UnfitPictureError(f"its {len(pages)} images differ in size or kind; save each as a file of its own")
        first = _bands(picture, pages[0])
        self.shape, self.dtype = (len(pages), *first.shape), first.dtype

    def __getitem__(self, part: slice) -> Iterator[np.ndarray]:
        """Read the images of a range one by one, so that those in front of a damaged one are read."""
        return (_bands(self._picture, page) for page in self._pages[part])

    def _kind(self, page: int) -> tuple[Any, ...]:
        self._picture.seek(page)
        return self._picture.size, self._picture.mode


def _bands(picture: Any, page: int) -> np.ndarray:
    """Return a page of a picture file, `(bands, height, width)`."""
    from deeplense_hf.models.pictures import picture_array, read_page

    pixels = picture_array(read_page(picture, page))
    return np.moveaxis(pixels, -1, 0) if pixels.ndim == 3 else pixels[None]


@contextmanager
def _open_picture(path: Path) -> Iterator[OpenFile]:
    import PIL.Image

    from deeplense_hf.models.pictures import PICTURE_FORMATS, UnfitPictureError, iterate_pages

    try:
        with PIL.Image.open(path, formats=PICTURE_FORMATS) as picture:
            images = _Pages(picture, list(iterate_pages(picture)))
            coloured = images.shape[1] == 3
            yield OpenFile(images, red_first=coloured)
    except UnfitPictureError as error:
        raise UnreadableImageError(f"{path.name}: {error}.") from None
    except PIL.Image.DecompressionBombError as error:
        raise UnreadableImageError(f"{path.name} is refused: {error}") from None


@contextmanager
def _open_fits(path: Path) -> Iterator[OpenFile]:
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    # only where FITS is read, since that room takes torch along
    from deeplense_hf.models.fits_images import LARGEST_FILE, check_extension, first_image

    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise UnreadableImageError(f"{path.name} has {size} bytes, more than {LARGEST_FILE}; cut the lens out.")
    content = first_image(path.read_bytes())
    with warnings.catch_warnings():
        # astropy's warnings are about cards we do not read
        warnings.simplefilter("ignore", AstropyWarning)
        with fits.open(io.BytesIO(content), memmap=False) as units:
            unit, first = units[-1], units[0].header
            camera = str(unit.header.get("INSTRUME") or first.get("INSTRUME") or "").strip()
            scale = _fits_scale(unit.header) or _fits_scale(first)
            opened = OpenFile(unit.data, scale, camera or None)
            try:
                check_extension(unit.data, unit.name)
            except ValueError as error:
                raise UnreadableImageError(f"{path.name}: {error}.") from None
    yield opened


def _fits_scale(header: Any) -> float | None:
    """Pixel scale of a FITS header [arcsec/pixel], if it says it or has celestial coordinates."""
    from astropy.wcs import WCS
    from astropy.wcs.utils import proj_plane_pixel_scales

    for key, power in (("PIXSCALE", 1.0), ("PIXSCAL1", 1.0), ("D001SCAL", 1.0), ("PIXAR_A2", 0.5)):
        value = header.get(key)
        if isinstance(value, int | float) and 0 < value < _ARCSEC_PER_DEGREE:
            return float(value) ** power
    if not {"CDELT1", "CD1_1", "PC1_1"} & set(header):
        # the standard's default would be one degree per pixel
        return None
    try:
        coordinates = WCS(header).celestial
        if coordinates.naxis != 2:
            return None
        scale = float(np.mean(proj_plane_pixel_scales(coordinates))) * _ARCSEC_PER_DEGREE
    except (ValueError, KeyError, AttributeError, TypeError, MemoryError):
        # coordinates that cannot be understood are as good as none
        return None
    return scale if 0 < scale < _ARCSEC_PER_DEGREE else None


@contextmanager
def _open_hdf5(path: Path) -> Iterator[OpenFile]:
    import h5py

    with h5py.File(path, "r") as file:
        arrays: dict[str, Any] = {}

        def keep(name: str, item: Any) -> None:
            # what an external or virtual data set shows lies in other files
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and not (item.external or item.is_virtual):
                arrays[name] = item

        file.visititems(keep)
        chosen = arrays[choose_image({name: item.shape for name, item in arrays.items()}, path.name)]
        if count_images(chosen) == 1 and chosen.nbytes > MAX_BYTES:
            raise UnreadableImageError(f"{path.name}: an image of {chosen.nbytes} bytes is too large.")
        yield OpenFile(chosen)


Reader = Callable[[Path], AbstractContextManager[OpenFile]]
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff")

READERS: dict[str, Reader] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".fits": _open_fits,
    ".fits.gz": _open_fits,
    ".fits.fz": _open_fits,
    ".fit": _open_fits,
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
    **dict.fromkeys(PICTURE_ENDINGS, _open_picture),
}
