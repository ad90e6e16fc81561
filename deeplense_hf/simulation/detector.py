"""What a telescope's detector makes of an image: electrons of source and sky, and the noise of readout."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .instruments import Telescope
from .poisson import draw_poisson

FloatArray = NDArray[np.float32] | NDArray[np.float64]


def expose(
    images: FloatArray, bands: Sequence[Telescope], generators: Sequence[np.random.Generator]
) -> NDArray[np.float32]:
    """Expose the detector: Poisson electrons of source and sky, normal readout noise, the mean sky subtracted.

    Args:
        images: Noise-free images [electrons/s/pixel], shape `(batch, bands, height, width)`.
        bands: One telescope per band.
        generators: One source of random numbers per image.

    Returns:
        Observed images [electrons/s/pixel], shape `(batch, bands, height, width)`.

    Source:
        Howell, "Handbook of CCD Astronomy", section 4.4. lenstronomy's SimAPI adds normal noise of the same variance
        (tests/simulation/test_detector.py).
    """
    observed = np.empty(images.shape, dtype=np.float32)
    for image, generator, result in zip(images, generators, observed, strict=True):
        for plane, telescope, counted in zip(image, bands, result, strict=True):
            time, sky = telescope.total_exposure_time, telescope.sky_rate
            # Convolution by Fourier transform leaves tiny negative numbers where there is no light.
            mean = np.maximum(plane.astype(np.float64) + sky, 0) * time
            electrons = draw_poisson(mean, generator).astype(np.float64)
            read_noise = telescope.read_noise * telescope.exposures**0.5
            electrons += read_noise * generator.standard_normal(plane.shape, dtype=np.float32)
            counted[...] = electrons / time - sky
    return observed


def noise_deviation(images: FloatArray, bands: Sequence[Telescope]) -> FloatArray:
    """Standard deviation of the noise of each pixel.

    Args:
        images: Noise-free images [electrons/s/pixel], shape `(batch, bands, height, width)`.
        bands: One telescope per band.

    Returns:
        Standard deviations [electrons/s/pixel], in the same shape.
    """
    variance = np.stack([np.full((1, 1), band.background_rms**2) for band in bands])
    time = np.array([band.total_exposure_time for band in bands])[:, None, None]
    deviation: FloatArray = np.sqrt(variance + np.maximum(images, 0) / time)
    return deviation
