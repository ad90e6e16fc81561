"""Options of the tasks; importing this module costs nothing."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class TaskOptions:
    """What is learnt, and from which columns.

    Raises:
        ValueError: If a number lies outside its range.
    """

    task: Literal["classification", "lens_finding", "regression", "anomaly_detection", "masked_image_modeling"] = field(
        default="classification", metadata={"help": "what is learnt"}
    )
    targets: list[str] = field(
        default_factory=lambda: ["log10_axion_mass_ev"],
        metadata={"help": "regression: columns to estimate, for example subhalo_mass_fraction einstein_radius"},
    )
    uncertainty: Literal["predicted", "constant"] = field(
        default="predicted",
        metadata={"help": "regression: a standard deviation for each image, or one for all"},
    )
    normal_class: str = field(
        default="no_sub", metadata={"help": "anomaly_detection: the class that is learnt; all others are anomalies"}
    )
    # on Model I the distance of features reaches an AUC of 0.83, reconstruction 0.61 (benchmarks/ablation.py)
    anomaly_score: Literal["reconstruction", "mahalanobis", "nearest_neighbours"] = field(
        default="mahalanobis", metadata={"help": "anomaly_detection: what an anomaly is told by"}
    )
    mask_ratio: float = field(
        default=0.5, metadata={"help": "anomaly_detection, masked_image_modeling: share of an image that is hidden"}
    )
    mask_size: int = field(
        default=8, metadata={"help": "anomaly_detection, masked_image_modeling: side of a hidden square [pixels]"}
    )

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio={self.mask_ratio} must be between 0 and 1.")
        if self.mask_size < 1:
            raise ValueError(f"mask_size={self.mask_size} must be at least 1 pixel.")
        if not self.targets or len(set(self.targets)) != len(self.targets):
            raise ValueError(f"targets={' '.join(self.targets)} must name at least one column, each one once.")
