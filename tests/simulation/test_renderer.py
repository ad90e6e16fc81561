from dataclasses import replace

import numpy as np
import pytest
import torch

from deeplense_hf.simulation.instruments import MODEL_1_CAMERA
from deeplense_hf.simulation.point_spread import GaussianPointSpread
from deeplense_hf.simulation.populations import Systems, draw_systems
from deeplense_hf.simulation.published_recipe import PublishedRecipe
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.renderer import pixel_positions, render

ALL = [(recipe, name) for recipe in PUBLISHED_RECIPES.values() for name in recipe.class_names]
IDENTIFY = {"ids": lambda value: getattr(value, "name", value)}


def reference_images(systems: Systems, recipe: PublishedRecipe) -> np.ndarray:
    pytest.importorskip("lenstronomy", reason="parity needs the test extra: pip install 'deeplense-hf[test]'")
    from deeplense_hf.simulation.lenstronomy_adapter import lenstronomy_image

    return np.stack([lenstronomy_image(systems, row, recipe) for row in range(len(systems))])


def largest_difference(images: torch.Tensor, reference: np.ndarray) -> float:
    peak = reference.max(axis=(1, 2), keepdims=True)
    return float((np.abs(images[:, 0].numpy() - reference) / peak).max())


@pytest.mark.parametrize(("recipe", "class_name"), ALL, **IDENTIFY)
def test_images_equal_lenstronomy(recipe: PublishedRecipe, class_name: str) -> None:
    systems = draw_systems(recipe, class_name, range(4), seed=20)
    reference = reference_images(systems, recipe)
    assert largest_difference(render(systems, recipe, dtype=torch.float64), reference) < 1e-6
    assert largest_difference(render(systems, recipe), reference) < 1e-3


def test_images_equal_lenstronomy_with_other_numbers() -> None:
    camera = replace(PUBLISHED_RECIPES["test"].instrument, image_size=33, point_spread=GaussianPointSpread(0.9, 2.0))
    recipe = replace(
        PUBLISHED_RECIPES["test"], lens_ellipticity_2=-0.2, shear_2=0.07, sersic_index=3.2, source_ellipticity_1=0.3,
        instrument=camera,
    )  # fmt: skip
    systems = draw_systems(recipe, "axion", range(3), seed=0)
    reference = reference_images(systems, recipe)
    assert largest_difference(render(systems, recipe, dtype=torch.float64), reference) < 1e-6
    assert largest_difference(render(systems, recipe), reference) < 1e-3


def with_points(systems: Systems, x: list, y: list) -> Systems:
    return replace(
        systems,
        point_x=np.array([x]),
        point_y=np.array([y]),
        point_einstein_radius=np.full((1, len(x)), 0.0222),
    )


@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-7, 1e-5, 1e-4, 3e-4, 1e-3, 1e-2])
def test_pixels_beside_a_point_mass_equal_lenstronomy(distance: float) -> None:
    recipe = PUBLISHED_RECIPES["model_1"]
    systems = draw_systems(recipe, "no_sub", [0], seed=0)
    axis = pixel_positions(recipe.instrument)
    columns, rows = axis[[100, 60, 75, 101]], axis[[75, 98, 100, 76]]
    crowded = with_points(systems, (columns + distance).tolist(), (rows - 0.3 * distance).tolist())
    reference = reference_images(crowded, recipe)
    assert largest_difference(render(crowded, recipe, dtype=torch.float64), reference) < 1e-6
    assert largest_difference(render(crowded, recipe), reference) < 1e-3


@pytest.mark.parametrize(("recipe", "class_name"), ALL, **IDENTIFY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_image_does_not_depend_on_the_batch(recipe: PublishedRecipe, class_name: str, dtype: torch.dtype) -> None:
    systems = draw_systems(recipe, class_name, range(9), seed=1)
    together = render(systems, recipe, dtype=dtype)
    for batch in (1, 2, 5):
        parts = [range(start, min(start + batch, 9)) for start in range(0, 9, batch)]
        apart = torch.cat([render(draw_systems(recipe, class_name, p, 1), recipe, dtype=dtype) for p in parts])
        assert torch.equal(apart, together)


def test_an_image_does_not_depend_on_the_number_of_threads() -> None:
    recipe = PUBLISHED_RECIPES["test"]
    systems = draw_systems(recipe, "cdm", range(40), seed=1)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = render(systems, recipe)
        torch.set_num_threads(3)
        assert torch.equal(render(systems, recipe), single)
    finally:
        torch.set_num_threads(threads)


def test_systems_with_different_lenses_are_rendered_each_with_its_own() -> None:
    recipe = PUBLISHED_RECIPES["test"]
    systems = draw_systems(recipe, "cdm", range(3), seed=1)
    varied = replace(systems, parameters=systems.parameters | {"einstein_radius": np.array([0.9, 1.2815, 1.5])})
    reference = reference_images(varied, recipe)
    assert largest_difference(render(varied, recipe, dtype=torch.float64), reference) < 1e-6


def test_flux_of_an_unlensed_source_is_that_of_its_magnitude() -> None:
    recipe = PUBLISHED_RECIPES["model_3"]
    systems = draw_systems(recipe, "no_sub", [0, 1], seed=0)
    unlensed = {"einstein_radius": np.zeros(2), "shear_1": np.zeros(2)}
    images = render(replace(systems, parameters=systems.parameters | unlensed), recipe, dtype=torch.float64)
    expected = recipe.instrument.electrons_per_second(20.0)
    np.testing.assert_allclose(images.sum(dim=(1, 2, 3)), expected, rtol=0.02)


def test_ring_of_a_centred_source_has_the_einstein_radius() -> None:
    recipe = replace(
        PUBLISHED_RECIPES["model_1"],
        lens_ellipticity_1=0.0,
        shear_1=0.0,
        source_position_limit=0.0,
        source_radius=0.05,
        source_ellipticity_1=0.0,
        source_ellipticity_2=0.0,
    )
    image = render(draw_systems(recipe, "no_sub", [0], 0), recipe)[0, 0].double().numpy()
    axis = pixel_positions(MODEL_1_CAMERA)
    radius = np.hypot(axis[:, None], axis)
    assert np.average(radius, weights=image**4) == pytest.approx(1.2815, abs=0.01)


def test_no_systems_give_no_images() -> None:
    recipe = PUBLISHED_RECIPES["test"]
    assert render(draw_systems(recipe, "cdm", [], 0), recipe).shape == (0, 1, 32, 32)


def test_other_precisions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dtype=torch.float16"):
        render(draw_systems(PUBLISHED_RECIPES["test"], "cdm", [0], 0), PUBLISHED_RECIPES["test"], dtype=torch.float16)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_graphics_card_equals_processor() -> None:
    for recipe, class_name in ALL:
        systems = draw_systems(recipe, class_name, range(4), seed=3)
        processor = render(systems, recipe, dtype=torch.float64)
        card = render(systems, recipe, dtype=torch.float64, device="cuda").cpu()
        assert ((card - processor).abs().amax() / processor.amax()) < 1e-9
        single = render(systems, recipe, device="cuda").cpu()
        assert ((single - processor).abs().amax() / processor.amax()) < 1e-3
