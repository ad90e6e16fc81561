"""What the families' configurations have in common, and the checks of options."""

from collections.abc import Sequence
from typing import Any, ClassVar

from .configuration_heads import SYMMETRIES, DeepLenseHeadConfig, check_choice

STEMS = ("patch", "conv", "inverted", "equivariant")
RESIDUAL_INITS = ("zero", "normal")


class DeepLenseConfig(DeepLenseHeadConfig):
    """Options of every DeepLense family: images, stem, and what blocks are made of.

    Args:
        image_size: Side, or height and width, of the images that the model is made for [pixels].
        patch_size: Total stride of the stem [pixels].
        num_channels: Bands of an image.
        stem: `patch` (one strided convolution), `conv` (stages of residual convolutions), `inverted` (stages of
            inverted bottlenecks) or `equivariant` (stages whose filters come in all eight orientations of the square).
        symmetry: As of every head, or `equivariant`: the model is built so that its answers do not depend on the
            orientation of an image, at no cost; needs the stem of that name.
        stem_channels: Channels of each stage of a convolutional stem; every stage but the first halves the resolution,
            and what is left of `patch_size` comes before them.
        stem_blocks: Residual blocks of each stage.
        stem_act: Activation of a convolutional stem.
        mlp_ratio: Width of the hidden layer of a block, relative to its tokens.
        qkv_bias: Whether queries, keys and values have a bias.
        hidden_dropout_prob: Dropout of tokens.
        attention_probs_dropout_prob: Dropout of attention weights.
        drop_path_rate: Stochastic depth of the last block; it rises linearly from zero.
        hidden_act: Activation of blocks.
        residual_init: `zero` starts every block as the identity (quicker from scratch), `normal` does not.
        initializer_range: Standard deviation of initial weights; when absent, it follows from each layer's width.
        layer_norm_eps: Epsilon of the layer normalisation of blocks.

    Raises:
        ValueError: If an option is out of range or options contradict each other.

    Source:
        Convolutional stems: Xiao et al. (2021), arXiv:2106.14881.
    """

    symmetries: ClassVar[tuple[str, ...]] = (*SYMMETRIES, "equivariant")

    image_size: int | Sequence[int] = 48
    patch_size: int = 8
    num_channels: int = 1
    stem: str = "conv"
    stem_channels: Sequence[int] = (16, 32, 64, 128)
    stem_blocks: int = 1
    stem_act: str = "relu"
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
        """Check the options."""
        as_pair(self.image_size)
        check_choice("stem", self.stem, STEMS)
        check_choice("residual_init", self.residual_init, RESIDUAL_INITS)
        for name in ("patch_size", "num_channels", "mlp_ratio"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and less than 1.")
        if self.symmetry == "equivariant" and self.stem != "equivariant":
            raise ValueError(f"symmetry='equivariant' needs stem='equivariant', not '{self.stem}'.")
        if self.symmetry != "none" and len(set(as_pair(self.image_size))) > 1:
            raise ValueError(f"symmetry='{self.symmetry}' needs square images, not image_size={self.image_size}.")
        if self.stem != "patch":
            if not self.stem_channels or min(self.stem_channels) < 1:
                raise ValueError(
                    f"stem_channels={tuple(self.stem_channels)} must be positive numbers, for example (16, 32)."
                )
            if self.stem_blocks < 0:
                raise ValueError(f"stem_blocks={self.stem_blocks} must not be negative.")
            first_stride(self.patch_size, self.stem_channels)
        if self.stem == "equivariant":
            self._check_equivariant()
        super().__post_init__(**kwargs)

    def _check_equivariant(self) -> None:
        """Check that channels come in eight orientations, and that the size of images prefers no side."""
        if any(channels % 8 for channels in self.stem_channels):
            raise ValueError(
                f"stem_channels={tuple(self.stem_channels)} must be multiples of 8, the orientations of the square."
            )
        self.check_symmetry(as_pair(self.image_size))

    def check_symmetry(self, size: tuple[int, int]) -> None:
        """Refuse images of a size at which an equivariant model would prefer a side.

        Args:
            size: Height and width [pixels].

        Raises:
            ValueError: If a side is not a whole number of the last tokens, or is longer than one window.
        """
        if self.symmetry != "equivariant":
            return
        longest = self.longest_side
        if any(side % self.output_stride for side in size) or (longest is not None and max(size) > longest):
            limit = "" if longest is None else f" and at most {longest} (one window)"
            raise ValueError(
                f"symmetry='equivariant' takes images whose sides are each a multiple of {self.output_stride} pixels"
                f"{limit}, not {size[0]}x{size[1]}, which would prefer a side; crop or resize them."
            )

    @property
    def output_stride(self) -> int:
        """Pixels per token of the last stage along an axis."""
        return self.patch_size

    @property
    def longest_side(self) -> int | None:
        """Longest side of an image that an equivariant model takes [pixels]; any when None."""
        return None


def as_pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Return a size as (height, width).

    Args:
        size: One side of a square, or height and width [pixels].

    Returns:
        Height and width.

    Raises:
        ValueError: If a side is not positive, or there are not two.
    """
    pair = (size, size) if isinstance(size, int) else tuple(int(side) for side in size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"image_size={size} must be one positive side or (height, width) [pixels].")
    return pair[0], pair[1]


def first_stride(patch_size: int, stem_channels: Sequence[int]) -> int:
    """Return the stride of the convolution before the stages of a convolutional stem.

    Args:
        patch_size: Total stride of the stem [pixels].
        stem_channels: Channels of each stage; all but the first halve the resolution.

    Returns:
        The stride that is left.

    Raises:
        ValueError: If the stages alone reduce more than `patch_size`.
    """
    halvings = 2 ** (len(stem_channels) - 1)
    if patch_size % halvings:
        raise ValueError(
            f"patch_size={patch_size} is not a multiple of {halvings}, the reduction by stem_channels="
            f"{tuple(stem_channels)}; use fewer stages or a larger patch_size."
        )
    return patch_size // halvings


def check_heads(name: str, width: int, heads: int) -> None:
    """Refuse heads that do not divide the width of their tokens.

    Args:
        name: Name of the option that gives the heads.
        width: Width of the tokens.
        heads: Number of heads.

    Raises:
        ValueError: If they do not.
    """
    if heads < 1 or width % heads:
        raise ValueError(f"{name}={heads} does not divide the width {width} of its tokens.")
