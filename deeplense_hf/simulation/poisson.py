"""Poisson numbers for whole images, several times quicker than one call of numpy's sampler per pixel."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Means below LIMIT are split into a multiple of 1 / LEVELS, for which the inverse cumulative distribution is
# tabulated in BINS bins, and a small remainder, which seldom adds anything.
LIMIT = 128
LEVELS = 4
BINS = 1024
# P(more than this | mean of LIMIT) is below 1e-23.
LARGEST_COUNT = 255


def draw_poisson(mean: NDArray[np.floating], generator: np.random.Generator) -> NDArray[np.int32]:
    """Draw Poisson numbers of given means.

    Args:
        mean: Means, zero or more, any shape.
        generator: Source of random numbers.

    Returns:
        Counts, in the shape of the means.

    Raises:
        ValueError: If a mean is negative or not finite.

    Source:
        Devroye (1986), "Non-uniform random variate generation", III.2 (inversion by table) and VI.1.3: a sum
        of Poisson numbers of means a and b is one of mean a + b. Bins that hold more than
        one count are resolved with further random bits. Compared with scipy's distribution in
        tests/simulation/test_noise.py.
    """
    lowest, highest = mean.min(initial=0), mean.max(initial=0)
    if not (lowest >= 0 and math.isfinite(highest)):
        raise ValueError(f"mean={lowest if lowest < 0 else highest}: Poisson means are finite and zero or more.")
    counts = np.zeros(mean.size, dtype=np.int32)
    flat = mean.reshape(-1)
    above_zero = np.flatnonzero(flat > 0)
    wanted: FloatArray = flat[above_zero].astype(np.float64)
    drawn = _draw_below_limit(np.minimum(wanted, float(np.nextafter(LIMIT, 0))), generator)
    if highest >= LIMIT:
        large = np.flatnonzero(wanted >= LIMIT)
        drawn[large] = generator.poisson(wanted[large])
    counts[above_zero] = drawn
    return counts.reshape(mean.shape)


def _draw_below_limit(mean: FloatArray, generator: np.random.Generator) -> NDArray[np.int32]:
    cumulative, settled = _tables()
    scaled: FloatArray = mean * LEVELS
    level = scaled.astype(np.int32)
    bits = generator.integers(0, 2**64, size=mean.size, dtype=np.uint64)
    place = (bits & np.uint64(BINS - 1)).astype(np.int32)
    counts = settled.take(level * BINS + place).astype(np.int32)
    unsettled = np.flatnonzero(counts < 0)
    row = level[unsettled]
    uniform = (place[unsettled] + generator.random(unsettled.size)) / BINS
    found = np.searchsorted(cumulative, row + uniform, side="right") - row * (LARGEST_COUNT + 1)
    counts[unsettled] = np.minimum(found, LARGEST_COUNT)
    # The bits that did not choose the bin decide about the remainder; exp(-r) >= 1 - r settles most at once.
    remainder = np.subtract(scaled, level, dtype=np.float64) / LEVELS
    spare_uniform = np.multiply(bits >> np.uint64(11), 2.0**-53, dtype=np.float64)
    adding = np.flatnonzero(spare_uniform > 1 - remainder)
    counts[adding] += _invert_small(remainder[adding], spare_uniform[adding])
    return counts


def _invert_small(mean: FloatArray, uniform: FloatArray) -> NDArray[np.int32]:
    """Invert the cumulative distribution term by term."""
    counts = np.zeros(mean.size, dtype=np.int32)
    term = np.exp(-mean)
    cumulative = term.copy()
    for count in range(1, 20):
        above = uniform > cumulative
        if not above.any():
            break
        counts += above
        term *= mean / count
        cumulative += term
    return counts


@lru_cache(maxsize=1)
def _tables() -> tuple[FloatArray, NDArray[np.int16]]:
    """Cumulative distributions plus their level's number, and each bin's count, -1 if it has several."""
    level = np.arange(LIMIT * LEVELS)[:, None]
    count = np.arange(LARGEST_COUNT + 1)
    log_factorial = np.array([math.lgamma(k + 1) for k in count.tolist()])
    log_mean = np.log(np.maximum(level, 1e-300) / LEVELS)
    log_probability = np.where(count > 0, count * log_mean, 0) - level / LEVELS - log_factorial
    cumulative: FloatArray = np.minimum(np.cumsum(np.exp(log_probability), axis=1), 1.0)

    def counts_below(edges: FloatArray) -> NDArray[np.int64]:
        """Number of cumulative probabilities up to each edge, in units of bins."""
        flat = level * (BINS + 2) + edges.astype(np.int64)
        histogram = np.bincount(flat.ravel(), minlength=level.size * (BINS + 2))
        return np.cumsum(histogram.reshape(level.size, BINS + 2), axis=1)

    at_start = counts_below(np.ceil(cumulative * BINS))[:, :BINS]
    at_end = counts_below(np.floor(cumulative * BINS) + 1)[:, 1 : BINS + 1]
    settled = np.where(at_start == at_end, at_start, -1)
    return (cumulative + level).ravel(), settled.astype(np.int16).ravel()
