"""Heads: what a family's features are turned into. A head is one mixin for all families."""

from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .outputs import DeepLenseClassifierOutput


class ImageClassificationMixin:
    """A linear classifier of the pooled features, to be mixed into a family's `PreTrainedModel`.

    Args:
        config: The configuration; `num_labels`, `id2label` and `problem_type` describe the classes.
    """

    backbone_class: type[PreTrainedModel]
    config: Any
    loss_function: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg] # the next base is the family's PreTrainedModel
        self.num_labels = config.num_labels
        self.backbone = self.backbone_class(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels) if config.num_labels else nn.Identity()
        self.post_init()  # type: ignore[attr-defined]

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
        outputs = self.backbone(
            pixel_values, interpolate_pos_encoding=interpolate_pos_encoding, return_dict=True, **kwargs
        )
        logits = self.classifier(outputs.pooler_output)
        loss = None if labels is None else self.loss_function(labels, logits, self.config, **kwargs)
        return DeepLenseClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            feature_maps=outputs.feature_maps,
        )
