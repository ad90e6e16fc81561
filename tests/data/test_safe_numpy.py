"""Arrays come back bit by bit; nothing of a hostile file runs."""

import io
import os
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplense_hf.data.safe_numpy import load_npy, load_npz, npz_shapes

IMAGE = np.random.default_rng(0).normal(size=(9, 8))
Saver = Callable[[bytes], Path]


def objects(*items: Any) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


@pytest.fixture
def save_pickle(tmp_path: Path) -> Saver:
    """Return a function that writes a pickle behind the header of an object array."""

    def save(content: bytes) -> Path:
        header = b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }".ljust(117) + b"\n"
        path = tmp_path / "objects.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content)
        return path

    return save


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i8", "u1", ">u2", "?", "<f2"])
@pytest.mark.parametrize("fortran_order", [False, True])
def test_numbers_come_back(version: tuple[int, int], dtype: str, fortran_order: bool, tmp_path: Path) -> None:
    array = (IMAGE * 10 + 50).astype(dtype)
    array = np.asfortranarray(array) if fortran_order else array
    path = tmp_path / "array.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, version=version)
    loaded = load_npy(path)
    assert loaded.dtype == array.dtype
    assert np.array_equal(loaded, array)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("module", [b"numpy.core", b"numpy._core"])
@pytest.mark.parametrize(
    "array",
    [
        objects(IMAGE, 1e-23),
        objects(np.asfortranarray(IMAGE.astype(">f4")), np.float64(-22.5)),
        objects(IMAGE.astype(np.int64), np.float32(3)),
        objects(*IMAGE),
        objects(IMAGE[0], True),
    ],
)
def test_object_arrays_come_back(protocol: int, module: bytes, array: np.ndarray, save_pickle: Saver) -> None:
    content = pickle.dumps(array, protocol)
    for name in (b"numpy.core", b"numpy._core"):
        # as the other numpy writes it; protocol 4 states the length of names
        for ending in (b".multiarray", b".numeric"):
            old, new = name + ending, module + ending
            content = content.replace(bytes([len(old)]) + old, bytes([len(new)]) + new).replace(b"c" + old, b"c" + new)
    if protocol >= 4:
        # frames of another length
        content = content[:2] + content[11:] if content[2:3] == pickle.FRAME else content
    loaded = load_npy(save_pickle(content))
    assert loaded.shape == array.shape
    assert all(np.array_equal(one, other) for one, other in zip(loaded, array, strict=True))


def test_pickles_of_python_2_come_back(save_pickle: Saver) -> None:
    kind = b"cnumpy\ndtype\n(U\x02i4K\x00K\x01tR(K\x03U\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    numbers = np.array([1, -2, 300], dtype=">i4")
    content = b"\x80\x02" + empty + b"(K\x01K\x03\x85" + kind + b"\x89U\x0c" + numbers.tobytes() + b"tb."
    assert np.array_equal(load_npy(save_pickle(content)), numbers)


