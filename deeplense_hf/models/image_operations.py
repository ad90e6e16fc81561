"""What the image processor is made of: operations on batches of raw images, in float32, image by image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BACKGROUNDS = ("none", "border_median")
STRETCHES = ("none", "asinh", "log", "sqrt")
SOFTENING_UNITS = ("peak", "image")
NORMALISATIONS = ("none", "fixed", "standard", "minmax", "max")
# PIL's numbers, as everywhere in transformers, and torch's names
INTERPOLATIONS = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}

# of an image that is enlarged to another pixel scale [pixels]: 4096 x 4096
_MOST_PIXELS = 2**24

# as shares of the largest absolute brightness: what stands for the peak where no pixel is positive, and the contrast
# that the rounding of float32 leaves in a flat image
_NO_PEAK = 1e-12
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class ImageOperations:
    """What is done to an image, in this order; every option is checked.

    Attributes:
        bands: Bands that are kept, in this order; all when absent.
        num_channels: Bands that the model takes; images with another number are refused, unless they have equal
            bands, as a grey picture saved in colour has, and one is wanted.
        background: `border_median` subtracts the median of the image's frame from each band.
        border_width: Width of that frame [pixels].
        target_pixel_scale: Pixel scale that images are resampled to [arcsec/pixel]; as they are when absent.
        crop_size: Height and width of the central cut-out [pixels]; smaller images are padded with zeros.
        size: Height and width that the cut-out is resized to [pixels].
        resample: Interpolation, as PIL numbers it: 0 nearest, 2 bilinear, 3 bicubic; shrinking is anti-aliased.
        stretch: Brightness stretch; odd in the brightness, so that negative noise stays noise.
        softening: Brightness at which the stretch turns from linear to compressing, in `softening_unit`.
        softening_unit: `peak` (a fraction of the image's brightest pixel) or `image` (units of the image).
        normalisation: `fixed` (by `image_mean` and `image_std`), or by the image's own statistics, whatever its units:
            `standard` (zero mean, unit deviation), `minmax` (0 to 1), `max` (peak 1), or `none`.
        image_mean: Mean of each band, or of all, for `fixed`.
        image_std: Standard deviation of each band, or of all, for `fixed`.
        per_band: Whether peaks and statistics are taken of each band, or over all bands, which keeps colours.

    Raises:
        ValueError: If an option is out of range.
    """

    bands: tuple[int, ...] | None = None
    num_channels: int | None = None
    background: str = "none"
    border_width: int = 4
    target_pixel_scale: float | None = None
    crop_size: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    resample: int = 2
    stretch: str = "asinh"
    softening: float = 0.02
    softening_unit: str = "peak"
    normalisation: str = "standard"
    image_mean: tuple[float, ...] | None = None
    image_std: tuple[float, ...] | None = None
    per_band: bool = True

    def __post_init__(self) -> None:
        """Check every option."""
        for name, value, allowed in (
            ("background", self.background, BACKGROUNDS),
            ("stretch", self.stretch, STRETCHES),
            ("softening_unit", self.softening_unit, SOFTENING_UNITS),
            ("normalisation", self.normalisation, NORMALISATIONS),
        ):
            if value not in allowed:
                raise ValueError(f"{name}='{value}' is not one of {', '.join(allowed)}.")
        if self.resample not in INTERPOLATIONS:
            raise ValueError(f"resample={self.resample} is not 0 (nearest), 2 (bilinear) or 3 (bicubic).")
        for name, number in (
            ("border_width", self.border_width),
            ("softening", self.softening),
            ("num_channels", self.num_channels),
            ("target_pixel_scale", self.target_pixel_scale),
            ("crop_size", None if self.crop_size is None else min(self.crop_size)),
            ("size", None if self.size is None else min(self.size)),
        ):
            if number is not None and not 0 < number < float("inf"):
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        if self.bands is not None and (not self.bands or min(self.bands) < 0):
            raise ValueError(f"bands={list(self.bands)} must name at least one band, counted from 0.")
        self._check_fixed()

    def _check_fixed(self) -> None:
        """Check that mean and deviation are there exactly where they are used."""
        given = self.image_mean is not None, self.image_std is not None
        if self.normalisation != "fixed":
            if any(given):
                raise ValueError(
                    f"image_mean and image_std are used by normalisation='fixed' only, not by '{self.normalisation}'."
                )
            return
        if self.image_mean is None or self.image_std is None:
            raise ValueError("normalisation='fixed' needs image_mean and image_std.")
        if len(self.image_mean) != len(self.image_std):
            raise ValueError(
                f"image_mean has {len(self.image_mean)} values and image_std {len(self.image_std)}; give one per band."
            )
        if not min(self.image_std) > 0:
            raise ValueError(f"image_std={list(self.image_std)} must be positive.")

    def __call__(self, images: Tensor, pixel_scale: Tensor | None = None) -> Tensor:
        """Process a batch of images of one size.

        Args:
            images: Raw images, `(batch, bands, height, width)`.
            pixel_scale: Pixel scale of each image [arcsec/pixel], `(batch,)`; needed with `target_pixel_scale`.

        Returns:
            Processed images, float32.

        Raises:
            ValueError: If the images lack a band, or the pixel scale is needed and missing or makes them too large.
        """
        # holes first, since NaN equals nothing, not even itself in another band of a grey picture
        images = fill_missing(select_bands(images, self.bands).float())
        images = match_bands(images, self.num_channels)
        if self.background == "border_median":
            images = subtract_background(images, self.border_width)
        if self.target_pixel_scale is not None:
            images = self._rescale(images, pixel_scale, self.target_pixel_scale)
        elif self.crop_size is not None:
            images = center_crop(images, self.crop_size)
        if self.size is not None:
            images = resize(images, self.size, self.resample)
        if self.stretch != "none":
            images = self._stretch(images)
        return self._normalise(images)

    def _rescale(self, images: Tensor, pixel_scale: Tensor | None, target: float) -> Tensor:
        """Bring images to one pixel scale and, as their sizes then differ, to one size."""
        if pixel_scale is None or not bool((torch.isfinite(pixel_scale) & (pixel_scale > 0)).all()):
            raise ValueError(
                f"target_pixel_scale={target} needs the pixel_scale of every image [arcsec/pixel]; give it, or turn "
                "target_pixel_scale off."
            )
        if pixel_scale.shape != images.shape[:1]:
            raise ValueError(f"pixel_scale has shape {tuple(pixel_scale.shape)}, but there are {len(images)} images.")
        results: dict[int, Tensor] = {}
        for scale in pixel_scale.unique().tolist():
            chosen = (pixel_scale == scale).nonzero()[:, 0]
            shape = scaled_size(images.shape[-2:], scale, target)
            scaled = resize(images[chosen.to(images.device)], shape, self.resample)
            if self.crop_size is not None:
                scaled = center_crop(scaled, self.crop_size)
            if self.size is not None:
                scaled = resize(scaled, self.size, self.resample)
            results |= dict(zip(chosen.tolist(), scaled, strict=True))
        if len({result.shape for result in results.values()}) > 1:
            raise ValueError("images of several pixel scales become images of several sizes; set crop_size or size.")
        return torch.stack([results[index] for index in range(len(images))])

    def _stretch(self, images: Tensor) -> Tensor:
        """Compress brightness, in units of the image or relative to its peak."""
        if self.softening_unit == "image":
            return stretch(images, self.stretch, self.softening)
        images = images / brightness_unit(images, self._axes)
        return stretch(images, self.stretch, self.softening * self._peak(images))

    def _peak(self, images: Tensor) -> Tensor:
        """Return the brightest pixel of images of ordinary range; where none is positive, nearly nothing instead."""
        largest = images.abs().amax(self._axes, keepdim=True)
        nearly_nothing = _NO_PEAK * torch.where(largest > 0, largest, 1.0)
        return torch.maximum(images.amax(self._axes, keepdim=True), nearly_nothing)

    @property
    def _axes(self) -> tuple[int, ...]:
        return (2, 3) if self.per_band else (1, 2, 3)

    def _normalise(self, images: Tensor) -> Tensor:
        """Shift and scale brightness."""
        if self.normalisation == "none":
            return images
        if self.image_mean is not None and self.image_std is not None:
            if len(self.image_mean) not in (1, images.shape[1]):
                raise ValueError(
                    f"the image has {images.shape[1]} bands, but image_mean and image_std have {len(self.image_mean)} "
                    "values; select bands or give one value per band."
                )
            mean, deviation = images.new_tensor(self.image_mean), images.new_tensor(self.image_std)
            return (images - mean[:, None, None]) / deviation[:, None, None]
        # squares of surface brightness in erg/s/cm2 are beyond float32
        images = images / brightness_unit(images, self._axes)
        if self.normalisation == "max":
            return images / self._peak(images)
        lowest, highest = images.amin(self._axes, keepdim=True), images.amax(self._axes, keepdim=True)
        contrast = highest - lowest
        # divided by infinity, a flat image stays flat
        flat = contrast <= _ROUNDING * torch.maximum(highest, -lowest)
        if self.normalisation == "minmax":
            return (images - lowest) / contrast.masked_fill(flat, torch.inf)
        variance, mean = torch.var_mean(images, self._axes, correction=0, keepdim=True)
        return (images - mean) / variance.sqrt().masked_fill(flat, torch.inf)


def select_bands(images: Tensor, bands: tuple[int, ...] | None) -> Tensor:
    """Keep some bands.

    Args:
        images: `(batch, bands, height, width)`.
        bands: Which, in which order; all when absent.

    Returns:
        The images, of the same type.

    Raises:
        ValueError: If a band is missing.
    """
    if bands is None:
        return images
    if max(bands) >= images.shape[1]:
        raise ValueError(
            f"bands={list(bands)} was asked for, but the image has {images.shape[1]} band(s), counted from 0."
        )
    return images[:, list(bands)]


def match_bands(images: Tensor, num_channels: int | None) -> Tensor:
    """Refuse images with another number of bands than wanted; grey pictures saved in colour are taken as grey.

    Args:
        images: `(batch, bands, height, width)`.
        num_channels: How many are wanted; any number when absent.

    Returns:
        The images.

    Raises:
        ValueError: If the number differs.
    """
    bands = images.shape[1]
    if num_channels in (None, bands):
        return images
    if num_channels == 1 and torch.equal(images, images[:, :1].expand_as(images)):
        return images[:, :1]
    raise ValueError(
        f"the image has {bands} band(s), but the model takes {num_channels}; choose them with bands, for example "
        f"bands={list(range(num_channels or 1))}."
    )


def fill_missing(images: Tensor) -> Tensor:
    """Replace NaN and infinite pixels by the median of the band's other pixels, by zero where there are none.

    Args:
        images: `(batch, bands, height, width)`.

    Returns:
        The images, finite.
    """
    finite = torch.isfinite(images)
    if bool(finite.all()):
        return images
    known = images.masked_fill(~finite, torch.nan)
    median = known.flatten(2).nanmedian(dim=2).values.nan_to_num(0.0)
    return torch.where(finite, images, median[:, :, None, None])


def subtract_background(images: Tensor, border_width: int) -> Tensor:
    """Subtract the median of the frame around each band.

    Args:
        images: `(batch, bands, height, width)`.
        border_width: Width of the frame [pixels].

    Returns:
        The images, with a frame around zero.
    """
    height, width = images.shape[-2:]
    frame = torch.ones(height, width, dtype=torch.bool, device=images.device)
    frame[border_width : max(height - border_width, 0), border_width : max(width - border_width, 0)] = False
    return images - images[..., frame].median(dim=-1).values[..., None, None]


def scaled_size(size: tuple[int, ...], pixel_scale: float, target: float) -> tuple[int, int]:
    """Return the size of an image after resampling to another pixel scale.

    Args:
        size: Height and width [pixels].
        pixel_scale: Pixel scale [arcsec/pixel].
        target: Pixel scale afterwards [arcsec/pixel].

    Returns:
        Height and width [pixels], rounded to whole pixels, at least 1.

    Raises:
        ValueError: If the image would become larger than memory is there for, as with a pixel scale in other units.
    """
    # not rounded yet, since it may be infinite
    height, width = (side * pixel_scale / target for side in size)
    if not height * width <= max(_MOST_PIXELS, size[0] * size[1]):
        raise ValueError(
            f"pixel_scale={pixel_scale:g} would make an image of {size[0]} x {size[1]} pixels one of {height:.4g} x "
            f"{width:.4g} at target_pixel_scale={target:g}, and at most {_MOST_PIXELS:,} pixels are made; correct the "
            "pixel scale, which is in arcsec/pixel."
        )
    return max(1, round(height)), max(1, round(width))


def center_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut out the centre; images that are smaller are padded with zeros.

    Args:
        images: `(batch, bands, height, width)`.
        size: Height and width [pixels].

    Returns:
        The cut-outs.
    """
    height, width = images.shape[-2:]
    # negative padding cuts; where the difference is odd, one pixel more goes at the end, as transformers does it
    top, left = -((height - size[0]) // 2), -((width - size[1]) // 2)
    bottom, right = size[0] - height - top, size[1] - width - left
    if not (top or left or bottom or right):
        return images
    return F.pad(images, (left, right, top, bottom))


def resize(images: Tensor, size: tuple[int, int], resample: int) -> Tensor:
    """Resize by interpolating brightness per pixel, in float32; shrinking is anti-aliased.

    Args:
        images: `(batch, bands, height, width)`.
        size: Height and width [pixels].
        resample: Key of `INTERPOLATIONS`.

    Returns:
        The images; brightness per pixel is kept, so the sum over pixels changes with their number.
    """
    if images.shape[-2:] == size:
        return images
    mode = INTERPOLATIONS[resample]
    return F.interpolate(images, size=size, mode=mode, antialias=mode != "nearest-exact")


def brightness_unit(images: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return a unit of brightness in which images have an ordinary range, whatever physical units they come in.

    Args:
        images: `(batch, bands, height, width)`.
        axes: Axes that share a unit.

    Returns:
        The power of two at or below the largest absolute brightness, by which division rounds nothing; 1 for images
        that are zero. Of the images' dimensions, with the axes of length 1.
    """
    largest = images.abs().amax(axes, keepdim=True)
    return torch.where(largest > 0, largest.log2().floor().exp2(), 1.0)


def stretch(images: Tensor, kind: str, softening: Tensor | float) -> Tensor:
    """Compress the range of brightness, so that faint structure shows beside the bright arcs.

    Args:
        images: Any brightness; negative values are compressed as positive ones are.
        kind: `asinh`, `log` or `sqrt`.
        softening: Brightness at which the compression begins, broadcastable to the images.

    Returns:
        The stretched images.

    Source:
        `asinh`: Lupton et al. (2004), arXiv:astro-ph/0312483; `log` and `sqrt` are made odd likewise.
    """
    scaled = images / softening
    if kind == "asinh":
        return torch.asinh(scaled)
    magnitude = scaled.abs()
    return torch.copysign(magnitude.log1p() if kind == "log" else magnitude.sqrt(), scaled)
