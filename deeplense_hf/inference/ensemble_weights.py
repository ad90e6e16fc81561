"""How much each member of an ensemble counts, and how good they are together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SMALLEST = 1e-300
# by how much the log loss may exceed the least one
_TOLERANCE = 1e-3
# the ensemble's own, in single precision
_SMALLEST_TOGETHER = 1e-30


def best_weights(logits: "Sequence[NDArray[np.float64]]", labels: "NDArray[np.int64]") -> list[float]:
    """Find the weights of least log loss of the mean probability.

    Args:
        logits: Of each member, `(n, classes)`.
        labels: `(n,)`.

    Returns:
        Weights that sum to one; zero for members that the others make superfluous.

    Raises:
        ValueError: If the search fails.

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
    weights /= weights.sum()
    # the search also gives up where rounding hides the way down; what counts is how far down it can still be, which a
    # convex loss shows by its slopes
    _, slope = loss_and_slope(weights)
    excess = float(weights @ slope - slope.min())
    if not found.success and not excess <= _TOLERANCE:
        raise ValueError(
            f"the search for the weights of least log loss failed ({found.message}); use weighting='uniform' or "
            "'temperature'."
        )
    normalised: list[float] = weights.tolist()
    return normalised


def joint_logits(
    logits: "Sequence[NDArray[np.float64]]", weights: Sequence[float], temperatures: Sequence[float]
) -> "NDArray[np.float64]":
    """Join the answers of members as the ensemble does, before its own temperature.

    Args:
        logits: Of each member, `(n, classes)`.
        weights: How much each counts.
        temperatures: What the logits of each are divided by.

    Returns:
        Logarithms of the mean probabilities, `(n, classes)`.
    """
    import numpy as np
    from scipy.special import softmax

    parts = [
        weight * softmax(member / temperature, axis=1)
        for member, weight, temperature in zip(logits, weights, temperatures, strict=True)
    ]
    joined: NDArray[np.float64] = np.log(np.maximum(np.sum(parts, axis=0), _SMALLEST_TOGETHER))
    return joined


def log_losses(
    logits: "Sequence[NDArray[np.float64]]",
    labels: "NDArray[np.int64]",
    weights: Sequence[float],
    temperatures: Sequence[float],
    joint_temperature: float = 1.0,
) -> list[float]:
    """Score the members and what they say together.

    Args:
        logits: Of each member, `(n, classes)`.
        labels: `(n,)`.
        weights: How much each counts.
        temperatures: What the logits of each are divided by.
        joint_temperature: What those of the ensemble are divided by.

    Returns:
        Log loss of each member and, last, of the ensemble.
    """
    import numpy as np

    together = joint_logits(logits, weights, temperatures) / joint_temperature
    scaled = [member / temperature for member, temperature in zip(logits, temperatures, strict=True)]
    parts = _of_truth([*scaled, together], labels)
    return [-float(np.log(np.maximum(part, _SMALLEST)).mean()) for part in parts]


def _of_truth(logits: "Sequence[NDArray[np.float64]]", labels: "NDArray[np.int64]") -> "NDArray[np.float64]":
    """Return what each member gives the true class, `(members, n)`."""
    import numpy as np
    from scipy.special import softmax

    rows = np.arange(len(labels))
    return np.stack([softmax(member, axis=1)[rows, labels] for member in logits])
