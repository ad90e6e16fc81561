"""Heads: what a family's features are turned into. A head is one mixin for all families."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .outputs import DeepLenseClassifierOutput, DeepLenseModelOutput, DeepLenseRegressionOutput
from .symmetry import ORIENTATIONS, orient

# the logarithm of a variance beyond this says "no idea" or "perfect", and its exponential would overflow
LOG_VARIANCE_LIMIT = 10.0


class PooledHeadMixin:
    """What the heads on the pooled features have in common, to be mixed into a family's `PreTrainedModel`.

    Args:
        config: The configuration.
    """

    backbone_class: type[PreTrainedModel]
    config: Any
    loss_function: Any
    training: bool

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg] # the next base is the family's PreTrainedModel
        self.num_labels = config.num_labels
        self.backbone = self.backbone_class(config)
        self.build_head()
        self.post_init()  # type: ignore[attr-defined]

    def build_head(self) -> None:
        """Make the layers behind the features."""
        raise NotImplementedError

    def features(self, pixel_values: Tensor | None, **kwargs: Any) -> DeepLenseModelOutput:
        """Compute features, `(batch, width)` and what was asked for; see the family's model.

        With `symmetry="average"` in evaluation mode, features are averaged over the orientations of the image, and with
        them what a linear head makes of them.
        """
        outputs = self.backbone(pixel_values, return_dict=True, **kwargs)
        if self.config.symmetry == "average" and not self.training and pixel_values is not None:
            turned = (orient(pixel_values, number) for number in range(1, ORIENTATIONS))
            parts = [outputs, *(self.backbone(images, return_dict=True, **kwargs) for images in turned)]
            for name in ("pooler_output", "distillation_output"):
                if getattr(outputs, name) is not None:
                    setattr(outputs, name, torch.stack([getattr(part, name) for part in parts]).mean(dim=0))
        return outputs

    def pooled(self, pixel_values: Tensor | None, **kwargs: Any) -> Tensor:
        """Return the features alone, `(batch, width)`."""
        features = self.features(pixel_values, **kwargs).pooler_output
        if features is None:
            raise ValueError(f"{self.backbone_class.__name__} gives no vector per image, which this head needs.")
        return features


class ImageClassificationMixin(PooledHeadMixin):
    """A linear classifier of the pooled features, to be mixed into a family's `PreTrainedModel`.

    With `distillation_token` a second classifier learns from teachers, and the logits are the mean of both.

    Args:
        config: The configuration; `num_labels`, `id2label` and `problem_type` describe the classes.

    Source:
        The distillation token: Touvron et al. (2021), arXiv:2012.12877, section 4.
    """

    def build_head(self) -> None:
        """Make the classifiers."""
        width, classes = self.config.hidden_size, self.config.num_labels
        self.classifier = nn.Linear(width, classes) if classes else nn.Identity()
        self.distillation_classifier = nn.Linear(width, classes) if self.config.distillation_token and classes else None

    @torch.no_grad()
    def divide_logits(self, temperature: float) -> None:
        """Make the classifier less (or, below one, more) sure of itself, for good.

        Args:
            temperature: What logits are divided by from now on.
        """
        for layer in (self.classifier, self.distillation_classifier):
            if isinstance(layer, nn.Linear):
                layer.weight.div_(temperature)
                layer.bias.div_(temperature)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> DeepLenseClassifierOutput:
        """Classify images.

        Args:
            pixel_values: Processed images, `(batch, num_channels, height, width)`.
            labels: Class indices `(batch,)`, or targets `(batch, num_labels)` for other problem types.
            interpolate_pos_encoding: Whether learnt positions may be interpolated to another image size (ViT).
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`, and options of the loss.

        Returns:
            Logits, the loss if labels were given, and what was asked for.
        """
        outputs = self.features(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **kwargs)
        logits = class_logits = self.classifier(outputs.pooler_output)
        distillation_logits = None
        if self.distillation_classifier is not None:
            distilled = outputs.distillation_output
            distillation_logits = self.distillation_classifier(
                outputs.pooler_output if distilled is None else distilled
            )
            logits = (class_logits + distillation_logits) / 2
        loss = None if labels is None else self.loss_function(labels, class_logits, self.config, **kwargs)
        return DeepLenseClassifierOutput(
            loss=loss,
            logits=logits,
            class_logits=None if distillation_logits is None else class_logits,
            distillation_logits=distillation_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            feature_maps=outputs.feature_maps,
        )


class ImageRegressionMixin(PooledHeadMixin):
    """Expected values and uncertainties of physical quantities, to be mixed into a family's `PreTrainedModel`.

    Args:
        config: The configuration; `id2label` names the targets, `target_mean` and `target_std` give their scale.

    Source:
        Nix & Weigend (1994): a network that predicts mean and variance.
    """

    def build_head(self) -> None:
        """Make the layer of means and log variances."""
        self.regressor = nn.Linear(self.config.hidden_size, 2 * self.config.num_labels)

    def standardise(self, targets: Tensor) -> Tensor:
        """Bring targets to the scale in which the model learns.

        Args:
            targets: `(batch, targets)` [units of the targets].

        Returns:
            Standard deviations of the training targets from their mean, of the same shape.
        """
        mean, deviation = self._scale(targets)
        return (targets - mean) / deviation

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> DeepLenseRegressionOutput:
        """Estimate targets.

        Args:
            pixel_values: Processed images, `(batch, num_channels, height, width)`.
            labels: True targets `(batch, num_labels)` [units of the targets]; NaN where unknown.
            interpolate_pos_encoding: Whether learnt positions may be interpolated to another image size (ViT).
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Returns:
            Expected values and uncertainties, the Gaussian negative log-likelihood if labels were given.

        Raises:
            ValueError: If the labels have another shape.
        """
        outputs = self.features(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, **kwargs)
        standardised, log_variances = self.regressor(outputs.pooler_output).float().chunk(2, dim=-1)
        log_variances = log_variances.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
        if self.config.uncertainty == "constant":
            log_variances = torch.zeros_like(log_variances)
        mean, deviation = self._scale(standardised)
        factors = standardised.new_tensor(self.config.interval_factors or [1.0] * self.num_labels)
        loss = None
        if labels is not None:
            if labels.shape != standardised.shape:
                raise ValueError(
                    f"labels have shape {tuple(labels.shape)}, but (batch, num_labels), {tuple(standardised.shape)}, "
                    "is needed."
                )
            loss = gaussian_negative_log_likelihood(standardised, log_variances, self.standardise(labels.float()))
        return DeepLenseRegressionOutput(
            loss=loss,
            predictions=mean + deviation * standardised,
            standard_deviations=deviation * factors * torch.exp(0.5 * log_variances),
            standardised=standardised,
            log_variances=log_variances,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            feature_maps=outputs.feature_maps,
        )

    def _scale(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the training targets, `(targets,)`."""
        mean = self.config.target_mean or [0.0] * self.num_labels
        deviation = self.config.target_std or [1.0] * self.num_labels
        return like.new_tensor(mean), like.new_tensor(deviation)


def gaussian_negative_log_likelihood(means: Tensor, log_variances: Tensor, targets: Tensor) -> Tensor:
    """Average the negative log-likelihood of normal distributions over the targets that are known.

    Args:
        means: Expected values, `(batch, targets)`.
        log_variances: Logarithms of the variances, `(batch, targets)`.
        targets: Truths, `(batch, targets)`; NaN where unknown.

    Returns:
        A number [nat], with the constant `log(2 pi) / 2`.

    Source:
        Nix & Weigend (1994), eq. 3.
    """
    known = ~targets.isnan()
    residuals = torch.where(known, targets, means) - means
    losses = 0.5 * (log_variances + residuals**2 * torch.exp(-log_variances) + math.log(2 * math.pi))
    return (losses * known).sum() / known.sum().clamp(min=1)
