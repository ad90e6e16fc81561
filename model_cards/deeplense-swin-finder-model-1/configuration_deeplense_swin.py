"""Configuration of DeepLense Swin."""

from collections.abc import Sequence
from typing import Any

from .configuration_deeplense import DeepLenseConfig, check_heads


class DeepLenseSwinConfig(DeepLenseConfig):
    """Configuration of a hierarchical transformer with shifted windows.

    With `stem="patch"` and `adaptive_window=False` the model is a Swin Transformer and converts from and to
    transformers' `swin` (see `weights.py`). Unlike there, any image and feature-map size works.

    Args:
        embed_dim: Width of the tokens of the first stage; it doubles with every stage.
        depths: Blocks of each stage.
        num_heads: Attention heads of each stage.
        window_size: Largest side of an attention window [tokens].
        adaptive_window: Whether windows shrink, to no less than about half, on maps that they then tile with less
            filling up, and the filling is hidden from attention; otherwise as in transformers' Swin.
        **kwargs: The options of `DeepLenseConfig` and of transformers' `PreTrainedConfig`.

    Raises:
        ValueError: If an option is out of range or options contradict each other.

    Source:
        Liu et al. (2021), arXiv:2103.14030.
    """

    model_type = "deeplense_swin"
    attribute_map = {"num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"}  # noqa: RUF012

    embed_dim: int = 128
    depths: Sequence[int] = (2, 1)
    num_heads: Sequence[int] = (4, 8)
    window_size: int = 6
    adaptive_window: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        """Derive the widths and check that the options fit together."""
        if not self.depths or len(self.depths) != len(self.num_heads) or min(self.depths) < 1:
            raise ValueError(
                f"depths={tuple(self.depths)} and num_heads={tuple(self.num_heads)} need one positive number per stage."
            )
        for stage, heads in enumerate(self.num_heads):
            check_heads(f"num_heads[{stage}]", self.embed_dim * 2**stage, heads)
        if self.window_size < 1:
            raise ValueError(f"window_size={self.window_size} must be positive.")
        self.num_layers = len(self.depths)
        self.hidden_size = self.embed_dim * 2 ** (len(self.depths) - 1)
        super().__post_init__(**kwargs)

    @property
    def output_stride(self) -> int:
        """Pixels per token of the last stage along an axis."""
        return self.patch_size * 2 ** (len(self.depths) - 1)

    @property
    def longest_side(self) -> int:
        """Longest side of an image that an equivariant model takes [pixels]: shifted windows prefer a side."""
        return self.patch_size * self.window_size


__all__ = ["DeepLenseSwinConfig"]
