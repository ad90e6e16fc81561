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
        hidden_states: Tokens after the stem and after every stage (Swin) or block (ViT).
        attentions: Attention weights of every block, `(batch, heads, tokens, tokens)`; for Swin
            `(batch, windows * heads, tokens, tokens)`, window by window.
        feature_maps: `hidden_states` as maps, `(batch, width, rows, columns)` (Swin).
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    feature_maps: tuple[torch.Tensor, ...] | None = None


@dataclass
class DeepLenseClassifierOutput(ModelOutput):
    """Class scores of a batch of images.

    Attributes:
        loss: Mean loss, if labels were given.
        logits: Scores before the softmax, `(batch, num_labels)`.
        hidden_states: As in `DeepLenseModelOutput`.
        attentions: As in `DeepLenseModelOutput`.
        feature_maps: As in `DeepLenseModelOutput`.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    feature_maps: tuple[torch.Tensor, ...] | None = None
