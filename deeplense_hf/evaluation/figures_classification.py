"""Figures of an evaluation of classes: ROC curves, confusion matrix, reliability diagram."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from deeplense_hf.lens_metrics.classification_scores import CALIBRATION_BINS, calibration_bins

from .figure_style import COLOURS, GREY, area, new_figure, title
from .report import EvaluationReport


def roc_figure(report: EvaluationReport, labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Figure:
    """Draw the one-versus-rest ROC curve of every class and their mean.

    Args:
        report: The report, for names and areas.
        labels: True classes, shape `(n,)`.
        probabilities: Class probabilities, shape `(n, classes)`.

    Returns:
        The figure. The macro curve is the mean true positive rate at each false positive rate.
    """
    figure = new_figure(5.0, 4.8)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    grid = np.linspace(0, 1, 2001)
    curves = []
    for index, name in enumerate(report.class_names):
        measurement = report.metrics[f"roc_auc_{name}"]
        if measurement.value is None:
            continue
        false_positives, true_positives, _ = roc_curve(labels == index, probabilities[:, index])
        curves.append(np.interp(grid, false_positives, true_positives))
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(
            false_positives,
            true_positives,
            color=colour,
            linewidth=1.6,
            label=f"{name}  {area(measurement)}",
        )
    if curves:
        mean = np.mean(curves, axis=0)
        label = f"macro  {area(report.metrics['roc_auc'])}"
        axes.plot(grid, mean, color="black", linewidth=1.2, linestyle="--", label=label)
        axes.legend(loc="lower right", frameon=False, fontsize=8, title="AUC (95% interval)", title_fontsize=8)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
        title=title("ROC, one against rest", report),
    )
    return figure


def confusion_figure(report: EvaluationReport) -> Figure:
    """Draw the confusion matrix: shares of each true class, with counts.

    Args:
        report: The report.

    Returns:
        The figure.
    """
    counts = np.array(report.confusion_matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(report.class_names)
    figure = new_figure(2.6 + 0.8 * size, 2.2 + 0.8 * size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(size, size):
        axes.text(
            column,
            row,
            f"{shares[row, column]:.1%}\n{counts[row, column]}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if shares[row, column] > 0.55 else "black",
        )
    axes.set_xticks(range(size), report.class_names, rotation=30 if size > 4 else 0)
    axes.set_yticks(range(size), report.class_names)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted class", ylabel="true class", title=title("Confusion", report))
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046, pad=0.04)
    return figure


def reliability_figure(
    report: EvaluationReport, labels: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> Figure:
    """Draw accuracy against confidence, with the number of images in each bin below.

    Args:
        report: The report, for the calibration error.
        labels: True classes, shape `(n,)`.
        probabilities: Class probabilities, shape `(n, classes)`.

    Returns:
        The figure. On the diagonal the model is right as often as it claims; below it is over-confident.
    """
    confidence = probabilities.max(axis=1)
    bins = calibration_bins(confidence)
    images = np.bincount(bins, minlength=CALIBRATION_BINS)
    filled = images > 0
    right = np.bincount(bins, weights=probabilities.argmax(axis=1) == labels, minlength=CALIBRATION_BINS)
    claimed = np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS)
    accuracy, mean_confidence = right[filled] / images[filled], claimed[filled] / images[filled]
    error = _wilson_errors(accuracy, images[filled])
    figure = new_figure(5.0, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    upper.errorbar(
        mean_confidence,
        accuracy,
        yerr=error,
        color=COLOURS[0],
        marker="o",
        markersize=4,
        linewidth=1.2,
        capsize=2,
    )
    gap = report.metrics["expected_calibration_error"].value or 0.0
    upper.text(0.03, 0.93, f"expected calibration error {gap:.4f}", transform=upper.transAxes, fontsize=8)
    upper.set(ylabel="accuracy", xlim=(0, 1.01), ylim=(-0.02, 1.02), title=title("Reliability", report))
    edges = np.arange(CALIBRATION_BINS) / CALIBRATION_BINS
    lower.bar(edges, images, width=1 / CALIBRATION_BINS, align="edge", color=COLOURS[0], edgecolor="white")
    lower.set(xlabel="confidence (probability of the predicted class)", ylabel="images")
    return figure


def _wilson_errors(share: NDArray[np.float64], n: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the 68% errors of a share below and above it, shape `(2, bins)`; of a share of 0 or 1 too.

    Source:
        Wilson (1927), the score interval with z = 1.
    """
    center = (share + 0.5 / n) / (1 + 1 / n)
    half = np.sqrt(share * (1 - share) / n + 0.25 / n**2) / (1 + 1 / n)
    return np.clip(np.stack([share - center + half, center + half - share]), 0, None)
