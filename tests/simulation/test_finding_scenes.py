"""Tests of lenses of a published population beside what only looks like them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from deeplense_hf.simulation.finding_recipe import FindingRecipe
from deeplense_hf.simulation.finding_scenes import GALAXY, KINDS, classes_of_lenses, render_look_alikes
from deeplense_hf.simulation.look_alikes import LOOK_ALIKES
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.recipes import get_recipe
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
    systems, images = render_look_alikes(SMALL, "non_lens", range(80), seed=0)
    assert set(systems.parameters["look_alike"]) == {*KINDS.values(), GALAXY}
    assert set(KINDS) == set(LOOK_ALIKES)
    assert np.isnan(systems.parameters["einstein_radius"]).all()
    assert np.isnan(systems.parameters["source_x"]).all()
    assert not systems.parameters["number_of_images"].any()
    assert np.isfinite(systems.parameters["exposure_time"]).all()
    lenses = simulate_batch(SMALL, "lens", range(80), seed=0)
    assert np.median(images.max(axis=(1, 2))) == pytest.approx(
        np.median((lenses.images[:, 0] / lenses.parameters["exposure_time"][:, None, None]).max(axis=(1, 2))), rel=0.2
    )


def test_neither_surface_brightness_nor_light_nor_exposure_tells_the_class() -> None:
    lenses, look_alikes = (simulate_batch(MODEL_1, name, range(200), seed=0) for name in ("lens", "non_lens"))
    kinds = look_alikes.parameters["look_alike"]

    def auc(of_lenses: np.ndarray, of_look_alikes: np.ndarray) -> float:
        truths = np.repeat([1, 0], [len(of_lenses), len(of_look_alikes)])
        return float(roc_auc_score(truths, np.concatenate([of_lenses, of_look_alikes])))

    rates, peaks = [], []
    for batch in (lenses, look_alikes):
        rate = batch.images[:, 0] / batch.parameters["exposure_time"][:, None, None]
        rates.append(rate.sum(axis=(1, 2)))
        peaks.append(gaussian_filter(rate, (0, 2, 2)).max(axis=(1, 2)))
    assert 0.4 < auc(*(batch.parameters["exposure_time"] for batch in (lenses, look_alikes))) < 0.6
    assert 0.15 < auc(*rates) < 0.85
    assert 0.3 < auc(*peaks) < 0.7
    # nor of a kind that is as wide as a lens; what is compact has less light and is blurred more
    for kind in ("arms", "ring", "galaxy"):
        assert 0.1 < auc(peaks[0], peaks[1][kinds == kind]) < 0.9, kind


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
