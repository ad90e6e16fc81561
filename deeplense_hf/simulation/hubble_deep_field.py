"""Real galaxies, offline: cut out of the Hubble deep field picture that scikit-image carries.

What the picture is. `skimage.data.hubble_deep_field()` is the press picture of the eXtreme Deep Field (STScI-2012-37a),
reduced to 1000 x 872 pixels of 8-bit colour; red, green and blue stand for near infrared, red and blue light.

- Scale: the picture's own record (AVM tags in its XMP) gives 6e-5/3.6 degrees, 0.06 arcsec, per pixel of the full
  picture, which is 2382 pixels wide: 0.143 arcsec here. The observatory states a width of 2.3 arcmin: 0.138 arcsec.
  The near-infrared field of 4.7 arcmin^2 (Illingworth et al. 2013, arXiv:1305.1931) gives 0.140 arcsec.
- Stretch: the record says arcsinh, white at 4.84; its inverse is applied to each colour. What was retouched by hand
  afterwards and the clipping of the brightest cores cannot be undone.

So these stamps are morphology, not photometry: whoever uses them sets flux and colour and may set the size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .galaxy_isolation import Surroundings, isolate
from .galaxy_stamps import GalaxyStamps, content_identifier

FloatArray = NDArray[np.float64]

PIXEL_SCALE = 0.14
"""Width of a pixel of the picture [arcsec], to 3%; see above."""
ASINH_WHITE = 4.84
"""Arcsinh of white in the picture's record (AVM tag FL.WhiteLevel)."""
CUT_OUT_SIZE = 64
"""Width of a cut-out [pixels of the picture]."""
OVERSAMPLING = 2
"""Stamp pixels per pixel of the picture; the galaxies are interpolated smoothly, so that lensing shows no pixels."""

_DETECTION_SIGMA = 4.0
_SMALLEST_AREA = 45
_SMALLEST_RADIUS = 1.5
"""Half-light radius below which a galaxy is hardly wider than the picture's resolution [pixels]."""
_LEAST_SIGNAL = 6.5
"""Mean brightness above the background, in noise widths."""
_LARGEST_NEIGHBOUR_SHARE = 0.12
"""Share of the galaxy's surroundings that other objects may cover."""
_PEAK_CONTRAST = 0.04
"""Height of a peak above its slope [displayed range] that makes it a galaxy of its own."""
_COLOUR_CONTRAST = 0.5
"""Share of its own structure that each band keeps at most."""
_TAPER = 4.0
"""Width of the edge over which a galaxy fades to zero [pixels]."""
_STAR_LIGHT = 0.9
"""Stars reach the end of the displayed range in all three colours."""
_SPIKE_SHARE = 0.12
"""Strength of the fourfold symmetry of a bright object's outskirts above which it is a star."""


@dataclass(frozen=True)
class CutOut:
    """An object of the picture.

    Attributes:
        name: Its place in the picture, `hdf-<x>-<y>`.
        picture: As it stands in the picture, background-subtracted, between 0 and 1, shape `(3, size, size)`.
        rejected: Why it is not used; empty if it is.
    """

    name: str
    picture: NDArray[np.float32]
    rejected: str


@dataclass(frozen=True)
class _Field:
    """The picture with an empty frame, blue first, without background, and which object each pixel belongs to."""

    bands: FloatArray
    noise: FloatArray
    labels: NDArray[np.int32]
    inside: NDArray[np.bool_]


@lru_cache(maxsize=1)
def hubble_deep_field_galaxies() -> GalaxyStamps:
    """Return the galaxies of the picture that are large, bright and isolated enough to serve as sources.

    Returns:
        Stamps of three bands, blue first, `CUT_OUT_SIZE * OVERSAMPLING` pixels wide.

    Raises:
        ImportError: If scikit-image is not installed.
    """
    field = _load_field()
    images, names = [], []
    for name, window in _windows(field):
        if not _reason(window, field.noise):
            images.append(_stamp(window, field.noise))
            names.append(name)
    stamps = np.stack(images)
    identifier = content_identifier("hubble_deep_field", stamps, names)
    return GalaxyStamps(stamps, tuple(names), PIXEL_SCALE / OVERSAMPLING, identifier)


