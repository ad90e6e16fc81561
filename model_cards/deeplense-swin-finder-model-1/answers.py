"""What models promise of their answers: sets of classes and intervals that hold the truth 95 times in a hundred."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# half the interval that holds 95% of a normal distribution [standard deviations]
DEVIATIONS_OF_95 = 1.96


def intervals_95(
    values: NDArray[np.floating], standard_deviations: NDArray[np.floating], factors: Sequence[float] | None
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the intervals that hold 95 truths in a hundred.

    Args:
        values: Expected values, `(n, targets)` [units of the targets].
        standard_deviations: Their uncertainties, `(n, targets)` [units of the targets].
        factors: `interval_factors_95` of the model's configuration; those of a normal distribution when absent.

    Returns:
        Lower and upper ends, each `(n, targets)` [units of the targets].
    """
    half_widths = np.asarray(factors or DEVIATIONS_OF_95, dtype=np.float64) * standard_deviations
    return values - half_widths, values + half_widths


def prediction_sets(probabilities: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Tell which classes an image may be of.

    Args:
        probabilities: `(n, classes)`.
        threshold: `prediction_set_threshold` of the model's configuration.

    Returns:
        Whether each class belongs to the set, `(n, classes)`; the likeliest always does.

    Source:
        Least ambiguous sets: Sadinle, Lei & Wasserman (2019), arXiv:1609.00451.
    """
    sets: NDArray[np.bool_] = probabilities >= threshold
    np.put_along_axis(sets, probabilities.argmax(axis=1)[:, None], True, axis=1)
    return sets


__all__ = ["DEVIATIONS_OF_95", "intervals_95", "prediction_sets"]
