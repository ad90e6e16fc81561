"""Tables of positions of pretrained models, interpolated to another image size."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

# special tokens that precede the positions of a grid: none, a class token, one for distillation, four registers
_SPECIAL_TOKENS = (0, 1, 2, 5)
# entries for the class token that follow a table of relative positions
_SPECIAL_RELATIONS = (0, 3)


def interpolate_table(name: str, table: Tensor, shape: Sequence[int]) -> Tensor | None:
    """Interpolate whatever kind of table of positions a weight is.

    Args:
        name: Name of the weight.
        table: The weight.
        shape: Its new shape.

    Returns:
        The table in the new shape; none if the weight is no table that can be brought to it.

    Raises:
        ValueError: If it is one, of other than square grids.
    """
    parts = name.removesuffix(".weight").split(".")
    if "pos" not in parts[-1] or table.ndim != len(shape):
        return None
    if parts[-1] in ("rel_pos_h", "rel_pos_w"):
        return _interpolate_distances(table, shape[0]) if table.shape[1] == shape[1] else None
    return (_interpolate_any_relative if "rel" in parts[-1] else _interpolate_any_absolute)(table, shape)


def _interpolate_any_relative(table: Tensor, shape: Sequence[int]) -> Tensor | None:
    """Interpolate relative positions: by pair `(pairs, heads)`, or as maps `(heads, rows, columns)`."""
    if table.ndim == 3 and table.shape[0] == shape[0]:
        return _interpolate_grid(table[None], shape[1:])[0]
    if table.ndim == 2 and table.shape[1] == shape[1]:
        return interpolate_relative(table, shape[0])
    return None


def _interpolate_any_absolute(table: Tensor, shape: Sequence[int]) -> Tensor | None:
    """Interpolate positions of tokens, `(tokens, width)` or with a leading 1, or maps with channels first or last."""
    if table.ndim == 2 and table.shape[1] == shape[1]:
        return interpolate_positions(table[None], shape[0])[0]
    if table.shape[0] == shape[0] == 1:
        if table.ndim == 3 and table.shape[2] == shape[2]:
            return interpolate_positions(table, shape[1])
        if table.ndim == 4 and table.shape[1] == shape[1]:
            return _interpolate_grid(table, shape[2:])
        if table.ndim == 4 and table.shape[3] == shape[3]:
            return _interpolate_grid(table.permute(0, 3, 1, 2), shape[1:3]).permute(0, 2, 3, 1)
    return None


def interpolate_positions(table: Tensor, length: int) -> Tensor:
    """Interpolate a table of absolute positions of a square grid to another one.

    Args:
        table: `(1, special + side**2, width)`; the special tokens come first.
        length: New length, with as many special tokens.

    Returns:
        `(1, length, width)`.

    Raises:
        ValueError: If no number of special tokens leaves squares on both sides.

    Source:
        Dosovitskiy et al. (2021), arXiv:2010.11929, section 3.2.
    """
    for special in _SPECIAL_TOKENS:
        old, new = _side(table.shape[1] - special), _side(length - special)
        if old and new:
            grid = table[:, special:].unflatten(1, (old, old)).permute(0, 3, 1, 2)
            grid = _interpolate_grid(grid, (new, new))
            return torch.cat((table[:, :special], grid.flatten(2).transpose(1, 2)), dim=1)
    raise ValueError(f"a table of {table.shape[1]} positions is no square grid that can become one of {length}.")


def interpolate_relative(table: Tensor, length: int) -> Tensor:
    """Interpolate a table of relative positions to another window.

    Args:
        table: `((2 * side - 1)**2 + special, heads)`; the special entries come last.
        length: New length, with as many special entries.

    Returns:
        `(length, heads)`.

    Raises:
        ValueError: If no number of special entries leaves squares on both sides.

    Source:
        Bao et al. (2022), arXiv:2106.08254: three special entries for the class token; Liu et al. (2022),
        arXiv:2111.09883, for the interpolation between windows.
    """
    for special in _SPECIAL_RELATIONS:
        old, new = _side(len(table) - special), _side(length - special)
        if old and new:
            grid = _interpolate_grid(table[: old**2].T.unflatten(1, (old, old))[None], (new, new))[0]
            return torch.cat((grid.flatten(1).T, table[old**2 :]))
    raise ValueError(f"a table of {len(table)} relative positions cannot become one of {length}.")


def _interpolate_distances(table: Tensor, length: int) -> Tensor:
    """Interpolate a table of distances along one axis, `(2 * side - 1, width)`, to another length.

    Source:
        Li et al. (2022), arXiv:2112.01526, whose implementation interpolates linearly.
    """
    return functional.interpolate(table.T[None], length, mode="linear", align_corners=False)[0].T


def _interpolate_grid(grid: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate `(1, width, rows, columns)` bicubically to other rows and columns."""
    return functional.interpolate(grid.float(), tuple(size), mode="bicubic", align_corners=False).to(grid.dtype)


def _side(count: int) -> int:
    """Return the side of a square grid of so many points, 0 if there is none."""
    side = round(max(count, 0) ** 0.5)
    return side if side**2 == count else 0


__all__ = ["interpolate_positions", "interpolate_relative", "interpolate_table"]
