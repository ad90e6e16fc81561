from dataclasses import replace

import numpy as np
import pytest

from deeplense_hf.simulation.published_recipe import PublishedRecipe
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.simulator import simulate_batch

ALL = [(recipe, name) for recipe in PUBLISHED_RECIPES.values() for name in recipe.class_names]
COLUMNS = {
    "log10_axion_mass_ev", "vortex_mass", "vortex_half_length", "vortex_angle", "subhalo_count",
    "subhalo_total_mass", "einstein_radius", "ellipticity_1", "ellipticity_2", "shear_1", "shear_2",
    "redshift_lens", "redshift_source", "source_x", "source_y", "source_radius", "sersic_index",
    "source_ellipticity_1", "source_ellipticity_2", "source_magnitude", "exposure_time", "background_rms",
    "number_of_images", "subhalo_mass_fraction", "vortex_mass_fraction",
}  # fmt: skip


@pytest.mark.parametrize(("recipe", "class_name"), ALL, ids=lambda value: getattr(value, "name", value))
def test_images_and_columns_do_not_depend_on_the_batch(recipe: PublishedRecipe, class_name: str) -> None:
    indices = [4, 0, 9, 2, 7]
    together = simulate_batch(recipe, class_name, indices, seed=1)
    size = recipe.instrument.image_size
    assert together.images.shape == (5, 1, size, size)
    assert together.images.dtype == np.float32
    assert np.isfinite(together.images).all()
    assert together.parameters.keys() == COLUMNS
    for start, stop in ((0, 1), (1, 4), (4, 5)):
        part = simulate_batch(recipe, class_name, indices[start:stop], seed=1)
        np.testing.assert_array_equal(part.images, together.images[start:stop])
        for name, column in together.parameters.items():
            assert column.shape == (5,)
            np.testing.assert_array_equal(part.parameters[name], column[start:stop], err_msg=name)


def test_model_1_gives_counts() -> None:
    batch = simulate_batch(PUBLISHED_RECIPES["model_1"], "cdm", range(3), seed=0)
    np.testing.assert_array_equal(batch.images, np.round(batch.images))
    assert batch.images.min() == 0
    other_seed = simulate_batch(PUBLISHED_RECIPES["model_1"], "cdm", [0], seed=1)
    assert not np.array_equal(batch.images[0], other_seed.images[0])


@pytest.mark.parametrize("name", ["model_2", "model_3"])
def test_discarded_noise_can_be_kept(name: str) -> None:
    published = PUBLISHED_RECIPES[name]
    noisy = replace(published, noise_discarded=False, image_multiplier=1.0)
    clean = simulate_batch(published, "no_sub", range(4), seed=0)
    kept = simulate_batch(noisy, "no_sub", range(4), seed=0)
    assert np.isnan(clean.parameters["background_rms"]).all()
    np.testing.assert_allclose(kept.parameters["background_rms"], noisy.instrument.background_rms)
    model = clean.images / 2
    expected = np.sqrt(model / noisy.instrument.total_exposure_time + noisy.instrument.background_rms**2)
    assert ((kept.images - model) / expected).std() == pytest.approx(1, abs=0.02)
    assert abs(((kept.images - model) / expected).mean()) < 0.03


def test_precision_hardly_changes_an_image() -> None:
    single = simulate_batch(PUBLISHED_RECIPES["model_2"], "axion", range(3), seed=0).images
    double = simulate_batch(PUBLISHED_RECIPES["model_2"], "axion", range(3), seed=0, dtype="float64").images
    np.testing.assert_allclose(single, double, atol=1e-3 * double.max())


def test_unknown_precisions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dtype='float16' is not supported. Use one of float32, float64"):
        simulate_batch(PUBLISHED_RECIPES["test"], "cdm", [0], 0, dtype="float16")
