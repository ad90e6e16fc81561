"""Which system belongs to which split; a system never lies in two."""

import hashlib
from collections.abc import Sequence

import numpy as np

from .schema import SPLITS


def check_fractions(validation_fraction: float, test_fraction: float) -> None:
    """Refuse fractions that leave nothing to train on.

    Args:
        validation_fraction: Share of the validation split.
        test_fraction: Share of the test split.

    Raises:
        ValueError: If one is negative or their sum is not below 1.
    """
    if not (min(validation_fraction, test_fraction) >= 0 and validation_fraction + test_fraction < 1):
        raise ValueError(
            f"validation_fraction={validation_fraction} and test_fraction={test_fraction} must not be negative and "
            "must add up to less than 1."
        )


def split_of_systems(count: int, validation_fraction: float, test_fraction: float) -> np.ndarray:
    """Assign simulated systems 0 .. count-1 of a class to splits.

    System by system, the split that lacks most of its share is served; the first ones go to every wanted split in turn.
    So the split of a system does not depend on how many there are (what one data set holds out is never trained on in a
    larger one), shares are met to about one system, and three systems are enough for three splits.

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
    shares = (1.0 - validation_fraction - test_fraction, validation_fraction, test_fraction)
    wanted = [number for number, share in enumerate(shares) if share > 0]
    if count < len(wanted):
        raise ValueError(
            f"images_per_class={count} leaves the split '{SPLITS[wanted[count]]}' empty; use at least {len(wanted)}."
        )
    splits = wanted[:count]
    served = [float(number in wanted) for number in range(len(shares))]
    for system in range(len(wanted), count):
        lacking = [shares[number] * (system + 1) - served[number] for number in wanted]
        chosen = wanted[lacking.index(max(lacking))]
        splits.append(chosen)
        served[chosen] += 1
    return np.array(splits, dtype=np.int64)


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
    check_fractions(validation_fraction, test_fraction)
    label_of = dict(zip(system_ids, labels, strict=True))
    chosen: dict[str, str] = {}
    for label in sorted(set(label_of.values())):
        members = sorted(
            (system for system in label_of if label_of[system] == label),
            key=lambda system: hashlib.blake2b(f"{seed} {system}".encode()).digest(),
        )
        test, validation = _held_out(len(members), test_fraction, validation_fraction)
        chosen.update(dict.fromkeys(members[:test], "test"))
        chosen.update(dict.fromkeys(members[test : test + validation], "validation"))
        chosen.update(dict.fromkeys(members[test + validation :], "train"))
    return [chosen[system] for system in system_ids]


def _held_out(count: int, *fractions: float) -> tuple[int, ...]:
    """Numbers of systems of a class in the held-out splits: of three at least one each, and one to train on."""
    if count <= len(fractions):
        return (0,) * len(fractions)
    sizes = [max(1, round(count * fraction)) if fraction else 0 for fraction in fractions]
    while sum(sizes) >= count:
        sizes[sizes.index(max(sizes))] -= 1
    return tuple(sizes)
