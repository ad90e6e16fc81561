"""Made-up predictions for the tests of the scores."""

from collections.abc import Callable

import numpy as np
import pytest

RandomCase = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def random_case() -> RandomCase:
    """Return a function that makes labels and probabilities of a mediocre classifier."""

    def make(n: int, classes: int, seed: int, decimals: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = rng.integers(classes, size=n)
        logits = rng.normal(size=(n, classes))
        logits[np.arange(n), labels] += 1.0
        if decimals is not None:
            logits = logits.round(decimals)
        scores = np.exp(logits)
        return labels, scores / scores.sum(axis=1, keepdims=True)

    return make
