from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from deeplense_hf.simulation.cosmology import ARCSEC_PER_RADIAN, EINSTEIN_LENGTH_OF_SUN_MPC
from deeplense_hf.simulation.instruments import EUCLID_VIS
from deeplense_hf.simulation.priors import Fixed, Uniform
from deeplense_hf.simulation.scene_populations import draw_scenes
from deeplense_hf.simulation.scene_recipes import SCENE_RECIPES
from deeplense_hf.simulation.scene_renderer import render_scenes
from deeplense_hf.simulation.simulator import simulate_batch

REALISTIC = SCENE_RECIPES["realistic"]
NUISANCES = (
    "einstein_radius", "redshift_lens", "redshift_source", "velocity_dispersion", "ellipticity_1", "ellipticity_2",
    "shear_1", "shear_2", "lens_x", "source_x", "source_y", "source_magnitude", "source_radius", "sersic_index",
    "source_ellipticity_1", "lens_magnitude", "lens_light_radius", "lens_sersic_index",
)  # fmt: skip


def test_no_nuisance_tells_the_class() -> None:
    draws = {name: draw_scenes(REALISTIC, name, range(300), seed=0).parameters for name in REALISTIC.class_names}
    for column in NUISANCES:
        for other in ("cdm", "axion"):
            assert scipy.stats.ks_2samp(draws["no_sub"][column], draws[other][column]).pvalue > 1e-3, (column, other)


@pytest.mark.parametrize("name", sorted(SCENE_RECIPES))
def test_a_system_depends_on_its_number_alone(name: str) -> None:
    recipe = SCENE_RECIPES[name]
    for class_name in recipe.class_names:
        together = simulate_batch(recipe, class_name, [5, 2], seed=3)
        alone = simulate_batch(recipe, class_name, [2], seed=3)
        np.testing.assert_array_equal(together.images[1:], alone.images)
        for column, values in alone.parameters.items():
            np.testing.assert_array_equal(together.parameters[column][1:], values)
        assert np.isfinite(alone.images).all()
        assert (simulate_batch(recipe, class_name, [2], seed=4).images != alone.images).any()
        assert simulate_batch(recipe, class_name, [], seed=0).images.shape == (0, *alone.images.shape[1:])


def test_every_telescope_sees_the_same_systems() -> None:
    for class_name in REALISTIC.class_names:
        euclid = draw_scenes(REALISTIC, class_name, range(3), seed=0).parameters
        hubble = draw_scenes(SCENE_RECIPES["realistic_hst_f814w"], class_name, range(3), seed=0).parameters
        for column in NUISANCES:
            np.testing.assert_array_equal(euclid[column], hubble[column])


def test_substructure_leaves_the_mass_within_the_einstein_radius_as_it_is() -> None:
    import torch

    circle = 2 * np.pi * np.arange(720) / 720
    for class_name, tolerance in (("axion", 0.02), ("cdm", 0.02)):
        scenes = draw_scenes(REALISTIC, class_name, range(40), seed=1)
        radius = scenes.macro_lens.einstein_radius
        x, y = (torch.from_numpy(radius[:, None, None] * wave(circle)) for wave in (np.cos, np.sin))
        enclosed = []
        for lens in ([scenes.macro_lens], [scenes.smooth_lens, *scenes.substructure]):
            deflection = torch.zeros(2, *x.shape, dtype=torch.float64)
            for deflector in lens:
                deflector.add_deflection_(deflection[0], deflection[1], x, y, slice(None))
            outward = deflection[0].numpy()[:, 0] * np.cos(circle) + deflection[1].numpy()[:, 0] * np.sin(circle)
            enclosed.append(outward.mean(axis=1) / radius)
        np.testing.assert_allclose(np.mean(enclosed[1] / enclosed[0]), 1, atol=tolerance)


def test_the_einstein_radius_of_a_round_lens_holds_the_mass_that_the_vortex_is_a_fraction_of() -> None:
    scenes = draw_scenes(REALISTIC, "axion", range(5), seed=2).parameters
    distance = REALISTIC.cosmology.angular_diameter_distance
    for row in range(5):
        lens, source = float(scenes["redshift_lens"][row]), float(scenes["redshift_source"][row])
        mass = scenes["vortex_mass"][row] / scenes["vortex_mass_fraction"][row]
        squared = EINSTEIN_LENGTH_OF_SUN_MPC * mass * distance(lens, source) / distance(0, lens) / distance(0, source)
        assert np.sqrt(squared) * ARCSEC_PER_RADIAN == pytest.approx(scenes["einstein_radius"][row])


