"""What the image of a lensed source looks like, in columns: signal-to-noise, arc length, configuration."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from .caustics import crosses_caustic
from .mass import MACRO_PARAMETERS

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.float32] | NDArray[np.float64]

CONFIGURATIONS = ("none", "single", "double", "quad", "ring", "arc")
# A pixel belongs to an image of the source if it is brighter than this fraction of the brightest pixel, and, where the
# noise is known, than so many standard deviations of its own noise.
VISIBLE_FRACTION = 0.3
VISIBLE_SIGMAS = 1.0
# Azimuth about the lens's centre that a connected region must cover.
RING_EXTENT = np.deg2rad(300)
ARC_EXTENT = np.deg2rad(90)
SOURCE_COLUMNS = ("source_x", "source_y", "source_radius", "source_ellipticity_1", "source_ellipticity_2")
# Diagonal neighbours touch; systems of a batch do not.
_NEIGHBOURS = np.zeros((3, 3, 3), dtype=np.bool_)
_NEIGHBOURS[1] = True


@dataclass(frozen=True)
class Arcs:
    """The longest visible arc of each system of a batch.

    Args:
        length: Covered azimuth times mean radius [arcsec], shape `(batch,)`; zero if nothing is visible.
        extent: Azimuth that the arc covers about the lens's centre [rad], 0 to 2 pi, shape `(batch,)`.
        hollow: Whether the arc leaves the lens's centre free, shape `(batch,)`.
    """

    length: FloatArray
    extent: FloatArray
    hollow: NDArray[np.bool_]


def signal_to_noise(image: ImageArray, noise: ImageArray) -> FloatArray:
    """Signal-to-noise ratio of a known signal, by the matched filter: sqrt(sum(signal^2 / noise^2)).

    Args:
        image: Noise-free images of the signal alone [electrons/s/pixel], shape `(batch, ..., height, width)`.
        noise: Standard deviations of the noise, in the same unit, broadcast to the images; NaN where there is none.

    Returns:
        Ratios, zero or more, shape `(batch,)`, each independent of the batch; NaN without noise.

    Raises:
        ValueError: If a noise is zero or negative.

    Source:
        Turin (1960), IRE Trans. Inf. Theory 6, 311.
    """
    if (noise <= 0).any():
        raise ValueError(f"noise={np.nanmin(noise)} electrons/s/pixel must be positive, or NaN if there is none.")
    ratio = np.divide(image, noise, dtype=np.float64).reshape(len(image), -1)
    ratio *= ratio
    root: FloatArray = np.sqrt(ratio.sum(axis=1))
    return root


def substructure_visibility(image: ImageArray, image_without: ImageArray, noise: ImageArray) -> FloatArray:
    """Signal-to-noise ratio at which substructure shows, with everything else known.

    Args:
        image: Noise-free images of the lensed source [electrons/s/pixel], shape `(batch, ..., height, width)`.
        image_without: The same behind the smooth lens alone.
        noise: Standard deviations of the noise, in the same unit, broadcast to the images; NaN where there is none.

    Returns:
        Matched-filter ratio of the difference, shape `(batch,)`; an upper limit to what any classifier can use.

    Raises:
        ValueError: If a noise is zero or negative.
    """
    return signal_to_noise(np.subtract(image, image_without, dtype=np.float64), noise)


def visible_pixels(image: ImageArray, noise: ImageArray) -> NDArray[np.bool_]:
    """Pixels in which the lensed source is seen.

    Args:
        image: Noise-free images of the lensed source, bands summed [electrons/s/pixel], shape
            `(batch, height, width)`.
        noise: Standard deviations of the noise of that sum, broadcast to the images; NaN where there is none.

    Returns:
        Pixels above VISIBLE_FRACTION of the image's brightest and above VISIBLE_SIGMAS of their noise, shape
        `(batch, height, width)`.
    """
    peak = image.max(axis=(1, 2), keepdims=True)
    too_noisy = image <= VISIBLE_SIGMAS * noise
    return (image > VISIBLE_FRACTION * peak) & ~too_noisy


def longest_arcs(
    visible: NDArray[np.bool_],
    pixel_scale: float,
    lens_x: FloatArray | float = 0.0,
    lens_y: FloatArray | float = 0.0,
) -> Arcs:
    """Find the longest connected region of visible pixels, as measured along the ring.

    A region's extent is the full circle less its pixels' largest gap in azimuth about the lens, plus one pixel's
    width. Its length is the extent times its pixels' mean distance from the lens, that is along the ring, however
    wide the arc.

    Args:
        visible: Which pixels show the source, shape `(batch, height, width)`; x rises along columns, y along rows.
        pixel_scale: Width of a pixel [arcsec].
        lens_x: The lens's centre along x, from the image's middle [arcsec], one or one per system.
        lens_y: The lens's centre along y, from the image's middle [arcsec], one or one per system.

    Returns:
        One arc per system, independent of the batch.
    """
    batch, height, width = visible.shape
    centre_x, centre_y = (np.broadcast_to(np.asarray(one, np.float64), (batch,)) for one in (lens_x, lens_y))
    labels, regions = scipy.ndimage.label(visible, _NEIGHBOURS)
    arcs = Arcs(np.zeros(batch), np.zeros(batch), np.ones(batch, dtype=np.bool_))
    if not regions:
        return arcs
    system, row, column = np.nonzero(labels)
    x = (column - (width - 1) / 2) * pixel_scale - centre_x[system]
    y = (row - (height - 1) / 2) * pixel_scale - centre_y[system]
    region = labels[system, row, column] - 1
    pixels = np.bincount(region)
    # A pixel on the lens's centre counts as half a pixel away, so that no quotient below is infinite.
    distance = np.maximum(np.hypot(x, y), pixel_scale / 2)
    mean_radius = np.bincount(region, weights=distance) / pixels
    extent = 2 * np.pi - _largest_gaps(region, np.arctan2(y, x), pixels) + pixel_scale / mean_radius
    extent = np.minimum(extent, 2 * np.pi)
    length = extent * mean_radius
    owner = np.empty(regions, dtype=np.int64)
    owner[region] = system
    # Sorted by system and, within it, by length; of equally long regions, the first label comes last.
    order = np.lexsort((-np.arange(regions), length, owner))
    longest = order[np.flatnonzero(np.diff(owner[order], append=-1))]
    arcs.length[owner[longest]] = length[longest]
    arcs.extent[owner[longest]] = extent[longest]
    at_centre = _label_at_centre(labels, centre_x / pixel_scale, centre_y / pixel_scale)
    arcs.hollow[owner[longest]] = at_centre[owner[longest]] != longest + 1
    return arcs


def image_configuration(number_of_images: NDArray[np.integer], arcs: Arcs) -> NDArray[np.str_]:
    """Class of what is seen, one of CONFIGURATIONS.

    In this order: `none`, if there is no image or nothing is visible; `ring`, if the longest arc covers at least
    RING_EXTENT and leaves the lens's centre free; `arc`, if it covers at least ARC_EXTENT and leaves the centre free;
    otherwise by the images of the source's centre behind the smooth lens: `single` (1), `double` (2), `quad` (3, a
    naked cusp, or 4).

    Args:
        number_of_images: Images of the source's centre, zero for what is not a lens, shape `(batch,)`.
        arcs: The longest arcs.

    Returns:
        Names, shape `(batch,)`.
    """
    return np.select(
        [
            (number_of_images == 0) | (arcs.length == 0),
            (arcs.extent >= RING_EXTENT) & arcs.hollow,
            (arcs.extent >= ARC_EXTENT) & arcs.hollow,
            number_of_images == 1,
            number_of_images == 2,
        ],
        ["none", "ring", "arc", "single", "double"],
        default="quad",
    )


def describe(
    image: ImageArray,
    image_without: ImageArray,
    noise: ImageArray,
    pixel_scale: float,
    parameters: Mapping[str, NDArray[np.generic]],
    extended: ImageArray | None = None,
) -> dict[str, NDArray[np.generic]]:
    """Columns that describe the images of a batch of systems, each independent of the batch.

    Args:
        image: Noise-free images of the lensed source alone [electrons/s/pixel], shape `(batch, height, width)` or
            `(batch, bands, height, width)`.
        image_without: The same without substructure.
        noise: Standard deviations of the noise, of every light in the image [electrons/s/pixel], broadcast to the
            images, such as `(batch, 1, 1)`; NaN where there is none.
        pixel_scale: Width of a pixel [arcsec].
        parameters: Columns of the data set, each of shape `(batch,)`: number_of_images (zero for what is not a lens)
            and those in MACRO_PARAMETERS and SOURCE_COLUMNS, which matter where there are images; lens_x and lens_y,
            the lens's position from the image's middle, where it is not there.
        extended: The part of the image in which arcs are looked for, where points of light outshine them.

    Returns:
        image_configuration, crosses_caustic, arc_length [arcsec], signal_to_noise and substructure_visibility, each of
        shape `(batch,)`. Without noise the ratios are NaN and VISIBLE_FRACTION alone decides what is visible.

    Raises:
        ValueError: If a noise is not positive or a lens or source is unphysical.
        KeyError: If a column is missing.
    """
    number_of_images = np.asarray(parameters["number_of_images"], dtype=np.int64)
    arc_image = image if extended is None else extended
    if image.ndim == 4:
        everywhere = np.broadcast_to(noise, image.shape)
        visible = visible_pixels(arc_image.sum(axis=1), np.sqrt(np.square(everywhere).sum(axis=1)))
    else:
        visible = visible_pixels(arc_image, noise)
    middle = np.zeros(len(image))
    lens_x, lens_y = (np.nan_to_num(parameters.get(name, middle)) for name in ("lens_x", "lens_y"))
    arcs = longest_arcs(visible, pixel_scale, lens_x, lens_y)
    configuration = image_configuration(number_of_images, arcs)
    lensed = np.flatnonzero(number_of_images > 0)
    crosses = np.zeros(len(image), dtype=np.bool_)
    if lensed.size:
        columns = (np.asarray(parameters[name], dtype=np.float64)[lensed] for name in SOURCE_COLUMNS + MACRO_PARAMETERS)
        crosses[lensed] = crosses_caustic(*columns)
    return {
        "image_configuration": configuration,
        "crosses_caustic": crosses,
        "arc_length": np.where(configuration == "none", 0.0, arcs.length),
        "signal_to_noise": signal_to_noise(image, noise),
        "substructure_visibility": substructure_visibility(image, image_without, noise),
    }


def _largest_gaps(region: NDArray[np.integer], angle: FloatArray, pixels: NDArray[np.integer]) -> FloatArray:
    """Largest gap in azimuth between the pixels of each region, around the circle [rad]."""
    order = np.lexsort((angle, region))
    sorted_angle = angle[order]
    ends = np.cumsum(pixels)
    starts = ends - pixels
    gaps = np.empty_like(sorted_angle)
    gaps[:-1] = sorted_angle[1:] - sorted_angle[:-1]
    gaps[ends - 1] = sorted_angle[starts] - sorted_angle[ends - 1] + 2 * np.pi
    largest: FloatArray = np.maximum.reduceat(gaps, starts)
    return largest


def _label_at_centre(labels: NDArray[np.integer], centre_x: FloatArray, centre_y: FloatArray) -> NDArray[np.integer]:
    """Label of the pixel at each lens's centre, given in pixels from the image's middle."""
    batch, height, width = labels.shape
    row = np.clip(np.rint(centre_y + (height - 1) / 2).astype(np.int64), 0, height - 1)
    column = np.clip(np.rint(centre_x + (width - 1) / 2).astype(np.int64), 0, width - 1)
    at_centre: NDArray[np.integer] = labels[np.arange(batch), row, column]
    return at_centre
