"""The part of a configuration that the families share: image geometry and stem."""

from collections.abc import Sequence

STEMS = ("patch", "conv")


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
        raise ValueError(f"image_size={size} must be one positive side or (height, width).")
    return pair[0], pair[1]


def first_stride(patch_size: int, stem_channels: Sequence[int]) -> int:
    """Return the stride of the first convolution of a convolutional stem.

    Every later stage of the stem halves the resolution; the first convolution takes what is left.

    Args:
        patch_size: Total stride of the stem [pixels].
        stem_channels: Channels of each stage.

    Returns:
        The stride.

    Raises:
        ValueError: If the later stages alone reduce more than `patch_size`.
    """
    later = 2 ** (len(stem_channels) - 1)
    if patch_size % later:
        raise ValueError(
            f"patch_size={patch_size} is not a multiple of {later}, the reduction by {len(stem_channels)} stages "
            f"of stem_channels={tuple(stem_channels)}; use fewer stages or a larger patch_size."
        )
    return patch_size // later


def check_stem(stem: str, patch_size: int, stem_channels: Sequence[int], stem_blocks: int) -> None:
    """Check the options of a stem.

    Args:
        stem: `patch` or `conv`.
        patch_size: Total stride of the stem [pixels].
        stem_channels: Channels of each stage of a convolutional stem.
        stem_blocks: Residual blocks of each stage.

    Raises:
        ValueError: If an option is out of range.
    """
    if stem not in STEMS:
        raise ValueError(f"stem='{stem}' is not one of {', '.join(STEMS)}.")
    if patch_size < 1:
        raise ValueError(f"patch_size={patch_size} must be positive.")
    if stem == "conv":
        if not stem_channels or min(stem_channels) < 1:
            raise ValueError(f"stem_channels={tuple(stem_channels)} must be positive numbers, for example (16, 32).")
        if stem_blocks < 0:
            raise ValueError(f"stem_blocks={stem_blocks} must not be negative.")
        first_stride(patch_size, stem_channels)


def check_heads(name: str, dim: int, heads: int) -> None:
    """Check that a width divides into attention heads.

    Args:
        name: Option that gives the heads, for the message.
        dim: Width of the tokens.
        heads: Number of heads.

    Raises:
        ValueError: If it does not.
    """
    if heads < 1 or dim % heads:
        raise ValueError(f"{name}={heads} does not divide the width {dim} of its tokens.")
