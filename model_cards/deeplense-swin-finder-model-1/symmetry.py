"""The eight rotations and flips of the square: of images, of filters and of tables of positions."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

ORIENTATIONS = 8


def orient(images: Tensor, orientation: int) -> Tensor:
    """Turn images.

    Args:
        images: `(..., side, side)`.
        orientation: 0 to 7: quarter turns, and from 4 on a flip before them.

    Returns:
        Images of the same shape.
    """
    turned = images.flip(-1) if orientation >= ORIENTATIONS // 2 else images
    return torch.rot90(turned, orientation % (ORIENTATIONS // 2), dims=(-2, -1))


def symmetrised(table: Tensor) -> Tensor:
    """Average a table over its orientations.

    Args:
        table: `(..., side, side)`.

    Returns:
        A table of the same shape that is equal in all orientations.
    """
    return torch.stack([orient(table, number) for number in range(ORIENTATIONS)]).mean(dim=0)


@lru_cache(maxsize=8)
def filter_indices(size: int, lifted: bool) -> np.ndarray:
    """Say which weight of a shared filter stands where in the filters of all orientations.

    Args:
        size: Side of the filter.
        lifted: Whether its input already has orientations.

    Returns:
        Indices into a flattened shared filter: `(8, size**2)` for images, `(8, 8 * size**2)` otherwise: for each
        orientation of the output those of all orientations of the input.

    Source:
        Cohen & Welling (2016), arXiv:1602.07576, section 7: for the group g of the output and h of the input, the
        filter of `g^-1 h`, turned by g.
    """
    pixels = np.stack(
        [orient(torch.arange(size**2).view(size, size), g).flatten().numpy() for g in range(ORIENTATIONS)]
    )
    if not lifted:
        return pixels
    corners = np.stack([orient(torch.arange(9).view(3, 3), g).flatten().numpy() for g in range(ORIENTATIONS)])
    names = {tuple(row): number for number, row in enumerate(corners.tolist())}
    # turning by g after h: the pixels of h, at the places that g takes them from
    product = np.array(
        [[names[tuple(corners[h][corners[g]])] for h in range(ORIENTATIONS)] for g in range(ORIENTATIONS)]
    )
    inverse = np.array([int(np.flatnonzero(row == 0)[0]) for row in product])
    relative = product[inverse]  # [g, h] -> g^-1 h
    indices: np.ndarray = (relative[:, :, None] * size**2 + pixels[:, None, :]).reshape(ORIENTATIONS, -1)
    return indices


def _turned_pixels(size: int) -> np.ndarray:
    """Number the pixels of a square as they stand after each orientation, `(8, size**2)`."""
    square = torch.arange(size**2).view(size, size)
    return np.stack([orient(square, number).flatten().numpy() for number in range(ORIENTATIONS)])
