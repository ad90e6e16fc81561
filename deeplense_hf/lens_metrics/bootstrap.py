"""Bootstrap intervals of the scores, resampling lens systems rather than images."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .classification_scores import Floats, check_class_names, check_scores, weighted_scores

_ELEMENTS_AT_ONCE = 1 << 22
"""Weights that are held at once: 32 MiB of float64, however many rows and resamples there are."""


def resample_counts(systems: NDArray[np.int64], number_of_systems: int, resamples: range, seed: int) -> Floats:
    """Draw systems with replacement and count how often each row is in each resample.

    Resample r depends on the seed and r only, never on how many are drawn together.

    Args:
        systems: Index of each row's system in `[0, number_of_systems)`, shape `(n,)`.
        number_of_systems: How many systems there are; as many are drawn for a resample.
        resamples: Which resamples to draw.
        seed: Seed of the draws.

    Returns:
        Counts of shape `(len(resamples), n)`, equal for the rows of one system.
    """
    counts = np.empty((len(resamples), len(systems)))
    for row, resample in enumerate(resamples):
        drawn = np.random.default_rng([seed, resample]).integers(number_of_systems, size=number_of_systems)
        counts[row] = np.bincount(drawn, minlength=number_of_systems)[systems]
    return counts


def bootstrap_intervals(
    references: ArrayLike,
    prediction_scores: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    system_ids: Sequence[str] | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float | None, float | None]]:
    """Compute percentile bootstrap intervals of every score.

    Args:
        references: True class of each row, shape `(n,)`.
        prediction_scores: Probability of each class, shape `(n, classes)`.
        class_names: One name a class; `0, 1, ...` when absent.
        system_ids: The lens system of each row, resampled together since images of one system are not
            independent; every row is its own system when absent.
        samples: Number of resamples.
        seed: Seed of the resamples.
        level: Probability that the interval holds.

    Returns:
        Low and high end per score of `weighted_scores`. Resamples in which a score is undefined (a rare class
        was not drawn) are left out; both ends are None where it is undefined in all of them, and of all scores
        where there are fewer than two systems, whose resamples are all the same.

    Raises:
        ValueError: If `samples` is not positive, `seed` is negative, `level` is not inside (0, 1), or the
            rows are refused by `check_scores`.

    Source:
        Efron & Tibshirani (1993), chapter 13 (percentile interval); Davison & Hinkley (1997), section 3.8
        (resampling of groups). The percentile interval is slightly too short in small samples and where a
        score touches its bound, such as an AUC of one. That of the calibration error lies too high, since
        resampling adds noise to every bin: in small samples the value itself can lie below its low end.
    """
    labels, scores = check_scores(references, prediction_scores)
    names = check_class_names(class_names, scores.shape[1])
    return score_intervals(
        lambda weights: weighted_scores(labels, scores, weights, names),
        len(labels),
        system_ids=system_ids,
        samples=samples,
        seed=seed,
        level=level,
    )


def score_intervals(
    score: Callable[[Floats], dict[str, Floats]],
    rows: int,
    *,
    system_ids: Sequence[str] | None = None,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float | None, float | None]]:
    """Compute percentile bootstrap intervals of any scores; see `bootstrap_intervals`.

    Args:
        score: Scores by name, `(resamples,)` each with NaN where undefined, from weights of shape `(resamples, rows)`.
        rows: Number of rows.
        system_ids: As in `bootstrap_intervals`.
        samples: Number of resamples.
        seed: Seed of the resamples.
        level: Probability that the interval holds.

    Returns:
        Low and high end per score, as in `bootstrap_intervals`.

    Raises:
        ValueError: If `samples` is not positive, `seed` is negative, or `level` is not inside (0, 1).

    Source:
        As `bootstrap_intervals`.
    """
    if samples < 1:
        raise ValueError(f"samples={samples} resamples give no interval; use at least 1, usually 1000.")
    if seed < 0:
        raise ValueError(f"seed={seed} is negative; use 0 or a positive integer.")
    if not 0 < level < 1:
        raise ValueError(f"level={level} is not between 0 and 1; use for example 0.95.")
    systems, number_of_systems = _system_indices(system_ids, rows)
    if number_of_systems < 2:
        # of equal resamples an interval would be of no width, as if the score were certain
        return dict.fromkeys(score(np.ones((1, rows))), (None, None))
    at_once = max(1, _ELEMENTS_AT_ONCE // rows)
    blocks = []
    for start in range(0, samples, at_once):
        resamples = range(start, min(start + at_once, samples))
        weights = resample_counts(systems, number_of_systems, resamples, seed)
        blocks.append(score(weights))
    return {name: _interval(np.concatenate([block[name] for block in blocks]), level) for name in blocks[0]}


def _system_indices(system_ids: Sequence[str] | None, rows: int) -> tuple[NDArray[np.int64], int]:
    """Number the systems in order of their names."""
    if system_ids is None:
        return np.arange(rows), rows
    if len(system_ids) != rows:
        raise ValueError(f"system_ids has {len(system_ids)} entries, but there are {rows} rows; give one a row.")
    unique, indices = np.unique(np.asarray(system_ids, dtype=str), return_inverse=True)
    return indices.astype(np.int64), len(unique)


def _interval(values: Floats, level: float) -> tuple[float | None, float | None]:
    """Return the central interval of the defined values."""
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return None, None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
