"""Content from strangers: one sentence for every damage, and no more time or memory than an image needs."""

import contextlib
import gzip
import io
import random
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from deeplense_hf.models import fits_images, image_files
from deeplense_hf.models.image_files import image_from_bytes

IMAGE = np.random.default_rng(0).normal(100, 30, size=(20, 24)).astype(np.float32)


def written(write: Callable[[io.BytesIO], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def units(*parts: Any) -> bytes:
    return written(lambda buffer: fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(buffer))


def compressed(image: np.ndarray, how: str, **options: Any) -> bytes:
    return units(fits.CompImageHDU(image, compression_type=how, **options))


def header(*cards: str) -> bytes:
    text = "".join(f"{card:<80}" for card in (*cards, "END"))
    return text.ljust(-len(text) % 2880 + len(text)).encode()


def primary(width: Any, height: Any, bitpix: int = -32) -> bytes:
    values = {"SIMPLE": "T", "BITPIX": bitpix, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height}
    return header(*(f"{name:<8}= {value:>20}" for name, value in values.items()))


def npy(text: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + content


TABLE = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.arange(3.0))])
WHOLE = IMAGE.astype(np.int32)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (units(fits.ImageHDU(np.arange(100.0)), fits.ImageHDU(IMAGE)), IMAGE),
        (units(TABLE, fits.ImageHDU(IMAGE), fits.ImageHDU(IMAGE + 1)), IMAGE),
        (units(fits.ImageHDU(np.ones((20, 24)), name="MASK"), fits.ImageHDU(IMAGE, name="SCI")), IMAGE),
        (units(fits.ImageHDU(WHOLE), fits.CompImageHDU(WHOLE + 1, compression_type="RICE_1", name="SCI")), WHOLE + 1),
        (units(fits.ImageHDU(IMAGE)) + header("XTENSION= 'IMAGE   '", "BITPIX  = many"), IMAGE),
        (gzip.compress(units(fits.ImageHDU(IMAGE))), IMAGE),
        (compressed(WHOLE, "RICE_1"), WHOLE),
        (compressed(WHOLE, "GZIP_1"), WHOLE),
        (compressed(IMAGE, "GZIP_2", quantize_level=0), IMAGE),
    ],
)
def test_the_first_image_of_a_fits_file(content: bytes, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(image_from_bytes(content, "x"), expected)


@pytest.mark.parametrize(
    "content",
    [
        written(lambda buffer: np.save(buffer, IMAGE)),
        units(fits.ImageHDU(IMAGE)),
        compressed(IMAGE.astype(np.int32), "RICE_1"),
        written(lambda buffer: Image.new("1", (24, 20)).save(buffer, "PNG")),
    ],
)
def test_a_smaller_bound_is_kept(content: bytes) -> None:
    image_from_bytes(content, "x", 480)
    with pytest.raises(ValueError, match=r"more than 479 numbers|24 x 20 pixels"):
        image_from_bytes(content, "x", 479)


def test_quantised_tiles_are_nearly_the_image() -> None:
    np.testing.assert_allclose(image_from_bytes(compressed(IMAGE, "RICE_1"), "x"), IMAGE, atol=10)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"^x is empty\.$"),
        (b"nothing", r"none of \.npy, FITS, JPEG, PNG and TIFF"),
        (written(lambda buffer: Image.fromarray(np.zeros((9, 9), np.uint8)).save(buffer, "EPS")), r"none of \.npy"),
        (written(lambda buffer: Image.fromarray(np.zeros((9, 9), np.uint8)).save(buffer, "BMP")), r"none of \.npy"),
        (written(lambda buffer: np.savez(buffer, image=IMAGE)), r"\.npz archive; save its image alone as \.npy, or"),
        (written(lambda buffer: np.save(buffer, np.array([IMAGE, 1.0], dtype=object))), "holds a pickle.*or install"),
        (written(lambda buffer: np.save(buffer, np.array([["a"]]))), "holds values of type <U1"),
        (npy("{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000, 9)}\n"), r"of type \|V0"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4"), "multi-line statement"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 9)}\n"), "more than 67108864 numbers"),
        (primary(30000, 30000) + bytes(2880), r"shape \(30000, 30000\) has more than 67108864 numbers"),
        (primary(300, 300) + bytes(2880), "cut off: its image needs 360000 bytes, 2880 are there"),
        (primary("'wide'", 300), "NAXIS1=wide, which is no whole number"),
        (b"SIMPLE  =                    T".ljust(80) + b"COMMENT x".ljust(80) * 20000, "has no end within"),
        (units(*[fits.ImageHDU()] * 300, fits.ImageHDU(IMAGE)), "no image of two or more axes"),
        (compressed(WHOLE, "HCOMPRESS_1"), "compressed by 'HCOMPRESS_1', not by RICE or GZIP"),
        (written(lambda buffer: Image.new("1", (9000, 9000)).save(buffer, "PNG")), "has 9000 x 9000 pixels"),
        (gzip.compress(units(fits.ImageHDU(IMAGE)))[:-9], "it is cut off"),
        (
            units(fits.ImageHDU(IMAGE * 0 + 1, name="MASK"), TABLE),
            "every pixel of its extension MASK is 1",
        ),
        (units(fits.ImageHDU(IMAGE * np.nan, name="ERR")), "480 of 480 pixels of its extension ERR are NaN"),
    ],
)
def test_what_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        image_from_bytes(content, "x")
    assert "\n" not in str(error.value)
    assert " object at 0x" not in str(error.value)


