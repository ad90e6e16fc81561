"""Rings, arcs and spiral arms that no lens made: light along a circle or along logarithmic spirals, with clumps."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .brightness import FloatArray, add_present_, check_components, check_ellipticity, check_positive, column
from .light import INNER_RADIUS
from .sersic_light import elliptical_coordinates

_STEPS_RADIUS = 96
_STEPS_ANGLE = 256
_SIGMAS = 5.0


@dataclass(frozen=True)
class ArcLight:
    """A ring, an arc or spiral arms in each system of a batch; a `Light`.

    In polar coordinates (r, phi) of the ellipse, with u = ln(r / radius), the brightness is proportional to

        exp(-u^2 / (2 width^2)) exp(concentration (cos(arms (phi - angle - winding u)) - 1)) exp(clumps)

    where clumps is the sum over j of clump_strength_j cos(clump_waves_phi_j phi + clump_waves_u_j u + clump_phase_j).
    Winding 0 and concentration 0 is a ring, winding 0 and one arm an arc, a winding other than 0 spiral arms of pitch
    angle arctan(1 / winding).

    Attributes:
        x: Centre [arcsec], shape `(batch,)`.
        y: Centre [arcsec], shape `(batch,)`.
        radius: Product-averaged radius at which it is brightest [arcsec], shape `(batch,)`.
        width: Standard deviation of the logarithm of the radius, shape `(batch,)`.
        ellipticity_1: (1 - q) / (1 + q) cos 2 phi, where q is the axis ratio and phi the major axis's angle.
        ellipticity_2: (1 - q) / (1 + q) sin 2 phi.
        arms: Number of arms, whole numbers, shape `(batch,)`.
        angle: Direction in which an arm crosses the radius [radian], shape `(batch,)`.
        concentration: How narrow the arms are, shape `(batch,)`; 0 is a full ring.
        winding: How much the arms turn per unit of u [radian], shape `(batch,)`.
        clump_strength: Shape `(batch, clumps)`; the number of clump waves may be 0.
        clump_waves_phi: Whole numbers, shape `(batch, clumps)`.
        clump_waves_u: Shape `(batch, clumps)`.
        clump_phase: [radian], shape `(batch, clumps)`.
        flux: Of the whole light [electrons/s], shape `(batch, bands)`; all zero if it is absent.

    Raises:
        ValueError: If a value is unphysical or the shapes do not fit.

    Source:
        Logarithmic arms: Kennicutt (1981), AJ 86, 1847. The profile across is a choice of ours.
    """

    x: FloatArray
    y: FloatArray
    radius: FloatArray
    width: FloatArray
    ellipticity_1: FloatArray
    ellipticity_2: FloatArray
    arms: FloatArray
    angle: FloatArray
    concentration: FloatArray
    winding: FloatArray
    clump_strength: FloatArray
    clump_waves_phi: FloatArray
    clump_waves_u: FloatArray
    clump_phase: FloatArray
    flux: FloatArray

    def __post_init__(self) -> None:
        check_components(
            "ArcLight", self.flux, x=self.x, y=self.y, radius=self.radius, width=self.width, arms=self.arms,
            ellipticity_1=self.ellipticity_1, ellipticity_2=self.ellipticity_2, angle=self.angle,
            concentration=self.concentration, winding=self.winding,
        )  # fmt: skip
        check_positive("ArcLight", self.flux, "arcsec", radius=self.radius)
        check_positive("ArcLight", self.flux, "(a pure number)", width=self.width)
        check_ellipticity("ArcLight", self.ellipticity_1, self.ellipticity_2)
        if not np.array_equal(self.arms, np.round(self.arms)):
            raise ValueError(f"ArcLight: arms={self.arms} must be whole numbers, or the light has a seam.")
        waves = (self.clump_strength, self.clump_waves_phi, self.clump_waves_u, self.clump_phase)
        if len({wave.shape for wave in waves}) != 1 or self.clump_phase.shape[:-1] != self.x.shape:
            raise ValueError(
                f"ArcLight: clumps have shapes {[wave.shape for wave in waves]}; (batch, clumps) is allowed."
            )
        if not np.array_equal(self.clump_waves_phi, np.round(self.clump_waves_phi)):
            raise ValueError("ArcLight: clump_waves_phi must be whole numbers, or the light has a seam.")

    def add_brightness_(self, image: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the surface brightness at positions, in place, as `components.Light` says."""
        add_present_(image, x, y, rows, self.flux, self._profile)

    def _profile(self, x: Tensor, y: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Surface brightness of unit flux [1/arcsec^2], shape `(rows, height, width)`."""
        along, across = elliptical_coordinates(
            x, y, self.x[rows], self.y[rows], self.ellipticity_1[rows], self.ellipticity_2[rows], self.radius[rows]
        )
        phi = torch.atan2(across, along)
        squared = along.mul_(along).add_(across.mul_(across))
        everything = np.arange(len(rows))
        floor = column((INNER_RADIUS / self.radius[rows]) ** 2, everything, x)
        log_radius = squared.maximum(floor).log_().mul_(0.5)
        log_norm = np.log(self._unit_fluxes[rows] * self.radius[rows] ** 2)
        exponent = log_radius.square() * column(-0.5 / self.width[rows] ** 2, everything, x)
        exponent.sub_(column(log_norm, everything, x))
        if self.concentration[rows].any():
            phase = (phi - column(self.angle, rows, x)).sub_(log_radius * column(self.winding, rows, x))
            pattern = phase.mul_(column(self.arms, rows, x)).cos_().sub_(1)
            exponent.add_(pattern.mul_(column(self.concentration, rows, x)))
        for clump in range(self.clump_strength.shape[1]):
            wave = phi * column(self.clump_waves_phi[:, clump], rows, x)
            wave.add_(log_radius * column(self.clump_waves_u[:, clump], rows, x))
            wave.add_(column(self.clump_phase[:, clump], rows, x)).cos_()
            exponent.add_(wave.mul_(column(self.clump_strength[:, clump], rows, x)))
        return exponent.exp_()

    @cached_property
    def _unit_fluxes(self) -> FloatArray:
        """Integral of each brightness of unit radius over the plane, by the trapezoidal rule, shape `(batch,)`."""
        integrals = np.ones(len(self.x))
        phi = np.arange(_STEPS_ANGLE) * 2 * np.pi / _STEPS_ANGLE
        for row in np.flatnonzero(self.flux.any(axis=1)).tolist():
            width = float(self.width[row])
            # the area grows as exp(2 u), which moves the Gaussian's middle
            u = 2 * width**2 + width * np.linspace(-_SIGMAS, _SIGMAS, _STEPS_RADIUS)[:, None]
            exponent = 2 * u - 0.5 * (u / width) ** 2
            phase = phi - self.angle[row] - self.winding[row] * u
            exponent = exponent + self.concentration[row] * (np.cos(self.arms[row] * phase) - 1)
            for strength, waves_phi, waves_u, clump_phase in zip(
                self.clump_strength[row], self.clump_waves_phi[row], self.clump_waves_u[row], self.clump_phase[row],
                strict=True,
            ):  # fmt: skip
                exponent = exponent + strength * np.cos(waves_phi * phi + waves_u * u + clump_phase)
            step = 2 * _SIGMAS * width / (_STEPS_RADIUS - 1) * 2 * np.pi / _STEPS_ANGLE
            integrals[row] = np.exp(exponent).sum() * step
        return integrals
