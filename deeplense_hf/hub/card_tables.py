"""Tables of scores on a card."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .public_names import dataset_name

if TYPE_CHECKING:
    from deeplense_hf.evaluation.report import EvaluationReport, Measurement


def results_table(
    report: "EvaluationReport", others: "Sequence[EvaluationReport]", baselines: "Sequence[EvaluationReport]"
) -> str:
    """Return the tables of scores.

    Args:
        report: Those on the model's own population.
        others: Those on other images.
        baselines: Those of other models on the images of the first.

    Returns:
        Markdown.
    """
    from deeplense_hf.data.card import markdown_table

    columns = [report, *baselines]
    names = ["this model", *(baseline.model for baseline in baselines)]
    main = markdown_table(
        ("", *names),
        [
            (title, *(shown(column.metrics[name]) if name in column.metrics else "" for column in columns))
            for title, name in report.report_rows
        ],
    )
    parts = [f"On {_described(report)}:", main, *found_lenses(report)]
    title, name = report.report_rows[0]
    # of a class of its own, as what is no lens, a score is undefined
    defined = [part for part in report.morphologies if part.metrics[name].value is not None]
    if defined:
        seen = [(part.name, f"{part.n:,}", shown(part.metrics[name])) for part in defined]
        parts += ["By what is seen in the image:", markdown_table(("", "images", title), seen)]
    if report.truth_ranges:
        parts += ["By the truth:", _by_truth(report)]
    for other in others:
        rows = [(title, shown(other.metrics[name])) for title, name in other.report_rows]
        sentence = f" {other.description.removesuffix('.')}." if other.description else ""
        parts += [f"On {_described(other)}.{sentence}", markdown_table(("", "this model"), rows), *found_lenses(other)]
    return "\n\n".join(parts)


def _described(report: "EvaluationReport") -> str:
    """Return what was evaluated on."""
    counts = ", ".join(f"{count:,} {name}" for name, count in report.class_counts.items() if count)
    return (
        f"`{dataset_name(report.dataset)}`, split {report.split}, {report.n:,} images{f' ({counts})' if counts else ''}"
    )


def shown(measurement: "Measurement") -> str:
    """Return a score as cards show it.

    Args:
        measurement: The score.

    Returns:
        The number, with its interval if resamples differ at all.
    """
    if measurement.value is None:
        return "undefined"
    if measurement.low is None or measurement.high is None or measurement.low == measurement.high:
        return f"{measurement.value:.4f}"
    return f"{measurement.value:.4f} ({measurement.low:.4f} to {measurement.high:.4f})"


def _by_truth(report: "EvaluationReport") -> str:
    """Return the scores on each part of a target's range."""
    from deeplense_hf.data.card import markdown_table

    rows = []
    for part in report.truth_ranges:
        rows.append((part.name, f"{part.n:,}", *map(shown, part.metrics.values())))
    return markdown_table(("truth", "images", "MAE", "bias (estimate - truth)", "truths within 95% intervals"), rows)


def found_lenses(report: "EvaluationReport") -> list[str]:
    """Say how many lenses a finder finds, and how many of those it finds are some.

    Args:
        report: The scores.

    Returns:
        A sentence; none of another task.
    """
    if report.task != "lens_finding" or not report.confusion_matrix:
        return []
    names = list(report.class_names)
    lens = names.index("lens")
    found, lenses = report.confusion_matrix[lens][lens], sum(report.confusion_matrix[lens])
    named = sum(row[lens] for row in report.confusion_matrix)
    others = sum(map(sum, report.confusion_matrix)) - lenses
    share = f", so that {found / named:.1%} of what it calls a lens is one" if named else ""
    return [
        f"By the more probable class it finds {found:,} of {lenses:,} lenses of `{dataset_name(report.dataset)}` and "
        f"takes {named - found:,} of {others:,} look-alikes for one{share}."
    ]
