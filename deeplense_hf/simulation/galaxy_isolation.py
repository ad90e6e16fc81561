"""Take a galaxy out of the picture of its surroundings: no neighbours, no noise, no edge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float64]

_SMOOTHINGS = (0.7, 1.2, 2.0, 3.5)
"""Widths of the Gaussians [pixels]."""
_NOISE_CORRELATION = 2.0
"""How many times the noise of single pixels the faint structure between galaxies has."""
_CLEAN_SIGNAL = 20.0
"""Signal-to-noise in a pixel above which nothing is smoothed."""


@dataclass(frozen=True)
class Surroundings:
    """A galaxy and what is around it.

    Attributes:
        bands: Without background, in a unit in which the noise is alike everywhere, shape `(bands, height, width)`.
        own: Pixels of the galaxy, shape `(height, width)`.
        others: Pixels of other objects.
        center: The galaxy's centre, y and x [pixels].
        inside: Pixels that were observed.
    """

    bands: FloatArray
    own: NDArray[np.bool_]
    others: NDArray[np.bool_]
    center: tuple[float, float]
    inside: NDArray[np.bool_]


def isolate(surroundings: Surroundings, noise: FloatArray, taper: float) -> FloatArray:
    """Leave the galaxy alone in the picture.

    Other objects are replaced by what stands opposite of the galaxy's centre; the fainter it is, the more the picture
    is smoothed, because noise must not be lensed as if it were structure; and it fades to zero around the galaxy.

    Args:
        surroundings: The galaxy and what is around it.
        noise: Standard deviation of a pixel in each band, shape `(bands,)`.
        taper: Width of the edge over which the galaxy fades to zero [pixels].

    Returns:
        Shape `(bands, height, width)`; small negative values are possible.
    """
    bands = np.stack([
        _without_noise(_without_others(band, surroundings), sigma)
        for band, sigma in zip(surroundings.bands, noise, strict=True)
    ])  # fmt: skip
    distance = ndimage.distance_transform_edt(~surroundings.own)
    isolated: FloatArray = bands * np.cos(np.clip(distance / taper, 0, 1) * np.pi / 2) ** 2
    return isolated


def _without_others(band: FloatArray, surroundings: Surroundings) -> FloatArray:
    """Put what stands opposite of the galaxy's centre in the place of other objects."""
    rows, columns = (
        np.clip(round(2 * middle) - np.arange(size), 0, size - 1)
        for middle, size in zip(surroundings.center, band.shape, strict=True)
    )
    opposite = np.where(surroundings.others, 0, band)[np.ix_(rows, columns)]
    near = ndimage.binary_dilation(surroundings.others) & ~surroundings.own
    return np.where(surroundings.others | near, opposite, band)


def _without_noise(band: FloatArray, noise: float) -> FloatArray:
    """Smooth a band where it does not stand out of the noise, in steps: the fainter, the wider."""
    result = band
    for sigma in _SMOOTHINGS:
        smooth = ndimage.gaussian_filter(band, sigma)
        # smoothing over sigma pixels leaves white noise of about 1 / (1 + sigma)
        signal = smooth * (1 + sigma) / (noise * _NOISE_CORRELATION)
        weight = np.clip(1 - signal / _CLEAN_SIGNAL, 0, 1)
        result = result + weight * (smooth - result)
    return result
