"""Elliptical Sersic profiles, one per system: lens galaxies, sources, companions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from torch import Tensor

from .brightness import FloatArray, add_present_, check_components, check_ellipticity, check_positive, column
from .light import INNER_RADIUS


@dataclass(frozen=True)
class SersicLight:
    """An elliptical Sersic profile in each system of a batch; a `Light`.

    Attributes:
        x: Centre [arcsec], shape `(batch,)`.
        y: Centre [arcsec], shape `(batch,)`.
        half_light_radius: Product-averaged radius that holds half of the light [arcsec], shape `(batch,)`.
        sersic_index: Shape `(batch,)`.
        ellipticity_1: (1 - q) / (1 + q) cos 2 phi, where q is the axis ratio and phi the major axis's angle.
        ellipticity_2: (1 - q) / (1 + q) sin 2 phi.
        flux: Of the whole profile [electrons/s], shape `(batch, bands)`; all zero if the light is absent.

    Raises:
        ValueError: If a value is unphysical or the shapes do not fit.

    Source:
        Sersic (1968), normalised by Graham & Driver (2005), eq. 2, arXiv:astro-ph/0503176. Equal to lenstronomy's
        SERSIC_ELLIPSE within its window of 1000 radii (tests/simulation/test_sersic_light.py).
    """

    x: FloatArray
    y: FloatArray
    half_light_radius: FloatArray
    sersic_index: FloatArray
    ellipticity_1: FloatArray
    ellipticity_2: FloatArray
    flux: FloatArray

    def __post_init__(self) -> None:
        check_components(
            "SersicLight", self.flux, x=self.x, y=self.y, half_light_radius=self.half_light_radius,
            sersic_index=self.sersic_index, ellipticity_1=self.ellipticity_1, ellipticity_2=self.ellipticity_2,
        )  # fmt: skip
        check_positive("SersicLight", self.flux, "arcsec", half_light_radius=self.half_light_radius)
        check_positive("SersicLight", self.flux, "(a pure number)", sersic_index=self.sersic_index)
        check_ellipticity("SersicLight", self.ellipticity_1, self.ellipticity_2)

    def add_brightness_(self, image: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the surface brightness at positions, in place, as `components.Light` says.

        The centre of a profile with an index above 1 is narrower than a pixel: sample it more finely than that.
        """
        add_present_(image, x, y, rows, self.flux, self._profile)

    def _profile(self, x: Tensor, y: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Surface brightness of unit flux [1/arcsec^2], shape `(rows, height, width)`."""
        index = self.sersic_index[rows]
        exponent = sersic_exponents(index)
        # radii are measured in units in which the profile is exp(-radius^(1/n)) times the value at the centre
        unit = self.half_light_radius[rows] / exponent**index
        log_centre = -np.log(2 * np.pi * index * unit**2) - gammaln(2 * index)
        along, across = elliptical_coordinates(
            x, y, self.x[rows], self.y[rows], self.ellipticity_1[rows], self.ellipticity_2[rows], unit
        )
        squared = along.mul_(along).add_(across.mul_(across))
        everything = np.arange(len(rows))
        squared = squared.maximum(column((INNER_RADIUS / unit) ** 2, everything, x))
        root = squared.log_().mul_(column(0.5 / index, everything, x)).exp_()
        return root.neg_().add_(column(log_centre, everything, x)).exp_()


def sersic_exponents(sersic_index: FloatArray) -> FloatArray:
    """Coefficients b_n that make the Sersic radius hold half of the light.

    Args:
        sersic_index: Sersic indices n.

    Returns:
        `light.sersic_exponent` of each.
    """
    return np.maximum(1.9992 * sersic_index - 0.3271, 1e-5)


def elliptical_coordinates(
    x: Tensor,
    y: Tensor,
    center_x: FloatArray,
    center_y: FloatArray,
    ellipticity_1: FloatArray,
    ellipticity_2: FloatArray,
    unit: FloatArray,
) -> tuple[Tensor, Tensor]:
    """Coordinates about a centre per system in which its ellipses are circles.

    Args:
        x: Positions [arcsec], broadcasts with y to `(rows, height, width)`.
        y: Positions [arcsec].
        center_x: [arcsec], shape `(rows,)`.
        center_y: [arcsec], shape `(rows,)`.
        ellipticity_1: Shape `(rows,)`.
        ellipticity_2: Shape `(rows,)`.
        unit: Product-averaged radius that becomes 1 [arcsec], shape `(rows,)`.

    Returns:
        Two coordinates of shape `(rows, height, width)`, fresh memory.

    Source:
        lenstronomy `param_util.transform_e1e2_product_average`.
    """
    rows = np.arange(len(unit))
    norm = unit * np.sqrt(1 - ellipticity_1**2 - ellipticity_2**2)
    shift_x, shift_y = x - column(center_x, rows, x), y - column(center_y, rows, x)
    skew = column(-ellipticity_2 / norm, rows, x)
    along = shift_x * column((1 - ellipticity_1) / norm, rows, x) + shift_y * skew
    across = shift_x * skew + shift_y * column((1 + ellipticity_1) / norm, rows, x)
    return along, across
