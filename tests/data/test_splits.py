"""Which system belongs to which split."""

import numpy as np
import pytest

from deeplense_hf.data.splits import split_by_hash, split_of_systems


def test_every_split_gets_its_share() -> None:
    for count in (3, 4, 10, 37, 1000):
        sizes = np.bincount(split_of_systems(count, 0.1, 0.2), minlength=3)
        assert (sizes >= 1).all()
        assert (abs(sizes - count * np.array([0.7, 0.1, 0.2])) <= 1.5).all()


def test_a_larger_data_set_keeps_the_splits() -> None:
    assert np.array_equal(split_of_systems(1000, 0.1, 0.1)[:50], split_of_systems(50, 0.1, 0.1))


def test_unwanted_splits_stay_empty() -> None:
    assert set(split_of_systems(50, 0.0, 0.5)) == {0, 2}
    assert set(split_of_systems(1, 0.0, 0.0)) == {0}


def test_too_few_systems_are_refused() -> None:
    with pytest.raises(ValueError, match="images_per_class=2 leaves the split 'test' empty; use at least 3"):
        split_of_systems(2, 0.1, 0.1)


@pytest.mark.parametrize("fractions", [(-0.1, 0.1), (0.5, 0.5), (0.1, 1.0), (float("nan"), 0.1)])
def test_impossible_fractions_are_refused(fractions: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="must add up to less than 1"):
        split_of_systems(100, *fractions)
    with pytest.raises(ValueError, match="must add up to less than 1"):
        split_by_hash(["a"], [0], *fractions, seed=0)


def test_systems_stay_together_and_order_does_not_matter() -> None:
    systems = [f"system-{row // 2}" for row in range(200)]
    labels = [row // 2 % 2 for row in range(200)]
    splits = split_by_hash(systems, labels, 0.1, 0.2, seed=0)
    assert all(one == other for one, other in zip(splits[::2], splits[1::2], strict=True))
    assert split_by_hash(systems[::-1], labels[::-1], 0.1, 0.2, seed=0)[::-1] == splits
    assert split_by_hash(systems, labels, 0.1, 0.2, seed=1) != splits
    for label in (0, 1):
        mine = [split for split, other in zip(splits, labels, strict=True) if other == label]
        assert [mine.count(name) for name in ("train", "validation", "test")] == [70, 10, 20]


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("fractions", [(0.1, 0.1), (0.45, 0.45), (0.6, 0.3), (0.0, 0.9)])
def test_three_systems_are_enough_for_three_splits(count: int, fractions: tuple[float, float]) -> None:
    splits = split_by_hash([str(row) for row in range(count)], [0] * count, *fractions, seed=0)
    assert "train" in splits
    if count >= 3:
        assert ("validation" in splits) == (fractions[0] > 0)
        assert "test" in splits
