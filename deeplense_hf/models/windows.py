"""Attention windows: which tokens share one, and how they are related; pure functions of sizes."""

from functools import lru_cache

import torch
from torch import Tensor

# added to the score of a pair of tokens that a cyclic shift brought together
_SEPARATED = -100.0


def window_of(rows: int, columns: int, window_size: int) -> tuple[int, int]:
    """Return the window of a feature map: the configured one, or the whole map where that is smaller.

    Args:
        rows: Rows of tokens.
        columns: Columns of tokens.
        window_size: Configured side of a window [tokens].

    Returns:
        Height and width of a window [tokens].
    """
    return min(rows, window_size), min(columns, window_size)


def shift_of(rows: int, columns: int, window: tuple[int, int]) -> tuple[int, int]:
    """Return by how much shifted windows move: half a window, or nothing where one window covers the map.

    Args:
        rows: Rows of tokens.
        columns: Columns of tokens.
        window: Height and width of a window [tokens].

    Returns:
        Shift along rows and columns [tokens].
    """
    return (
        window[0] // 2 if rows > window[0] else 0,
        window[1] // 2 if columns > window[1] else 0,
    )


@lru_cache(maxsize=64)
def relative_position_index(window: tuple[int, int], window_size: int, device: str) -> Tensor:
    """Index the table of relative position biases for all pairs of tokens of a window.

    Args:
        window: Height and width of a window, at most `window_size` [tokens].
        window_size: Side of the windows that the table is made for [tokens].
        device: Where the index lives.

    Returns:
        Rows of the table, `(tokens * tokens,)`, int64.

    Source:
        Liu et al. (2021), arXiv:2103.14030, section 3.2. A smaller window uses the middle of the table.
    """
    # a tensor made in inference mode could not be saved for a later backward pass
    with torch.inference_mode(False):
        rows = torch.arange(window[0], device=device)
        columns = torch.arange(window[1], device=device)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)  # 2, tokens
        distance = grid[:, :, None] - grid[:, None, :] + (window_size - 1)  # 2, tokens, tokens
        return (distance[0] * (2 * window_size - 1) + distance[1]).flatten()


@lru_cache(maxsize=64)
def shifted_window_mask(
    rows: int, columns: int, window: tuple[int, int], shift: tuple[int, int], device: str, dtype: torch.dtype
) -> Tensor:
    """Mask pairs of tokens that share a shifted window but not a neighbourhood of the map.

    Args:
        rows: Rows of tokens, a multiple of the window's height.
        columns: Columns of tokens, a multiple of the window's width.
        window: Height and width of a window [tokens].
        shift: Cyclic shift along rows and columns [tokens].
        device: Where the mask lives.
        dtype: Its type.

    Returns:
        Zero or a large negative number, `(windows, tokens, tokens)`.

    Source:
        Liu et al. (2021), arXiv:2103.14030, figure 4.
    """
    with torch.inference_mode(False):
        region = _regions(rows, window[0], shift[0])[:, None] * 3 + _regions(columns, window[1], shift[1])[None, :]
        tiles = region.view(rows // window[0], window[0], columns // window[1], window[1])
        tiles = tiles.transpose(1, 2).reshape(-1, window[0] * window[1])  # windows, tokens
        apart = tiles[:, None, :] != tiles[:, :, None]
        return apart.to(device=device, dtype=dtype) * _SEPARATED


def _regions(length: int, window: int, shift: int) -> Tensor:
    """Number the stretches of an axis that belong together after a shift."""
    region = torch.zeros(length, dtype=torch.int64)
    if shift:
        region[length - window : length - shift] = 1
        region[length - shift :] = 2
    return region
