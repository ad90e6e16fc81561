"""From a recipe to observed images and their parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .noise import add_gaussian_noise, add_photon_counts
from .populations import Systems, draw_systems, noise_generator
from .recipes import Recipe
from .renderer import render

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class SimulatedBatch:
    """Observed images of one class and the parameters that were drawn for them.

    Args:
        images: Observed images, float32, shape `(batch, 1, height, width)`; counts or counts per second as
            the recipe's noise model says.
        parameters: Columns of the data set by name, each of shape `(batch,)`; NaN stands for no value.
        class_name: The class of all of them.
    """

    images: NDArray[np.float32]
    parameters: dict[str, NDArray[np.generic]]
    class_name: str


def simulate_batch(
    recipe: Recipe,
    class_name: str,
    indices: Sequence[int],
    seed: int,
    *,
    device: torch.device | str = "cpu",
    dtype: str = "float32",
) -> SimulatedBatch:
    """Simulate systems; each depends on (recipe, class, seed, index) only, never on the batch.

    Args:
        recipe: What to simulate.
        class_name: One of the recipe's classes.
        indices: Numbers of the systems, zero or more, in any order.
        seed: Seed of the data set, zero or more.
        device: Where to trace the rays; noise is always added on the processor. Another kind of device may
            change the last bits of an image and, rarely, a count by one.
        dtype: Precision of the ray-tracing, "float32" or "float64".

    Returns:
        Images and parameters in the order of the indices.

    Raises:
        ValueError: If the class, an index, the seed or the precision is not allowed.

    >>> from deeplense_hf.simulation.recipes import get_recipe
    >>> simulate_batch(get_recipe("test"), "cdm", [0, 1], seed=0).images.shape
    (2, 1, 32, 32)
    """
    if dtype not in PRECISIONS:
        raise ValueError(f"dtype={dtype!r} is not supported. Use one of {', '.join(PRECISIONS)}.")
    systems = draw_systems(recipe, class_name, indices, seed)
    images = render(systems, recipe, dtype=PRECISIONS[dtype], device=device)
    observed = observe(images[:, 0].cpu().numpy(), systems, recipe)
    return SimulatedBatch(observed[:, None], systems.parameters, class_name)


def observe(images: NDArray[np.float32] | NDArray[np.float64], systems: Systems, recipe: Recipe) -> NDArray[np.float32]:
    """Take noise-free images with the recipe's instrument.

    Args:
        images: Noise-free images [counts/s], shape `(batch, height, width)`.
        systems: The systems shown.
        recipe: Says which noise is added, or that it is discarded, and by what the image is multiplied.

    Returns:
        Observed images, shape `(batch, height, width)`.
    """
    if recipe.noise_discarded:
        observed = images.astype(np.float32)
    else:
        generators = [
            noise_generator(recipe, systems.class_name, systems.seed, index) for index in systems.indices.tolist()
        ]
        exposure_time = systems.parameters["exposure_time"].astype(np.float64)
        background_rms = systems.parameters["background_rms"].astype(np.float64)
        if recipe.noise_model == "photon_counts":
            observed = add_photon_counts(
                images,
                exposure_time,
                background_rms,
                generators,
                poisson_applied_twice=recipe.poisson_applied_twice,
            )
        else:
            observed = add_gaussian_noise(images, exposure_time, background_rms, generators)
    return observed if recipe.image_multiplier == 1 else observed * np.float32(recipe.image_multiplier)
