import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver
from torch import Tensor

from deeplense_hf.simulation import lens_equation
from deeplense_hf.simulation.components import Deflector
from deeplense_hf.simulation.lens_equation import LensedPoints, find_images
from deeplense_hf.simulation.smooth_lens import SmoothLens

BATCH = 8


@dataclass
class Spheres:
    """Singular isothermal spheres, some in each system."""

    x: np.ndarray
    y: np.ndarray
    einstein_radius: np.ndarray

    def add_deflection_(self, deflection_x: Tensor, deflection_y: Tensor, x: Tensor, y: Tensor, rows: slice) -> None:
        for number in range(self.x.shape[1]):
            centre_x, centre_y, radius = (
                torch.from_numpy(one[rows, number, None, None]) for one in (self.x, self.y, self.einstein_radius)
            )
            offset_x, offset_y = x - centre_x, y - centre_y
            slope = radius / torch.hypot(offset_x, offset_y)
            deflection_x += slope * offset_x
            deflection_y += slope * offset_y


RANDOM = np.random.default_rng(5)
LENSES = SmoothLens(
    RANDOM.uniform(0.8, 1.5, BATCH), *RANDOM.uniform(-0.2, 0.2, (2, BATCH)), *RANDOM.uniform(-0.06, 0.06, (2, BATCH))
)
SOURCES = RANDOM.uniform(-0.2, 0.2, (2, BATCH))
SPHERES = Spheres(*RANDOM.uniform(-1.2, 1.2, (2, BATCH, 3)), RANDOM.uniform(0.003, 0.03, (BATCH, 3)))


def lenstronomy_lens(row: int, spheres: Spheres | None) -> tuple[LensModel, list[dict[str, float]]]:
    names = ["SIE", "SHEAR"]
    keywords = [
        {"theta_E": LENSES.einstein_radius[row], "e1": LENSES.ellipticity_1[row], "e2": LENSES.ellipticity_2[row]},
        {"gamma1": LENSES.shear_1[row], "gamma2": LENSES.shear_2[row]},
    ]
    for x, y, radius in (
        () if spheres is None else zip(spheres.x[row], spheres.y[row], spheres.einstein_radius[row], strict=True)
    ):
        names.append("SIS")
        keywords.append({"center_x": x, "center_y": y, "theta_E": radius})
    return LensModel(names), keywords


