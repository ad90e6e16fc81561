"""Lens images for the eye: a stretch that shows arcs, colours that keep the ratios of bands, picture files."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray

COLOUR_BANDS = (2, 1, 0)
"""Which of three bands ordered by wavelength red, green and blue of a picture are; simulated ones are so ordered."""
COLOUR_MAP = "inferno"
"""Perceptually uniform."""
MISSING = "#5f7f8f"
"""What pixels that are not finite look like, in no other use here."""
_SOFTENING = 0.03
"""Where the asinh stretch turns from linear to logarithmic, as a share of the range."""
_LUPTON_Q, _LUPTON_STRETCH = 5.0, 0.2
"""Such that the brightest pixels are nearly white."""


def display_colours(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Make a colour picture of three bands.

    Args:
        image: Shape `(3, height, width)`, ordered by wavelength.

    Returns:
        Shape `(height, width, 3)`, red first. Bands keep their ratios, so that red and blue galaxies can be told apart
        between pictures; pixels that are not finite are black.

    Raises:
        ValueError: If the image has not three bands.

    Source:
        Lupton et al. (2004), arXiv:astro-ph/0312483.
    """
    from astropy.visualization import make_lupton_rgb

    if image.shape[0] != 3:
        raise ValueError(f"The image has {image.shape[0]} bands; colours need 3.")
    finite = np.where(np.isfinite(image), image, np.nan)
    with warnings.catch_warnings():
        # a band without a finite pixel
        warnings.simplefilter("ignore", RuntimeWarning)
        bands = np.nan_to_num(finite - np.nanmedian(finite, axis=(1, 2), keepdims=True))
    mean = bands.mean(axis=0)
    top = float(np.quantile(mean, 0.998))
    if top <= 0:
        top = float(np.abs(mean).max()) or 1.0
    red, green, blue = (bands / top)[list(COLOUR_BANDS)]
    picture: NDArray[np.uint8] = make_lupton_rgb(red, green, blue, minimum=-0.02, stretch=_LUPTON_STRETCH, Q=_LUPTON_Q)
    return picture


def display_intensity(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Stretch one band for the eye.

    Args:
        image: Shape `(height, width)`.

    Returns:
        Values between 0 (two noise widths below the median) and 1 (the brightest thousandth), of a constant image 0;
        pixels that are not finite stay NaN.
    """
    finite = np.where(np.isfinite(image), image, np.nan)
    if np.isnan(finite).all():
        return finite
    middle = float(np.nanmedian(finite))
    noise = 1.4826 * float(np.nanmedian(np.abs(finite - middle)))
    low = max(middle - 2 * noise, float(np.nanmin(finite)))
    high = float(np.nanquantile(finite, 0.999))
    if not high > low:
        high = float(np.nanmax(finite))
    if not high > low:
        return np.where(np.isnan(finite), np.nan, 0.0)
    relative = np.clip((finite - low) / (high - low), 0, 1)
    stretched: NDArray[np.float64] = np.arcsinh(relative / _SOFTENING) / np.arcsinh(1 / _SOFTENING)
    return stretched


def mean_band(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """Average the bands of an image.

    Args:
        image: Shape `(bands, height, width)`.

    Returns:
        Shape `(height, width)`; NaN where no band is finite.
    """
    with warnings.catch_warnings():
        # pixels that are missing in every band
        warnings.simplefilter("ignore", RuntimeWarning)
        mean: NDArray[np.floating] = np.nanmean(np.where(np.isfinite(image), image, np.nan), axis=0)
    return mean


def colours(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Make a picture of an image of any number of bands, the first row at the bottom as the sky is plotted.

    Args:
        image: Shape `(bands, height, width)`; three bands become colours, of others the mean is shown.

    Returns:
        Shape `(height, width, 3)`.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba

    if image.shape[0] == 3:
        return display_colours(image)[::-1]
    mean = mean_band(image)
    shown = colormaps[COLOUR_MAP](np.nan_to_num(display_intensity(mean)))
    shown[np.isnan(mean)] = to_rgba(MISSING)
    made: NDArray[np.uint8] = np.round(255 * shown[::-1, :, :3]).astype(np.uint8)
    return made


def picture(image: NDArray[np.floating], smallest_side: int = 200) -> bytes:
    """Make a picture file of an image.

    Args:
        image: As in `colours`.
        smallest_side: Smaller images are enlarged by a whole factor, without smoothing, until they are as large.

    Returns:
        A PNG file, the same bytes for the same image.
    """
    from PIL import Image

    factor = max(1, round(smallest_side / min(image.shape[1:])))
    enlarged = np.kron(colours(image), np.ones((factor, factor, 1), dtype=np.uint8))
    buffer = io.BytesIO()
    Image.fromarray(enlarged).save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()
