from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from deeplense_hf.simulation.cosmology import FlatCosmology
from deeplense_hf.simulation.halo_structure import critical_surface_density, kiloparsec_per_arcsec, median_concentration
from deeplense_hf.simulation.subhalo_population import DrawnSubhaloes, SubhaloPopulation, stack

COSMOLOGY = FlatCosmology("test", hubble_constant=70.0, matter_density=0.3)
POPULATION = SubhaloPopulation(mass_fraction_range=(0.01, 0.01))
LENS = (0.5, 1.5, COSMOLOGY, 3.0)


@pytest.fixture(scope="module")
def drawn() -> list[DrawnSubhaloes]:
    generator = np.random.default_rng(0)
    return [POPULATION.draw(generator, *LENS) for _ in range(400)]


def gathered(drawn: list[DrawnSubhaloes], name: str) -> np.ndarray:
    return np.concatenate([getattr(system, name) for system in drawn])


def test_masses_follow_the_mass_function(drawn: list[DrawnSubhaloes]) -> None:
    lowest, highest = 1e7**-0.9, 1e10**-0.9

    def cumulative(mass: np.ndarray) -> np.ndarray:
        return (lowest - mass**-0.9) / (lowest - highest)

    mass = gathered(drawn, "infall_mass")
    assert stats.kstest(mass, cumulative).pvalue > 0.01
    assert stats.kstest(mass, lambda values: cumulative(1e7 * (values / 1e7) ** 1.03)).pvalue < 0.01


def test_number_is_poisson_with_the_mean_that_makes_up_the_mass(drawn: list[DrawnSubhaloes]) -> None:
    number = np.array([system.count for system in drawn])
    mean = POPULATION.mean_number(0.01, *LENS)
    assert abs(number.mean() - mean) < 4 * np.sqrt(mean / len(drawn))
    assert 0.8 < number.var() / mean < 1.25
    surface = critical_surface_density(0.5, 1.5, COSMOLOGY)
    expected = 0.01 * 0.5 * surface * np.pi * 9 / mean
    assert POPULATION.mean_bound_mass(0.5, COSMOLOGY) == pytest.approx(expected)


def test_mean_bound_mass_equals_that_of_a_million_haloes() -> None:
    # a narrow range of masses, whose mean the few heaviest do not decide; and a wide one, less precisely
    for mass_range, tolerance in (((1e8, 2e8), 0.003), ((1e7, 1e10), 0.03)):
        population = replace(POPULATION, mass_range=mass_range, capacity=10**6, mass_fraction_range=(0.5, 0.5))
        system = population.draw(np.random.default_rng(1), 0.5, 1.5, COSMOLOGY, 15.0)
        mean = population.mean_bound_mass(0.5, COSMOLOGY)
        assert system.count > 50_000
        assert system.bound_mass.mean() == pytest.approx(mean, rel=tolerance)


def test_convergence_is_conserved_in_the_mean(drawn: list[DrawnSubhaloes]) -> None:
    convergence = np.array([system.convergence for system in drawn])
    np.testing.assert_allclose([system.expected_convergence for system in drawn], 0.005)
    assert abs(convergence.mean() - 0.005) < 4 * convergence.std() / np.sqrt(len(drawn))
    assert drawn[0].total_mass == pytest.approx(drawn[0].bound_mass.sum())


def test_positions_are_uniform_in_area(drawn: list[DrawnSubhaloes]) -> None:
    x, y = gathered(drawn, "x"), gathered(drawn, "y")
    assert stats.kstest((x**2 + y**2) / 9, "uniform").pvalue > 0.01
    assert stats.kstest(np.arctan2(y, x) / (2 * np.pi) + 0.5, "uniform").pvalue > 0.01


def test_concentrations_scatter_about_the_median(drawn: list[DrawnSubhaloes]) -> None:
    median = median_concentration(gathered(drawn, "infall_mass"), 0.5, COSMOLOGY)
    scatter = np.log10(gathered(drawn, "concentration") / median) / 0.11
    assert stats.kstest(scatter, "norm").pvalue > 0.01


def test_truncation_follows_mass_and_distance_from_the_host(drawn: list[DrawnSubhaloes]) -> None:
    radius = gathered(drawn, "truncation_radius") * kiloparsec_per_arcsec(0.5, COSMOLOGY)
    norm = radius / (1.4 * np.cbrt(gathered(drawn, "infall_mass") / 1e7))
    distance = 50 * norm**1.5
    assert distance.min() >= 7.99
    depth = np.sqrt(np.maximum(distance**2 - 64, 0))
    assert stats.kstest(np.arctan(depth / 50) / np.arctan(300 / 50), "uniform").pvalue > 0.01
    assert 30 < np.median(distance) < 60
    bound = gathered(drawn, "bound_mass") / gathered(drawn, "infall_mass")
    assert 0.3 < np.median(bound) < 0.8
    assert bound.max() < 1.3


def test_mass_fraction_is_log_uniform() -> None:
    generator, population = np.random.default_rng(0), SubhaloPopulation(mass_range=(1e9, 1e10))
    fraction = np.array([population.draw(generator, *LENS).mass_fraction for _ in range(500)])
    assert stats.kstest(np.log10(fraction / 0.003), "uniform").pvalue > 0.01


def test_a_system_depends_on_its_generator_only() -> None:
    first, second = (POPULATION.draw(np.random.default_rng(5), *LENS) for _ in range(2))
    for name in first.__dataclass_fields__:
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_capacity_keeps_the_most_massive(drawn: list[DrawnSubhaloes]) -> None:
    full = POPULATION.draw(np.random.default_rng(5), *LENS)
    few = replace(POPULATION, capacity=10).draw(np.random.default_rng(5), *LENS)
    assert few.count == 10
    assert np.array_equal(few.infall_mass, np.sort(full.infall_mass)[::-1][:10])
    assert np.array_equal(few.x, full.x[:10])


def test_stack_pads_with_absent_haloes(drawn: list[DrawnSubhaloes]) -> None:
    haloes = stack(drawn[:3])
    most = max(system.count for system in drawn[:3])
    assert haloes.x.shape == (3, most)
    for row, system in enumerate(drawn[:3]):
        assert np.array_equal(haloes.deflection[row, : system.count], system.deflection)
        assert not haloes.deflection[row, system.count :].any()
    result = torch.zeros(2, 1, 8, 8)
    axis = torch.linspace(-1, 1, 8)
    haloes.add_deflection_(result[0], result[1], axis[None, None], axis[None, :, None], slice(1, 2))
    assert torch.isfinite(result).all()
    assert result.abs().max() > 0
    assert stack([]).x.shape == (0, 0)


def test_equal_masses_are_allowed() -> None:
    system = replace(POPULATION, mass_range=(1e9, 1e9)).draw(np.random.default_rng(0), *LENS)
    np.testing.assert_allclose(system.infall_mass, 1e9)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mass_range", (1e10, 1e7)),
        ("mass_fraction_range", (0.0, 0.1)),
        ("mass_fraction_range", (0.5, 1.0)),
        ("lens_convergence", 0.0),
        ("concentration_scatter", -0.1),
        ("capacity", 0),
        ("mass_slope", np.nan),
    ],
)
def test_unphysical_populations_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        SubhaloPopulation(**{field: value})


def test_an_unphysical_disc_is_named() -> None:
    with pytest.raises(ValueError, match="disc_radius=0"):
        POPULATION.draw(np.random.default_rng(0), 0.5, 1.5, COSMOLOGY, 0.0)
