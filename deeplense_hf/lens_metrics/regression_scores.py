"""Scores of estimated quantities and of their intervals, under row weights as in `classification_scores`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .classification_scores import Floats, total_weights

# central intervals of a normal distribution: name, half width in standard deviations
INTERVALS = {"68": 0.994458, "95": 1.959964}


def check_estimates(
    references: ArrayLike, predictions: ArrayLike, standard_deviations: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Check truths and estimates and bring them to arrays.

    Args:
        references: Truths, `(n, targets)`; NaN where unknown.
        predictions: Expected values, `(n, targets)`.
        standard_deviations: Their uncertainties, `(n, targets)`.

    Returns:
        The three arrays.

    Raises:
        ValueError: If shapes disagree, there are no rows, or an estimate is not finite or its uncertainty not positive.
    """
    arrays = tuple(np.asarray(array, dtype=np.float64) for array in (references, predictions, standard_deviations))
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1 or len(shapes[0]) != 2 or 0 in shapes[0]:
        raise ValueError(f"references, predictions and standard_deviations have shapes {shapes}; give (n, targets).")
    usable = np.isfinite(arrays[1]).all(axis=1) & np.isfinite(arrays[2]).all(axis=1) & (arrays[2] > 0).all(axis=1)
    if not usable.all():
        raise ValueError(
            f"{np.count_nonzero(~usable)} rows have an estimate that is not finite or an uncertainty that is not "
            f"positive, the first is row {np.argmin(usable)}; the model or its input is broken there."
        )
    return arrays[0], arrays[1], arrays[2]


def weighted_regression_scores(
    references: ArrayLike,
    predictions: ArrayLike,
    standard_deviations: ArrayLike,
    weights: Floats,
    target_names: Sequence[str],
    intervals_95: tuple[ArrayLike, ArrayLike] | None = None,
) -> dict[str, Floats]:
    """Compute every score under several sets of row weights.

    Args:
        references: Truths, `(n, targets)`; rows in which one is NaN do not count for that target.
        predictions: Expected values, `(n, targets)`.
        standard_deviations: Their uncertainties, `(n, targets)`.
        weights: How often each row counts, `(resamples, n)`.
        target_names: One name a target.
        intervals_95: Lower and upper ends of the 95% intervals, each `(n, targets)`; those of normal distributions when
            absent.

    Returns:
        Per score name an array `(resamples,)`: for each target `mae_<target>`, `rmse_<target>` and `bias_<target>`
        (mean of estimate minus truth) in its unit, `r2_<target>`, `coverage_68_<target>` and `coverage_95_<target>`
        (share of the truths inside the interval, of 68% that of a normal distribution), `width_68_<target>` (mean width
        of that interval); and `r2`, `coverage_68`, `coverage_95`, the means over the targets.

    Raises:
        ValueError: See `check_estimates`.

    Source:
        R2 as in scikit-learn's `r2_score`: one minus the squared error over that of the weighted mean of the truths.
    """
    truths, values, deviations = check_estimates(references, predictions, standard_deviations)
    intervals = {
        level: (values - half_width * deviations, values + half_width * deviations)
        for level, half_width in INTERVALS.items()
    }
    if intervals_95 is not None:
        intervals["95"] = np.asarray(intervals_95[0], dtype=np.float64), np.asarray(intervals_95[1], dtype=np.float64)
    scores: dict[str, Floats] = {}
    for index, name in enumerate(target_names):
        known = ~np.isnan(truths[:, index])
        ends = {level: (low[known, index], high[known, index]) for level, (low, high) in intervals.items()}
        of_target = _target_scores(truths[known, index], values[known, index], ends, weights[:, known])
        scores |= {f"{score}_{name}": value for score, value in of_target.items()}
    for score in ("r2", *(f"coverage_{level}" for level in INTERVALS)):
        scores[score] = np.mean([scores[f"{score}_{name}"] for name in target_names], axis=0)
    return scores


def _target_scores(
    truth: Floats, value: Floats, intervals: dict[str, tuple[Floats, Floats]], weights: Floats
) -> dict[str, Floats]:
    """Score one target, with its intervals by their level; NaN in resamples without a row."""
    # NaN where a resample has drawn no row of which the target is known
    total = total_weights(weights)
    error = value - truth
    squared = weights @ error**2
    mean = weights @ truth / total
    spread = weights @ truth**2 - total * mean**2
    scores = {
        "mae": weights @ np.abs(error) / total,
        "rmse": np.sqrt(squared / total),
        "bias": weights @ error / total,
        # within rounding, a resample of equal truths has no spread
        "r2": np.where(spread > 1e-12 * np.abs(total * mean**2), 1 - squared / np.maximum(spread, 1e-300), np.nan),
    }
    for level, (low, high) in intervals.items():
        scores[f"coverage_{level}"] = weights @ ((low <= truth) & (truth <= high)).astype(np.float64) / total
    scores["width_68"] = weights @ (intervals["68"][1] - intervals["68"][0]) / total
    return scores


def regression_scores(
    references: ArrayLike, predictions: ArrayLike, standard_deviations: ArrayLike, target_names: Sequence[str]
) -> dict[str, float | None]:
    """Score estimates once.

    >>> scores = regression_scores([[0.0], [1.0], [2.0]], [[0.1], [0.9], [2.0]], [[0.1]] * 3, ["mass"])
    >>> round(scores["mae_mass"], 4), round(scores["r2_mass"], 4)
    (0.0667, 0.99)

    Args:
        references: As in `weighted_regression_scores`.
        predictions: As in `weighted_regression_scores`.
        standard_deviations: As in `weighted_regression_scores`.
        target_names: One name a target.

    Returns:
        The scores of `weighted_regression_scores`; an undefined one is None.

    Raises:
        ValueError: See `check_estimates`.
    """
    weights = np.ones((1, len(np.asarray(references))))
    scores = weighted_regression_scores(references, predictions, standard_deviations, weights, target_names)
    return {name: None if np.isnan(value[0]) else float(value[0]) for name, value in scores.items()}
