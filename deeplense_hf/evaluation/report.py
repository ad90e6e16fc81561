"""`EvaluationReport`: the one place where a result is stated; cards, tables and figures read it."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from deeplense_hf.data.staging import write_atomically

# reports without them are of the same meaning
_ADDED_LATER = {"description", "truth_ranges"}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A score with its bootstrap interval.

    Attributes:
        value: The score on all rows; None where it is undefined, as the AUC of a class without rows.
        low: Low end of the 95% interval; None without bootstrap.
        high: High end of the 95% interval; None without bootstrap.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class PartScores:
    """Scores on a part of the images.

    Attributes:
        name: What they have in common.
        n: Images.
        metrics: Some of the scores.
    """

    name: str
    n: int
    metrics: Mapping[str, Measurement]


@dataclasses.dataclass(frozen=True)
class EvaluationReport:
    """How good one model is on one split of one data set.

    The same command gives the same report, so it holds no time and no host name. Another batch size or number
    of processes changes the last bits of a network's output and with them at most the last of the 6 decimals
    that are kept, far below any interval.

    Attributes:
        task: What the model answers, a key of `deeplense_hf.tasks.registry.TASKS`.
        model: Folder or Hub id.
        model_fingerprint: Hash of weights, configuration and processor.
        dataset: Recipe name, folder or Hub id.
        dataset_fingerprint: Hash of the evaluated images and labels.
        split: Name of the split.
        n: Images on which the scores are computed.
        n_systems: Lens systems among them.
        n_left_out: Images of the split that nothing is known of to compare with.
        class_names: Classes, of a classifier in the model's order.
        class_counts: Images of each class.
        metrics: Scores by name, see `weighted_scores` of the task.
        morphologies: Scores of `report_rows` on rings, arcs, ... (`image_configuration` of `data.schema`), of each of
            which there are at least 50 images of 20 systems; none where that is unknown.
        confusion_matrix: Images by true class (row) and predicted class (column); empty where answers are no classes.
        report_rows: Titles and names of the scores of the short table.
        bootstrap_samples: Resamples behind the intervals; 0 means no intervals.
        seed: Seed of the resamples.
        library_versions: Versions of what computed the numbers.
        description: What the images are, in a sentence for cards; empty where the name of the data set says it.
        truth_ranges: Of a regression, MAE, bias and coverage of 95% intervals, in this order, on each quarter of a
            target's range in which there are as many images; a mean over the range hides where a quantity is not told
            at all.
    """

    task: str
    model: str
    model_fingerprint: str
    dataset: str
    dataset_fingerprint: str
    split: str
    n: int
    n_systems: int
    n_left_out: int
    class_names: tuple[str, ...]
    class_counts: Mapping[str, int]
    metrics: Mapping[str, Measurement]
    morphologies: tuple[PartScores, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    report_rows: tuple[tuple[str, ...], ...]
    bootstrap_samples: int
    seed: int
    library_versions: Mapping[str, str]
    description: str = ""
    truth_ranges: tuple[PartScores, ...] = ()

    def __post_init__(self) -> None:
        """Check that the parts belong together.

        Raises:
            ValueError: If counts, classes, scores and matrix disagree.
        """
        if tuple(self.class_counts) != self.class_names:
            raise ValueError(
                f"class_counts names {list(self.class_counts)}, but the classes are {list(self.class_names)}."
            )
        if self.n < sum(self.class_counts.values()):
            raise ValueError(f"n={self.n} is less than the sum of class_counts {dict(self.class_counts)}.")
        unknown = [name for _, name in self.report_rows if name not in self.metrics]
        if unknown:
            raise ValueError(f"report_rows names the score '{unknown[0]}', which is not among the metrics.")
        if not self.confusion_matrix:
            return
        size = len(self.class_names)
        if [len(row) for row in self.confusion_matrix] != [size] * size:
            raise ValueError(f"the confusion matrix is not {size} x {size}, as {size} classes need.")
        if list(self.class_counts.values()) != [sum(row) for row in self.confusion_matrix]:
            raise ValueError("class_counts is not the sum over the rows of the confusion matrix.")

    def to_json(self) -> str:
        """Return the report as JSON text that `from_json` reads back to an equal report."""
        return json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "EvaluationReport":
        """Read a report strictly.

        Args:
            text: What `to_json` wrote.

        Returns:
            The report.

        Raises:
            ValueError: If it is not JSON, a key is unknown or missing, or values have another type or
                disagree.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"an evaluation report must be JSON text: {error}.") from None
        checked = _checked(values, cls, "an evaluation report")
        return cls(
            **{
                **checked,
                "class_names": tuple(checked["class_names"]),
                "confusion_matrix": tuple(tuple(row) for row in checked["confusion_matrix"]),
                "report_rows": tuple(tuple(row) for row in checked["report_rows"]),
                "metrics": _measurements(checked["metrics"]),
                "morphologies": _parts(checked["morphologies"], "a morphology"),
                "truth_ranges": _parts(checked.get("truth_ranges", ()), "a range of truths"),
            }
        )

    def save(self, path: str | Path) -> None:
        """Write `metrics.json` atomically: a reader sees the old file or the new one, never a part.

        Args:
            path: The file; its folder is created.

        Raises:
            OSError: If the disk refuses; a file that was there stays as it was.
        """
        write_atomically(Path(path), self.to_json().encode())

    @classmethod
    def load(cls, path: str | Path) -> "EvaluationReport":
        """Read `metrics.json`.

        Args:
            path: The file.

        Returns:
            The report.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not a report, see `from_json`.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no evaluation report; deeplense-hf evaluate writes one.")
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def table(self) -> str:
        """Return the short table that commands print at the end."""
        width = max(len(title) for title, _ in self.report_rows)
        counts = ", ".join(f"{name} {count}" for name, count in self.class_counts.items() if count)
        images = f"{self.n} images of {self.n_systems} systems"
        heading = f"{self.dataset}, split {self.split}: {images}{f' ({counts})' if counts else ''}"
        if self.n_left_out:
            heading += f"; {self.n_left_out} images without truth left out"
        interval = "   95% interval" if self.bootstrap_samples else ""
        lines = [heading, f"{'':<{width}}   value{interval}"]
        for title, name in self.report_rows:
            lines.append(f"{title:<{width}}  {_shown(self.metrics[name])}")
        return "\n".join(lines)


def _measurements(values: Mapping[str, Any]) -> dict[str, Measurement]:
    """Read scores strictly."""
    return {name: Measurement(**_checked(value, Measurement, f"metric '{name}'")) for name, value in values.items()}


def _parts(entries: Any, what: str) -> tuple[PartScores, ...]:
    """Read scores of parts of the images strictly."""
    checked = [_checked(entry, PartScores, what) for entry in entries]
    return tuple(PartScores(part["name"], part["n"], _measurements(part["metrics"])) for part in checked)


def _shown(measurement: Measurement) -> str:
    """Return a number with its interval in fixed columns."""
    if measurement.value is None:
        return "undefined (no such image, or no other)"
    text = f"{measurement.value:.4f}"
    if measurement.low is None or measurement.high is None:
        return text
    return f"{text}   {measurement.low:.4f} - {measurement.high:.4f}"


def _fits(value: Any, annotation: Any) -> bool:
    """Return whether a JSON value can become a value of an annotated type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is UnionType:
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(item, arguments[1]) for item in value.values())
    if dataclasses.is_dataclass(annotation):
        return isinstance(value, dict)
    return type(value) is annotation or (annotation is float and type(value) is int)


def _checked(values: Any, declared: type, what: str) -> dict[str, Any]:
    """Check keys and types of a JSON object against a dataclass."""
    if not isinstance(values, dict):
        raise ValueError(f"{what} must be a JSON object, found {type(values).__name__}.")
    fields = {field.name: field for field in dataclasses.fields(declared)}
    needed = set(fields) - _ADDED_LATER
    unknown, missing = sorted(set(values) - set(fields)), sorted(needed - set(values))
    if unknown or missing:
        raise ValueError(
            f"{what} has the unknown keys {unknown} and lacks the keys {missing}; "
            "it was written by another version, evaluate again."
        )
    for name, value in values.items():
        annotation = fields[name].type
        if not _fits(value, annotation):
            raise ValueError(f"{what}: '{name}' is {value!r}, but {annotation} is needed.")
    return values
