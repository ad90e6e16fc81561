"""Fill in hidden parts of images: pretraining on lenses without labels, simulated or real."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray
from transformers import AutoModelForMaskedImageModeling

from deeplense_hf.lens_metrics.classification_scores import total_weights

from .options import TaskOptions
from .task import Arrays, References, Task, groups_of

RECONSTRUCTION_ERROR = "reconstruction_error"


@dataclass(frozen=True)
class MaskedImageModelingTask(Task):
    """What is behind the hidden squares of an image.

    Attributes:
        mask_ratio: Share of an image that is hidden.
        mask_size: Side of a hidden square [pixels].
    """

    name: ClassVar[str] = "masked_image_modeling"
    auto_class: ClassVar[Any] = AutoModelForMaskedImageModeling
    output_keys: ClassVar[tuple[str, ...]] = (RECONSTRUCTION_ERROR,)
    losses: ClassVar[tuple[str, ...]] = ("reconstruction",)
    metric_for_best_model: ClassVar[str] = "loss"
    lower_is_better: ClassVar[tuple[str, ...]] = ("loss", RECONSTRUCTION_ERROR)
    has_targets: ClassVar[bool] = False

    mask_ratio: float = 0.5
    mask_size: int = 8

    @classmethod
    def from_dataset(cls, splits: DatasetDict, options: TaskOptions, name: str) -> Self:
        """Take the options; any images will do; see `Task`."""
        return cls(options.mask_ratio, options.mask_size)

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Read the task off a configuration; see `Task`."""
        return cls(config.mask_ratio, config.mask_size)

    @property
    def model_options(self) -> dict[str, Any]:
        """What the task asks of a model's configuration."""
        return {"task": self.name, "mask_ratio": self.mask_ratio, "mask_size": self.mask_size}

    def check_model(self, config: Any, model: str) -> None:
        """Accept any model of masked images; see `Task`."""

    def training_rows(self, dataset: Dataset) -> NDArray[np.int64]:
        """Return all rows; see `Task`."""
        return np.arange(len(dataset))

    def references(self, dataset: Dataset) -> References:
        """Return all rows, which are their own truth; see `Task`."""
        groups, names = groups_of(dataset)
        return References(np.arange(len(dataset)), np.empty((len(dataset), 0)), groups, names)

    def answers(self, outputs: Arrays) -> Arrays:
        """Return the errors; see `Task`."""
        return {RECONSTRUCTION_ERROR: np.asarray(outputs[RECONSTRUCTION_ERROR], dtype=np.float64)}

    @property
    def columns(self) -> dict[str, str]:
        """Columns of a table of answers and their types."""
        return {RECONSTRUCTION_ERROR: "float32"}

    def table(self, answers: Arrays) -> dict[str, list[Any]]:
        """Arrange the errors as a column; see `Task`."""
        return {RECONSTRUCTION_ERROR: answers[RECONSTRUCTION_ERROR].tolist()}

    def weighted_scores(
        self, references: References, answers: Arrays, weights: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Average the errors, over all images and over those of each class; see `Task`."""
        errors = answers[RECONSTRUCTION_ERROR]
        scores = {RECONSTRUCTION_ERROR: weights @ errors / total_weights(weights)}
        for index, name in enumerate(references.group_names):
            of_class = weights * (references.groups == index)
            scores[f"{RECONSTRUCTION_ERROR}_{name}"] = of_class @ errors / total_weights(of_class)
        return scores

    def report_rows(self, group_names: Sequence[str]) -> list[tuple[str, str]]:
        """Return the rows of the short table; see `Task`."""
        return [
            ("squared error of hidden pixels", RECONSTRUCTION_ERROR),
            *((f"squared error, {name}", f"{RECONSTRUCTION_ERROR}_{name}") for name in group_names),
        ]
