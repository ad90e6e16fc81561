"""Layers that the families share: attention, feed-forward, pre-norm block, stochastic depth."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_deeplense import DeepLenseConfig


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


class LastLinear(nn.Linear):
    """Linear layer that ends a residual branch, and may start from zero so that the branch adds nothing at first."""


class LastNorm(nn.BatchNorm2d):
    """Batch normalisation that ends a residual branch, and may start from zero so that the branch adds nothing."""


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