class Hostile:
    """Asks its unpickler to call something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def hostile_contents(mark: Path) -> dict[str, Any]:
    """Objects that would create the file `mark` if they were unpickled."""
    command = f"touch {mark}"
    return {
        "os.system": Hostile(os.system, command),
        "nested in an array": objects(IMAGE, Hostile(os.system, command)),
        "nested twice": objects(IMAGE, objects(1.0, Hostile(os.system, command))),
        "builtins.eval": Hostile(eval, f"__import__('pathlib').Path({str(mark)!r}).touch()"),
        "builtins.exec": Hostile(exec, f"open({str(mark)!r}, 'w')"),
        "builtins.getattr": Hostile(getattr, Hostile, "call"),
        "open": objects(Hostile(open, str(mark), "w"), 1.0),
        "numpy.load": Hostile(np.load, str(mark)),
        "numpy.save": Hostile(np.save, str(mark), IMAGE),
        "numpy.memmap": Hostile(np.memmap, str(mark), "u1", "w+", 0, (4,)),
        "ndarray.tofile": Hostile(np.ndarray.tofile, IMAGE, str(mark)),
        "a class": Hostile,
        "a dictionary": {"image": IMAGE},
        "text": objects(IMAGE, "text"),
        "complex records": np.array([(1, IMAGE)], dtype=[("a", "i4"), ("b", object)]),
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("kind", list(hostile_contents(Path("mark"))))
def test_nothing_of_a_hostile_pickle_runs(kind: str, protocol: int, tmp_path: Path, save_pickle: Saver) -> None:
    mark = tmp_path / "mark"
    path = save_pickle(pickle.dumps(hostile_contents(mark)[kind], protocol))
    with pytest.raises(ValueError, match=r"objects\.npy is refused: its pickle [^\n]*\.$"):
        load_npy(path)
    assert not mark.exists()


def test_names_are_not_even_looked_up(save_pickle: Saver) -> None:
    sys.modules.pop("this", None)
    with pytest.raises(ValueError, match=r"asks for 'this\.s', and only numpy arrays"):
        load_npy(save_pickle(b"\x80\x02cthis\ns\n."))
    assert "this" not in sys.modules


# opcodes by hand: what no pickler writes
_GLOBAL_ARRAY = b"cnumpy\nndarray\n"
_OBJECT_TYPE = (
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8\x89\x88tR(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
)
_EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(" + _GLOBAL_ARRAY + b"K\x00\x85K\x00tR"


@pytest.mark.parametrize(
    "content",
    [
        # numpy's own __setstate__ reads beyond this list of one and crashes
        _EMPTY_ARRAY + b"(K\x01J\x00\x00\x10\x00\x85" + _OBJECT_TYPE + b"\x89]K\x01atb.",
        # ndarray.__new__ with a shape of 8 GiB
        _GLOBAL_ARRAY + b"(J\x00\x00\x00\x40\x85t\x81.",
        _GLOBAL_ARRAY + b"(J\x00\x00\x00\x40\x85tR.",
        # numbered objects: the unpickler's memory grows with the number
        b"K\x01r\xff\xff\xff\x7f.",
        # a new default argument for a function of ours
        b"c_codecs\nencode\n(N}X\x0c\x00\x00\x00__defaults__(K\x01ts\x86b.",
        b"c_codecs\nencode\n(Ntb.",
        # an array that holds itself
        _EMPTY_ARRAY + b"q\x00(K\x01K\x01\x85" + _OBJECT_TYPE + b"\x89]h\x00atb.",
        # persistent and extension objects
        b"K\x01Q.",
        b"\x82\x01.",
        # a type with fields
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8\x89\x88tR(K\x03X\x01\x00\x00\x00|K\x01NNJ\xff\xff\xff\xffK\x00K\x00tb.",
        b"",
        b"garbage",
        b"K\x01.",
        b"(lp0\n.",
    ],
)
def test_hand_made_pickles_are_refused(content: bytes, save_pickle: Saver) -> None:
    with pytest.raises(ValueError, match=r"objects\.npy is refused: its pickle"):
        load_npy(save_pickle(b"\x80\x02" + content))


def test_an_array_in_many_places_does_not_blow_up(save_pickle: Saver) -> None:
    row = np.zeros(10_000)
    with pytest.raises(ValueError, match="blows up"):
        load_npy(save_pickle(pickle.dumps(objects(*[row] * 10_000), 4)))


@pytest.mark.parametrize("cut", [1, 9, 60, 200])
def test_cut_off_pickles_are_refused(cut: int, save_pickle: Saver) -> None:
    content = pickle.dumps(objects(IMAGE, 1e-23), 4)
    with pytest.raises(ValueError, match=r"objects\.npy is refused: its pickle is damaged"):
        load_npy(save_pickle(content[: len(content) - cut]))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }", "is cut off: shape"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 5), }", "which holds nothing"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 5), }", "which holds nothing"),
        (b"{'descr': '<U8', 'fortran_order': False, 'shape': (1,), }", "not numbers"),
        (b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", "not numbers"),
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': __import__('os').getcwd(), }", "is not a NumPy file"),
        (b"(" * 300, "is not a NumPy file"),
    ],
)
def test_lying_headers_are_refused(header: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + bytes(64))
    with pytest.raises(ValueError, match=r"array\.npy") as error:
        load_npy(path)
    assert reason in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x93NUM", b"not a numpy file at all", b"\x93NUMPY\x09\x00" + bytes(80)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^array\.npy is (empty|not a NumPy file)"):
        load_npy(path)


def test_npz_reads_one_array_of_many(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, image=IMAGE, names=np.array(["a"]), pair=objects(IMAGE, 1.0))
    assert npz_shapes(path) == {"image": (9, 8), "pair": (2,)}
    assert np.array_equal(load_npz(path, "image"), IMAGE)
    assert np.array_equal(load_npz(path, "pair")[0], IMAGE)


def test_npz_is_as_safe(tmp_path: Path, save_pickle: Saver) -> None:
    mark = tmp_path / "mark"
    hostile = save_pickle(pickle.dumps(objects(Hostile(os.system, f"touch {mark}")), 4))
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(hostile, "image.npy")
    with pytest.raises(ValueError, match=r"arrays\.npz: 'image' is refused: its pickle"):
        load_npz(path, "image")
    assert not mark.exists()


def test_damaged_npz_is_refused(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.savez_compressed(whole, image=np.random.default_rng(0).normal(size=(64, 64)))
    content = whole.getvalue()
    path = tmp_path / "arrays.npz"
    for damaged in (content[:-30], b"PK", content[:2000] + bytes(200) + content[2200:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"arrays\.npz"):
            load_npz(path, next(iter(npz_shapes(path))))
