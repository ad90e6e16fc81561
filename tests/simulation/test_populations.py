from dataclasses import replace

import numpy as np
import pytest

from deeplense_hf.simulation.populations import deflection_factor, draw_systems, einstein_radius
from deeplense_hf.simulation.published_recipe import PUBLISHED_COSMOLOGY
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.random_streams import population_generator

MODEL_1 = PUBLISHED_RECIPES["model_1"]
ALL = [(recipe, name) for recipe in PUBLISHED_RECIPES.values() for name in recipe.class_names]


@pytest.mark.parametrize(("recipe", "class_name"), ALL, ids=lambda value: getattr(value, "name", value))
def test_a_system_does_not_depend_on_the_batch(recipe, class_name: str) -> None:
    together = draw_systems(recipe, class_name, [7, 3, 11, 0, 5], seed=2)
    for row, index in enumerate([7, 3, 11, 0, 5]):
        alone = draw_systems(recipe, class_name, [index], seed=2)
        for name, column in together.parameters.items():
            np.testing.assert_array_equal(alone.parameters[name][0], column[row], err_msg=name)
        for points in ("point_x", "point_y", "point_einstein_radius"):
            np.testing.assert_array_equal(getattr(alone, points)[0], getattr(together, points)[row])


def test_recipe_class_and_seed_change_the_systems() -> None:
    first = draw_systems(MODEL_1, "cdm", [0], 0).parameters["source_x"][0]
    others = [
        draw_systems(MODEL_1, "cdm", [1], 0),
        draw_systems(MODEL_1, "cdm", [0], 1),
        draw_systems(MODEL_1, "no_sub", [0], 0),
        draw_systems(PUBLISHED_RECIPES["model_2"], "cdm", [0], 0),
    ]
    assert first not in [other.parameters["source_x"][0] for other in others]


def test_published_numbers() -> None:
    assert einstein_radius(MODEL_1, 1e12) == pytest.approx(1.2815, abs=1e-4)
    assert einstein_radius(MODEL_1, 3e8) == pytest.approx(0.0222, abs=1e-4)
    corrected = replace(MODEL_1, distance_convention="angular_diameter", arcsec_per_radian=206264.806)
    assert einstein_radius(corrected, 1e12) == pytest.approx(1.6645, abs=1e-3)
    assert deflection_factor(MODEL_1) == 1
    assert deflection_factor(PUBLISHED_RECIPES["model_2"]) == pytest.approx(0.634, abs=1e-3)
    assert draw_systems(PUBLISHED_RECIPES["model_3"], "no_sub", [0], 0).parameters["einstein_radius"] == pytest.approx(
        0.81, abs=5e-3
    )


def test_subhaloes_follow_the_published_distributions() -> None:
    systems = draw_systems(MODEL_1, "cdm", range(2000), seed=0)
    mass = 1e12 * (systems.point_einstein_radius / einstein_radius(MODEL_1, 1e12)) ** 2
    assert mass.shape == (2000, 25)
    assert mass.min() > 1e6
    assert mass.max() < 1e10
    # p(m) proportional to m^-0.9: the cumulative distribution is linear in m^0.1.
    np.testing.assert_allclose(np.quantile(mass**0.1, 0.5), (1e6**0.1 + 1e10**0.1) / 2, rtol=0.01)
    np.testing.assert_allclose(mass.mean(), 1.51e9, rtol=0.02)
    np.testing.assert_allclose(systems.parameters["subhalo_total_mass"], mass.sum(axis=1), rtol=1e-12)
    distance = np.hypot(systems.point_x, systems.point_y)
    np.testing.assert_allclose(np.quantile(distance, [0, 0.5, 1]), [0.25, 1.125, 2.0], atol=0.02)
    assert set(systems.parameters["subhalo_count"]) == {25}
    np.testing.assert_allclose(systems.parameters["subhalo_mass_fraction"], mass.sum(axis=1) / 1e12, rtol=1e-12)


def test_quirks_of_the_subhaloes_can_be_undone() -> None:
    recipe = replace(
        MODEL_1,
        subhalo_count_distribution="poisson",
        subhalo_distance_distribution="uniform_in_area",
        subhalo_mass_slope=-1.9,
    )
    systems = draw_systems(recipe, "cdm", range(3000), seed=0)
    count = systems.parameters["subhalo_count"]
    np.testing.assert_array_equal((systems.point_einstein_radius > 0).sum(axis=1), count)
    np.testing.assert_allclose([count.mean(), count.var()], 25, rtol=0.08)
    present = systems.point_einstein_radius > 0
    distance = np.hypot(systems.point_x, systems.point_y)[present]
    np.testing.assert_allclose(np.median(distance**2), (0.25**2 + 2.0**2) / 2, rtol=0.02)
    assert systems.parameters["subhalo_total_mass"].mean() == pytest.approx(3.4e8, rel=0.2)
    logarithmic = draw_systems(replace(MODEL_1, subhalo_mass_slope=-1.0), "cdm", range(500), seed=0)
    assert np.median(logarithmic.point_einstein_radius**2) == pytest.approx(einstein_radius(MODEL_1, 1e8) ** 2, rel=0.2)


