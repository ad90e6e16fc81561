"""The figures of every task."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from deeplense_hf.data.staging import write_atomically
from deeplense_hf.tasks.anomaly_detection import ANOMALY_SCORE, AnomalyDetectionTask
from deeplense_hf.tasks.classification import PROBABILITIES, ClassificationTask, LensFindingTask
from deeplense_hf.tasks.masked_image_modeling import RECONSTRUCTION_ERROR, MaskedImageModelingTask
from deeplense_hf.tasks.regression import PREDICTIONS, STANDARD_DEVIATIONS, RegressionTask

from .dataset_predictions import DatasetPredictions
from .figures_classification import confusion_figure, reliability_figure, roc_figure
from .figures_detection import anomaly_roc_figure, precision_recall_figure, rare_roc_figure, scores_figure
from .figures_regression import coverage_figure, estimates_figure
from .report import EvaluationReport

Figures = dict[str, Figure]


def draw_figures(report: EvaluationReport, task: Any, predictions: DatasetPredictions, output_dir: Path) -> list[Path]:
    """Draw all figures of a task; the numbers in them are the report's.

    Args:
        report: The report.
        task: What was asked.
        predictions: Truths and answers.
        output_dir: Folder of the PNG files; it is created.

    Returns:
        The files.

    Raises:
        OSError: If a file cannot be written.
    """
    paths = []
    for name, figure in FIGURES[task.name](report, task, predictions).items():
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
        write_atomically(output_dir / name, buffer.getvalue())
        paths.append(output_dir / name)
    return paths


def _of_classes(report: EvaluationReport, task: Any, predictions: DatasetPredictions) -> Figures:
    labels, probabilities = predictions.references.values, predictions.answers[PROBABILITIES]
    return {
        "roc.png": roc_figure(report, labels, probabilities),
        "confusion.png": confusion_figure(report),
        "reliability.png": reliability_figure(report, labels, probabilities),
    }


def _of_lenses(report: EvaluationReport, task: Any, predictions: DatasetPredictions) -> Figures:
    lens = task.class_names.index("lens")
    positive, scores = predictions.references.values == lens, predictions.answers[PROBABILITIES][:, lens]
    figures = _of_classes(report, task, predictions)
    if positive.any() and not positive.all():
        figures["roc.png"] = rare_roc_figure(report, positive, scores)
        figures["precision_recall.png"] = precision_recall_figure(report, positive, scores)
    return figures


def _of_quantities(report: EvaluationReport, task: Any, predictions: DatasetPredictions) -> Figures:
    figures = {}
    for index, (name, unit) in enumerate(zip(task.target_names, task.target_units, strict=True)):
        truths = predictions.references.values[:, index]
        known = ~np.isnan(truths)
        if not known.any():
            continue
        columns = [
            truths[known],
            *(predictions.answers[key][known, index] for key in (PREDICTIONS, STANDARD_DEVIATIONS)),
        ]
        figures[f"estimates_{name}.png"] = estimates_figure(report, name, unit, *columns)
        figures[f"coverage_{name}.png"] = coverage_figure(report, name, *columns)
    return figures


def _of_anomalies(report: EvaluationReport, task: Any, predictions: DatasetPredictions) -> Figures:
    labels, scores = predictions.references.values, predictions.answers[ANOMALY_SCORE]
    names = predictions.references.group_names
    return {
        "scores.png": scores_figure(report, labels, scores, names, "anomaly score [standard deviations]"),
        "roc.png": anomaly_roc_figure(report, labels, scores, names, task.normal_class),
    }


def _of_masks(report: EvaluationReport, task: Any, predictions: DatasetPredictions) -> Figures:
    groups, names = predictions.references.groups, predictions.references.group_names
    errors = predictions.answers[RECONSTRUCTION_ERROR]
    return {"scores.png": scores_figure(report, groups, errors, names, "squared error of hidden pixels")}


FIGURES: dict[str, Callable[[EvaluationReport, Any, DatasetPredictions], Figures]] = {
    ClassificationTask.name: _of_classes,
    LensFindingTask.name: _of_lenses,
    RegressionTask.name: _of_quantities,
    AnomalyDetectionTask.name: _of_anomalies,
    MaskedImageModelingTask.name: _of_masks,
}
