"""Tests of lenses of a published population beside what only looks like them."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deeplense_hf.simulation.finding_recipe import FindingRecipe
from deeplense_hf.simulation.finding_scenes import GALAXY, classes_of_lenses, draw_look_alike_systems
from deeplense_hf.simulation.look_alikes import LOOK_ALIKES
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.recipes import get_recipe
from deeplense_hf.simulation.scene_renderer import render_scenes
from deeplense_hf.simulation.simulator import simulate_batch

SMALL = FindingRecipe("small_finding", "Small images.", PUBLISHED_RECIPES["test"])
MODEL_1 = get_recipe("model_1_lens_finding")


@pytest.mark.parametrize("class_name", SMALL.class_names)
def test_images_and_columns_do_not_depend_on_the_batch(class_name: str) -> None:
    indices = [4, 0, 9, 2, 7, 30]
    together = simulate_batch(SMALL, class_name, indices, seed=1, morphology=True)
    assert together.images.shape == (6, 1, 32, 32)
    assert together.images.dtype == np.float32
    np.testing.assert_array_equal(together.images, np.round(together.images))
    for start, stop in ((0, 1), (1, 4), (4, 6)):
        part = simulate_batch(SMALL, class_name, indices[start:stop], seed=1, morphology=True)
        np.testing.assert_array_equal(part.images, together.images[start:stop])
        assert part.parameters.keys() == together.parameters.keys()
        for name, column in together.parameters.items():
            np.testing.assert_array_equal(part.parameters[name], column[start:stop], err_msg=name)
    nobody = simulate_batch(SMALL, class_name, [], seed=1)
    assert nobody.images.shape == (0, 1, 32, 32)
    assert set(nobody.parameters) <= set(together.parameters)


def test_lenses_are_of_every_class_and_of_no_other_data_set() -> None:
    classes = classes_of_lenses(SMALL, range(600), seed=0)
    assert sorted(set(classes)) == ["axion", "cdm", "no_sub"]
    assert min((classes == name).sum() for name in set(classes)) > 150
    lenses = simulate_batch(SMALL, "lens", range(30), seed=0).parameters
    np.testing.assert_array_equal(np.isfinite(lenses["log10_axion_mass_ev"]), classes[:30] == "axion")
    np.testing.assert_array_equal(lenses["subhalo_count"] > 0, classes[:30] == "cdm")
    published = [simulate_batch(PUBLISHED_RECIPES["test"], name, range(30), seed=0).parameters for name in set(classes)]
    seen = set(np.concatenate([parameters["source_x"] for parameters in published]).tolist())
    assert not seen & set(lenses["source_x"].tolist())


def test_look_alikes_have_nothing_of_a_lens() -> None:
    systems, scenes = draw_look_alike_systems(SMALL, "non_lens", range(80), seed=0)
    assert set(systems.parameters["look_alike"]) == {*LOOK_ALIKES, GALAXY}
    assert np.isnan(systems.parameters["einstein_radius"]).all()
    assert np.isnan(systems.parameters["source_x"]).all()
    assert not systems.parameters["number_of_images"].any()
    assert np.isfinite(systems.parameters["exposure_time"]).all()
    layers = render_scenes(scenes, SMALL)
    assert not layers.lensed.any()
    assert (layers.foreground.sum(dim=(1, 2, 3)) > 0).all()


def test_neither_brightness_nor_exposure_tells_the_class() -> None:
    lenses, look_alikes = (simulate_batch(MODEL_1, name, range(200), seed=0) for name in ("lens", "non_lens"))
    truths = np.repeat([1, 0], 200)

    def auc(column: str) -> float:
        return float(roc_auc_score(truths, np.concatenate([b.parameters[column] for b in (lenses, look_alikes)])))

    assert 0.4 < auc("exposure_time") < 0.6
    light = [batch.images.sum(axis=(1, 2, 3)) / batch.parameters["exposure_time"] for batch in (lenses, look_alikes)]
    assert 0.35 < roc_auc_score(truths, np.concatenate(light)) < 0.65


def test_noise_of_a_look_alike_is_that_of_the_camera() -> None:
    dark = replace(SMALL, lenses=replace(SMALL.lenses, source_amplitude=1e-9))
    batch = simulate_batch(dark, "non_lens", range(40), seed=0)
    rate = batch.images / batch.parameters["exposure_time"][:, None, None, None]
    # negative fluctuations are cut off before they are counted
    assert rate.std() == pytest.approx(0.58 * SMALL.lenses.instrument.background_rms, rel=0.1)


def test_other_classes_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"class_name='cdm' is not a class of recipe small_finding. Use one of non_len"
    ):
        simulate_batch(SMALL, "cdm", [0], seed=0)
    with pytest.raises(ValueError, match="neither may be negative"):
        simulate_batch(SMALL, "lens", [-1], seed=0)
