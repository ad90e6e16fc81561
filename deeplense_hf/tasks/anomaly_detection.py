"""How unlike normal lenses a lens is, learnt from normal ones alone."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import LABEL
from deeplense_hf.lens_metrics.detection_scores import weighted_anomaly_scores
from deeplense_hf.models import AutoModelForAnomalyDetection
from deeplense_hf.models.anomaly import FEWEST_NORMAL_IMAGES

from .options import TaskOptions
from .task import Arrays, ProcessedSplit, References, Task, class_names_of, groups_of, rows_of_half

logger = logging.getLogger(__name__)

ANOMALY_SCORE = "anomaly_score"
# normal images whose features are averaged; more would not change mean and covariance noticeably
IMAGES_OF_STATISTICS = 10_000


@dataclass(frozen=True)
class AnomalyDetectionTask(Task):
    """Whether an image is unlike those of the normal class.

    Attributes:
        normal_class: The class that is learnt.
        score: What an anomaly is told by, see `DeepLenseHeadConfig.anomaly_score`.
        mask_ratio: Share of an image that is hidden while learning.
        mask_size: Side of a hidden square [pixels].
    """

    name: ClassVar[str] = "anomaly_detection"
    auto_class: ClassVar[Any] = AutoModelForAnomalyDetection
    output_keys: ClassVar[tuple[str, ...]] = (ANOMALY_SCORE,)
    losses: ClassVar[tuple[str, ...]] = ("reconstruction",)
    # anomalies are never looked at before the test, so the best model is the one that knows normal images best
    metric_for_best_model: ClassVar[str] = "loss"
    has_targets: ClassVar[bool] = False

    normal_class: str = "no_sub"
    score: str = "mahalanobis"
    mask_ratio: float = 0.5
    mask_size: int = 8

    @classmethod
    def from_dataset(cls, splits: DatasetDict, options: TaskOptions, name: str) -> Self:
        """Check that normal images are there and nothing else is taken for one; see `Task`."""
        task = cls(options.normal_class, options.anomaly_score, options.mask_ratio, options.mask_size)
        for split in (splits[part] for part in ("train", "validation") if part in splits):
            names = class_names_of(split)
            if task.normal_class not in names:
                raise ValueError(
                    f"'{name}' has no class '{task.normal_class}' to learn what is normal; its classes are "
                    f"{', '.join(names) or 'unknown'}: choose --normal_class."
                )
            labels = LensImageDecoder(split).labels
            unlabelled = int((labels < 0).sum())
            if unlabelled:
                raise ValueError(
                    f"{unlabelled} of {len(labels)} images to learn from in '{name}' have no class, and an anomaly "
                    f"among them would be learnt as normal; label or remove them."
                )
            if not (labels == names.index(task.normal_class)).any():
                found = ", ".join(names[index] for index in np.unique(labels))
                raise ValueError(
                    f"'{name}' has only anomalies ({found}) to learn from and no image of class "
                    f"'{task.normal_class}'; add some or choose --normal_class."
                )
        if "validation" in splits:
            task._check_counts(splits, name)
        return task

    def _check_counts(self, splits: DatasetDict, name: str) -> None:
        """Refuse too few normal images for statistics of features or of scores."""
        for split, half in _images_of_features_and_of_scores(splits):
            found = len(rows_of_half(splits[split], self.training_rows(splits[split]), half))
            if found < FEWEST_NORMAL_IMAGES:
                what = f"{split} images" if half is None else f"half of the {split} systems"
                raise ValueError(
                    f"anomalies are told by the spread of normal images, which needs at least {FEWEST_NORMAL_IMAGES} "
                    f"of class '{self.normal_class}', better hundreds, and among {what} of '{name}' there are {found}; "
                    "add some."
                )

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Read the task off a configuration; see `Task`."""
        normal = (config.id2label or {}).get(0, "no_sub")
        return cls(str(normal), config.anomaly_score, config.mask_ratio, config.mask_size)

    @property
    def model_options(self) -> dict[str, Any]:
        """What the task asks of a model's configuration."""
        return {
            "task": self.name,
            "id2label": {0: self.normal_class},
            "label2id": {self.normal_class: 0},
            ANOMALY_SCORE: self.score,
            "mask_ratio": self.mask_ratio,
            "mask_size": self.mask_size,
        }

    def check_model(self, config: Any, model: str) -> None:
        """Refuse a model that learnt another class; see `Task`."""
        theirs = self.from_config(config).normal_class
        if theirs != self.normal_class:
            raise ValueError(f"model '{model}' takes '{theirs}' for normal, not '{self.normal_class}'.")

    def training_rows(self, dataset: Dataset) -> NDArray[np.int64]:
        """Return the normal rows; see `Task`."""
        labels, names = groups_of(dataset)
        return np.flatnonzero(labels == names.index(self.normal_class))

    def begin(self, model: Any) -> None:
        """Forget the normal images of an earlier training, whose features are soon others; see `Task`."""
        model.normal.reset()

    def finish(self, model: Any, processed: ProcessedSplit, splits: Sequence[str]) -> None:
        """Take over the statistics of normal training images, and the scores of normal validation images; see `Task`.

        A stream has no training split; then the former are those of half the validation systems, and the latter of the
        others: images are more like statistics that they are part of than new ones are.
        """
        of_features, of_scores = _images_of_features_and_of_scores(splits)
        features: list[Any] = []
        for batch in processed(*of_features):
            features.append(model.pooled(batch["pixel_values"]))
            if sum(map(len, features)) >= IMAGES_OF_STATISTICS:
                break
        fitted = torch.cat(features)
        if self.score != "reconstruction" and len(fitted) <= fitted.shape[1]:
            logger.warning(
                "what is normal is told by %d images with %d features each; scores mean more with more images.",
                *fitted.shape,
            )
        model.normal.fit(fitted)
        scores = [model.raw_score(batch["pixel_values"]) for batch in processed(*of_scores)]
        model.normal.fit_scores(torch.cat(scores))

    def references(self, dataset: Dataset) -> References:
        """Return the labelled rows and their classes; see `Task`."""
        labels, names = groups_of(dataset)
        rows = np.flatnonzero(labels >= 0)
        if self.normal_class not in names or not (labels == names.index(self.normal_class)).any():
            raise ValueError(
                f"the data set has no image of class '{self.normal_class}', which the model takes for normal, in the "
                f"column '{LABEL}'; use deeplense-hf predict for images without labels."
            )
        return References(rows, labels[rows], labels[rows], names)

    def answers(self, outputs: Arrays) -> Arrays:
        """Return the scores; see `Task`."""
        return {ANOMALY_SCORE: np.asarray(outputs[ANOMALY_SCORE], dtype=np.float64)}

    @property
    def columns(self) -> dict[str, str]:
        """Columns of a table of answers and their types."""
        return {ANOMALY_SCORE: "float32"}

    def table(self, answers: Arrays) -> dict[str, list[Any]]:
        """Arrange the scores as a column; see `Task`."""
        return {ANOMALY_SCORE: answers[ANOMALY_SCORE].tolist()}

    def weighted_scores(
        self, references: References, answers: Arrays, weights: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Score how well anomalies stand out; see `Task`."""
        return weighted_anomaly_scores(
            references.values, answers[ANOMALY_SCORE], weights, references.group_names, self.normal_class
        )

    def report_rows(self, group_names: Sequence[str]) -> list[tuple[str, str]]:
        """Return the rows of the short table; see `Task`."""
        anomalous = [name for name in group_names if name != self.normal_class]
        return [
            ("ROC AUC, all anomalies", "roc_auc"),
            *((f"ROC AUC, {name}", f"roc_auc_{name}") for name in anomalous),
            ("average precision, all anomalies", "average_precision"),
            *((f"average precision, {name}", f"average_precision_{name}") for name in anomalous),
        ]


def _images_of_features_and_of_scores(splits: Collection[str]) -> tuple[tuple[str, int | None], tuple[str, int | None]]:
    """Say which images the features are taken of and which the scores, as split and half; no image is among both."""
    return (("train", None), ("validation", None)) if "train" in splits else (("validation", 0), ("validation", 1))
