"""Tests of the contact sheet."""

import io

import numpy as np
import PIL.Image
import pytest

from deeplense_hf.data.contact_sheet import contact_sheet, display_colours, display_intensity


def gaussian(bands: int, size: int = 32) -> np.ndarray:
    axis = np.arange(size) - size / 2
    image = np.exp(-(axis**2 + axis[:, None] ** 2) / 30)
    return np.stack([image * (1 + band) for band in range(bands)])


def picture(png: bytes) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(png)).convert("RGB"))


def test_sheet_is_a_reproducible_picture_of_uneven_classes() -> None:
    images = {"lens": np.stack([gaussian(1)] * 3), "spiral": gaussian(1)[None]}
    first = contact_sheet(images, 0.05, "a title")
    assert first == contact_sheet(images, 0.05, "a title")
    assert picture(first).std() > 10


@pytest.mark.parametrize("bands", [1, 2, 3])
@pytest.mark.parametrize("kind", ["nan", "all_nan", "constant", "infinite"])
def test_awkward_images_are_drawn(bands: int, kind: str) -> None:
    image = gaussian(bands)
    if kind == "nan":
        image[:, 3:9] = np.nan
    elif kind == "all_nan":
        image[:] = np.nan
    elif kind == "constant":
        image[:] = 7.0
    else:
        image[0, 2, 2] = np.inf
    with np.errstate(all="raise"):
        assert picture(contact_sheet({"odd": image[None]}, 0.1, "odd")).size


def test_the_last_band_is_red() -> None:
    image = np.zeros((3, 16, 16))
    image[2, 8, 8] = 1.0
    red, green, blue = display_colours(image)[8, 8]
    assert red > 200
    assert max(green, blue) < 50


def test_intensity_spans_zero_to_one() -> None:
    stretched = display_intensity(gaussian(1)[0])
    assert stretched.min() == pytest.approx(0.0, abs=1e-6)
    assert stretched.max() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("images", "scale", "message"),
    [
        ({}, 0.1, "no images"),
        ({"a": np.zeros((0, 1, 4, 4))}, 0.1, "no images"),
        ({"a": np.zeros((3, 4, 4))}, 0.1, "allowed is"),
        ({"a": np.zeros((1, 1, 4, 4))}, 0.0, "pixel_scale=0"),
    ],
)
def test_bad_input(images: dict[str, np.ndarray], scale: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet(images, scale, "title")
