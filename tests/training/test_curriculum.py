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


def test_visibility_begins_with_the_easiest_of_each_class() -> None:
    sampler = make("visibility")
    first = sampler.active()
    assert set(range(60)) <= set(first), "what has no substructure is always shown"
    assert {60, 61, 68} <= set(first), "the easiest of class 1"
    assert 89 not in first
    assert np.ptp(np.bincount(LABELS[list(sampler)])) <= 1
    sampler.set_epoch(5)
    assert len(sampler.active()) == 100
    with pytest.raises(ValueError, match="needs the visibility"):
        Visibility(LABELS, 10, 0).active()


def test_easy_first_goes_by_the_losses_of_earlier_epochs() -> None:
    sampler = EasyFirst(LABELS, 10, 0, start=0.5, growth=1.0)
    assert len(sampler.active()) == 100, "nothing is known yet"
    losses = np.arange(100.0)[::-1].copy()
    sampler.record(np.arange(100), losses)
    assert len(sampler.active()) == 100, "an epoch does not change while it runs"
    sampler.set_epoch(1)
    active = sampler.active()
    assert 59 in active
    assert 0 not in active
    sampler.set_epoch(10)
    assert len(sampler.active()) == 100


def test_hard_negatives_keep_all_of_the_rare_classes() -> None:
    sampler = HardNegatives(LABELS, 10, 0, start=0.2)
    sampler.record(np.arange(100), np.arange(100.0))
    sampler.set_epoch(1)
    active = sampler.active()
    assert set(range(60, 100)) <= set(active)
    negatives = active[active < 60]
    assert len(negatives) == 12
    assert {50, 55, 59} <= set(negatives.tolist())
    assert len(set(negatives.tolist()) - set(range(49, 60))) == 1, "one in ten comes back at random"


def test_processes_end_with_the_same_losses(tmp_path: Path) -> None:
    samplers = [EasyFirst(LABELS, 10, 0) for _ in range(2)]
    for number, sampler in enumerate(samplers):
        sampler.record(np.arange(number, 100, 2), np.full(50, float(number)))
    shares = [sampler.recorded() for sampler in samplers]
    for sampler in samplers:
        sampler.merge(shares)
        sampler.set_epoch(1)
    assert list(samplers[0]) == list(samplers[1])
    samplers[0].save(tmp_path)
    resumed = EasyFirst(LABELS, 10, 0)
    resumed.load(tmp_path)
    resumed.epoch = 1
    assert list(resumed) == list(samplers[0])
    with pytest.raises(FileNotFoundError, match="kept no losses"):
        resumed.load(tmp_path / "elsewhere")


def test_plain_order_shows_every_image_once() -> None:
    assert sorted(EpochSampler(LABELS, 10, 0)) == list(range(100))


def test_size_grows_in_whole_steps() -> None:
    sizes = [progressive_size(epoch / 10, 48, 0.4, 16) for epoch in range(11)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 32
    assert sizes[-1] == 48
    assert all(size % 16 == 0 for size in sizes)
