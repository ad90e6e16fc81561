"""Read `.npy` and `.npz` files without ever executing a pickle.

DeepLense stores axion images as pickled object arrays `[image, mass]`. `np.load(allow_pickle=True)` would run whatever
a file asks for; here an unpickler admits arrays and numbers, and nothing else.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

# A file may not claim more than this, whatever its header says: 8 GiB.
MAX_BYTES = 8 * 2**30
_MAX_HEADER = 10_000
# version 3 differs from 2 for records with non-Latin field names only, which no image has
_HEADER_READERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def load_npy(path: Path) -> np.ndarray:
    """Read a `.npy` file.

    Args:
        path: The file.

    Returns:
        Its array; of objects (arrays and numbers) if it was pickled.

    Raises:
        ValueError: If it is empty, cut off, damaged, or holds anything but arrays and numbers.
        OSError: If it cannot be opened.
    """
    with path.open("rb") as file:
        return _read_array(file, path.name, path.stat().st_size)


def load_npz(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Read the arrays of a `.npz` file, one at a time.

    Args:
        path: The file.

    Yields:
        Name and array.

    Raises:
        ValueError: If it is damaged, or holds anything but arrays and numbers.
        OSError: If it cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if member.file_size > MAX_BYTES:
                    raise ValueError(f"{path.name}: '{name}' claims {member.file_size} bytes, more than is allowed.")
                content = archive.read(member)
                yield name, _read_array(io.BytesIO(content), f"{path.name}: '{name}'", len(content))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path.name} is not a complete .npz archive ({error}).") from None


def _read_array(file: BinaryIO, name: str, size: int) -> np.ndarray:
    """Read one array from an open file of a known size."""
    if size == 0:
        raise ValueError(f"{name} is empty.")
    try:
        version = npy_format.read_magic(file)
        if version not in _HEADER_READERS:
            raise ValueError(f"format version {version} is for records")
        shape, fortran_order, dtype = _HEADER_READERS[version](file, max_header_size=_MAX_HEADER)
    except (ValueError, EOFError, SyntaxError) as error:
        raise ValueError(f"{name} is not a NumPy file ({' '.join(str(error).split())[:120]}).") from None
    if dtype.hasobject:
        return _unpickle(file, name)
    count = math.prod(shape)
    rest = size - file.tell()
    if count * dtype.itemsize > rest:
        raise ValueError(f"{name} is cut off: {shape} {dtype} needs {count * dtype.itemsize} bytes, it has {rest}.")
    flat = np.frombuffer(file.read(count * dtype.itemsize), dtype=dtype)
    return flat.reshape(shape, order="F" if fortran_order else "C")


def _unpickle(file: BinaryIO, name: str) -> np.ndarray:
    """Read a pickled array of arrays and numbers."""
    try:
        content = _NumbersOnly(file).load()
    except pickle.UnpicklingError as error:
        raise ValueError(f"{name} is refused: {error}.") from None
    except (
        EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError, ImportError, MemoryError,
        OverflowError, RecursionError,
    ):  # fmt: skip
        # what the unpickler raises on a damaged stream
        raise ValueError(f"{name} holds a damaged pickle.") from None
    if not isinstance(content, np.ndarray):
        raise ValueError(f"{name} holds a {type(content).__name__}, expected an array.")
    return content


class _NumbersOnly(pickle.Unpickler):
    """An unpickler that knows arrays, their types and numbers; every other name is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get((_canonical(module), name))
        if allowed is None:
            raise pickle.UnpicklingError(
                f"its pickle asks for '{module}.{name}', and only numpy arrays and numbers are admitted"
            )
        return allowed

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("its pickle refers to an object outside the file")


def _canonical(module: str) -> str:
    """Numpy 2 renamed `numpy.core`."""
    return module.replace("numpy._core", "numpy.core", 1) if module.startswith("numpy._core") else module


def _empty_array(kind: type, shape: tuple[int, ...], code: Any) -> np.ndarray:
    """Stand in for `_reconstruct`: pickles start from an empty array, whose content follows."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("its pickle builds something other than a plain array")
    return np.empty((0,), dtype=np.int8)


def _scalar(dtype: np.dtype, content: Any = b"") -> Any:
    """Stand in for `scalar`: a number of a plain type."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biufc" or not isinstance(content, bytes):
        raise pickle.UnpicklingError("its pickle holds a value that is not a number")
    return np.frombuffer(content, dtype=dtype, count=1)[0]


def _from_buffer(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Stand in for `_frombuffer` of pickle protocol 5."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject or order not in ("C", "F"):
        raise pickle.UnpicklingError("its pickle builds something other than a plain array")
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")


def _plain_dtype(code: Any, *flags: Any) -> np.dtype:
    """Stand in for `numpy.dtype`: numbers and objects, no records."""
    if not isinstance(code, str) or len(code) > 8:
        raise pickle.UnpicklingError("its pickle holds a type that is not a number's")
    dtype = np.dtype(code)
    if dtype.kind not in "biufcO":
        raise pickle.UnpicklingError(f"its pickle holds values of type {dtype}, not numbers")
    # a copy, since the pickle sets its byte order
    return np.dtype(code, copy=True)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stand in for `codecs.encode`, by which pickle protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("its pickle encodes something other than bytes")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], type | Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _plain_dtype,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}
