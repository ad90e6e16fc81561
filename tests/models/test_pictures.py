"""Pictures keep their numbers in both readers, or are refused in one sentence; files of several are read as several."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplense_hf.data.readers import LensImage, iterate_images, read_images
from deeplense_hf.models import pictures
from deeplense_hf.models.image_files import image_from_bytes
from deeplense_hf.models.pictures import picture_array

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (20, 24)).astype(np.uint8)
COLOUR = RANDOM.integers(0, 256, (20, 24, 3)).astype(np.uint8)
DEEP = RANDOM.integers(0, 65536, (20, 24)).astype(np.uint16)
KINDS = {"u": 1, "i": 2, "f": 3}


def tiff(*pages: np.ndarray, page_kind: int = 0) -> bytes:
    """Write pages without compression; PIL cannot write all that it opens."""
    content = b"II*\0" + struct.pack("<I", 8)
    for number, page in enumerate(pages):
        bands, bits = page.shape[2] if page.ndim == 3 else 1, page.dtype.itemsize * 8
        start = len(content)
        values, data = start + 2 + 11 * 12 + 4, page.tobytes()
        wide = struct.pack(f"<{bands}H", *[bits] * bands) + struct.pack(f"<{bands}H", *[KINDS[page.dtype.kind]] * bands)
        each = len(wide) // 2

        def short(tag: int, value: int) -> bytes:
            return struct.pack("<HHIHH", tag, 3, 1, value, 0)

        def of_bands(tag: int, value: int, place: int, bands: int = bands) -> bytes:
            return short(tag, value) if bands == 1 else struct.pack("<HHII", tag, 3, bands, place)

        entries = [
            struct.pack("<HHII", 254, 4, 1, page_kind if number else 0),
            short(256, page.shape[1]),
            short(257, page.shape[0]),
            of_bands(258, bits, values),
            short(259, 1),
            short(262, 1 if bands == 1 else 2),
            struct.pack("<HHII", 273, 4, 1, values + len(wide)),
            short(277, bands),
            short(278, page.shape[0]),
            struct.pack("<HHII", 279, 4, 1, len(data)),
            of_bands(339, KINDS[page.dtype.kind], values + each),
        ]
        after = 0 if number == len(pages) - 1 else values + len(wide) + len(data)
        content += struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", after) + wide + data
    return content


def png_of_16_bits(pixels: np.ndarray, colour_type: int) -> bytes:
    """Write a PNG file of 16 bits, grey or of colours, with or without transparency."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.tif", tiff(GREY), GREY),
        ("x.tif", tiff(COLOUR), COLOUR),
        ("x.tif", tiff(DEEP), DEEP),
        ("x.tif", tiff(DEEP.astype(np.int16)), DEEP.astype(np.int16)),
        ("x.tif", tiff(DEEP.astype(np.int32) - 40000), DEEP.astype(np.int32) - 40000),
        ("x.tif", tiff(DEEP.astype(np.uint32) * 30000), DEEP.astype(np.uint32) * 30000),
        ("x.tif", tiff(DEEP.astype(np.float32)), DEEP),
        ("x.tif", tiff(GREY, GREY[:10, :12], page_kind=1), GREY),
        ("x.tif", saved(Image.fromarray(COLOUR), "TIFF", compression="tiff_lzw"), COLOUR),
        ("x.tif", saved(Image.fromarray(DEEP), "TIFF", compression="tiff_deflate"), DEEP),
        ("x.png", png_of_16_bits(DEEP, 0), DEEP),
        ("x.png", saved(Image.fromarray(GREY > 99), "PNG"), GREY > 99),
        ("x.png", saved(Image.fromarray(np.dstack([COLOUR, GREY])), "PNG"), COLOUR),
    ],
)
def test_numbers_are_kept(name: str, content: bytes, expected: np.ndarray, tmp_path: Path) -> None:
    np.testing.assert_array_equal(picture_array(image_from_bytes(content, name)), expected)
    (tmp_path / name).write_bytes(content)
    (found,) = read_images(tmp_path / name)
    bands_first = expected[None] if expected.ndim == 2 else np.moveaxis(expected, -1, 0)
    np.testing.assert_array_equal(found.image, bands_first.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.tif", tiff(np.dstack([DEEP] * 3)), "whole numbers without a sign of 16 bits"),
        ("x.tif", tiff((GREY.astype(np.int16) - 49).clip(-49, 99).astype(np.int8)), "with a sign of 8 bits"),
        ("x.tif", tiff(np.where(DEEP > 30000, DEEP, np.uint32(3_000_000_000))), "without a sign of 32 bits"),
        ("x.png", png_of_16_bits(np.dstack([DEEP] * 3), 2), "colours of 16 bits, of which 8 would be lost"),
        ("x.png", png_of_16_bits(np.dstack([DEEP] * 2), 4), "colours of 16 bits, of which 8 would be lost"),
        ("x.png", png_of_16_bits(np.dstack([DEEP] * 4), 6), "colours of 16 bits, of which 8 would be lost"),
    ],
)
def test_what_would_be_changed_is_refused(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (lambda: image_from_bytes(content, name), lambda: read_images(tmp_path / name)):
        with pytest.raises(ValueError, match=rf"^{name}[^\n]*{reason}[^\n]*; save the image as \.npy or FITS\.$"):
            read()


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.uint16])
def test_a_stack_is_as_many_images(kind: type, tmp_path: Path) -> None:
    # square, so that as an array of three axes it would be one image of five bands
    stack = RANDOM.integers(0, 200, (5, 20, 20)).astype(kind)
    (tmp_path / "x.tif").write_bytes(tiff(*stack))
    found = read_images(tmp_path / "x.tif")
    assert [image.source_file for image in found] == [f"x.tif#{page}" for page in range(5)]
    np.testing.assert_array_equal([image.image[0] for image in found], stack.astype(np.float32))
    with pytest.raises(ValueError, match=r"^x is not a readable image: it holds several images; save its image alone"):
        image_from_bytes(tiff(*stack), "x")


