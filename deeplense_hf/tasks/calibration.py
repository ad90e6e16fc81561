"""Probabilities that mean what they say; sets of classes and intervals that hold the truth as often as they promise."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

# temperatures beyond these say that a model's confidence means nothing
_TEMPERATURES = (0.05, 20.0)


def best_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Find what to divide logits by for the least log loss.

    Args:
        logits: `(n, classes)`.
        labels: `(n,)`.

    Returns:
        The temperature; above one for a model that is too sure of itself.

    Source:
        Guo et al. (2017), arXiv:1706.04599; targets short of certainty as in Platt (1999), for several classes.
    """
    # What n images show of a class is never more certain than this: without it, a model that is right about all of them
    # would be made infinitely sure of itself.
    doubt = 1 / (len(labels) + 2)

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        of_truth = scaled[np.arange(len(labels)), labels]
        of_others = (scaled.sum(axis=1) - of_truth) / (scaled.shape[1] - 1)
        return -float(((1 - doubt) * of_truth + doubt * of_others).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def prediction_set_threshold(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], coverage: float = 0.95
) -> float:
    """Find the probability from which on a class belongs to the set of classes that an image may be of.

    Args:
        probabilities: Of images that the model did not learn from, `(n, classes)`.
        labels: Their classes, `(n,)`.
        coverage: Share of images, of the same population, whose class the set is to hold.

    Returns:
        The threshold; zero, so that the set holds all classes, where the images are too few to promise this.

    Source:
        Split conformal prediction with least ambiguous sets: Sadinle, Lei & Wasserman (2019), arXiv:1609.00451.
    """
    of_truth = np.sort(probabilities[np.arange(len(labels)), labels])
    # of n exchangeable images and a new one, the new one's rank is uniform
    rank = int(np.floor((len(labels) + 1) * (1 - coverage)))
    return float(of_truth[rank - 1]) if rank >= 1 else 0.0


def conformal_quantile(errors: NDArray[np.float64], coverage: float) -> float:
    """Find the error that a new image's stays below as often as is wanted.

    Args:
        errors: Absolute errors, in any unit, of images that the model did not learn from, `(n,)`.
        coverage: Share of images, of the same population, whose error is to be no larger.

    Returns:
        The error; infinite where the images are too few to promise this.

    Source:
        Split conformal prediction: Lei et al. (2018), arXiv:1604.04173, algorithm 2.
    """
    # of n exchangeable images and a new one, the new one's rank is uniform; the product of whole numbers may end up
    # a rounding error above one
    rank = int(np.ceil((len(errors) + 1) * coverage - 1e-9))
    return float(np.sort(errors)[rank - 1]) if rank <= len(errors) else float("inf")
