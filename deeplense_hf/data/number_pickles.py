"""An unpickler that admits numpy arrays and numbers, and nothing else.

A pickle is a program. It may name any function of any module and call it. This one can name nothing but the stand-ins
below, which keep what they are given, check it, and become arrays at the very end.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

# what numpy's picklers of all protocols write, for Python 2 and 3; no instruction that makes objects of classes
# fmt: off
_ALLOWED_INSTRUCTIONS = frozenset((
    "PROTO", "FRAME", "STOP", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "MEMOIZE", "PUT", "BINPUT",
    "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE",
    "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG", "LONG1", "LONG4",
    "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))
# fmt: on
_NUMBERING_INSTRUCTIONS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_NUMBER_KINDS = "biufc"
# arrays of arrays of rows are the deepest layout found in the wild
_MAX_DEPTH = 3
_MAX_AXES = 8
# one object may stand in many places of a pickle; what comes out stays in proportion to what went in
_MAX_NUMBERS_PER_BYTE = 4


class PickleRefusedError(Exception):
    """A pickle that is damaged, or holds more than arrays and numbers; its text says which."""


def read_number_pickle(content: bytes) -> np.ndarray:
    """Read a pickled array of arrays and numbers.

    Args:
        content: The pickle.

    Returns:
        An array of numbers, or of objects that are arrays and numbers in turn.

    Raises:
        PickleRefusedError: If it is damaged or asks for anything else; nothing of it has run then.
    """
    _scan(content)
    try:
        loaded = _NumberUnpickler(io.BytesIO(content), encoding="latin1").load()
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError, MemoryError,
        OverflowError, RecursionError,
    ) as error:  # fmt: skip
        # what the unpickler raises on a damaged stream
        raise PickleRefusedError(f"its pickle is damaged ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(loaded, _Array):
        raise PickleRefusedError(f"its pickle holds a {type(loaded).__name__.strip('_').lower()}, not an array")
    array = loaded.resolve(1)
    if _number_count(array) > _MAX_NUMBERS_PER_BYTE * len(content):
        raise PickleRefusedError("its pickle blows up to far more numbers than it holds")
    return array


def _scan(content: bytes) -> None:
    """Refuse a pickle by its instructions, before any is carried out."""
    count = 0
    try:
        for instruction, argument, _ in pickletools.genops(content):
            count += 1
            if instruction.name not in _ALLOWED_INSTRUCTIONS:
                raise PickleRefusedError(
                    f"its pickle uses the instruction {instruction.name}, which no array of numbers needs"
                )
            if instruction.name in _NUMBERING_INSTRUCTIONS and int(argument or 0) > count:
                # the memory for numbered objects grows with the highest number
                raise PickleRefusedError("its pickle claims memory that it does not use")
    except (ValueError, IndexError, EOFError, OverflowError) as error:
        raise PickleRefusedError(f"its pickle is damaged ({' '.join(str(error).split())[:120]})") from None


def _number_count(array: np.ndarray) -> int:
    if not array.dtype.hasobject:
        return array.size
    return sum(_number_count(item) if isinstance(item, np.ndarray) else 1 for item in array.flat)


class _NumberUnpickler(pickle.Unpickler):
    """Names lead to stand-ins, made anew for every pickle; every other name is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("numpy._core"):
            # what numpy 2 calls numpy.core
            module = module.replace("numpy._core", "numpy.core", 1)
        if (module, name) == ("numpy", "ndarray"):
            return _ArrayClass()
        if (module, name) not in _FUNCTIONS:
            raise PickleRefusedError(
                f"its pickle asks for '{module}.{name}', and only numpy arrays and numbers are admitted"
            )
        return _Function(_FUNCTIONS[module, name])

    def persistent_load(self, pid: Any) -> Any:
        raise PickleRefusedError("its pickle refers to an object outside the file")


class _StandIn:
    """Something a pickle may hold but not change."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise PickleRefusedError("its pickle changes something other than an array")


class _ArrayClass(_StandIn):
    """Stands for `numpy.ndarray`, which pickles name but never call themselves."""

    __slots__ = ()


class _Function(_StandIn):
    """Stands for a function that pickles of arrays call."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)


