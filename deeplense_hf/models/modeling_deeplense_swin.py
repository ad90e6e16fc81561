"""DeepLense Swin: a hierarchical transformer with shifted windows."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.utils.generic import can_return_tuple

from .configuration_deeplense_swin import DeepLenseSwinConfig
from .heads import DeepLensePreTrainedModel, ImageClassificationMixin, check_pixels
from .layers import Attention, PreNormBlock, build_stem, drop_path_rates
from .outputs import DeepLenseModelOutput
from .windows import join_windows, relative_position_bias, split_windows, window_grid, window_mask


class WindowAttention(Attention):
    """Self-attention within windows, with a learnt bias for relative positions.

    Args:
        config: The family's configuration.
        dim: Width of the tokens.
        heads: Number of heads.
        shifted: Whether windows are shifted by half their size.

    Source:
        Liu et al. (2021), arXiv:2103.14030, section 3.2.
    """

    def __init__(self, config: DeepLenseSwinConfig, dim: int, heads: int, shifted: bool) -> None:
        super().__init__(config, dim, heads)
        self.shifted = shifted
        self.position_bias = nn.Parameter(torch.zeros((2 * config.window_size - 1) ** 2, heads))

    def forward(self, tokens: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Attend within windows.

        Args:
            tokens: Normalised tokens, `(batch, rows, columns, dim)`.
            **kwargs: For the attention implementation.

        Returns:
            Tokens of the same shape, and weights `(batch * windows, heads, tokens, tokens)` or None.
        """
        batch, rows, columns, dim = tokens.shape
        size = self.config.window_size
        grid = window_grid(rows, columns, size, self.shifted, self.config.adaptive_window)
        (down, across), (height, width) = grid.windows, grid.window
        windows, length = down * across, height * width

        # windows are folded into the heads, so that one bias serves the whole batch without being copied
        folded = []
        for part in self.qkv(split_windows(tokens, grid)).chunk(3, dim=-1):
            part = part.unflatten(-1, (self.heads, self.head_dim)).permute(0, 1, 3, 5, 2, 4, 6)
            folded.append(part.reshape(batch, windows * self.heads, length, self.head_dim))

        bias = relative_position_bias(self.position_bias, size, grid.window)[None]
        mask = window_mask(grid, bias)
        bias = bias.expand(windows, -1, -1, -1) if mask is None else bias + mask[:, None]
        bias = bias.reshape(1, windows * self.heads, length, length)

        attended, weights = self.attend(*folded, bias, **kwargs)
        attended = attended.view(batch, height, width, down, across, self.heads, self.head_dim)
        attended = attended.permute(0, 3, 1, 4, 2, 5, 6).reshape(batch, down, height, across, width, dim)
        if weights is not None:
            weights = weights.view(batch * windows, self.heads, length, length)
        return self.output(join_windows(attended, grid)), weights


