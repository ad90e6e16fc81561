"""Scores of detectors, of lenses among many non-lenses and of anomalies, under row weights."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .classification_scores import Floats, rank_scores

# true positive rates at which the false positive rate is told, in percent
TRUE_POSITIVE_RATES = (50, 90)
# numbers of false positives at which the true positive rate is told
FALSE_POSITIVES = (0, 10)
_ELEMENTS_AT_ONCE = 1 << 20


def weighted_detection_scores(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> dict[str, Floats]:
    """Score a detector of rare positives under several sets of row weights.

    Args:
        positive: Whether each row is one, `(n,)`.
        scores: Larger is more likely one, `(n,)`.
        weights: How often each row counts, `(resamples, n)`.

    Returns:
        Per score name an array `(resamples,)`, NaN where undefined: `roc_auc`, `average_precision`,
        `tpr_at_<k>_false_positives` (share of the positives above the threshold at which at most k negatives are
        selected; undefined with no more than k negatives) and `fpr_at_tpr_<p>` (share of the negatives that are
        selected with at least p percent of the positives). Rows of equal score are selected together.

    Source:
        Metcalf et al. (2019), arXiv:1802.03609, section 4: TPR_0 and TPR_10 of the lens-finding challenge.
    """
    roc_auc, average_precision = rank_scores(positive, scores, weights)
    order = np.argsort(-scores, kind="stable")
    ranked, is_positive = scores[order], positive[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    values: dict[str, list[Floats]] = {name: [] for name in _rate_names()}
    rows = max(1, _ELEMENTS_AT_ONCE // len(scores))
    for start in range(0, len(weights), rows):
        block = weights[start : start + rows][:, order]
        # selected among the k highest distinct scores, from none to all
        positives = np.cumsum(np.where(is_positive, block, 0.0), axis=1)[:, ends]
        negatives = np.cumsum(np.where(is_positive, 0.0, block), axis=1)[:, ends]
        for name, value in _rates(positives, negatives).items():
            values[name].append(value)
    rates = {name: np.concatenate(parts) for name, parts in values.items()}
    return {"roc_auc": roc_auc, "average_precision": average_precision, **rates}


def _rate_names() -> list[str]:
    """Return the names of the scores at thresholds."""
    names = [f"tpr_at_{count}_false_positives" for count in FALSE_POSITIVES]
    return names + [f"fpr_at_tpr_{percent}" for percent in TRUE_POSITIVE_RATES]


def _rates(positives: Floats, negatives: Floats) -> dict[str, Floats]:
    """Return rates at thresholds from what is selected at each distinct score, falling, `(resamples, distinct)`."""
    positive_total, negative_total = positives[:, -1], negatives[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = {}
        for count in FALSE_POSITIVES:
            found = np.where(negatives <= count, positives, 0.0).max(axis=1) / positive_total
            rates[f"tpr_at_{count}_false_positives"] = np.where(negative_total > count, found, np.nan)
        for percent in TRUE_POSITIVE_RATES:
            # weights are counts, and so small a tolerance only takes up the rounding of a share of their total
            enough = positives >= positive_total[:, None] * (percent / 100) - 1e-9
            selected = np.where(enough, negatives, np.inf).min(axis=1) / negative_total
            defined = (positive_total > 0) & (negative_total > 0)
            rates[f"fpr_at_tpr_{percent}"] = np.where(defined, selected, np.nan)
    return rates


def weighted_anomaly_scores(
    labels: NDArray[np.int64], scores: Floats, weights: Floats, class_names: Sequence[str], normal_class: str
) -> dict[str, Floats]:
    """Score how well anomalies stand out, under several sets of row weights.

    Args:
        labels: Class of each row, `(n,)`.
        scores: Larger is less normal, `(n,)`.
        weights: How often each row counts, `(resamples, n)`.
        class_names: Names of the classes.
        normal_class: The one that is no anomaly.

    Returns:
        Per score name an array `(resamples,)`, NaN where undefined: `roc_auc_<class>` and `average_precision_<class>`
        of each anomalous class against the normal one alone, `roc_auc` and `average_precision` of all anomalies.
    """
    normal = labels == list(class_names).index(normal_class)
    roc_auc, average_precision = rank_scores(~normal, scores, weights)
    values = {"roc_auc": roc_auc, "average_precision": average_precision}
    for index, name in enumerate(class_names):
        if name == normal_class:
            continue
        chosen = normal | (labels == index)
        ranks = rank_scores(labels[chosen] == index, scores[chosen], weights[:, chosen])
        values[f"roc_auc_{name}"], values[f"average_precision_{name}"] = ranks
    return values
