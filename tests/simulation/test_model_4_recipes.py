from dataclasses import replace

import numpy as np
import pytest
import torch

from deeplense_hf.simulation.model_4_recipes import MODEL_4_RECIPES
from deeplense_hf.simulation.scene_populations import draw_scenes
from deeplense_hf.simulation.scene_priors import PyHaloPrior
from deeplense_hf.simulation.simulator import simulate_batch

LEGACY, CORRECTED = MODEL_4_RECIPES["model_4"], MODEL_4_RECIPES["model_4_corrected"]
FEW_HALOES = PyHaloPrior(cone_opening_angle=4.0, log10_lowest_mass=8.0)


def test_systems_without_haloes_need_no_pyhalo() -> None:
    for recipe in (LEGACY, CORRECTED):
        batch = simulate_batch(recipe, "no_sub", range(2), seed=0, morphology=True)
        assert batch.images.shape == (2, 3, 64, 64)
        assert np.isfinite(batch.images).all()
        assert all(batch.parameters["source_galaxy"])


def test_the_published_lens_gives_the_class_away_and_the_corrected_one_does_not() -> None:
    assert LEGACY.lens_of_no_sub is not None
    assert LEGACY.lens_of_no_sub.shear != LEGACY.lens.shear
    assert CORRECTED.lens_of_no_sub is None
    lens = draw_scenes(LEGACY, "no_sub", range(200), seed=0).parameters
    assert (lens["shear_1"] == 0).all()
    assert lens["einstein_radius"].mean() == pytest.approx(0.84, abs=0.03)


@pytest.mark.parametrize("class_name", ["cdm", "axion"])
def test_haloes_of_pyhalo_show(class_name: str) -> None:
    pytest.importorskip("pyHalo")
    recipe = replace(CORRECTED, pyhalo=FEW_HALOES)
    together = simulate_batch(recipe, class_name, [4, 1], seed=0, morphology=True)
    alone = simulate_batch(recipe, class_name, [1], seed=0)
    np.testing.assert_array_equal(together.images[1:], alone.images)
    assert (together.parameters["substructure_visibility"] > 0).all()
    assert ("log10_axion_mass_ev" in alone.parameters) == (class_name == "axion")


@pytest.mark.parametrize("class_name", ["cdm", "axion"])
def test_haloes_leave_the_mass_within_the_einstein_radius_as_it_is(class_name: str) -> None:
    pytest.importorskip("pyHalo")
    scenes = draw_scenes(replace(CORRECTED, pyhalo=FEW_HALOES), class_name, range(3), seed=0)
    circle, radius = 2 * np.pi * np.arange(180) / 180, scenes.macro_lens.einstein_radius
    x, y = (torch.from_numpy(radius[:, None, None] * wave(circle)) for wave in (np.cos, np.sin))
    outward = []
    for lens in ([scenes.macro_lens], [scenes.smooth_lens, *scenes.substructure]):
        deflection = torch.zeros(2, *x.shape, dtype=torch.float64)
        for deflector in lens:
            deflector.add_deflection_(deflection[0], deflection[1], x, y, slice(None))
        radial = deflection[0].numpy()[:, 0] * np.cos(circle) + deflection[1].numpy()[:, 0] * np.sin(circle)
        outward.append(radial.mean(axis=1))
    np.testing.assert_allclose(outward[1], outward[0], rtol=2e-3)
