"""Configuration of several models that answer together."""

from collections.abc import Sequence
from typing import Any

from .configuration_heads import DeepLenseHeadConfig


class DeepLenseEnsembleConfig(DeepLenseHeadConfig):
    """Configuration of an ensemble: its members, what each does to raw images, and how much it counts.

    Args:
        members: Configuration of each member as a dictionary, with its `model_type`.
        operations: Options of each member's `ImageOperations`.
        orders: For each member which of its outputs is which of the ensemble's.
        weights: How much each member counts; they sum to one.
        temperatures: What the logits of each member are divided by; ones for regression.
        joint_temperature: What the logarithms of the mean probabilities are divided by.
        num_channels: Bands of a raw image.
        **kwargs: The options of `DeepLenseHeadConfig` and of transformers' `PreTrainedConfig`.

    Raises:
        ValueError: If there are not as many of each as there are members, or a weight or temperature is out of range.
    """

    model_type = "deeplense_ensemble"

    members: Sequence[dict[str, Any]] = ()
    operations: Sequence[dict[str, Any]] = ()
    orders: Sequence[Sequence[int]] = ()
    weights: Sequence[float] = ()
    temperatures: Sequence[float] = ()
    joint_temperature: float = 1.0
    num_channels: int = 1

    def __post_init__(self, **kwargs: Any) -> None:
        """Check that every member has everything."""
        count = len(self.members)
        for name in ("operations", "orders", "weights", "temperatures"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {count} members; give one each.")
        if count and (min(self.weights) < 0 or abs(sum(self.weights) - 1) > 1e-6):
            raise ValueError(f"weights={list(self.weights)} must not be negative and sum to one.")
        if count and not min(self.temperatures) > 0:
            raise ValueError(f"temperatures={list(self.temperatures)} must be positive.")
        if not self.joint_temperature > 0:
            raise ValueError(f"joint_temperature={self.joint_temperature} must be positive.")
        super().__post_init__(**kwargs)


__all__ = ["DeepLenseEnsembleConfig"]
