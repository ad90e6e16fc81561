"""Random numbers of single systems: one stream for what a system is, one for its noise."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Population(Protocol):
    """What is known of any recipe."""

    @property
    def name(self) -> str:
        """Key of the recipe."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Its classes."""
        ...


def system_numbers(recipe: Population, class_name: str, indices: Sequence[int], seed: int) -> NDArray[np.int64]:
    """Check which systems are asked for.

    Args:
        recipe: The recipe.
        class_name: One of the recipe's classes.
        indices: Numbers of the systems.
        seed: Seed of the data set.

    Returns:
        The numbers, shape `(batch,)`.

    Raises:
        ValueError: If the class is not in the recipe, or an index or the seed is negative or not whole.
    """
    if class_name not in recipe.class_names:
        raise ValueError(
            f"class_name={class_name!r} is not a class of recipe {recipe.name}. "
            f"Use one of {', '.join(recipe.class_names)}."
        )
    numbers = np.asarray(indices).reshape(-1)
    if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
        raise ValueError(f"indices={indices} are not whole numbers. Give integers, zero or more.")
    if seed < 0 or (numbers < 0).any():
        raise ValueError(f"seed={seed}, lowest index={numbers.min(initial=0)}: neither may be negative.")
    return numbers.astype(np.int64)


def population_generator(population: str, class_name: str, seed: int, index: int) -> np.random.Generator:
    """Random numbers from which the parameters of one system are drawn.

    Args:
        population: Name of the population.
        class_name: Class of the system.
        seed: Seed of the data set.
        index: Number of the system.

    Returns:
        A generator that depends on nothing else.

    Source:
        Salmon et al. (2011), Philox: the key names the data set, the counter's highest word the system. The
        quickest to set up.
    """
    return np.random.Generator(np.random.Philox(key=_key(population, class_name, seed), counter=[0, 0, 0, index]))


def noise_generator(recipe_name: str, class_name: str, seed: int, index: int) -> np.random.Generator:
    """Random numbers for the noise of one system.

    Args:
        recipe_name: Name of the recipe.
        class_name: Class of the system.
        seed: Seed of the data set.
        index: Number of the system.

    Returns:
        A generator that depends on nothing else, independent of that of the population.

    Source:
        SFC64 of PractRand (Doty-Humphrey), by numpy. The quickest to draw many numbers from.
    """
    return np.random.Generator(np.random.SFC64([_key(recipe_name, class_name, seed), index]))


@lru_cache(maxsize=64)
def _key(name: str, class_name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{name}/{class_name}/{seed}".encode()).digest()[:16], "little")
