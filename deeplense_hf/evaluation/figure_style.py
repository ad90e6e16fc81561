"""What the figures of all tasks have in common."""

from matplotlib.figure import Figure

from .report import EvaluationReport, Measurement

# told apart with colour-blind eyes too (Okabe & Ito 2008)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
GREY = "#8a8a8a"
_DOTS_PER_INCH = 150
# characters of a title that stand beside the number of images
_LONGEST_TITLE = 30


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size [inch] that pyplot knows nothing of."""
    return Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")


def title(text: str, report: EvaluationReport) -> str:
    """Return a title that says on what the figure was measured, in two lines where it is long."""
    separator = " " if len(text) <= _LONGEST_TITLE else "\n"
    return f"{text}{separator}({report.n:,} images, split {report.split})"


def area(measurement: Measurement) -> str:
    """Return an area with its interval."""
    if measurement.value is None:
        return "undefined"
    if measurement.low is None or measurement.high is None:
        return f"{measurement.value:.4f}"
    return f"{measurement.value:.4f} ({measurement.low:.4f} - {measurement.high:.4f})"