class _Type(_StandIn):
    """Stands for a `numpy.dtype`: a code such as `f8`, and a byte order that follows as state."""

    __slots__ = ("value",)

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not 2 <= len(code) <= 3 or code[0] not in _NUMBER_KINDS + "O":
            raise PickleRefusedError(f"its pickle holds values of type {str(code)[:20]!r}, not numbers")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in tuple("<>|=") or any(state[2:5]):
            raise PickleRefusedError("its pickle holds values of a type that is not a number's")
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Array(_StandIn):
    """Stands for an array: empty at first, its shape, type and content follow as state."""

    __slots__ = ("_fortran_order", "_payload", "_resolved", "_shape", "_type")

    def __init__(self) -> None:
        self._resolved: np.ndarray | None = None
        self._set((0,), np.dtype("f8"), False, b"")

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Type):
            raise PickleRefusedError("its pickle holds an array without shape and type")
        _, shape, kind, fortran_order, payload = state
        self._set(shape, kind.value, bool(fortran_order), payload)

    def _set(self, shape: Any, dtype: np.dtype, fortran_order: bool, payload: Any) -> None:
        """Keep a content that fits its shape."""
        if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
            raise PickleRefusedError("its pickle holds an array without shape")
        if isinstance(payload, str):
            # bytes as Python 2 wrote them
            payload = payload.encode("latin1")
        expected = math.prod(shape) * (1 if dtype.hasobject else dtype.itemsize)
        fits = isinstance(payload, list if dtype.hasobject else bytes | bytearray) and len(payload) == expected
        if not fits or len(shape) > _MAX_AXES:
            raise PickleRefusedError("its pickle holds an array whose content does not fit its shape")
        self._shape, self._type, self._fortran_order, self._payload = shape, dtype, fortran_order, payload

    @classmethod
    def from_buffer(cls, buffer: Any, kind: Any, shape: Any, order: Any) -> "_Array":
        """Take the place of `_frombuffer`, by which pickle protocol 5 writes arrays."""
        array = cls()
        array.__setstate__((1, shape, kind, order == "F", buffer))
        return array

    def resolve(self, depth: int) -> np.ndarray:
        """Become an array."""
        if depth > _MAX_DEPTH:
            raise PickleRefusedError("its pickle nests arrays more deeply than images do")
        if self._resolved is None:
            if self._type.hasobject:
                flat = np.empty(len(self._payload), dtype=object)
                for place, item in enumerate(self._payload):
                    flat[place] = _resolved(item, depth)
            else:
                flat = np.frombuffer(self._payload, self._type)
            self._resolved = flat.reshape(self._shape, order="F" if self._fortran_order else "C")
        return self._resolved


def _resolved(item: Any, depth: int) -> Any:
    if isinstance(item, _Array):
        return item.resolve(depth + 1)
    if isinstance(item, bool | int | float | np.number):
        return item
    raise PickleRefusedError(f"its pickle holds a {type(item).__name__.strip('_').lower()} among arrays and numbers")


def _reconstruct(kind: Any, shape: Any = None, code: Any = None) -> _Array:
    """Take the place of `_reconstruct`, with which pickles of arrays begin."""
    if not isinstance(kind, _ArrayClass):
        raise PickleRefusedError("its pickle builds something other than a plain array")
    return _Array()


def _scalar(kind: Any, content: Any = None) -> Any:
    """Take the place of `scalar`: one number."""
    if isinstance(content, str):
        content = content.encode("latin1")
    if not isinstance(kind, _Type) or kind.value.hasobject or not isinstance(content, bytes):
        raise PickleRefusedError("its pickle holds a value that is not a number")
    if len(content) != kind.value.itemsize:
        raise PickleRefusedError("its pickle holds a number that is cut off")
    return np.frombuffer(content, kind.value)[0]


def _encode(text: Any, encoding: Any = None) -> bytes:
    """Take the place of `codecs.encode`, by which pickle protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise PickleRefusedError("its pickle encodes something other than bytes")
    return text.encode("latin1")


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _Array.from_buffer,
    ("_codecs", "encode"): _encode,
}
