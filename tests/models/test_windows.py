"""Tiling of feature maps by attention windows."""

import itertools

import pytest
import torch
from torch import Tensor
from transformers import SwinConfig
from transformers.models.swin.modeling_swin import SwinLayer, SwinRelativePositionBias

from deeplense_hf.models.windows import (
    join_windows,
    relative_position_bias,
    split_windows,
    window_grid,
    window_mask,
)

SIZES = [(24, 24), (25, 25), (13, 7), (38, 19), (5, 40), (1, 1)]


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize(("shifted", "adaptive"), list(itertools.product((False, True), repeat=2)))
def test_joining_undoes_splitting(rows: int, columns: int, shifted: bool, adaptive: bool) -> None:
    grid = window_grid(rows, columns, 6, shifted, adaptive)
    tokens = torch.randn(2, rows, columns, 3)
    assert torch.equal(join_windows(split_windows(tokens, grid), grid), tokens)


@pytest.mark.parametrize(
    ("length", "window", "padding"), [(24, 6, 0), (25, 5, 0), (16, 4, 0), (13, 5, 2), (12, 6, 0), (4, 4, 0), (7, 4, 1)]
)
def test_adaptive_windows_need_little_padding(length: int, window: int, padding: int) -> None:
    grid = window_grid(length, length, 6, shifted=False, adaptive=True)
    assert grid.window == (window, window)
    assert grid.padding == (padding, padding)


def test_a_window_that_covers_the_map_is_not_shifted() -> None:
    assert window_grid(5, 40, 6, shifted=True, adaptive=True).shift == (0, 2)
    # as transformers' Swin does it
    assert window_grid(6, 40, 6, shifted=True, adaptive=False).shift == (0, 0)


def test_bias_and_mask_equal_those_of_transformers() -> None:
    stock = SwinRelativePositionBias(3, (5, 5))
    torch.nn.init.normal_(stock.relative_position_bias_table)
    bias = relative_position_bias(stock.relative_position_bias_table, 5, (5, 5))
    assert torch.equal(bias, stock()[0])
    layer = SwinLayer(SwinConfig(window_size=4), 96, (8, 12), 3, shift_size=2)
    mask = window_mask(window_grid(8, 12, 4, shifted=True, adaptive=False), bias)
    expected = layer.get_attn_mask(8, 12, torch.float32, torch.device("cpu"))
    assert mask is not None
    assert expected is not None
    # ours is so large that no attention is left
    assert torch.equal(mask, 100 * expected)


def test_smaller_windows_use_the_middle_of_the_table() -> None:
    table = torch.randn(9 * 9, 2)
    large = relative_position_bias(table, 5, (5, 5)).view(2, 5, 5, 5, 5)
    small = relative_position_bias(table, 5, (3, 2)).view(2, 3, 2, 3, 2)
    assert torch.equal(small, large[:, :3, :2, :3, :2])


def neighbours(rows: int, columns: int, shifted: bool) -> Tensor:
    """Return which tokens may see each other, by brute force: `(tokens, tokens)`."""
    grid = window_grid(rows, columns, 6, shifted, adaptive=True)
    mask = window_mask(grid, torch.zeros(()))
    number = torch.arange(1.0, rows * columns + 1).view(1, rows, columns, 1)
    windows = split_windows(number, grid)[0, ..., 0].transpose(1, 2).flatten(0, 1).flatten(1).long()
    seen = torch.zeros(rows * columns + 1, rows * columns + 1, dtype=torch.bool)
    for index, window in enumerate(windows):
        apart = torch.zeros(len(window), len(window)) if mask is None else mask[index]
        for i, j in itertools.product(range(len(window)), repeat=2):
            seen[window[i], window[j]] |= bool(apart[i, j] == 0)
    # number 0 is what fills up the map
    assert not seen[0, 1:].any()
    assert not seen[1:, 0].any()
    return seen[1:, 1:]


@pytest.mark.parametrize(("rows", "columns"), [(13, 7), (8, 13)])
@pytest.mark.parametrize("shifted", [False, True])
def test_only_close_tokens_see_each_other_and_never_the_filling(rows: int, columns: int, shifted: bool) -> None:
    seen = neighbours(rows, columns, shifted)
    assert seen.diagonal().all()
    assert torch.equal(seen, seen.T)
    row = torch.arange(rows).repeat_interleave(columns)
    column = torch.arange(columns).repeat(rows)
    far = (row[:, None] - row).abs().maximum((column[:, None] - column).abs()) >= 6
    assert not (seen & far).any()
