"""A contact sheet: some images of every class side by side, to be looked at by a human."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from .display import COLOUR_MAP, MISSING, display_colours, display_intensity, mean_band

_PANEL_INCHES = 1.35
_DOTS_PER_INCH = 120


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


def _draw_image(axes: Axes, image: NDArray[np.float64]) -> None:
    if image.shape[0] == 3:
        axes.imshow(display_colours(image), origin="lower", interpolation="nearest")
        return
    axes.set_facecolor(MISSING)
    axes.imshow(
        display_intensity(mean_band(image)), cmap=COLOUR_MAP, vmin=0, vmax=1, origin="lower", interpolation="nearest"
    )


def _draw_scale(axes: Axes, width: int, height: int, pixel_scale: float) -> None:
    """Draw a bar of 1 arcsec, of a share of it in tiny images."""
    length = 1.0
    while length / pixel_scale > 0.6 * width:
        length /= 10
    left, y = 0.06 * width - 0.5, 0.08 * height - 0.5
    axes.plot([left, left + length / pixel_scale], [y, y], color="white", linewidth=1.6, solid_capstyle="butt")
    axes.text(left, y + 0.03 * height, f'{length:g}"', color="white", fontsize=6, va="bottom", ha="left")
