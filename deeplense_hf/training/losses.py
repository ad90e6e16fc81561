"""Losses of single images, by name; a task says which of them fit it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

# probability below which a class counts as rightly excluded (Ridnik et al. 2021)
ASYMMETRIC_MARGIN = 0.05
_SMALLEST = 1e-8


@dataclass(frozen=True)
class LossSettings:
    """What losses need beside outputs and targets.

    Attributes:
        label_smoothing: Probability that is spread over all classes.
        focal_gamma: Exponent of the focal loss.
        asymmetric_gamma: Exponent of the asymmetric loss for classes that an image does not belong to.
        class_weights: Weight of each class, with a mean of one over the training images; all alike when absent.
        target_mean: Means of the targets of a regression.
        target_std: Their standard deviations.
        has_teachers: Whether a second classifier of the model learns from teachers; without, both learn from labels.
    """

    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    asymmetric_gamma: float = 4.0
    class_weights: tuple[float, ...] | None = None
    target_mean: tuple[float, ...] = ()
    target_std: tuple[float, ...] = ()
    has_teachers: bool = False

    def standardised(self, targets: Tensor) -> Tensor:
        """Bring targets `(batch, targets)` to the scale in which a regression learns."""
        return (targets.float() - targets.new_tensor(self.target_mean)) / targets.new_tensor(self.target_std)


def weighted_shares(labels: Tensor, logits: Tensor, settings: LossSettings) -> tuple[Tensor, Tensor | float]:
    """Turn labels into shares of the classes, and tell how much each image counts.

    Smoothing comes after the weights: the share of a rare class that it gives to every image must not make images of
    frequent classes count as rare ones.

    Args:
        labels: Classes `(batch,)`, or shares of them `(batch, classes)` after mixing.
        logits: For the number of classes and the type.
        settings: For weights and smoothing.

    Returns:
        Shares that sum to one, `(batch, classes)`, and the weight of each image, `(batch,)`, or 1.

    Source:
        Label smoothing: Szegedy et al. (2016), arXiv:1512.00567, section 7.
    """
    classes = logits.shape[-1]
    shares = F.one_hot(labels, classes).to(logits.dtype) if labels.ndim == 1 else labels.to(logits.dtype)
    weights: Tensor | float = 1.0
    if settings.class_weights is not None:
        shares = shares * logits.new_tensor(settings.class_weights)
        weights = shares.sum(dim=-1)
        shares = shares / weights[:, None]
    return shares * (1 - settings.label_smoothing) + settings.label_smoothing / classes, weights


def cross_entropy(outputs: Any, labels: Tensor, settings: LossSettings) -> Tensor:
    """Compute the cross-entropy.

    Args:
        outputs: A model's output with `logits` `(batch, classes)`.
        labels: Classes or shares of them, see `weighted_shares`.
        settings: Smoothing and class weights.

    Returns:
        One loss per image [nat], `(batch,)`.

    Source:
        Good (1952); as torch.nn.functional.cross_entropy, but with weights before smoothing.
    """
    logits = _label_logits(outputs, settings)
    shares, weights = weighted_shares(labels, logits, settings)
    return -(shares * F.log_softmax(logits, dim=-1)).sum(dim=-1) * weights


def focal(outputs: Any, labels: Tensor, settings: LossSettings) -> Tensor:
    """Compute the focal loss, in which images that are classified well count little.

    Args:
        outputs: As for `cross_entropy`.
        labels: As for `cross_entropy`.
        settings: Also `focal_gamma`.

    Returns:
        One loss per image, `(batch,)`.

    Source:
        Lin et al. (2017), arXiv:1708.02002, eq. 4, for several classes.
    """
    logits = _label_logits(outputs, settings)
    shares, weights = weighted_shares(labels, logits, settings)
    log_probabilities = F.log_softmax(logits, dim=-1)
    doubt = (1 - log_probabilities.exp()).clamp(min=0) ** settings.focal_gamma
    return -(shares * doubt * log_probabilities).sum(dim=-1) * weights


def asymmetric(outputs: Any, labels: Tensor, settings: LossSettings) -> Tensor:
    """Compute the asymmetric loss: classes that are rightly excluded count little, the true one fully.

    Args:
        outputs: As for `cross_entropy`.
        labels: As for `cross_entropy`.
        settings: Also `asymmetric_gamma`.

    Returns:
        One loss per image, `(batch,)`.

    Source:
        Ridnik et al. (2021), arXiv:2009.14119, eqs. 5 to 7, with softmax probabilities in place of sigmoids, since
        exactly one class is true, and an exponent of 0 for that class.
    """
    logits = _label_logits(outputs, settings)
    shares, weights = weighted_shares(labels, logits, settings)
    log_probabilities = F.log_softmax(logits, dim=-1)
    excess = (log_probabilities.exp() - ASYMMETRIC_MARGIN).clamp(min=0)
    against = excess**settings.asymmetric_gamma * torch.log((1 - excess).clamp(min=_SMALLEST))
    return -(shares * log_probabilities + (1 - shares) * against).sum(dim=-1) * weights


def gaussian_nll(outputs: Any, labels: Tensor, settings: LossSettings) -> Tensor:
    """Compute the negative log-likelihood of normal distributions.

    Args:
        outputs: A model's output with `standardised` and `log_variances` `(batch, targets)`.
        labels: Truths `(batch, targets)` [units of the targets]; NaN where unknown.
        settings: The scale of the targets.

    Returns:
        One loss per image, the mean over its known targets, without the constant [nat], `(batch,)`.

    Source:
        Nix & Weigend (1994), eq. 3.
    """
    residuals, known = _residuals(outputs, labels, settings)
    log_variances = outputs["log_variances"]
    return _over_known(0.5 * (log_variances + residuals**2 * torch.exp(-log_variances)), known)


def beta_nll(outputs: Any, labels: Tensor, settings: LossSettings) -> Tensor:
    """Compute the Gaussian loss with each term weighted by the standard deviation that is predicted for it.

    The plain loss learns little where it believes a large variance; the weight, which has no gradient, undoes that.

    Args:
        outputs: As for `gaussian_nll`.
        labels: As for `gaussian_nll`.
        settings: The scale of the targets.

    Returns:
        One loss per image, `(batch,)`.

    Source:
        Seitzer et al. (2022), arXiv:2203.09168, eq. 5 with beta = 0.5.
    """
    residuals, known = _residuals(outputs, labels, settings)
    log_variances = outputs["log_variances"]
    losses = 0.5 * (log_variances + residuals**2 * torch.exp(-log_variances))
    return _over_known(losses * torch.exp(0.5 * log_variances).detach(), known)


def huber(outputs: Any, labels: Tensor, settings: LossSettings) -> Tensor:
    """Compute the Huber loss of standardised targets; it says nothing about the uncertainty.

    Args:
        outputs: As for `gaussian_nll`.
        labels: As for `gaussian_nll`.
        settings: The scale of the targets.

    Returns:
        One loss per image, `(batch,)`.

    Source:
        Huber (1964), with the bend at one standard deviation of the targets.
    """
    residuals, known = _residuals(outputs, labels, settings)
    return _over_known(F.huber_loss(residuals, torch.zeros_like(residuals), reduction="none"), known)


def mse(outputs: Any, labels: Tensor, settings: LossSettings) -> Tensor:
    """Compute the squared error of standardised targets; it says nothing about the uncertainty.

    Args:
        outputs: As for `gaussian_nll`.
        labels: As for `gaussian_nll`.
        settings: The scale of the targets.

    Returns:
        One loss per image, `(batch,)`.

    Source:
        Gauss (1809).
    """
    residuals, known = _residuals(outputs, labels, settings)
    return _over_known(0.5 * residuals**2, known)


def reconstruction(outputs: Any, labels: Tensor | None, settings: LossSettings) -> Tensor:
    """Return the squared error of hidden pixels, which the model itself computes.

    Args:
        outputs: A model's output with `loss`.
        labels: Nothing.
        settings: Not used.

    Returns:
        The mean loss of the batch, `(1,)`.

    Source:
        Xie et al. (2022), arXiv:2111.09886.
    """
    return outputs["loss"].reshape(-1)


Loss = Callable[[Any, Any, LossSettings], Tensor]

LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "asymmetric": asymmetric,
    "gaussian_nll": gaussian_nll,
    "beta_nll": beta_nll,
    "huber": huber,
    "mse": mse,
    "reconstruction": reconstruction,
}
# these leave the predicted variances untrained
WITHOUT_VARIANCES = ("huber", "mse")


def _label_logits(outputs: Any, settings: LossSettings) -> Tensor:
    """Return the logits that learn from labels; beside teachers those of the class token, where there are two."""
    logits = outputs.get("class_logits") if settings.has_teachers else None
    return (outputs["logits"] if logits is None else logits).float()


def _residuals(outputs: Any, labels: Tensor, settings: LossSettings) -> tuple[Tensor, Tensor]:
    """Return standardised errors, zero where the truth is unknown, and where it is known."""
    predicted = outputs["standardised"]
    targets = settings.standardised(labels)
    known = ~targets.isnan()
    return torch.where(known, targets, predicted) - predicted, known


def _over_known(losses: Tensor, known: Tensor) -> Tensor:
    """Average over the known targets of each image."""
    return (losses * known).sum(dim=-1) / known.sum(dim=-1).clamp(min=1)
