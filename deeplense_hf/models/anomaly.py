"""Anomaly detection: an encoder that learnt normal images by filling in hidden parts, and a score of unlikeness."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .masked_modeling import MaskedImageModelingMixin, draw_squares, mask_grid, masked_errors, squares_to_pixels
from .modeling_deeplense import check_pixels
from .outputs import DeepLenseAnomalyOutput

# variance that is added to every feature, in units of the mean variance, so that idle features do not decide
SHRINKAGE = 0.01


# stands in the place of normal images that there are not; no feature in standard deviations comes near
_FAR_AWAY = 1e6


class NormalImages(nn.Module):
    """What is remembered of normal images: statistics of their features and of their scores.

    Everything is a persistent buffer, so that it is saved and loaded with the weights.

    Args:
        width: Width of the features.
        references: Number of images whose features are kept.
    """

    mean: Tensor
    whitening: Tensor
    references: Tensor
    score_mean: Tensor
    score_std: Tensor

    def __init__(self, width: int, references: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("whitening", torch.eye(width))
        self.register_buffer("references", torch.zeros(references, width))
        self.register_buffer("score_mean", torch.zeros(()))
        self.register_buffer("score_std", torch.ones(()))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take over the statistics of normal images.

        Args:
            features: `(images, width)`, at least two images; the first ones are kept for comparison.

        Source:
            Lee et al. (2018), arXiv:1807.03888 (Mahalanobis distance of features), with the covariance shrunk towards a
            multiple of the identity.
        """
        features = features.cpu().double()
        mean = features.mean(dim=0)
        centred = features - mean
        covariance = centred.T @ centred / max(len(features) - 1, 1)
        spread = covariance.diagonal().mean().clamp(min=1e-12)
        values, vectors = torch.linalg.eigh(covariance + SHRINKAGE * spread * torch.eye(len(covariance)).double())
        whitening = vectors / values.sqrt()
        kept = (centred @ whitening)[: len(self.references)]
        nothing = torch.full((len(self.references) - len(kept), features.shape[1]), _FAR_AWAY, dtype=kept.dtype)
        for buffer, value in (
            (self.mean, mean),
            (self.whitening, whitening),
            (self.references, torch.cat((kept, nothing))),
        ):
            buffer.copy_(value)

    @torch.no_grad()
    def fit_scores(self, scores: Tensor) -> None:
        """Take over the scale of scores from normal images that the encoder has not learnt from.

        Args:
            scores: Raw scores, `(images,)`.
        """
        scores = scores.cpu().double()
        self.score_mean.copy_(scores.mean())
        self.score_std.copy_(scores.std(correction=0).clamp(min=1e-12))

    def kept(self) -> Tensor:
        """Return the whitened features of the normal images that there are, `(images, width)`."""
        references = self.references.float()
        return references[references.abs().amax(dim=1) < _FAR_AWAY]

    def whitened(self, features: Tensor) -> Tensor:
        """Bring features to a scale in which those of normal images are uncorrelated with unit variance."""
        return (features.float() - self.mean.float()) @ self.whitening.float()


class AnomalyDetectionMixin(MaskedImageModelingMixin):
    """Tell how unlike normal images an image is, to be mixed into a family's `PreTrainedModel`.

    While training it learns to fill in hidden parts of normal images. `normal.fit` and `normal.fit_scores` then take
    over their statistics, and in evaluation mode images are scored by `anomaly_score`.

    Args:
        config: The configuration; `anomaly_score` and what else begins with `anomaly_`.
    """

    def build_head(self) -> None:
        """Make the decoder and the memory of normal images."""
        super().build_head()
        self.normal = NormalImages(self.config.hidden_size, self.config.anomaly_references)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> DeepLenseAnomalyOutput:
        """Reconstruct hidden parts and, in evaluation mode, score images.

        Args:
            pixel_values: Processed images, `(batch, num_channels, height, width)`.
            bool_masked_pos: As in masked image modelling.
            interpolate_pos_encoding: Whether learnt positions may be interpolated to another image size (ViT).
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Returns:
            The loss of masked image modelling, and scores in evaluation mode.
        """
        images = check_pixels(pixel_values, self.config.num_channels)
        mask = self._mask(images, bool_masked_pos)
        kwargs_of_backbone: dict[str, Any] = {"interpolate_pos_encoding": interpolate_pos_encoding, **kwargs}
        outputs, reconstruction = self.reconstruct(images, mask, **kwargs_of_backbone)
        score = None
        if not self.training:
            score = (self.raw_score(images, **kwargs_of_backbone) - self.normal.score_mean) / self.normal.score_std
        return DeepLenseAnomalyOutput(
            loss=masked_errors(images, reconstruction, mask).mean(),
            anomaly_score=score,
            reconstruction=reconstruction,
            mask=mask,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            feature_maps=outputs.feature_maps,
        )

    def raw_score(self, images: Tensor, **kwargs: Any) -> Tensor:
        """Score images, before the scores are brought to the scale of normal images.

        Args:
            images: Processed images, `(batch, num_channels, height, width)`.
            **kwargs: For the backbone.

        Returns:
            `(batch,)`; larger is less normal.
        """
        if self.config.anomaly_score == "reconstruction":
            return self.reconstruction_score(images, **kwargs)
        features = self.normal.whitened(self.pooled(images, **kwargs))
        if self.config.anomaly_score == "mahalanobis":
            return features.square().sum(dim=1).sqrt()
        distances = torch.cdist(features, self.normal.kept())
        neighbours = min(self.config.anomaly_neighbours, distances.shape[1])
        return distances.topk(neighbours, dim=1, largest=False).values.mean(dim=1)

    def reconstruction_score(self, images: Tensor, **kwargs: Any) -> Tensor:
        """Average how wrongly hidden parts are filled in, every pixel being hidden as often as any other.

        Args:
            images: Processed images, `(batch, num_channels, height, width)`.
            **kwargs: For the backbone.

        Returns:
            Logarithm of the mean squared error, `(batch,)`.
        """
        grid = mask_grid(images, self.config.mask_size)
        errors = []
        for seed in range(self.config.anomaly_masks):
            squares = draw_squares(len(images), grid, 0.5, images.device, seed)
            for hidden in (squares, ~squares):
                mask = squares_to_pixels(hidden, grid, images, self.config.mask_size)
                errors.append(masked_errors(images, self.reconstruct(images, mask, **kwargs)[1], mask))
        return torch.stack(errors).mean(dim=0).clamp(min=1e-12).log()
