"""Layers that the families share: stems, attention, feed-forward, pre-norm block, stochastic depth."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_deeplense import DeepLenseConfig, first_stride


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attend with explicit weights; the `eager` implementation of transformers' attention interface.

    Args:
        module: The attention layer, asked whether it is training.
        query: Queries, `(batch, heads, tokens, head_dim)`.
        key: Keys, of the same shape.
        value: Values, of the same shape.
        attention_mask: Added to the scores, broadcastable to `(batch, heads, tokens, tokens)`.
        scaling: Factor of the scores.
        dropout: Dropout of the weights.
        **kwargs: What other implementations understand.

    Returns:
        Output `(batch, tokens, heads, head_dim)` and weights `(batch, heads, tokens, tokens)`.

    Source:
        Vaswani et al. (2017), arXiv:1706.03762, eq. 1.
    """
    scores = torch.matmul(query, key.transpose(-2, -1))
    scores = scores * scaling if attention_mask is None else torch.add(attention_mask, scores, alpha=scaling)
    weights = nn.functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2), weights


class DropPath(nn.Module):
    """Stochastic depth: drop a residual branch of whole samples while training.

    Args:
        probability: Probability of dropping.

    Source:
        Huang et al. (2016), arXiv:1603.09382.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        """Zero the branch of some samples and scale up the others, `(batch, ...)`."""
        if not self.training or self.probability == 0.0:
            return branch
        keep = 1.0 - self.probability
        shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
        return branch * (torch.rand(shape, device=branch.device) < keep).to(branch.dtype) / keep

    def extra_repr(self) -> str:
        """Show the probability."""
        return f"probability={self.probability}"


def drop_path_rates(last: float, blocks: int) -> list[float]:
    """Return the stochastic depth of each block, rising linearly from zero.

    Args:
        last: Rate of the last block.
        blocks: Number of blocks.

    Returns:
        One rate per block.
    """
    return [last * index / max(blocks - 1, 1) for index in range(blocks)]


class PatchStem(nn.Module):
    """Non-overlapping patches by one strided convolution; images are padded to whole patches.

    Args:
        config: `patch_size` and `num_channels`.
        dim: Width of the tokens.
    """

    def __init__(self, config: DeepLenseConfig, dim: int) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.projection = nn.Conv2d(config.num_channels, dim, config.patch_size, config.patch_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map `(batch, channels, height, width)` to `(batch, dim, rows, columns)`."""
        height, width = pixel_values.shape[-2:]
        bottom, right = -height % self.patch_size, -width % self.patch_size
        if bottom or right:
            pixel_values = nn.functional.pad(pixel_values, (0, right, 0, bottom))
        return self.projection(pixel_values)


class LastLinear(nn.Linear):
    """Linear layer that ends a residual branch, and may start from zero so that the branch adds nothing at first."""


class LastNorm(nn.BatchNorm2d):
    """Batch normalisation that ends a residual branch, and may start from zero so that the branch adds nothing."""


class ResidualConvBlock(nn.Module):
    """Two 3x3 convolutions with a residual connection.

    Args:
        channels_in: Channels that come in.
        channels_out: Channels that go out.
        stride: 2 halves the resolution.
        activation: Name of the activation.

    Source:
        He et al. (2016), arXiv:1512.03385, with the pooled shortcut of He et al. (2019), arXiv:1812.01187. Batch
        normalisation, since group normalisation halves the speed of training on a CPU.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, activation: str) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm_1 = nn.BatchNorm2d(channels_out)
        self.conv_2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm_2 = LastNorm(channels_out)
        self.activation = ACT2FN[activation]
        shortcut: list[nn.Module] = []
        if stride > 1:
            # odd sizes round up as the strided convolution does
            shortcut.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
        if stride > 1 or channels_in != channels_out:
            shortcut += [nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)]
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(batch, channels_in, height, width)` to `(batch, channels_out, height / stride, width / stride)`."""
        branch = self.activation(self.norm_1(self.conv_1(features)))
        return self.activation(self.norm_2(self.conv_2(branch)) + self.shortcut(features))


