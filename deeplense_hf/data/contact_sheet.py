"""A contact sheet: some images of every class side by side, to be looked at by a human."""

import io
import warnings
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

_PANEL_INCHES = 1.35
_DOTS_PER_INCH = 120
_COLOUR_MAP = "inferno"
"""Perceptually uniform."""
_MISSING = "#5f7f8f"
"""What pixels that are not finite look like, in no other use here."""
_SOFTENING = 0.03
"""Where the asinh stretch turns from linear to logarithmic, as a share of the range."""
_LUPTON_Q, _LUPTON_STRETCH = 5.0, 0.2
"""Such that the brightest pixels are nearly white."""


def contact_sheet(images_by_class: Mapping[str, NDArray[np.floating]], pixel_scale: float, title: str) -> bytes:
    """Draw images as rows of classes.

    Every image has its own stretch, from its background (median) to its brightest pixels: sheets show morphology, not
    photometry.

    Args:
        images_by_class: Per class raw images, shape `(n, bands, height, width)`. Three bands are shown as colours, the
            first band as blue and the last as red, as bands are ordered by wavelength; of any other number the mean of
            the bands is shown. A class may hold fewer images than another.
        pixel_scale: [arcsec/pixel]
        title: Line above the sheet.

    Returns:
        A PNG file, the same bytes for the same input.

    Raises:
        ValueError: If there is nothing to show, an array has another shape or the scale is not positive.

    Source:
        Colours: Lupton et al. (2004), arXiv:astro-ph/0312483, by astropy.
    """
    if not pixel_scale > 0:
        raise ValueError(f"pixel_scale={pixel_scale} arcsec must be positive.")
    for name, images in images_by_class.items():
        if np.ndim(images) != 4 or 0 in np.shape(images)[1:]:
            raise ValueError(
                f"Images of class {name!r} have shape {np.shape(images)}; allowed is (n, bands, height, width)."
            )
    columns = max((len(images) for images in images_by_class.values()), default=0)
    if columns == 0:
        raise ValueError(f"There are no images for the sheet {title!r}; pass at least one of at least one class.")
    size = ((columns + 0.3) * _PANEL_INCHES, len(images_by_class) * _PANEL_INCHES + 0.35)
    layout = ConstrainedLayoutEngine(w_pad=0.015, h_pad=0.015, wspace=0, hspace=0)
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout=layout)
    panels = figure.subplots(len(images_by_class), columns, squeeze=False)
    figure.suptitle(title, fontsize=9)
    for row, (name, images) in zip(panels, images_by_class.items(), strict=True):
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        row[0].set_ylabel(name, fontsize=8)
        for axes, image in zip(row, images, strict=False):
            _draw_image(axes, np.asarray(image, dtype=np.float64))
        if len(images):
            _draw_scale(row[0], np.shape(images)[-1], np.shape(images)[-2], pixel_scale)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


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
    blue, green, red = bands / top
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


def _draw_image(axes: Axes, image: NDArray[np.float64]) -> None:
    if image.shape[0] == 3:
        axes.imshow(display_colours(image), origin="lower", interpolation="nearest")
        return
    axes.set_facecolor(_MISSING)
    with warnings.catch_warnings():
        # pixels that are missing in every band
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.nanmean(np.where(np.isfinite(image), image, np.nan), axis=0)
    axes.imshow(display_intensity(mean), cmap=_COLOUR_MAP, vmin=0, vmax=1, origin="lower", interpolation="nearest")


def _draw_scale(axes: Axes, width: int, height: int, pixel_scale: float) -> None:
    """Draw a bar of 1 arcsec, of a share of it in tiny images."""
    length = 1.0
    while length / pixel_scale > 0.6 * width:
        length /= 10
    left, y = 0.06 * width - 0.5, 0.08 * height - 0.5
    axes.plot([left, left + length / pixel_scale], [y, y], color="white", linewidth=1.6, solid_capstyle="butt")
    axes.text(left, y + 0.03 * height, f'{length:g}"', color="white", fontsize=6, va="bottom", ha="left")
