"""Which system belongs to which split; a system never lies in two."""

from collections.abc import Sequence

import numpy as np

from .schema import SPLITS

_GOLDEN = 0.6180339887498949


def check_fractions(validation_fraction: float, test_fraction: float) -> None:
    """Refuse fractions that leave nothing to train on.

    Args:
        validation_fraction: Share of the validation split.
        test_fraction: Share of the test split.

    Raises:
        ValueError: If one is negative or their sum is not below 1.
    """
    if min(validation_fraction, test_fraction) < 0 or validation_fraction + test_fraction >= 1:
        raise ValueError(
            f"validation_fraction={validation_fraction} and test_fraction={test_fraction} must not be negative and "
            "must add up to less than 1."
        )


def split_of_systems(count: int, validation_fraction: float, test_fraction: float) -> np.ndarray:
    """Assign simulated systems 0 .. count-1 of a class to splits.

    The split of a system does not depend on how many there are, so that a system that one data set holds out is
    never in the training split of a larger one. The golden-ratio sequence keeps every prefix balanced.

    Args:
        count: Number of systems.
        validation_fraction: Share of the validation split.
        test_fraction: Share of the test split.

    Returns:
        Index into `SPLITS` of each system, `(count,)`.

    Raises:
        ValueError: If the fractions are out of range or a wanted split stays empty.
    """
    check_fractions(validation_fraction, test_fraction)
    position = (np.arange(count) * _GOLDEN) % 1.0
    splits = np.zeros(count, dtype=np.int64)
    splits[position >= 1.0 - validation_fraction - test_fraction] = 1
    splits[position >= 1.0 - test_fraction] = 2
    for number, fraction in ((0, 1.0), (1, validation_fraction), (2, test_fraction)):
        if fraction > 0 and not (splits == number).any():
            raise ValueError(f"images_per_class={count} leaves the split '{SPLITS[number]}' empty; use at least 10.")
    return splits


def split_by_hash(
    system_ids: Sequence[str], labels: Sequence[int], validation_fraction: float, test_fraction: float, seed: int
) -> list[str]:
    """Assign imported systems to splits, class by class, the same whatever their order.

    Args:
        system_ids: System of each image; equal systems stay together.
        labels: Class of each image.
        validation_fraction: Share of the validation split.
        test_fraction: Share of the test split.
        seed: Another seed gives another assignment.

    Returns:
        Split of each image. Every class of three or more systems has one in each wanted split.

    Raises:
        ValueError: If the fractions are out of range.
    """
    import hashlib

    check_fractions(validation_fraction, test_fraction)
    label_of = dict(zip(system_ids, labels, strict=True))
    chosen: dict[str, str] = {}
    for label in sorted(set(label_of.values())):
        members = sorted(
            (system for system in label_of if label_of[system] == label),
            key=lambda system: hashlib.blake2b(f"{seed} {system}".encode()).digest(),
        )
        held_out = {
            "test": _share(len(members), test_fraction),
            "validation": _share(len(members), validation_fraction),
        }
        start = 0
        for split, size in held_out.items():
            chosen.update(dict.fromkeys(members[start : start + size], split))
            start += size
        chosen.update(dict.fromkeys(members[start:], "train"))
    return [chosen[system] for system in system_ids]


def _share(count: int, fraction: float) -> int:
    """Number of systems of a class in a held-out split: at least one of three."""
    if fraction == 0 or count < 3:
        return 0
    return max(1, round(count * fraction))
