"""What the families' models have in common: the contract with transformers, and the heads."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils.generic import can_return_tuple

from .layers import FeedForward, ResidualConvBlock
from .outputs import DeepLenseClassifierOutput


class DeepLensePreTrainedModel(PreTrainedModel):
    """Base of all DeepLense models: capabilities, initial weights, and the Auto classes of a saved folder."""

    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set initial weights, also of what a checkpoint lacks."""
        super()._init_weights(module)
        zero = self.config.residual_init == "zero"
        if isinstance(module, nn.Linear):
            if self.config.initializer_range is None:
                init.xavier_uniform_(module.weight)
            else:
                init.trunc_normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, ResidualConvBlock) and zero:
            init.zeros_(module.norm_2.weight)
        elif hasattr(module, "qkv") and zero:
            init.zeros_(module.output.weight)
        elif isinstance(module, FeedForward) and zero:
            init.zeros_(module.output.weight)

    def wants(self, asked: bool | None, option: str) -> bool:
        """Whether an output is wanted: as asked, else as configured.

        Args:
            asked: What the caller said.
            option: Name of the configuration's field.

        Returns:
            Whether to return it.
        """
        return bool(getattr(self.config, option) if asked is None else asked)

    def save_pretrained(self, *arguments: Any, **options: Any) -> None:
        """Save as `PreTrainedModel.save_pretrained` does, with `AutoModel` in the folder's `auto_map` as well."""
        self.config.auto_map = {"AutoModel": self.config.auto_model_class}
        super().save_pretrained(*arguments, **options)


def check_pixels(pixel_values: Tensor | None, num_channels: int) -> Tensor:
    """Refuse input that is no batch of images with the model's bands.

    Args:
        pixel_values: What the model was given.
        num_channels: Bands the model was made for.

    Returns:
        The images.

    Raises:
        ValueError: If they do not fit.
    """
    if pixel_values is None:
        raise ValueError("pixel_values is missing; give processed images of shape (batch, channels, height, width).")
    if pixel_values.ndim != 4 or pixel_values.shape[1] != num_channels:
        raise ValueError(
            f"pixel_values has shape {tuple(pixel_values.shape)}, expected (batch, {num_channels}, height, width)."
        )
    return pixel_values


class ImageClassificationMixin:
    """A linear classifier of the pooled features; one head for all families.

    The model it is mixed into has a `backbone` whose output has a `pooler_output`.
    """

    backbone: nn.Module
    classifier: nn.Module
    config: Any
    loss_function: Any

    def build_classifier(self) -> nn.Module:
        """Make the linear layer from pooled features to classes."""
        if self.config.num_labels < 1:
            return nn.Identity()
        return nn.Linear(self.config.hidden_size, self.config.num_labels)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Any,
    ) -> DeepLenseClassifierOutput:
        """Classify images.

        Args:
            pixel_values: Processed images, `(batch, num_channels, height, width)`.
            labels: Class indices `(batch,)`, or targets `(batch, num_labels)` for other problem types.
            interpolate_pos_encoding: Whether position embeddings may be interpolated to another image size (ViT).
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`, and options of the loss.

        Returns:
            Logits, the loss if labels were given, and what was asked for.
        """
        outputs = self.backbone(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **kwargs)
        logits = self.classifier(outputs.pooler_output)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels, logits, self.config, **kwargs)
        return DeepLenseClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            feature_maps=outputs.feature_maps,
        )
