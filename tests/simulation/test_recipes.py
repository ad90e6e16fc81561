import subprocess
import sys
from dataclasses import replace

import pytest

from deeplense_hf.simulation.instruments import INSTRUMENTS, MODEL_2_CAMERA, MODEL_3_CAMERA
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.recipes import RECIPES, get_recipe

RECIPE = PUBLISHED_RECIPES["model_1"]


def test_every_recipe_is_registered_under_its_name() -> None:
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.description.endswith(".")
        assert recipe.num_bands in (1, 3)
        assert recipe.instrument.name in INSTRUMENTS
    for recipe in PUBLISHED_RECIPES.values():
        assert recipe.class_names == ("no_sub", "cdm", "axion")
        assert recipe.instrument in INSTRUMENTS.values()


def test_unknown_recipe_is_answered_with_the_names() -> None:
    with pytest.raises(ValueError, match=r"recipe='model_9' is not known. Use one of model_1, model_2"):
        get_recipe("model_9")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lens_mass": -1.0}, "lens_mass=-1.0"),
        ({"redshift_lens": 1.5}, "redshift_lens=1.5"),
        ({"deflection_reference_redshift": 0.4}, "deflection_reference_redshift=0.4"),
        ({"lens_ellipticity_1": 1.0}, "lens_ellipticity"),
        ({"source_ellipticity_2": 2.0}, "source_ellipticity"),
        ({"shear_1": -1.0}, "shear"),
        ({"source_amplitude": None}, "give exactly one"),
        ({"source_amplitude": -3.0}, "source_amplitude=-3.0"),
        ({"source_magnitude": 20.0, "source_amplitude": None}, "needs an instrument with a zero point"),
        ({"source_radius": float("nan")}, "source_radius=nan"),
        ({"source_position_limit": -0.1}, "source_position_limit=-0.1"),
        ({"subhalo_count": -1}, "subhalo_count=-1"),
        ({"subhalo_mass_range": (1e10, 1e6)}, "subhalo_mass_range"),
        ({"subhalo_distance_range": (0.0, 1.0)}, "subhalo_distance_range"),
        ({"log10_axion_mass_range": (-22.0, -24.0)}, "log10_axion_mass_range"),
        ({"distance_convention": "comoving"}, "distance_convention='comoving'"),
        ({"noise_model": "none"}, "noise_model='none'"),
        ({"class_names": ("wdm",)}, "class_names"),
    ],
)
def test_unphysical_recipes_are_refused_by_name_and_value(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(RECIPE, **changes)


@pytest.mark.parametrize("field", ["pixel_scale", "image_size", "read_noise", "exposures"])
def test_unphysical_instruments_are_refused_by_name_and_value(field: str) -> None:
    with pytest.raises(ValueError, match=f"euclid_vis_model_2: {field}=-1"):
        replace(MODEL_2_CAMERA, **{field: -1})


def test_background_equals_lenstronomy() -> None:
    observation_api = pytest.importorskip("lenstronomy.SimulationAPI.observation_api")
    for telescope in (MODEL_2_CAMERA, MODEL_3_CAMERA):
        band = observation_api.SingleBand(
            pixel_scale=telescope.pixel_scale,
            exposure_time=telescope.exposure_time,
            num_exposures=telescope.exposures,
            magnitude_zero_point=telescope.magnitude_zero_point,
            sky_brightness=telescope.sky_brightness,
            read_noise=telescope.read_noise,
        )
        assert telescope.background_rms == pytest.approx(band.background_noise, rel=1e-12)
        assert telescope.electrons_per_second(20) == pytest.approx(band.magnitude2cps(20), rel=1e-12)


def test_hubble_camera_equals_lenstronomy() -> None:
    hst = pytest.importorskip("lenstronomy.SimulationAPI.ObservationConfig.HST")
    band = hst.HST(band="WFC3_F160W").kwargs_single_band()
    assert band["pixel_scale"] == MODEL_3_CAMERA.pixel_scale
    assert band["seeing"] == MODEL_3_CAMERA.gaussian.fwhm
    assert band["magnitude_zero_point"] == MODEL_3_CAMERA.magnitude_zero_point
    assert band["exposure_time"] == MODEL_3_CAMERA.exposure_time
    assert band["sky_brightness"] == MODEL_3_CAMERA.sky_brightness
    assert band["read_noise"] == MODEL_3_CAMERA.read_noise


@pytest.mark.parametrize("module", ["recipes", "populations"])
def test_declarations_do_not_import_torch(module: str) -> None:
    code = f"import sys, deeplense_hf.simulation.{module}\nprint({{'torch', 'scipy'}} & sys.modules.keys())"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"