def hubble_deep_field_cut_outs() -> list[CutOut]:
    """Return every object that was considered, with the reason if it was rejected, brightest first.

    Returns:
        The objects larger than `_SMALLEST_AREA` pixels.

    Raises:
        ImportError: If scikit-image is not installed.
    """
    field = _load_field()
    return [
        CutOut(name, np.clip(window.bands, 0, 1).astype(np.float32), _reason(window, field.noise))
        for name, window in _windows(field)
    ]


def _load_field() -> _Field:
    try:
        from skimage import data, morphology, segmentation
    except ImportError:
        raise ImportError(
            "Galaxies of the Hubble deep field need scikit-image: pip install 'deeplense-hf[galaxies]'."
        ) from None
    picture = np.moveaxis(data.hubble_deep_field().astype(np.float64) / 255, -1, 0)[::-1]
    bands = np.stack([band - _background(band) for band in picture])
    noise = np.array([1.4826 * np.median(np.abs(band - np.median(band))) for band in bands])
    brightness = bands.mean(axis=0)
    smooth = ndimage.gaussian_filter(brightness, 1.2)
    detected = smooth > _DETECTION_SIGMA * 1.4826 * np.median(np.abs(smooth - np.median(smooth)))
    # a second peak is a second galaxy only if it stands out from the first one's slope
    wide = ndimage.gaussian_filter(brightness, 2.0)
    markers = ndimage.label(morphology.h_maxima(wide, _PEAK_CONTRAST) * detected, np.ones((3, 3)))[0]
    labels = segmentation.watershed(-wide, markers, mask=detected).astype(np.int32)
    frame = CUT_OUT_SIZE // 2
    inside = np.pad(np.ones(labels.shape, dtype=bool), frame)
    return _Field(np.pad(bands, [(0, 0), (frame, frame), (frame, frame)]), noise, np.pad(labels, frame), inside)


