"""Figures of an evaluation of quantities: estimates against truths, and how often intervals hold them."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from .figure_style import COLOURS, GREY, new_figure, title
from .report import EvaluationReport

_ERROR_BARS = 300


def estimates_figure(
    report: EvaluationReport,
    target: str,
    unit: str,
    truths: NDArray[np.float64],
    values: NDArray[np.float64],
    deviations: NDArray[np.float64],
) -> Figure:
    """Draw estimates against truths.

    Args:
        report: The report, for the scores.
        target: Name of the quantity.
        unit: Its unit.
        truths: Truths, `(n,)`.
        values: Estimates, `(n,)`.
        deviations: Their standard deviations, `(n,)`.

    Returns:
        The figure; of many images only some have error bars.
    """
    figure = new_figure(5.0, 4.8)
    axes = figure.add_subplot()
    ends = [float(min(truths.min(), values.min())), float(max(truths.max(), values.max()))]
    axes.plot(ends, ends, color=GREY, linewidth=0.8, linestyle=":")
    axes.plot(truths, values, ".", color=COLOURS[0], markersize=3, alpha=0.4)
    shown = np.linspace(0, len(truths) - 1, min(_ERROR_BARS, len(truths))).astype(int)
    axes.errorbar(
        truths[shown], values[shown], yerr=deviations[shown], fmt="none", ecolor=COLOURS[0], elinewidth=0.5, alpha=0.3,
        label="one standard deviation",
    )  # fmt: skip
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    scores = {score: report.metrics[f"{score}_{target}"].value for score in ("mae", "rmse", "r2")}
    text = "  ".join(f"{name.upper()} {value:.3g}" for name, value in scores.items() if value is not None)
    axes.text(0.03, 0.95, text, transform=axes.transAxes, fontsize=8)
    name = f"{target} [{unit}]" if unit else target
    axes.set(xlabel=f"true {name}", ylabel=f"estimated {name}", title=title("Estimates", report))
    # labels of four digits and a sign touch each other otherwise
    axes.locator_params(axis="x", nbins=5)
    return figure


def coverage_figure(
    report: EvaluationReport,
    target: str,
    truths: NDArray[np.float64],
    values: NDArray[np.float64],
    deviations: NDArray[np.float64],
) -> Figure:
    """Draw how many truths lie inside central intervals, against how many should.

    The curve is that of normal distributions of the standard deviations that the model states, the points are the
    intervals that it states itself, as scored in the report.

    Args:
        report: The report, for the title and the scores.
        target: Name of the quantity.
        truths: Truths, `(n,)`.
        values: Estimates, `(n,)`.
        deviations: Their standard deviations, `(n,)`.

    Returns:
        The figure; below the diagonal the model is too sure of itself.
    """
    figure = new_figure(5.0, 4.8)
    axes = figure.add_subplot()
    nominal = np.linspace(0.02, 0.98, 49)
    ratios = np.abs(truths - values) / deviations
    observed = (ratios[:, None] <= norm.ppf(0.5 + nominal / 2)).mean(axis=0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    error = np.sqrt(nominal * (1 - nominal) / len(truths))
    axes.fill_between(nominal, nominal - error, nominal + error, color=GREY, alpha=0.25, linewidth=0)
    axes.plot(nominal, observed, color=COLOURS[0], linewidth=1.6, label="as normal distributions")
    scores = [report.metrics[f"coverage_{level}_{target}"].value for level in ("68", "95")]
    stated = [np.nan if value is None else value for value in scores]
    axes.plot((0.68, 0.95), stated, "o", color=COLOURS[1], label="as the model states them")
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="nominal share", ylabel=f"share of true {target} inside")
    axes.set_title(title("Coverage of intervals", report))
    return figure
