"""Random numbers of single systems: one stream for what a system is, one for its noise."""

import hashlib
from functools import lru_cache

import numpy as np


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
