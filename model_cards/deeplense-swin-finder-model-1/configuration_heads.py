"""What every head needs to know: the task, the targets of a regression, masks, and how anomalies are scored."""

from collections.abc import Sequence
from typing import Any, ClassVar

from transformers import PreTrainedConfig

UNCERTAINTIES = ("predicted", "constant")
SYMMETRIES = ("none", "average")
ANOMALY_SCORES = ("reconstruction", "mahalanobis", "nearest_neighbours")


class DeepLenseHeadConfig(PreTrainedConfig):
    """Options of the heads, shared by every family.

    Args:
        task: What the model answers, a name of `deeplense_hf.tasks`; a classifier when absent.
        symmetry: `average`: in evaluation mode answers are averaged over the eight orientations of the square, at eight
            times the cost, so that they do not depend on the orientation of an image; `none`: they are not.
        target_mean: Mean of each target of a regression over the training images [units of the target].
        target_std: Standard deviation of each target [units of the target].
        target_units: Unit of each target.
        uncertainty: Whether a regression predicts a standard deviation for each image, or has one for all.
        interval_factors: Factor of each target's standard deviations, found on validation images, so that 68% of the
            truths lie within one; 1 when absent.
        interval_factors_95: Half the width of each target's 95% intervals [standard deviations, as the model answers
            them], found on the same images; that of a normal distribution, 1.96, when absent.
        mask_ratio: Share of an image that masked image modelling hides.
        mask_size: Side of a hidden square [pixels].
        anomaly_score: What an anomaly is told by: `reconstruction` of hidden parts, the `mahalanobis` distance of the
            features from those of normal images, or their distance from the `nearest_neighbours` among these.
        anomaly_masks: Pairs of complementary masks that an image is reconstructed under.
        anomaly_neighbours: Neighbours that the distance is averaged over.
        anomaly_references: Normal images whose features are kept for comparison.
        prediction_set_threshold: Probability from which on a class belongs to the set of those that an image may be of,
            found on validation images, so that the set holds the true one for 95% of them; none when absent.
        distillation_token: Whether a second classifier, on a token of its own where the family has tokens, learns from
            teachers; the answers of both are averaged (DeiT).

    Raises:
        ValueError: If an option is out of range.
    """

    # what `symmetry` may be; families that are equivariant themselves can more
    symmetries: ClassVar[tuple[str, ...]] = SYMMETRIES
    # Whether transformers knows the pipelines already, from the installed package. Otherwise they are the code that a
    # folder's configuration names, which runs with `trust_remote_code` only.
    pipelines_are_registered: ClassVar[bool] = False
    # outputs that `Trainer` does not gather
    keys_to_ignore_at_inference = [  # noqa: RUF012
        "hidden_states",
        "attentions",
        "feature_maps",
        "standardised",
        "log_variances",
        "class_logits",
        "distillation_logits",
        "reconstruction",
        "mask",
    ]

    task: str | None = None
    symmetry: str = "none"
    target_mean: Sequence[float] | None = None
    target_std: Sequence[float] | None = None
    target_units: Sequence[str] | None = None
    uncertainty: str = "predicted"
    interval_factors: Sequence[float] | None = None
    interval_factors_95: Sequence[float] | None = None
    mask_ratio: float = 0.5
    mask_size: int = 8
    anomaly_score: str = "mahalanobis"
    anomaly_masks: int = 4
    anomaly_neighbours: int = 5
    anomaly_references: int = 1000
    prediction_set_threshold: float | None = None
    distillation_token: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        """Check the options."""
        check_choice("symmetry", self.symmetry, self.symmetries)
        check_choice("uncertainty", self.uncertainty, UNCERTAINTIES)
        check_choice("anomaly_score", self.anomaly_score, ANOMALY_SCORES)
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio={self.mask_ratio} must be between 0 and 1.")
        for name in ("mask_size", "anomaly_masks", "anomaly_neighbours", "anomaly_references"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        if self.pipelines_are_registered:
            kwargs.pop("custom_pipelines", None)
        super().__post_init__(**kwargs)


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that is not among the allowed ones.

    Args:
        name: Name of the option.
        value: Its value.
        allowed: What it may be.

    Raises:
        ValueError: If it is something else.
    """
    if value not in allowed:
        raise ValueError(f"{name}='{value}' is not one of {', '.join(allowed)}.")


__all__ = ["DeepLenseHeadConfig"]
