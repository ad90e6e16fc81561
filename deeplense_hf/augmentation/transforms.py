"""Albumentations transforms for raw lens images that keep their dynamic range.

Several stock transforms clip float images to [0, 1] (GaussNoise, GaussianBlur, RandomBrightnessContrast, ...);
counts of a telescope image reach thousands. The transforms here leave the range alone.
"""

import os
from collections.abc import Callable
from typing import Any

# albumentations asks the network for its newest version at import, with a timeout of two seconds
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d


class SubPixelShift(A.ImageOnlyTransform):
    """Move the image by a fraction of a pixel, exactly, by the Fourier shift theorem.

    Symmetry: where the lens lies on the pixel grid carries no physics. Interpolating in pixel space would blur the
    noise, and a network could tell shifted images by it; a Fourier shift keeps the power spectrum of the noise.
    The image wraps around at its border, which is harmless where the border is sky.

    Args:
        max_shift: Largest shift along each axis [pixels].
        p: Probability of applying the transform.

    Raises:
        ValueError: If `max_shift` is not positive.

    Source:
        Bracewell, The Fourier Transform and Its Applications, shift theorem.
    """

    def __init__(self, max_shift: float = 1.0, p: float = 0.5) -> None:
        super().__init__(p=p)
        if max_shift <= 0:
            raise ValueError(f"max_shift={max_shift} pixels must be positive.")
        self.max_shift = max_shift

    def get_params(self) -> dict[str, Any]:
        """Draw the shift along y and x [pixels]."""
        return {"shift": self.random_generator.uniform(-self.max_shift, self.max_shift, size=2)}

    def apply(self, img: np.ndarray, shift: np.ndarray, **params: Any) -> np.ndarray:
        """Shift every band of an image.

        Args:
            img: Image of shape `(height, width, bands)` or `(height, width)`.
            shift: Shift along y and x [pixels].
            **params: What albumentations hands to every transform; not used.

        Returns:
            The shifted image, float32, of the same shape.
        """
        height, width = img.shape[:2]
        frequency_y = np.fft.fftfreq(height)[:, None]
        frequency_x = np.fft.rfftfreq(width)[None, :]
        phase = np.exp(-2j * np.pi * (frequency_y * shift[0] + frequency_x * shift[1]))
        # At the Nyquist frequency only the real part of the phase keeps a real image real.
        if width % 2 == 0:
            phase[:, -1] = np.exp(-2j * np.pi * frequency_y[:, 0] * shift[0]) * np.cos(np.pi * shift[1])
        if height % 2 == 0:
            row = np.cos(np.pi * shift[0]) * np.exp(-2j * np.pi * frequency_x[0] * shift[1])
            phase[height // 2] = row
            if width % 2 == 0:
                phase[height // 2, -1] = np.cos(np.pi * shift[0]) * np.cos(np.pi * shift[1])
        if img.ndim == 3:
            phase = phase[..., None]
        spectrum = np.fft.rfft2(img, axes=(0, 1)) * phase
        return np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1)).astype(np.float32)

    @property
    def targets(self) -> dict[str, Callable[..., Any]]:
        """What is moved: images, and masks of missing pixels."""
        return super().targets | {"mask": self.apply_to_mask}

    def apply_to_mask(self, mask: np.ndarray, shift: np.ndarray, **params: Any) -> np.ndarray:
        """Move a mask by the nearest whole pixel.

        Args:
            mask: Mask of shape `(height, width, bands)` or `(height, width)`.
            shift: Shift along y and x [pixels].
            **params: What albumentations hands to every transform; not used.

        Returns:
            The mask, of the same shape.
        """
        return np.roll(mask, np.rint(shift).astype(int), axis=(0, 1))


