"""Options of `scripts/train.py` beside `transformers.TrainingArguments`; importing this module costs nothing."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class TrainOptions:
    """What to train on, which model, how images are processed and augmented.

    Raises:
        ValueError: If a number lies outside its range.
    """

    dataset: str = field(
        default="model_1",
        metadata={
            "help": "recipe name (simulated and cached), simulate:RECIPE (new systems all the time), data set folder, "
            "folder or archive of original files, or Hub id"
        },
    )
    images_per_class: int = field(
        default=4000,
        metadata={"help": "systems per class to simulate, if the data set is a recipe; of simulate:RECIPE, per epoch"},
    )
    simulation_seed: int = field(default=0, metadata={"help": "seed of simulated systems and new splits"})
    model: str = field(
        default="deeplense-swin-tiny",
        metadata={
            "help": "named DeepLense size; folder or Hub id of a trained model, whose encoder serves other tasks too; "
            "or any vision model of transformers or timm"
        },
    )
    model_options: list[str] = field(
        default_factory=list,
        metadata={"help": "options of a new model's configuration, for example symmetry=average drop_path_rate=0.1"},
    )
    crop_arcsec: float | None = field(
        default=None,
        metadata={
            "help": "side of the central square that is kept [arcsec]; when absent 4.8 for Models I to III, which "
            "holds all their arcs, and the whole image for other data"
        },
    )
    image_size: int | None = field(
        default=None,
        metadata={
            "help": "side the crop is resized to [pixels]; when absent at most 48 for Models I to III, and as "
            "it is for other data"
        },
    )
    stretch: Literal["none", "asinh", "log", "sqrt"] | None = field(
        default=None, metadata={"help": "brightness stretch; log for new models, as trained for others"}
    )
    normalisation: Literal["standard", "minmax", "max", "none"] | None = field(
        default=None,
        metadata={
            "help": "what the stretched image is brought to by its own numbers: zero mean and unit deviation "
            "(standard), 0 to 1 (minmax), peak 1 (max); standard for new models, as trained for others"
        },
    )
    augmentation: Literal["none", "dihedral", "standard", "lens"] = field(
        default="dihedral", metadata={"help": "augmentation policy of the raw training images"}
    )
    overwrite: bool = field(default=False, metadata={"help": "replace what an earlier run left in --output_dir"})
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "evaluations without a better model before training stops"}
    )
    cpu_threads: int | None = field(
        default=None,
        metadata={
            "help": "threads of this process on a CPU; all cores shared among the processes when absent "
            "(accelerate launch alone would leave one)"
        },
    )

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("images_per_class", "crop_arcsec", "image_size", "early_stopping_patience", "cpu_threads"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value} must be positive.")
        if self.simulation_seed < 0:
            raise ValueError(f"simulation_seed={self.simulation_seed} must not be negative.")
