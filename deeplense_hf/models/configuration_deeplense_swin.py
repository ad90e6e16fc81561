"""Configuration of DeepLense Swin."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from .stem_options import as_pair, check_heads, check_stem


class DeepLenseSwinConfig(PreTrainedConfig):
    """Configuration of a hierarchical transformer with shifted windows, with a patch or convolutional stem.

    With `stem="patch"` the model is a Swin Transformer and converts from and to transformers' `swin` (see
    `weights.py`). Unlike there, any image and feature-map size works.

    Args:
        image_size: Side, or height and width, the model is made for [pixels]; others work as well.
        patch_size: Total stride of the stem [pixels].
        num_channels: Bands of an image.
        stem: `patch` (one strided convolution) or `conv` (residual convolutional stages).
        stem_channels: Channels of each stage of a convolutional stem; every stage but the first halves the
            resolution.
        stem_blocks: Residual blocks of each stage.
        embed_dim: Width of the tokens of the first stage; it doubles with every stage.
        depths: Blocks of each stage.
        num_heads: Attention heads of each stage.
        window_size: Largest side of an attention window [tokens].
        adaptive_window: Whether windows shrink, to no less than about half, on maps that they then tile with less
            filling up, and the filling is hidden from attention; otherwise as in transformers' Swin.
        mlp_ratio: Width of the hidden layer of a block, relative to its tokens.
        qkv_bias: Whether queries, keys and values have a bias.
        hidden_dropout_prob: Dropout of tokens.
        attention_probs_dropout_prob: Dropout of attention weights.
        drop_path_rate: Stochastic depth of the last block; it rises linearly from zero.
        hidden_act: Activation of blocks and stem.
        residual_init: `zero` starts every block as the identity (fast in short runs from scratch), `normal` as
            the original Swin does.
        initializer_range: Standard deviation of initial linear weights; None scales with the layer's width (Xavier).
        layer_norm_eps: Epsilon of layer normalisation.

    Raises:
        ValueError: If options contradict each other.

    Source:
        Liu et al. (2021), arXiv:2103.14030; convolutional stems: Xiao et al. (2021), arXiv:2106.14881.
    """

    model_type = "deeplense_swin"
    auto_model_class = "modeling_deeplense_swin.DeepLenseSwinModel"
    attribute_map = {"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"}  # noqa: RUF012

    image_size: int | Sequence[int] = 96
    patch_size: int = 4
    num_channels: int = 1
    stem: str = "conv"
    stem_channels: Sequence[int] = (16, 32, 64)
    stem_blocks: int = 1
    embed_dim: int = 64
    depths: Sequence[int] = (2, 2)
    num_heads: Sequence[int] = (2, 4)
    window_size: int = 6
    adaptive_window: bool = True
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    drop_path_rate: float = 0.0
    hidden_act: str = "gelu"
    residual_init: str = "zero"
    initializer_range: float | None = None
    layer_norm_eps: float = 1e-5

    def __post_init__(self, **kwargs: Any) -> None:
        """Derive widths and check that the options fit together."""
        as_pair(self.image_size)
        check_stem(self.stem, self.patch_size, self.stem_channels, self.stem_blocks)
        if len(self.depths) != len(self.num_heads) or not self.depths:
            raise ValueError(f"depths={self.depths} and num_heads={self.num_heads} need one entry per stage.")
        for stage, heads in enumerate(self.num_heads):
            check_heads(f"num_heads[{stage}]", self.embed_dim * 2**stage, heads)
        if self.window_size < 1:
            raise ValueError(f"window_size={self.window_size} must be positive.")
        self.num_layers = len(self.depths)
        self.hidden_size = self.embed_dim * 2 ** (len(self.depths) - 1)
        super().__post_init__(**kwargs)


__all__ = ["DeepLenseSwinConfig"]
