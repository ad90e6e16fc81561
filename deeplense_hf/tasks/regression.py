"""How large physical quantities of a lens are, and how well that is known."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import COLUMNS, PIXEL_SCALE
from deeplense_hf.lens_metrics.regression_scores import weighted_regression_scores
from deeplense_hf.models import AutoModelForImageRegression
from deeplense_hf.models.answers import DEVIATIONS_OF_95, intervals_95

from .calibration import conformal_quantile
from .options import TaskOptions
from .task import Arrays, ProcessedSplit, References, Task, groups_of, reference_split

logger = logging.getLogger(__name__)

PREDICTIONS = "predictions"
STANDARD_DEVIATIONS = "standard_deviations"
# share of a normal distribution within one standard deviation
ONE_SIGMA = 0.6827


@dataclass(frozen=True)
class RegressionTask(Task):
    """How large one or several quantities are, with their uncertainty.

    Attributes:
        target_names: Columns that are estimated, in the order of the model's outputs.
        target_units: Their units.
        target_mean: Their means over the training images.
        target_std: Their standard deviations over the training images.
        uncertainty: Whether the standard deviation is predicted for each image or one for all.
        interval_factors_95: Half the widths of their 95% intervals [standard deviations]; none before the model is
            finished.
    """

    name: ClassVar[str] = "regression"
    auto_class: ClassVar[Any] = AutoModelForImageRegression
    output_keys: ClassVar[tuple[str, ...]] = (PREDICTIONS, STANDARD_DEVIATIONS)
    losses: ClassVar[tuple[str, ...]] = ("gaussian_nll", "beta_nll", "huber", "mse")
    metric_for_best_model: ClassVar[str] = "r2"
    lower_is_better: ClassVar[tuple[str, ...]] = ("loss", "mae", "rmse", "width_")
    neither_is_better: ClassVar[tuple[str, ...]] = ("bias_", "coverage_")

    target_names: tuple[str, ...]
    target_units: tuple[str, ...]
    target_mean: tuple[float, ...]
    target_std: tuple[float, ...]
    uncertainty: str = "predicted"
    interval_factors_95: tuple[float, ...] = ()

    @classmethod
    def from_dataset(cls, splits: DatasetDict, options: TaskOptions, name: str) -> Self:
        """Read the scale of the targets off the training images; see `Task`."""
        train = reference_split(splits)
        for target in options.targets:
            if target not in train.features:
                raise ValueError(
                    f"'{name}' has no column '{target}', which regression shall estimate; its numbers are "
                    f"{', '.join(_number_columns(train))}."
                )
            if target not in _number_columns(train):
                raise ValueError(f"column '{target}' of '{name}' holds no numbers; choose other --targets.")
        values = _target_values(train, options.targets)
        _check_spread(values, options.targets, f"of '{name}'", "training")
        if "validation" in splits:
            # the best model is chosen by them, and intervals are calibrated on them
            watched = _target_values(splits["validation"], options.targets)
            _check_spread(watched, options.targets, f"of '{name}'", "validation")
        return cls(
            target_names=tuple(options.targets),
            target_units=tuple(COLUMNS[target].unit if target in COLUMNS else "" for target in options.targets),
            target_mean=tuple(np.nanmean(values, axis=0).tolist()),
            target_std=tuple(np.nanstd(values, axis=0).tolist()),
            uncertainty=options.uncertainty,
        )

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Read targets and their scale off a configuration; see `Task`."""
        names = {int(index): str(label) for index, label in config.id2label.items()}
        count = len(names)
        return cls(
            target_names=tuple(names[index] for index in sorted(names)),
            target_units=tuple(config.target_units or [""] * count),
            target_mean=tuple(config.target_mean or [0.0] * count),
            target_std=tuple(config.target_std or [1.0] * count),
            uncertainty=config.uncertainty,
            interval_factors_95=tuple(getattr(config, "interval_factors_95", None) or ()),
        )

    @property
    def model_options(self) -> dict[str, Any]:
        """What the task asks of a model's configuration."""
        return {
            "task": self.name,
            "id2label": dict(enumerate(self.target_names)),
            "label2id": {name: index for index, name in enumerate(self.target_names)},
            "problem_type": "regression",
            "target_units": list(self.target_units),
            "target_mean": list(self.target_mean),
            "target_std": list(self.target_std),
            "uncertainty": self.uncertainty,
        }

    def check_model(self, config: Any, model: str) -> None:
        """Refuse a model of other targets; see `Task`."""
        theirs = self.from_config(config).target_names
        if theirs != self.target_names:
            raise ValueError(
                f"model '{model}' estimates {', '.join(theirs)}, but --targets asks for {', '.join(self.target_names)}."
            )

    def training_rows(self, dataset: Dataset) -> NDArray[np.int64]:
        """Return the rows of which at least one target is known; see `Task`."""
        return np.flatnonzero(~np.isnan(_target_values(dataset, self.target_names)).all(axis=1))

    def targets(self, dataset: Dataset) -> NDArray[np.float32]:
        """Return the targets in their own units, NaN where unknown; see `Task`."""
        return _target_values(dataset, self.target_names).astype(np.float32)

    def stream_targets(self, batch: Arrays, class_names: Sequence[str]) -> NDArray[np.float32]:
        """Return the targets in their own units, NaN where unknown; see `Task`."""
        nothing = np.full(len(batch[PIXEL_SCALE]), np.nan)
        columns = [np.asarray(batch.get(name, nothing), dtype=np.float32) for name in self.target_names]
        return np.stack(columns, axis=1)

    def finish(self, model: Any, processed: ProcessedSplit, splits: Sequence[str]) -> None:
        """Widen or narrow the intervals of 68% and of 95%, each by itself, by the validation images; see `Task`.

        Errors of a network have heavier tails than a normal distribution, so that one factor cannot serve both.

        Source:
            Split conformal prediction with normalised residuals: Lei et al. (2018), arXiv:1604.04173, section 5.2.
        """
        model.config.interval_factors = model.config.interval_factors_95 = None
        parts = []
        for batch in processed("validation"):
            outputs = model(pixel_values=batch["pixel_values"])
            # on the CPU, since not every device knows double precision
            errors = (batch["labels"].cpu().double() - outputs[PREDICTIONS].cpu().double()).abs()
            parts.append((errors / outputs[STANDARD_DEVIATIONS].cpu().double()).numpy())
        columns = zip(self.target_names, np.concatenate(parts).T, strict=True)
        factors = [_interval_factors(ratios, name) for name, ratios in columns]
        model.config.interval_factors = [narrow for narrow, _ in factors]
        model.config.interval_factors_95 = [wide for _, wide in factors]

    def references(self, dataset: Dataset) -> References:
        """Return the rows of which a target is known, and the targets; see `Task`."""
        missing = [name for name in self.target_names if name not in dataset.features]
        if missing:
            raise ValueError(f"the data set has no column '{missing[0]}', which the model estimates.")
        rows = self.training_rows(dataset)
        if len(rows) == 0:
            raise ValueError(
                f"{' and '.join(self.target_names)} is not known for any of the {len(dataset)} images, so there is "
                "nothing to compare with; use deeplense-hf predict."
            )
        groups, names = groups_of(dataset)
        return References(rows, _target_values(dataset, self.target_names)[rows], groups[rows], names)

    def answers(self, outputs: Arrays) -> Arrays:
        """Return expected values and their standard deviations; see `Task`."""
        return {key: np.asarray(outputs[key], dtype=np.float64) for key in self.output_keys}

    @property
    def columns(self) -> dict[str, str]:
        """Columns of a table of answers and their types."""
        return {
            column: "float32"
            for name in self.target_names
            for column in (name, f"{name}_standard_deviation", f"{name}_low_95", f"{name}_high_95")
        }

    def table(self, answers: Arrays) -> dict[str, list[Any]]:
        """Arrange expected values, uncertainties and central 95% intervals as columns; see `Task`."""
        lows, highs = self.intervals_95(answers)
        columns: dict[str, list[Any]] = {}
        for index, name in enumerate(self.target_names):
            columns[name] = answers[PREDICTIONS][:, index].tolist()
            columns[f"{name}_standard_deviation"] = answers[STANDARD_DEVIATIONS][:, index].tolist()
            columns[f"{name}_low_95"] = lows[:, index].tolist()
            columns[f"{name}_high_95"] = highs[:, index].tolist()
        return columns

    def intervals_95(self, answers: Arrays) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the ends of the central 95% intervals, each `(n, targets)` [units of the targets]."""
        return intervals_95(answers[PREDICTIONS], answers[STANDARD_DEVIATIONS], self.interval_factors_95)

    def weighted_scores(
        self, references: References, answers: Arrays, weights: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float64]]:
        """Score expected values and intervals; see `Task`."""
        return weighted_regression_scores(
            references.values,
            answers[PREDICTIONS],
            answers[STANDARD_DEVIATIONS],
            weights,
            self.target_names,
            self.intervals_95(answers),
        )

    def report_rows(self, group_names: Sequence[str]) -> list[tuple[str, str]]:
        """Return the rows of the short table; see `Task`."""
        rows = []
        for name, unit in zip(self.target_names, self.target_units, strict=True):
            in_unit = f" [{unit}]" if unit else ""
            rows += [
                (f"{name}: MAE{in_unit}", f"mae_{name}"),
                (f"{name}: RMSE{in_unit}", f"rmse_{name}"),
                (f"{name}: R2", f"r2_{name}"),
                (f"{name}: truths within 68% intervals", f"coverage_68_{name}"),
                (f"{name}: truths within 95% intervals", f"coverage_95_{name}"),
            ]
        return rows


def _number_columns(dataset: Dataset) -> list[str]:
    """Return the columns that could be targets."""
    return [
        name
        for name, feature in dataset.features.items()
        if name in COLUMNS and str(getattr(feature, "dtype", "")).startswith(("float", "int"))
    ]


def _target_values(dataset: Dataset, targets: Sequence[str]) -> NDArray[np.float64]:
    """Return columns of numbers, NaN where null or infinite, `(rows, targets)`."""
    decoder = LensImageDecoder(dataset)
    columns = [
        np.array([np.nan if value is None else value for value in decoder.column(name)], dtype=np.float64)
        for name in targets
    ]
    values = np.stack(columns, axis=1)
    values[~np.isfinite(values)] = np.nan
    return values


def _check_spread(values: NDArray[np.float64], targets: Sequence[str], of: str, what: str) -> None:
    """Refuse targets that are known of fewer than two images, or the same for all; `values` is `(rows, targets)`."""
    for target, column in zip(targets, values.T, strict=True):
        known = column[~np.isnan(column)]
        if len(known) < 2:
            found = "is empty on" if len(known) == 0 else "is known of only one of"
            raise ValueError(
                f"column '{target}' {of} {found} the {len(column)} {what} images; choose other --targets or split the "
                "data otherwise."
            )
        # within rounding of float32
        if known.std() <= 1e-6 * max(abs(known).max(), 1e-30):
            raise ValueError(
                f"column '{target}' {of} is {known[0]:g} for every {what} image; choose other --targets or split the "
                "data otherwise."
            )


def _interval_factors(ratios: NDArray[np.float64], name: str) -> tuple[float, float]:
    """Return by what a target's standard deviations are multiplied, and half the width of its 95% intervals.

    Args:
        ratios: Errors over standard deviations of images that were not learnt from, `(n,)`; NaN where unknown.
        name: Name of the target, for the message.

    Returns:
        The factor with which one standard deviation holds the error of a new image with a chance of 68%, and how many
        of these deviations hold it with one of 95%. Of too few images to promise this, the largest error that was seen,
        at least the deviations of a normal distribution.
    """
    known = ratios[np.isfinite(ratios)]
    if len(known) == 0:
        return 1.0, DEVIATIONS_OF_95
    largest = float(known.max())
    narrow = max(min(conformal_quantile(known, ONE_SIGMA), largest), 1e-6)
    wide = conformal_quantile(known, 0.95)
    if not np.isfinite(wide):
        logger.warning(
            "'%s' is known of %d validation images, too few for an interval that holds 95 truths in a hundred, which "
            "takes 19; the model's 95%% intervals are as wide as the largest error among them and promise nothing.",
            name,
            len(known),
        )
        wide = max(largest, DEVIATIONS_OF_95 * narrow)
    return narrow, max(wide / narrow, 1.0)
