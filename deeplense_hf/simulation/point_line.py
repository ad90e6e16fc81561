"""Deflections of equal point masses in a row, in closed form."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]

# Rays nearer to the row than this, beside it and from its ends, are summed point by point [distances of points]: there
# the closed form is wrong by more than 1e-8 and 1e-6 (1e-14 and 1e-10) of the nearest point's deflection.
NEAR_SIDE = {torch.float32: 3.0, torch.float64: 5.2}
NEAR_END = {torch.float32: 8.0, torch.float64: 60.0}
# A shorter row is a point [arcsec].
SHORTEST = 1e-6


@dataclass(frozen=True)
class PointLine:
    """Equal point masses, evenly spaced on a straight line through the origin, in each system of a batch.

    In complex coordinates along the line, in units of the points' distance, n points deflect as the sum of
    1 / (z - j), which is digamma(z + n/2 + 1/2) - digamma(z - n/2 + 1/2). Away from the line this is
    log((z + n/2) / (z - n/2)) + ((z + n/2)^-2 - (z - n/2)^-2) / 24 to the next term, 7/960 of the fourth power: the
    logarithm of a continuous line, and a correction for its ends.

    Args:
        half_length: Distance of the outermost points from the origin [arcsec], shape `(batch,)`.
        angle: Angle of the line from the x axis [rad], shape `(batch,)`.
        einstein_radius: Einstein radius of a single point [arcsec], shape `(batch,)`.
        points: Number of points, both ends included.

    Raises:
        ValueError: If there are fewer than two points, or a length or radius is negative.

    Source:
        Abramowitz & Stegun (1964), 6.3.5, 6.3.7 and 6.3.18, the last about z - 1/2. Equal to a sum of lenstronomy's
        POINT_MASS (tests/simulation/test_renderer.py, test_point_line.py).
    """

    half_length: FloatArray
    angle: FloatArray
    einstein_radius: FloatArray
    points: int

    def __post_init__(self) -> None:
        if self.points < 2:
            raise ValueError(f"points={self.points} must be 2 or more.")
        for name in ("half_length", "einstein_radius"):
            values = getattr(self, name)
            if not (values >= 0).all():
                raise ValueError(f"{name}={values[~(values >= 0)][0]} arcsec must be zero or more.")

    def subtract_deflections_(
        self, axis: FloatArray, p: Tensor, q: Tensor, scale: tuple[float, float], chunk: slice
    ) -> None:
        """Subtract the summed deflections from positions on a grid, in place.

        Args:
            axis: Positions of the grid's rays along either axis [arcsec], shape `(size,)`.
            p: Scaled positions along x, shape `(chunk, size, size)`; overwritten.
            q: Scaled positions along y, shape `(chunk, size, size)`; overwritten.
            scale: Units of p and q [1/arcsec].
            chunk: Which systems of the batch p and q belong to.
        """
        flat = [values.view(len(values), -1) for values in (p, q)]
        near = {}
        for row, system in enumerate(range(len(self.angle))[chunk]):
            rays = self._near_rays(system, axis, p.dtype)
            if len(rays):
                index = torch.from_numpy(rays).to(p.device)
                near[system] = rays, index, tuple((values[row], values[row].index_select(0, index)) for values in flat)
        self._subtract_closed_form_(axis, p, q, scale, chunk)
        for system, (rays, index, before) in near.items():
            self._subtract_points_(system, axis, rays, index, before, scale)

    def _subtract_closed_form_(
        self, axis: FloatArray, p: Tensor, q: Tensor, scale: tuple[float, float], chunk: slice
    ) -> None:
        """Subtract what all rays are deflected by if they are far from the line."""

        def tensor(array: FloatArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device=p.device, dtype=p.dtype)

        spacing = 2 * np.maximum(self.half_length[chunk], SHORTEST)[:, None, None] / (self.points - 1)
        end = spacing * (self.points / 2)
        cosine, sine = (wave(self.angle[chunk])[:, None, None] for wave in (np.cos, np.sin))
        x, y = axis[None, None, :], axis[None, :, None]
        strength = self.einstein_radius[chunk, None, None] ** 2
        along = torch.add(tensor(cosine * x), tensor(sine * y))
        beyond, before = along + tensor(end), along - tensor(end)
        across = torch.sub(tensor(cosine * y), tensor(sine * x))
        across_squared = across * across
        inverse_beyond = torch.addcmul(across_squared, beyond, beyond).reciprocal_()
        inverse_before = torch.addcmul(across_squared, before, before).reciprocal_()
        # Twice the real part of the logarithm, and minus its imaginary part, neither with a loss of digits far away.
        logarithm = (inverse_before * along).mul_(tensor(4 * end)).log1p_()
        angle = torch.atan2(tensor(2 * end) * across, torch.addcmul(across_squared, beyond, before))
        # Real and imaginary part of the correction.
        correction = (inverse_beyond + inverse_before).mul_(across_squared).mul_(-2).add_(1)
        correction.mul_(inverse_beyond - inverse_before)
        bend = beyond.mul_(inverse_beyond.square_()).sub_(before.mul_(inverse_before.square_())).mul_(across)
        pull_along = logarithm.mul_(tensor(strength / (2 * spacing))).addcmul_(
            correction, tensor(strength * spacing / 24)
        )
        pull_across = angle.mul_(tensor(strength / spacing)).addcmul_(bend, tensor(strength * spacing / 12))
        for values, unit, parts in ((p, scale[0], (cosine, -sine)), (q, scale[1], (sine, cosine))):
            values.addcmul_(pull_along, tensor(-unit * parts[0])).addcmul_(pull_across, tensor(-unit * parts[1]))

    def _near_rays(self, system: int, axis: FloatArray, dtype: torch.dtype) -> NDArray[np.int64]:
        """Flat numbers of the rays that are too near to the line for the closed form, in rising order."""
        half_length, angle = self.half_length[system], self.angle[system]
        spacing = 2 * half_length / (self.points - 1)
        radius, side, end = NEAR_END[dtype] * spacing, NEAR_SIDE[dtype] * spacing, self.points / 2 * spacing
        cosine, sine = math.cos(angle), math.sin(angle)
        columns, rows = (np.flatnonzero(np.abs(axis) <= end * abs(component) + radius) for component in (cosine, sine))
        if not (len(columns) and len(rows)):
            return np.zeros(0, dtype=np.int64)
        x, y = axis[None, columns], axis[rows, None]
        along, across = np.abs(cosine * x + sine * y), np.abs(cosine * y - sine * x)
        beside = (across <= side) & (along <= end)
        beside |= (along - end) ** 2 + across**2 <= radius**2
        row, column = np.nonzero(beside)
        return rows[row] * len(axis) + columns[column]

    def _subtract_points_(
        self,
        system: int,
        axis: FloatArray,
        near: NDArray[np.int64],
        index: Tensor,
        rays: Sequence[tuple[Tensor, Tensor]],
        scale: tuple[float, float],
    ) -> None:
        """Subtract the sum over the points from some rays, each plane given with what it was there before."""
        along = float(self.half_length[system]) * _unit_line(self.points)
        like = rays[0][0]
        # Differences in double precision: near a mass their rounding decides the deflection.
        offsets = [
            torch.from_numpy(axis[places, None] - along * wave(self.angle[system])).to(like)
            for places, wave in ((near % len(axis), math.cos), (near // len(axis), math.sin))
        ]
        # The smallest number keeps the quotient finite at a mass's own position, where it deflects by nothing.
        inverse = (offsets[0] * offsets[0]).addcmul_(offsets[1], offsets[1])
        inverse.add_(10 * torch.finfo(like.dtype).tiny).reciprocal_()
        strength = float(self.einstein_radius[system]) ** 2
        for (values, before), offset, unit in zip(rays, offsets, scale, strict=True):
            values.index_copy_(0, index, before.sub_(offset.mul_(inverse).sum(dim=1).mul_(unit * strength)))


@lru_cache(maxsize=8)
def _unit_line(points: int) -> FloatArray:
    return np.linspace(-1, 1, points)