class ExposureChange(A.ImageOnlyTransform):
    """Turn an image into one of a shorter exposure, with new noise.

    Symmetry: the class does not depend on the depth of the exposure. Counts are thinned: every photon is kept with the
    probability of the shorter exposure, which is exactly what it would have seen, and counts are divided by it again.
    An image that holds no counts (rates, subtracted background) gets the noise that the shorter exposure adds to its
    background; photon noise of bright pixels, whose gain is not known, is left as it is. A noise-free image of that
    kind stays noise-free.

    Args:
        min_share: Shortest exposure, as a share of the image's own.
        border: Width of the frame that the background is measured in [pixels].
        p: Probability of applying the transform.

    Raises:
        ValueError: If `min_share` is not between 0 and 1, or `border` is less than 1.

    Source:
        Thinning of a Poisson process: Kingman (1993), section 5.1. Background noise by the median absolute deviation:
        Rousseeuw & Croux (1993) with the factor 1.4826.
    """

    def __init__(self, min_share: float = 0.5, border: int = 4, p: float = 0.5) -> None:
        super().__init__(p=p)
        if not 0 < min_share <= 1 or border < 1:
            raise ValueError(f"min_share={min_share} must be above 0 and at most 1, and border={border} at least 1.")
        self.min_share = min_share
        self.border = border

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the exposure and its noise."""
        image = data["image"]
        share = self.random_generator.uniform(self.min_share, 1.0)
        if holds_counts(image):
            kept = self.random_generator.binomial(image.astype(np.int64), share) / share
            return {"change": kept - image}
        deviation = background_deviation(image, self.border) * np.sqrt(1 / share - 1)
        return {"change": self.random_generator.standard_normal(image.shape) * deviation}

    def apply(self, img: np.ndarray, change: np.ndarray, **params: Any) -> np.ndarray:
        """Change the exposure.

        Args:
            img: Image of shape `(height, width, bands)` or `(height, width)`.
            change: What is added, of the same shape.
            **params: What albumentations hands to every transform; not used.

        Returns:
            The noisier image, float32.
        """
        return (img + change).astype(np.float32)


class PointSpreadBlur(A.ImageOnlyTransform):
    """Blur the image as somewhat worse seeing would, and add the background noise that blurring took away.

    Symmetry: the class does not depend on the seeing. The added noise is white, so that the variance of the background
    stays and its correlation between neighbours is as small as a blur allows; a noise-free image stays noise-free.

    Args:
        max_sigma: Largest standard deviation of the additional Gaussian [pixels].
        border: Width of the frame that the background is measured in [pixels].
        p: Probability of applying the transform.

    Raises:
        ValueError: If `max_sigma` is not positive or `border` is less than 1.

    Source:
        Widths of Gaussians add in quadrature; white noise keeps the sum of the squared weights of its variance.
    """

    def __init__(self, max_sigma: float = 0.6, border: int = 4, p: float = 0.3) -> None:
        super().__init__(p=p)
        if max_sigma <= 0 or border < 1:
            raise ValueError(f"max_sigma={max_sigma} pixels must be positive, and border={border} at least 1.")
        self.max_sigma = max_sigma
        self.border = border

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the width and the noise."""
        image = data["image"]
        sigma = self.random_generator.uniform(0.0, self.max_sigma)
        weights = gaussian_filter1d(np.eye(1, 15, 7)[0], sigma, mode="constant") if sigma > 0 else np.eye(1, 15, 7)[0]
        lost = 1 - (weights**2).sum() ** 2
        noise = self.random_generator.standard_normal(image.shape) * background_deviation(image, self.border)
        return {"sigma": sigma, "noise": noise * np.sqrt(max(lost, 0.0))}

    def apply(self, img: np.ndarray, sigma: float, noise: np.ndarray, **params: Any) -> np.ndarray:
        """Blur and add the noise.

        Args:
            img: Image of shape `(height, width, bands)` or `(height, width)`.
            sigma: Standard deviation of the Gaussian [pixels].
            noise: What is added, of the same shape.
            **params: What albumentations hands to every transform; not used.

        Returns:
            The blurred image, float32.
        """
        blurred = gaussian_filter(img, sigma, mode="nearest", axes=(0, 1)) if sigma > 0 else img
        return (blurred + noise).astype(np.float32)


def holds_counts(image: np.ndarray) -> bool:
    """Whether an image holds counts of photons: whole numbers, none negative, not all equal.

    Args:
        image: Any image.

    Returns:
        True for counts.
    """
    return bool((image >= 0).all() and (image == np.rint(image)).all() and image.min() < image.max())


def background_deviation(image: np.ndarray, border: int) -> np.ndarray:
    """Measure the noise of the background in the frame of an image.

    Args:
        image: `(height, width, bands)` or `(height, width)`.
        border: Width of the frame [pixels].

    Returns:
        Standard deviation of each band, `(bands,)`, or a number.
    """
    frame = np.ones(image.shape[:2], dtype=bool)
    frame[border:-border, border:-border] = False
    background = image[frame]
    deviation: np.ndarray = 1.4826 * np.median(np.abs(background - np.median(background, axis=0)), axis=0)
    return deviation
