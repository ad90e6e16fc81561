"""The command `evaluate`: measure a trained model on a data set."""

import dataclasses
import itertools
import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplense_hf.inference.option_checks import check_positive, check_seed

from .report import EvaluationReport, Measurement, PartScores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import torch
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from deeplense_hf.inference.predictor import Predictor

    from .dataset_predictions import DatasetPredictions

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
_DECIMALS = 6
_FEWEST_OF_A_PART = 50
# of fewer, resamples differ too little from each other, and some draw none of them
_FEWEST_SYSTEMS_OF_A_PART = 20
_TRUTH_RANGES = 4
_SCORES_OF_A_RANGE = ("mae", "bias", "coverage_95")
_ROWS_NAMED = 5


@dataclass
class EvaluateOptions:
    """Options of the command `evaluate`."""

    model: str = field(metadata={"help": "model folder or Hugging Face Hub id"})
    dataset: str = field(
        metadata={"help": "data set: recipe name, built folder, folder or archive of original files, or Hub id"}
    )
    output_dir: str = field(metadata={"help": "folder for metrics.json and the figures"})
    split: str = field(default="test", metadata={"help": "split to evaluate"})
    description: str = field(default="", metadata={"help": "what the images are, in a sentence for a model's card"})
    batch_size: int = field(default=64, metadata={"help": "images at a time; does not change the result"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1, mps"})
    bootstrap_samples: int = field(
        default=1000,
        metadata={"help": "resamples behind the 95-percent intervals; 0 leaves the intervals out"},
    )
    seed: int = field(
        default=0,
        metadata={"help": "seed of the resamples and, if the data set is a recipe, of its simulation"},
    )

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is out of range.
        """
        check_positive("batch_size", self.batch_size, 64)
        if self.bootstrap_samples < 0:
            raise ValueError(f"bootstrap_samples={self.bootstrap_samples} is negative; use 0 or for example 1000.")
        check_seed(self.seed)


def evaluate(options: EvaluateOptions) -> None:
    """Measure a model, write `metrics.json` and the figures, and print a short table.

    Args:
        options: What to evaluate, where to write.

    Raises:
        ValueError: If model and data do not fit, or the split does not exist.
        FileNotFoundError: If the model or the data set is missing.
        OSError: If the output cannot be written.
    """
    from accelerate import PartialState

    from deeplense_hf.data.loading import load_lenses
    from deeplense_hf.inference.predictor import Predictor

    state = PartialState(cpu=options.device == "cpu")
    output_dir = Path(options.output_dir)
    if output_dir.exists() and not output_dir.is_dir():
        raise ValueError(f"{output_dir} is a file; give a folder as --output_dir.")
    device = state.device if state.num_processes > 1 else options.device
    predictor = Predictor.from_pretrained(options.model, device)
    with state.main_process_first():
        splits = load_lenses(options.dataset, seed=options.seed)
    if options.split not in splits:
        raise ValueError(f"'{options.dataset}' has no split '{options.split}'; its splits are {', '.join(splits)}.")
    report = evaluate_model(
        predictor.model,
        predictor.processor,
        splits[options.split],
        output_dir=output_dir,
        model_name=options.model,
        dataset_name=options.dataset,
        description=options.description,
        split=options.split,
        batch_size=options.batch_size,
        bootstrap_samples=options.bootstrap_samples,
        seed=options.seed,
    )
    if state.is_main_process:
        print(report.table())
        print(f"written: {output_dir / METRICS_FILE} and figures")


def evaluate_model(
    model: "PreTrainedModel",
    processor: Any,
    dataset: "Dataset",
    *,
    output_dir: str | Path,
    model_name: str,
    dataset_name: str,
    description: str = "",
    split: str = "test",
    batch_size: int = 64,
    device: "str | torch.device | None" = None,
    bootstrap_samples: int = 1000,
    seed: int = 0,
) -> EvaluationReport:
    """Measure a model in memory; the main process writes `metrics.json` and the figures.

    Args:
        model: A model of one of the tasks; it comes back in the mode (training or evaluation) it was given in.
        processor: Its image processor.
        dataset: One split with the columns of `data.schema`; classes are matched by name.
        output_dir: Folder for `metrics.json` and the figures of the task.
        model_name: Folder or Hub id, as the report shall name it.
        dataset_name: Recipe, folder or Hub id, as the report shall name it.
        description: What the images are, in a sentence.
        split: Name of the split.
        batch_size: Images at a time.
        device: Where to run; None leaves the model where it is.
        bootstrap_samples: Resamples behind the intervals, 0 for none.
        seed: Seed of the resamples.

    Returns:
        The report, equal in every process.

    Raises:
        ValueError: If model and data do not fit.
        OSError: If the output cannot be written.
    """
    from accelerate import PartialState

    from deeplense_hf.inference.predictor import Predictor

    from .dataset_predictions import predict_dataset
    from .figures import draw_figures

    state = PartialState()
    if state.is_main_process:
        # a folder that cannot be made is found out before the work
        Path(output_dir).mkdir(parents=True, exist_ok=True)
    was_training = model.training
    try:
        predictor = Predictor(model, processor, device)
        predictions = predict_dataset(predictor, dataset, batch_size)
    finally:
        model.train(was_training)
    if predictions.left_out:
        logger.warning("%d images that nothing is known of to compare with are left out.", predictions.left_out)
    report = build_report(
        predictor,
        predictions,
        model_name=model_name,
        dataset_name=dataset_name,
        split=split,
        bootstrap_samples=bootstrap_samples,
        seed=seed,
    )
    report = dataclasses.replace(report, description=description)
    if state.is_main_process:
        draw_figures(report, predictor.task, predictions, Path(output_dir))
        report.save(Path(output_dir) / METRICS_FILE)
    return report


def build_report(
    predictor: "Predictor",
    predictions: "DatasetPredictions",
    *,
    model_name: str,
    dataset_name: str,
    split: str,
    bootstrap_samples: int,
    seed: int,
) -> EvaluationReport:
    """Compute the scores and their intervals.

    Args:
        predictor: The model.
        predictions: What it says.
        model_name: Folder or Hub id.
        dataset_name: Recipe, folder or Hub id.
        split: Name of the split.
        bootstrap_samples: Resamples behind the intervals, 0 for none.
        seed: Seed of the resamples.

    Returns:
        The report.

    Raises:
        ValueError: If an answer is not finite.
    """
    import numpy as np

    from deeplense_hf.lens_metrics.bootstrap import score_intervals

    _check_finite(predictions, f"'{dataset_name}', split {split}")
    task, references = predictor.task, predictions.references
    rows = len(references.rows)

    def measured(chosen: "NDArray[np.bool_]") -> dict[str, Measurement]:
        """Score some of the rows."""

        def score(weights: "NDArray[np.float64]") -> "dict[str, NDArray[np.float64]]":
            return task.weighted_scores(references, predictions.answers, weights * chosen)

        intervals: dict[str, tuple[float | None, float | None]] = {}
        if bootstrap_samples:
            intervals = score_intervals(
                score, rows, system_ids=predictions.system_ids.tolist(), samples=bootstrap_samples, seed=seed
            )
        return {
            name: Measurement(*(_rounded(number) for number in (float(value[0]), *intervals.get(name, (None, None)))))
            for name, value in score(np.ones((1, rows))).items()
        }

    report_rows = tuple(task.report_rows(references.group_names))
    counts = np.bincount(references.groups[references.groups >= 0], minlength=len(references.group_names))
    return EvaluationReport(
        task=task.name,
        model=model_name,
        model_fingerprint=predictor.fingerprint(),
        dataset=dataset_name,
        dataset_fingerprint=predictions.fingerprint,
        split=split,
        n=rows,
        n_systems=len(np.unique(predictions.system_ids)),
        n_left_out=predictions.left_out,
        class_names=references.group_names,
        class_counts={name: int(count) for name, count in zip(references.group_names, counts, strict=True)},
        metrics=measured(np.ones(rows, dtype=bool)),
        morphologies=_by_morphology(predictions, measured, [name for _, name in report_rows]),
        confusion_matrix=task.confusion_matrix(references, predictions.answers),
        report_rows=report_rows,
        bootstrap_samples=bootstrap_samples,
        seed=seed,
        library_versions=_library_versions(),
        truth_ranges=_by_truth(predictions, measured, getattr(task, "target_names", ())),
    )


def _check_finite(predictions: "DatasetPredictions", where: str) -> None:
    """Refuse answers that are no numbers, which sorting would take for the highest scores."""
    import numpy as np

    from deeplense_hf.tasks.task import finite_rows

    broken = np.flatnonzero(~finite_rows(predictions.answers))
    if len(broken):
        rows = [int(row) for row in predictions.references.rows[broken[:_ROWS_NAMED]]]
        raise ValueError(
            f"the model's answers for {len(broken)} of {len(predictions.references.rows)} images of {where} are not "
            f"finite (rows {', '.join(map(str, rows))}{', ...' if len(broken) > _ROWS_NAMED else ''}); remove these "
            "images, or train the model again."
        )


def _by_morphology(
    predictions: "DatasetPredictions",
    measured: "Callable[[NDArray[np.bool_]], dict[str, Measurement]]",
    shown: "Sequence[str]",
) -> tuple[PartScores, ...]:
    """Score the images of each morphology of which there are enough."""
    parts = [
        _scores_of_part(name, predictions.morphologies == name, predictions, measured, shown)
        for name in sorted(set(predictions.morphologies.tolist()) - {""})
    ]
    return tuple(part for part in parts if part)


def _by_truth(
    predictions: "DatasetPredictions",
    measured: "Callable[[NDArray[np.bool_]], dict[str, Measurement]]",
    target_names: "Sequence[str]",
) -> tuple[PartScores, ...]:
    """Score the quarters of each target's range of which there are enough images."""
    import numpy as np

    parts = []
    for target, truths in zip(target_names, predictions.references.values.T, strict=False):
        known = truths[np.isfinite(truths)]
        if not len(known):
            continue
        edges = np.linspace(known.min(), known.max(), _TRUTH_RANGES + 1)
        for low, high in itertools.pairwise(edges):
            # the largest truth lies in the last range, others that are an edge in the next
            chosen = (truths >= low) & ((truths < high) | (high == edges[-1]))
            shown = [f"{score}_{target}" for score in _SCORES_OF_A_RANGE]
            parts.append(_scores_of_part(f"{target} {low:.4g} to {high:.4g}", chosen, predictions, measured, shown))
    return tuple(part for part in parts if part)


def _scores_of_part(
    name: str,
    chosen: "NDArray[np.bool_]",
    predictions: "DatasetPredictions",
    measured: "Callable[[NDArray[np.bool_]], dict[str, Measurement]]",
    shown: "Sequence[str]",
) -> PartScores | None:
    """Score a part of the images, if there are enough, of enough systems, to mean something."""
    import numpy as np

    systems = len(np.unique(predictions.system_ids[chosen]))
    if chosen.sum() < _FEWEST_OF_A_PART or systems < _FEWEST_SYSTEMS_OF_A_PART:
        return None
    scores = measured(chosen)
    return PartScores(name, int(chosen.sum()), {score: scores[score] for score in shown})


def _rounded(number: float | None) -> float | None:
    """Round a score; None where it is undefined."""
    return round(number, _DECIMALS) if number is not None and math.isfinite(number) else None


def _library_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide the numbers."""
    from importlib.metadata import version

    from deeplense_hf import __version__

    libraries = ("torch", "transformers", "numpy")
    return {"deeplense_hf": __version__, **{name: version(name) for name in libraries}}