def _background(band: FloatArray, width: int = 64) -> FloatArray:
    """Smooth brightness between the objects: the median of blocks, smoothed by a median over blocks."""
    rows, columns = -(-band.shape[0] // width), -(-band.shape[1] // width)
    blocks = np.array([
        [np.median(band[row * width : (row + 1) * width, column * width : (column + 1) * width])
         for column in range(columns)] for row in range(rows)
    ])  # fmt: skip
    blocks = ndimage.median_filter(blocks, 5)
    grid = (np.mgrid[: band.shape[0], : band.shape[1]] + 0.5) / width - 0.5
    background: FloatArray = ndimage.map_coordinates(blocks, grid, order=1, mode="nearest")
    return background


def _windows(field: _Field) -> Iterator[tuple[str, Surroundings]]:
    """Yield the names and surroundings of the objects that are not tiny, brightest first."""
    numbers = np.arange(1, field.labels.max() + 1)
    brightness = np.clip(field.bands.mean(axis=0), 0, None)
    areas = ndimage.sum_labels(np.ones_like(field.labels), field.labels, numbers)
    light = ndimage.sum_labels(brightness, field.labels, numbers)
    large = numbers[areas >= _SMALLEST_AREA]
    half = CUT_OUT_SIZE // 2
    ordered = large[np.argsort(-light[large - 1], kind="stable")].tolist()
    for number, (y, x) in zip(ordered, ndimage.center_of_mass(brightness, field.labels, ordered), strict=True):
        top, left = round(float(y)) - half, round(float(x)) - half
        square = (slice(top, top + CUT_OUT_SIZE), slice(left, left + CUT_OUT_SIZE))
        labels = field.labels[square]
        own = labels == number
        yield (
            f"hdf-{left}-{top}",
            Surroundings(
                field.bands[:, *square], own, (labels > 0) & ~own, (float(y) - top, float(x) - left),
                field.inside[square],
            ),
        )  # fmt: skip


def _reason(window: Surroundings, noise: FloatArray) -> str:
    """Why an object is no source; empty if it is one."""
    brightness = window.bands.mean(axis=0)
    surroundings = ndimage.binary_dilation(window.own, iterations=round(_TAPER))
    reasons = {
        "at the edge": not window.inside[surroundings].all() or _touches_border(surroundings),
        "star": _has_spikes(window),
        "unresolved": _half_light_radius(brightness, window) < _SMALLEST_RADIUS,
        "faint": float((window.bands[:, window.own].mean(axis=1) / noise).mean()) < _LEAST_SIGNAL,
        "neighbours": (window.others & surroundings).sum() > _LARGEST_NEIGHBOUR_SHARE * surroundings.sum(),
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


def _has_spikes(window: Surroundings) -> bool:
    """Whether this is a star: bright in all colours and with the four diffraction spikes of the telescope."""
    if window.bands.min(axis=0)[window.own].max() < _STAR_LIGHT:
        return False
    y, x = np.mgrid[:CUT_OUT_SIZE, :CUT_OUT_SIZE]
    y, x = y - window.center[0], x - window.center[1]
    outskirts = window.own & (np.hypot(x, y) > 0.4 * np.sqrt(window.own.sum() / np.pi))
    angle = np.arctan2(y, x)[outskirts]
    # the observations were taken at several angles, so that each colour has spikes of its own; elongated galaxies
    # have a fourfold component too, but a larger twofold one
    strengths = []
    for band in window.bands:
        light = band[outskirts]
        twofold, fourfold = (abs(np.sum(light * np.exp(1j * times * angle))) / light.sum() for times in (2, 4))
        strengths.append(fourfold - twofold)
    return bool(max(strengths) > _SPIKE_SHARE)


def _touches_border(mask: NDArray[np.bool_]) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _half_light_radius(brightness: FloatArray, window: Surroundings) -> float:
    """Radius of the circle that would have the area of the brighter pixels that hold half of the light [pixels]."""
    values = np.sort(_undo_stretch(brightness[window.own]))[::-1]
    return float(np.sqrt(np.searchsorted(np.cumsum(values), values.sum() / 2) / np.pi))


def _stamp(window: Surroundings, noise: FloatArray) -> NDArray[np.float32]:
    """Turn the surroundings of a galaxy into a stamp with the galaxy in its middle, alone."""
    y, x = window.center
    bands = isolate(window, noise, _TAPER)
    offsets = (np.arange(CUT_OUT_SIZE * OVERSAMPLING) + 0.5) / OVERSAMPLING - CUT_OUT_SIZE / 2
    grid = np.meshgrid(y + offsets, x + offsets, indexing="ij")
    fine = np.stack([ndimage.map_coordinates(band, grid, order=3, mode="constant") for band in bands])
    linear = _undo_stretch(fine)
    linear[linear < 1e-6] = 0
    linear = _with_reliable_colours(linear)
    return (linear / linear.max()).astype(np.float32)


def _with_reliable_colours(bands: FloatArray) -> FloatArray:
    """Mix the mean of all bands into each: the undone stretch exaggerates colours, the more the fainter a band is."""
    light = bands.sum(axis=(1, 2))
    mean = bands.mean(axis=0) / bands.mean(axis=0).sum()
    own_share = _COLOUR_CONTRAST * np.minimum(light / light.mean(), 1)[:, None, None]
    mixed: FloatArray = bands * own_share + (1 - own_share) * light[:, None, None] * mean
    return mixed


def _undo_stretch(display: FloatArray) -> FloatArray:
    """Turn displayed brightness above the background into one proportional to light, white being 1."""
    linear: FloatArray = np.sinh(ASINH_WHITE * np.clip(display, 0, 1)) / np.sinh(ASINH_WHITE)
    return linear