def test_vortex_lies_on_a_line_through_the_centre() -> None:
    systems = draw_systems(MODEL_1, "axion", range(50), seed=0)
    value = systems.parameters
    np.testing.assert_allclose(
        value["vortex_half_length"], 0.06 / 2 / 10 ** (value["log10_axion_mass_ev"] + 22), rtol=1e-9
    )
    assert set(value["vortex_mass_fraction"]) == {0.03}
    assert set(value["subhalo_mass_fraction"]) == {0.0}
    assert value["vortex_half_length"].min() > 0.03
    assert value["vortex_half_length"].max() < 3.0
    along = (
        systems.point_x * np.cos(value["vortex_angle"])[:, None]
        + systems.point_y * np.sin(value["vortex_angle"])[:, None]
    )
    across = (
        systems.point_y * np.cos(value["vortex_angle"])[:, None]
        - systems.point_x * np.sin(value["vortex_angle"])[:, None]
    )
    np.testing.assert_allclose(across, 0, atol=1e-15)
    np.testing.assert_allclose(
        np.diff(along, axis=1), 2 * value["vortex_half_length"][:, None] / 99 + np.zeros((50, 99))
    )
    np.testing.assert_allclose((systems.point_einstein_radius**2).sum(axis=1), einstein_radius(MODEL_1, 3e10) ** 2)


def test_deflection_factor_weakens_everything_alike() -> None:
    recipe = PUBLISHED_RECIPES["model_2"]
    unity = replace(recipe, deflection_reference_redshift=1.0, deflection_cosmology=PUBLISHED_COSMOLOGY)
    weak, full = draw_systems(recipe, "cdm", [4], 0), draw_systems(unity, "cdm", [4], 0)
    factor = deflection_factor(recipe)
    for name in ("einstein_radius", "shear_1"):
        np.testing.assert_allclose(weak.parameters[name], factor * full.parameters[name])
    np.testing.assert_allclose(weak.point_einstein_radius**2, factor * full.point_einstein_radius**2)


def test_columns_have_no_value_only_where_there_is_none() -> None:
    for class_name in MODEL_1.class_names:
        missing = {k for k, v in draw_systems(MODEL_1, class_name, [0], 0).parameters.items() if np.isnan(v[0])}
        vortex = (
            set()
            if class_name == "axion"
            else {
                "log10_axion_mass_ev",
                "vortex_mass",
                "vortex_mass_fraction",
                "vortex_half_length",
                "vortex_angle",
            }
        )
        assert missing == vortex | {"source_magnitude"}
    exposure = draw_systems(MODEL_1, "no_sub", range(500), 0).parameters["exposure_time"]
    assert 1000 <= exposure.min() < 1010
    assert 3100 < exposure.max() <= 10**3.5


@pytest.mark.parametrize(
    ("class_name", "indices", "seed", "words"),
    [("wdm", [0], 0, "class_name='wdm'"), ("cdm", [-1], 0, "lowest index=-1"), ("cdm", [0], -5, "seed=-5")],
)
def test_bad_requests_are_refused(class_name: str, indices: list, seed: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        draw_systems(MODEL_1, class_name, indices, seed)


def test_indices_that_are_not_whole_are_refused() -> None:
    with pytest.raises(ValueError, match=r"indices=\[0.5\]"):
        draw_systems(MODEL_1, "cdm", [0.5], 0)


@pytest.mark.parametrize(
    ("class_name", "changes", "words"),
    [
        ("axion", {"log10_axion_mass_range": (-25.0, -22.0)}, r"log10_axion_mass_range=\(-25.0, .* 30 arcsec .* 5.3 "),
        (
            "cdm",
            {"subhalo_distance_range": (0.25, 6.0)},
            r"subhalo_distance_range=\(0.25, 6.0\) of recipe model_1 .* 6 ",
        ),
    ],
)
def test_substructure_beyond_the_image_is_warned_about(class_name: str, changes: dict, words: str) -> None:
    with pytest.warns(UserWarning, match=words):
        draw_systems(replace(MODEL_1, **changes), class_name, [0], 0)


@pytest.mark.filterwarnings("error")
def test_published_populations_lie_within_their_images() -> None:
    for recipe, class_name in ALL:
        draw_systems(recipe, class_name, [0], 0)


def test_a_system_has_the_random_numbers_of_its_own_generator() -> None:
    limit = MODEL_1.source_position_limit
    drawn = draw_systems(MODEL_1, "axion", [3, 2**40], 5).parameters
    for row, index in enumerate([3, 2**40]):
        uniform = population_generator("model_1", "axion", 5, index).random(5)
        assert drawn["source_x"][row] == limit * (2 * uniform[0] - 1)
        assert drawn["vortex_angle"][row] == 2 * np.pi * uniform[4]
