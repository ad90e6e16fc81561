"""`DeepLenseImageProcessor`: exact numbers, every input, every option."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor

from deeplense_hf.models import DeepLenseImageProcessor

RAW = {"stretch": "none", "normalisation": "none"}
IMAGE: NDArray[np.float32] = np.random.default_rng(0).normal(100, 30, size=(40, 36)).astype(np.float32)


def process(image: Any, pixel_scale: Any = None, **options: Any) -> NDArray[np.float32]:
    """Process one image and return `(bands, height, width)`."""
    values = DeepLenseImageProcessor(**{**RAW, **options})(image, pixel_scale=pixel_scale, return_tensors="np")
    assert values.pixel_values.dtype == np.float32
    result: NDArray[np.float32] = values.pixel_values[0]
    return result


def write_fits(path: Path, image: NDArray[Any]) -> Path:
    # a table and an empty primary unit before the image, as archives write it
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image)]).writeto(path)
    return path


@pytest.mark.parametrize(
    "image",
    [
        IMAGE,
        IMAGE[None],
        IMAGE[..., None],
        IMAGE.astype(np.float64),
        IMAGE.astype(">f4"),
        IMAGE[::-1][::-1],
        torch.from_numpy(IMAGE),
        torch.from_numpy(IMAGE)[None, None],
        [IMAGE],
        [[torch.from_numpy(IMAGE)]],
        IMAGE.tolist(),
        Image.fromarray(IMAGE),
    ],
)
def test_every_kind_of_input_keeps_its_numbers(image: Any) -> None:
    np.testing.assert_array_equal(process(image), IMAGE[None])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, bool, np.float16])
def test_number_types(dtype: Any) -> None:
    image = (IMAGE > 100) if dtype is bool else IMAGE.clip(0, 255).astype(dtype)
    np.testing.assert_array_equal(process(image), image[None].astype(np.float32))


def test_files(tmp_path: Path) -> None:
    counts = (IMAGE * 100).clip(0, 65535).astype(np.uint16)
    np.save(tmp_path / "a.npy", IMAGE)
    Image.fromarray(counts).save(tmp_path / "b.png")
    Image.fromarray(IMAGE).save(tmp_path / "c.tif")
    eight_bit = np.random.default_rng(0).integers(0, 256, size=(20, 22, 3)).astype(np.uint8)
    Image.fromarray(eight_bit).save(tmp_path / "d.png")
    np.testing.assert_array_equal(process(tmp_path / "a.npy"), IMAGE[None])
    np.testing.assert_array_equal(process(str(tmp_path / "b.png")), counts[None].astype(np.float32))
    np.testing.assert_array_equal(process(tmp_path / "c.tif"), IMAGE[None])
    np.testing.assert_array_equal(process(tmp_path / "d.png"), eight_bit.transpose(2, 0, 1).astype(np.float32))
    np.testing.assert_array_equal(process(write_fits(tmp_path / "e.fits", IMAGE)), IMAGE[None])
    np.testing.assert_array_equal(process(write_fits(tmp_path / "f.fits.gz", counts)), counts[None].astype(np.float32))


def test_colours_are_brought_to_the_order_of_bands(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(20, 22, 3)).astype(np.uint8)
    red, green, blue = pixels.transpose(2, 0, 1).astype(np.float32)
    picture, path = Image.fromarray(pixels), tmp_path / "colour.png"
    picture.save(path)
    for image in (picture, path, str(path), picture.convert("RGBA"), [picture]):
        np.testing.assert_array_equal(process(image, colour_bands=(2, 1, 0)), [blue, green, red])
        # not its own inverse: red is band 1, green band 2, blue band 0
        np.testing.assert_array_equal(process(image, colour_bands=[1, 2, 0]), [blue, red, green])
        np.testing.assert_array_equal(process(image, colour_bands=(2, 1, 0), bands=(2,)), red[None])
        np.testing.assert_array_equal(process(image), [red, green, blue])
    in_one_call = DeepLenseImageProcessor(**RAW)(picture, colour_bands=[2, 1, 0], return_tensors="np").pixel_values
    np.testing.assert_array_equal(in_one_call[0], [blue, green, red])
    np.save(tmp_path / "array.npy", pixels)
    for array in (pixels, torch.from_numpy(pixels), pixels.tolist(), tmp_path / "array.npy"):
        np.testing.assert_array_equal(process(array, colour_bands=(2, 1, 0)), [red, green, blue])
    grey = Image.fromarray(pixels[..., 0])
    np.testing.assert_array_equal(process(grey, colour_bands=(2, 1, 0)), red[None])


def test_the_order_of_colours_is_saved_where_there_is_one(tmp_path: Path) -> None:
    DeepLenseImageProcessor(colour_bands=(2, 1, 0)).save_pretrained(tmp_path / "ordered")
    assert AutoImageProcessor.from_pretrained(tmp_path / "ordered").colour_bands == (2, 1, 0)
    DeepLenseImageProcessor().save_pretrained(tmp_path / "plain")
    assert "colour_bands" not in (tmp_path / "plain" / "preprocessor_config.json").read_text()
    assert AutoImageProcessor.from_pretrained(tmp_path / "plain").colour_bands is None


def test_pictures_with_a_palette_or_transparency_become_colours() -> None:
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert process(grey.convert("P")).shape == (3, 8, 8)
    assert process(grey.convert("RGBA")).shape == (3, 8, 8)


@pytest.mark.parametrize("bands", [1, 2, 5, 16])
def test_bands_are_found_first_or_last(bands: int) -> None:
    image = np.random.default_rng(0).normal(size=(bands, 20, 24)).astype(np.float32)
    np.testing.assert_array_equal(process(image), image)
    np.testing.assert_array_equal(process(image.transpose(1, 2, 0)), image)


def test_layout_that_shapes_do_not_tell() -> None:
    stack = np.zeros((30, 20, 40), dtype=np.float32)
    with pytest.raises(ValueError, match="cannot be told which axis"):
        process(stack)
    processor = DeepLenseImageProcessor(**RAW)
    assert processor(stack, input_data_format="channels_last").pixel_values[0].shape == (40, 30, 20)
    assert processor(list(stack), return_tensors="pt").pixel_values.shape == (30, 1, 20, 40)
    with pytest.raises(ValueError, match="input_data_format='rows'"):
        processor(stack, input_data_format="rows")


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ("nowhere.fits", FileNotFoundError, "nowhere.fits does not exist"),
        ([], ValueError, "there is no image"),
        (None, ValueError, "not NoneType"),
        (np.zeros(5), ValueError, "2 or 3 dimensions"),
        (np.zeros((0, 5)), ValueError, "no pixel"),
        (np.array([["a"]]), ValueError, "holds numbers"),
        (np.zeros((4, 4), dtype=complex), ValueError, "holds numbers"),
        (torch.zeros((4, 4), dtype=torch.complex64), ValueError, "holds real numbers"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        process(image)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "pickled.npy", np.array([{"run": "me"}], dtype=object), allow_pickle=True)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.fits").write_text("no picture")
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "empty.fits")
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError, match="is not a readable image"):
            process(path)


def test_bands_are_chosen_in_order() -> None:
    image = np.stack([IMAGE, 2 * IMAGE, 3 * IMAGE])
    np.testing.assert_array_equal(process(image, bands=[2, 0]), image[[2, 0]])
    with pytest.raises(ValueError, match=r"bands=\[3\] was asked for, but the image has 3 band"):
        process(image, bands=[3])


def test_number_of_bands_is_checked_and_grey_pictures_in_colour_are_grey() -> None:
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    np.testing.assert_array_equal(process(grey.convert("RGB"), num_channels=1), process(grey))
    with_a_hole = IMAGE.copy()
    with_a_hole[3, 4] = np.nan
    np.testing.assert_array_equal(process(np.stack([with_a_hole] * 3), num_channels=1), process(with_a_hole))
    colours = np.stack([IMAGE, 2 * IMAGE, IMAGE])
    for bands in (1, 2):
        with pytest.raises(ValueError, match=f"has 3 band.*takes {bands}"):
            process(colours, num_channels=bands)


@pytest.mark.parametrize("size", [(20, 20), (21, 35), (50, 60), (50, 20)])
def test_center_crop_is_central_and_pads_with_zeros(size: tuple[int, int]) -> None:
    cropped = process(IMAGE, crop_size=size)[0]
    assert cropped.shape == size
    padded = np.pad(IMAGE, 20)
    top, left = ((60 + 20 - side + edge) // 2 for side, edge in zip(size, (0, -4), strict=True))
    np.testing.assert_array_equal(cropped, padded[top : top + size[0], left : left + size[1]])


def test_resize_keeps_every_level() -> None:
    ramp = np.linspace(-5, 1000, 32 * 32, dtype=np.float32).reshape(32, 32)
    resized = process(ramp, size=64)
    assert resized.shape == (1, 64, 64)
    assert len(np.unique(resized)) > 2000
    # shrinking averages: brightness per pixel stays
    assert process(ramp, size=8).mean() == pytest.approx(ramp.mean(), rel=1e-4)
    assert not np.array_equal(process(ramp, size=24, resample=3), process(ramp, size=24))
    np.testing.assert_array_equal(process(ramp, size=64, resample=0)[0, ::2, ::2], ramp)


def test_pixel_scales_become_one() -> None:
    options = {"target_pixel_scale": 0.1}
    assert process(IMAGE, 0.05, **options).shape == (1, 20, 18)
    np.testing.assert_array_equal(process(IMAGE, 0.05, **options)[0], process(IMAGE, size=(20, 18))[0])
    processor = DeepLenseImageProcessor(**RAW, **options, crop_size=16)
    batch = np.stack([IMAGE, IMAGE, IMAGE])[:, None]
    scales = np.array([0.05, 0.2, 0.05], dtype=np.float32)
    together = processor(list(batch), pixel_scale=scales, return_tensors="pt").pixel_values
    assert torch.equal(together, processor.process_batch(torch.from_numpy(batch), torch.from_numpy(scales)))
    assert torch.equal(together[0], together[2])
    assert not torch.equal(together[0], together[1])
    for scale in (None, np.nan, -1.0):
        with pytest.raises(ValueError, match=r"target_pixel_scale=0\.1 needs the pixel_scale"):
            processor(IMAGE, pixel_scale=scale)
    with pytest.raises(ValueError, match="2 values, but there are 1 images"):
        processor(IMAGE, pixel_scale=[0.1, 0.1])
    unsized = DeepLenseImageProcessor(**RAW, **options)
    with pytest.raises(ValueError, match="set crop_size or size"):
        unsized.process_batch(torch.from_numpy(batch), torch.from_numpy(scales))


def test_background_is_the_median_of_the_frame() -> None:
    image = IMAGE.copy()
    image[10:30, 10:26] += 1e4
    frame = np.ones_like(image, dtype=bool)
    frame[3:-3, 3:-3] = False
    expected = image - np.float32(torch.from_numpy(image[frame]).median())
    np.testing.assert_allclose(process(image, background="border_median", border_width=3)[0], expected, rtol=1e-6)
    # a frame wider than the image is the image
    assert np.median(process(image, background="border_median", border_width=99)) == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    ("stretch", "function"),
    [
        ("asinh", np.arcsinh),
        ("log", lambda x: np.sign(x) * np.log1p(abs(x))),
        ("sqrt", lambda x: np.sign(x) * abs(x) ** 0.5),
    ],
)
def test_stretches(stretch: str, function: Any) -> None:
    image = IMAGE - 120
    np.testing.assert_allclose(
        process(image, stretch=stretch, softening=3.0, softening_unit="image")[0], function(image / 3), rtol=1e-5
    )
    np.testing.assert_allclose(
        process(image, stretch=stretch, softening=0.1)[0], function(image / (0.1 * image.max())), rtol=1e-5
    )
    # relative to the peak, the unit of the image does not matter
    np.testing.assert_allclose(process(image, stretch=stretch), process(1000 * image, stretch=stretch), rtol=1e-5)


def test_normalisations() -> None:
    image = np.stack([IMAGE, 3 * IMAGE - 50])
    np.testing.assert_allclose(
        process(image, normalisation="standard"),
        (image - image.mean((1, 2), keepdims=True)) / image.std((1, 2), keepdims=True),
        atol=1e-5,
    )
    colours = process(image, normalisation="standard", per_band=False)
    np.testing.assert_allclose(colours, (image - image.mean()) / image.std(), atol=1e-5)
    minmax = process(image, normalisation="minmax")
    assert minmax.min((1, 2)).tolist() == [0, 0]
    assert minmax.max((1, 2)).tolist() == [1, 1]
    np.testing.assert_allclose(process(image, normalisation="max", per_band=False), image / image.max(), rtol=1e-6)
    fixed = process(image, normalisation="fixed", image_mean=[1.0, 2.0], image_std=[3.0, 4.0])
    np.testing.assert_allclose(fixed, (image - [[[1]], [[2]]]) / [[[3]], [[4]]], rtol=1e-6)
    same = process(image, normalisation="fixed", image_mean=1.0, image_std=2.0)
    np.testing.assert_allclose(same, (image - 1) / 2, rtol=1e-6)
    with pytest.raises(ValueError, match="has 2 bands, but image_mean and image_std have 3 values"):
        process(image, normalisation="fixed", image_mean=[0.0] * 3, image_std=[1.0] * 3)


@pytest.mark.parametrize("per_band", [True, False])
@pytest.mark.parametrize("normalisation", ["none", "standard", "minmax", "max"])
@pytest.mark.parametrize("stretch", ["none", "asinh", "log", "sqrt"])
def test_units_do_not_matter_where_brightness_is_relative(stretch: str, normalisation: str, per_band: bool) -> None:
    if stretch == normalisation == "none":
        pytest.skip("absolute brightness")
    noise = IMAGE - 100
    for image in (np.stack([IMAGE, noise]), np.stack([-IMAGE, noise / 7]), np.zeros((2, 9, 9), dtype=np.float32)):
        options = {"stretch": stretch, "normalisation": normalisation, "per_band": per_band, "size": 20}
        expected = process(image, **options)
        # powers of two round nothing
        np.testing.assert_array_equal(process(image * 2.0**-80, **options), expected)
        largest = abs(expected).max()
        for scale in (1e-25, 1e-20, 1e-15, 1e15):
            scaled = process(image.astype(np.float64) * scale, **options)
            np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-5 * largest)


@pytest.mark.parametrize("stretch", ["none", "asinh", "log", "sqrt"])
@pytest.mark.parametrize("normalisation", ["standard", "minmax"])
def test_flat_images_stay_flat_when_they_are_resized(normalisation: str, stretch: str) -> None:
    for brightness in (3.7, -3.7, 1e5 / 3, 1e-20, 0.0):
        options = {"stretch": stretch, "normalisation": normalisation}
        assert not process(np.full((40, 40), brightness), size=24, **options).any()
        assert not process(np.full((9, 9), brightness), **options).any()


def test_images_of_several_units_share_a_batch() -> None:
    units = torch.tensor([1.0, 2.0**-80, 2.0**50, 0.0])[:, None, None, None]
    processor = DeepLenseImageProcessor(size=20)
    values = processor.process_batch(torch.from_numpy(IMAGE)[None, None] * units)
    assert torch.equal(values[0], values[1])
    assert torch.equal(values[0], values[2])
    assert not values[3].any()


def test_absolute_brightness_stays_absolute() -> None:
    np.testing.assert_array_equal(process(IMAGE * 2.0**-80)[0], IMAGE * 2.0**-80)
    fixed = {"normalisation": "fixed", "image_mean": 1.0, "image_std": 2.0}
    np.testing.assert_allclose(process(IMAGE * 1e-20, **fixed), -0.5)


@pytest.mark.parametrize("normalisation", ["none", "standard", "minmax", "max"])
@pytest.mark.parametrize("background", ["none", "border_median"])
def test_holes_and_flat_images_give_finite_numbers(normalisation: str, background: str) -> None:
    image = np.stack([IMAGE, IMAGE])
    image[0, :5, :5] = np.nan
    image[0, 7, 7] = np.inf
    image[1] = np.nan
    for stretch in ("none", "asinh", "log", "sqrt"):
        options = {"normalisation": normalisation, "background": background, "stretch": stretch, "size": 20}
        assert np.isfinite(process(image, **options)).all()
        assert np.isfinite(process(np.zeros((9, 9)), **options)).all()
        assert np.isfinite(process(np.full((9, 9), -3.0), **options)).all()


def test_holes_take_the_median_of_their_band() -> None:
    image = IMAGE.copy()
    image[3, 4] = np.nan
    filled = process(image)
    assert filled[0, 3, 4] == pytest.approx(np.nanmedian(image), rel=0.01)
    filled[0, 3, 4] = np.nan
    np.testing.assert_array_equal(filled[0], image)


def test_images_do_not_influence_each_other() -> None:
    images = np.random.default_rng(0).normal(size=(4, 2, 20, 20)).astype(np.float32)
    images[1, 0, 3, 3] = np.nan
    processor = DeepLenseImageProcessor(background="border_median", size=12)
    together = processor.process_batch(torch.from_numpy(images))
    one_by_one = torch.cat([processor.process_batch(torch.from_numpy(images[i : i + 1])) for i in range(4)])
    torch.testing.assert_close(together, one_by_one, rtol=1e-6, atol=1e-6)
    assert torch.equal(together, processor(list(images), return_tensors="pt").pixel_values)
    with pytest.raises(ValueError, match="expected \\(batch, bands, height, width\\)"):
        processor.process_batch(torch.zeros(3, 3))


def test_images_of_several_sizes() -> None:
    images = [np.ones((20, 20)), np.ones((30, 25)), 2 * np.ones((20, 20))]
    processor = DeepLenseImageProcessor(**RAW)
    assert [values.shape for values in processor(images).pixel_values] == [(1, 20, 20), (1, 30, 25), (1, 20, 20)]
    with pytest.raises(ValueError, match="come out with different shapes"):
        processor(images, return_tensors="pt")
    cropped = processor(images, crop_size=10, return_tensors="pt").pixel_values
    assert cropped[:, 0, 0, 0].tolist() == [1, 1, 2]


OPTIONS: dict[str, Any] = {
    "colour_bands": [2, 1, 0],
    "bands": (1, 0),
    "num_channels": 2,
    "background": "border_median",
    "border_width": 2,
    "target_pixel_scale": 0.07,
    "do_center_crop": True,
    "learnt_pixel_scale": 0.05,
    "crop_size": {"height": 30, "width": 28},
    "do_resize": True,
    "size": {"height": 20, "width": 22},
    "resample": 3,
    "stretch": "log",
    "softening": 0.5,
    "softening_unit": "image",
    "normalisation": "fixed",
    "image_mean": (0.1, 0.2),
    "image_std": (0.3, 0.4),
    "per_band": False,
}


def test_every_option_is_saved(tmp_path: Path) -> None:
    processor = DeepLenseImageProcessor(**OPTIONS)
    assert set(OPTIONS) | {"input_data_format", "return_tensors"} == set(processor.valid_kwargs.__annotations__)
    processor.save_pretrained(tmp_path)
    for loaded in (DeepLenseImageProcessor.from_pretrained(tmp_path), AutoImageProcessor.from_pretrained(tmp_path)):
        assert type(loaded) is DeepLenseImageProcessor
        assert loaded.to_dict() == processor.to_dict()
        image = np.stack([IMAGE, IMAGE])
        arguments: dict[str, Any] = {"pixel_scale": 0.05, "return_tensors": "pt"}
        assert torch.equal(loaded(image, **arguments).pixel_values, processor(image, **arguments).pixel_values)
    assert loaded.output_size(40, 36) == (20, 22)


@pytest.mark.parametrize("pixel_scale", [360.0, 1e38])
def test_a_pixel_scale_in_other_units_is_refused(pixel_scale: float) -> None:
    processor = DeepLenseImageProcessor(target_pixel_scale=0.05, crop_size=32)
    with pytest.raises(
        ValueError, match=r"pixel_scale=\S+ would make an image of 60 x 50 pixels one of .* at target_p"
    ):
        processor(np.random.default_rng(0).normal(size=(60, 50)), pixel_scale=pixel_scale, return_tensors="pt")


def test_output_size() -> None:
    assert DeepLenseImageProcessor().output_size(40, 36) == (40, 36)
    assert DeepLenseImageProcessor(crop_size=30).output_size(40, 36) == (30, 30)
    assert DeepLenseImageProcessor(crop_size=30, do_center_crop=False).output_size(40, 36) == (40, 36)
    scaling = DeepLenseImageProcessor(target_pixel_scale=0.1)
    assert scaling.output_size(40, 36, pixel_scale=0.05) == (20, 18)
    with pytest.raises(ValueError, match="needs the images' pixel_scale"):
        scaling.output_size(40, 36)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strech": "log"}, "has no option 'strech'"),
        ({"stretch": "gamma"}, "stretch='gamma' is not one of none, asinh, log, sqrt"),
        ({"normalisation": "zscore"}, "normalisation='zscore'"),
        ({"background": "mean"}, "background='mean'"),
        ({"softening_unit": "sigma"}, "softening_unit='sigma'"),
        ({"softening": 0.0}, "softening=0.0 must be positive"),
        ({"target_pixel_scale": -1.0}, "target_pixel_scale=-1.0 must be positive"),
        ({"border_width": 0}, "border_width=0"),
        ({"num_channels": 0}, "num_channels=0"),
        ({"size": 0}, "size="),
        ({"size": {"shortest_edge": 3}}, "must be a side"),
        ({"crop_size": (3, 4, 5)}, "must be a side"),
        ({"do_resize": True}, "do_resize=True needs size"),
        ({"do_center_crop": True}, "do_center_crop=True needs crop_size"),
        ({"resample": 1}, "resample=1 is not 0"),
        ({"bands": []}, "at least one band"),
        ({"bands": [-1]}, "counted from 0"),
        ({"normalisation": "fixed"}, "needs image_mean and image_std"),
        ({"image_mean": 1.0, "image_std": 1.0}, "used by normalisation='fixed' only"),
        ({"normalisation": "fixed", "image_mean": [1.0, 2.0], "image_std": 1.0}, "one per band"),
        ({"normalisation": "fixed", "image_mean": 1.0, "image_std": 0.0}, "must be positive"),
        ({"colour_bands": [2, 1]}, r"colour_bands=\[2, 1\] must give red, green and blue each one of the bands 0, 1"),
        ({"colour_bands": [3, 1, 0]}, r"colour_bands=\[3, 1, 0\] must give red, green and blue each one"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeepLenseImageProcessor(**options)
    with pytest.raises(ValueError, match=message):
        DeepLenseImageProcessor()(IMAGE, **options)


def test_numbers_do_not_depend_on_torchvision(tmp_path: Path) -> None:
    processor = DeepLenseImageProcessor(size=33, crop_size=35, stretch="asinh")
    processor.save_pretrained(tmp_path)
    np.save(tmp_path / "image.npy", IMAGE)
    np.save(tmp_path / "here.npy", processor(IMAGE, return_tensors="np").pixel_values)
    program = """
