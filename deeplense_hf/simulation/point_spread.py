"""Point spread functions: how a telescope blurs a point."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
# Points per pixel and axis over which a profile is averaged to give a pixel's share of the light.
SAMPLES_PER_PIXEL = 5


@dataclass(frozen=True)
class GaussianPointSpread:
    """A round Gaussian, taken at pixel centres as lenstronomy and scipy do.

    Args:
        fwhm: Full width at half maximum [arcsec].
        truncation: Where it is cut off [standard deviations].

    Raises:
        ValueError: If a value is not positive.
    """

    fwhm: float
    truncation: float = 5.0

    def __post_init__(self) -> None:
        _require_positive(self, "fwhm", "truncation")

    @property
    def sigma(self) -> float:
        """Standard deviation [arcsec]."""
        return self.fwhm / FWHM_PER_SIGMA


@dataclass(frozen=True)
class MoffatPointSpread:
    """A round Moffat profile, the usual shape of atmospheric seeing, averaged over pixels.

    Args:
        fwhm: Full width at half maximum [arcsec].
        beta: Exponent; 2.5 to 5 for the atmosphere, a Gaussian for infinity.
        truncation: Radius at which it is cut off [full widths at half maximum].

    Raises:
        ValueError: If a value is not positive, or beta is 1 or less, which holds infinite light.

    Source:
        Moffat (1969), A&A 3, 455.
    """

    fwhm: float
    beta: float = 3.5
    truncation: float = 4.0

    def __post_init__(self) -> None:
        _require_positive(self, "fwhm", "truncation")
        if not self.beta > 1:
            raise ValueError(f"beta={self.beta} of a Moffat profile must be above 1.")

    @property
    def core_radius(self) -> float:
        """Radius alpha of (1 + (r / alpha)^2)^-beta [arcsec]."""
        return self.fwhm / (2 * math.sqrt(2 ** (1 / self.beta) - 1))


@dataclass(frozen=True)
class KernelPointSpread:
    """A measured point spread function, in pixels of the image.

    Args:
        kernel: Rows of an odd square; normalised when used.

    Raises:
        ValueError: If it is not an odd square of finite numbers with a positive sum.
    """

    kernel: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        rows = len(self.kernel)
        if rows % 2 == 0 or any(len(row) != rows for row in self.kernel):
            raise ValueError(f"kernel has {rows} rows of {len(self.kernel[0]) if rows else 0}; give an odd square.")
        total = math.fsum(map(math.fsum, self.kernel))
        if not (math.isfinite(total) and total > 0):
            raise ValueError(f"kernel sums to {total}; a point spread function is finite and has a positive sum.")

    @classmethod
    def from_array(cls, kernel: NDArray[np.floating]) -> "KernelPointSpread":
        """Take a kernel from an array.

        Args:
            kernel: Odd square, shape `(size, size)`.

        Returns:
            The point spread function.

        Raises:
            ValueError: If the kernel is not two-dimensional or otherwise not usable.
        """
        if kernel.ndim != 2:
            raise ValueError(f"kernel has shape {kernel.shape}; a point spread function has two dimensions.")
        return cls(tuple(tuple(float(value) for value in row) for row in kernel))


PointSpread = GaussianPointSpread | MoffatPointSpread | KernelPointSpread


@lru_cache(maxsize=32)
def pixel_kernel(point_spread: PointSpread, pixel_scale: float) -> FloatArray:
    """Kernel by which an image is convolved.

    Args:
        point_spread: The point spread function.
        pixel_scale: Width of a pixel [arcsec].

    Returns:
        Weights that sum to 1, shape `(size, size)` with an odd size; read-only.
    """
    if isinstance(point_spread, KernelPointSpread):
        kernel = np.asarray(point_spread.kernel, dtype=np.float64)
    elif isinstance(point_spread, GaussianPointSpread):
        sigma = point_spread.sigma / pixel_scale
        reach = int(point_spread.truncation * sigma + 0.5)
        along = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        kernel = along[:, None] * along
    else:
        kernel = _moffat_kernel(point_spread, pixel_scale)
    kernel = kernel / kernel.sum()
    kernel.setflags(write=False)
    return kernel


def _moffat_kernel(point_spread: MoffatPointSpread, pixel_scale: float) -> FloatArray:
    limit = point_spread.truncation * point_spread.fwhm
    reach = max(1, math.ceil(limit / pixel_scale))
    samples = (2 * reach + 1) * SAMPLES_PER_PIXEL
    axis = (np.arange(samples) - (samples - 1) / 2) * (pixel_scale / SAMPLES_PER_PIXEL)
    radius_squared = axis[:, None] ** 2 + axis**2
    profile = (1 + radius_squared / point_spread.core_radius**2) ** -point_spread.beta
    profile[radius_squared > limit**2] = 0
    size = 2 * reach + 1
    averaged: FloatArray = profile.reshape(size, SAMPLES_PER_PIXEL, size, SAMPLES_PER_PIXEL).mean(axis=(1, 3))
    return averaged


def _require_positive(point_spread: GaussianPointSpread | MoffatPointSpread, *fields: str) -> None:
    for field in fields:
        value = getattr(point_spread, field)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{type(point_spread).__name__}: {field}={value} is not a positive number.")
