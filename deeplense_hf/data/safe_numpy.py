"""Read `.npy` and `.npz` files without ever executing a pickle.

DeepLense stores axion images as pickled object arrays `[image, mass]`. `np.load(allow_pickle=True)` would run whatever
a file asks for. Here a pickle is first scanned for instructions that arrays and numbers do not need, and then read by
an unpickler whose every name leads to a stand-in (`number_pickles.py`). Not even numpy's own code sees what the pickle
says before it is checked: its `__setstate__` reads beyond the end of a list that is too short.
"""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from .number_pickles import PickleRefusedError, read_number_pickle

MAX_BYTES = 4 * 2**30
"""What an array that has to be in memory at once may need: 4 GiB."""
_MAX_PICKLE = 2**29
_MAX_HEADER = 10_000
# version 3 differs from 2 for records with non-Latin field names only, which no image has
_HEADER_READERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
    (3, 0): npy_format.read_array_header_2_0,
}
Header = tuple[tuple[int, ...], bool, np.dtype]


def load_npy(path: Path) -> np.ndarray:
    """Read a `.npy` file.

    Args:
        path: The file.

    Returns:
        Its array: numbers, mapped from the file and not in memory yet, or objects (arrays and numbers) where it was
        pickled.

    Raises:
        ValueError: If it is empty, cut off, damaged, or holds anything but arrays and numbers.
        OSError: If it cannot be opened.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        shape, fortran_order, dtype = _read_header(file, path.name, size)
        if dtype.hasobject:
            return _unpickle(file, path.name, size)
        return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran_order else "C")


def npz_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Say what a `.npz` file holds, reading the headers only.

    Args:
        path: The file.

    Returns:
        Shape of every array of numbers or objects, by name.

    Raises:
        ValueError: If the file is damaged.
        OSError: If it cannot be opened.
    """
    shapes = {}
    with _opened_npz(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as content:
                try:
                    shapes[_array_name(member)], _, _ = _read_header(content, path.name, member.file_size)
                except _NotNumbersError:
                    # texts and records beside the images are nobody's business
                    continue
    return shapes


def load_npz(path: Path, name: str) -> np.ndarray:
    """Read one array of a `.npz` file.

    Args:
        path: The file.
        name: Name of the array, one of `npz_shapes`.

    Returns:
        Numbers, or objects (arrays and numbers) where it was pickled.

    Raises:
        ValueError: If it is damaged, too large, or holds anything but arrays and numbers.
        OSError: If the file cannot be opened.
    """
    with _opened_npz(path) as archive:
        member = next(member for member in archive.infolist() if _array_name(member) == name)
        place = f"{path.name}: '{name}'"
        if member.file_size > MAX_BYTES:
            raise ValueError(f"{place} needs {member.file_size} bytes of memory, at most {MAX_BYTES} are allowed.")
        content = io.BytesIO(archive.read(member))
    shape, fortran_order, dtype = _read_header(content, place, member.file_size)
    if dtype.hasobject:
        return _unpickle(content, place, member.file_size)
    flat = np.frombuffer(content.getbuffer(), dtype, math.prod(shape), content.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")


class _NotNumbersError(ValueError):
    """An array of texts, dates or records."""


def _array_name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


@contextmanager
def _opened_npz(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever is found damaged in it becomes one sentence."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path.name} is not a complete .npz archive ({' '.join(str(error).split())}).") from None


def _read_header(file: IO[bytes], name: str, size: int) -> Header:
    """Read and check the header of an array; afterwards `file` stands at its content."""
    if size == 0:
        raise ValueError(f"{name} is empty.")
    try:
        version = npy_format.read_magic(file)
        if version not in _HEADER_READERS:
            raise ValueError(f"unknown format version {version}")
        shape, fortran_order, dtype = _HEADER_READERS[version](file, max_header_size=_MAX_HEADER)
    except (ValueError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise ValueError(f"{name} is not a NumPy file ({' '.join(str(error).split())[:120]}).") from None
    if dtype.kind not in "biufcO":
        raise _NotNumbersError(f"{name} holds values of type {dtype}, not numbers.")
    if any(length < 1 for length in shape):
        raise ValueError(f"{name} is an array of shape {shape}, which holds nothing.")
    needed, rest = math.prod(shape) * dtype.itemsize, size - file.tell()
    if not dtype.hasobject and needed > rest:
        raise ValueError(f"{name} is cut off: shape {shape} of {dtype} needs {needed} bytes, {rest} are there.")
    return shape, fortran_order, dtype


def _unpickle(file: IO[bytes], name: str, size: int) -> np.ndarray:
    """Read the pickled array behind a header."""
    if size > _MAX_PICKLE:
        raise ValueError(f"{name} holds a pickle of {size} bytes, at most {_MAX_PICKLE} are allowed.")
    try:
        return read_number_pickle(file.read())
    except PickleRefusedError as refusal:
        raise ValueError(f"{name} is refused: {refusal}.") from None
