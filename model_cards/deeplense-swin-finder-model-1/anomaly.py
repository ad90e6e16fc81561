"""Anomaly detection: an encoder that learnt normal images by filling in hidden parts, and a score of unlikeness."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .masked_modeling import MaskedImageModelingMixin, draw_squares, mask_grid, masked_errors, squares_to_pixels
from .modeling_deeplense import check_pixels
from .outputs import DeepLenseAnomalyOutput
from .symmetry import ORIENTATIONS, orient

# normal images without which there is neither a covariance nor a scale of scores
FEWEST_NORMAL_IMAGES = 2
# variance that is added to every feature, in units of the mean variance, so that idle features do not decide
SHRINKAGE = 0.01
# no feature in standard deviations comes near; in the place of an image that there is not stands infinity (1e6 in
# models of earlier versions)
_FAR_AWAY = 1e5


class NormalImages(nn.Module):
    """What is remembered of normal images: statistics of their features and of their scores.

    Everything is a persistent buffer, so that it is saved and loaded with the weights. Before `fit` there is no normal
    image to compare with, and before `fit_scores` no scale of scores, which is not a number then.

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
        self.register_buffer("mean", torch.empty(width))
        self.register_buffer("whitening", torch.empty(width, width))
        self.register_buffer("references", torch.empty(references, width))
        self.register_buffer("score_mean", torch.empty(()))
        self.register_buffer("score_std", torch.empty(()))
        self.forget()

    def forget(self) -> None:
        """Remember no normal image and no score; what a checkpoint has just filled stays."""
        init.zeros_(self.mean)
        init.eye_(self.whitening)
        init.constant_(self.references, torch.inf)
        init.constant_(self.score_mean, torch.nan)
        init.constant_(self.score_std, torch.nan)

    def reset(self) -> None:
        """Remember nothing, not even what a checkpoint has filled."""
        for buffer in self.buffers():
            buffer._is_hf_initialized = False  # type: ignore[attr-defined]
        self.forget()

    @property
    def has_images(self) -> bool:
        """Whether there are normal images to compare with."""
        return bool(self._is_filled().any())

    @property
    def has_scale(self) -> bool:
        """Whether the scale of scores is known."""
        return bool(self.score_std.isfinite())

    def _is_filled(self) -> Tensor:
        """Tell which places hold a normal image, `(references,)`."""
        return self.references.float().abs().amax(dim=1) < _FAR_AWAY

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take over the statistics of normal images.

        Args:
            features: `(images, width)`, at least two images; the first ones are kept for comparison.

        Raises:
            ValueError: If there are fewer images, or a feature is not finite.

        Source:
            Lee et al. (2018), arXiv:1807.03888 (Mahalanobis distance of features), with the covariance shrunk towards a
            multiple of the identity.
        """
        features = features.cpu().double()
        _check_normal(features, "features")
        mean = features.mean(dim=0)
        centred = features - mean
        covariance = centred.T @ centred / (len(features) - 1)
        spread = covariance.diagonal().mean().clamp(min=1e-12)
        values, vectors = torch.linalg.eigh(covariance + SHRINKAGE * spread * torch.eye(len(covariance)).double())
        whitening = vectors / values.sqrt()
        kept = (centred @ whitening)[: len(self.references)]
        nothing = torch.full((len(self.references) - len(kept), features.shape[1]), torch.inf, dtype=kept.dtype)
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
            scores: Raw scores, `(images,)`, at least two images.

        Raises:
            ValueError: If there are fewer images, or a score is not finite.
        """
        scores = scores.cpu().double()
        _check_normal(scores, "scores")
        self.score_mean.copy_(scores.mean())
        self.score_std.copy_(scores.std(correction=0).clamp(min=1e-12))

    def kept(self) -> Tensor:
        """Return the whitened features of the normal images that there are, `(images, width)`."""
        return self.references.float()[self._is_filled()]

    def whitened(self, features: Tensor) -> Tensor:
        """Bring features to a scale in which those of normal images are uncorrelated with unit variance.

        Args:
            features: `(batch, width)`.

        Returns:
            Features of the same shape.

        Raises:
            ValueError: If `fit` was never called.
        """
        if not self.has_images:
            raise ValueError(
                "the model has not been fitted to normal images, so nothing can be compared with them; train it with "
                "deeplense-hf train, or call normal.fit and normal.fit_scores."
            )
        return (features.float() - self.mean.float()) @ self.whitening.float()


def _check_normal(values: Tensor, what: str) -> None:
    """Refuse statistics of too few normal images, or of ones that a model gives no number for."""
    if len(values) < FEWEST_NORMAL_IMAGES:
        raise ValueError(
            f"anomalies are told by the spread of normal images, which needs the {what} of at least "
            f"{FEWEST_NORMAL_IMAGES}, better hundreds, and {len(values)} are given; add normal images."
        )
    broken = int((~values.isfinite()).reshape(len(values), -1).any(dim=1).sum())
    if broken:
        raise ValueError(
            f"the {what} of {broken} of {len(values)} normal images are not finite; the model or these images are "
            "broken."
        )


class AnomalyDetectionMixin(MaskedImageModelingMixin):
    """Tell how unlike normal images an image is, to be mixed into a family's `PreTrainedModel`.

    While training it learns to fill in hidden parts of normal images. `normal.fit` and `normal.fit_scores` then take
    over their statistics, and from then on images are scored by `anomaly_score` in evaluation mode. With a `symmetry`
    the scores do not depend on the orientation of an image.

    Args:
        config: The configuration; `anomaly_score` and what else begins with `anomaly_`.
    """

    def build_head(self) -> None:
        """Make the decoder and the memory of normal images."""
        super().build_head()
        self.normal = NormalImages(self.config.hidden_size, self.config.anomaly_references)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set initial weights, also of what a checkpoint lacks."""
        super()._init_weights(module)
        if isinstance(module, NormalImages):
            module.forget()

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
            The loss of masked image modelling, and scores in evaluation mode once the model is fitted.
        """
        images = check_pixels(pixel_values, self.config.num_channels)
        mask = self._mask(images, bool_masked_pos)
        kwargs_of_backbone: dict[str, Any] = {"interpolate_pos_encoding": interpolate_pos_encoding, **kwargs}
        outputs, reconstruction = self.reconstruct(images, mask, **kwargs_of_backbone)
        score = None
        if not self.training and self.normal.has_scale:
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

        Raises:
            ValueError: If it needs normal images and was never fitted to any.
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

        With a `symmetry` also over the orientations of the image: neither masks nor decoder turn with it.

        Args:
            images: Processed images, `(batch, num_channels, height, width)`.
            **kwargs: For the backbone.

        Returns:
            Logarithm of the mean squared error, `(batch,)`.
        """
        errors = []
        for orientation in range(1 if self.config.symmetry == "none" else ORIENTATIONS):
            turned = orient(images, orientation)
            grid = mask_grid(turned, self.config.mask_size)
            for seed in range(self.config.anomaly_masks):
                squares = draw_squares(len(turned), grid, 0.5, turned.device, seed)
                for hidden in (squares, ~squares):
                    mask = squares_to_pixels(hidden, grid, turned, self.config.mask_size)
                    errors.append(masked_errors(turned, self.reconstruct(turned, mask, **kwargs)[1], mask))
        return torch.stack(errors).mean(dim=0).clamp(min=1e-12).log()
