"""How much each member of an ensemble counts, and how far its confidence is corrected."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# temperatures beyond these say that a model's confidence means nothing
_TEMPERATURES = (0.05, 20.0)
_SMALLEST = 1e-300


def best_temperature(logits: "NDArray[np.float64]", labels: "NDArray[np.int64]") -> float:
    """Find what to divide logits by for the least log loss.

    Args:
        logits: `(n, classes)`.
        labels: `(n,)`.

    Returns:
        The temperature; above one for a model that is too sure of itself.

    Source:
        Guo et al. (2017), arXiv:1706.04599.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(_TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def best_weights(logits: "Sequence[NDArray[np.float64]]", labels: "NDArray[np.int64]") -> list[float]:
    """Find the weights of least log loss of the mean probability.

    Args:
        logits: Of each member, `(n, classes)`.
        labels: `(n,)`.

    Returns:
        Weights that sum to one; zero for members that the others make superfluous.

    Source:
        A convex problem on the simplex, by sequential least squares (`scipy.optimize`, SLSQP) from equal weights.
    """
    import numpy as np
    from scipy.optimize import minimize

    of_truth = _of_truth(logits, labels)

    def loss_and_slope(weights: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        together = np.maximum(weights @ of_truth, _SMALLEST)
        return -float(np.log(together).mean()), -(of_truth / together).mean(axis=1)

    members = len(logits)
    found = minimize(
        loss_and_slope,
        np.full(members, 1 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    weights = np.clip(found.x, 0.0, 1.0)
    normalised: list[float] = (weights / weights.sum()).tolist()
    return normalised


def log_losses(
    logits: "Sequence[NDArray[np.float64]]",
    labels: "NDArray[np.int64]",
    weights: Sequence[float],
    temperatures: Sequence[float],
) -> list[float]:
    """Score the members and what they say together.

    Args:
        logits: Of each member, `(n, classes)`.
        labels: `(n,)`.
        weights: How much each counts.
        temperatures: What the logits of each are divided by.

    Returns:
        Log loss of each member and, last, of the ensemble.
    """
    import numpy as np

    scaled = [member / temperature for member, temperature in zip(logits, temperatures, strict=True)]
    of_truth = _of_truth(scaled, labels)
    parts = [*of_truth, np.asarray(weights) @ of_truth]
    return [-float(np.log(np.maximum(part, _SMALLEST)).mean()) for part in parts]


def _of_truth(logits: "Sequence[NDArray[np.float64]]", labels: "NDArray[np.int64]") -> "NDArray[np.float64]":
    """Return what each member gives the true class, `(members, n)`."""
    import numpy as np
    from scipy.special import softmax

    rows = np.arange(len(labels))
    return np.stack([softmax(member, axis=1)[rows, labels] for member in logits])
