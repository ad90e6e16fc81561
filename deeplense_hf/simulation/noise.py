"""What the detector adds: photon counts and normal noise, from one generator per system."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .poisson import draw_poisson

FloatArray = NDArray[np.float32] | NDArray[np.float64]
SingleArray = NDArray[np.float32]

# Small images are worked on together, up to this many pixels, for the cost of numpy's calls.
PIXELS_PER_STEP = 16_384
# Images of a multiple of this many pixels fill numpy's vectors, so that one is rounded alike wherever it lies.
VECTOR_PIXELS = 64


def standard_normal(generators: Sequence[np.random.Generator], number: int) -> SingleArray:
    """Draw standard normal numbers, a row from each generator.

    Args:
        generators: Sources of random numbers.
        number: How many from each.

    Returns:
        Normal numbers, shape `(generators, number)`; none is beyond 6.8.

    Source:
        Box & Muller (1958), from 32 random bits per number; three times as quick as numpy's single precision
        ziggurat, as logarithm and sine are vectorised.
    """
    pairs = (number + 1) // 2
    bits = np.empty((len(generators), pairs), dtype=np.uint64)
    for row, generator in zip(bits, generators, strict=True):
        row[...] = generator.integers(0, 2**64, size=pairs, dtype=np.uint64)
    halves = bits.view(np.uint32)
    radius = halves[:, :pairs].astype(np.float32)
    radius += np.float32(0.5)
    radius *= np.float32(2.0**-32)
    np.log(radius, out=radius)
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    angle = halves[:, pairs:].view(np.int32).astype(np.float32)
    angle *= np.float32(np.pi * 2.0**-31)
    normal = np.empty((len(generators), 2, pairs), dtype=np.float32)
    np.cos(angle, out=normal[:, 0])
    np.sin(angle, out=normal[:, 1])
    normal *= radius[:, None]
    return normal.reshape(len(generators), 2 * pairs)[:, :number]


def add_photon_counts(
    images: FloatArray,
    exposure_time: NDArray[np.float64],
    background_rms: NDArray[np.float64],
    generators: Sequence[np.random.Generator],
    *,
    poisson_applied_twice: bool,
) -> SingleArray:
    """Turn noise-free images into integer counts.

    Args:
        images: Noise-free images [counts/s], shape `(batch, height, width)`.
        exposure_time: Exposures [s], shape `(batch,)`.
        background_rms: Standard deviation of the background [counts/s], shape `(batch,)`.
        generators: One source of random numbers per image.
        poisson_applied_twice: True: the mean of the Poisson draw already holds normal shot noise, as in Model
            I. False: it holds the background's fluctuation only.

    Returns:
        Counts, whole numbers, shape `(batch, height, width)`.

    Source:
        DeepLenseSim `simple_sim`: Poisson(clip(t (model + add_poisson + add_background), 0)). Its two
        independent normal draws are one here, with the sum of their variances, |model| / t +
        background_rms^2: the same distribution.
    """
    counts = np.empty(images.shape, dtype=np.float32)
    time = exposure_time.astype(np.float32)[:, None]
    fluctuation = (background_rms * exposure_time).astype(np.float32)[:, None]
    for rows in _steps(images):
        mean = _flat(images[rows]) * time[rows]
        normal = standard_normal(generators[rows], mean.shape[1])
        if poisson_applied_twice:
            deviation = np.abs(mean)
            deviation += np.square(fluctuation[rows])
            normal *= np.sqrt(deviation, out=deviation)
        else:
            normal *= fluctuation[rows]
        mean += normal
        np.maximum(mean, 0, out=mean)
        for row, generator, image in zip(mean, generators[rows], counts[rows], strict=True):
            image[...] = draw_poisson(row, generator).reshape(image.shape)
    return counts


def add_gaussian_noise(
    images: FloatArray,
    exposure_time: NDArray[np.float64],
    background_rms: NDArray[np.float64],
    generators: Sequence[np.random.Generator],
) -> SingleArray:
    """Add a telescope's background and shot noise, both normal.

    Args:
        images: Noise-free images [electrons/s], shape `(batch, height, width)`.
        exposure_time: Exposures [s], shape `(batch,)`.
        background_rms: Standard deviation of the background [electrons/s], shape `(batch,)`.
        generators: One source of random numbers per image.

    Returns:
        Observed images [electrons/s], shape `(batch, height, width)`.

    Source:
        lenstronomy `SingleBand.noise_for_model` for data in electrons. Its two independent normal draws are
        one here, with the sum of their variances, background_rms^2 + max(model, 0) / t: the same
        distribution.
    """
    observed = np.empty(images.shape, dtype=np.float32)
    per_time = (1 / exposure_time).astype(np.float32)[:, None]
    background_variance = (background_rms**2).astype(np.float32)[:, None]
    for rows in _steps(images):
        image, result = _flat(images[rows]), _flat(observed[rows])
        np.maximum(image, 0, out=result)
        result *= per_time[rows]
        result += background_variance[rows]
        np.sqrt(result, out=result)
        result *= standard_normal(generators[rows], image.shape[1])
        result += image
    return observed


def _steps(images: FloatArray) -> Iterator[slice]:
    """Parts of a batch to work on together."""
    pixels = images[0].size if len(images) else 1
    step = max(1, PIXELS_PER_STEP // pixels) if pixels % VECTOR_PIXELS == 0 else 1
    for start in range(0, len(images), step):
        yield slice(start, min(start + step, len(images)))


def _flat(images: FloatArray) -> SingleArray:
    """The images in single precision, each a row; single precision ones are not copied."""
    return images.reshape(len(images), -1).astype(np.float32, copy=False)
