"""The scores against scikit-learn, and at their edges."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from deeplense_hf.lens_metrics.classification_scores import (
    classification_scores,
    confusion_counts,
    rank_scores,
    weighted_scores,
)

NAMES = ("no_sub", "cdm", "axion")


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("decimals", [None, 0])
def test_scores_equal_scikit_learn(classes: int, decimals: int | None, random_case: Callable) -> None:
    labels, scores = random_case(400, classes, seed=classes, decimals=decimals)
    names = [f"c{index}" for index in range(classes)]
    ours = classification_scores(labels, scores, names)
    one_hot = np.eye(classes)[labels]
    assert ours["roc_auc"] == pytest.approx(roc_auc_score(one_hot, scores), abs=1e-12)
    assert ours["average_precision"] == pytest.approx(average_precision_score(one_hot, scores), abs=1e-12)
    assert ours["log_loss"] == pytest.approx(log_loss(labels, scores), abs=1e-12)
    assert ours["accuracy"] == pytest.approx((scores.argmax(axis=1) == labels).mean())
    for index, name in enumerate(names):
        assert ours[f"roc_auc_{name}"] == pytest.approx(roc_auc_score(one_hot[:, index], scores[:, index]))
        expected = average_precision_score(one_hot[:, index], scores[:, index])
        assert ours[f"average_precision_{name}"] == pytest.approx(expected)


@pytest.mark.parametrize("decimals", [None, 1])
def test_weights_equal_scikit_learn_sample_weights(decimals: int | None, random_case: Callable) -> None:
    labels, scores = random_case(200, 2, seed=7, decimals=decimals)
    weights = np.random.default_rng(1).integers(0, 4, size=(5, 200)).astype(float)
    roc_auc, average_precision = rank_scores(labels == 1, scores[:, 1], weights)
    for row in range(5):
        expected = roc_auc_score(labels, scores[:, 1], sample_weight=weights[row])
        assert roc_auc[row] == pytest.approx(expected, abs=1e-12)
        expected = average_precision_score(labels, scores[:, 1], sample_weight=weights[row])
        assert average_precision[row] == pytest.approx(expected, abs=1e-12)


def test_counts_equal_repeated_rows(random_case: Callable) -> None:
    labels, scores = random_case(150, 3, seed=3, decimals=1)
    counts = np.random.default_rng(0).integers(0, 3, size=150)
    weighted = weighted_scores(labels, scores, counts[None].astype(float), NAMES)
    repeated = classification_scores(np.repeat(labels, counts), np.repeat(scores, counts, axis=0), NAMES)
    assert {name: value[0] for name, value in weighted.items()} == pytest.approx(repeated, abs=1e-12)


def test_many_resamples_equal_one_by_one(random_case: Callable) -> None:
    labels, scores = random_case(700, 3, seed=5)
    weights = np.random.default_rng(2).integers(0, 3, size=(400, 700)).astype(float)
    together = weighted_scores(labels, scores, weights, NAMES)
    for row in (0, 187, 399):
        alone = weighted_scores(labels, scores, weights[row : row + 1], NAMES)
        for name, values in together.items():
            assert values[row] == pytest.approx(alone[name][0], abs=1e-12)


def test_all_tied_is_chance() -> None:
    scores = classification_scores([0, 1, 1, 0], np.full((4, 2), 0.5))
    assert scores["roc_auc"] == 0.5
    assert scores["accuracy"] == 0.5, "a tie goes to the first class"


def test_calibration_error_by_hand() -> None:
    # two bins hold images: (0.8, 0.8667] with 0.85 and 50% right, (0.9333, 1] with 1.0 and 100% right
    scores = [[0.85, 0.15], [0.85, 0.15], [1.0, 0.0], [0.0, 1.0]]
    value = classification_scores([0, 1, 0, 1], scores)["expected_calibration_error"]
    assert value == pytest.approx(0.5 * 0.35)


def test_absent_class_is_undefined_and_left_out(random_case: Callable) -> None:
    labels, scores = random_case(100, 3, seed=9)
    kept = labels != 2
    values = classification_scores(labels[kept], scores[kept], NAMES)
    assert values["roc_auc_axion"] is None
    assert values["average_precision_axion"] is None
    assert values["roc_auc"] == pytest.approx((values["roc_auc_no_sub"] + values["roc_auc_cdm"]) / 2)


def test_single_class_has_no_auc_but_an_accuracy() -> None:
    values = classification_scores([1, 1], [[0.2, 0.8], [0.6, 0.4]], ["non_lens", "lens"])
    assert values["roc_auc"] is None
    assert values["roc_auc_lens"] is None
    assert values["accuracy"] == 0.5


def test_impossible_truth_costs_a_finite_log_loss() -> None:
    assert np.isfinite(classification_scores([1, 0], [[1.0, 0.0], [1.0, 0.0]])["log_loss"])


def test_confusion_counts() -> None:
    scores = [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.0, 0.1, 0.9], [0.5, 0.4, 0.1]]
    assert confusion_counts([0, 1, 1, 2], scores).tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]


GOOD = [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("labels", "scores", "names", "message"),
    [
        ([0, 1], [[0.5, np.nan], [0.5, 0.5]], None, "1 rows with NaN or infinite values, the first is row 0"),
        ([0, 1], [[2.0, -1.0], [0.5, 0.5]], None, "not probabilities"),
        ([0, 1], [[3.0, 4.0], [0.5, 0.5]], None, "apply a softmax"),
        ([0, -1], GOOD, None, "leave unlabelled rows"),
        ([0, 2], GOOD, None, "labels from 0 to 2"),
        ([0.0, 1.0], GOOD, None, "integers"),
        ([0], GOOD, None, "2 rows"),
        ([], np.empty((0, 2)), None, "no row"),
        ([0, 1], [0.5, 0.5], None, "at least 2 classes"),
        ([0, 1], GOOD, ["lens"], "names"),
        ([0, 1], GOOD, ["lens", "lens"], "different names"),
    ],
)
def test_bad_input_is_refused(labels: list, scores: list, names: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_scores(labels, scores, names)


def test_a_resample_without_a_row_has_no_score(random_case: Callable) -> None:
    labels, scores = random_case(12, 3, seed=5)
    weights = np.stack([np.ones(12), np.zeros(12)])
    with np.errstate(all="raise"):
        found = weighted_scores(labels, scores, weights, ("no_sub", "cdm", "axion"))
    assert all(np.isfinite(value[0]) and np.isnan(value[1]) for value in found.values())
