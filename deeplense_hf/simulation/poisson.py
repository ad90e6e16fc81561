"""Poisson numbers for whole images, many times quicker than one call of numpy's sampler per pixel."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
SingleArray = NDArray[np.float32]

# Means below LIMIT are split into a multiple of 1 / LEVELS, for which the inverse cumulative distribution is
# tabulated in 2**BIN_BITS bins, and a small remainder, which seldom adds anything. The table of half a megabyte stays
# in a processor's cache.
LIMIT = 128
LEVELS = 4
BIN_BITS = 10
# P(more than this | mean of LIMIT) is below 1e-22; also the mark of a bin that holds several counts.
LARGEST_COUNT = 254
SEVERAL = 255
# A random number has 32 bits: those of the bin, and the rest, which decide about the remainder.
REST_BITS = 32 - BIN_BITS
LARGEST_SMALL_MEAN = np.nextafter(np.float32(LIMIT), np.float32(0))


def draw_poisson(mean: NDArray[np.floating], generator: np.random.Generator) -> NDArray[np.int32]:
    """Draw Poisson numbers of given means.

    Args:
        mean: Means, zero or more, any shape; those below 128 are rounded to single precision.
        generator: Source of random numbers.

    Returns:
        Counts, in the shape of the means.

    Raises:
        ValueError: If a mean is negative or not finite.

    Source:
        Devroye (1986), "Non-uniform random variate generation", III.2 (inversion by table) and VI.1.3: a sum
        of Poisson numbers of means a and b is one of mean a + b. Bins that hold more than one count are resolved
        with further random bits. Compared with scipy's distribution in tests/simulation/test_noise.py.
    """
    flat = mean.reshape(-1)
    lowest, highest = flat.min(initial=0), flat.max(initial=0)
    if not (lowest >= 0 and math.isfinite(highest)):
        raise ValueError(f"mean={lowest if lowest < 0 else highest}: Poisson means are finite and zero or more.")
    small = np.minimum(flat, LARGEST_SMALL_MEAN) if highest >= LIMIT else flat
    counts = _draw_below_limit(small.astype(np.float32, copy=False), generator)
    if highest >= LIMIT:
        large = np.flatnonzero(flat >= LIMIT)
        counts[large] = generator.poisson(flat[large].astype(np.float64))
    return counts.reshape(mean.shape)


class _Tables(NamedTuple):
    """Inverse cumulative distributions, one row per level.

    Args:
        settled: Count of each bin, `SEVERAL` where there are several, shape `(levels x bins,)`.
        first: Smallest count of each bin, shape `(levels x bins,)`.
        cumulative: Probability of each count or a smaller one, plus the level's number, so that it rises
            throughout, and infinity, shape `(levels x (LARGEST_COUNT + 1) + 1,)`.
    """

    settled: NDArray[np.uint8]
    first: NDArray[np.uint8]
    cumulative: FloatArray


def _draw_below_limit(mean: SingleArray, generator: np.random.Generator) -> NDArray[np.int32]:
    words = generator.integers(0, 2**64, size=(mean.size + 1) // 2, dtype=np.uint64)
    bits = words.view(np.uint32)[: mean.size]
    remainder: SingleArray = mean * np.float32(LEVELS)
    cell = remainder.astype(np.int32)
    remainder -= cell.astype(np.float32)
    remainder *= np.float32(1 / LEVELS)
    cell <<= BIN_BITS
    cell |= (bits >> np.uint32(REST_BITS)).view(np.int32)
    found = _tables().settled.take(cell)
    bits &= np.uint32(2**REST_BITS - 1)
    rest = bits.view(np.int32).astype(np.float32)
    rest += np.float32(0.5)
    # The remainder adds nothing with probability exp(-r), and two or more with one below r^2 / 2: these are looked at
    # one by one, as are the bins of several counts.
    nothing = np.exp(np.negative(remainder))
    nothing *= np.float32(2**REST_BITS)
    adds = rest > nothing
    counts: NDArray[np.int32] = np.add(found, adds, dtype=np.int32)
    several = np.flatnonzero(found == SEVERAL)
    counts[several] += _invert_bin(cell[several], generator.random(several.size)) - SEVERAL
    remainder *= remainder
    remainder *= np.float32(2**REST_BITS / 2)
    rest -= np.float32(2**REST_BITS)
    seldom = np.flatnonzero(np.negative(rest, out=rest) < remainder)
    small_mean: FloatArray = np.sqrt(remainder[seldom].astype(np.float64) * 2.0 ** (1 - REST_BITS))
    uniform: FloatArray = 1 - rest[seldom].astype(np.float64) * 2.0**-REST_BITS
    counts[seldom] += _invert_small(small_mean, uniform) - adds[seldom]
    return counts


def _invert_bin(cell: NDArray[np.int32], uniform: FloatArray) -> NDArray[np.int32]:
    """Counts of bins, by the place of a uniform number within each."""
    tables = _tables()
    place: FloatArray = (cell + uniform) / 2**BIN_BITS
    row = (cell >> BIN_BITS) * (LARGEST_COUNT + 1)
    position = row + tables.first[cell]
    # Most bins hold two counts, those of the tails any number.
    position += place >= tables.cumulative[position]
    beyond = np.flatnonzero(place >= tables.cumulative[position])
    position[beyond] = np.searchsorted(tables.cumulative, place[beyond], side="right")
    return np.minimum(position - row, LARGEST_COUNT).astype(np.int32)


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
def _tables() -> _Tables:
    level = np.arange(LIMIT * LEVELS)[:, None]
    count = np.arange(LARGEST_COUNT + 1)
    log_factorial = np.array([math.lgamma(k + 1) for k in count.tolist()])
    log_mean = np.log(np.maximum(level, 1e-300) / LEVELS)
    log_probability = np.where(count > 0, count * log_mean, 0) - level / LEVELS - log_factorial
    cumulative: FloatArray = np.minimum(np.cumsum(np.exp(log_probability), axis=1), 1.0)
    edges = np.arange(2**BIN_BITS + 1) / 2**BIN_BITS
    first = np.stack([np.searchsorted(row, edges[:-1], side="right") for row in cumulative])
    last = np.stack([np.searchsorted(row, edges[1:], side="left") for row in cumulative])
    found = np.where(first == last, first, SEVERAL)
    rising = np.append((cumulative + level).ravel(), np.inf)
    return _Tables(found.astype(np.uint8).ravel(), first.astype(np.uint8).ravel(), rising)
