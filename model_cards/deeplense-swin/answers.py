"""What models promise of their answers: sets of classes and intervals that hold the truth 95 times in a hundred."""

from typing import Any

# half the interval that holds 95% of a normal distribution [standard deviations]
DEVIATIONS_OF_95 = 1.96


def prediction_sets(probabilities: Any, threshold: float) -> Any:
    """Tell which classes an image may be of.

    Args:
        probabilities: Array or tensor, `(n, classes)`.
        threshold: `prediction_set_threshold` of the model's configuration.

    Returns:
        Whether each class belongs to the set, `(n, classes)`; the likeliest always does.

    Source:
        Least ambiguous sets: Sadinle, Lei & Wasserman (2019), arXiv:1609.00451.
    """
    likeliest = probabilities.argmax(-1)[:, None]
    sets = probabilities >= threshold
    for row, best in enumerate(likeliest):
        sets[row, best] = True
    return sets


__all__ = ["DEVIATIONS_OF_95", "prediction_sets"]
