"""Points on a pixel grid, blurred by a telescope at their exact positions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .instruments import Instrument
from .point_spread import GaussianPointSpread, MoffatPointSpread, PointSpread, pixel_kernel

FloatArray = NDArray[np.float64]

# Gauss-Legendre points per pixel and axis over which a Moffat profile is averaged.
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(4)


@dataclass(frozen=True)
class PointImages:
    """Point-like light of a batch of systems.

    A point is blurred by what falls into each pixel, extended light by the profile at the pixels' centres, as
    lenstronomy does: a point is broader by 1/12 of a pixel squared in variance.

    Args:
        x: Positions along x, from the image's middle [arcsec], shape `(batch, points)`.
        y: Positions along y, from the image's middle [arcsec], shape `(batch, points)`.
        flux: Fluxes [electrons/s], shape `(batch, points, bands)`; zero means absent, whatever the position.

    Raises:
        ValueError: If the shapes do not agree, a flux is negative or not finite, or the position of a point with flux
            is not finite.
    """

    x: FloatArray
    y: FloatArray
    flux: FloatArray

    def __post_init__(self) -> None:
        if self.x.shape != self.y.shape or self.flux.ndim != 3 or self.flux.shape[:2] != self.x.shape:
            raise ValueError(
                f"x, y and flux have shapes {self.x.shape}, {self.y.shape} and {self.flux.shape}; they must be "
                "(batch, points), twice, and (batch, points, bands)."
            )
        if not (np.isfinite(self.flux).all() and (self.flux >= 0).all()):
            raise ValueError(f"flux={self.flux.min()} electrons/s: fluxes are finite and zero or more.")
        if not np.isfinite((self.x + self.y)[self.flux.any(axis=2)]).all():
            raise ValueError("a point with flux has no finite position; give it flux zero to leave it out.")

    def image(self, bands: Sequence[Instrument]) -> Tensor:
        """Put the points on the pixels of a telescope.

        Args:
            bands: One instrument per band, with the same number of pixels each.

        Returns:
            Images [electrons/s/pixel], float64, shape `(batch, bands, height, width)`, each independent of the batch.

        Raises:
            ValueError: If the number of bands is not that of the fluxes.
        """
        batch, _, number = self.flux.shape
        if len(bands) != number:
            raise ValueError(f"{len(bands)} instruments for fluxes in {number} bands; give one for each band.")
        size = bands[0].image_size
        images = np.zeros((batch, number, size, size))
        for system, point, band in np.argwhere(self.flux > 0).tolist():
            instrument = bands[band]
            add_point_(
                images[system, band],
                float(self.x[system, point]) / instrument.pixel_scale + (size - 1) / 2,
                float(self.y[system, point]) / instrument.pixel_scale + (size - 1) / 2,
                float(self.flux[system, point, band]),
                instrument.point_spread,
                instrument.pixel_scale,
            )
        return torch.from_numpy(images)


def add_point_(
    image: FloatArray, column: float, row: float, flux: float, point_spread: PointSpread, pixel_scale: float
) -> None:
    """Add a blurred point to an image, in place.

    A Gaussian is integrated over each pixel in closed form, a Moffat profile by Gauss-Legendre quadrature. A pixel
    kernel is shifted to the point by linear interpolation, as lenstronomy does, which broadens it by up to half a
    pixel. What falls outside the image is lost, as on a detector; otherwise the image's sum rises by the flux.

    Args:
        image: Image [electrons/s/pixel], shape `(height, width)`; added to.
        column: Position along x, in pixels from the first pixel's centre.
        row: Position along y, likewise.
        flux: The point's flux [electrons/s].
        point_spread: Point spread function; an analytic one is cut off at its truncation and renormalised.
        pixel_scale: Width of a pixel [arcsec].

    Source:
        lenstronomy `image_util.add_layer2image` for kernels (tests/simulation/test_point_images.py).
    """
    if isinstance(point_spread, GaussianPointSpread):
        first_column, along_columns = _gaussian_stripe(column, point_spread, pixel_scale)
        first_row, along_rows = _gaussian_stripe(row, point_spread, pixel_scale)
        stamp = along_rows[:, None] * along_columns
    elif isinstance(point_spread, MoffatPointSpread):
        first_row, first_column, stamp = _moffat_stamp(row, column, point_spread, pixel_scale)
    else:
        first_row, first_column, stamp = _shifted_kernel(row, column, pixel_kernel(point_spread, pixel_scale))
    height, width = image.shape
    rows = slice(max(0, -first_row), max(0, min(len(stamp), height - first_row)))
    columns = slice(max(0, -first_column), max(0, min(stamp.shape[1], width - first_column)))
    inside = stamp[rows, columns]
    if inside.size:
        top, left = first_row + rows.start, first_column + columns.start
        image[top : top + inside.shape[0], left : left + inside.shape[1]] += flux * inside


def _gaussian_stripe(position: float, point_spread: GaussianPointSpread, pixel_scale: float) -> tuple[int, FloatArray]:
    """First pixel and the share of the light in it and those after it, along one axis."""
    sigma = point_spread.sigma / pixel_scale
    reach = point_spread.truncation * sigma
    first, last = math.floor(position - reach + 0.5), math.floor(position + reach + 0.5)
    edges = [min(max(pixel - 0.5 - position, -reach), reach) for pixel in range(first, last + 2)]
    cumulative = np.array([math.erf(edge / (sigma * math.sqrt(2))) for edge in edges])
    return first, np.diff(cumulative) / (cumulative[-1] - cumulative[0])


def _moffat_stamp(
    row: float, column: float, point_spread: MoffatPointSpread, pixel_scale: float
) -> tuple[int, int, FloatArray]:
    limit = point_spread.truncation * point_spread.fwhm / pixel_scale
    reach = math.ceil(limit + 0.5)
    nearest_row, nearest_column = math.floor(row + 0.5), math.floor(column + 0.5)
    pixels = np.arange(-reach, reach + 1)[:, None] + NODES / 2
    along_rows, along_columns = pixels + (nearest_row - row), pixels + (nearest_column - column)
    radius_squared = along_rows[:, None, :, None] ** 2 + along_columns[None, :, None, :] ** 2
    core_squared = (point_spread.core_radius / pixel_scale) ** 2
    profile = (1 + radius_squared / core_squared) ** -point_spread.beta
    profile[radius_squared > limit**2] = 0
    # An explicit sum of products: a matrix product's rounding may depend on the processor's threads.
    stamp: FloatArray = (profile * (NODE_WEIGHTS[:, None] * NODE_WEIGHTS)).sum(axis=(2, 3))
    return nearest_row - reach, nearest_column - reach, stamp / stamp.sum()


def _shifted_kernel(row: float, column: float, kernel: FloatArray) -> tuple[int, int, FloatArray]:
    """Kernel on the pixels around a point, by linear interpolation; one row and column larger than the kernel."""
    reach = len(kernel) // 2
    first_row, first_column = math.floor(row), math.floor(column)
    below, right = row - first_row, column - first_column
    stamp = np.zeros((len(kernel) + 1, len(kernel) + 1))
    stamp[:-1, :-1] += (1 - below) * (1 - right) * kernel
    stamp[1:, :-1] += below * (1 - right) * kernel
    stamp[:-1, 1:] += (1 - below) * right * kernel
    stamp[1:, 1:] += below * right * kernel
    return first_row - reach, first_column - reach, stamp
