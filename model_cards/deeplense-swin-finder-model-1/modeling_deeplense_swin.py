"""DeepLense Swin: a hierarchical transformer with shifted windows."""

from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.output_capturing import capture_outputs

from .anomaly import AnomalyDetectionMixin
from .configuration_deeplense_swin import DeepLenseSwinConfig
from .heads import ImageClassificationMixin, ImageRegressionMixin
from .layers import Attention, PreNormBlock, drop_path_rates
from .masked_modeling import MaskedImageModelingMixin
from .modeling_deeplense import DeepLensePreTrainedModel, check_pixels
from .outputs import DeepLenseModelOutput
from .stems import build_stem
from .symmetry import symmetrised
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
            Tokens of the same shape, and weights `(batch, windows * heads, tokens, tokens)` or None.
        """
        batch, rows, columns, dim = tokens.shape
        size = self.config.window_size
        grid = window_grid(rows, columns, size, self.shifted, self.config.adaptive_window)
        (down, across), (height, width) = grid.windows, grid.window
        windows, length = down * across, height * width

        # windows are folded into the heads, so that one bias serves the whole batch without being copied
        qkv = self.qkv(split_windows(tokens, grid)).unflatten(-1, (3, self.heads, self.head_dim))
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7)  # qkv, batch, down, across, heads, height, width, head_dim
        query, key, value = (part.reshape(batch, windows * self.heads, length, -1) for part in qkv.unbind(0))

        table: Tensor = self.position_bias
        if self.config.symmetry == "equivariant":
            table = symmetrised(table.T.unflatten(1, (2 * size - 1, 2 * size - 1))).flatten(1).T
        bias = relative_position_bias(table, size, grid.window)[None]
        mask = window_mask(grid, bias)
        bias = bias.expand(windows, -1, -1, -1) if mask is None else bias + mask[:, None]
        bias = bias.reshape(1, windows * self.heads, length, length)

        attended, weights = self.attend(query, key, value, bias, **kwargs)
        attended = attended.view(batch, height, width, down, across, self.heads, self.head_dim)
        attended = attended.permute(0, 3, 1, 4, 2, 5, 6).reshape(batch, down, height, across, width, dim)
        return self.output(join_windows(attended, grid)), weights


class PatchMerging(nn.Module):
    """Halve the resolution and double the width by joining 2x2 tokens; odd maps are padded.

    Args:
        dim: Width of the tokens that come in.

    Source:
        Liu et al. (2021), arXiv:2103.14030, section 3.1.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
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