class ConvStem(nn.Module):
    """Residual convolutional stages; every stage but the first halves the resolution.

    Substructure shows at the scale of a pixel or two, which overlapping convolutions at full resolution see and
    patches of several pixels must learn to undo.

    Args:
        config: `patch_size`, `num_channels`, `stem_channels`, `stem_blocks`, `stem_act`.
        dim: Width of the tokens.

    Source:
        Xiao et al. (2021), arXiv:2106.14881 (early convolutions), with residual stages.
    """

    def __init__(self, config: DeepLenseConfig, dim: int) -> None:
        super().__init__()
        channels = list(config.stem_channels)
        act = config.stem_act
        self.entry = nn.Conv2d(
            config.num_channels, channels[0], 3, first_stride(config.patch_size, channels), 1, bias=False
        )
        self.norm = nn.BatchNorm2d(channels[0])
        self.activation = ACT2FN[act]
        blocks: list[nn.Module] = []
        for stage, width in enumerate(channels):
            before = channels[max(stage - 1, 0)]
            # without residual blocks a stage is the halving block alone
            count = max(config.stem_blocks, 1 if stage else 0)
            for index in range(count):
                first = index == 0
                blocks.append(ResidualConvBlock(before if first else width, width, 2 if first and stage else 1, act))
        self.blocks = nn.Sequential(*blocks)
        self.projection = nn.Conv2d(channels[-1], dim, 1)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map `(batch, channels, height, width)` to `(batch, dim, rows, columns)`."""
        # in this layout training is 1.6 times as fast on a CPU (not `contiguous`: it leaves one band as it is)
        features = self.entry(pixel_values.to(memory_format=torch.channels_last))
        features = self.activation(self.norm(features))
        return self.projection(self.blocks(features))


def build_stem(config: DeepLenseConfig, dim: int) -> PatchStem | ConvStem:
    """Make the stem that a configuration asks for.

    Args:
        config: A family's configuration.
        dim: Width of the tokens.

    Returns:
        A layer from pixels to a map of tokens.
    """
    return PatchStem(config, dim) if config.stem == "patch" else ConvStem(config, dim)


class Attention(nn.Module):
    """Multi-head self-attention through transformers' attention interface (`eager`, `sdpa`, ...).

    Args:
        config: `attention_probs_dropout_prob`, `qkv_bias` and the chosen implementation.
        dim: Width of the tokens.
        heads: Number of heads.

    Source:
        Vaswani et al. (2017), arXiv:1706.03762.
    """

    def __init__(self, config: DeepLenseConfig, dim: int, heads: int) -> None:
        super().__init__()
        self.config = config
        self.heads = heads
        self.head_dim = dim // heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.qkv = nn.Linear(dim, 3 * dim, bias=config.qkv_bias)
        self.output = LastLinear(dim, dim)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, **kwargs: Any) -> Any:
        """Attend within each row of a batch.

        Args:
            query: Queries, `(batch, heads, tokens, head_dim)`.
            key: Keys, of the same shape.
            value: Values, of the same shape.
            bias: Added to the scores, broadcastable to `(batch, heads, tokens, tokens)`.
            **kwargs: For the implementation.

        Returns:
            Output `(batch, tokens, heads, head_dim)`, and weights or None.
        """
        name = self.config._attn_implementation
        implementation: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(name, eager_attention)
        options = {"scaling": self.scaling, "dropout": 0.0, **kwargs}
        if self.training:
            options["dropout"] = self.config.attention_probs_dropout_prob
        if name == "sdpa" and bias is not None and bias.requires_grad and bias.device.type == "cpu":
            # torch has no fused kernel for a learnt bias on a CPU; what it does instead takes 1.4 times as long
            return eager_attention(self, query, key, value, bias, **options)[0], None
        return implementation(self, query, key, value, bias, **options)

    def forward(self, tokens: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Attend among all tokens, `(batch, tokens, dim)`; returns them with the weights or None."""
        batch, count, dim = tokens.shape
        query, key, value = (
            part.unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2)
            for part in self.qkv(tokens).chunk(3, dim=-1)
        )
        attended, weights = self.attend(query, key, value, None, **kwargs)
        return self.output(attended.reshape(batch, count, dim)), weights


class FeedForward(nn.Module):
    """Two linear layers with an activation between.

    Args:
        config: `mlp_ratio` and `hidden_act`.
        dim: Width of the tokens.
    """

    def __init__(self, config: DeepLenseConfig, dim: int) -> None:
        super().__init__()
        # a ratio made by a division may lie just below
        hidden = int(dim * config.mlp_ratio + 1e-6)
        self.expand = nn.Linear(dim, hidden)
        self.activation = ACT2FN[config.hidden_act]
        self.output = LastLinear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(..., dim)` to `(..., dim)`."""
        return self.output(self.activation(self.expand(tokens)))


class PreNormBlock(GradientCheckpointingLayer):
    """A transformer block: attention, then feed-forward, each on normalised tokens with a residual connection.

    Args:
        config: A family's configuration.
        attention: The attention layer.
        dim: Width of the tokens.
        drop_path_rate: Stochastic depth of this block.
    """

    def __init__(self, config: DeepLenseConfig, attention: nn.Module, dim: int, drop_path_rate: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.attention = attention
        self.norm_feed_forward = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config, dim)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, tokens: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Map `(batch, ..., dim)` to the same shape, with the attention weights or None."""
        attended, weights = self.attention(self.norm_attention(tokens), **kwargs)
        tokens = tokens + self.drop_path(self.dropout(attended))
        tokens = tokens + self.drop_path(self.dropout(self.feed_forward(self.norm_feed_forward(tokens))))
        return tokens, weights
