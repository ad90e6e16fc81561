import numpy as np
import pytest
from lenstronomy.Util import image_util

from deeplense_hf.simulation.instruments import EUCLID_VIS, Instrument
from deeplense_hf.simulation.point_images import PointImages, add_point_
from deeplense_hf.simulation.point_spread import (
    GaussianPointSpread,
    KernelPointSpread,
    MoffatPointSpread,
    PointSpread,
    pixel_kernel,
)

RANDOM = np.random.default_rng(0)
KERNEL = KernelPointSpread.from_array(np.pad(RANDOM.random((5, 5)), 2))
SPREADS = [GaussianPointSpread(0.16), MoffatPointSpread(0.3, beta=3.0), KERNEL]


def image_of(point_spread: PointSpread, column: float, row: float, size: int = 64, scale: float = 0.1) -> np.ndarray:
    image = np.zeros((size, size))
    add_point_(image, column, row, 7.0, point_spread, scale)
    return image


@pytest.mark.parametrize("point_spread", SPREADS)
@pytest.mark.parametrize("position", [(31.0, 30.0), (28.3, 33.8), (30.5, 31.5)])
def test_flux_and_centroid_are_kept(point_spread: PointSpread, position: tuple[float, float]) -> None:
    image, pixels = image_of(point_spread, *position), np.arange(64)
    offset = np.zeros(2)
    if point_spread is KERNEL:  # its own centroid is not its middle
        kernel = pixel_kernel(KERNEL, 0.1)
        offset = np.array([kernel.sum(axis) @ (np.arange(len(kernel)) - len(kernel) // 2) for axis in (0, 1)])
    assert image.sum() == pytest.approx(7)
    centroid = np.array([image.sum(0) @ pixels, image.sum(1) @ pixels]) / 7
    # A cut-off circle is not quite symmetric within pixels.
    np.testing.assert_allclose(centroid, np.array(position) + offset, atol=2e-3)


@pytest.mark.parametrize("position", [(31, 30), (2, 61), (-3, 5), (-40, 5)])
def test_a_kernel_on_a_pixel_equals_lenstronomy(position: tuple[int, int]) -> None:
    expected = image_util.add_layer2image(np.zeros((64, 64)), *position, 7.0 * pixel_kernel(KERNEL, 0.1))
    np.testing.assert_allclose(image_of(KERNEL, *position), expected, atol=1e-14)


@pytest.mark.parametrize("position", [(31.3, 30.4), (30.2, 33.9)])
def test_a_kernel_between_pixels_equals_lenstronomys_linear_interpolation(position: tuple[float, float]) -> None:
    expected = image_util.add_layer2image(np.zeros((64, 64)), *position, 7.0 * pixel_kernel(KERNEL, 0.1))
    np.testing.assert_allclose(image_of(KERNEL, *position), expected, atol=1e-12)


def test_gaussian_and_moffat_equal_finely_sampled_profiles() -> None:
    fine = 41
    axis = (np.arange(21 * fine) - (21 * fine - 1) / 2) / fine * 0.1
    column, row = 10.3, 9.8
    radius_squared = (axis - 0.03) ** 2 + (axis[:, None] + 0.02) ** 2
    gaussian, moffat = GaussianPointSpread(0.16), MoffatPointSpread(0.3, beta=3.0, truncation=3.0)
    profiles = {
        gaussian: np.exp(-radius_squared / 2 / gaussian.sigma**2),
        moffat: (1 + radius_squared / moffat.core_radius**2) ** -3.0 * (radius_squared < 0.9**2),
    }
    for point_spread, profile in profiles.items():
        expected = 7 * profile.reshape(21, fine, 21, fine).sum(axis=(1, 3)) / profile.sum()
        np.testing.assert_allclose(image_of(point_spread, column, row, size=21), expected, atol=2e-3)


def test_a_kernel_of_the_same_gaussian_is_broader_between_pixels() -> None:
    sharp = GaussianPointSpread(0.16)
    kernel = KernelPointSpread.from_array(image_of(sharp, 10, 10, size=21))
    np.testing.assert_allclose(image_of(kernel, 31, 30), image_of(sharp, 31, 30), atol=1e-9)
    assert image_of(kernel, 31.5, 30.5).max() < 0.95 * image_of(sharp, 31.5, 30.5).max()


def test_points_of_a_batch_lie_where_they_should_in_every_band() -> None:
    x, y = np.array([[0.0505, -1.0], [0.3, np.nan]]), np.array([[1.0605, 0.5], [0.0, np.nan]])
    flux = np.array([[[2.0, 1.0], [3.0, 0.0]], [[1.0, 5.0], [0.0, 0.0]]])
    camera = Instrument("camera", 0.101, 64, GaussianPointSpread(0.12))
    images = PointImages(x, y, flux).image([camera, Instrument("other", 0.101, 64, MoffatPointSpread(0.5))]).numpy()
    assert images.shape == (2, 2, 64, 64)
    np.testing.assert_allclose(images.sum(axis=(2, 3)), flux.sum(axis=1), rtol=1e-6)
    assert images[0, 0, 42, 32] == images[0, 0].max(where=np.arange(64) > 28, initial=0)
    alone = PointImages(x[1:], y[1:], flux[1:]).image([camera, camera]).numpy()
    np.testing.assert_array_equal(alone[0, 0], images[1, 0])


def test_unusable_points_are_named() -> None:
    with pytest.raises(ValueError, match="shapes"):
        PointImages(np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="flux=-1"):
        PointImages(np.zeros((1, 1)), np.zeros((1, 1)), np.full((1, 1, 1), -1.0))
    with pytest.raises(ValueError, match="no finite position"):
        PointImages(np.full((1, 1), np.nan), np.zeros((1, 1)), np.ones((1, 1, 1)))
    with pytest.raises(ValueError, match="2 instruments for fluxes in 1 bands"):
        PointImages(np.zeros((1, 1)), np.zeros((1, 1)), np.ones((1, 1, 1))).image([EUCLID_VIS, EUCLID_VIS])
