"""Configuration of DeepLense ViT."""

from typing import Any

from .configuration_deeplense import DeepLenseConfig, check_heads
from .configuration_heads import check_choice

POOLINGS = ("cls", "mean")


class DeepLenseViTConfig(DeepLenseConfig):
    """Configuration of a plain vision transformer.

    With `stem="patch"` and `pooling="cls"` the model is a ViT and converts from and to transformers' `vit` (see
    `weights.py`).

    Args:
        hidden_size: Width of the tokens.
        num_hidden_layers: Number of blocks.
        num_attention_heads: Attention heads of a block.
        pooling: What is classified: `cls`, the class token, or `mean`, the average of the image tokens.
        **kwargs: The options of `DeepLenseConfig` and of transformers' `PreTrainedConfig`.

    Raises:
        ValueError: If an option is out of range or options contradict each other.

    Source:
        Dosovitskiy et al. (2021), arXiv:2010.11929.
    """

    model_type = "deeplense_vit"

    patch_size: int = 8
    hidden_size: int = 128
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    pooling: str = "mean"
    layer_norm_eps: float = 1e-6

    def __post_init__(self, **kwargs: Any) -> None:
        """Check that the options fit together."""
        check_heads("num_attention_heads", self.hidden_size, self.num_attention_heads)
        check_choice("pooling", self.pooling, POOLINGS)
        if self.num_hidden_layers < 1:
            raise ValueError(f"num_hidden_layers={self.num_hidden_layers} must be positive.")
        super().__post_init__(**kwargs)


__all__ = ["DeepLenseViTConfig"]
