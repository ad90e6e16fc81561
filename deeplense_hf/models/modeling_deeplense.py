"""What the families' models have in common: their contract with transformers."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_deeplense import DeepLenseConfig
from .layers import LastLinear, LastNorm


class DeepLensePreTrainedModel(PreTrainedModel):
    """Base of all DeepLense models: capabilities, initial weights, and the Auto classes of a saved folder."""

    config: DeepLenseConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)  # type: ignore[assignment] # transformers' own models use a tuple
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _input_embed_layer = "stem"
    # Auto class -> class of the family's modeling file
    _auto_classes: dict[str, str] = {}  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set initial weights, also of what a checkpoint lacks."""
        super()._init_weights(module)
        # by layer, not by block: of custom code, transformers passes modules with weights of their own only
        if isinstance(module, LastLinear | LastNorm) and self.config.residual_init == "zero":
            init.zeros_(module.weight)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            if self.config.initializer_range is not None:
                init.trunc_normal_(module.weight, std=self.config.initializer_range)
            elif isinstance(module, nn.Linear):
                init.xavier_uniform_(module.weight)
            else:
                init.kaiming_uniform_(module.weight, a=math.sqrt(5))  # torch's own for convolutions

    def save_pretrained(self, *arguments: Any, **options: Any) -> None:
        """Save as `PreTrainedModel` does; the folder loads by every Auto class of the family."""
        module = type(self).__module__.rpartition(".")[2]
        self.config.auto_map = {auto: f"{module}.{name}" for auto, name in self._auto_classes.items()}
        super().save_pretrained(*arguments, **options)


def check_pixels(pixel_values: Tensor | None, num_channels: int) -> Tensor:
    """Refuse input that is no batch of images with the model's bands.

    Args:
        pixel_values: What the model was given.
        num_channels: Bands that the model was made for.

    Returns:
        The images.

    Raises:
        ValueError: If they do not fit.
    """
    if pixel_values is None:
        raise ValueError("pixel_values is missing; give processed images, (batch, num_channels, height, width).")
    if pixel_values.ndim != 4 or pixel_values.shape[1] != num_channels:
        raise ValueError(
            f"pixel_values has shape {tuple(pixel_values.shape)}, but the model takes (batch, {num_channels}, height, "
            "width)."
        )
    return pixel_values
