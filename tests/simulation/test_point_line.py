import numpy as np
import pytest
import torch
from lenstronomy.LensModel.lens_model import LensModel

from deeplense_hf.simulation.point_line import PointLine

AXIS = 0.1 * (np.arange(41) - 20.0)
HALF_LENGTHS = np.array([0.0, 0.03, 0.3, 1.0, 3.0])
ANGLES = np.array([0.3, 0.0, np.pi / 2, 2.0, 4.4])


def deflections(line: PointLine, chunk: slice, dtype: torch.dtype = torch.float64) -> np.ndarray:
    planes = torch.zeros(2, chunk.stop - chunk.start, len(AXIS), len(AXIS), dtype=dtype)
    line.subtract_deflections_(AXIS, planes[0], planes[1], (1.0, 1.0), chunk)
    return -planes.numpy()


@pytest.mark.parametrize("points", [2, 7, 100])
def test_deflections_equal_the_sum_of_lenstronomys_point_masses(points: int) -> None:
    line = PointLine(HALF_LENGTHS, ANGLES, np.full(5, 0.0222), points)
    x, y = (grid.ravel() for grid in np.meshgrid(AXIS, AXIS))
    double, single = deflections(line, slice(0, 5)), deflections(line, slice(0, 5), torch.float32)
    for row, (half_length, angle) in enumerate(zip(HALF_LENGTHS, ANGLES, strict=True)):
        along = half_length * np.linspace(-1, 1, points)
        masses = np.stack([along * np.cos(angle), along * np.sin(angle)])
        keywords = [{"theta_E": 0.0222, "center_x": mass[0], "center_y": mass[1]} for mass in masses.T]
        expected = np.stack(LensModel(["POINT_MASS"] * points).alpha(x, y, keywords)).reshape(2, 41, 41)
        # On a mass rounding decides how far.
        apart = np.hypot(x[:, None] - masses[0], y[:, None] - masses[1]).min(axis=1).reshape(41, 41) > 1e-6
        strength = points * 0.0222**2
        assert np.abs(double[:, row] - expected)[:, apart].max() < 1e-7 * strength / 0.1
        assert np.abs(single[:, row] - expected)[:, apart].max() < 2e-4 * strength / 0.1


def test_a_ray_on_a_mass_is_not_deflected_by_it() -> None:
    line = PointLine(np.array([1.0]), np.array([0.0]), np.array([0.1]), 3)
    expected = 0.1**2 * (1 / 1.0 + 1 / 2.0)
    assert deflections(line, slice(0, 1))[0, 0, 20, 30] == pytest.approx(expected)


def test_a_system_does_not_depend_on_the_rows_around_it() -> None:
    line = PointLine(HALF_LENGTHS, ANGLES, np.full(5, 0.0222), 100)
    for dtype in (torch.float32, torch.float64):
        together = deflections(line, slice(0, 5), dtype)
        for row in range(5):
            np.testing.assert_allclose(together[:, row], deflections(line, slice(row, row + 1), dtype)[:, 0], rtol=1e-5)


def test_impossible_lines_are_refused() -> None:
    with pytest.raises(ValueError, match="points=1"):
        PointLine(HALF_LENGTHS, ANGLES, np.ones(5), 1)
    with pytest.raises(ValueError, match="half_length=-1"):
        PointLine(-np.ones(5), ANGLES, np.ones(5), 10)