def test_stacks_of_colours_and_moving_pictures(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(tiff(COLOUR, COLOUR[::-1].copy()))
    first, second = read_images(tmp_path / "x.tif")
    np.testing.assert_array_equal(first.image, np.moveaxis(COLOUR, -1, 0))
    np.testing.assert_array_equal(second.image, np.moveaxis(COLOUR[::-1], -1, 0))
    assert first.red_first
    assert second.red_first
    moving = saved(Image.fromarray(GREY), "PNG", save_all=True, append_images=[Image.fromarray(GREY[::-1].copy())])
    (tmp_path / "x.png").write_bytes(moving)
    np.testing.assert_array_equal([image.image[0] for image in read_images(tmp_path / "x.png")], [GREY, GREY[::-1]])
    with pytest.raises(ValueError, match="holds several images"):
        image_from_bytes(moving, "x")


def test_pages_that_are_no_stack_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in (GREY[:12], DEEP, COLOUR):
        (tmp_path / "x.tif").write_bytes(tiff(GREY, other))
        with pytest.raises(ValueError, match=r"^x\.tif: its 2 images differ in size or kind; save each as a file"):
            read_images(tmp_path / "x.tif")
    monkeypatch.setattr(pictures, "_MOST_PAGES", 3)
    (tmp_path / "x.tif").write_bytes(tiff(*[GREY] * 4))
    with pytest.raises(ValueError, match=r"^x\.tif: it has more than 3 pages; save its images as an array"):
        read_images(tmp_path / "x.tif")


def test_the_pages_before_a_damaged_one_are_read(tmp_path: Path) -> None:
    pages = RANDOM.integers(0, 200, (3, 20, 24)).astype(np.uint8)
    (tmp_path / "x.tif").write_bytes(tiff(*pages)[:-100])
    found = iterate_images(tmp_path / "x.tif")
    for page in pages[:2]:
        image = next(found)
        assert isinstance(image, LensImage)
        np.testing.assert_array_equal(image.image[0], page)
    with pytest.raises(ValueError, match=r"^x\.tif cannot be read as a complete tif file"):
        next(found)