def test_tiles_that_unpack_to_too_much_are_refused() -> None:
    content = compressed(np.zeros((20, 24), np.int32), "GZIP_1", tile_shape=(20, 24))
    place = content.index(b"\x1f\x8b")
    bomb = zlib.compressobj(9, wbits=31)
    packed = bomb.compress(bytes(10**6)) + bomb.flush()
    old = content[place:].rstrip(b"\0")
    # the descriptor in the table before says how long the tile is
    longer = content[:place].replace(len(old).to_bytes(4, "big"), len(packed).to_bytes(4, "big"))
    longer = longer.replace(f"PCOUNT  = {len(old):>20}".encode(), f"PCOUNT  = {len(packed):>20}".encode())
    with pytest.raises(ValueError, match="unpacks to more than a tile may hold"):
        image_from_bytes(longer + packed + bytes(2880), "x")


def test_packed_files_are_unpacked_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits_images, "LARGEST_FILE", 10_000)
    with pytest.raises(ValueError, match="unpacked it is larger than 10000 bytes"):
        image_from_bytes(gzip.compress(primary(100, 100) + bytes(40_000)), "x")


def test_damage_raises_nothing_but_a_sentence() -> None:
    seeds = [
        written(lambda buffer: np.save(buffer, IMAGE)),
        units(fits.ImageHDU(IMAGE)),
        compressed(WHOLE, "RICE_1"),
        compressed(IMAGE, "GZIP_1"),
        written(lambda buffer: Image.fromarray(WHOLE.astype(np.uint8)).save(buffer, "PNG")),
    ]
    draw = random.Random(0)
    for _ in range(150):
        content = bytearray(draw.choice(seeds))
        for _ in range(draw.choice((1, 5, 20))):
            content[draw.randrange(min(len(content), 9000))] = draw.choice((0, 32, 39, 49, 57, 255))
        with contextlib.suppress(ValueError):
            image_from_bytes(bytes(content), "x")


def test_missing_astropy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(content: bytes, largest: int) -> None:
        raise ImportError("No module named 'astropy'")

    monkeypatch.setattr(image_files, "_read_fits", absent)
    with pytest.raises(ImportError, match="x is a FITS file, which needs astropy; install it with"):
        image_from_bytes(units(fits.ImageHDU(IMAGE)), "x")
