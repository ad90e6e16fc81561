"""Every format and layout; every kind of damage in one sentence that names the file."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from deeplense_hf.data.layouts import check_image, count_images, split_array
from deeplense_hf.data.readers import LensImage, UnreadableImage, find_image_files, iterate_images, read_images

IMAGE = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
SQUARE = np.random.default_rng(1).normal(size=(20, 20)).astype(np.float32)


def objects(*items: Any) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def cube(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=shape)


@pytest.mark.parametrize(
    ("array", "shapes"),
    [
        (cube(20, 24), [(1, 20, 24)]),
        (cube(1, 20, 20), [(1, 20, 20)]),
        (cube(5, 20, 20), [(5, 20, 20)]),
        (cube(20, 24, 3), [(3, 20, 24)]),
        (cube(20, 20, 1), [(1, 20, 20)]),
        (cube(17, 20, 20), [(1, 20, 20)] * 17),
        (cube(2, 1, 20, 20), [(1, 20, 20)] * 2),
        (cube(2, 20, 20, 3), [(3, 20, 20)] * 2),
        (cube(2, 3, 1, 20, 20), [(1, 20, 20)] * 6),
        (cube(400), [(1, 20, 20)]),
        (cube(401), [(1, 20, 20)]),
        (objects(*cube(20, 24)), [(1, 20, 24)]),
        (objects(cube(20, 20), 1e-23), [(1, 20, 20)]),
        (objects(cube(3, 20, 20), -22.0), [(3, 20, 20)]),
        (objects(cube(400), 1e-22), [(1, 20, 20)]),
    ],
)
def test_layouts(array: np.ndarray, shapes: list[tuple[int, ...]]) -> None:
    assert [image.shape for image, _ in split_array(array, "array")] == shapes
    assert count_images(array) == len(shapes)


def test_layouts_keep_pixels_in_place() -> None:
    stack = cube(17, 20, 20)
    assert all(np.array_equal(image[0], stack[row]) for row, (image, _) in enumerate(split_array(stack, "x")))
    colours = cube(20, 24, 3)
    (image, _), *_ = split_array(colours, "x")
    assert np.array_equal(image[1], colours[:, :, 1])
    (rows, _), *_ = split_array(objects(*colours[:, :, 0]), "x")
    assert np.array_equal(rows[0], colours[:, :, 0])
    (flat, _), *_ = split_array(np.append(stack[0].ravel(), 1.0), "x")
    assert np.array_equal(flat[0], stack[0])


@pytest.mark.parametrize(("mass", "logarithm"), [(1e-23, -23.0), (-21.5, -21.5)])
def test_axion_mass_in_ev_or_as_logarithm(mass: float, logarithm: float) -> None:
    ((_, parameters),) = split_array(objects(SQUARE, mass), "x")
    assert parameters == {"log10_axion_mass_ev": pytest.approx(logarithm)}


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (cube(7), "7 numbers in a row are no square image"),
        (cube(20, 24, 30), "none of the outer axes"),
        (cube(1, 1, 1, 1, 20, 20), "is no image"),
        (cube(20, 20).astype(complex), "values of type complex128 are no pixels"),
        (objects(SQUARE, SQUARE, 1.0), "found 2 arrays and 1 numbers"),
        (objects(SQUARE, 1.0, 2.0), "found 1 arrays and 2 numbers"),
        (objects(SQUARE, 5.0), "5 is neither an axion mass in eV nor its decimal logarithm"),
        (objects(SQUARE[0], SQUARE[1][:5]), "its 2 rows differ in length"),
        (objects(cube(17, 20, 20), 1e-23), "expected one image beside the mass, found 17"),
    ],
)
def test_what_is_no_image(array: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^name\.npy: ") as error:
        list(split_array(array, "name.npy"))
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((1, 20, 20), np.nan), "400 of 400 pixels are NaN or infinite"),
        (np.where(np.eye(20), np.inf, 1.0)[None], "20 of 400 pixels"),
        (np.full((1, 20, 20), 1e300), "400 of 400 pixels"),
        (np.zeros((1, 20, 20)), "every pixel is 0"),
        (cube(1, 20, 4), "is too small"),
    ],
)
def test_unusable_images(image: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^name: ") as error:
        check_image(image, "name")
    assert reason in str(error.value)


def save_fits(path: Path, **cards: Any) -> None:
    from astropy.io import fits

    header = fits.Header(cards)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(IMAGE, header)]).writeto(path)


def save_hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["group/image"] = IMAGE
        file["noise_map"] = IMAGE + 1
        file["labels"] = np.arange(3)


def save_picture(path: Path, mode: str) -> None:
    random = np.random.default_rng(0)
    pixels = {
        "L": lambda: PIL.Image.fromarray(random.integers(0, 256, (20, 24), dtype=np.uint8)),
        "RGB": lambda: PIL.Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8)),
        "RGBA": lambda: PIL.Image.fromarray(random.integers(0, 256, (20, 24, 4), dtype=np.uint8)),
        "I;16": lambda: PIL.Image.fromarray(random.integers(0, 65536, (20, 24), dtype=np.uint16)),
        "F": lambda: PIL.Image.fromarray(IMAGE),
    }
    pixels[mode]().save(path)


FORMATS: dict[str, Callable[[Path], None]] = {
    "x.npy": lambda path: np.save(path, IMAGE),
    "x.npz": lambda path: np.savez(path, image=IMAGE, noise_map=IMAGE + 1),
    "one.npz": lambda path: np.savez(path, cutout=IMAGE, catalogue=np.arange(4)),
    "x.fits": save_fits,
    "x.fits.gz": save_fits,
    "x.h5": save_hdf5,
    "x.hdf5": save_hdf5,
    "x.tif": lambda path: save_picture(path, "F"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_float_formats_are_exact(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    FORMATS[name](path)
    (image,) = read_images(path)
    assert image.source_file == name
    assert image.image.dtype == np.float32
    assert np.array_equal(image.image, IMAGE[None])


@pytest.mark.parametrize(
    ("name", "mode", "bands"), [("x.png", "L", 1), ("x.png", "RGB", 3), ("x.png", "RGBA", 3), ("x.png", "I;16", 1)]
)
def test_pictures_keep_their_numbers(name: str, mode: str, bands: int, tmp_path: Path) -> None:
    path = tmp_path / name
    save_picture(path, mode)
    (image,) = read_images(path)
    assert image.image.shape == (bands, 20, 24)
    expected = np.asarray(PIL.Image.open(path)).reshape(20, 24, -1)[..., :bands]
    assert np.array_equal(image.image, np.moveaxis(expected, -1, 0))
    assert mode != "I;16" or image.image.max() > 255


def test_jpeg_is_read(tmp_path: Path) -> None:
    save_picture(tmp_path / "x.jpg", "RGB")
    assert read_images(tmp_path / "x.jpg")[0].image.shape == (3, 20, 24)


@pytest.mark.parametrize(
    ("cards", "scale"),
    [
        ({}, None),
        ({"PIXSCALE": 0.262}, 0.262),
        ({"PIXAR_A2": 0.04}, 0.2),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.0001, "CDELT2": 0.0001}, 0.36),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": 0.0, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 0.0}, 0.072),
        ({"CDELT1": 1.0}, None),
        ({"CTYPE1": "RA---NONSENSE", "CTYPE2": 5, "CDELT1": 1e-4}, None),
    ],
)
def test_fits_says_its_pixel_scale(cards: dict[str, Any], scale: float | None, tmp_path: Path) -> None:
    save_fits(tmp_path / "x.fits", INSTRUME="ACS", **cards)
    (image,) = read_images(tmp_path / "x.fits")
    assert image.pixel_scale == (None if scale is None else pytest.approx(scale))
    assert image.instrument == "ACS"


def test_fits_cubes_have_bands(tmp_path: Path) -> None:
    from astropy.io import fits

    bands = cube(4, 20, 24).astype(np.float32)
    fits.PrimaryHDU(bands).writeto(tmp_path / "x.fits")
    (image,) = read_images(tmp_path / "x.fits")
    assert np.array_equal(image.image, bands)


def test_one_bad_image_of_a_stack_is_passed_on(tmp_path: Path) -> None:
    stack = cube(18, 20, 20)
    stack[4, 3, 2] = np.nan
    np.save(tmp_path / "x.npy", stack)
    found = list(iterate_images(tmp_path / "x.npy"))
    assert [image.source_file for image in found] == [f"x.npy#{row}" for row in range(18)]
    assert isinstance(found[4], UnreadableImage)
    assert found[4].reason == "x.npy#4: 1 of 400 pixels are NaN or infinite."
    assert all(isinstance(image, LensImage) for row, image in enumerate(found) if row != 4)
    with pytest.raises(ValueError, match=r"x\.npy#4: 1 of 400 pixels"):
        read_images(tmp_path / "x.npy")


def test_missing_pixels_may_be_allowed(tmp_path: Path) -> None:
    holes = np.where(np.eye(20) > 0, np.nan, SQUARE)
    np.save(tmp_path / "x.npy", np.stack([holes, np.full((20, 20), np.nan)])[:, None])
    good, bad = iterate_images(tmp_path / "x.npy", allow_missing=True)
    assert isinstance(good, LensImage)
    assert isinstance(bad, UnreadableImage)
    assert bad.reason == "x.npy#1: 400 of 400 pixels are NaN or infinite."
    assert all(isinstance(image, UnreadableImage) for image in iterate_images(tmp_path / "x.npy"))


def test_pictures_are_bounded_by_their_header(tmp_path: Path) -> None:
    PIL.Image.new("1", (9000, 9000)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"^x\.png: it has 9000 x 9000 pixels; cut the lens out"):
        read_images(tmp_path / "x.png")


def test_fits_is_bounded_by_its_header(tmp_path: Path) -> None:
    cards = {"SIMPLE": "T", "BITPIX": -32, "NAXIS": 2, "NAXIS1": 30000, "NAXIS2": 30000}
    text = "".join(f"{name:<8}= {value:>20}".ljust(80) for name, value in cards.items()) + "END"
    (tmp_path / "x.fits").write_bytes(text.ljust(5760).encode())
    with pytest.raises(ValueError, match=r"^x\.fits .*has more than 67108864 numbers"):
        read_images(tmp_path / "x.fits")


@pytest.mark.parametrize("name", [*FORMATS, "x.png", "x.jpg"])
@pytest.mark.parametrize("damage", ["empty", "cut", "garbage"])
def test_damaged_files_get_one_sentence(name: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name in FORMATS:
        FORMATS[name](path)
    else:
        save_picture(path, "RGB")
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) * 2 // 3], "garbage": b"garbage " * 100}[damage])
    with pytest.raises(ValueError, match=rf"^{name}[^\n]*\.$"):
        read_images(path)


def test_corrupt_compression_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.fits.gz"
    content = bytearray(gzip.compress(bytes(cube(50, 50).tobytes())))
    content[500:600] = bytes(100)
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"^x\.fits\.gz"):
        read_images(path)


def test_no_other_decoder_is_reached_by_a_false_ending(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    # PostScript would be handed to Ghostscript, which is a program of its own
    PIL.Image.fromarray(np.zeros((20, 20), np.uint8)).save(path, format="EPS")
    with pytest.raises(ValueError, match=r"^x\.jpg cannot be read as a complete jpg file"):
        read_images(path)


def test_hdf5_shows_nothing_of_other_files(tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(256)) * 4)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("image", (32, 32), "u1", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(ValueError, match=r"^x\.h5: cannot tell"):
        read_images(tmp_path / "x.h5")


def test_hdf5_claims_of_size_are_refused(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("image", (10**7, 10**7), "f4", chunks=(100, 100))
    with pytest.raises(ValueError, match=r"^x\.h5: an image of .* bytes is too large"):
        read_images(tmp_path / "x.h5")


def test_ambiguous_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", first=IMAGE, second=IMAGE)
    with pytest.raises(ValueError, match="cannot tell which of first, second is the image; name it 'image'"):
        read_images(tmp_path / "x.npz")


def test_find_image_files(tmp_path: Path) -> None:
    for name in (
        "b/2.npy",
        "b/10.npy",
        "a.fits.gz",
        ".hidden/x.npy",
        "b/._2.npy",
        "__MACOSX/2.npy",
        "notes.csv",
        "C.JPG",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_image_files([tmp_path])]
    assert found == ["C.JPG", "a.fits.gz", "b/10.npy", "b/2.npy"]
    assert find_image_files([tmp_path / "b" / "2.npy", tmp_path / "b"]) == [tmp_path / "b/2.npy", tmp_path / "b/10.npy"]
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        find_image_files([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match=r"notes\.csv is no image file; known endings are \.npy"):
        find_image_files([tmp_path / "notes.csv"])


@pytest.mark.parametrize(
    ("folder", "shape", "with_mass"),
    [
        ("Model_I_test", (1, 150, 150), 8),
        ("Model_II_test", (1, 64, 64), 8),
        ("common_test", (1, 150, 150), 0),
        ("lens_finding", (3, 64, 64), 0),
    ],
)
def test_original_files(folder: str, shape: tuple[int, ...], with_mass: int, shared_data: Path) -> None:
    images = [
        image for file in find_image_files([shared_data / "original_formats" / folder]) for image in read_images(file)
    ]
    assert {image.image.shape for image in images} == {shape}
    masses = [image.parameters["log10_axion_mass_ev"] for image in images if image.parameters]
    assert len(masses) == with_mass
    assert all(-24 <= mass <= -22 for mass in masses)


def test_original_variants(shared_data: Path) -> None:
    files = find_image_files([shared_data / "original_formats" / "variants"])
    shapes = {file.name: read_images(file)[0].image.shape for file in files}
    assert shapes.pop("hwc_64x64x3.npy") == (3, 64, 64)
    assert set(shapes.values()) == {(1, 64, 64)}


def test_all_real_images_are_read(shared_data: Path) -> None:
    for file in find_image_files([shared_data])[::5]:
        assert all(isinstance(image, LensImage) for image in iterate_images(file))


def test_the_science_extension_of_a_fits_file_is_read(tmp_path: Path) -> None:
    from astropy.io import fits

    mask, science = fits.ImageHDU(np.ones((32, 32)), name="MASK"), fits.ImageHDU(IMAGE, name="SCI")
    science.header["PIXSCALE"] = 0.05
    fits.HDUList([fits.PrimaryHDU(), mask, science]).writeto(tmp_path / "x.fits")
    (image,) = read_images(tmp_path / "x.fits")
    assert image.pixel_scale == 0.05
    np.testing.assert_array_equal(image.image.squeeze(), IMAGE.squeeze())
    fits.HDUList([fits.PrimaryHDU(), mask, fits.ImageHDU(IMAGE)]).writeto(tmp_path / "y.fits")
    with pytest.raises(ValueError, match=r"^y\.fits: every pixel of its extension MASK is 1; give .* the name SCI"):
        read_images(tmp_path / "y.fits")