class PatchMerging(nn.Module):
    """Halve the resolution and double the width by joining 2x2 tokens; odd maps are padded.

    Args:
        config: The family's configuration.
        dim: Width of the tokens that come in.

    Source:
        Liu et al. (2021), arXiv:2103.14030, section 3.1.
    """

    def __init__(self, config: DeepLenseSwinConfig, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim, eps=config.layer_norm_eps)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(batch, rows, columns, dim)` to `(batch, rows / 2, columns / 2, 2 * dim)`."""
        batch, rows, columns, dim = tokens.shape
        if rows % 2 or columns % 2:
            tokens = nn.functional.pad(tokens, (0, 0, 0, columns % 2, 0, rows % 2))
        tokens = tokens.view(batch, (rows + 1) // 2, 2, (columns + 1) // 2, 2, dim)
        # the order of Swin: column by column of the 2x2 square
        tokens = tokens.permute(0, 1, 3, 4, 2, 5).reshape(batch, (rows + 1) // 2, (columns + 1) // 2, 4 * dim)
        return self.reduction(self.norm(tokens))


class SwinStage(nn.Module):
    """Blocks at one resolution, then the step to the next.

    Args:
        config: The family's configuration.
        stage: Number of the stage.
        rates: Stochastic depth of each block.
    """

    def __init__(self, config: DeepLenseSwinConfig, stage: int, rates: list[float]) -> None:
        super().__init__()
        dim = config.embed_dim * 2**stage
        self.blocks = nn.ModuleList(
            PreNormBlock(
                config, WindowAttention(config, dim, config.num_heads[stage], shifted=index % 2 == 1), dim, rate
            )
            for index, rate in enumerate(rates)
        )
        self.merge = PatchMerging(config, dim) if stage < len(config.depths) - 1 else None

    def forward(self, tokens: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Run the stage.

        Args:
            tokens: `(batch, rows, columns, dim)`.
            **kwargs: For the attention implementation.

        Returns:
            Tokens of the next stage, and the last block's attention weights or None.
        """
        weights = None
        for block in self.blocks:
            tokens, weights = block(tokens, **kwargs)
        return (tokens if self.merge is None else self.merge(tokens)), weights


class DeepLenseSwinPreTrainedModel(DeepLensePreTrainedModel):
    """Base of the family."""

    config: DeepLenseSwinConfig
    config_class = DeepLenseSwinConfig
    _no_split_modules = ["SwinStage"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set initial weights; position biases start at zero."""
        super()._init_weights(module)
        if isinstance(module, WindowAttention):
            init.zeros_(module.position_bias)


class DeepLenseSwinModel(DeepLenseSwinPreTrainedModel):
    """Features of lens images by shifted windows.

    Args:
        config: The configuration.
    """

    def __init__(self, config: DeepLenseSwinConfig) -> None:
        super().__init__(config)
        self.stem = build_stem(config, config.embed_dim)
        self.stem_norm = nn.LayerNorm(config.embed_dim, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        rates = drop_path_rates(config.drop_path_rate, sum(config.depths))
        stages = []
        for stage, depth in enumerate(config.depths):
            begin = sum(config.depths[:stage])
            stages.append(SwinStage(config, stage, rates[begin : begin + depth]))
        self.stages = nn.ModuleList(stages)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the stem."""
        return self.stem

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> DeepLenseModelOutput:
        """Compute features.

        Args:
            pixel_values: Processed images, `(batch, num_channels, height, width)`, of any size.
            interpolate_pos_encoding: Accepted as by every family; positions are relative here.
            output_hidden_states: Whether to return the tokens after the stem and every stage.
            output_attentions: Whether to return attention weights (`eager` attention only).
            **kwargs: `return_dict`, and options of the attention implementation.

        Returns:
            Features, one vector per image, and what was asked for.

        Raises:
            ValueError: If the images have another number of bands than the model.
        """
        pixel_values = check_pixels(pixel_values, self.config.num_channels)
        wants_states = self.wants(output_hidden_states, "output_hidden_states")
        wants_weights = self.wants(output_attentions, "output_attentions")
        tokens = self.stem(pixel_values).permute(0, 2, 3, 1)  # batch, rows, columns, dim
        tokens = self.dropout(self.stem_norm(tokens))
        states, attentions = [tokens], []
        for stage in self.stages:
            tokens, weights = stage(tokens, **kwargs)
            states.append(tokens)
            attentions.append(weights)
        tokens = self.norm(tokens).flatten(1, 2)
        return DeepLenseModelOutput(
            last_hidden_state=tokens,
            pooler_output=tokens.mean(dim=1),
            hidden_states=tuple(state.flatten(1, 2) for state in states) if wants_states else None,
            attentions=tuple(attentions) if wants_weights else None,
            feature_maps=tuple(state.permute(0, 3, 1, 2) for state in states) if wants_states else None,
        )


class DeepLenseSwinForImageClassification(ImageClassificationMixin, DeepLenseSwinPreTrainedModel):
    """DeepLense Swin with a linear classifier.

    Args:
        config: The configuration; `num_labels`, `id2label` and `problem_type` describe the classes.
    """

    def __init__(self, config: DeepLenseSwinConfig) -> None:
        super().__init__(config)
        self.backbone = DeepLenseSwinModel(config)
        self.classifier = self.build_classifier()
        self.post_init()


__all__ = [
    "DeepLenseSwinForImageClassification",
    "DeepLenseSwinModel",
    "DeepLenseSwinPreTrainedModel",
]
