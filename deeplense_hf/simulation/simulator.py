"""From a recipe to observed images and their parameters."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .detector import expose, noise_deviation
from .finding_recipe import FindingRecipe
from .finding_scenes import classes_of_lenses, render_look_alikes
from .morphology import describe
from .noise import add_gaussian_noise, add_photon_counts
from .populations import Systems, draw_systems
from .published_recipe import PublishedRecipe
from .random_streams import noise_generator
from .recipes import Recipe
from .renderer import render
from .scene_populations import draw_scenes
from .scene_recipe import SceneRecipe
from .scene_renderer import render_scenes

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class SimulatedBatch:
    """Observed images of one class and the parameters that were drawn for them.

    Args:
        images: Observed images, float32, shape `(batch, bands, height, width)`; counts or counts per second as
            the recipe's noise model says.
        parameters: Columns of the data set by name, each of shape `(batch,)`; NaN or an empty text stands for no
            value.
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
    morphology: bool = False,
    device: torch.device | str = "cpu",
    dtype: str = "float32",
) -> SimulatedBatch:
    """Simulate systems; each depends on (recipe, class, seed, index) only, never on the batch.

    Args:
        recipe: What to simulate.
        class_name: One of the recipe's classes.
        indices: Numbers of the systems, zero or more, in any order.
        seed: Seed of the data set, zero or more.
        morphology: Whether to add the columns that `morphology.describe` measures on noise-free images. Systems with
            substructure are rendered once more for it, without.
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
    chosen = (class_name, indices, seed, morphology, torch.device(device), PRECISIONS[dtype])
    with _one_thread(torch.device(device)):
        if isinstance(recipe, PublishedRecipe):
            return _simulate_published(recipe, *chosen)
        if isinstance(recipe, SceneRecipe):
            return _simulate_scenes(recipe, *chosen)
        # an unknown class is refused by the look-alikes
        return (_simulate_lenses if class_name == "lens" else _simulate_look_alikes)(recipe, *chosen)


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Compute on one thread, so that an image is rounded alike however many there are; more come as processes."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _simulate_published(
    recipe: PublishedRecipe,
    class_name: str,
    indices: Sequence[int],
    seed: int,
    morphology: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> SimulatedBatch:
    systems = draw_systems(recipe, class_name, indices, seed)
    images = render(systems, recipe, dtype=dtype, device=device)[:, 0].cpu().numpy()
    parameters = systems.parameters
    if morphology and len(systems):
        smooth = render(systems.without_substructure(), recipe, dtype=dtype, device=device)[:, 0].cpu().numpy()
        noise = _published_noise(images, systems, recipe)
        parameters = parameters | describe(
            images, smooth, noise, recipe.instrument.pixel_scale, _without_nan(parameters)
        )
    return SimulatedBatch(observe(images, systems, recipe)[:, None], parameters, class_name)


def _published_noise(
    images: NDArray[np.float32] | NDArray[np.float64], systems: Systems, recipe: PublishedRecipe
) -> NDArray[np.float32] | NDArray[np.float64]:
    """Standard deviation of the noise of each pixel [counts/s], in the shape of the images."""
    time, rms = (
        systems.parameters[name].astype(np.float64)[:, None, None] for name in ("exposure_time", "background_rms")
    )
    counted_twice = 2 if recipe.noise_model == "photon_counts" and recipe.poisson_applied_twice else 1
    noise: NDArray[np.float64] = np.sqrt(rms**2 + counted_twice * np.maximum(images, 0) / time)
    return noise


def _simulate_lenses(
    recipe: FindingRecipe,
    class_name: str,
    indices: Sequence[int],
    seed: int,
    morphology: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> SimulatedBatch:
    """Simulate lenses of all classes of the published population."""
    published, numbers = recipe.published("lens"), np.asarray(indices)
    drawn = classes_of_lenses(recipe, indices, seed)
    groups = [(np.flatnonzero(drawn == name), name) for name in published.class_names]
    # all together if there are none, for the columns
    groups = [group for group in groups if len(group[0])] or groups[:1]
    parts = [
        _simulate_published(published, name, numbers[rows].tolist(), seed, morphology, device, dtype)
        for rows, name in groups
    ]
    order = np.argsort(np.concatenate([rows for rows, _ in groups]))
    columns = {name: np.concatenate([part.parameters[name] for part in parts])[order] for name in parts[0].parameters}
    return SimulatedBatch(np.concatenate([part.images for part in parts])[order], columns, class_name)


def _simulate_look_alikes(
    recipe: FindingRecipe,
    class_name: str,
    indices: Sequence[int],
    seed: int,
    morphology: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> SimulatedBatch:
    """Simulate what looks like a lens of the published population and is none."""
    systems, images = render_look_alikes(recipe, class_name, indices, seed, dtype=dtype, device=device)
    published, parameters = recipe.published(class_name), systems.parameters
    if morphology and len(systems):
        noise = _published_noise(images, systems, published)
        nothing = np.zeros_like(images)
        parameters = parameters | describe(
            nothing, nothing, noise, recipe.instrument.pixel_scale, _without_nan(parameters)
        )
    return SimulatedBatch(observe(images, systems, published)[:, None], parameters, class_name)


def _simulate_scenes(
    recipe: SceneRecipe,
    class_name: str,
    indices: Sequence[int],
    seed: int,
    morphology: bool,
    device: torch.device,
    dtype: torch.dtype,
) -> SimulatedBatch:
    scenes = draw_scenes(recipe, class_name, indices, seed)
    layers = render_scenes(scenes, recipe, dtype=dtype, device=device)
    lensed = layers.lensed.cpu().numpy()
    image = lensed + layers.foreground.cpu().numpy()
    parameters = scenes.parameters
    if morphology and len(scenes):
        smooth = lensed
        if scenes.substructure:
            without = render_scenes(scenes, recipe, substructure=False, dtype=dtype, device=device)
            smooth = without.lensed.cpu().numpy()
        noise = noise_deviation(image, recipe.bands)
        parameters = parameters | describe(
            lensed,
            smooth,
            noise,
            recipe.instrument.pixel_scale,
            _without_nan(parameters),
            extended=layers.source.cpu().numpy(),
        )
    generators = [noise_generator(recipe.name, class_name, seed, index) for index in scenes.indices.tolist()]
    return SimulatedBatch(expose(image, recipe.bands, generators), parameters, class_name)


def _without_nan(parameters: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """Parameters with zero for what is not there: a real galaxy has no ellipticity and counts as round."""
    return {
        name: np.nan_to_num(values) if np.issubdtype(values.dtype, np.floating) else values
        for name, values in parameters.items()
    }


def observe(
    images: NDArray[np.float32] | NDArray[np.float64], systems: Systems, recipe: PublishedRecipe
) -> NDArray[np.float32]:
    """Take noise-free images with a published recipe's instrument.

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
            noise_generator(recipe.name, systems.class_name, systems.seed, index) for index in systems.indices.tolist()
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
