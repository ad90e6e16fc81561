"""Deflections of many truncated haloes: on a grid of rays they are two products of matrices."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .halo_structure import TRUNCATION_RANGE

FloatArray = NDArray[np.float64]

# A Gaussian term that deflects no ray of the grid by more than this [arcsec] is left out.
NEGLIGIBLE_DEFLECTION = 1e-7
# Haloes weaker than this [arcsec] are sums of fewer Gaussians, exact to 1e-6 arcsec.
WEAK_DEFLECTION = 1e-3
# Gaussians wider than this fraction of the grid are summed at so many Chebyshev nodes along each axis and interpolated
# from there, to 1e-6 of each.
SMOOTH_FRACTION = 20
NODES = 48
# Products of matrices whose sizes are multiples of this are rounded alike by any number of threads.
SIZE_MULTIPLE = 16
# Terms worked on at a time: their rows and columns stay in the processor's cache.
TERMS_PER_STEP = 512
# Haloes worked on at a time at positions that are no grid.
HALOES_PER_STEP = 64
# Widths of the Gaussians [scale radii]: the largest error over all truncation radii, and radii up to 2000 (coarse:
# 1000) scale radii, was minimised. It is 1.5e-5 (coarse: 1e-3) of the halo's largest deflection.
# fmt: off
FINE_WIDTHS = (
    3.108e-05, 9.51e-05, 0.0002355, 0.0005154, 0.001039, 0.001972, 0.003567, 0.006206, 0.01047,
    0.01718, 0.02754, 0.04327, 0.06666, 0.1005, 0.1488, 0.2177, 0.3171, 0.4613,
    0.6715, 0.9794, 1.432, 2.102, 3.097, 4.583, 6.819, 10.21, 15.39,
    23.38, 35.82, 55.46, 86.87, 137.8, 221.7, 364.7, 644.9, 1567,
)
COARSE_WIDTHS = (
    0.000799, 0.003092, 0.008544, 0.02, 0.04223, 0.0825, 0.1504, 0.2649, 0.4606, 0.7971,
    1.381, 2.406, 4.239, 7.592, 13.9, 26.18, 51.11, 104.3, 227.1, 623.9,
)
# fmt: on


@dataclass(frozen=True)
class TruncatedHaloes:
    """Haloes with the profile of Navarro, Frenk & White, smoothly truncated, of a batch of systems.

    The three-dimensional density is proportional to t^2 / (t^2 + r^2) / (r (r_s + r)^2). With a truncation radius t
    of many scale radii r_s it is the profile without truncation out to about t / 10.

    Args:
        x: Positions of the haloes along x [arcsec], shape `(batch, haloes)`.
        y: Positions of the haloes along y [arcsec], shape `(batch, haloes)`.
        scale_radius: Scale radii [arcsec], shape `(batch, haloes)`.
        truncation_radius: Truncation radii [arcsec], shape `(batch, haloes)`; 0.1 to 1000 scale radii.
        deflection: Deflection that the halo would cause at its scale radius if it were not truncated [arcsec], shape
            `(batch, haloes)`; lenstronomy's `alpha_Rs`. Zero means absent, whatever the other entries.

    Raises:
        ValueError: If the shapes differ, a deflection is negative or not a number, or a halo that is present has an
            unphysical radius.

    Source:
        Baltz, Marshall & Oguri (2009), arXiv:0705.0682, appendix A with n=1. Equal to lenstronomy's TNFW
        (tests/simulation/test_truncated_haloes.py), which softens the innermost thousandth of the scale radius.
    """

    x: FloatArray
    y: FloatArray
    scale_radius: FloatArray
    truncation_radius: FloatArray
    deflection: FloatArray

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in self.__dataclass_fields__}
        if len(set(shapes.values())) > 1 or self.x.ndim != 2:
            raise ValueError(f"shapes {shapes} of the haloes must all be the same (batch, haloes).")
        if not (self.deflection >= 0).all():
            raise ValueError(f"deflection={self.deflection.min()} arcsec must be zero or more. Use zero for no halo.")
        present = self.deflection > 0
        if not (self.scale_radius[present] > 0).all():
            raise ValueError(f"scale_radius={self.scale_radius[present].min()} arcsec of a halo must be positive.")
        lowest, highest = TRUNCATION_RANGE
        ratio = self.truncation_radius[present] / self.scale_radius[present]
        if not ((ratio >= lowest) & (ratio <= highest)).all():
            raise ValueError(
                f"truncation radii of {ratio.min()} to {ratio.max()} scale radii: use {lowest} to {highest}."
            )

    def __len__(self) -> int:
        return len(self.x)

    def add_deflection_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        """Add the deflection of the haloes in place; see `components.Deflector`.

        On a grid (x a row and y a column) each halo is a sum of Gaussians, exact to 5e-5 of its largest deflection
        (2e-5 when truncated beyond 0.2 scale radii) or, if it is weak, to 1e-6 arcsec, out to 2000 (weak: 800) scale
        radii; beyond, its deflection fades away. At other positions the closed form is evaluated in double
        precision, some thirty times slower. Every system is worked on alone and without its absent
        haloes, so that its result does not depend on what is around it.

        Args:
            deflection_x: Deflection along x [arcsec], shape `(rows, height, width)`; added to.
            deflection_y: Deflection along y [arcsec], shape `(rows, height, width)`; added to.
            x: Positions [arcsec], shape `(1 or rows, 1 or height, width)`.
            y: Positions [arcsec], shape `(1 or rows, height, 1 or width)`.
            rows: Which systems of the batch.
        """
        is_grid = x.shape[1] == 1 and y.shape[2] == 1
        for row, system in enumerate(range(*rows.indices(len(self)))):
            present = self.deflection[system] > 0
            if not present.any():
                continue
            haloes = TruncatedHaloes(*(getattr(self, name)[system : system + 1, present] for name in FIELDS))
            x_row, y_row = x[row if len(x) > 1 else 0], y[row if len(y) > 1 else 0]
            if is_grid:
                haloes._add_on_grid_(deflection_x[row], deflection_y[row], x_row[0], y_row[:, 0])
            else:
                haloes._add_anywhere_(deflection_x[row], deflection_y[row], x_row, y_row)

    def _add_on_grid_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor) -> None:
        """Add the deflection of one system at all pairs of `width` columns and `height` rows."""
        height, width, precision = len(y), len(x), _precision(x)
        x, y = _padded(x.double()), _padded(y.double())
        terms = _Terms(*(torch.from_numpy(values).to(x.device) for values in self._gaussian_terms()))
        extent = max(float(axis.amax() - axis.amin()) for axis in (x, y))
        is_smooth = terms.width > extent / SMOOTH_FRACTION
        if min(height, width) <= NODES:
            is_smooth.zero_()
        total = self._sum_terms(terms.select(~is_smooth), x, y, precision)
        smooth = terms.select(is_smooth)
        if len(smooth.halo):
            (nodes_x, weights_x), (nodes_y, weights_y) = _interpolation(x), _interpolation(y)
            at_nodes = self._sum_terms(smooth, nodes_x, nodes_y, precision).double()
            total += weights_y @ at_nodes @ weights_x.T
        deflection_x += total[0, :height, :width]
        deflection_y += total[1, :height, :width]

    def _sum_terms(self, terms: "_Terms", x: Tensor, y: Tensor, precision: torch.dtype) -> Tensor:
        """Deflections `(2, height, width)` of Gaussian terms at all pairs of columns and rows: matrix products."""
        # Differences in double precision: near a halo their rounding decides the deflection.
        offset_x, offset_y = (
            (axis - torch.from_numpy(centre[0, :, None]).to(axis.device)).to(precision)
            for axis, centre in ((x, self.x), (y, self.y))
        )
        square_x, square_y = offset_x.square(), offset_y.square()
        terms = terms.select(terms.are_noticeable(square_x, square_y))
        halo, decay, slope = terms.halo, (-0.5 / terms.width**2).to(precision)[:, None], terms.slope.to(precision)
        total = torch.zeros(2, len(y), len(x), dtype=precision, device=x.device)
        for start in range(0, len(halo), TERMS_PER_STEP):
            step = slice(start, start + TERMS_PER_STEP)
            # Far out a Gaussian is held at e^-40: below 1e-38 arithmetic is ten times slower.
            gaussian_x, gaussian_y = (
                square.index_select(0, halo[step]).mul_(decay[step]).clamp_(min=-40).exp_()
                for square in (square_x, square_y)
            )
            gaussian_y.mul_(slope[step, None])
            total[0].addmm_(gaussian_y.T, offset_x.index_select(0, halo[step]).mul_(gaussian_x))
            total[1].addmm_(offset_y.index_select(0, halo[step]).mul_(gaussian_y).T, gaussian_x)
        return total

    def _gaussian_terms(self) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
        """Halo, width [arcsec] and slope of all Gaussians of the only system, each of shape `(terms,)`."""
        scale_radius, deflection = self.scale_radius[0], self.deflection[0]
        columns = []
        for widths, is_weak in ((FINE_WIDTHS, False), (COARSE_WIDTHS, True)):
            halo = np.flatnonzero((deflection < WEAK_DEFLECTION) == is_weak)
            weights = gaussian_weights(self.truncation_radius[0, halo] / scale_radius[halo], widths)
            slope = weights * (deflection[halo] / scale_radius[halo])[:, None]
            width = scale_radius[halo, None] * np.array(widths)
            columns.append((halo.repeat(len(widths)), width.ravel(), slope.ravel()))
        halo, width, slope = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        return halo, width, slope

    def _add_anywhere_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor) -> None:
        """Add the deflection of one system at any positions."""
        columns = [torch.from_numpy(getattr(self, name)[0]).to(x.device)[:, None, None] for name in FIELDS]
        for start in range(0, self.x.shape[1], HALOES_PER_STEP):
            step = slice(start, start + HALOES_PER_STEP)
            halo_x, halo_y, scale, truncation, deflection = (column[step] for column in columns)
            offset_x, offset_y = x.double() - halo_x, y.double() - halo_y
            radius = torch.hypot(offset_x, offset_y) / scale
            slope = mean_convergence(radius, truncation / scale) * (deflection / scale)
            deflection_x += (slope * offset_x).sum(0)
            deflection_y += (slope * offset_y).sum(0)


FIELDS = tuple(TruncatedHaloes.__dataclass_fields__)


def mean_convergence(radius: Tensor, truncation: Tensor) -> Tensor:
    """Deflection over radius, which is the mean convergence within it.

    Args:
        radius: Distance from the halo's centre [scale radii], any shape; the innermost 1e-5 has constant density.
        truncation: Truncation radius [scale radii], double precision, broadcasts with the radii.

    Returns:
        In the shape of the radii, double precision; 1 at radius 1 when nothing is truncated.

    Source:
        Baltz, Marshall & Oguri (2009), appendix A: the projected mass for n=1, over radius^2 (1 - log 2).
    """
    x = radius.double().clamp(min=1e-5)
    squared = x * x
    # arccosh(1/x) / sqrt(1 - x^2), and arccos(1/x) / sqrt(x^2 - 1) beyond 1, where both numerators vanish
    curve = (1 - x) * (1 + x)
    root = curve.abs().sqrt()
    inverse_cosine = torch.where(curve > 0, ((1 + root) / x).log(), root.atan()) / root
    inverse_cosine = torch.where(root < 1e-4, 1 + curve / 3, inverse_cosine)
    t, t_squared = truncation, truncation**2
    hypotenuse = (squared + t_squared).sqrt()
    mass = (
        (t_squared - 1 + 2 * squared) * inverse_cosine
        - np.pi * squared / (hypotenuse + t)
        + (t_squared - 1) * (t.log() + hypotenuse / t * (x / (hypotenuse + t)).log())
    )
    return mass / squared * (t_squared / (t_squared + 1) ** 2 / (1 - np.log(2)))


def gaussian_weights(truncation: FloatArray, widths: tuple[float, ...] = FINE_WIDTHS) -> FloatArray:
    """Weights with which Gaussians add up to the mean convergence of a halo.

    Args:
        truncation: Truncation radii [scale radii], shape `(haloes,)`.
        widths: Widths of the Gaussians [scale radii].

    Returns:
        Weights, shape `(haloes, terms)`: `mean_convergence` is the sum of weight exp(-radius^2 / (2 width^2)).

    Source:
        After the multi-Gaussian expansion of Emsellem et al. (1994) and Cappellari (2002); a linear fit here.
    """
    return _weight_table(widths)(np.log(truncation))


@lru_cache(maxsize=4)
def _weight_table(widths: tuple[float, ...]) -> Callable[[FloatArray], FloatArray]:
    from scipy.interpolate import CubicSpline

    radius, width = np.geomspace(2e-5, 1.4 * widths[-1], 400)[:, None], np.array(widths)
    log_truncation = np.linspace(np.log(TRUNCATION_RANGE[0]), np.log(TRUNCATION_RANGE[1]), 73)
    radii, truncations = torch.from_numpy(radius[:, 0]), torch.from_numpy(np.exp(log_truncation))
    profiles = [mean_convergence(radii, truncation).numpy() for truncation in truncations]
    # What is fitted is the deflection, in which an error matters alike at all radii.
    terms = radius / width * np.exp(-0.5 * (radius / width) ** 2)
    weights = np.linalg.lstsq(terms, radius * np.stack(profiles, axis=1), rcond=1e-10)[0]
    table: Callable[[FloatArray], FloatArray] = CubicSpline(log_truncation, weights.T / width)
    return table


@dataclass(frozen=True)
class _Terms:
    """Gaussians of the haloes of one system: mean convergence slope exp(-r^2 / (2 width^2)) within r; `(terms,)`."""

    halo: Tensor
    width: Tensor
    slope: Tensor

    def select(self, chosen: Tensor) -> "_Terms":
        number = chosen.nonzero()[:, 0]
        return _Terms(*(values.index_select(0, number) for values in (self.halo, self.width, self.slope)))

    def are_noticeable(self, square_x: Tensor, square_y: Tensor) -> Tensor:
        """Whether terms deflect some ray noticeably, given the haloes' squared offsets from columns and rows.

        A term's deflection slope r exp(-r^2 / 2 width^2) is largest where the distance r equals the width, or at the
        distance nearest to it that the grid has.
        """
        nearest, farthest = (
            (extreme(square_x, 1) + extreme(square_y, 1)).double().sqrt()[self.halo]
            for extreme in (torch.amin, torch.amax)
        )
        distance = torch.minimum(torch.maximum(self.width, nearest), farthest)
        deflection = self.slope.abs() * distance * torch.exp(-0.5 * (distance / self.width) ** 2)
        return deflection > NEGLIGIBLE_DEFLECTION


def _padded(axis: Tensor) -> Tensor:
    """An axis with its last position repeated up to a multiple of `SIZE_MULTIPLE`."""
    return torch.cat([axis, axis[-1:].expand(-len(axis) % SIZE_MULTIPLE)])


def _interpolation(axis: Tensor) -> tuple[Tensor, Tensor]:
    """Chebyshev nodes `(NODES,)` that span an axis, and weights `(positions, NODES)` from values there to its own."""
    centre, half = (axis.amax() + axis.amin()) / 2, (axis.amax() - axis.amin()) / 2
    order = torch.arange(NODES, dtype=axis.dtype, device=axis.device)
    angle = (order + 0.5) * (np.pi / NODES)
    at_axis = (((axis - centre) / half).clamp(-1, 1).arccos()[:, None] * order).cos()
    at_nodes = (angle[:, None] * order).cos()
    at_nodes[:, 0] /= 2
    return centre + half * angle.cos(), at_axis @ at_nodes.T * (2 / NODES)


def _precision(x: Tensor) -> torch.dtype:
    """Precision of the matrix products, which settings for training must not lower to 10 or 7 bits."""
    if x.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest":
        return x.dtype
    return torch.float64
