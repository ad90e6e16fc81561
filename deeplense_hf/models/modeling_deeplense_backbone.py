"""Any vision model of transformers or timm behind DeepLense heads."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers import initialization as init
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from .anomaly import AnomalyDetectionMixin
from .configuration_deeplense_backbone import DeepLenseBackboneConfig, channels_of
from .heads import ImageClassificationMixin, ImageRegressionMixin
from .masked_modeling import MaskedImageModelingMixin
from .modeling_deeplense import DeepLensePreTrainedModel, check_pixels
from .outputs import DeepLenseModelOutput


def channels_first(network: nn.Module, last: Tensor) -> Tensor:
    """Bring the last features of a wrapped model to the order of PyTorch.

    Args:
        network: The model; some of timm's keep the channels last.
        last: Its features: tokens, or a map in its own order.

    Returns:
        Tokens as they are, a map as `(batch, width, rows, columns)`.
    """
    order = getattr(getattr(network, "timm_model", None), "output_fmt", "NCHW")
    return last.permute(0, 3, 1, 2) if last.ndim == 4 and str(getattr(order, "value", order)) == "NHWC" else last


class BandAdapter(nn.Conv2d):
    """A 1x1 convolution from the bands of an image to those of a pretrained model; in the beginning their mean.

    An image that is equal in all bands is then given to the model as the grey picture that it is.

    Args:
        bands: Bands of an image.
        pretrained_bands: Bands that the model takes.
    """

    def __init__(self, bands: int, pretrained_bands: int) -> None:
        super().__init__(bands, pretrained_bands, 1, bias=False)


class DeepLenseBackbonePreTrainedModel(DeepLensePreTrainedModel):
    """Base of the family; the wrapped model initialises its own weights."""

    config: DeepLenseBackboneConfig  # type: ignore[assignment] # no stem of ours
    config_class = DeepLenseBackboneConfig
    _family = "DeepLenseBackbone"
    _input_embed_layer = "network"
    _can_compile_fullgraph = False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set initial weights of what is not the wrapped model."""
        super()._init_weights(module)
        if isinstance(module, BandAdapter):
            init.constant_(module.weight, 1 / module.in_channels)


