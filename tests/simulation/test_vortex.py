import numpy as np
import pytest
import torch
from scipy.integrate import quad

from deeplense_hf.simulation.vortex import Vortex

AXIS = torch.linspace(-3.1, 3.1, 40, dtype=torch.float64)


def vortex(**changes: float) -> Vortex:
    values = {"x": 0.2, "y": -0.1, "half_length": 0.8, "angle": 0.7, "einstein_radius": 0.25, "core_radius": 0.05}
    return Vortex(**{name: np.array([value]) for name, value in (values | changes).items()})


def deflection(mass: Vortex, x: torch.Tensor, y: torch.Tensor, rows: slice = slice(None)) -> np.ndarray:
    shape = (len(mass.x[rows]), y.shape[-2], x.shape[-1])
    result = torch.zeros(2, *shape, dtype=x.dtype)
    mass.add_deflection_(result[0], result[1], x, y, rows)
    return result.numpy()


def on_grid(mass: Vortex, dtype: torch.dtype = torch.float64, rows: slice = slice(None)) -> np.ndarray:
    axis = AXIS.to(dtype)
    return deflection(mass, axis[None, None, :], axis[None, :, None], rows)


def by_quadrature(mass: Vortex, x: float, y: float) -> list[float]:
    half_length, core, angle = float(mass.half_length[0]), float(mass.core_radius[0]), float(mass.angle[0])

    def integrand(along: float, component: int) -> float:
        offset = (x - mass.x[0] - along * np.cos(angle), y - mass.y[0] - along * np.sin(angle))
        return float(offset[component] / (offset[0] ** 2 + offset[1] ** 2 + core**2))

    strength = float(mass.einstein_radius[0]) ** 2 / (2 * half_length)
    return [strength * quad(integrand, -half_length, half_length, (axis,), limit=400)[0] for axis in (0, 1)]


@pytest.mark.parametrize(
    "changes", [{}, {"core_radius": 0.4}, {"half_length": 3.0, "angle": -2.0}, {"half_length": 0.01}]
)
def test_deflection_equals_the_integral_over_the_line(changes: dict) -> None:
    mass = vortex(**changes)
    positions = np.random.default_rng(0).uniform(-3, 3, (2, 20))
    # On the line, at its ends, and far away.
    end = [mass.half_length[0] * np.cos(mass.angle[0]) + 0.2, mass.half_length[0] * np.sin(mass.angle[0]) - 0.1]
    special = [[0.2, end[0], 0.2 + 0.3 * np.cos(mass.angle[0]), 80.0], [-0.1, end[1], -0.1, 60.0]]
    x, y = np.concatenate([positions, special], axis=1)
    expected = np.array([by_quadrature(mass, *position) for position in zip(x, y, strict=True)]).T
    found = deflection(mass, torch.from_numpy(x)[None, None], torch.from_numpy(y)[None, None])
    np.testing.assert_allclose(found[:, 0, 0], expected, rtol=1e-9, atol=1e-12)


def test_without_core_it_equals_many_point_masses_of_lenstronomy() -> None:
    profiles = pytest.importorskip("lenstronomy.LensModel.Profiles.point_mass")
    mass = vortex(core_radius=0.0)
    # The middles of equal pieces of the line stand for the pieces.
    along = 0.8 * ((np.arange(2000) + 0.5) / 1000 - 1)
    x, y = np.meshgrid(AXIS, AXIS)
    expected = np.zeros((2, *x.shape))
    for distance in along:
        centre = 0.2 + distance * np.cos(0.7), -0.1 + distance * np.sin(0.7)
        expected += profiles.PointMass().derivatives(x, y, 0.25 / np.sqrt(2000), *centre)
    offset = x - 0.2 + 1j * (y + 0.1)
    turned = offset * np.exp(-0.7j)
    away = np.abs(turned - np.clip(turned.real, -0.8, 0.8)) > 0.02
    np.testing.assert_allclose(on_grid(mass)[:, 0][:, away], expected[:, away], atol=1e-6)


@pytest.mark.parametrize("half_length", [0.0, 1e-9, 1e-5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-5)])
def test_a_short_line_is_a_softened_point(half_length: float, dtype: torch.dtype, tolerance: float) -> None:
    found = on_grid(vortex(half_length=half_length), dtype)[:, 0]
    x, y = AXIS.numpy()[None, :] - 0.2, AXIS.numpy()[:, None] + 0.1
    expected = 0.25**2 / (x**2 + y**2 + 0.05**2)
    np.testing.assert_allclose(found, [expected * x, expected * y], rtol=tolerance, atol=tolerance * 0.5)


@pytest.mark.parametrize("changes", [{}, {"core_radius": 0.0}, {"half_length": 0.03}, {"half_length": 3.0}])
def test_single_precision_is_enough(changes: dict) -> None:
    mass = vortex(**changes)
    exact = on_grid(mass)
    np.testing.assert_allclose(on_grid(mass, torch.float32), exact, rtol=1e-5, atol=3e-6 * np.abs(exact).max())


def test_far_away_the_angle_keeps_its_digits() -> None:
    far = torch.tensor([[[300.0]]]), torch.tensor([[[400.0]]])
    found = deflection(vortex(half_length=0.03), *far)
    exact = deflection(vortex(half_length=0.03), *(position.double() for position in far))
    np.testing.assert_allclose(found, exact, rtol=1e-4)
    np.testing.assert_allclose(np.hypot(*exact.ravel()), 0.25**2 / 500, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pixel_on_a_line_without_core_is_finite(dtype: torch.dtype) -> None:
    mass = vortex(x=0.0, y=0.0, angle=0.0, half_length=0.5, core_radius=0.0)
    axis = torch.tensor([-0.5, -0.25, 0.0, 0.25, 0.5], dtype=dtype)
    assert np.isfinite(deflection(mass, axis[None, None, :], axis[None, :, None])).all()


def test_a_system_does_not_depend_on_the_batch_and_absent_vortices_add_nothing() -> None:
    numbers = np.linspace(0.1, 0.9, 5)
    radius = np.array([0.1, 0.0, 0.3, 0.0, 0.2])
    mass = Vortex(numbers, -numbers, numbers, 3 * numbers, radius, numbers / 10)
    together = on_grid(mass, torch.float32)
    assert (together[:, [1, 3]] == 0).all()
    for row in range(5):
        np.testing.assert_array_equal(on_grid(mass, torch.float32, slice(row, row + 1))[:, 0], together[:, row])


@pytest.mark.parametrize("name", ["half_length", "einstein_radius", "core_radius"])
@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_unphysical_lines_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"vortex {name}={value} arcsec"):
        vortex(**{name: value})
