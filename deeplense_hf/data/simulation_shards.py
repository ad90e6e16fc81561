"""Simulate and write a shard of a data set; what a worker process does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .records import RecordBatch
from .simulation_plan import Shard, Systems
from .staging import Staging

if TYPE_CHECKING:
    from datasets import Features

    from deeplense_hf.simulation.recipes import Recipe


@dataclass(frozen=True)
class Job:
    """What all shards of a data set have in common; plain values, so that a worker is told them in JSON.

    Attributes:
        output_dir: The folder of the data set to be.
        share: Name of the share of the work that this process has.
        recipe: Name of the recipe.
        source_galaxies: What `galaxy_images.load_galaxies` takes; None for the recipe's own sources.
        seed: Seed of the simulation.
        morphology: Whether to measure the columns of `simulation.morphology`.
        batch_size: Systems at a time.
        device: Where to trace rays.
    """

    output_dir: str
    share: str
    recipe: str
    source_galaxies: str | None
    seed: int
    morphology: bool
    batch_size: int
    device: str


def recipe_of(job: Job, split: str) -> "Recipe":
    """Return the recipe of a job, in the command as in its workers.

    Args:
        job: The job.
        split: Split whose systems are simulated; no real galaxy is in two.

    Returns:
        The recipe, with the chosen galaxies as sources.

    Raises:
        FileNotFoundError: If the galaxies cannot be found.
        ValueError: If there is no recipe of that name, or it has no real galaxies as sources.
    """
    from deeplense_hf.simulation.scene_draws import for_split

    return for_split(_recipe_with_galaxies(job.recipe, job.source_galaxies), split)


@lru_cache(maxsize=1)
def _recipe_with_galaxies(name: str, source_galaxies: str | None) -> "Recipe":
    from deeplense_hf.simulation.recipes import RECIPES, get_recipe
    from deeplense_hf.simulation.scene_recipe import SceneRecipe

    recipe = get_recipe(name)
    if source_galaxies is None:
        return recipe
    if not isinstance(recipe, SceneRecipe):
        others = ", ".join(name for name, other in RECIPES.items() if isinstance(other, SceneRecipe))
        raise ValueError(
            f"source_galaxies={source_galaxies!r} does not go with recipe={name!r}, whose sources are as published; "
            f"use one of {others}."
        )
    from .galaxy_images import load_galaxies

    # Sources are resized to half-light radii that the recipe draws: how wide the pictures' pixels are does not matter.
    return replace(recipe, galaxies=load_galaxies(source_galaxies, pixel_scale=1.0))


def features_of(recipe: "Recipe") -> "Features":
    """Return the features of a recipe's data set.

    Args:
        recipe: The recipe.

    Returns:
        See `schema.features`.
    """
    from .schema import features

    size = recipe.instrument.image_size
    return features([str(name) for name in recipe.class_names], recipe.num_bands, size, size)


def write_shard(job: Job, shard: Shard, advance: Callable[[int], None]) -> None:
    """Write a shard, unless it is finished and intact; a row group is in memory at a time.

    Args:
        job: What to simulate.
        shard: Which systems.
        advance: Called with the number of systems that were finished since the last call.

    Raises:
        ValueError: If a system cannot be simulated.
        OSError: If the disk refuses.
    """
    from .build import rows_of_group, shard_writer
    from .records import as_table

    staging = Staging(Path(job.output_dir))
    if staging.is_intact(shard.name):
        advance(len(shard.systems))
        return
    recipe = recipe_of(job, shard.split)
    declared = features_of(recipe)
    rows = rows_of_group(declared)
    with staging.writing(shard.name, job.share) as path, shard_writer(path, declared) as write:
        for start in range(0, len(shard.systems), rows):
            records = simulate_records(recipe, job, shard.systems[start : start + rows], advance)
            write(as_table(records, declared))


def simulate_records(recipe: "Recipe", job: Job, systems: Systems, advance: Callable[[int], None]) -> RecordBatch:
    """Simulate systems.

    Args:
        recipe: The recipe of the job.
        job: What to simulate.
        systems: Which systems.
        advance: Called with the number of systems that were finished since the last call.

    Returns:
        Their records, in the order of the systems.
    """
    from deeplense_hf.simulation.simulator import simulate_batch

    size = recipe.instrument.image_size
    images = np.empty((len(systems), recipe.num_bands, size, size), dtype=np.float32)
    columns: dict[str, NDArray[Any]] = {}
    for label, name in enumerate(recipe.class_names):
        rows = np.flatnonzero(systems.labels == label)
        for start in range(0, len(rows), job.batch_size):
            chosen = rows[start : start + job.batch_size]
            result = simulate_batch(
                recipe,
                name,
                systems.indices[chosen].tolist(),
                job.seed,
                morphology=job.morphology,
                device=job.device,
            )
            images[chosen] = result.images
            for column, values in result.parameters.items():
                columns.setdefault(column, _absent(len(systems), values))[chosen] = _nullable(values)
            advance(len(chosen))
    return RecordBatch(images, systems.labels, {**columns, **_provenance(recipe, job, systems)})


def _absent(rows: int, values: NDArray[Any]) -> NDArray[Any]:
    """A column without values: NaN for numbers and truth values, None for texts."""
    return np.full(rows, None, dtype=object) if values.dtype.kind in "OSU" else np.full(rows, np.nan)


def _nullable(values: NDArray[Any]) -> NDArray[Any]:
    """Turn empty texts, which stand for no value, into None."""
    if values.dtype.kind not in "OSU":
        return values
    texts = values.astype(object)
    texts[values == ""] = None
    return texts


def _provenance(recipe: "Recipe", job: Job, systems: Systems) -> dict[str, Any]:
    from . import schema

    count = len(systems)
    names = [recipe.class_names[label] for label in systems.labels.tolist()]
    # other galaxies behind the same lenses are other systems
    identifier = getattr(getattr(recipe, "galaxies", None), "identifier", "")
    galaxies = "" if job.source_galaxies is None else f"/{identifier}"
    return {
        schema.SYSTEM_ID: [
            f"{recipe.name}{galaxies}/{job.seed}/{name}/{index}"
            for name, index in zip(names, systems.indices.tolist(), strict=True)
        ],
        schema.PIXEL_SCALE: np.full(count, recipe.instrument.pixel_scale),
        schema.INSTRUMENT: [recipe.instrument_name] * count,
        schema.RECIPE: [recipe.name] * count,
        schema.SEED: [job.seed] * count,
        schema.SYSTEM_INDEX: systems.indices,
    }
