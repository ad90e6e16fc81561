import math

import numpy as np
import pytest
import scipy.ndimage
from lenstronomy.LightModel.Profiles.moffat import Moffat

from deeplense_hf.simulation.point_spread import (
    GaussianPointSpread,
    KernelPointSpread,
    MoffatPointSpread,
    PointSpread,
    pixel_kernel,
)


@pytest.mark.parametrize(
    "point_spread", [GaussianPointSpread(0.16), MoffatPointSpread(0.7), MoffatPointSpread(0.7, 2.5)]
)
def test_kernels_are_normalised_symmetric_and_as_wide_as_said(point_spread: PointSpread) -> None:
    kernel = pixel_kernel(point_spread, 0.02)
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel.T)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1])
    middle = kernel[len(kernel) // 2]
    positions = 0.02 * (np.arange(len(middle)) - len(middle) // 2)
    half = np.interp(-middle.max() / 2, -middle[len(middle) // 2 :], positions[len(middle) // 2 :])
    assert half == pytest.approx(point_spread.fwhm / 2, rel=0.02)


def test_a_gaussian_is_scipys() -> None:
    point = np.zeros((41, 41))
    point[20, 20] = 1
    kernel = pixel_kernel(GaussianPointSpread(0.3, truncation=4), 0.1)
    reach = len(kernel) // 2
    expected = scipy.ndimage.gaussian_filter(point, GaussianPointSpread(0.3).sigma / 0.1, truncate=4)
    np.testing.assert_allclose(kernel, expected[20 - reach : 21 + reach, 20 - reach : 21 + reach], atol=1e-12)


def test_a_moffat_profile_is_lenstronomys_within_what_averaging_over_pixels_changes() -> None:
    point_spread = MoffatPointSpread(0.7, beta=3.5, truncation=4)
    kernel = pixel_kernel(point_spread, 0.05)
    axis = 0.05 * (np.arange(len(kernel)) - len(kernel) // 2)
    x, y = np.meshgrid(axis, axis)
    profile = Moffat().function(x, y, amp=1.0, alpha=point_spread.core_radius, beta=3.5)
    profile = np.where(np.hypot(x, y) <= 4 * 0.7, profile, 0)
    np.testing.assert_allclose(kernel, profile / profile.sum(), atol=0.01 * kernel.max())


def test_a_given_kernel_is_normalised() -> None:
    kernel = pixel_kernel(KernelPointSpread.from_array(np.arange(9.0).reshape(3, 3)), 0.1)
    np.testing.assert_allclose(kernel, np.arange(9).reshape(3, 3) / 36)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianPointSpread(0.0), "fwhm=0.0"),
        (lambda: MoffatPointSpread(0.7, beta=1.0), "beta=1.0"),
        (lambda: MoffatPointSpread(math.nan), "fwhm=nan"),
        (lambda: KernelPointSpread(((1.0, 2.0), (1.0, 2.0))), "odd square"),
        (lambda: KernelPointSpread(((-1.0,),)), "sums to -1.0"),
        (lambda: KernelPointSpread.from_array(np.ones(3)), "two dimensions"),
    ],
)
def test_unusable_point_spreads_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