class PatchPooling(nn.Module):
    """Halve the resolution and double the width by averaging 2x2 tokens, which prefers no side.

    Args:
        dim: Width of the tokens that come in.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expansion = nn.Linear(dim, 2 * dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `(batch, rows, columns, dim)`, both even, to `(batch, rows / 2, columns / 2, 2 * dim)`."""
        pooled = nn.functional.avg_pool2d(tokens.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        return self.expansion(self.norm(pooled))


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
        self.blocks = nn.ModuleList()
        for index, rate in enumerate(rates):
            attention = WindowAttention(config, dim, config.num_heads[stage], shifted=index % 2 == 1)
            self.blocks.append(PreNormBlock(config, attention, dim, rate))
        halve = PatchPooling if config.symmetry == "equivariant" else PatchMerging
        self.merge = halve(dim) if stage < len(config.depths) - 1 else None

    def forward(self, tokens: Tensor, rows: int, columns: int, **kwargs: Any) -> Tensor:
        """Run the stage.

        Args:
            tokens: `(batch, rows * columns, dim)`.
            rows: Rows of tokens.
            columns: Columns of tokens.
            **kwargs: For the attention implementation.

        Returns:
            Tokens of the next stage, `(batch, tokens, dim)`.
        """
        tokens = tokens.view(tokens.shape[0], rows, columns, -1)
        for block in self.blocks:
            tokens, _ = block(tokens, **kwargs)
        return (tokens if self.merge is None else self.merge(tokens)).flatten(1, 2)


class DeepLenseSwinPreTrainedModel(DeepLensePreTrainedModel):
    """Base of the family."""

    config: DeepLenseSwinConfig
    config_class = DeepLenseSwinConfig
    _no_split_modules = ["SwinStage"]  # noqa: RUF012
    _can_record_outputs = {"hidden_states": SwinStage, "attentions": WindowAttention}  # noqa: RUF012
    _family = "DeepLenseSwin"

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
        self.stem_norm = nn.LayerNorm(config.embed_dim)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        rates = iter(drop_path_rates(config.drop_path_rate, sum(config.depths)))
        self.stages = nn.ModuleList(
            SwinStage(config, stage, list(islice(rates, depth))) for stage, depth in enumerate(config.depths)
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> DeepLenseModelOutput:
        """Compute features.

        Args:
            pixel_values: Processed images, `(batch, num_channels, height, width)`, of any size; an equivariant model
                takes those that `DeepLenseConfig.check_symmetry` does.
            interpolate_pos_encoding: Taken as by every family; positions are relative here, any size works.
            **kwargs: `output_hidden_states`, `output_attentions` (`eager` attention only), `return_dict`.

        Returns:
            Features, one vector per image, and what was asked for.

        Raises:
            ValueError: If the images have another number of bands than the model, or a size at which an equivariant
                model would prefer a side.
        """
        wants_maps = kwargs.get("output_hidden_states", self.config.output_hidden_states)
        images = check_pixels(pixel_values, self.config.num_channels)
        self.config.check_symmetry((images.shape[2], images.shape[3]))
        features = self.stem(images)
        rows, columns = features.shape[2:]
        tokens = self.dropout(self.stem_norm(features.permute(0, 2, 3, 1).flatten(1, 2)))
        maps = [as_map(tokens, rows, columns)] if wants_maps else None
        for stage in self.stages:
            tokens = stage(tokens, rows, columns, **kwargs)
            if stage.merge is not None:
                rows, columns = (rows + 1) // 2, (columns + 1) // 2
            if maps is not None:
                maps.append(as_map(tokens, rows, columns))
        tokens = self.norm(tokens)
        return DeepLenseModelOutput(
            last_hidden_state=tokens,
            pooler_output=tokens.mean(dim=1),
            feature_maps=None if maps is None else tuple(maps),
        )


def as_map(tokens: Tensor, rows: int, columns: int) -> Tensor:
    """View tokens as a map.

    Args:
        tokens: `(batch, rows * columns, dim)`.
        rows: Rows of tokens.
        columns: Columns of tokens.

    Returns:
        `(batch, dim, rows, columns)`.
    """
    return tokens.unflatten(1, (rows, columns)).permute(0, 3, 1, 2)


class DeepLenseSwinForImageClassification(ImageClassificationMixin, DeepLenseSwinPreTrainedModel):
    """DeepLense Swin with a linear classifier; see `ImageClassificationMixin`."""

    backbone_class = DeepLenseSwinModel


class DeepLenseSwinForImageRegression(ImageRegressionMixin, DeepLenseSwinPreTrainedModel):
    """DeepLense Swin with expected values and uncertainties of physical quantities; see `ImageRegressionMixin`."""

    backbone_class = DeepLenseSwinModel


class DeepLenseSwinForMaskedImageModeling(MaskedImageModelingMixin, DeepLenseSwinPreTrainedModel):
    """DeepLense Swin with a light decoder that fills in hidden parts of images; see `MaskedImageModelingMixin`."""

    backbone_class = DeepLenseSwinModel


class DeepLenseSwinForAnomalyDetection(AnomalyDetectionMixin, DeepLenseSwinPreTrainedModel):
    """DeepLense Swin with a score of how unlike normal images an image is; see `AnomalyDetectionMixin`."""

    backbone_class = DeepLenseSwinModel


__all__ = [
    "DeepLenseSwinForAnomalyDetection",
    "DeepLenseSwinForImageClassification",
    "DeepLenseSwinForImageRegression",
    "DeepLenseSwinForMaskedImageModeling",
    "DeepLenseSwinModel",
    "DeepLenseSwinPreTrainedModel",
]
