"""DeepLense ViT: a plain vision transformer."""

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.output_capturing import capture_outputs

from .anomaly import AnomalyDetectionMixin
from .configuration_deeplense import as_pair
from .configuration_deeplense_vit import DeepLenseViTConfig
from .heads import ImageClassificationMixin, ImageRegressionMixin
from .layers import Attention, PreNormBlock, drop_path_rates
from .masked_modeling import MaskedImageModelingMixin
from .modeling_deeplense import DeepLensePreTrainedModel, check_pixels
from .outputs import DeepLenseModelOutput
from .stems import build_stem
from .symmetry import symmetrised


class PositionEmbedding(nn.Module):
    """Class token, distillation token if wanted, and one learnt vector per token, interpolated for other image sizes.

    Args:
        config: The family's configuration.

    Source:
        Dosovitskiy et al. (2021), arXiv:2010.11929, section 3.2 (interpolation: section 3.2, last paragraph).
    """

    def __init__(self, config: DeepLenseViTConfig) -> None:
        super().__init__()
        height, width = as_pair(config.image_size)
        # stems round incomplete patches up
        self.grid = (-(-height // config.patch_size), -(-width // config.patch_size))
        self.symmetric = config.symmetry == "equivariant"
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        # with its position, which a table of its own would hold otherwise
        self.distillation_token = (
            nn.Parameter(torch.zeros(1, 1, config.hidden_size)) if config.distillation_token else None
        )
        self.table = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], config.hidden_size))

    def forward(self, tokens: Tensor, grid: tuple[int, int], interpolate: bool) -> Tensor:
        """Put the class token (and the distillation token before it) before the image tokens and add the positions.

        Args:
            tokens: `(batch, rows * columns, dim)`.
            grid: Rows and columns.
            interpolate: Whether another grid than the configured one is accepted.

        Returns:
            `(batch, 1 + rows * columns, dim)`, with a distillation token one more.

        Raises:
            ValueError: If the grid differs and must not be interpolated.
        """
        table: Tensor = self.table
        if self.symmetric:
            image_table = symmetrised(table[:, 1:].transpose(1, 2).unflatten(2, self.grid))
            table = torch.cat((table[:, :1], image_table.flatten(2).transpose(1, 2)), dim=1)
        if grid != self.grid:
            if not interpolate:
                raise ValueError(
                    f"the image gives {grid[0]}x{grid[1]} tokens, but the model was made for "
                    f"{self.grid[0]}x{self.grid[1]}; resize the image or set interpolate_pos_encoding=True."
                )
            image_table = table[:, 1:].unflatten(1, self.grid).permute(0, 3, 1, 2)
            image_table = nn.functional.interpolate(image_table, grid, mode="bicubic", align_corners=False)
            table = torch.cat((table[:, :1], image_table.flatten(2).transpose(1, 2)), dim=1)
        class_token = self.class_token.expand(tokens.shape[0], -1, -1)
        tokens = torch.cat((class_token, tokens), dim=1) + table
        if self.distillation_token is None:
            return tokens
        return torch.cat((self.distillation_token.expand(tokens.shape[0], -1, -1), tokens), dim=1)


class DeepLenseViTPreTrainedModel(DeepLensePreTrainedModel):
    """Base of the family."""

    config: DeepLenseViTConfig
    config_class = DeepLenseViTConfig
    _no_split_modules = ["PositionEmbedding", "PreNormBlock"]  # noqa: RUF012
    _can_record_outputs = {"hidden_states": PreNormBlock, "attentions": Attention}  # noqa: RUF012
    _family = "DeepLenseViT"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set initial weights; class token and positions start small."""
        super()._init_weights(module)
        if isinstance(module, PositionEmbedding):
            for parameter in (module.class_token, module.distillation_token, module.table):
                if parameter is not None:
                    init.trunc_normal_(parameter, std=self.config.initializer_range or 0.02)


class DeepLenseViTModel(DeepLenseViTPreTrainedModel):
    """Features of lens images by global attention.

    Args:
        config: The configuration.
    """

    def __init__(self, config: DeepLenseViTConfig) -> None:
        super().__init__(config)
        dim = config.hidden_size
        self.stem = build_stem(config, dim)
        self.positions = PositionEmbedding(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.blocks = nn.ModuleList(
            PreNormBlock(config, Attention(config, dim, config.num_attention_heads), dim, rate)
            for rate in drop_path_rates(config.drop_path_rate, config.num_hidden_layers)
        )
        self.norm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
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
            pixel_values: Processed images, `(batch, num_channels, height, width)`.
            interpolate_pos_encoding: Whether images of another size than configured are accepted.
            **kwargs: `output_hidden_states`, `output_attentions` (`eager` attention only), `return_dict`.

        Returns:
            Features, one vector per image, and what was asked for.

        Raises:
            ValueError: If the images have another number of bands or, without interpolation, another size, or a size
                at which an equivariant model would prefer a side.
        """
        images = check_pixels(pixel_values, self.config.num_channels)
        self.config.check_symmetry((images.shape[2], images.shape[3]))
        features = self.stem(images)
        grid = (features.shape[2], features.shape[3])
        tokens = self.positions(features.flatten(2).transpose(1, 2), grid, interpolate_pos_encoding)
        tokens = self.dropout(tokens)
        for block in self.blocks:
            tokens, _ = block(tokens, **kwargs)
        tokens = self.norm(tokens)
        special = 2 if self.config.distillation_token else 1
        pooled = tokens[:, special - 1] if self.config.pooling == "cls" else tokens[:, special:].mean(dim=1)
        return DeepLenseModelOutput(
            last_hidden_state=tokens,
            pooler_output=pooled,
            distillation_output=tokens[:, 0] if special == 2 else None,
        )


class DeepLenseViTForImageClassification(ImageClassificationMixin, DeepLenseViTPreTrainedModel):
    """DeepLense ViT with a linear classifier; see `ImageClassificationMixin`."""

    backbone_class = DeepLenseViTModel


class DeepLenseViTForImageRegression(ImageRegressionMixin, DeepLenseViTPreTrainedModel):
    """DeepLense ViT with expected values and uncertainties of physical quantities; see `ImageRegressionMixin`."""

    backbone_class = DeepLenseViTModel


class DeepLenseViTForMaskedImageModeling(MaskedImageModelingMixin, DeepLenseViTPreTrainedModel):
    """DeepLense ViT with a light decoder that fills in hidden parts of images; see `MaskedImageModelingMixin`."""

    backbone_class = DeepLenseViTModel


class DeepLenseViTForAnomalyDetection(AnomalyDetectionMixin, DeepLenseViTPreTrainedModel):
    """DeepLense ViT with a score of how unlike normal images an image is; see `AnomalyDetectionMixin`."""

    backbone_class = DeepLenseViTModel


__all__ = [
    "DeepLenseViTForAnomalyDetection",
    "DeepLenseViTForImageClassification",
    "DeepLenseViTForImageRegression",
    "DeepLenseViTForMaskedImageModeling",
    "DeepLenseViTModel",
    "DeepLenseViTPreTrainedModel",
]