import sys
sys.modules["torchvision"] = None
import numpy as np
import deeplense_hf.models
from transformers import AutoImageProcessor
processor = AutoImageProcessor.from_pretrained(sys.argv[1])
values = processor(np.load(sys.argv[1] + "/image.npy"), return_tensors="np").pixel_values
np.testing.assert_array_equal(values, np.load(sys.argv[1] + "/here.npy"))
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr


def test_images_unlike_those_of_the_training_are_doubted(tmp_path: Path) -> None:
    processor = DeepLenseImageProcessor(num_channels=1, crop_size=32, size=16, learnt_pixel_scale=0.05)
    processor.save_pretrained(tmp_path)
    loaded = DeepLenseImageProcessor.from_pretrained(tmp_path)
    assert loaded.doubt_about(40, 40, 0.0505) is None
    assert loaded.doubt_about(40, 40, None) is None
    doubt = loaded.doubt_about(40, 40, 0.2)
    assert doubt is not None
    assert doubt.startswith("the image has 0.2 arcsec per pixel, but the model learnt from images of 0.05")
    doubt = loaded.doubt_about(40, 20, 0.05)
    assert doubt is not None
    assert doubt.startswith("the image has 40x20 pixels, but the model looks at 32x32")
    # what is resampled to the pixel scale of the training needs no warning, and what never heard of one gives none
    assert DeepLenseImageProcessor(target_pixel_scale=0.05, learnt_pixel_scale=0.05).doubt_about(9, 9, 0.2) is None
    assert "learnt_pixel_scale" not in DeepLenseImageProcessor().to_dict()
    with pytest.raises(ValueError, match=r"learnt_pixel_scale=-1 must be positive"):
        DeepLenseImageProcessor(learnt_pixel_scale=-1)