def test_a_source_in_front_of_a_lens_and_other_impossible_recipes_are_refused() -> None:
    lens, vortex = REALISTIC.lens, REALISTIC.vortex
    for changes, message in (
        ({"lens": replace(lens, redshift=Uniform(0.2, 1.5))}, "every source must lie behind every lens"),
        ({"lens": replace(lens, einstein_radius=Uniform(1, 4))}, "einstein_radius=4 arcsec does not fit"),
        ({"vortex": replace(vortex, log10_axion_mass=Uniform(-25, -22))}, "log10_axion_mass=-25"),
        ({"bands": (EUCLID_VIS, EUCLID_VIS)}, "source has 1 colours"),
        ({"bands": (EUCLID_VIS, replace(EUCLID_VIS, pixel_scale=0.2))}, "equal pixels"),
        ({"class_names": ("no_sub", "wdm")}, "class_names"),
        ({"supersampling": 0}, "supersampling=0"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(REALISTIC, **changes)  # type: ignore[arg-type]
    for prior, changes, message in (
        (lens, {"shear": Fixed(0.9)}, "shear="),
        (lens, {"einstein_radius": Uniform(-1, 1)}, "einstein_radius"),
        (lens, {"axial_ratio": Fixed(1.2)}, "axial_ratio"),
        (vortex, {"mass_fraction": Fixed(-0.1)}, "mass_fraction"),
        (vortex, {"core_fraction": 0.0}, "core_fraction=0.0"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(prior, **changes)  # type: ignore[type-var]


def test_unknown_classes_and_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="class_name='lens'"):
        draw_scenes(REALISTIC, "lens", [0], seed=0)
    with pytest.raises(ValueError, match="seed=-1"):
        draw_scenes(REALISTIC, "cdm", [0], seed=-1)


def test_look_alikes_have_no_lens_and_as_much_light() -> None:
    recipe = SCENE_RECIPES["lens_finding"]
    without = simulate_batch(recipe, "non_lens", range(40), seed=0, morphology=True)
    lenses = simulate_batch(recipe, "lens", range(40), seed=0, morphology=True)
    assert set(without.parameters["look_alike"]) == {"spiral", "elliptical_with_companions", "ring", "merger"}
    assert (without.parameters["number_of_images"] == 0).all()
    assert np.isnan(without.parameters["einstein_radius"]).all()
    assert (without.parameters["image_configuration"] == "none").all()
    assert (lenses.parameters["number_of_images"] >= 1).all()
    totals = [np.log10(batch.images.sum(axis=(2, 3))) for batch in (without, lenses)]
    assert scipy.stats.ks_2samp(totals[0][:, 1], totals[1][:, 1]).pvalue > 1e-3


def test_the_wings_of_the_galaxy_hardly_tell_look_alikes() -> None:
    recipe = SCENE_RECIPES["lens_finding"]
    far = np.hypot(*(np.indices((64, 64)) - 31.5)) * 0.2 > 4
    shares = []
    for class_name in recipe.class_names:
        layers = render_scenes(draw_scenes(recipe, class_name, range(150), seed=0), recipe)
        image = (layers.lensed + layers.foreground)[:, 2].numpy()
        shares.append(image[:, far].sum(axis=1) / image.sum(axis=(1, 2)))
    higher = scipy.stats.mannwhitneyu(shares[1], shares[0]).statistic / 150**2
    assert 0.4 < higher < 0.6


def test_without_the_lens_light_the_systems_are_the_same() -> None:
    for class_name in REALISTIC.class_names:
        dark = draw_scenes(SCENE_RECIPES["realistic_no_lens_light"], class_name, range(3), seed=0)
        bright = draw_scenes(REALISTIC, class_name, range(3), seed=0)
        assert not dark.foreground
        assert np.isnan(dark.parameters["lens_magnitude"]).all()
        assert dark.parameters.keys() == bright.parameters.keys()
        for name, values in dark.parameters.items():
            if not name.startswith("lens_m") and not name.startswith("lens_l") and not name.startswith("lens_s"):
                np.testing.assert_array_equal(values, bright.parameters[name])


def test_no_lens_is_too_massive_for_a_galaxy() -> None:
    for name in ("realistic", "realistic_ground", "lens_finding"):
        recipe = SCENE_RECIPES[name]
        lenses = draw_scenes(recipe, recipe.class_names[-1], range(300), seed=0).parameters
        assert lenses["velocity_dispersion"].max() <= 400


def test_quasars_have_the_images_of_their_configuration() -> None:
    recipe = SCENE_RECIPES["quasar"]
    batch = simulate_batch(recipe, "cdm", range(12), seed=0, morphology=True)
    assert set(batch.parameters["number_of_images"]) <= {1, 2, 3, 4, 5}
    assert (batch.parameters["flux_ratio_anomaly"] > 0).any()
    smooth = simulate_batch(recipe, "no_sub", range(3), seed=0).parameters["flux_ratio_anomaly"]
    np.testing.assert_allclose(smooth, 0, atol=1e-9)
