"""Answers as HTML, in the colours of the page's theme; every text that comes from outside is escaped."""

from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from deeplense_hf.evaluation.explanation import Occlusion

from .answers import ModelAnswer, Quantity
from .pictures import DIFFERENCE_MAP, FALL_TINT, RISE_TINT, STRONGEST_TINT, difference_scale, tint_scale

_CARD = "border:1px solid var(--border-color-primary);border-radius:8px;padding:10px 14px;margin:0 0 10px"
_ROW = "display:grid;grid-template-columns:7em 1fr 4.5em;gap:10px;align-items:center;line-height:1.7"
_TRACK = "background:var(--border-color-primary);border-radius:4px;height:8px"
_FAINT = "color:var(--body-text-color);opacity:0.75"


def percent(probability: float) -> str:
    """Write a probability; none that a model gives is certain.

    >>> percent(0.9956), percent(0.99996), percent(0.00001)
    ('99.6%', '>99.9%', '<0.1%')

    Args:
        probability: Between 0 and 1.

    Returns:
        It in percent, with one decimal.
    """
    if probability > 0.9995:
        return ">99.9%"
    return "<0.1%" if probability < 0.0005 else f"{100 * probability:.1f}%"


def answers_html(answers: Sequence[ModelAnswer]) -> str:
    """Write what the models say, a card for each that answers; below, each reason why others do not, once.

    Args:
        answers: At least one, else it is said that no model was chosen.

    Returns:
        HTML.
    """
    if not answers:
        return note_html("No model is chosen; tick at least one above.")
    said = [
        f'<div style="{_CARD}"><b>{escape(one.model)}</b>{_said(one, answers)}</div>'
        for one in answers
        if not one.refused
    ]
    refusals: dict[str, list[str]] = {}
    for one in answers:
        if one.refused:
            refusals.setdefault(one.refused, []).append(one.model)
    said += [
        f'<div style="{_CARD}"><b>{escape(", ".join(models))}</b><div style="{_FAINT}">{escape(reason)}</div></div>'
        for reason, models in refusals.items()
    ]
    return "".join(said)


def note_html(text: str) -> str:
    """Write a sentence that a person should see.

    Args:
        text: The sentence; may be empty.

    Returns:
        HTML.
    """
    border = "border-left:4px solid var(--color-accent);padding:4px 10px;margin:2px 0"
    return f'<div style="{border}">{escape(text)}</div>' if text else ""


def caption_html(text: str) -> str:
    """Write what stands below a picture.

    Args:
        text: The caption.

    Returns:
        HTML.
    """
    return f'<div style="{_FAINT}">{escape(text)}</div>'


def occlusion_html(model: str, class_name: str, occlusion: Occlusion, shape: tuple[int, ...]) -> str:
    """Say what the map shows, with its colour bar.

    Args:
        model: Whose answer it is.
        class_name: The class.
        occlusion: The map.
        shape: Height and width of the raw image [pixels].

    Returns:
        HTML.
    """
    scale = tint_scale(occlusion)
    seen = tuple(side.stop - side.start for side in occlusion.window)
    frame = "" if seen == tuple(shape) else " Only what is in the frame enters the model."
    text = (
        f"How the answer {class_name} of {model} changes when a patch is covered with background: red, it falls; blue, "
        f"it rises. {_most(occlusion)} A cover on the arc is itself a dent in it, as substructure makes them, so that "
        f"not every colour there tells of what the model saw.{frame}"
    )
    colours = (_over_grey(RISE_TINT), "#808080", _over_grey(FALL_TINT))
    return caption_html(text) + _bar_html(colours, (f"rises by {scale:.1f}", "log-odds", f"falls by {scale:.1f}"))


def filled_html(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> str:
    """Say what the pictures of a masked model show, with the colour bar of the difference.

    Args:
        pair: `ModelAnswer.processed`.

    Returns:
        HTML.
    """
    text = (
        "What the masked model sees, what it fills in where that is hidden, and the difference, in units of the range "
        "of brightness."
    )
    scale = difference_scale(pair)
    colours = [to_hex(colormaps[DIFFERENCE_MAP](place)) for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
    return caption_html(text) + _bar_html(colours, (f"-{scale:.2f}, seen fainter", "0", f"{scale:.2f}, seen brighter"))


def _bar_html(colours: Sequence[str], ticks: Sequence[str]) -> str:
    """Draw a colour bar with what its ends and its middle mean."""
    bar = f"height:10px;border-radius:4px;background:linear-gradient(to right,{','.join(colours)});margin-top:6px"
    marks = "".join(f"<span>{tick}</span>" for tick in ticks)
    return f'<div style="{bar}"></div><div style="{_FAINT};display:flex;justify-content:space-between">{marks}</div>'


def _most(occlusion: Occlusion) -> str:
    """Say how much the most important patch matters, in percents that differ where it does."""
    before, after = percent(occlusion.probability), percent(occlusion.lowest_probability)
    if before == after:
        return f"No patch takes it far from {before}."
    return f"The most important patch takes it from {before} to {after}."


def quantity_sentence(quantity: Quantity, answers: Sequence[ModelAnswer]) -> str:
    """Say what was estimated, and for which lenses alone it has a meaning.

    Args:
        quantity: The estimate.
        answers: What all chosen models say, among them classifiers that may say the image is no such lens.

    Returns:
        A sentence.
    """
    value, low, high = (f"{number:#.4g}" for number in (quantity.value, quantity.low, quantity.high))
    estimate = f"{quantity.title}: {value} {quantity.unit}".rstrip() + f" (95%: {low} to {high})"
    only_of = quantity.only_of
    if only_of is None:
        return estimate
    others = ", ".join(
        f"{one.model} says {one.said_class}, {percent(max(one.probabilities.values()))}"
        for one in answers
        if one.excludes(only_of)
    )
    article = "an" if only_of[0] in "aeiou" else "a"
    return f"If it is {article} {only_of} lens{f' ({others})' if others else ''}, {estimate}"


def _said(answer: ModelAnswer, answers: Sequence[ModelAnswer]) -> str:
    """Return the lines of a card, one of those of all answers."""
    lines = [
        f'<div style="{_ROW}"><span>{escape(name)}</span><div style="{_TRACK}"><div style="width:{100 * share:.1f}%;'
        f'height:8px;border-radius:4px;background:var(--color-accent)"></div></div>'
        f'<span style="text-align:right">{escape(percent(share))}</span></div>'
        for name, share in answer.probabilities.items()
    ]
    if answer.prediction_set:
        classes = escape(", ".join(answer.prediction_set))
        lines.append(
            f'<div style="{_FAINT}">Hold the true class for 95% of images like the training\'s: {classes}</div>'
        )
    lines += [f"<div>{escape(quantity_sentence(one, answers))}</div>" for one in answer.quantities]
    if answer.anomaly_score is not None:
        lines.append(
            f"<div>Unlike normal images: {answer.anomaly_score:.2f} "
            "(in standard deviations of what normal images score; 0 is usual of them)</div>"
        )
    return "".join(lines)


def _over_grey(colour: tuple[float, float, float]) -> str:
    """Return the strongest tint of a colour as it looks over medium grey."""
    red, green, blue = (0.5 + STRONGEST_TINT * (part - 0.5) for part in colour)
    return to_hex((red, green, blue))
