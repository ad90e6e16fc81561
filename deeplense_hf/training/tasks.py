"""Tasks: what is learnt, from which column, and how it is scored. Nothing else branches on the task."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict
from scipy.special import softmax
from transformers import AutoModelForImageClassification, EvalPrediction

from deeplense_hf.data.schema import LABEL
from deeplense_hf.lens_metrics.lens_metrics import LensMetrics


def reference_split(splits: DatasetDict) -> Dataset:
    """Return the split that says what training images look like.

    Args:
        splits: The splits.

    Returns:
        The training split; of a stream, which has none, the validation split, whose systems are of the same recipe.
    """
    return splits["train"] if "train" in splits else splits["validation"]


@dataclass(frozen=True)
class ClassificationTask:
    """Which of two or more classes an image belongs to.

    Attributes:
        name: Key of `TASKS`.
        class_names: The classes, in the order of the model's outputs.
    """

    name = "classification"
    auto_class = AutoModelForImageClassification
    problem_type = "single_label_classification"
    metric_for_best_model = "roc_auc"

    class_names: tuple[str, ...]

    @classmethod
    def from_dataset(cls, splits: DatasetDict) -> "ClassificationTask":
        """Read the classes off a data set.

        Args:
            splits: The splits, all with the same features.

        Returns:
            The task.

        Raises:
            ValueError: If there is no column of class labels, or fewer than two classes have training images.
        """
        train = reference_split(splits)
        feature = train.features.get(LABEL)
        if not isinstance(feature, ClassLabel):
            raise ValueError(f"the data set has no column '{LABEL}' of class labels, which classification needs.")
        present = sorted(set(train.unique(LABEL)) - {-1, None})
        if len(present) < 2:
            names = [feature.names[label] for label in present]
            raise ValueError(
                f"classification needs training images of at least two classes, found {names or 'no labelled image'}."
            )
        return cls(tuple(feature.names))

    @property
    def model_options(self) -> dict[str, Any]:
        """What the task asks of a model's configuration."""
        return {
            "id2label": dict(enumerate(self.class_names)),
            "label2id": {name: index for index, name in enumerate(self.class_names)},
            "problem_type": self.problem_type,
        }

    def select(self, dataset: Dataset) -> Dataset:
        """Keep the rows that have a target.

        Args:
            dataset: One split.

        Returns:
            The split without unlabelled rows.
        """
        labels = np.asarray(dataset.with_format("arrow")[LABEL].to_numpy(zero_copy_only=False), dtype=np.float64)
        labelled = np.flatnonzero(labels >= 0)
        return dataset if len(labelled) == len(dataset) else dataset.select(labelled)

    def targets(self, dataset: Dataset, class_names: tuple[str, ...]) -> np.ndarray:
        """Return the labels of a split in the order of a model's outputs.

        Args:
            dataset: One split, every row labelled.
            class_names: The model's classes.

        Returns:
            Labels, int64, shape `(rows,)`.
        """
        column = dataset.with_format("arrow")[LABEL].to_numpy(zero_copy_only=False).astype(np.int64)
        order = np.array([class_names.index(name) for name in self.class_names])
        return order[column]

    def check_model_classes(self, class_names: tuple[str, ...], model: str) -> None:
        """Refuse a model that was trained on other classes.

        Args:
            class_names: The model's classes.
            model: The model's name, for the message.

        Raises:
            ValueError: If the sets of names differ.
        """
        if set(class_names) != set(self.class_names):
            raise ValueError(
                f"model '{model}' knows the classes {', '.join(class_names)}, but the data set has "
                f"{', '.join(self.class_names)}."
            )

    def metrics(self, class_names: tuple[str, ...], prediction: EvalPrediction) -> dict[str, float]:
        """Score logits, for `Trainer(compute_metrics=...)`.

        Args:
            class_names: The model's classes.
            prediction: Logits `(rows, classes)` and labels `(rows,)`.

        Returns:
            The scores of `LensMetrics` that are defined on these rows.
        """
        logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
        scores = LensMetrics().compute(
            prediction_scores=softmax(np.asarray(logits, dtype=np.float64), axis=1),
            references=np.asarray(prediction.label_ids),
            class_names=list(class_names),
        )
        return {name: float(value) for name, value in scores.items() if value is not None}


TASKS: dict[str, type[ClassificationTask]] = {ClassificationTask.name: ClassificationTask}
