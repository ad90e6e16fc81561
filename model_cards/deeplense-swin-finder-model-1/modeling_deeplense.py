"""What the families' models have in common: their contract with transformers."""

import math
import sys
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init

from .configuration_deeplense import DeepLenseConfig
from .equivariant import LastOrientedNorm
from .layers import LastLinear, LastNorm
from .outputs import DeepLenseModelOutput

# Auto class -> what the name of a family's class ends with
AUTO_CLASSES = {
    "AutoModel": "Model",
    "AutoModelForImageClassification": "ForImageClassification",
    "AutoModelForMaskedImageModeling": "ForMaskedImageModeling",
    "AutoModelForImageRegression": "ForImageRegression",
    "AutoModelForAnomalyDetection": "ForAnomalyDetection",
}


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
    # what the names of the family's classes begin with
    _family = ""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set initial weights, also of what a checkpoint lacks."""
        super()._init_weights(module)
        # by layer, not by block: of custom code, transformers passes modules with weights of their own only
        if isinstance(module, LastLinear | LastNorm | LastOrientedNorm) and self.config.residual_init == "zero":
            init.zeros_(module.weight)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            if self.config.initializer_range is not None:
                init.trunc_normal_(module.weight, std=self.config.initializer_range)
            elif isinstance(module, nn.Linear):
                init.xavier_uniform_(module.weight)
            else:
                init.kaiming_uniform_(module.weight, a=math.sqrt(5))  # torch's own for convolutions

    def last_map(self, outputs: DeepLenseModelOutput, size: tuple[int, int]) -> Tensor:
        """View the features of an image as a map.

        Args:
            outputs: What the family's model returned.
            size: Height and width of the images [pixels].

        Returns:
            `(batch, width, rows, columns)`, without class tokens.
        """
        stride = self.config.output_stride
        rows, columns = -(-size[0] // stride), -(-size[1] // stride)
        tokens = outputs.last_hidden_state
        if tokens is None:
            raise ValueError("these outputs have no last_hidden_state; they are not those of a family's model.")
        return tokens[:, -rows * columns :].unflatten(1, (rows, columns)).permute(0, 3, 1, 2)

    def save_pretrained(self, *arguments: Any, **options: Any) -> None:
        """Save as `PreTrainedModel` does; the folder loads by every Auto class of the family."""
        module = sys.modules[type(self).__module__]
        names = {auto: f"{self._family}{ending}" for auto, ending in AUTO_CLASSES.items()}
        file = module.__name__.rpartition(".")[2]
        self.config.auto_map = {auto: f"{file}.{name}" for auto, name in names.items() if hasattr(module, name)}
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
