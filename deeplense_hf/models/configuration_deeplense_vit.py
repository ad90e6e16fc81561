"""Configuration of DeepLense ViT."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from .stem_options import as_pair, check_heads, check_stem

POOLINGS = ("cls", "mean")


class DeepLenseViTConfig(PreTrainedConfig):
    """Configuration of a plain vision transformer with a patch or convolutional stem.

    With `stem="patch"` and `pooling="cls"` the model is a ViT and converts from and to transformers' `vit` (see
    `weights.py`).

    Args:
        image_size: Side, or height and width, the position embeddings are made for [pixels].
        patch_size: Total stride of the stem [pixels].
        num_channels: Bands of an image.
        stem: `patch` (one strided convolution) or `conv` (residual convolutional stages).
        stem_channels: Channels of each stage of a convolutional stem; every stage but the first halves the
            resolution.
        stem_blocks: Residual blocks of each stage.
        hidden_size: Width of the tokens.
        num_hidden_layers: Blocks.
        num_attention_heads: Attention heads of a block.
        mlp_ratio: Width of the hidden layer of a block, relative to its tokens.
        pooling: What is classified: `cls`, the class token, or `mean`, the average of the image tokens.
        qkv_bias: Whether queries, keys and values have a bias.
        hidden_dropout_prob: Dropout of tokens.
        attention_probs_dropout_prob: Dropout of attention weights.
        drop_path_rate: Stochastic depth of the last block; it rises linearly from zero.
        hidden_act: Activation of blocks and stem.
        residual_init: `zero` starts every block as the identity, `normal` as the original ViT does.
        initializer_range: Standard deviation of initial linear weights; None scales with the layer's width (Xavier).
        layer_norm_eps: Epsilon of layer normalisation.

    Raises:
        ValueError: If options contradict each other.

    Source:
        Dosovitskiy et al. (2021), arXiv:2010.11929; convolutional stems: Xiao et al. (2021), arXiv:2106.14881.
    """

    model_type = "deeplense_vit"
    auto_model_class = "modeling_deeplense_vit.DeepLenseViTModel"

    image_size: int | Sequence[int] = 96
    patch_size: int = 8
    num_channels: int = 1
    stem: str = "conv"
    stem_channels: Sequence[int] = (16, 32, 64)
    stem_blocks: int = 1
    hidden_size: int = 128
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    mlp_ratio: float = 4.0
    pooling: str = "mean"
    qkv_bias: bool = True
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    drop_path_rate: float = 0.0
    hidden_act: str = "gelu"
    residual_init: str = "zero"
    initializer_range: float | None = None
    layer_norm_eps: float = 1e-6

    def __post_init__(self, **kwargs: Any) -> None:
        """Check that the options fit together."""
        if min(as_pair(self.image_size)) < self.patch_size:
            raise ValueError(f"image_size={self.image_size} is smaller than patch_size={self.patch_size}.")
        check_stem(self.stem, self.patch_size, self.stem_channels, self.stem_blocks)
        check_heads("num_attention_heads", self.hidden_size, self.num_attention_heads)
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling='{self.pooling}' is not one of {', '.join(POOLINGS)}.")
        super().__post_init__(**kwargs)


__all__ = ["DeepLenseViTConfig"]
