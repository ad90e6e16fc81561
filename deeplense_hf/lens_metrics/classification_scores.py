"""Scores of a classifier under row weights: plain numbers and bootstrap resamples share one implementation.

Every score here takes weights of shape `(resamples, n)`: row i of resample r counts `weights[r, i]` times.
Weights of one give the ordinary score, counts drawn with replacement give a bootstrap resample, and all
resamples are computed at once after a single sort.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CALIBRATION_BINS = 15
"""Equal-width bins of confidence of the expected calibration error, as in Guo et al. (2017)."""

_SUM_TOLERANCE = 1e-3
_ELEMENTS_AT_ONCE = 1 << 17
"""Weights that are worked on together: 1 MiB of float64 stays in a core's cache."""


def check_scores(references: ArrayLike, prediction_scores: ArrayLike) -> tuple[Integers, Floats]:
    """Check labels and probabilities and bring them to arrays.

    Args:
        references: True class of each row, integers in `[0, classes)`, shape `(n,)`.
        prediction_scores: Probability of each class, shape `(n, classes)`, rows summing to one within 1e-3.

    Returns:
        The labels and the probabilities.

    Raises:
        ValueError: If shapes disagree, there are no rows or fewer than two classes, a label is out of range,
            or a score is not a finite probability.
    """
    labels = np.asarray(references)
    scores = np.asarray(prediction_scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ValueError(
            f"prediction_scores has shape {scores.shape}, but (n, classes) with at least 2 classes is "
            "needed: "
            "a binary classifier has two columns."
        )
    if labels.shape != (len(scores),):
        raise ValueError(
            f"references has shape {labels.shape}, but prediction_scores has {len(scores)} rows: give one label a row."
        )
    if len(labels) == 0:
        raise ValueError("there is no row to score; give at least one label with its scores.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"references holds {labels.dtype} values; give class indices as integers.")
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise ValueError(
            f"references holds labels from {labels.min()} to {labels.max()}, but the scores have classes "
            f"0 to {scores.shape[1] - 1}; leave unlabelled rows (-1) out."
        )
    finite = np.isfinite(scores).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"prediction_scores has {np.count_nonzero(~finite)} rows with NaN or infinite values, the first "
            f"is row {np.argmin(finite)}; the model or its input is broken there."
        )
    sums = scores.sum(axis=1)
    wrong = (scores < 0).any(axis=1) | (np.abs(sums - 1) > _SUM_TOLERANCE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"prediction_scores row {row} is {scores[row].tolist()}, which are not probabilities that sum to "
            "one; apply a softmax to logits first."
        )
    return labels.astype(np.int64), scores


def check_class_names(class_names: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """Return the class names, or `0, 1, ...` where there are none.

    Args:
        class_names: Names in the order of the score columns, or None.
        classes: Number of score columns.

    Returns:
        One name a class.

    Raises:
        ValueError: If the number of names is not the number of classes, or a name occurs twice.
    """
    names = tuple(str(index) for index in range(classes)) if class_names is None else tuple(class_names)
    if len(names) != classes or len(set(names)) != classes:
        raise ValueError(
            f"class_names={list(names)} does not name {classes} score columns; give that many different names."
        )
    return names


def rank_scores(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Compute area under the ROC curve and average precision of one class against the rest.

    Args:
        positive: Whether each row is of the class, shape `(n,)`.
        scores: Score of the class, shape `(n,)`; only the order matters.
        weights: How often each row counts, shape `(resamples, n)`.

    Returns:
        Area under the ROC curve and average precision, each of shape `(resamples,)`; NaN where a resample has
        no positive or no negative row.

    Source:
        ROC AUC: the Mann-Whitney probability that a positive outranks a negative, ties counting one half
        (Hanley & McNeil 1982; Fawcett 2006). Average precision: the step-wise sum of precision over recall,
        without interpolation (Davis & Goadrich 2006), rows with equal score entering together. Both equal
        scikit-learn's with `sample_weight` (tests/lens_metrics).
    """
    order = np.argsort(scores, kind="stable")
    ranked, is_positive = scores[order], positive[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    rows = max(1, _ELEMENTS_AT_ONCE // len(scores))
    roc_auc, average_precision = np.empty(len(weights)), np.empty(len(weights))
    for start in range(0, len(weights), rows):
        block = slice(start, start + rows)
        ranked_weights = weights[block][:, order]
        positives = np.where(is_positive, ranked_weights, 0.0)
        negatives = ranked_weights - positives
        if len(starts) < len(ranked):
            positives = np.add.reduceat(positives, starts, axis=1)
            negatives = np.add.reduceat(negatives, starts, axis=1)
        roc_auc[block], average_precision[block] = _areas(positives, negatives)
    return roc_auc, average_precision


def _areas(positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """Compute both areas from the weights at each distinct score in rising order, `(resamples, distinct)`."""
    positives_up_to = np.cumsum(positives, axis=1)
    negatives_up_to = np.cumsum(negatives, axis=1)
    positive_total, negative_total = positives_up_to[:, -1], negatives_up_to[:, -1]
    true_positives = positive_total[:, None] - positives_up_to + positives
    selected = true_positives + (negative_total[:, None] - negatives_up_to + negatives)
    precision = np.divide(true_positives, selected, out=np.zeros_like(selected), where=selected > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        outranked = (positives * (negatives_up_to - 0.5 * negatives)).sum(axis=1)
        roc_auc = outranked / (positive_total * negative_total)
        average_precision = (positives * precision).sum(axis=1) / positive_total
    undefined = (positive_total == 0) | (negative_total == 0)
    return np.where(undefined, np.nan, roc_auc), np.where(undefined, np.nan, average_precision)


def total_weights(weights: Floats) -> Floats:
    """Sum the weights of each resample; means are divided by it.

    >>> total_weights(np.array([[1.0, 2.0], [0.0, 0.0]])).tolist()
    [3.0, nan]

    Args:
        weights: How often each row counts, shape `(resamples, n)`.

    Returns:
        Shape `(resamples,)`; NaN where no row counts, as when no system of a rare kind was drawn.
    """
    total = weights.sum(axis=1)
    return np.where(total > 0, total, np.nan)


def calibration_gaps(
    correct: NDArray[np.bool_], confidence: Floats, weights: Floats, bins: int = CALIBRATION_BINS
) -> Floats:
    """Compute the expected calibration error of the predicted class.

    Args:
        correct: Whether the predicted class is the true one, shape `(n,)`.
        confidence: Probability of the predicted class in `[0, 1]`, shape `(n,)`.
        weights: How often each row counts, shape `(resamples, n)`.
        bins: Number of equal-width bins `(low, high]`.

    Returns:
        Mean absolute difference of accuracy and mean confidence over the bins, weighted by the rows in each,
        shape `(resamples,)`; NaN where no row counts.

    Source:
        Naeini, Cooper & Hauskrecht (2015); Guo et al. (2017), eq. 3. It depends on the bins and is biased
        upwards in small samples: compare it only between sets of one size.
    """
    excess = np.zeros((len(correct), bins))
    excess[np.arange(len(correct)), calibration_bins(confidence, bins)] = correct - confidence
    gaps: Floats = np.abs(weights @ excess).sum(axis=1) / total_weights(weights)
    return gaps


def calibration_bins(confidence: Floats, bins: int = CALIBRATION_BINS) -> Integers:
    """Return the bin of each confidence, the bins being `(i / bins, (i + 1) / bins]`.

    >>> calibration_bins(np.array([0.0, 0.1, 0.11, 1.0]), bins=10).tolist()
    [0, 0, 1, 9]

    Args:
        confidence: Probabilities, shape `(n,)`.
        bins: Number of equal-width bins.

    Returns:
        Indices in `[0, bins)`, shape `(n,)`.
    """
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def weighted_scores(
    references: Integers, prediction_scores: Floats, weights: Floats, class_names: Sequence[str]
) -> dict[str, Floats]:
    """Compute every score under several sets of row weights.

    Args:
        references: Checked labels, shape `(n,)`.
        prediction_scores: Checked probabilities, shape `(n, classes)`.
        weights: How often each row counts, shape `(resamples, n)`.
        class_names: One name a class.

    Returns:
        Per score name an array of shape `(resamples,)`: `roc_auc` (macro one-versus-rest), `roc_auc_<class>`,
        `accuracy` (a tie goes to the class that comes first), `average_precision` (macro),
        `average_precision_<class>`, `expected_calibration_error`, `log_loss` [nat]. A class that is absent
        from `references`, or is the only one there, has undefined (NaN) rank scores and is left out of the
        macro means. All scores of a resample in which no row counts are undefined.
    """
    counts = np.bincount(references, minlength=len(class_names))
    defined = (counts > 0) & (counts < len(references))
    ranks = [
        rank_scores(references == index, prediction_scores[:, index], weights)
        if defined[index]
        else (np.full(len(weights), np.nan),) * 2
        for index in range(len(class_names))
    ]
    roc_auc = np.stack([rank[0] for rank in ranks])
    average_precision = np.stack([rank[1] for rank in ranks])
    nothing = np.full(len(weights), np.nan)
    predicted = prediction_scores.argmax(axis=1)
    correct = predicted == references
    confidence = np.clip(prediction_scores.max(axis=1), 0.0, 1.0)
    of_truth = prediction_scores[np.arange(len(references)), references]
    # a probability of zero would cost infinity; the floor is scikit-learn's
    surprise = -np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1.0))
    total = total_weights(weights)
    return {
        "roc_auc": roc_auc[defined].mean(axis=0) if defined.any() else nothing,
        **{f"roc_auc_{name}": roc_auc[index] for index, name in enumerate(class_names)},
        "accuracy": weights @ correct.astype(np.float64) / total,
        "average_precision": average_precision[defined].mean(axis=0) if defined.any() else nothing,
        **{f"average_precision_{name}": average_precision[index] for index, name in enumerate(class_names)},
        "expected_calibration_error": calibration_gaps(correct, confidence, weights),
        "log_loss": weights @ surprise / total,
    }


def classification_scores(
    references: ArrayLike, prediction_scores: ArrayLike, class_names: Sequence[str] | None = None
) -> dict[str, float | None]:
    """Score a classifier once.

    >>> scores = classification_scores([0, 1, 1], [[0.8, 0.2], [0.4, 0.6], [0.7, 0.3]], ["no_sub", "sub"])
    >>> scores["roc_auc_sub"], round(scores["accuracy"], 3)
    (1.0, 0.667)

    Args:
        references: True class of each row, shape `(n,)`.
        prediction_scores: Probability of each class, shape `(n, classes)`.
        class_names: One name a class; `0, 1, ...` when absent.

    Returns:
        The scores of `weighted_scores`; an undefined one is None.

    Raises:
        ValueError: See `check_scores` and `check_class_names`.
    """
    labels, scores = check_scores(references, prediction_scores)
    names = check_class_names(class_names, scores.shape[1])
    values = weighted_scores(labels, scores, np.ones((1, len(labels))), names)
    return {name: _number_or_none(value[0]) for name, value in values.items()}


def confusion_counts(references: ArrayLike, prediction_scores: ArrayLike) -> Integers:
    """Count the rows of each true class by predicted class.

    Args:
        references: True class of each row, shape `(n,)`.
        prediction_scores: Probability of each class, shape `(n, classes)`.

    Returns:
        Counts of shape `(classes, classes)`: true class by row, predicted class by column.

    Raises:
        ValueError: See `check_scores`.
    """
    labels, scores = check_scores(references, prediction_scores)
    classes = scores.shape[1]
    flat = np.bincount(labels * classes + scores.argmax(axis=1), minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def _number_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
