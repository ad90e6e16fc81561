"""Which systems a simulated data set holds, in which order and in which shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .build import shard_bounds, shard_name
from .schema import SPLITS
from .splits import split_of_systems


@dataclass(frozen=True)
class Systems:
    """Systems in the order of their rows.

    Attributes:
        labels: Number of the class of each, `(systems,)`.
        indices: Number of each within its class, `(systems,)`.
    """

    labels: NDArray[np.int16]
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "Systems":
        return Systems(self.labels[rows], self.indices[rows])


@dataclass(frozen=True)
class Shard:
    """A file of a data set to be.

    Attributes:
        name: Path below the folder of the data set.
        split: Split that it is part of.
        systems: Its rows.
    """

    name: str
    split: str
    systems: Systems


def systems_of_classes(class_names: Sequence[str], images_per_class: int, imbalance: float) -> dict[str, int]:
    """Say how many systems of each class there are.

    Args:
        class_names: Classes in the order of their labels.
        images_per_class: Systems of each class but the first.
        imbalance: Systems of the first class for each of every other class.

    Returns:
        Number of systems by class.

    Raises:
        ValueError: If none of the first class would be left.
    """
    first = round(images_per_class * imbalance)
    if first < 1:
        raise ValueError(
            f"imbalance={imbalance} leaves no system of the class '{class_names[0]}' for images_per_class="
            f"{images_per_class}; use at least {1 / images_per_class:g}."
        )
    return {name: images_per_class if number else first for number, name in enumerate(class_names)}


def plan_systems(
    counts: Mapping[str, int], validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, Systems]:
    """Choose the systems of every split, in an order that says nothing about the class.

    Args:
        counts: Systems of each class, in the order of the labels.
        validation_fraction: Share of the validation split.
        test_fraction: Share of the test split.
        seed: Seed of the order.

    Returns:
        Systems by split, without empty splits.

    Raises:
        ValueError: If the fractions are out of range or a class has too few systems for the wanted splits.
    """
    # the split of a system does not depend on how many there are, but the smallest class may have too few
    for count in sorted(set(counts.values())):
        split_of = split_of_systems(count, validation_fraction, test_fraction)
    planned = {}
    for number, split in enumerate(SPLITS):
        indices = [np.flatnonzero(split_of[:count] == number) for count in counts.values()]
        labels = np.repeat(np.arange(len(indices), dtype=np.int16), [len(part) for part in indices])
        if len(labels):
            order = np.random.default_rng([seed, number]).permutation(len(labels))
            planned[split] = Systems(labels, np.concatenate(indices))[order]
    return planned


def class_counts(planned: Mapping[str, Systems], class_names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the systems.

    Args:
        planned: Systems by split.
        class_names: Classes in the order of their labels.

    Returns:
        Number of systems by class, by split.
    """
    return {
        split: dict(zip(class_names, np.bincount(systems.labels, minlength=len(class_names)).tolist(), strict=True))
        for split, systems in planned.items()
    }


def plan_shards(planned: Mapping[str, Systems], systems_per_shard: int) -> list[Shard]:
    """Cut the splits into shards.

    Args:
        planned: Systems by split.
        systems_per_shard: Largest number of systems of a shard.

    Returns:
        The shards of all splits in their order.
    """
    shards = []
    for split, systems in planned.items():
        bounds = shard_bounds(len(systems), systems_per_shard)
        shards += [
            Shard(shard_name(split, number, len(bounds)), split, systems[start:stop])
            for number, (start, stop) in enumerate(bounds)
        ]
    return shards