class DeepLenseBackboneModel(DeepLenseBackbonePreTrainedModel):
    """Features of a vision model of transformers or timm.

    Args:
        config: The configuration.
    """

    def __init__(self, config: DeepLenseBackboneConfig) -> None:
        super().__init__(config)
        inner: Any = config.backbone_config
        self.band_adapter = BandAdapter(config.num_channels, channels_of(inner)) if config.band_adapter else None
        self.network = AutoModel.from_config(
            config.backbone_config, **network_options(config.backbone_config, config.pooling)
        )
        # CvT normalises its class token in the classifier
        normalises = inner.model_type == "cvt" and config.pooling == "cls"
        self.class_token_norm = nn.LayerNorm(inner.embed_dim[-1]) if normalises else None
        accepted = inspect.signature(self.network.forward).parameters
        self.interpolates = "interpolate_pos_encoding" in accepted
        self.post_init()

    def forward(
        self,
        pixel_values: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> DeepLenseModelOutput | tuple[Any, ...]:
        """Compute features.

        Args:
            pixel_values: Processed images, `(batch, num_channels, height, width)`.
            interpolate_pos_encoding: Whether images of another size than configured are accepted, by families that can.
            output_hidden_states: Whether the model's own hidden states are returned.
            output_attentions: Whether its attention weights are returned, by families that have some.
            return_dict: Whether an object is returned rather than a tuple.
            **kwargs: Nothing that the wrapped model would not be given.

        Returns:
            Features, one vector per image, the last map, and what was asked for.

        Raises:
            ValueError: If the images have another number of bands than the model, or the head reads a class token that
                it does not have.
        """
        images = check_pixels(pixel_values, self.config.num_channels)
        options: dict[str, Any] = {"return_dict": True}
        if self.interpolates:
            options["interpolate_pos_encoding"] = interpolate_pos_encoding
        for name, value in (("output_hidden_states", output_hidden_states), ("output_attentions", output_attentions)):
            if value:
                options[name] = value
        outputs = self.network(images if self.band_adapter is None else self.band_adapter(images), **options)
        last = channels_first(self.network, outputs.last_hidden_state)
        features = last if last.ndim == 4 else self._as_map(last, images)
        tokens = last.flatten(2).transpose(1, 2) if last.ndim == 4 else last
        result = DeepLenseModelOutput(
            last_hidden_state=tokens,
            pooler_output=self._pooled(outputs, tokens, features),
            hidden_states=outputs.get("hidden_states"),
            attentions=outputs.get("attentions"),
            last_map=features,
        )
        wants_dict = self.config.return_dict if return_dict is None else return_dict
        return result if wants_dict else result.to_tuple()

    def last_map(self, outputs: DeepLenseModelOutput, size: tuple[int, int]) -> Tensor:
        """View the features of an image as a map that covers it; stock models may leave out its last pixels.

        Args:
            outputs: What this model returned.
            size: Height and width of the images [pixels].

        Returns:
            `(batch, width, rows, columns)`.
        """
        stride = self.config.output_stride
        grid = -(-size[0] // stride), -(-size[1] // stride)
        features = outputs.last_map
        if features is None:
            raise ValueError("these outputs have no last_map; they are not those of this model.")
        if features.shape[-2:] == grid:
            return features
        return nn.functional.interpolate(features, grid, mode="bilinear", align_corners=False)

    def _as_map(self, tokens: Tensor, images: Tensor) -> Tensor:
        """View tokens as a map, without class, distillation and register tokens, which come first."""
        stride = self.config.output_stride
        height, width = images.shape[-2:]
        whole, begun = (height // stride, width // stride), (-(-height // stride), -(-width // stride))
        # models of patches leave out what fills no patch, pyramids of tokens pad it
        inner: Any = self.config.backbone_config
        grids = (whole, begun) if getattr(inner, "patch_size", None) == stride else (begun, whole)
        for rows, columns in grids:
            if 0 < rows * columns <= tokens.shape[1]:
                return tokens[:, -rows * columns :].unflatten(1, (rows, columns)).permute(0, 3, 1, 2)
        raise ValueError(
            f"{tokens.shape[1]} tokens are no map of {whole[0]}x{whole[1]}; output_stride={stride} is not this model's."
        )

    def _pooled(self, outputs: Any, tokens: Tensor, features: Tensor) -> Tensor:
        """Return one vector per image, `(batch, width)`."""
        if self.config.pooling == "cls":
            return self._class_token(outputs, tokens)
        pooled = outputs.get("pooler_output") if self.config.pooling == "pooler" else None
        pooled = None if pooled is None else torch.flatten(pooled, 1)
        if pooled is None or pooled.shape[1] != features.shape[1]:
            # none, or one that layers made for the old classifier have widened
            return features.mean(dim=(2, 3))
        return pooled

    def _class_token(self, outputs: Any, tokens: Tensor) -> Tensor:
        """Return the class token of each image, `(batch, width)`."""
        if outputs.last_hidden_state.ndim != 4:
            return tokens[:, 0]
        # beside a map it is an output of its own
        class_token = outputs.get("cls_token_value")
        if class_token is None:
            raise ValueError("pooling='cls', but the wrapped model has no class token; use 'pooler' or 'mean'.")
        return (class_token if self.class_token_norm is None else self.class_token_norm(class_token))[:, 0]


def network_options(config: Any, pooling: str | None) -> dict[str, Any]:
    """Leave a pooling layer out where no head reads it; its weights would never learn.

    Args:
        config: Configuration of the wrapped model.
        pooling: What the head reads.

    Returns:
        Options of its constructor.
    """
    model_class: Any = MODEL_MAPPING.get(type(config), None)
    if pooling == "pooler" or model_class is None:
        return {}
    accepts = "add_pooling_layer" in inspect.signature(model_class).parameters
    return {"add_pooling_layer": False} if accepts else {}


class DeepLenseBackboneForImageClassification(ImageClassificationMixin, DeepLenseBackbonePreTrainedModel):
    """A wrapped model with a linear classifier; see `ImageClassificationMixin`."""

    backbone_class = DeepLenseBackboneModel


class DeepLenseBackboneForImageRegression(ImageRegressionMixin, DeepLenseBackbonePreTrainedModel):
    """A wrapped model with expected values and uncertainties; see `ImageRegressionMixin`."""

    backbone_class = DeepLenseBackboneModel


class DeepLenseBackboneForMaskedImageModeling(MaskedImageModelingMixin, DeepLenseBackbonePreTrainedModel):
    """A wrapped model with a light decoder; see `MaskedImageModelingMixin`."""

    backbone_class = DeepLenseBackboneModel


class DeepLenseBackboneForAnomalyDetection(AnomalyDetectionMixin, DeepLenseBackbonePreTrainedModel):
    """A wrapped model with a score of how unlike normal images an image is; see `AnomalyDetectionMixin`."""

    backbone_class = DeepLenseBackboneModel


__all__ = [
    "DeepLenseBackboneForAnomalyDetection",
    "DeepLenseBackboneForImageClassification",
    "DeepLenseBackboneForImageRegression",
    "DeepLenseBackboneForMaskedImageModeling",
    "DeepLenseBackboneModel",
    "DeepLenseBackbonePreTrainedModel",
]
