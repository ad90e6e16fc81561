import numpy as np
import pytest
import torch
from lenstronomy.LensModel.Profiles.convergence import Convergence
from lenstronomy.LensModel.Profiles.point_mass import PointMass

from deeplense_hf.simulation.cosmology import FlatCosmology
from deeplense_hf.simulation.mass_sheet import MassSheet
from deeplense_hf.simulation.subhalo_population import SubhaloPopulation, stack

COSMOLOGY = FlatCosmology("test", hubble_constant=70.0, matter_density=0.3)


def deflections(sheet: MassSheet, axis: torch.Tensor) -> torch.Tensor:
    result = torch.zeros(2, len(sheet), len(axis), len(axis), dtype=axis.dtype)
    sheet.add_deflection_(result[0], result[1], axis[None, None], axis[None, :, None], slice(0, len(sheet)))
    return result


def test_equals_lenstronomy_inside_and_a_point_outside() -> None:
    axis = np.linspace(-3, 3, 31)
    x, y = (positions.ravel() for positions in np.meshgrid(axis, axis))
    actual = deflections(MassSheet(np.array([-0.02]), np.array([2.0])), torch.from_numpy(axis))[:, 0].reshape(2, -1)
    inside = np.hypot(x, y) < 2
    expected = np.where(
        inside, Convergence().derivatives(x, y, -0.02), -np.stack(PointMass().derivatives(x, y, np.sqrt(0.02) * 2))
    )
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_full_positions_equal_a_grid() -> None:
    axis = torch.linspace(-3, 3, 21)
    sheet = MassSheet(np.array([0.1, 0.0, -0.3]), np.array([2.0, 1.0, 1.0]))
    x, y = axis.expand(3, 21, 21).contiguous(), axis[:, None].expand(3, 21, 21).contiguous()
    result = torch.zeros(2, 3, 21, 21)
    sheet.add_deflection_(result[0], result[1], x, y, slice(0, 3))
    assert torch.equal(result, deflections(sheet, axis))


def test_takes_out_what_subhaloes_put_in() -> None:
    population = SubhaloPopulation(mass_range=(3e8, 1e9), mass_fraction_range=(0.02, 0.02))
    generator, number, radius = np.random.default_rng(3), 100, 6.0
    systems = [population.draw(generator, 0.5, 1.5, COSMOLOGY, radius) for _ in range(number)]
    axis = torch.linspace(-3, 3, 13, dtype=torch.float64)
    result = torch.zeros(2, number, 13, 13, dtype=torch.float64)
    stack(systems).add_deflection_(result[0], result[1], axis[None, None], axis[None, :, None], slice(0, number))
    convergence = -np.array([system.expected_convergence for system in systems])
    result += deflections(MassSheet(convergence, np.full(number, radius)), axis)
    # what is left of the mean deflection is within its scatter, and within 4% of what either mass causes
    scatter = result.std(1) / number**0.5
    assert ((result.mean(1) / scatter) ** 2).mean() < 3
    slopes = (result[0] * axis).mean((1, 2)) / (axis**2).mean()
    error = slopes.std().item() / number**0.5
    assert error < 0.04 * 0.01
    assert abs(slopes.mean().item()) < 3 * error + 0.04 * 0.01


def test_unphysical_sheets_are_named() -> None:
    with pytest.raises(ValueError, match=r"radius=0\.0"):
        MassSheet(np.array([0.1]), np.array([0.0]))
    with pytest.raises(ValueError, match="convergence=nan"):
        MassSheet(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(ValueError, match="same shape"):
        MassSheet(np.zeros(2), np.ones(1))
