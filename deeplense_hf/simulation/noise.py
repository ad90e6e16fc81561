"""What the detector adds: photon counts and normal noise, from one generator per system."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .poisson import draw_poisson

FloatArray = NDArray[np.float32] | NDArray[np.float64]


def add_photon_counts(
    images: FloatArray,
    exposure_time: NDArray[np.float64],
    background_rms: NDArray[np.float64],
    generators: Sequence[np.random.Generator],
    *,
    poisson_applied_twice: bool,
) -> NDArray[np.float32]:
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
    # Python numbers, unlike numpy's, leave single precision images in single precision.
    exposures = zip(exposure_time.tolist(), background_rms.tolist(), strict=True)
    for image, (time, rms), generator, result in zip(images, exposures, generators, counts, strict=True):
        mean = image * time
        fluctuation = generator.standard_normal(mean.shape, dtype=np.float32)
        if poisson_applied_twice:
            variance = np.abs(mean)
            variance += (rms * time) ** 2
            fluctuation *= np.sqrt(variance, out=variance)
        else:
            fluctuation *= rms * time
        mean += fluctuation
        result[...] = draw_poisson(np.maximum(mean, 0, out=mean), generator)
    return counts


def add_gaussian_noise(
    images: FloatArray,
    exposure_time: NDArray[np.float64],
    background_rms: NDArray[np.float64],
    generators: Sequence[np.random.Generator],
) -> NDArray[np.float32]:
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
    exposures = zip(exposure_time.tolist(), background_rms.tolist(), strict=True)
    for row, (image, (time, rms), generator) in enumerate(zip(images, exposures, generators, strict=True)):
        variance = np.maximum(image, 0)
        variance *= 1 / time
        variance += rms**2
        generator.standard_normal(dtype=np.float32, out=observed[row])
        observed[row] *= np.sqrt(variance, out=variance)
        observed[row] += image
    return observed
