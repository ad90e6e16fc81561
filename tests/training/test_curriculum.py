"""Samplers: constant length, reproducible, the same in every process, and they show what they promise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplense_hf.training.curriculum import (
    CURRICULA,
    Balanced,
    EasyFirst,
    EpochSampler,
    HardNegatives,
    LossSampler,
    Visibility,
    difficulty_of_visibility,
    progressive_size,
)

LABELS = np.array([0] * 60 + [1] * 30 + [2] * 10)
SAMPLERS = {"balanced": Balanced, **CURRICULA}


def make(name: str, seed: int = 0) -> Any:
    difficulty = np.where(LABELS == 0, np.nan, np.arange(100.0))
    return SAMPLERS[name](LABELS, 10, seed, difficulty=difficulty)


@pytest.mark.parametrize("name", SAMPLERS)
def test_length_is_constant_and_order_is_reproducible(name: str) -> None:
    first, second = make(name), make(name)
    for epoch in range(4):
        rows = []
        for sampler in (first, second):
            sampler.set_epoch(epoch)
            rows.append(list(sampler))
            if isinstance(sampler, LossSampler):
                sampler.record(np.arange(100), np.arange(100.0))
        assert len(rows[0]) == len(first) == 100
        assert rows[0] == rows[1]
        assert set(rows[0]) <= set(range(100))
    other = make(name, seed=1)
    assert list(other) != list(make(name))


def test_balance_shows_classes_alike() -> None:
    shown = np.bincount(LABELS[list(make("balanced"))])
    assert shown.max() - shown.min() <= 1
    times = np.bincount(list(make("balanced")), minlength=100)[LABELS == 2]
    assert times.max() - times.min() <= 1, "rare images are repeated alike"


def places(sampler: Any, label: int, first: int, last: int) -> set[int]:
    """Rows of a class that stand between two places of an epoch."""
    return {row for row in list(sampler)[first:last] if LABELS[row] == label}


def test_visibility_begins_with_the_easiest_of_each_class() -> None:
    sampler = make("visibility")
    order = list(sampler)
    assert np.ptp(np.bincount(LABELS[order])) <= 1, "every class comes equally often"
    assert len({row for row in order if LABELS[row] == 0}) > 30, "what has no substructure is shown whole"
    assert places(sampler, 1, 0, 100) <= set(range(60, 74)), "a share of 0.3 that grows to 0.44 in the first tenth"
    assert places(sampler, 2, 0, 100) <= {90, 91, 92, 93, 94}
    sampler.set_epoch(5)
    assert 99 in set(sampler)
    with pytest.raises(ValueError, match="needs the visibility"):
        list(Visibility(LABELS, 10, 0))


@pytest.mark.parametrize("epochs", [1.0, 0.5])
def test_visibility_moves_within_a_single_epoch(epochs: float) -> None:
    labels = np.repeat([0, 1], 500)
    difficulty = np.where(labels == 0, np.nan, np.arange(1000.0))
    order = np.array(list(Visibility(labels, epochs, 0, difficulty=difficulty)))
    progress = np.arange(1000) / 1000 / epochs
    hard = labels[order] == 1
    ranks = (order[hard] - 499) / 500
    allowed = np.minimum(1, 0.3 + 0.7 * progress[hard] / 0.5)
    assert (ranks <= allowed + 0.002).all()
    early, late = ranks[progress[hard] < 0.1], ranks[(progress[hard] > 0.5) & (progress[hard] < 1)]
    assert early.max() > 0.25
    assert late.max() > 0.95
    times = np.bincount(order[hard])
    assert times[times > 0].max() <= 2 + 2 * epochs, "none of the active images crowds out the others"


def test_substructure_that_does_not_show_is_hardest_and_its_absence_is_always_shown() -> None:
    visibility = np.array([0.0, np.nan, 0.0, 3.0, 9.0, np.nan])
    difficulty = difficulty_of_visibility(visibility, np.array([0, 0, 1, 1, 1, 1]))
    np.testing.assert_array_equal(difficulty, [np.nan, np.nan, 0.0, -3.0, -9.0, np.nan])


def test_easy_first_goes_by_the_losses_of_earlier_epochs() -> None:
    sampler = EasyFirst(LABELS, 11, 0, start=0.5, growth=1.0)
    assert sorted(sampler) == list(range(100)), "nothing is known yet"
    sampler.record(np.arange(100), np.arange(100.0)[::-1].copy())
    assert sorted(sampler) == list(range(100)), "an epoch does not change while it runs"
    sampler.set_epoch(1)
    first = set(sampler)
    assert 59 in first
    assert not first & set(range(27)), "a share of 0.5 that grows to 0.55 in the second epoch"
    sampler.set_epoch(10)
    assert sorted(sampler) == list(range(100))


def test_losses_move_what_is_shown_within_the_second_of_two_epochs() -> None:
    labels = np.zeros(1000, dtype=np.int64)
    sampler = EasyFirst(labels, 2, 0, start=0.2)
    sampler.record(np.arange(1000), np.arange(1000.0))
    sampler.set_epoch(1)
    order = np.array(list(sampler))
    assert 150 < order[:50].max() < 280
    assert order[500:].max() > 950
    assert (order < 1000 * np.minimum(1, 0.2 + 0.8 * np.arange(1000) / 500) + 1).all()
    for name in ("loss", "hard_negatives"):
        with pytest.raises(ValueError, match="the run has only 1 of them"):
            CURRICULA[name](labels, 1.0, 0)


def test_hard_negatives_keep_all_of_the_rare_classes() -> None:
    sampler = HardNegatives(LABELS, 10, 0, start=0.2)
    sampler.record(np.arange(100), np.arange(100.0))
    sampler.set_epoch(1)
    shown = set(sampler)
    assert set(range(60, 100)) <= shown
    negatives = {row for row in shown if row < 60}
    assert len(negatives) == 12
    assert {50, 55, 59} <= negatives
    assert len(negatives - set(range(49, 60))) == 1, "one in ten comes back at random"


def test_processes_end_with_the_same_losses() -> None:
    samplers = [EasyFirst(LABELS, 10, 0) for _ in range(2)]
    for number, sampler in enumerate(samplers):
        sampler.record(np.arange(number, 100, 2), np.full(50, float(number)))
    merge(samplers)
    # one process meets an image again that another one had last: what is newer counts
    samplers[0].record(np.array([1]), np.array([7.0]))
    merge(samplers)
    for sampler in samplers:
        assert sampler.losses[1] == 7.0
        sampler.set_epoch(1)
    assert list(samplers[0]) == list(samplers[1])


def merge(samplers: list[EasyFirst]) -> None:
    shares = [sampler.recorded() for sampler in samplers]
    for sampler in samplers:
        sampler.merge(shares)


def test_a_checkpoint_within_an_epoch_goes_on_with_what_the_epoch_was_chosen_by(tmp_path: Path) -> None:
    straight = EasyFirst(LABELS, 10, 0)
    straight.record(np.arange(100), np.arange(100.0))
    straight.set_epoch(1)
    straight.record(np.arange(50), np.full(50, 500.0))
    straight.save(tmp_path)
    resumed = EasyFirst(LABELS, 10, 0)
    resumed.load(tmp_path)
    for epoch in (1, 2):
        for sampler in (straight, resumed):
            sampler.set_epoch(epoch)
        assert list(resumed) == list(straight)
    with pytest.raises(FileNotFoundError, match="no losses that this version can read"):
        resumed.load(tmp_path / "elsewhere")


def test_plain_order_shows_every_image_once() -> None:
    assert sorted(EpochSampler(LABELS, 10, 0)) == list(range(100))


def test_size_grows_in_whole_steps() -> None:
    sizes = [progressive_size(epoch / 10, 48, 0.4, 16) for epoch in range(11)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 32
    assert sizes[-1] == 48
    assert all(size % 16 == 0 for size in sizes)
