"""What `predict` reads: image files and built data sets, cut into units that are read one at a time."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplense_hf.data.build import is_dataset_folder
from deeplense_hf.data.file_names import name_bytes, printable
from deeplense_hf.data.loading import LensImageDecoder, load_lenses
from deeplense_hf.data.readers import UnreadableImage, find_image_files, iterate_images
from deeplense_hf.data.schema import SOURCE_FILE, SYSTEM_ID

_ROWS_PER_UNIT = 128
"""Rows of a data set that are in memory at once: 87 MB of 3 x 237 x 239 images."""


@dataclass(frozen=True)
class InputImage:
    r"""One image to classify, or the reason why there is none.

    Attributes:
        path: The file, with `\xff` for a byte that is not UTF-8; for a data set `split/source file`, or `split/system`
            where it was simulated, with the folder in front where there are several data sets.
        index: Number of the image in its file, or of the row in its split.
        image: Raw image, shape `(bands, height, width)`; None where the file cannot be read.
        pixel_scale: [arcsec/pixel]; None where it is not known.
        error: Why there is no image.
        red_first: Whether its bands are the red, green and blue of a colour picture, which a model may want in another
            order.
    """

    path: str
    index: int
    image: NDArray[np.float32] | None
    pixel_scale: float | None = None
    error: str | None = None
    red_first: bool = False


@dataclass(frozen=True)
class ImageFile:
    """A unit of input: one file, with one image or many.

    Attributes:
        path: The file.
    """

    path: Path

    def identity(self) -> str:
        """Return what tells this input from a changed one: path, size and time of change."""
        return _file_identity(self.path)

    def read(self) -> Iterator[InputImage]:
        """Read the file's images one by one, since a stack may be larger than memory.

        Yields:
            The images; in place of what cannot be read, the file or one image of many, why not.
        """
        index, name = -1, printable(str(self.path))
        try:
            for index, found in enumerate(iterate_images(self.path, allow_missing=True)):
                if isinstance(found, UnreadableImage):
                    yield InputImage(name, index, None, error=printable(found.reason))
                else:
                    yield InputImage(name, index, found.image, found.pixel_scale, red_first=found.red_first)
            if index < 0:
                raise ValueError(f"{self.path} holds no image.")
        except (ValueError, OSError) as error:
            yield InputImage(name, index + 1, None, error=printable(" ".join(str(error).split())))


@dataclass(frozen=True)
class DatasetRows:
    """A unit of input: a range of rows of one split of a data set.

    Attributes:
        split: Name of the split.
        place: What stands in the rows' paths in front of their names: the split, of several data sets also the folder.
        rows: The rows.
        decoder: Access to the images.
        names: Source file or system of each row of the split.
        scales: Pixel scale of each row [arcsec/pixel], NaN where unknown.
        red_first: Whether each row was imported from a colour picture.
        data_files: Identity of the files behind the split.
    """

    split: str
    place: str
    rows: range
    decoder: LensImageDecoder
    names: NDArray[np.object_]
    scales: NDArray[np.float32]
    red_first: NDArray[np.bool_]
    data_files: str

    def identity(self) -> str:
        """Return what tells this input from a changed one."""
        return f"{self.data_files} {self.split} {self.rows.start}-{self.rows.stop}"

    def read(self) -> list[InputImage]:
        """Return the images of the rows."""
        images = self.decoder[np.arange(self.rows.start, self.rows.stop)]
        return [
            InputImage(
                path=f"{self.place}/{self.names[row]}",
                index=row,
                image=image,
                pixel_scale=None if math.isnan(self.scales[row]) else float(self.scales[row]),
                red_first=bool(self.red_first[row]),
            )
            for row, image in zip(self.rows, images, strict=True)
        ]


Unit = ImageFile | DatasetRows


def find_units(inputs: Sequence[str]) -> list[Unit]:
    """Find everything to classify.

    Args:
        inputs: Image files, folders of them at any depth, and folders of built data sets.

    Returns:
        Units in a fixed order, each file once.

    Raises:
        FileNotFoundError: If an input does not exist.
        ValueError: If there is no image file among them.
    """
    if not inputs:
        raise ValueError("there is no input; give image files or folders as --input.")
    units: dict[str, Unit] = {}
    paths = [Path(name) for name in inputs]
    # rows of two data sets can have the same split and name
    several = len({path.resolve() for path in paths if path.is_dir() and is_dataset_folder(path)}) > 1
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder.")
        found: Iterator[Unit] | list[Unit]
        if path.is_dir() and is_dataset_folder(path):
            found = _dataset_units(path, several)
        else:
            found = [ImageFile(file) for file in find_image_files([path])]
        for unit in found:
            units.setdefault(unit.identity(), unit)
    if not units:
        raise ValueError(f"there is no image file in {', '.join(inputs)}; give files or folders with images.")
    return list(units.values())


def fingerprint(units: Sequence[Unit]) -> str:
    """Hash what is to be read, so that a resumed run notices changed inputs.

    Args:
        units: The units in order.

    Returns:
        A hexadecimal digest.
    """
    digest = hashlib.sha256()
    for unit in units:
        digest.update(name_bytes(unit.identity()) + b"\n")
    return digest.hexdigest()[:16]


def _dataset_units(folder: Path, several: bool) -> Iterator[Unit]:
    """Cut the splits of a data set into units."""
    data_files = " ".join(_file_identity(file) for file in sorted(folder.rglob("*.parquet")))
    for split, dataset in load_lenses(str(folder)).items():
        place = f"{printable(str(folder))}/{split}" if several else str(split)
        decoder = LensImageDecoder(dataset)
        files, systems = _column(decoder, SOURCE_FILE), _column(decoder, SYSTEM_ID)
        pairs = zip(files, systems, strict=True)
        names = np.array([file or system or "row" for file, system in pairs], dtype=object)
        scales, red_first = decoder.pixel_scales, decoder.red_first
        for start in range(0, len(dataset), _ROWS_PER_UNIT):
            rows = range(start, min(start + _ROWS_PER_UNIT, len(dataset)))
            yield DatasetRows(str(split), place, rows, decoder, names, scales, red_first, data_files)


def _column(decoder: LensImageDecoder, name: str) -> NDArray[np.object_]:
    """Return a column, all None where the data set comes without it."""
    if name in decoder.dataset.column_names:
        return decoder.column(name)
    return np.full(len(decoder), None, dtype=object)


def _file_identity(path: Path) -> str:
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
