"""Image processor of DeepLense models: physics-aware and exact in float32."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs

from .image_inputs import as_image_list

STRETCHES = ("none", "asinh", "log", "sqrt")
NORMALISATIONS = ("none", "fixed", "standard", "minmax", "max")
# width of the frame that the sky is measured in [pixels]
_BORDER = 4
_TINY = 1e-12
# what `from_pretrained` adds to the options of a saved processor
_BOOKKEEPING = {"image_processor_type", "auto_map", "processor_class", "backend", "feature_extractor_type"}


class DeepLenseImageProcessorKwargs(ImagesKwargs, total=False):
    """Options beyond those of transformers; see `DeepLenseImageProcessor`."""

    num_channels: int | None
    bands: list[int] | None
    target_pixel_scale: float | None
    do_background_subtraction: bool
    stretch: str
    stretch_softening: float
    normalisation: str
    pixel_scale: float | list[float] | None


class DeepLenseImageProcessor(PilBackend):
    """Prepare raw lens images for a model; every number stays float32.

    The steps, in this order: select bands; replace missing pixels by the image's median; subtract the sky; resample
    to a common pixel scale; crop or pad around the centre; resize; stretch; normalise. Statistics are taken per image
    and band, so nothing leaks from one image, or one split, to another.

    Args:
        num_channels: Bands a model expects; another number is refused. Equal bands, as of a grey picture saved in
            colour, are taken once.
        bands: Which bands to take; all when None.
        do_background_subtraction: Subtract the median of the border, 4 pixels wide.
        target_pixel_scale: Resample to this scale [arcsec/pixel]; needs the `pixel_scale` of the images.
        do_center_crop: Crop around the centre, padding with zeros what an image lacks.
        crop_size: `height` and `width` of the crop [pixels].
        do_resize: Resize by antialiased interpolation.
        size: `height` and `width` after resizing [pixels].
        stretch: `none`, `asinh`, `log` or `sqrt` of the brightness relative to the image's maximum.
        stretch_softening: Brightness, relative to the maximum, above which `asinh` and `log` compress.
        do_normalize: Apply `normalisation`.
        normalisation: `standard` (zero mean and unit standard deviation of each image), `minmax` (to [0, 1]), `max`
            (divide by the maximum), `fixed` (`image_mean` and `image_std`) or `none`.
        image_mean: Mean of the `fixed` normalisation, one number or one per band.
        image_std: Standard deviation of the `fixed` normalisation, one number or one per band.
        pixel_scale: Scale of the images [arcsec/pixel], one number or one per image; usually given with the images.

    Raises:
        ValueError: If an option is unknown or out of range.

    Source:
        Lupton, Gunn & Szalay (1999), AJ 118, 1406, for the asinh stretch.
    """

    valid_kwargs = DeepLenseImageProcessorKwargs
    model_input_names = ["pixel_values"]  # noqa: RUF012

    num_channels = None
    bands = None
    do_background_subtraction = False
    target_pixel_scale = None
    do_center_crop = False
    crop_size = None
    do_resize = False
    size = None
    resample = PILImageResampling.BILINEAR
    do_rescale = False
    stretch = "asinh"
    stretch_softening = 0.02
    do_normalize = True
    normalisation = "standard"
    image_mean = 0.0
    image_std = 1.0
    pixel_scale = None

    def __init__(self, **kwargs: Any) -> None:
        known = set(self._option_names()) | _BOOKKEEPING
        unknown = sorted(name for name in kwargs if name not in known and not name.startswith("_"))
        if unknown:
            raise ValueError(f"DeepLenseImageProcessor has no option '{unknown[0]}'.")
        super().__init__(**kwargs)
        self._check_options(**{name: getattr(self, name, None) for name in self._option_names()})

    @classmethod
    def _option_names(cls) -> list[str]:
        return list(cls.valid_kwargs.__annotations__)

    def _check_options(self, **options: Any) -> None:
        """Refuse values out of range."""
        if options["stretch"] not in STRETCHES:
            raise ValueError(f"stretch='{options['stretch']}' is not one of {', '.join(STRETCHES)}.")
        if options["normalisation"] not in NORMALISATIONS:
            raise ValueError(f"normalisation='{options['normalisation']}' is not one of {', '.join(NORMALISATIONS)}.")
        for name in ("stretch_softening", "target_pixel_scale"):
            if options[name] is not None and not options[name] > 0:
                raise ValueError(f"{name}={options[name]} must be positive.")
        for flag, name in (("do_resize", "size"), ("do_center_crop", "crop_size")):
            if options[flag] and options[name] is None:
                raise ValueError(f"{flag}=True needs {name}, for example {{'height': 96, 'width': 96}}.")
        if options["image_std"] is not None and not np.all(np.asarray(options["image_std"], dtype=float) > 0):
            raise ValueError(f"image_std={options['image_std']} must be positive.")

    def _validate_preprocess_kwargs(self, **kwargs: Any) -> None:
        """Check options given with the images as those given at construction."""
        super()._validate_preprocess_kwargs(**kwargs)
        self._check_options(**{name: kwargs.get(name) for name in self._option_names()})

    def _prepare_image_like_inputs(self, images: Any, **kwargs: Any) -> list[np.ndarray]:
        """Read images of every kind."""
        return as_image_list(images, kwargs.get("input_data_format"))

    def _preprocess(self, images: list[np.ndarray], **options: Any) -> BatchFeature:
        """Process images, those of one shape together."""
        return_tensors = options.pop("return_tensors", None)
        scales = np.broadcast_to(
            np.asarray(options.get("pixel_scale"), dtype=object), (len(images),)
        )
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault((image.shape, scales[index]), []).append(index)
        processed: list[Any] = [None] * len(images)
        for (_, scale), members in groups.items():
            batch = torch.from_numpy(np.stack([images[index] for index in members]))
            for index, image in zip(members, self._process(batch, scale, options), strict=True):
                processed[index] = image.numpy()
        return BatchFeature(data={"pixel_values": processed}, tensor_type=return_tensors)

    def process_batch(self, images: Tensor, pixel_scale: Tensor | None = None) -> Tensor:
        """Process a batch of equally sized raw images with the processor's own options.

        Args:
            images: `(batch, bands, height, width)`, any number type.
            pixel_scale: Scale of each image, `(batch,)` [arcsec/pixel]; needed by `target_pixel_scale` only.

        Returns:
            Float32 tensor `(batch, bands, height, width)` on the same device.

        Raises:
            ValueError: If the bands do not fit, or a pixel scale is needed and missing.
        """
        options = {name: getattr(self, name, None) for name in self._option_names()}
        if options["target_pixel_scale"] is None or pixel_scale is None:
            return self._process(images, options["pixel_scale"], options)
        out: list[Tensor | None] = [None] * len(images)
        for scale in pixel_scale.unique():
            members = torch.nonzero(pixel_scale == scale).flatten()
            for index, image in zip(
                members.tolist(), self._process(images[members], float(scale), options), strict=True
            ):
                out[index] = image
        return torch.stack([image for image in out if image is not None])

    def _process(self, images: Tensor, pixel_scale: float | None, options: dict[str, Any]) -> Tensor:
        """Run all steps on images of one shape and pixel scale."""
        images = _select_bands(images.to(torch.float32), options["bands"], options["num_channels"])
        images = _fill_missing(images)
        if options["do_background_subtraction"]:
            images = images - _border_median(images)
        if options["target_pixel_scale"] is not None:
            images = _resample(images, pixel_scale, options["target_pixel_scale"])
        if options["do_center_crop"]:
            images = _crop_or_pad(images, options["crop_size"])
        if options["do_resize"]:
            images = _resize(images, (options["size"].height, options["size"].width))
        images = _stretch(images, options["stretch"], options["stretch_softening"])
        if options["do_normalize"]:
            images = _normalise(images, options["normalisation"], options["image_mean"], options["image_std"])
        return images

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size that an image of a given size leaves with.

        Args:
            height: Height of the raw image [pixels].
            width: Width of the raw image [pixels].

        Returns:
            Height and width after processing; with `target_pixel_scale` and neither crop nor size they depend on the
            pixel scale, and the raw ones are returned.
        """
        if self.do_resize:
            return self.size.height, self.size.width
        if self.do_center_crop:
            return self.crop_size.height, self.crop_size.width
        return height, width