def images_of(result: LensedPoints, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions, shape `(2, images)`, and magnifications of the images that are there."""
    number = result.number_of_images[row]
    return np.stack([result.x[row, :number], result.y[row, :number]]), result.magnification[row, :number]


@pytest.mark.parametrize("spheres", [None, SPHERES])
def test_images_equal_those_of_lenstronomys_numerical_solver(spheres: Spheres | None) -> None:
    deflectors: list[Deflector] = [LENSES] if spheres is None else [LENSES, spheres]
    result = find_images(*SOURCES, LENSES, deflectors)
    for row in range(BATCH):
        model, keywords = lenstronomy_lens(row, spheres)
        expected = np.stack(
            LensEquationSolver(model).image_position_from_source(
                *SOURCES[:, row], keywords, min_distance=0.02, search_window=4, arrival_time_sort=False
            )
        )
        brightness = model.magnification(*expected, keywords)
        expected, brightness = expected[:, np.abs(brightness) > 0.1], brightness[np.abs(brightness) > 0.1]
        found, magnification = images_of(result, row)
        # Next to a sphere there are fainter images, which lenstronomy's solver does not find.
        found, magnification = found[:, np.abs(magnification) > 0.1], magnification[np.abs(magnification) > 0.1]
        order, expected_order = np.argsort(found[0]), np.argsort(expected[0])
        np.testing.assert_allclose(found[:, order], expected[:, expected_order], atol=1e-6)
        np.testing.assert_allclose(magnification[order], brightness[expected_order], rtol=2e-3)
        rays = model.ray_shooting(*images_of(result, row)[0], keywords)
        np.testing.assert_allclose(rays, np.broadcast_to(SOURCES[:, row, None], np.shape(rays)), atol=1e-6)


def test_the_smooth_lens_alone_changes_no_flux_ratio() -> None:
    result = find_images(*SOURCES, LENSES, [LENSES])
    assert set(result.number_of_images) == {2, 4}
    np.testing.assert_allclose(result.magnification, result.smooth_magnification, rtol=1e-4)
    np.testing.assert_allclose(result.flux_ratio_anomaly, 0, atol=1e-3)
    magnification = np.abs(result.magnification)
    assert (np.diff(magnification, axis=1) <= 0).all()
    absent = result.magnification == 0
    assert not result.x[absent].any()
    assert not result.y[absent].any()


def test_sources_on_the_axes_of_a_lens_have_all_of_their_images() -> None:
    lenses = SmoothLens(*(np.full(3, value) for value in (1.0, 0.2, 0.0, 0.05, 0.0)))
    result = find_images(np.array([0.0, 0.1, 0.0]), np.array([0.0, 0.0, 0.05]), lenses, [lenses])
    np.testing.assert_array_equal(result.number_of_images, 4)
    np.testing.assert_array_equal((result.smooth_magnification > 0).sum(axis=1), 2)


def test_flux_ratios_are_those_to_the_brightest_image_of_the_smooth_lens() -> None:
    smooth = np.array([[4.0, -8.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0, 0.0], [2.0, -1.0, 0.0, 0.0, 0.0]])
    actual = np.array([[6.0, -8.8, 1.1, 0.3, 0.0], [3.0, 0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 1.0, 0.0, 0.0]])
    result = LensedPoints(np.zeros((3, 5)), np.zeros((3, 5)), actual, smooth)
    np.testing.assert_allclose(result.flux_ratio_anomaly, [np.log(1.5 / 1.1), np.nan, np.nan])
    np.testing.assert_array_equal(result.number_of_images, [4, 1, 2])


def test_substructure_that_moves_the_caustic_over_the_source_adds_its_pair_of_images() -> None:
    lens = SmoothLens(*(np.array([value]) for value in (1.0, 0.2, 0.0, 0.0, 0.0)))
    clump = Spheres(np.array([[0.1]]), np.array([[1.1]]), np.array([[0.05]]))
    source = (np.array([0.0]), np.array([0.2425]))
    smooth, full = find_images(*source, lens, [lens]), find_images(*source, lens, [lens, clump])
    assert smooth.number_of_images == [2]
    assert full.number_of_images == [4]
    assert np.count_nonzero(full.smooth_magnification) <= 2
    positions, _ = images_of(full, 0)
    assert len(np.unique(positions.round(3), axis=1).T) == full.number_of_images[0]


def test_images_do_not_depend_on_the_batch() -> None:
    together = find_images(*SOURCES, LENSES, [LENSES, SPHERES])
    for row in (0, 5):
        rows = slice(row, row + 1)
        lens = SmoothLens(*(getattr(LENSES, name)[rows] for name in LENSES.__dataclass_fields__))
        spheres = Spheres(SPHERES.x[rows], SPHERES.y[rows], SPHERES.einstein_radius[rows])
        alone = find_images(SOURCES[0, rows], SOURCES[1, rows], lens, [lens, spheres])
        for name in ("x", "y", "magnification", "smooth_magnification"):
            np.testing.assert_array_equal(getattr(together, name)[row], getattr(alone, name)[0])


def test_a_source_far_out_has_one_image_and_no_mass_leaves_it_where_it_is() -> None:
    lenses = SmoothLens(np.array([1.0, 0.0]), np.array([0.1, 0.0]), *np.zeros((3, 2)))
    result = find_images(np.array([3.0, 0.2]), np.array([0.5, -0.1]), lenses, [lenses])
    np.testing.assert_array_equal(result.number_of_images, 1)
    np.testing.assert_allclose([result.x[1, 0], result.y[1, 0], result.magnification[1, 0]], [0.2, -0.1, 1], atol=1e-8)
    assert np.isnan(result.flux_ratio_anomaly).all()


def test_missing_positions_and_a_missing_lenstronomy_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="finite"):
        find_images(np.full(BATCH, np.nan), SOURCES[1], LENSES, [LENSES])
    lens_equation._smooth_solver.cache_clear()
    modules: dict[str, Any] = {"lenstronomy.LensModel.lens_model": None}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ImportError, match=r"pip install 'deeplense-hf\[quasar\]'"):
        find_images(*SOURCES, LENSES, [LENSES])
