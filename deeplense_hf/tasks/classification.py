"""Which class an image belongs to; and lens finding, which is that with two very unequal ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict
from numpy.typing import NDArray
from scipy.special import softmax
from transformers import AutoModelForImageClassification

from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import LABEL, LABEL_SETS
from deeplense_hf.lens_metrics.classification_scores import (
    check_scores,
    confusion_counts,
    total_weights,
    weighted_scores,
)
from deeplense_hf.lens_metrics.detection_scores import weighted_detection_scores
from deeplense_hf.models.answers import prediction_sets

from .calibration import best_temperature, prediction_set_threshold
from .options import TaskOptions
from .task import Arrays, ProcessedSplit, References, Task, class_names_of, groups_of, reference_split

PROBABILITIES = "probabilities"
PREDICTED_CLASS = "predicted_class"
PREDICTION_SET = "prediction_set_95"
# before the name of a class, in a table of answers
PROBABILITY_OF = "probability_"


@dataclass(frozen=True)
class ClassificationTask(Task):
    """Which of two or more classes an image belongs to.

    Attributes:
        class_names: The classes, in the order of the model's outputs.
        prediction_set_threshold: Probability from which on a class belongs to the set of those that an image may be of;
            none before the model is finished.
    """

    name: ClassVar[str] = "classification"
    auto_class: ClassVar[Any] = AutoModelForImageClassification
    output_keys: ClassVar[tuple[str, ...]] = ("logits",)
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "focal", "asymmetric")
    metric_for_best_model: ClassVar[str] = "roc_auc"
    lower_is_better: ClassVar[tuple[str, ...]] = (
        "loss",
        "log_loss",
        "expected_calibration_error",
        "prediction_set_size",
    )

    class_names: tuple[str, ...]
    prediction_set_threshold: float | None = None

    @classmethod
    def from_dataset(cls, splits: DatasetDict, options: TaskOptions, name: str) -> Self:
        """Read the classes off a data set; see `Task`."""
        train = reference_split(splits)
        feature = train.features.get(LABEL)
        if not isinstance(feature, ClassLabel):
            raise ValueError(f"'{name}' has no column '{LABEL}' of class labels, which {cls.name} needs.")
        present = sorted(set(train.unique(LABEL)) - {-1, None})
        if len(present) < 2:
            names = [feature.names[label] for label in present]
            raise ValueError(
                f"{cls.name} needs training images of at least two classes, and '{name}' has "
                f"{'only ' + names[0] if names else 'no labelled image'}."
            )
        watched = splits.get("validation", train)
        if len(set(watched.unique(LABEL)) - {-1, None}) < 2:
            raise ValueError(
                f"{cls.name} is watched on the validation split, and that of '{name}' has images of fewer than two "
                "classes; split the data otherwise."
            )
        return cls(tuple(feature.names))

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Read the classes off a configuration; see `Task`."""
        names = {int(index): str(label) for index, label in (config.id2label or {}).items()}
        threshold = getattr(config, "prediction_set_threshold", None)
        return cls(tuple(names[index] for index in sorted(names)), threshold)

    @property
    def model_options(self) -> dict[str, Any]:
        """What the task asks of a model's configuration."""
        return {
            "task": self.name,
            "id2label": dict(enumerate(self.class_names)),
            "label2id": {name: index for index, name in enumerate(self.class_names)},
            "problem_type": "single_label_classification",
        }

    def check_model(self, config: Any, model: str) -> None:
        """Refuse a model of other classes; see `Task`."""
        theirs = self.from_config(config).class_names
        if set(theirs) != set(self.class_names):
            raise ValueError(
                f"model '{model}' knows the classes {', '.join(theirs)}, but the data set has "
                f"{', '.join(self.class_names)}."
            )

    def training_rows(self, dataset: Dataset) -> NDArray[np.int64]:
        """Return the labelled rows; see `Task`."""
        return np.flatnonzero(groups_of(dataset)[0] >= 0)

    def targets(self, dataset: Dataset) -> NDArray[np.int64]:
        """Return the labels in the order of the model's outputs; see `Task`."""
        return self._translated(dataset)

    def stream_targets(self, batch: Arrays, class_names: Sequence[str]) -> NDArray[np.int64]:
        """Return the labels in the order of the model's outputs; see `Task`."""
        order = np.array([self.class_names.index(name) for name in class_names], dtype=np.int64)
        labels: NDArray[np.int64] = order[batch[LABEL]]
        return labels

    def finish(self, model: Any, processed: ProcessedSplit, splits: Sequence[str]) -> None:
        """Find the temperature of the probabilities, and the sets of classes that hold the true one; see `Task`.

        Both are found on validation images, so that what the loss, label smoothing or mixing did to a model's
        confidence does not reach its users.
        """
        logits, labels = [], []
        for batch in processed("validation"):
            logits.append(model(pixel_values=batch["pixel_values"]).logits.cpu().double().numpy())
            labels.append(batch["labels"].cpu().numpy())
        self.calibrate(model, np.concatenate(logits), np.concatenate(labels))

    def calibrate(self, model: Any, logits: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
        """Give a model the temperature and the threshold of sets that fit its logits.

        Args:
            model: The model; changed in place.
            logits: What it gives for images that it did not learn from, `(n, classes)`.
            labels: Their classes, `(n,)`.
        """
        temperature = best_temperature(logits, labels)
        model.divide_logits(temperature)
        probabilities = softmax(logits / temperature, axis=1)
        model.config.prediction_set_threshold = prediction_set_threshold(probabilities, labels)

    def references(self, dataset: Dataset) -> References:
        """Return the labelled rows and their labels; see `Task`."""
        names = class_names_of(dataset)
        remedy = "so there is nothing to compare with; use deeplense-hf predict for images without labels."
        if not names:
            raise ValueError(f"the data set has no column '{LABEL}' with class names, {remedy}")
        labels = LensImageDecoder(dataset).labels
        present = np.unique(labels[labels >= 0])
        if len(present) == 0:
            raise ValueError(f"none of the {len(labels)} images has a label, {remedy}")
        unknown = [names[index] for index in present if names[index] not in self.class_names]
        if unknown:
            raise ValueError(
                f"label mismatch: the data has images of {_listed(unknown)}, but the model only knows "
                f"{_listed(self.class_names)}; evaluate a model that was trained on these classes."
            )
        rows = np.flatnonzero(labels >= 0)
        values = self._translated(dataset)[rows]
        return References(rows, values, values, self.class_names)

    def _translated(self, dataset: Dataset) -> NDArray[np.int64]:
        """Translate labels to the model's classes by name, -1 where unlabelled or unknown."""
        names = class_names_of(dataset)
        # one entry more, so that -1 stays -1
        order = [self.class_names.index(name) if name in self.class_names else -1 for name in names]
        translated: NDArray[np.int64] = np.array([*order, -1], dtype=np.int64)[LensImageDecoder(dataset).labels]
        return translated

    def answers(self, outputs: Arrays) -> Arrays:
        """Turn logits into probabilities; see `Task`."""
        return {PROBABILITIES: softmax(np.asarray(outputs["logits"], dtype=np.float64), axis=-1)}

    @property
    def columns(self) -> dict[str, str]:
        """Columns of a table of answers and their types."""
        sets = {} if self.prediction_set_threshold is None else {PREDICTION_SET: "string"}
        probabilities = {f"{PROBABILITY_OF}{name}": "float32" for name in self.class_names}
        return {PREDICTED_CLASS: "string", **probabilities, **sets}

    def table(self, answers: Arrays) -> dict[str, list[Any]]:
        """Arrange classes and probabilities as columns; see `Task`."""
        probabilities = answers[PROBABILITIES]
        best = probabilities.argmax(axis=1).tolist()
        columns: dict[str, list[Any]] = {PREDICTED_CLASS: [self.class_names[index] for index in best]}
        for index, name in enumerate(self.class_names):
            columns[f"{PROBABILITY_OF}{name}"] = probabilities[:, index].tolist()
        if self.prediction_set_threshold is not None:
            sets = prediction_sets(probabilities, self.prediction_set_threshold)
            names = np.array(self.class_names)
            columns[PREDICTION_SET] = [" ".join(names[row]) for row in sets]
        return columns

    def weighted_scores(
        self, references: References, answers: Arrays, weights: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Score probabilities; see `Task`."""
        labels, probabilities = check_scores(references.values, answers[PROBABILITIES])
        scores = weighted_scores(labels, probabilities, weights, self.class_names)
        return scores | self._scores_of_sets(labels, probabilities, weights)

    def _scores_of_sets(
        self, labels: NDArray[np.int64], probabilities: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Return how often the sets of classes hold the true one, and how many classes they hold."""
        if self.prediction_set_threshold is None:
            return {}
        sets = prediction_sets(probabilities, self.prediction_set_threshold)
        total = total_weights(weights)
        return {
            "prediction_set_coverage": weights @ sets[np.arange(len(labels)), labels] / total,
            "prediction_set_size": weights @ sets.sum(axis=1) / total,
        }

    def _rows_of_sets(self) -> list[tuple[str, str]]:
        """Return the rows of the short table that `_scores_of_sets` fills."""
        if self.prediction_set_threshold is None:
            return []
        return [("truth in the 95% set", "prediction_set_coverage"), ("classes in it", "prediction_set_size")]

    def report_rows(self, group_names: Sequence[str]) -> list[tuple[str, str]]:
        """Return the rows of the short table; see `Task`."""
        return [
            ("ROC AUC, macro", "roc_auc"),
            *((f"ROC AUC, {name}", f"roc_auc_{name}") for name in self.class_names),
            ("accuracy", "accuracy"),
            ("average precision, macro", "average_precision"),
            ("expected calibration error", "expected_calibration_error"),
            *self._rows_of_sets(),
        ]

    def confusion_matrix(self, references: References, answers: Arrays) -> tuple[tuple[int, ...], ...]:
        """Count rows by true and predicted class; see `Task`."""
        counts = confusion_counts(references.values, answers[PROBABILITIES])
        return tuple(tuple(int(count) for count in row) for row in counts)


@dataclass(frozen=True)
class LensFindingTask(ClassificationTask):
    """Whether an image shows a lens at all, where one in a hundred or fewer does."""

    name: ClassVar[str] = "lens_finding"
    losses: ClassVar[tuple[str, ...]] = ("focal", "cross_entropy", "asymmetric")
    metric_for_best_model: ClassVar[str] = "average_precision"
    lower_is_better: ClassVar[tuple[str, ...]] = (*ClassificationTask.lower_is_better, "fpr_")

    @classmethod
    def from_dataset(cls, splits: DatasetDict, options: TaskOptions, name: str) -> Self:
        """Read the classes off a data set; see `Task`."""
        task = super().from_dataset(splits, options, name)
        wanted = LABEL_SETS["lens_finding"]
        if task.class_names != wanted:
            raise ValueError(
                f"lens_finding needs the classes {' and '.join(wanted)}, and '{name}' has "
                f"{', '.join(task.class_names)}; use --task classification."
            )
        return task

    def weighted_scores(
        self, references: References, answers: Arrays, weights: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Score the probability of a lens; see `Task`."""
        labels, probabilities = check_scores(references.values, answers[PROBABILITIES])
        general = super().weighted_scores(references, answers, weights)
        lens = self.class_names.index("lens")
        return general | weighted_detection_scores(labels == lens, probabilities[:, lens], weights)

    def report_rows(self, group_names: Sequence[str]) -> list[tuple[str, str]]:
        """Return the rows of the short table; see `Task`."""
        return [
            ("ROC AUC", "roc_auc"),
            ("average precision (area under PR)", "average_precision"),
            ("true positive rate at 0 false positives", "tpr_at_0_false_positives"),
            ("true positive rate at 10 false positives", "tpr_at_10_false_positives"),
            ("false positive rate at 50% of the lenses", "fpr_at_tpr_50"),
            ("false positive rate at 90% of the lenses", "fpr_at_tpr_90"),
            ("expected calibration error", "expected_calibration_error"),
            *self._rows_of_sets(),
        ]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
