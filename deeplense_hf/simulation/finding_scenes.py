"""Which lenses a finding recipe shows, and what its look-alikes are and look like."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .finding_recipe import FindingRecipe
from .look_alikes import (
    LOOK_ALIKES,
    Ingredients,
    LookAlike,
    SersicPart,
    draw_look_alike,
    ellipticity_of,
    look_alike_lights,
)
from .populations import Systems, draw_systems
from .published_recipe import PublishedRecipe
from .random_streams import population_generator, system_numbers
from .renderer import render
from .scene_draws import OF_LENSES
from .scene_renderer import render_scenes
from .scenes import Scenes
from .smooth_lens import SmoothLens

GALAXY = "galaxy"
"""A look-alike that is a disc by itself, one to four times as wide as a source."""
KINDS = {"spiral": "arms", "elliptical_with_companions": "companions", "ring": "ring", "merger": "merger"}
"""What is left of the look-alikes of lenses that shine, without the light of the lens galaxy."""


def classes_of_lenses(recipe: FindingRecipe, indices: Sequence[int], seed: int) -> NDArray[np.str_]:
    """Say of which class of the published population each `lens` is.

    Args:
        recipe: What to draw from.
        indices: Numbers of the systems, zero or more.
        seed: Seed of the data set, zero or more.

    Returns:
        Names of classes, all equally often, shape `(batch,)`.

    Raises:
        ValueError: If an index or the seed is negative or not whole.
    """
    numbers = system_numbers(recipe, "lens", indices, seed).tolist()
    names = recipe.lenses.class_names
    drawn = [population_generator(recipe.name, "lens", seed, index).integers(len(names)) for index in numbers]
    return np.array(names)[np.array(drawn, dtype=np.int64)]


def render_look_alikes(
    recipe: FindingRecipe,
    class_name: str,
    indices: Sequence[int],
    seed: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> tuple[Systems, NDArray[np.float32] | NDArray[np.float64]]:
    """Draw look-alikes and render them without noise.

    Lensing conserves surface brightness, so that the lenses of a published population, which have one source, are
    equally bright at their brightest. A look-alike is as bright there as the lens that it is taken for; otherwise that
    alone would tell them apart.

    Args:
        recipe: What to draw from.
        class_name: `non_lens`.
        indices: Numbers of the systems, zero or more, in any order.
        seed: Seed of the data set, zero or more.
        dtype: Precision, float32 or float64.
        device: Where to compute.

    Returns:
        Parameters, as of the published population with NaN for what only lenses have, and noise-free images
        [counts/s/pixel], shape `(batch, height, width)`, in the order of the indices; each depends on (recipe, seed,
        index) only.

    Raises:
        ValueError: If the class is another, or an index or the seed is negative or not whole.
    """
    numbers = system_numbers(recipe, class_name, indices, seed)
    published = recipe.published(class_name)
    pretended = draw_systems(published, "no_sub", numbers.tolist(), seed)
    radii = pretended.parameters["einstein_radius"].tolist()
    look_alikes = [
        _draw(recipe.lenses, radius, population_generator(recipe.name, class_name, seed, index))
        for index, radius in zip(numbers.tolist(), radii, strict=True)
    ]
    parameters: dict[str, NDArray[np.generic]] = dict(pretended.parameters)
    parameters |= {name: np.full(len(numbers), math.nan) for name in OF_LENSES if name in parameters}
    parameters["number_of_images"] = np.zeros(len(numbers), dtype=np.int32)
    parameters["look_alike"] = np.array([look_alike.kind for look_alike in look_alikes], dtype=np.str_)
    zero = np.zeros(len(numbers))
    no_lens = SmoothLens(zero, zero, zero, zero, zero)
    scenes = Scenes(
        class_name, numbers, seed, parameters, np.zeros((len(numbers), 2)), no_lens, no_lens, (), (),
        look_alike_lights(look_alikes, bands=1),
    )  # fmt: skip
    images = render_scenes(scenes, recipe, dtype=dtype, device=device).foreground
    if len(numbers):
        images *= _peaks(render(pretended, published, dtype=dtype, device=device)) / _peaks(images)
    return replace(pretended, class_name=class_name, parameters=parameters), images[:, 0].cpu().numpy()


def _peaks(images: Tensor) -> Tensor:
    """Brightest pixel of each image, broadcast to the images."""
    return images.amax(dim=(1, 2, 3), keepdim=True)


def _draw(lenses: PublishedRecipe, einstein_radius: float, generator: np.random.Generator) -> LookAlike:
    """Draw one look-alike of the light of a lens, of unit flux."""
    flux = np.ones(1)
    if generator.random() * (len(LOOK_ALIKES) + 1) < 1:
        size = lenses.source_radius * generator.uniform(1.0, 4.0)
        shape = ellipticity_of(generator.uniform(0.4, 1.0), generator.uniform(0, np.pi))
        return LookAlike(GALAXY, (SersicPart(flux, size, 0.0, 0.0, lenses.sersic_index, *shape),))
    ingredients = Ingredients(
        einstein_radius=einstein_radius,
        galaxy_radius=lenses.source_radius,
        sersic_index=lenses.sersic_index,
        ellipticity_1=0.0,
        ellipticity_2=0.0,
        galaxy_flux=np.zeros(1),
        arc_flux=flux,
    )
    drawn = draw_look_alike(generator, ingredients)
    return LookAlike(KINDS[drawn.kind], tuple(part for part in drawn.parts if part.flux.any()))
