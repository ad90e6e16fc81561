"""Configuration of a vision model of transformers or timm behind DeepLense heads."""

from collections.abc import Sequence
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from .configuration_deeplense import as_pair
from .configuration_heads import DeepLenseHeadConfig, check_choice

POOLINGS = ("cls", "pooler", "mean")
# families whose stock classifier reads the class token; that of DINOv2 the mean of the patches beside it
_CLASS_TOKEN_FAMILIES = ("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "pvt", "vit_msn")
# families of tokens without a class token, whose stock classifier reads their mean
_MEAN_FAMILIES = ("ijepa",)


class DeepLenseBackboneConfig(DeepLenseHeadConfig):
    """Configuration of any vision model of transformers (ViT, Swin, ConvNeXt, ...) or timm, with DeepLense heads.

    Args:
        backbone_config: Configuration of the model, with its `model_type`.
        num_channels: Bands of an image.
        image_size: Side, or height and width, of the images that the model is made for [pixels].
        hidden_size: Width of the features; found in `backbone_config` when absent, except for timm.
        output_stride: Pixels per feature of the last map along an axis.
        pooling: What the head reads: `cls`, the class token; `pooler`, what the model itself makes of its last map; or
            `mean`, the mean of the last map. When absent, what the stock classifier of the family reads; of DINOv2,
            whose classifier reads the mean of the patches too, the class token alone.
        band_adapter: Whether a 1x1 convolution brings the bands of an image to those that `backbone_config` has.
            Otherwise the model itself takes the bands.
        initializer_range: Standard deviation of the initial weights of heads and decoders.
        **kwargs: The options of `DeepLenseHeadConfig` and of transformers' `PreTrainedConfig`.

    Raises:
        ValueError: If an option is out of range or options contradict each other.
    """

    model_type = "deeplense_backbone"
    sub_configs = {"backbone_config": AutoConfig}  # noqa: RUF012

    # heads and decoders have no residual branches
    residual_init = "normal"

    backbone_config: dict[str, Any] | PreTrainedConfig | None = None
    num_channels: int = 1
    image_size: int | Sequence[int] = 224
    hidden_size: int | None = None
    output_stride: int = 32
    pooling: str | None = None
    band_adapter: bool = False
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        """Make the model's own configuration and take over what heads need of it."""
        if isinstance(self.backbone_config, dict):
            options = dict(self.backbone_config)
            self.backbone_config = AutoConfig.for_model(options.pop("model_type"), **options)
        if self.backbone_config is None:
            # transformers makes empty configurations of every class
            self.backbone_config = AutoConfig.for_model("resnet", num_channels=self.num_channels)
        if self.backbone_config.model_type == "vit_mae":
            self.backbone_config = _without_masking(self.backbone_config)
        if self.symmetry != "none" and len(set(as_pair(self.image_size))) > 1:
            raise ValueError(f"symmetry='{self.symmetry}' needs square images, not image_size={self.image_size}.")
        if not self.band_adapter:
            self.set_channels(self.num_channels)
        if self.hidden_size is None:
            self.hidden_size = width_of(self.backbone_config)
        if self.pooling is None:
            self.pooling = default_pooling(self.backbone_config)
        check_choice("pooling", self.pooling, POOLINGS)
        super().__post_init__(**kwargs)

    def set_channels(self, num_channels: int) -> None:
        """Tell the model's own configuration how many bands an image has."""
        inner: Any = self.backbone_config
        if inner.model_type == "timm_wrapper":
            inner.model_args = {**(inner.model_args or {}), "in_chans": num_channels}
        else:
            inner.num_channels = num_channels


def channels_of(config: Any) -> int:
    """Find the bands that a model takes in its configuration.

    Args:
        config: Configuration of a vision model of transformers or timm.

    Returns:
        The number of bands; 3 if it does not say.
    """
    return int(getattr(config, "num_channels", None) or (getattr(config, "model_args", None) or {}).get("in_chans", 3))


def default_pooling(config: Any) -> str:
    """Say what the stock classifier of a family reads.

    Args:
        config: Configuration of a vision model of transformers or timm.

    Returns:
        One of `POOLINGS`.
    """
    family = config.model_type
    if family in _CLASS_TOKEN_FAMILIES or (family == "cvt" and config.cls_token[-1]):
        return "cls"
    return "mean" if family in _MEAN_FAMILIES else "pooler"


def width_of(config: Any) -> int:
    """Find the width of a model's features in its configuration.

    Args:
        config: Configuration of a vision model of transformers.

    Returns:
        The width.

    Raises:
        ValueError: If it does not say.
    """
    for name in ("hidden_size", "hidden_sizes", "embed_dim", "num_features", "hidden_dim"):
        value = getattr(config, name, None)
        if isinstance(value, int):
            return value
        if isinstance(value, list | tuple) and value:
            return int(value[-1])
    raise ValueError(f"the configuration of a '{config.model_type}' does not say its width; give hidden_size.")


def _without_masking(config: Any) -> PreTrainedConfig:
    """Turn a ViTMAE, which hides and shuffles patches also in evaluation mode, into the ViT that has its weights."""
    known = AutoConfig.for_model("vit")
    options = {name: value for name, value in config.to_dict().items() if hasattr(known, name)}
    options.pop("model_type")
    return AutoConfig.for_model("vit", **options)


__all__ = ["DeepLenseBackboneConfig"]
