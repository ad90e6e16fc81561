"""`Task`: the one object that knows target, head, answers and scores of what is asked of an image."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict
from numpy.typing import NDArray

from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import LABEL, UNLABELLED

from .options import TaskOptions

Arrays = Mapping[str, NDArray[Any]]


class ProcessedSplit(Protocol):
    """Gives the images of a split as a model takes them."""

    def __call__(self, name: str, half: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the processed `training_rows` of a split.

        Args:
            name: Name of the split.
            half: 0 or 1 for the rows of one half of the systems, see `rows_of_half`; all rows when absent.

        Yields:
            Batches of `pixel_values`, and `labels` where there are targets.
        """


def reference_split(splits: DatasetDict) -> Dataset:
    """Return the split that says what training images look like.

    Args:
        splits: The splits.

    Returns:
        The training split; of a stream, which has none, the validation split, whose systems are of the same recipe.
    """
    return splits["train"] if "train" in splits else splits["validation"]


def class_names_of(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of a data set's classes.

    Args:
        dataset: One split.

    Returns:
        The names in the order of the labels; none where there is no column of class labels.
    """
    feature = dataset.features.get(LABEL)
    return tuple(feature.names) if isinstance(feature, ClassLabel) else ()


@dataclass(frozen=True)
class References:
    """What answers are compared with.

    Attributes:
        rows: Rows of the split that can be compared, `(n,)`.
        values: Truths of these rows: labels `(n,)`, targets `(n, targets)`, or nothing `(n, 0)`.
        groups: Class of each row, -1 where unknown, `(n,)`.
        group_names: Names of these classes.
    """

    rows: NDArray[np.int64]
    values: NDArray[Any]
    groups: NDArray[np.int64]
    group_names: tuple[str, ...]


class Task(ABC):
    """What is asked of an image. Subclasses are frozen dataclasses of what was asked of one model.

    Attributes:
        name: Key of `TASKS`, and `task` of a model's configuration.
        auto_class: Auto class that makes and loads the models.
        output_keys: Fields of a model's output that the answers are made of.
        losses: Names of the losses that fit, the default first; see `training.losses`.
        metric_for_best_model: Score on the validation split by which the best checkpoint is chosen.
        lower_is_better: Beginnings of the names of scores of which a smaller one is better.
        neither_is_better: Beginnings of the names of scores that are best at a value between.
        has_targets: Whether a model learns from targets, or from the images alone.
    """

    name: ClassVar[str]
    auto_class: ClassVar[Any]
    output_keys: ClassVar[tuple[str, ...]]
    losses: ClassVar[tuple[str, ...]]
    metric_for_best_model: ClassVar[str]
    lower_is_better: ClassVar[tuple[str, ...]] = ("loss",)
    neither_is_better: ClassVar[tuple[str, ...]] = ()
    has_targets: ClassVar[bool] = True

    @classmethod
    def greater_is_better(cls, score: str) -> bool:
        """Tell whether a larger score is better.

        Args:
            score: Name of a score, with or without transformers' `eval_`.

        Returns:
            False for errors, losses and widths.

        Raises:
            ValueError: If neither end of the score is best.
        """
        if score.removeprefix("eval_").startswith(cls.neither_is_better):
            raise ValueError(f"'{score}' is best at a value between; choose models by another score.")
        return not score.removeprefix("eval_").startswith(cls.lower_is_better)

    @classmethod
    @abstractmethod
    def from_dataset(cls, splits: DatasetDict, options: TaskOptions, name: str) -> Self:
        """Read the task off a data set.

        Args:
            splits: The splits, all with the same features.
            options: What is asked.
            name: Name of the data set, for messages.

        Returns:
            The task.

        Raises:
            ValueError: If the data do not fit the task.
        """

    @classmethod
    @abstractmethod
    def from_config(cls, config: Any) -> Self:
        """Read the task off the configuration of a trained model.

        Args:
            config: The configuration.

        Returns:
            The task.
        """

    @property
    @abstractmethod
    def model_options(self) -> dict[str, Any]:
        """What the task asks of a model's configuration."""

    @abstractmethod
    def check_model(self, config: Any, model: str) -> None:
        """Refuse a trained model that answers something else.

        Args:
            config: Its configuration.
            model: Its name, for the message.

        Raises:
            ValueError: If it does.
        """

    @abstractmethod
    def training_rows(self, dataset: Dataset) -> NDArray[np.int64]:
        """Return the rows that can be learnt from, or on which learning is watched, `(n,)`."""

    def targets(self, dataset: Dataset) -> NDArray[Any] | None:
        """Return what a model learns.

        Args:
            dataset: One split.

        Returns:
            One target a row, in the order of the model's outputs; None where it learns from the images alone.
        """
        return None

    def stream_targets(self, batch: Arrays, class_names: Sequence[str]) -> NDArray[Any] | None:
        """Return what a model learns of systems that are simulated while training.

        Args:
            batch: Columns of `data.schema`, each `(n, ...)`.
            class_names: Classes that the label column counts.

        Returns:
            As `targets`.
        """
        return None

    def classes_to_learn(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the classes whose images are learnt from.

        Args:
            dataset: A split with images of all classes.

        Returns:
            Their names.
        """
        groups, names = groups_of(dataset)
        present = np.unique(groups[self.training_rows(dataset)])
        return tuple(names[index] for index in present if index >= 0)

    def begin(self, model: Any) -> None:  # noqa: B027 - optional
        """Take back what `finish` told a model that is now trained further; most keep it.

        Args:
            model: The model; changed in place.
        """

    def finish(self, model: Any, processed: ProcessedSplit, splits: Sequence[str]) -> None:  # noqa: B027 - optional
        """Tell a trained model what it needs beside its weights; most need nothing.

        Args:
            model: The model, in evaluation mode; changed in place.
            processed: Yields the processed `training_rows` of a split, batch by batch.
            splits: Names of the splits; the test split is not to be touched.
        """

    @abstractmethod
    def references(self, dataset: Dataset) -> References:
        """Return what a model's answers on a split are compared with.

        Args:
            dataset: One split.

        Returns:
            Rows and truths.

        Raises:
            ValueError: If there is nothing to compare with, or model and data do not fit.
        """

    @abstractmethod
    def answers(self, outputs: Arrays) -> Arrays:
        """Turn a model's outputs into answers.

        Args:
            outputs: The fields `output_keys`, each `(n, ...)`.

        Returns:
            Answers by name, each `(n, ...)`.
        """

    @property
    @abstractmethod
    def columns(self) -> dict[str, str]:
        """Columns of a table of answers and their types (`string` or `float32`)."""

    @abstractmethod
    def table(self, answers: Arrays) -> dict[str, list[Any]]:
        """Arrange answers as columns.

        Args:
            answers: What `answers` returned.

        Returns:
            The values of every column, `n` each.
        """

    @abstractmethod
    def weighted_scores(
        self, references: References, answers: Arrays, weights: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Score answers under several sets of row weights.

        Args:
            references: The truths.
            answers: The answers on their rows.
            weights: How often each row counts, `(resamples, n)`.

        Returns:
            Scores by name, each `(resamples,)`; NaN where undefined.
        """

    @abstractmethod
    def report_rows(self, group_names: Sequence[str]) -> list[tuple[str, str]]:
        """Return the rows of the short table of an evaluation.

        Args:
            group_names: Classes of the data.

        Returns:
            Titles and names of scores.
        """

    def confusion_matrix(self, references: References, answers: Arrays) -> tuple[tuple[int, ...], ...]:
        """Count rows by true and answered class; nothing where answers are no classes."""
        return ()

    def scores(self, references: References, answers: Arrays) -> dict[str, float]:
        """Score answers.

        Args:
            references: The truths.
            answers: The answers on their rows.

        Returns:
            The scores that are defined.
        """
        scores = self.weighted_scores(references, answers, np.ones((1, len(references.rows))))
        return {name: float(value[0]) for name, value in scores.items() if np.isfinite(value[0])}


NOT_A_NUMBER = "the model's answer is not a number."
"""What is said of an image without a finite answer."""


def finite_rows(answers: Arrays) -> NDArray[np.bool_]:
    """Tell which images a model has an answer for; one that is not a number is none, and must not be ranked.

    Args:
        answers: Answers by name, each `(n, ...)`.

    Returns:
        Whether all numbers of an image's answer are finite, `(n,)`.
    """
    finite = [np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in answers.values()]
    rows: NDArray[np.bool_] = np.all(finite, axis=0)
    return rows


def rows_of_half(dataset: Dataset, rows: NDArray[np.int64], half: int | None) -> NDArray[np.int64]:
    """Choose the rows of one half of the lens systems, so that no system is in both halves.

    Args:
        dataset: One split.
        rows: Rows to choose from, `(n,)`.
        half: 0 for every other system, in the order of their first rows, 1 for the others; None for all.

    Returns:
        The chosen ones; a row of which no system is known is one of its own.
    """
    if half is None:
        return rows
    number: dict[str, int] = {}
    numbers = [number.setdefault(system, len(number)) for system in LensImageDecoder(dataset).system_ids[rows].tolist()]
    return rows[np.array(numbers, dtype=np.int64) % 2 == half]


def groups_of(dataset: Dataset) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the class of every row and the names of the classes; -1 and none where there are no labels."""
    names = class_names_of(dataset)
    if not names:
        return np.full(len(dataset), UNLABELLED, dtype=np.int64), ()
    return LensImageDecoder(dataset).labels, names
