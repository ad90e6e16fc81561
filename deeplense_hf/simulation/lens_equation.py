"""Images of point-like sources behind a smooth lens and its substructure: positions and magnifications."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .components import Deflector
from .image_multiplicity import count_images
from .mass import MACRO_PARAMETERS
from .smooth_lens import SmoothLens

FloatArray = NDArray[np.float64]

# Images kept of a system, the brightest; an isothermal lens makes four, substructure now and then more.
LARGEST_NUMBER = 5
# How near the source a ray through an image must come [arcsec].
PRECISION = 1e-8
# Fainter images, next to the lens's singular centre, are left out.
SMALLEST_MAGNIFICATION = 1e-3
# Images closer than this are one [arcsec].
SAME_IMAGE = 1e-4
# Newton's method: largest number of steps, longest step [arcsec], smallest share of a step, distance over which the
# lens equation is differentiated [arcsec], and distance from the source at which it stops [arcsec].
STEPS = 60
LONGEST_STEP = 0.1
SMALLEST_SHARE = 1e-3
DIFFERENCE = 1e-5
GOAL = 1e-10
# The grid on which images are looked for: points along an axis (an even number, so that none lies on the singular
# centre), and reach from the centre in units of Einstein radius plus the source's distance.
SEARCH_POINTS = 96
SEARCH_REACH = 1.5


@dataclass(frozen=True)
class LensedPoints:
    """Images of one point-like source per system, the brightest first.

    Args:
        x: Positions along x from the lens [arcsec], shape `(batch, LARGEST_NUMBER)`; zero where absent.
        y: Positions along y from the lens [arcsec], in the same shape.
        magnification: Magnifications, negative for saddle points, in the same shape; zero where absent.
        smooth_magnification: Those of the same images behind the smooth lens; zero for images that it does not make.
    """

    x: FloatArray
    y: FloatArray
    magnification: FloatArray
    smooth_magnification: FloatArray

    @property
    def number_of_images(self) -> NDArray[np.int32]:
        """How many images each source has, shape `(batch,)`."""
        return np.count_nonzero(self.magnification, axis=1).astype(np.int32)

    @property
    def flux_ratio_anomaly(self) -> FloatArray:
        """How far substructure changes flux ratios, shape `(batch,)`.

        The largest |ln(r / r_smooth)| over a system's images, where r is the ratio of an image's flux to that of the
        image that is the brightest behind the smooth lens. NaN with fewer than two images that both lenses make.
        """
        common = (self.magnification != 0) & (self.smooth_magnification != 0)
        ratio = np.ones_like(self.magnification)
        np.divide(self.magnification, self.smooth_magnification, out=ratio, where=common)
        change = np.log(np.abs(ratio))
        brightest = np.abs(np.where(common, self.smooth_magnification, 0)).argmax(axis=1)
        relative = np.abs(change - change[np.arange(len(change)), brightest, None])
        largest = np.where(common, relative, 0).max(axis=1, initial=0)
        anomaly: FloatArray = np.where(common.sum(axis=1) > 1, largest, np.nan)
        return anomaly


def find_images(
    source_x: FloatArray, source_y: FloatArray, smooth: SmoothLens, deflectors: Sequence[Deflector]
) -> LensedPoints:
    """Find the images of point-like sources.

    The images behind the smooth lens come from lenstronomy's analytical solver and are followed to the full lens by
    Newton's method with step control. Images that substructure adds are looked for on a grid, whose triangles are
    mapped to the source plane: one that holds the source there holds an image. Extra images closer together than
    the grid's points, about 0.04 Einstein radii, can be missed.

    Args:
        source_x: Positions of the sources along x [arcsec], shape `(batch,)`.
        source_y: Positions of the sources along y [arcsec], shape `(batch,)`.
        smooth: Lenses without substructure, all of their mass smooth.
        deflectors: All that deflects, the main lens beside its substructure included.

    Returns:
        The images; a system's do not depend on the batch.

    Raises:
        ImportError: If lenstronomy is not installed.
        ValueError: If a source's position is not finite.

    Source:
        Keeton (2001), arXiv:astro-ph/0102340, section 4, on tiling and Newton's method. Compared with lenstronomy's
        own numerical solver in tests/simulation/test_lens_equation.py.
    """
    if not (np.isfinite(source_x).all() and np.isfinite(source_y).all()):
        raise ValueError("a position of a point-like source is not a finite number.")
    solver = _smooth_solver()
    macro = (getattr(smooth, name) for name in MACRO_PARAMETERS)
    expected = count_images(source_x, source_y, *macro)
    columns = np.zeros((4, len(source_x), LARGEST_NUMBER))
    for row in range(len(source_x)):
        source = np.array([source_x[row], source_y[row]])
        smooth_lens, lens = _Lens([smooth], row), _Lens(deflectors, row)
        reach = SEARCH_REACH * (float(smooth.einstein_radius[row]) + float(np.hypot(*source)))
        start = _smooth_images(solver, source, smooth, row)
        if start.shape[1] != expected[row]:
            # The analytical solver misses images of a source exactly on an axis of the lens.
            start = np.concatenate([start, _search(smooth_lens, source, reach)], axis=1)
        start, before = _follow(smooth_lens, source, start)
        start, before = start[:, before != 0], before[before != 0]
        found = _search(lens, source, reach)
        before = np.concatenate([before, np.zeros(found.shape[1])])
        images, magnification = _follow(lens, source, np.concatenate([start, found], axis=1))
        order = np.argsort(-np.abs(magnification), kind="stable")[:LARGEST_NUMBER]
        order = order[np.abs(magnification[order]) >= SMALLEST_MAGNIFICATION]
        columns[:, row, : len(order)] = np.stack([*images, magnification, before])[:, order]
    return LensedPoints(*columns)


class _Lens:
    """Everything that deflects in one system."""

    def __init__(self, deflectors: Sequence[Deflector], row: int) -> None:
        self.deflectors = deflectors
        self.rows = slice(row, row + 1)

    def trace_grid(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Source-plane positions of the crossings of a row and a column [arcsec], shape `(2, len(y), len(x))`."""
        row, column = torch.from_numpy(x)[None, None, :], torch.from_numpy(y)[None, :, None]
        deflection = torch.zeros(2, 1, len(y), len(x), dtype=torch.float64)
        for deflector in self.deflectors:
            deflector.add_deflection_(deflection[0], deflection[1], row, column, self.rows)
        met: FloatArray = -deflection[:, 0].numpy()
        met[0] += x
        met[1] += y[:, None]
        return met

    def trace(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Source-plane positions, shape `(2, images)`, and their derivatives by x and y, shape `(2, 2, images)`."""
        # Each image and its neighbours to both sides along x and y. Their shape is not that of a grid, on which
        # deflectors may save time by approximations too coarse to converge with.
        steps = DIFFERENCE * np.array([[0, 1, -1, 0, 0], [0, 0, 0, 1, -1]], dtype=np.float64)
        positions = torch.from_numpy(images[:, None, :] + steps[:, :, None])[:, None]
        deflection = torch.zeros_like(positions)
        for deflector in self.deflectors:
            deflector.add_deflection_(deflection[0], deflection[1], positions[0], positions[1], self.rows)
        met: FloatArray = (positions - deflection)[:, 0].numpy()
        derivative = np.stack([met[:, 1] - met[:, 2], met[:, 3] - met[:, 4]], axis=1) / (2 * DIFFERENCE)
        return met[:, 0], derivative


def _follow(lens: _Lens, source: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Images near starting positions, shape `(2, images)`, and magnifications, zero for no image or one once more."""
    images, target = start.copy(), source[:, None]
    met, derivative = lens.trace(images)
    error = np.hypot(*(met - target))
    share = np.ones_like(error)
    for _ in range(STEPS):
        # What is halved so often is caught next to a critical curve without an image.
        wrong = np.flatnonzero((error > GOAL) & (share > SMALLEST_SHARE))
        if not wrong.size:
            break
        (xx, xy), (yx, yy) = derivative[:, :, wrong]
        miss_x, miss_y = target - met[:, wrong]
        step = share[wrong] * np.stack([yy * miss_x - xy * miss_y, xx * miss_y - yx * miss_x]) / (xx * yy - xy * yx)
        # Next to a critical curve Newton's step can be as long as one likes.
        step *= np.minimum(1, LONGEST_STEP / np.maximum(np.hypot(*step), LONGEST_STEP))
        tried = images[:, wrong] + step
        tried_met, tried_derivative = lens.trace(tried)
        tried_error = np.hypot(*(tried_met - target))
        better = tried_error < error[wrong]
        moved, stuck = wrong[better], wrong[~better]
        images[:, moved], met[:, moved] = tried[:, better], tried_met[:, better]
        derivative[:, :, moved], error[moved] = tried_derivative[:, :, better], tried_error[better]
        share[moved] = np.minimum(1, 2 * share[moved])
        share[stuck] /= 2
    (xx, xy), (yx, yy) = derivative
    is_image = (error < PRECISION) & ~_repeats(np.where(error < PRECISION, images, np.nan))
    return images, np.where(is_image, 1 / (xx * yy - xy * yx), 0)


def _search(lens: _Lens, source: FloatArray, reach: float) -> FloatArray:
    """Where images lie by linear interpolation within the triangles of a grid, shape `(2, images)`."""
    axis = np.linspace(-reach, reach, SEARCH_POINTS)
    miss_x, miss_y = lens.trace_grid(axis, axis) - source[:, None, None]
    # Twice the area between the source and each edge: columns, rows and diagonals of the grid.
    lower_left, lower_right = np.s_[:-1, :-1], np.s_[:-1, 1:]
    upper_left, upper_right = np.s_[1:, :-1], np.s_[1:, 1:]
    found = []
    for corners in ((lower_left, lower_right, upper_right), (lower_left, upper_right, upper_left)):
        first, second, third = ((miss_x[corner], miss_y[corner]) for corner in corners)
        areas = np.stack([a[0] * b[1] - a[1] * b[0] for a, b in ((second, third), (third, first), (first, second))])
        row, column = np.nonzero(((areas >= 0).all(axis=0) | (areas <= 0).all(axis=0)) & areas.any(axis=0))
        weight = areas[:, row, column]
        weight = weight / weight.sum(axis=0)
        in_x = [axis[column + (corner[1].start or 0)] for corner in corners]
        in_y = [axis[row + (corner[0].start or 0)] for corner in corners]
        found.append(np.stack([(weight * in_x).sum(axis=0), (weight * in_y).sum(axis=0)]))
    images = np.concatenate(found, axis=1)
    # The triangles at the singular centre seem to hold the source, since rays on its sides meet the source plane on
    # opposite sides of it.
    return images[:, np.abs(images).max(axis=0) > axis[1] - axis[0]]


def _repeats(images: FloatArray) -> NDArray[np.bool_]:
    """Whether each image is one of those before it."""
    x, y = images
    same = np.hypot(x[:, None] - x, y[:, None] - y) < SAME_IMAGE
    repeated: NDArray[np.bool_] = np.tril(same, -1).any(axis=1)
    return repeated


def _smooth_images(solver: Any, source: FloatArray, smooth: SmoothLens, row: int) -> FloatArray:
    """Images behind the smooth lens by lenstronomy's analytical solver, shape `(2, images)`."""
    if smooth.einstein_radius[row] == 0:
        return source[:, None]
    isothermal = {
        "theta_E": float(smooth.einstein_radius[row]),
        "e1": float(smooth.ellipticity_1[row]),
        "e2": float(smooth.ellipticity_2[row]),
        "center_x": 0.0,
        "center_y": 0.0,
    }
    shear = {"gamma1": float(smooth.shear_1[row]), "gamma2": float(smooth.shear_2[row])}
    x, y = solver.image_position_from_source(
        *source.tolist(), [isothermal, shear], solver="analytical", arrival_time_sort=False
    )
    return np.stack([x, y])


@lru_cache(maxsize=1)
def _smooth_solver() -> Any:
    try:
        from lenstronomy.LensModel.lens_model import LensModel
        from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
    except ImportError as error:
        raise ImportError(
            "Point-like sources need lenstronomy, which is not installed; run pip install 'deeplense-hf[quasar]'."
        ) from error
    return LensEquationSolver(LensModel(["SIE", "SHEAR"]))
