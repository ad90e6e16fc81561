"""Figures of an evaluation of detectors: scores by class, ROC with few false positives, precision and recall."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from .figure_style import COLOURS, GREY, area, new_figure, title
from .report import EvaluationReport


def scores_figure(
    report: EvaluationReport,
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    class_names: Sequence[str],
    quantity: str,
) -> Figure:
    """Draw the distribution of a score in every class.

    Args:
        report: The report, for the title.
        labels: Class of each image, `(n,)`; -1 where unknown.
        scores: Scores, `(n,)`.
        class_names: Names of the classes.
        quantity: What the score is, for the axis.

    Returns:
        The figure; the outermost half percent at either end is in the first or the last bin.
    """
    figure = new_figure(5.0, 3.8)
    axes = figure.add_subplot()
    low, high = np.quantile(scores, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, 41).tolist()
    groups = [(index, name) for index, name in enumerate(class_names) if (labels == index).any()] or [(-1, "all")]
    for index, name in groups:
        chosen = np.clip(scores[labels == index], edges[0], edges[-1])
        axes.hist(
            chosen, edges, density=True, histtype="step", linewidth=1.5, color=COLOURS[index % len(COLOURS)], label=name
        )
    axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel=quantity, ylabel="density", title=title("Scores by class", report))
    return figure


def anomaly_roc_figure(
    report: EvaluationReport,
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    class_names: Sequence[str],
    normal_class: str,
) -> Figure:
    """Draw the ROC curve of every anomalous class against the normal one.

    Args:
        report: The report, for the areas.
        labels: Class of each image, `(n,)`.
        scores: Anomaly scores, `(n,)`.
        class_names: Names of the classes.
        normal_class: The one that is no anomaly.

    Returns:
        The figure.
    """
    figure = new_figure(5.0, 4.8)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    normal = labels == list(class_names).index(normal_class)
    for index, name in enumerate(class_names):
        chosen = normal | (labels == index)
        if name == normal_class or not (labels == index).any():
            continue
        false_positives, true_positives, _ = roc_curve(labels[chosen] == index, scores[chosen])
        label = f"{name}  {area(report.metrics[f'roc_auc_{name}'])}"
        axes.plot(false_positives, true_positives, color=COLOURS[index % len(COLOURS)], linewidth=1.6, label=label)
    axes.legend(loc="lower right", frameon=False, fontsize=8, title="AUC (95% interval)", title_fontsize=8)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel=f"false positive rate ({normal_class})", ylabel="true positive rate")
    axes.set_title(title(f"Anomalies against {normal_class}", report))
    return figure


def rare_roc_figure(report: EvaluationReport, positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> Figure:
    """Draw the ROC curve of a detector of rare positives, down to single false positives.

    Args:
        report: The report, for the area.
        positive: Whether each image is one, `(n,)`.
        scores: Larger is more likely one, `(n,)`.

    Returns:
        The figure, with the points of no and of ten false positives.
    """
    figure = new_figure(5.0, 4.8)
    axes = figure.add_subplot()
    false_positives, true_positives, _ = roc_curve(positive, scores, drop_intermediate=False)
    negatives = max(int((~positive).sum()), 1)
    # a count of zero has no place on the axis
    axes.step(
        np.maximum(false_positives * negatives, 0.5), true_positives, where="post", color=COLOURS[0], linewidth=1.6
    )
    for count, name in ((0, "tpr_at_0_false_positives"), (10, "tpr_at_10_false_positives")):
        rate = report.metrics[name].value
        if rate is not None:
            axes.plot(max(count, 0.5), rate, "o", color=COLOURS[1], markersize=5)
            place = (max(count, 0.5), rate)
            axes.annotate(f"{rate:.3f} at {count}", place, xytext=(6, -10), textcoords="offset points")
    axes.set_xscale("log")
    axes.set(ylim=(-0.02, 1.02), xlabel=f"false positives among {negatives}", ylabel="true positive rate")
    axes.set_title(title(f"ROC, AUC {area(report.metrics['roc_auc'])}", report), fontsize=9)
    return figure


def precision_recall_figure(
    report: EvaluationReport, positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> Figure:
    """Draw precision against recall.

    Args:
        report: The report, for the average precision.
        positive: Whether each image is one, `(n,)`.
        scores: Larger is more likely one, `(n,)`.

    Returns:
        The figure, with the precision of chance.
    """
    figure = new_figure(5.0, 4.8)
    axes = figure.add_subplot()
    precision, recall, _ = precision_recall_curve(positive, scores)
    axes.axhline(positive.mean(), color=GREY, linewidth=0.8, linestyle=":")
    axes.step(recall, precision, where="post", color=COLOURS[0], linewidth=1.6)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall (completeness)", ylabel="precision (purity)")
    average = area(report.metrics["average_precision_lens"])
    axes.set_title(title(f"Precision and recall, average {average}", report), fontsize=8)
    return figure
