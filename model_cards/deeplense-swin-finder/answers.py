"""What models promise of their answers: sets of classes and intervals that hold the truth 95 times in a hundred."""

import numpy as np
from numpy.typing import NDArray

# half the interval that holds 95% of a normal distribution [standard deviations]
DEVIATIONS_OF_95 = 1.96


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


__all__ = ["DEVIATIONS_OF_95", "prediction_sets"]
