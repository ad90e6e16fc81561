"""Configuration of a vision model of transformers or timm behind DeepLense heads."""

from collections.abc import Sequence
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from .configuration_deeplense import as_pair
from .configuration_heads import DeepLenseHeadConfig, check_choice

POOLINGS = ("cls", "pooler", "mean")
# families whose stock classifier reads the class token
_CLASS_TOKEN_FAMILIES = ("vit", "deit", "dinov2", "dinov3_vit", "ijepa", "vit_mae", "vit_msn")


class DeepLenseBackboneConfig(DeepLenseHeadConfig):
    """Configuration of any vision model of transformers (ViT, Swin, ConvNeXt, ...) or timm, with DeepLense heads.

    Args:
        backbone_config: Configuration of the model, with its `model_type`.
        num_channels: Bands of an image.
        image_size: Side, or height and width, of the images that the model is made for [pixels].
        hidden_size: Width of the features; found in `backbone_config` when absent, except for timm.
        output_stride: Pixels per feature of the last map along an axis.
        pooling: What the head reads: `cls`, the class token; `pooler`, what the model itself makes of its last map; or
            `mean`, the mean of the last map. When absent, what the stock classifier of the family reads.
        initializer_range: Standard deviation of the initial weights of heads and decoders.
        **kwargs: The options of `DeepLenseHeadConfig` and of transformers' `PreTrainedConfig`.

    Raises:
        ValueError: If `backbone_config` is missing, or an option is out of range.
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
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        """Make the model's own configuration and take over what heads need of it."""
        if isinstance(self.backbone_config, dict):
            options = dict(self.backbone_config)
            self.backbone_config = AutoConfig.for_model(options.pop("model_type"), **options)
        if self.backbone_config is None:
            # transformers makes empty configurations of every class
            self.backbone_config = AutoConfig.for_model("resnet", num_channels=self.num_channels)
        as_pair(self.image_size)
        self.set_channels(self.num_channels)
        if self.hidden_size is None:
            self.hidden_size = width_of(self.backbone_config)
        if self.pooling is None:
            self.pooling = "cls" if self.backbone_config.model_type in _CLASS_TOKEN_FAMILIES else "pooler"
        check_choice("pooling", self.pooling, POOLINGS)
        super().__post_init__(**kwargs)

    def set_channels(self, num_channels: int) -> None:
        """Tell the model's own configuration how many bands an image has."""
        inner: Any = self.backbone_config
        if inner.model_type == "timm_wrapper":
            inner.model_args = {**(inner.model_args or {}), "in_chans": num_channels}
        else:
            inner.num_channels = num_channels


def width_of(config: Any) -> int:
    """Find the width of a model's features in its configuration.

    Args:
        config: Configuration of a vision model of transformers.

    Returns:
        The width.

    Raises:
        ValueError: If it does not say.
    """
    for name in ("hidden_size", "hidden_sizes", "embed_dim", "num_features"):
        value = getattr(config, name, None)
        if isinstance(value, int):
            return value
        if isinstance(value, list | tuple) and value:
            return int(value[-1])
    raise ValueError(f"the configuration of a '{config.model_type}' does not say its width; give hidden_size.")


__all__ = ["DeepLenseBackboneConfig"]