def _select_bands(images: Tensor, bands: list[int] | None, num_channels: int | None) -> Tensor:
    """Take the wanted bands and check their number."""
    count = images.shape[1]
    if bands is not None:
        if not bands or min(bands) < 0 or max(bands) >= count:
            raise ValueError(f"bands={bands} are not all among the {count} bands of the image, counted from 0.")
        images = images[:, bands]
    if num_channels is None or images.shape[1] == num_channels:
        return images
    if num_channels == 1 and bool((images == images[:, :1]).all()):
        return images[:, :1]
    raise ValueError(
        f"the image has {images.shape[1]} bands, but the model takes {num_channels}; select bands, for example "
        f"bands={list(range(num_channels))}."
    )


def _fill_missing(images: Tensor) -> Tensor:
    """Replace NaN and infinity by the median of what is there, band by band; zero if nothing is."""
    missing = ~torch.isfinite(images)
    if not bool(missing.any()):
        return images
    median = images.masked_fill(missing, torch.nan).flatten(2).nanmedian(dim=2).values.nan_to_num(0.0)
    return torch.where(missing, median[:, :, None, None], images)


def _border_median(images: Tensor) -> Tensor:
    """Return the median of the frame of each band, `(batch, bands, 1, 1)`."""
    frame = torch.ones(images.shape[-2:], dtype=torch.bool, device=images.device)
    frame[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    return images[:, :, frame].median(dim=2).values[:, :, None, None]


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate with antialiasing, so that every pixel counts when shrinking."""
    if tuple(images.shape[-2:]) == size:
        return images
    return torch.nn.functional.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


def _resample(images: Tensor, pixel_scale: float | None, target: float) -> Tensor:
    """Resize to another pixel scale."""
    if pixel_scale is None or not pixel_scale > 0:
        raise ValueError(
            f"target_pixel_scale={target} arcsec needs the pixel_scale of the images, got {pixel_scale}; give "
            "pixel_scale=... with them."
        )
    height, width = images.shape[-2:]
    factor = pixel_scale / target
    return _resize(images, (max(1, round(height * factor)), max(1, round(width * factor))))


def _crop_or_pad(images: Tensor, size: SizeDict) -> Tensor:
    """Cut out the centre; what an image lacks is zero."""
    height, width = images.shape[-2:]
    lack = (max(0, size.height - height), max(0, size.width - width))
    if any(lack):
        pads = (lack[1] // 2, lack[1] - lack[1] // 2, lack[0] // 2, lack[0] - lack[0] // 2)
        images = torch.nn.functional.pad(images, pads)
        height, width = images.shape[-2:]
    top, left = (height - size.height) // 2, (width - size.width) // 2
    return images[..., top : top + size.height, left : left + size.width]


def _stretch(images: Tensor, stretch: str, softening: float) -> Tensor:
    """Compress the range of brightness."""
    if stretch == "none":
        return images
    relative = images / images.amax(dim=(2, 3), keepdim=True).clamp_min(_TINY)
    if stretch == "asinh":
        return torch.asinh(relative / softening)
    relative = relative.clamp_min(0.0)
    return torch.log1p(relative / softening) if stretch == "log" else torch.sqrt(relative)


def _normalise(images: Tensor, normalisation: str, mean: Any, std: Any) -> Tensor:
    """Bring every image to a common range."""
    if normalisation == "standard":
        deviation, average = torch.std_mean(images, dim=(2, 3), keepdim=True, correction=0)
        return (images - average) / deviation.clamp_min(_TINY)
    if normalisation == "minmax":
        low, high = torch.aminmax(images.flatten(2), dim=2, keepdim=True)
        return (images - low[..., None]) / (high - low)[..., None].clamp_min(_TINY)
    if normalisation == "max":
        return images / images.amax(dim=(2, 3), keepdim=True).clamp_min(_TINY)
    if normalisation == "fixed":
        shift = torch.as_tensor(mean, dtype=torch.float32, device=images.device).reshape(-1, 1, 1)
        scale = torch.as_tensor(std, dtype=torch.float32, device=images.device).reshape(-1, 1, 1)
        return (images - shift) / scale
    return images
