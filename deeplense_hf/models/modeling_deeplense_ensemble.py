"""Several models that answer together, of different families, sizes and image processing."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils.generic import can_return_tuple

from .configuration_deeplense_backbone import DeepLenseBackboneConfig
from .configuration_deeplense_ensemble import DeepLenseEnsembleConfig
from .configuration_deeplense_swin import DeepLenseSwinConfig
from .configuration_deeplense_vit import DeepLenseViTConfig
from .image_operations import ImageOperations
from .modeling_deeplense import DeepLensePreTrainedModel, check_pixels
from .modeling_deeplense_backbone import DeepLenseBackboneForImageClassification, DeepLenseBackboneForImageRegression
from .modeling_deeplense_swin import DeepLenseSwinForImageClassification, DeepLenseSwinForImageRegression
from .modeling_deeplense_vit import DeepLenseViTForImageClassification, DeepLenseViTForImageRegression
from .outputs import DeepLenseClassifierOutput, DeepLenseRegressionOutput

# model type -> configuration, classifier, regression; by name, since a folder of the Hub has no Auto classes of ours
MEMBER_CLASSES: dict[str, tuple[type[PreTrainedConfig], type[PreTrainedModel], type[PreTrainedModel]]] = {
    DeepLenseSwinConfig.model_type: (
        DeepLenseSwinConfig,
        DeepLenseSwinForImageClassification,
        DeepLenseSwinForImageRegression,
    ),
    DeepLenseViTConfig.model_type: (
        DeepLenseViTConfig,
        DeepLenseViTForImageClassification,
        DeepLenseViTForImageRegression,
    ),
    DeepLenseBackboneConfig.model_type: (
        DeepLenseBackboneConfig,
        DeepLenseBackboneForImageClassification,
        DeepLenseBackboneForImageRegression,
    ),
}
_SMALLEST = 1e-30


class DeepLenseEnsemblePreTrainedModel(DeepLensePreTrainedModel):
    """Base of ensembles; takes raw images, which every member processes in its own way.

    Args:
        config: The configuration.

    Raises:
        ValueError: If a member is of a family that cannot be one.
    """

    config: DeepLenseEnsembleConfig  # type: ignore[assignment] # no stem of its own
    config_class = DeepLenseEnsembleConfig
    base_model_prefix = ""
    _family = "DeepLenseEnsemble"
    _input_embed_layer = "members"
    _member_head = 1

    def __init__(self, config: DeepLenseEnsembleConfig) -> None:
        super().__init__(config)
        self.members = nn.ModuleList(self._member(dict(member)) for member in config.members)
        self.operations = [ImageOperations(**_as_tuples(options)) for options in config.operations]
        self.post_init()

    def _member(self, options: dict[str, Any]) -> PreTrainedModel:
        """Make one member from its configuration."""
        model_type = options.pop("model_type", None)
        if model_type not in MEMBER_CLASSES:
            raise ValueError(f"a member of type '{model_type}' is none of {', '.join(MEMBER_CLASSES)}.")
        classes = MEMBER_CLASSES[model_type]
        model_class: Any = classes[self._member_head]
        return model_class(classes[0](**options))

    def _init_weights(self, module: nn.Module) -> None:
        """Do nothing: members have their own weights."""

    @property
    def input_dtype(self) -> torch.dtype:
        """Type that raw images are to be given in; half precision would lose what members' processing brings out."""
        return torch.float32

    def answers(self, pixel_values: Tensor | None) -> list[Any]:
        """Ask every member, in the precision of its own weights.

        Args:
            pixel_values: Raw images, `(batch, num_channels, height, width)`.

        Returns:
            The members' outputs.
        """
        images = check_pixels(pixel_values, self.config.num_channels)
        members: Any = self.members
        return [
            member(process(images).to(member.dtype)) for member, process in zip(members, self.operations, strict=True)
        ]


class DeepLenseEnsembleForImageClassification(DeepLenseEnsemblePreTrainedModel):
    """Classifiers whose probabilities are averaged.

    Args:
        config: The configuration.

    Source:
        Averages of probabilities: Lakshminarayanan et al. (2017), arXiv:1612.01474; temperatures: Guo et al. (2017),
        arXiv:1706.04599.
    """

    def divide_logits(self, temperature: float) -> None:
        """Make the ensemble less (or, below one, more) sure of itself, for good; its members stay as they are.

        Args:
            temperature: What logits are divided by from now on.
        """
        self.config.joint_temperature *= temperature

    @can_return_tuple
    def forward(
        self, pixel_values: Tensor | None = None, labels: Tensor | None = None, **kwargs: Any
    ) -> DeepLenseClassifierOutput:
        """Classify raw images.

        Args:
            pixel_values: Raw images, `(batch, num_channels, height, width)`.
            labels: Class indices `(batch,)`.
            **kwargs: `return_dict`.

        Returns:
            Logarithms of the mean probabilities over `joint_temperature` for logits, and the loss if labels were given.
        """
        probabilities = torch.stack(
            [
                weight * torch.softmax(output.logits[:, order].float() / temperature, dim=-1)
                for output, order, weight, temperature in zip(
                    self.answers(pixel_values),
                    self.config.orders,
                    self.config.weights,
                    self.config.temperatures,
                    strict=True,
                )
            ]
        ).sum(dim=0)
        logits = probabilities.clamp(min=_SMALLEST).log() / self.config.joint_temperature
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        return DeepLenseClassifierOutput(loss=loss, logits=logits)


class DeepLenseEnsembleForImageRegression(DeepLenseEnsemblePreTrainedModel):
    """Estimates that are mixed: the mean of the means, and the variance of the mixture.

    Args:
        config: The configuration.

    Source:
        Lakshminarayanan et al. (2017), arXiv:1612.01474, section 2.4.
    """

    _member_head = 2

    @can_return_tuple
    def forward(self, pixel_values: Tensor | None = None, **kwargs: Any) -> DeepLenseRegressionOutput:
        """Estimate quantities of raw images.

        Args:
            pixel_values: Raw images, `(batch, num_channels, height, width)`.
            **kwargs: `return_dict`.

        Returns:
            Expected values, and standard deviations times `interval_factors`.
        """
        pairs = zip(self.answers(pixel_values), self.config.orders, strict=True)
        parts = [
            (output.predictions[:, order].float(), output.standard_deviations[:, order].float())
            for output, order in pairs
        ]
        means = torch.stack([mean for mean, _ in parts])
        deviations = torch.stack([deviation for _, deviation in parts])
        weights = means.new_tensor(self.config.weights)[:, None, None]
        mean = (weights * means).sum(dim=0)
        variance = (weights * (deviations**2 + (means - mean) ** 2)).sum(dim=0)
        factors = mean.new_tensor(self.config.interval_factors or [1.0] * mean.shape[1])
        return DeepLenseRegressionOutput(predictions=mean, standard_deviations=variance.sqrt() * factors)


def _as_tuples(options: dict[str, Any]) -> dict[str, Any]:
    """Give the lists of a saved file the type of the options."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


__all__ = [
    "MEMBER_CLASSES",
    "DeepLenseEnsembleForImageClassification",
    "DeepLenseEnsembleForImageRegression",
    "DeepLenseEnsemblePreTrainedModel",
]
