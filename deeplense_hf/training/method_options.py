"""Options of how weights are found, beside those of `transformers.TrainingArguments`; importing costs nothing."""

import math
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class MethodOptions:
    """Loss, balance, mixing, optimiser, averaging, distillation and curriculum.

    Raises:
        ValueError: If a number lies outside its range, or options contradict each other.
    """

    loss: Literal[
        "default", "cross_entropy", "focal", "asymmetric", "gaussian_nll", "beta_nll", "huber", "mse", "reconstruction"
    ] = field(default="default", metadata={"help": "loss; default is that of the task"})
    focal_gamma: float = field(default=2.0, metadata={"help": "focal loss: how little easy images count"})
    asymmetric_gamma: float = field(
        default=4.0, metadata={"help": "asymmetric loss: how little easy images count against a class"}
    )
    class_balance: Literal["none", "weights", "sampling"] = field(
        default="none", metadata={"help": "rare classes count more in the loss, or are shown more often"}
    )
    mixing: Literal["none", "mixup", "cutmix"] = field(
        default="none", metadata={"help": "blend pairs of training images and their labels"}
    )
    mixing_alpha: float = field(default=0.2, metadata={"help": "parameter of the beta distribution of the blend"})
    layer_decay: float = field(
        default=1.0, metadata={"help": "factor of the learning rate from each layer to the one below it"}
    )
    frozen_layers: int = field(default=0, metadata={"help": "layers, from the stem on, that keep their weights"})
    freeze_backbone: bool = field(default=False, metadata={"help": "train the head alone"})
    ema_decay: float | None = field(
        default=None, metadata={"help": "decay of the moving average of the weights that is evaluated and saved"}
    )
    teachers: list[str] = field(
        default_factory=list, metadata={"help": "model folders or Hub ids whose probabilities are learnt too"}
    )
    distillation_weight: float = field(default=0.5, metadata={"help": "share of the loss that teachers decide"})
    distillation_temperature: float = field(default=2.0, metadata={"help": "temperature of both probabilities"})
    distillation_token: bool = field(
        default=False,
        metadata={"help": "a classifier of its own, on a token of its own in a ViT, learns from teachers"},
    )
    curriculum: Literal["none", "visibility", "loss", "hard_negatives"] = field(
        default="none",
        metadata={"help": "easy to hard by substructure visibility or by loss; or the hard non-lenses only"},
    )
    curriculum_start: float = field(
        default=0.3, metadata={"help": "share of the images that a curriculum begins with, or of negatives it keeps"}
    )
    curriculum_growth: float = field(
        default=0.5,
        metadata={
            "help": "share of the run, by loss of what follows its first epoch, after which all images are shown"
        },
    )
    progressive_size: float = field(
        default=1.0, metadata={"help": "size of training images at first, as a share of the final one; 1 is off"}
    )

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("focal_gamma", "asymmetric_gamma", "frozen_layers"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative.")
        for name in ("mixing_alpha", "distillation_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)} must be positive.")
        for name in ("layer_decay", "curriculum_start", "curriculum_growth", "progressive_size"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0 and at most 1.")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay} must be between 0 and 1, for example 0.99.")
        if not 0 <= self.distillation_weight <= 1:
            raise ValueError(f"distillation_weight={self.distillation_weight} must be between 0 and 1.")
        if self.distillation_token and self.distillation_weight in (0, 1):
            raise ValueError(
                f"distillation_weight={self.distillation_weight} leaves one of the two classifiers of "
                "distillation_token=True untrained; choose a share between."
            )
        if self.distillation_token and not self.teachers:
            raise ValueError("distillation_token=True needs --teachers to learn from.")
        self._check_curriculum()

    def _check_curriculum(self) -> None:
        """Refuse what a curriculum decides or needs itself."""
        if self.curriculum == "visibility" and self.class_balance != "none":
            raise ValueError(
                f"curriculum='visibility' shows every class equally often, so class_balance='{self.class_balance}' "
                "would balance them twice; leave class_balance out."
            )
        if self.curriculum != "none" and self.class_balance == "sampling":
            raise ValueError(
                f"curriculum='{self.curriculum}' decides which images are shown, so class_balance='sampling' cannot; "
                "use class_balance='weights'."
            )
        if self.curriculum in ("loss", "hard_negatives") and self.mixing != "none":
            raise ValueError(
                f"curriculum='{self.curriculum}' goes by the loss of each image, and mixing='{self.mixing}' blends "
                "them in pairs; leave one of the two out, or use curriculum='visibility'."
            )
