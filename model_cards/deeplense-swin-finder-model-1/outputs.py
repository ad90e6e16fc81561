"""What the models return."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput


@dataclass
class DeepLenseModelOutput(ModelOutput):
    """Features of a batch of images.

    Attributes:
        last_hidden_state: Normalised tokens, `(batch, tokens, width)`.
        pooler_output: One vector per image, `(batch, width)`.
        distillation_output: The vector that a second classifier learns from teachers on, `(batch, width)`; only with
            `distillation_token`.
        last_map: Last features as a map, `(batch, width, rows, columns)`, of wrapped models of other libraries.
        hidden_states: Tokens after the stem and after every stage (Swin) or block (ViT).
        attentions: Attention weights of every block, `(batch, heads, tokens, tokens)`; for Swin
            `(batch, windows * heads, tokens, tokens)`, window by window.
        feature_maps: `hidden_states` as maps, `(batch, width, rows, columns)` (Swin).
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    distillation_output: torch.Tensor | None = None
    last_map: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    feature_maps: tuple[torch.Tensor, ...] | None = None


@dataclass
class DeepLenseClassifierOutput(ModelOutput):
    """Class scores of a batch of images.

    Attributes:
        loss: Mean loss, if labels were given.
        logits: Scores before the softmax, `(batch, num_labels)`.
        class_logits: With a distillation token, those of the classifier that learns from labels.
        distillation_logits: With a distillation token, those of the classifier that learns from teachers.
        hidden_states: As in `DeepLenseModelOutput`.
        attentions: As in `DeepLenseModelOutput`.
        feature_maps: As in `DeepLenseModelOutput`.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    class_logits: torch.Tensor | None = None
    distillation_logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    feature_maps: tuple[torch.Tensor, ...] | None = None


@dataclass
class DeepLenseRegressionOutput(ModelOutput):
    """Targets of a batch of images, in their own units.

    Attributes:
        loss: Mean loss, if labels were given.
        predictions: Expected values, `(batch, targets)` [units of the targets].
        standard_deviations: Their uncertainties, `(batch, targets)` [units of the targets].
        standardised: Expected values in standard deviations of the training targets from their mean,
            `(batch, targets)`.
        log_variances: Logarithm of the variance in the same scale, before `interval_factors`, `(batch, targets)`.
        hidden_states: As in `DeepLenseModelOutput`.
        attentions: As in `DeepLenseModelOutput`.
        feature_maps: As in `DeepLenseModelOutput`.
    """

    loss: torch.Tensor | None = None
    predictions: torch.Tensor | None = None
    standard_deviations: torch.Tensor | None = None
    standardised: torch.Tensor | None = None
    log_variances: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    feature_maps: tuple[torch.Tensor, ...] | None = None


@dataclass
class DeepLenseMaskedImageModelingOutput(ModelOutput):
    """Reconstruction of the hidden parts of a batch of images.

    Attributes:
        loss: Mean squared error of the hidden pixels of the batch.
        reconstruction_error: Mean squared error of the hidden pixels of each image, `(batch,)`.
        reconstruction: Reconstructed images, `(batch, num_channels, height, width)`.
        mask: 1 where a pixel was hidden, `(batch, 1, height, width)`.
        hidden_states: As in `DeepLenseModelOutput`.
        attentions: As in `DeepLenseModelOutput`.
        feature_maps: As in `DeepLenseModelOutput`.
    """

    loss: torch.Tensor | None = None
    reconstruction_error: torch.Tensor | None = None
    reconstruction: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    feature_maps: tuple[torch.Tensor, ...] | None = None


@dataclass
class DeepLenseAnomalyOutput(ModelOutput):
    """How unlike normal images the images of a batch are.

    Attributes:
        loss: Mean squared error of hidden pixels, by which the encoder learns.
        anomaly_score: Standard deviations above the mean score of normal images, `(batch,)`; absent while training, and
            before the model is fitted to normal images.
        reconstruction: As in `DeepLenseMaskedImageModelingOutput`.
        mask: As in `DeepLenseMaskedImageModelingOutput`.
        hidden_states: As in `DeepLenseModelOutput`.
        attentions: As in `DeepLenseModelOutput`.
        feature_maps: As in `DeepLenseModelOutput`.
    """

    loss: torch.Tensor | None = None
    anomaly_score: torch.Tensor | None = None
    reconstruction: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    feature_maps: tuple[torch.Tensor, ...] | None = None
