"""Albumentations transforms for raw lens images that keep their dynamic range.

Several stock transforms clip float images to [0, 1] (GaussNoise, GaussianBlur, RandomBrightnessContrast, ...);
counts of a telescope image reach thousands. The transforms here leave the range alone.
"""

import os
from typing import Any

# albumentations asks the network for its newest version at import, with a timeout of two seconds
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np


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


class BackgroundNoise(A.ImageOnlyTransform):
    """Add Gaussian noise in units of the image's own background noise, without clipping.

    Symmetry: the class does not depend on the depth of the exposure. The background's standard deviation is estimated
    by the median absolute deviation of the border, so that the transform means the same for counts and for fluxes; a
    noise-free image stays noise-free.

    Args:
        max_fraction: Largest added standard deviation, as a fraction of the background's.
        border: Width of the frame the background is measured in [pixels].
        p: Probability of applying the transform.

    Raises:
        ValueError: If `max_fraction` is negative or `border` is less than 1.

    Source:
        Rousseeuw & Croux (1993) for the median absolute deviation and its factor 1.4826.
    """

    def __init__(self, max_fraction: float = 0.5, border: int = 4, p: float = 0.5) -> None:
        super().__init__(p=p)
        if max_fraction < 0 or border < 1:
            raise ValueError(
                f"max_fraction={max_fraction} must not be negative and border={border} must be at least 1."
            )
        self.max_fraction = max_fraction
        self.border = border

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the noise of one image from the background it has."""
        image = data["image"]
        width = self.border
        frame = np.ones(image.shape[:2], dtype=bool)
        frame[width:-width, width:-width] = False
        background = image[frame]
        deviation = 1.4826 * np.median(np.abs(background - np.median(background, axis=0)), axis=0)
        fraction = self.random_generator.uniform(0.0, self.max_fraction)
        return {"noise": self.random_generator.standard_normal(image.shape) * (fraction * deviation)}

    def apply(self, img: np.ndarray, noise: np.ndarray, **params: Any) -> np.ndarray:
        """Add the noise.

        Args:
            img: Image of shape `(height, width, bands)` or `(height, width)`.
            noise: What is added, of the same shape.
            **params: What albumentations hands to every transform; not used.

        Returns:
            The noisier image, float32.
        """
        return (img + noise).astype(np.float32)
