"""Attention windows: which tokens share one, and how they are related; pure functions of sizes."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

# added to the score of a pair of tokens that are no neighbours on the map; the published -100 leaves attention weights
# of 1e-44, and such denormal numbers slow a CPU down
_APART = -1e4
# number of the region of tokens that only fill up the map; the shift makes three others
_FILLING = 3


@dataclass(frozen=True)
class WindowGrid:
    """How a map of tokens is tiled by windows.

    Attributes:
        rows: Rows of the map [tokens].
        columns: Columns of the map [tokens].
        window: Height and width of a window [tokens].
        shift: By how much the windows are shifted along rows and columns [tokens].
        masked: Whether tokens that only fill up the map are hidden from the others.
    """

    rows: int
    columns: int
    window: tuple[int, int]
    shift: tuple[int, int]
    masked: bool

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns that fill up the map to whole windows [tokens]."""
        return -self.rows % self.window[0], -self.columns % self.window[1]

    @property
    def windows(self) -> tuple[int, int]:
        """Number of windows along rows and columns."""
        return -(-self.rows // self.window[0]), -(-self.columns // self.window[1])


def window_grid(rows: int, columns: int, window_size: int, shifted: bool, adaptive: bool) -> WindowGrid:
    """Choose the windows of a map.

    Args:
        rows: Rows of the map [tokens].
        columns: Columns of the map [tokens].
        window_size: Configured side of a window [tokens].
        shifted: Whether windows are shifted by half their size.
        adaptive: Whether windows shrink, to no less than about half, where they then need less filling up, and
            the filling is hidden; otherwise as in transformers' Swin.

    Returns:
        The tiling. A window that is larger than the map shrinks to it and is not shifted.
    """
    window = _side(rows, window_size, adaptive), _side(columns, window_size, adaptive)
    # transformers' Swin shifts along no axis as soon as one of them fits into a window
    fits = rows <= window[0], columns <= window[1]
    still = fits if adaptive else (any(fits),) * 2
    shift = (
        window[0] // 2 if shifted and not still[0] else 0,
        window[1] // 2 if shifted and not still[1] else 0,
    )
    return WindowGrid(rows, columns, window, shift, masked=adaptive)


def _side(length: int, window_size: int, adaptive: bool) -> int:
    """Choose the side of the windows along one axis."""
    if length <= window_size:
        return length
    if not adaptive:
        return window_size
    # the least filling up, then the largest window
    return min(range(window_size, window_size // 2, -1), key=lambda side: -(-length // side) * side)


def split_windows(tokens: Tensor, grid: WindowGrid) -> Tensor:
    """Fill up and shift a map, and view it as windows.

    Args:
        tokens: `(batch, rows, columns, dim)`.
        grid: The tiling.

    Returns:
        `(batch, windows down, height, windows across, width, dim)`; dimensions 2 and 4 are one window.
    """
    bottom, right = grid.padding
    if bottom or right:
        tokens = torch.nn.functional.pad(tokens, (0, 0, 0, right, 0, bottom))
    if any(grid.shift):
        tokens = torch.roll(tokens, (-grid.shift[0], -grid.shift[1]), dims=(1, 2))
    (down, across), (height, width) = grid.windows, grid.window
    return tokens.view(tokens.shape[0], down, height, across, width, tokens.shape[-1])


def join_windows(tokens: Tensor, grid: WindowGrid) -> Tensor:
    """Undo `split_windows`.

    Args:
        tokens: `(batch, windows down, height, windows across, width, dim)`.
        grid: The tiling.

    Returns:
        `(batch, rows, columns, dim)`.
    """
    bottom, right = grid.padding
    tokens = tokens.reshape(tokens.shape[0], grid.rows + bottom, grid.columns + right, tokens.shape[-1])
    if any(grid.shift):
        tokens = torch.roll(tokens, grid.shift, dims=(1, 2))
    return tokens[:, : grid.rows, : grid.columns] if bottom or right else tokens


def relative_position_bias(table: Tensor, window_size: int, window: tuple[int, int]) -> Tensor:
    """Look up the learnt bias of every pair of tokens of a window.

    Args:
        table: One row per distance along rows and columns, `((2 * window_size - 1)**2, heads)`.
        window_size: Side of the windows that the table is made for [tokens].
        window: Height and width of a window, at most that [tokens].

    Returns:
        `(heads, tokens, tokens)`.

    Source:
        Liu et al. (2021), arXiv:2103.14030, section 3.2. A smaller window uses the middle of the table. The lookup is
        a sliding view instead of an index: no buffer that could be lost, and a quick backward pass.
    """
    height, width = window
    heads = table.shape[-1]
    distances = table.view(2 * window_size - 1, 2 * window_size - 1, heads).permute(2, 0, 1)
    distances = distances[
        :, window_size - height : window_size + height - 1, window_size - width : window_size + width - 1
    ]
    # [head, row of query, column of query, -row of key, -column of key]
    pairs = distances.unfold(1, height, 1).unfold(2, width, 1).flip(3, 4)
    return pairs.reshape(heads, height * width, height * width)


def window_mask(grid: WindowGrid, like: Tensor) -> Tensor | None:
    """Mask pairs of tokens that share a window but no neighbourhood of the map.

    Args:
        grid: The tiling.
        like: Type and device of the mask.

    Returns:
        Zero or a large negative number, `(windows, tokens, tokens)`; None where nothing is to be masked.

    Source:
        Liu et al. (2021), arXiv:2103.14030, figure 4; also hides what fills up the map.
    """
    if not any(grid.shift) and not (grid.masked and any(grid.padding)):
        return None
    return torch.from_numpy(_mask(grid)).to(device=like.device, dtype=like.dtype)


@lru_cache(maxsize=64)
def _mask(grid: WindowGrid) -> np.ndarray:
    """Compute a mask; as an array, which unlike a tensor may be kept under every mode of torch."""
    regions = [
        _regions(length, grid.window[axis], grid.shift[axis], grid.padding[axis] if grid.masked else 0)
        for axis, length in enumerate((grid.rows + grid.padding[0], grid.columns + grid.padding[1]))
    ]
    region = regions[0][:, None] * 2 * _FILLING + regions[1][None, :]
    (down, across), (height, width) = grid.windows, grid.window
    tiles = region.reshape(down, height, across, width).swapaxes(1, 2).reshape(-1, height * width)
    apart = tiles[:, None, :] != tiles[:, :, None]
    mask: np.ndarray = np.where(apart, np.float32(_APART), np.float32(0.0))
    return mask


def _regions(length: int, window: int, shift: int, filling: int) -> np.ndarray:
    """Number the stretches of an axis that belong together, after the shift."""
    region = np.zeros(length, dtype=np.int64)
    region[length - filling :] = _FILLING
    if shift:
        region = np.roll(region, -shift)
        region[length - window : length - shift] += 1
        region[length - shift :] += 2
    return region
