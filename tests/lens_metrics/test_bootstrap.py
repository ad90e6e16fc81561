"""Intervals: seeded, by system, of the right width."""

from collections.abc import Callable

import numpy as np
import pytest

from deeplense_hf.lens_metrics import bootstrap
from deeplense_hf.lens_metrics.bootstrap import bootstrap_intervals, resample_counts

NAMES = ("no_sub", "cdm", "axion")


def test_same_seed_same_intervals_whatever_the_block(monkeypatch: pytest.MonkeyPatch, random_case: Callable) -> None:
    labels, scores = random_case(90, 3, seed=0)
    first = bootstrap_intervals(labels, scores, NAMES, samples=50, seed=4)
    monkeypatch.setattr(bootstrap, "_ELEMENTS_AT_ONCE", 90 * 7)
    # blocks of another size may be summed in another order
    again = bootstrap_intervals(labels, scores, NAMES, samples=50, seed=4)
    assert again == {name: pytest.approx(ends, rel=1e-12, abs=1e-14) for name, ends in first.items()}
    assert bootstrap_intervals(labels, scores, NAMES, samples=50, seed=5) != first


def test_rows_of_a_system_are_drawn_together() -> None:
    systems = np.array([0, 1, 1, 2, 2, 2])
    counts = resample_counts(systems, 3, range(20), seed=0)
    assert (counts[:, 1] == counts[:, 2]).all()
    assert (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all(), "as many systems as there are"


def test_copies_of_images_do_not_narrow_the_interval_by_system(random_case: Callable) -> None:
    labels, scores = random_case(120, 3, seed=1)
    once = bootstrap_intervals(labels, scores, NAMES, samples=200)
    copied = bootstrap_intervals(
        np.tile(labels, 4),
        np.tile(scores, (4, 1)),
        NAMES,
        system_ids=[f"{index:03d}" for index in range(120)] * 4,
        samples=200,
    )
    assert copied["accuracy"] == pytest.approx(once["accuracy"])
    assert copied["roc_auc"] == pytest.approx(once["roc_auc"])
    naive = bootstrap_intervals(np.tile(labels, 4), np.tile(scores, (4, 1)), NAMES, samples=200)
    assert naive["accuracy"][1] - naive["accuracy"][0] < 0.7 * (once["accuracy"][1] - once["accuracy"][0])


def test_width_of_the_accuracy_interval_is_binomial(random_case: Callable) -> None:
    labels, scores = random_case(1000, 3, seed=2)
    accuracy = (scores.argmax(axis=1) == labels).mean()
    low, high = bootstrap_intervals(labels, scores, NAMES, samples=1000)["accuracy"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(accuracy * (1 - accuracy) / 1000), rel=0.1)
    assert low < accuracy < high


def test_absent_and_rare_classes(random_case: Callable) -> None:
    labels, scores = random_case(60, 3, seed=3)
    labels = np.where(labels == 2, 1, labels)
    intervals = bootstrap_intervals(labels, scores, NAMES, samples=30)
    assert intervals["roc_auc_axion"] == (None, None)
    labels[0] = 2
    low, high = bootstrap_intervals(labels, scores, NAMES, samples=30)["roc_auc_axion"]
    assert low is not None
    assert high is not None
    assert 0 <= low <= high <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples=0"),
        ({"seed": -1}, "seed=-1"),
        ({"level": 1.0}, "level=1.0"),
        ({"system_ids": ["a"]}, "system_ids has 1 entries"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_intervals([0, 1], [[0.5, 0.5], [0.5, 0.5]], **options)


def test_one_system_gives_no_interval(random_case: Callable) -> None:
    labels, scores = random_case(30, 3, seed=6)
    one = bootstrap_intervals(labels, scores, NAMES, system_ids=["a"] * 30, samples=20)
    two = bootstrap_intervals(labels, scores, NAMES, system_ids=["a"] * 15 + ["b"] * 15, samples=20)
    assert set(one) == set(two)
    assert set(one.values()) == {(None, None)}
    low, high = two["log_loss"]
    assert low < high
