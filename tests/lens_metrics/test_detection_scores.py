"""Scores of detectors: those of scikit-learn where it has them, counted by hand where it has not."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from deeplense_hf.lens_metrics.detection_scores import weighted_anomaly_scores, weighted_detection_scores


def by_hand(positive: np.ndarray, scores: np.ndarray, false_positives: int) -> float:
    best = 0.0
    for threshold in [*np.unique(scores), np.inf]:
        selected = scores >= threshold
        if (selected & ~positive).sum() <= false_positives:
            best = max(best, (selected & positive).sum() / positive.sum())
    return best


@pytest.mark.parametrize("decimals", [1, 6])
def test_scores_of_rare_positives(decimals: int) -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(500) < 0.1
    scores = np.round(generator.normal(size=500) + 1.5 * positive, decimals)
    found = weighted_detection_scores(positive, scores, np.ones((1, 500)))
    assert found["roc_auc"][0] == pytest.approx(roc_auc_score(positive, scores))
    assert found["average_precision"][0] == pytest.approx(average_precision_score(positive, scores))
    assert found["tpr_at_0_false_positives"][0] == pytest.approx(by_hand(positive, scores, 0))
    assert found["tpr_at_10_false_positives"][0] == pytest.approx(by_hand(positive, scores, 10))
    for percent in (50, 90):
        threshold = np.sort(scores[positive])[::-1][int(np.ceil(percent / 100 * positive.sum())) - 1]
        expected = (scores[~positive] >= threshold).mean()
        assert found[f"fpr_at_tpr_{percent}"][0] == pytest.approx(expected)


def test_weights_are_repetitions() -> None:
    generator = np.random.default_rng(1)
    positive, scores = generator.random(80) < 0.3, np.round(generator.normal(size=80), 1)
    counts = generator.integers(0, 3, size=80)
    weighted = weighted_detection_scores(positive, scores, counts[None].astype(float))
    repeated = weighted_detection_scores(
        np.repeat(positive, counts), np.repeat(scores, counts), np.ones((1, counts.sum()))
    )
    for name, value in repeated.items():
        assert weighted[name][0] == pytest.approx(value[0]), name


def test_undefined_scores_are_nan() -> None:
    scores = np.arange(8.0)
    none = weighted_detection_scores(np.zeros(8, dtype=bool), scores, np.ones((1, 8)))
    assert all(np.isnan(value[0]) for value in none.values())
    few = weighted_detection_scores(scores > 3, scores, np.ones((1, 8)))
    assert few["tpr_at_0_false_positives"][0] == 1
    assert np.isnan(few["tpr_at_10_false_positives"][0]), "there are only four negatives"
    assert few["fpr_at_tpr_90"][0] == 0


def test_anomalies_against_the_normal_class() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(3, size=300)
    scores = generator.normal(size=300) + labels
    found = weighted_anomaly_scores(labels, scores, np.ones((1, 300)), ("no_sub", "cdm", "axion"), "no_sub")
    for index, name in ((1, "cdm"), (2, "axion")):
        chosen = (labels == 0) | (labels == index)
        assert found[f"roc_auc_{name}"][0] == pytest.approx(roc_auc_score(labels[chosen] == index, scores[chosen]))
    assert found["roc_auc"][0] == pytest.approx(roc_auc_score(labels > 0, scores))
    assert found["average_precision"][0] == pytest.approx(average_precision_score(labels > 0, scores))
    assert "roc_auc_no_sub" not in found
