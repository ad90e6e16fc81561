"""Recipes against original images; skipped where the workplace's data are missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from deeplense_hf.simulation.populations import draw_systems
from deeplense_hf.simulation.published_recipe import PUBLISHED_COSMOLOGY, PublishedRecipe
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.renderer import render
from deeplense_hf.simulation.simulator import simulate_batch


def residual_of_best_source_position(recipe: PublishedRecipe, image: np.ndarray, *, normalised: bool) -> float:
    """Largest difference to an original smooth image when nothing but the source's position is free."""
    systems = draw_systems(recipe, "no_sub", [0], 0)

    def residual(position: np.ndarray) -> np.ndarray:
        placed = {"source_x": position[:1], "source_y": position[1:]}
        moved = replace(systems, parameters=systems.parameters | placed)
        model = recipe.image_multiplier * render(moved, recipe, dtype=torch.float64)[0, 0].numpy()
        return ((model / model.max() if normalised else model) - image).ravel()

    start = min(
        (np.array([x, y]) for x in np.linspace(-0.3, 0.3, 5) for y in np.linspace(-0.3, 0.3, 5)),
        key=lambda position: float((residual(position) ** 2).sum()),
    )
    fit = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    return float(np.abs(fit.fun).max() / image.max())


def test_model_3_reproduces_the_official_image(shared_data: Path) -> None:
    image = np.load(shared_data / "deeplense_official" / "ml4sci_repo_nosub.npz")["image"][0]
    assert residual_of_best_source_position(PUBLISHED_RECIPES["model_3"], image, normalised=True) < 1e-9


def test_model_2_reproduces_original_images(shared_data: Path) -> None:
    # These files were made without pyHalo, with the generator's own cosmology in its place.
    recipe = replace(PUBLISHED_RECIPES["model_2"], deflection_cosmology=PUBLISHED_COSMOLOGY)
    for path in sorted((shared_data / "original_formats" / "Model_II_test" / "no_sub").glob("*.npy"))[:3]:
        image = np.load(path, allow_pickle=False).astype(np.float64)
        assert residual_of_best_source_position(recipe, image, normalised=False) < 1e-6


def test_model_1_has_the_counts_of_original_images(shared_data: Path) -> None:
    paths = sorted((shared_data / "original_formats" / "Model_I_test" / "no_sub").glob("*.npy"))
    original = np.stack([np.load(path, allow_pickle=False) for path in paths]).astype(np.float64)
    ours = simulate_batch(PUBLISHED_RECIPES["model_1"], "no_sub", range(60), seed=0).images[:, 0]
    assert ours.mean() == pytest.approx(original.mean(), rel=0.25)
    # In the corners the clipped background is all there is: half of the pixels are empty or nearly so.
    assert (ours[:, :10, :10] == 0).mean() == pytest.approx((original[:, :10, :10] == 0).mean(), abs=0.03)
    axis = (np.arange(150) - 74.5) * 0.05
    radius = np.hypot(axis[:, None], axis)
    rings = [np.average(radius, weights=images.mean(axis=0) * (radius < 2.5)) for images in (ours, original)]
    assert rings[0] == pytest.approx(rings[1], abs=0.06)
