"""`DeepLenseImageProcessor`: from raw lens images to what a model takes, exactly in float32."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import SizeDict

from .image_operations import ImageOperations, scaled_size
from .image_reading import LAYOUTS, iterate_images, to_tensor


class DeepLenseImageProcessorKwargs(TypedDict, total=False):
    """Options of `DeepLenseImageProcessor`, at construction and for one call."""

    colour_bands: list[int] | tuple[int, ...] | None
    bands: list[int] | tuple[int, ...] | None
    num_channels: int | None
    background: str
    border_width: int
    target_pixel_scale: float | None
    do_center_crop: bool | None
    crop_size: Any
    do_resize: bool | None
    size: Any
    resample: int
    stretch: str
    softening: float
    softening_unit: str
    normalisation: str
    image_mean: float | list[float] | tuple[float, ...] | None
    image_std: float | list[float] | tuple[float, ...] | None
    per_band: bool
    input_data_format: Any
    return_tensors: Any


# what saved files and transformers hand to the constructor beside options
_SERVICE = frozenset({"auto_map", "feature_extractor_type", "image_processor_type", "processor_class"})


class DeepLenseImageProcessor(PilBackend):
    """Prepare raw lens images: choose bands, fill holes, subtract background, crop, resize, stretch, normalise.

    Images never pass through 8 bits and the numbers are the same with and without torchvision. NaN and infinite
    pixels take the band's median before anything else, so that every statistic is finite.

    Args:
        **kwargs: `colour_bands`, which band of an image, counted from 0 before `bands` are chosen, the red, the green
            and the blue channel of a colour picture is, as (2, 1, 0) of a model of the bands g, r, i: PIL images and
            picture files are brought to that order, arrays and tensors never are, and None takes channels as bands.
            The options of `ImageOperations`, explained there: `bands`, `num_channels`, `background`,
            `border_width`, `target_pixel_scale`, `crop_size`, `size` (both a side, a pair or a dict of height and
            width), `resample`, `stretch`, `softening`, `softening_unit`, `normalisation`, `image_mean`, `image_std`,
            `per_band`; and `do_center_crop` and `do_resize`, on where a size is given unless turned off.

    Raises:
        ValueError: If an option is unknown or out of range.
    """

    valid_kwargs = DeepLenseImageProcessorKwargs  # type: ignore[assignment] # not all of ImagesKwargs applies
    model_input_names = ["pixel_values"]  # noqa: RUF012

    colour_bands: tuple[int, ...] | None = None
    bands: tuple[int, ...] | None = None
    num_channels: int | None = None
    background = "none"
    border_width = 4
    target_pixel_scale: float | None = None
    do_center_crop: bool | None = None
    crop_size: Any = None
    do_resize: bool | None = None
    size: Any = None
    resample = 2
    stretch = "asinh"
    softening = 0.02
    softening_unit = "peak"
    normalisation = "standard"
    image_mean: tuple[float, ...] | None = None
    image_std: tuple[float, ...] | None = None
    per_band = True

    def __init__(self, **kwargs: Any) -> None:
        known = DeepLenseImageProcessorKwargs.__annotations__
        unknown = [name for name in kwargs if name not in known and name not in _SERVICE and name[0] != "_"]
        if unknown:
            raise ValueError(
                f"DeepLenseImageProcessor has no option '{unknown[0]}'; the options are {', '.join(known)}."
            )
        super().__init__(**kwargs)
        _check_colour_bands(self.colour_bands)
        self._operations()

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """Process images.

        Args:
            images: One image or many: NumPy or torch arrays `(height, width)`, `(bands, height, width)` or
                `(height, width, bands)`, batches of these, PIL images (8 bit, 16 bit, float), paths of `.npy`, FITS
                or picture files, or lists of any of these.
            *args: Nothing; the signature of transformers.
            **kwargs: `pixel_scale`, the pixel scale of all or of each image [arcsec/pixel]; `return_tensors`
                (`pt`, `np`); `input_data_format`, where the bands are; options to be used for this call only.

        Returns:
            `pixel_values`, `(batch, bands, height, width)` float32, or a list without `return_tensors`.

        Raises:
            ValueError: If an image or an option does not fit.
        """
        return self.preprocess(images, *args, **kwargs)

    def preprocess(self, images: Any, *args: Any, pixel_scale: Any = None, **kwargs: Any) -> BatchFeature:
        """Process images; see `__call__`."""
        unknown = [name for name in kwargs if name not in DeepLenseImageProcessorKwargs.__annotations__]
        if unknown:
            raise ValueError(f"DeepLenseImageProcessor has no option '{unknown[0]}'.")
        return super().preprocess(images, *args, image_like_kwargs={"pixel_scale": pixel_scale}, **kwargs)

    def process_batch(self, images: Tensor, pixel_scale: Tensor | None = None) -> Tensor:
        """Process a batch of images of one size; the fast path that `__call__` ends in.

        Args:
            images: Raw images, `(batch, bands, height, width)`, on any device.
            pixel_scale: Pixel scale of each image [arcsec/pixel], `(batch,)`; needed with `target_pixel_scale`.

        Returns:
            `pixel_values`, `(batch, bands, height, width)` float32.

        Raises:
            ValueError: If the images do not fit the options.
        """
        if images.ndim != 4:
            raise ValueError(f"images have shape {tuple(images.shape)}, expected (batch, bands, height, width).")
        return self._operations()(images, pixel_scale)

    def output_size(self, height: int, width: int, pixel_scale: float | None = None) -> tuple[int, int]:
        """Return the size that images of a size come out with.

        Args:
            height: Height of the raw images [pixels].
            width: Width of the raw images [pixels].
            pixel_scale: Their pixel scale [arcsec/pixel]; needed if only `target_pixel_scale` sets the size.

        Returns:
            Height and width [pixels].

        Raises:
            ValueError: If the pixel scale is needed and missing.
        """
        operations = self._operations()
        fixed = operations.size or operations.crop_size
        if fixed is not None:
            return fixed
        if operations.target_pixel_scale is None:
            return height, width
        if pixel_scale is None:
            raise ValueError(f"target_pixel_scale={self.target_pixel_scale} needs the images' pixel_scale.")
        return scaled_size((height, width), pixel_scale, operations.target_pixel_scale)

    def _operations(self, **overrides: Any) -> ImageOperations:
        """Collect and check the options, of this processor or of one call."""
        fields = ImageOperations.__dataclass_fields__
        options = {name: overrides.get(name, getattr(self, name)) for name in fields}
        for switch, name in (("do_center_crop", "crop_size"), ("do_resize", "size")):
            wanted = overrides.get(switch, getattr(self, switch))
            size = options[name]
            if wanted and size is None:
                raise ValueError(f"{switch}=True needs {name}.")
            options[name] = (size["height"], size["width"]) if size is not None and wanted is not False else None
        return ImageOperations(**options)

    def _standardize_kwargs(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Bring options to the form they are kept in."""
        for name in ("size", "crop_size"):
            kwargs[name] = _as_size(name, kwargs.get(name))
        for name in ("image_mean", "image_std"):
            value = kwargs.get(name)
            if value is not None:
                kwargs[name] = tuple(map(float, value)) if isinstance(value, Sequence) else (float(value),)
        for name in ("bands", "colour_bands"):
            if kwargs.get(name) is not None:
                kwargs[name] = tuple(map(int, kwargs[name]))
        if kwargs.get("resample") is not None:
            kwargs["resample"] = int(kwargs["resample"])
        return kwargs

    def _validate_preprocess_kwargs(self, **kwargs: Any) -> None:  # type: ignore[override]
        """Check the options of one call."""
        layout = kwargs.get("input_data_format")
        if layout is not None and str(getattr(layout, "value", layout)) not in LAYOUTS:
            raise ValueError(f"input_data_format='{layout}' is not one of {', '.join(LAYOUTS)}.")
        _check_colour_bands(kwargs.get("colour_bands"))
        self._operations(**kwargs)

    def _prepare_image_like_inputs(
        self, images: Any, *args: Any, expected_ndims: int = 3, **kwargs: Any
    ) -> list[Tensor]:
        """Bring every image to `(bands, height, width)`."""
        layout = kwargs.get("input_data_format")
        layout = None if layout is None else str(getattr(layout, "value", layout))
        colours = kwargs.get("colour_bands")
        prepared = [to_tensor(image, layout, colours) for image in iterate_images(images, layout)]
        if not prepared:
            raise ValueError("there is no image; give at least one.")
        return prepared

    def _preprocess(self, images: list[Tensor], *args: Any, **kwargs: Any) -> BatchFeature:  # type: ignore[override]
        """Process images of equal size and scale together."""
        operations = self._operations(**kwargs)
        scales = _as_scales(kwargs["pixel_scale"], len(images))
        groups: dict[tuple[Any, ...], list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault((image.shape, image.device, None if scales is None else scales[index]), []).append(index)
        results: list[Any] = [None] * len(images)
        for (_, _, scale), members in groups.items():
            batch = torch.stack([images[index] for index in members])
            pixel_scale = None if scale is None else torch.full((len(members),), scale)
            for index, result in zip(members, operations(batch, pixel_scale), strict=True):
                results[index] = result
        tensor_type = kwargs.get("return_tensors")
        if tensor_type is None:
            return BatchFeature(data={"pixel_values": [result.cpu().numpy() for result in results]})
        sizes = {tuple(result.shape) for result in results}
        if len(sizes) > 1:
            raise ValueError(f"the images come out with different shapes {sorted(sizes)}; set crop_size or size.")
        return BatchFeature(data={"pixel_values": torch.stack(results)}, tensor_type=tensor_type)


def _check_colour_bands(bands: Sequence[int] | None) -> None:
    """Refuse what does not give each channel of a picture a band of its own."""
    if bands is not None and sorted(bands) != [0, 1, 2]:
        raise ValueError(
            f"colour_bands={list(bands)} must give red, green and blue each one of the bands 0, 1 and 2; for bands in "
            "the order of growing wavelength it is [2, 1, 0]."
        )


def _as_size(name: str, value: Any) -> SizeDict | None:
    """Read a side, a pair or a dict of height and width."""
    if value is None or isinstance(value, SizeDict):
        return value
    if isinstance(value, int):
        value = (value, value)
    if isinstance(value, dict) and set(value) == {"height", "width"}:
        value = (value["height"], value["width"])
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(isinstance(side, int) for side in value):
        raise ValueError(f'{name}={value} must be a side, (height, width) or {{"height": ..., "width": ...}} [pixels].')
    return SizeDict(height=value[0], width=value[1])


def _as_scales(pixel_scale: Any, images: int) -> list[float] | None:
    """Return one pixel scale per image."""
    if pixel_scale is None:
        return None
    scales = np.asarray(pixel_scale, dtype=np.float64).reshape(-1).tolist()
    if len(scales) not in (1, images):
        raise ValueError(f"pixel_scale has {len(scales)} values, but there are {images} images; give one per image.")
    return scales * images if len(scales) == 1 else scales


__all__ = ["DeepLenseImageProcessor"]
