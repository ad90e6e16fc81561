"""What happens when something on the page is moved, dropped or clicked."""

import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import gradio

from deeplense_hf.inference.predictor import count

from .answers import ModelAnswer, Models, answers_for, explanation_for, takers_note
from .lens_sliders import DrawnLens
from .pictures import shown_image, shown_occlusion, shown_pair
from .subjects import DroppedFile, Source, Subject, parse_bands, parse_pixel_scale, subject_of
from .tables import answer_table
from .uploads import read_uploads
from .words import answers_html, caption_html, filled_html, note_html, occlusion_html

ANY = "the first that answers"
"""Choice of the classifier whose answer is explained."""


class Handlers:
    """Handlers of the page; each returns the new values of its outputs.

    What is shown is told by its source, a drawn lens or a file, which the page keeps: models and stretch may change
    under it.

    Args:
        models: All models.
    """

    def __init__(self, models: Models) -> None:
        self.models = models

    def draw(self, names: list[str], stretch: str, *values: Any) -> list[Any]:
        """Ask about the lens of the sliders, whose values are in the order of `DrawnLens`."""
        options = dict(zip((field.name for field in fields(DrawnLens)), values, strict=True))
        if any(value is None for value in values):
            return nothing_shown("A number of the lens is missing; type one or move its slider.")
        try:
            source = DrawnLens(**options)
        except ValueError as error:
            return nothing_shown(str(error))
        return self.ask(source, names, stretch)

    def drop(self, path: str | None, bands: str, scale: str, names: list[str], stretch: str) -> list[Any]:
        """Ask about the first image of a file."""
        if not path:
            return nothing_shown("Drop a file, or draw a lens.")
        return self.ask(DroppedFile(path, bands, scale), names, stretch)

    def ask(self, source: Source | None, names: list[str], stretch: str) -> list[Any]:
        """Ask models about the source; the explanation of another answer goes."""
        if source is None:
            return nothing_shown("Drop a file, or draw a lens.")
        try:
            subject = subject_of(source)
        except ValueError as error:
            return nothing_shown(str(error))
        answers = answers_for(self.models, names, subject.image, subject.pixel_scale, subject.red_first)
        notes = (subject.note, takers_note(self.models, answers, subject.image), *self._doubts(answers, subject))
        pair = next((one.processed for one in answers if one.processed is not None), None)
        filled = None if pair is None else shown_pair(pair, subject.is_picture)
        return [
            source,
            _picture(subject, stretch),
            caption_html(subject.caption),
            answers_html(answers),
            gradio.update(value=filled, visible=pair is not None),
            note_html(" ".join(filter(None, notes))),
            "" if pair is None else filled_html(pair),
            None,
            "",
        ]

    def _doubts(self, answers: Sequence[ModelAnswer], subject: Subject) -> list[str]:
        """Say once each why answers are not to be believed."""
        answered = [self.models[one.model] for one in answers if one.refused is None]
        doubts = [model.doubt_about(subject.image.shape, subject.pixel_scale) for model in answered]
        return [f"{doubt[0].upper()}{doubt[1:]}" for doubt in dict.fromkeys(doubts) if doubt]

    def stretch(self, source: Source | None, stretch: str) -> Any:
        """Draw the picture again, in another stretch."""
        try:
            return None if source is None else _picture(subject_of(source), stretch)
        except ValueError:
            # the file is gone meanwhile
            return None

    def explain(self, source: Source | None, names: list[str], wanted: str) -> list[Any]:
        """Explain a classifier's answer."""
        if source is None:
            return [None, ""]
        try:
            subject = subject_of(source)
        except ValueError:
            return [None, ""]
        asked = names if wanted == ANY else [wanted]
        found = explanation_for(self.models, asked, subject.image, subject.pixel_scale, subject.red_first)
        if found is None:
            return [None, caption_html("None of the chosen models tells classes for this image.")]
        name, occlusion = found
        label = self.models[name].class_names[occlusion.class_index]
        return [
            shown_occlusion(subject.image, occlusion, subject.is_picture),
            occlusion_html(name, label, occlusion, subject.image.shape[1:]),
        ]

    def many(self, paths: list[str] | None, bands: str, scale: str, names: list[str], folder: str) -> list[Any]:
        """Ask about all images of several files; the table is written into Gradio's folder, which it empties."""
        if not paths:
            return _no_table("")
        if not names:
            return _no_table("No model is chosen; tick at least one above.")
        try:
            images = read_uploads(paths)
            table, silent = answer_table(self.models, names, images, parse_bands(bands), parse_pixel_scale(scale))
        except ValueError as error:
            return _no_table(str(error))
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", suffix=".csv", prefix="answers-", dir=folder, delete=False) as file:
            table.to_csv(file, index=False)
        said = note_html(f"{count(len(table), 'image')}, {silent} of them without an answer.")
        return [gradio.update(value=table, visible=True), gradio.update(value=file.name, visible=True), said, names]


def _no_table(reason: str) -> list[Any]:
    """Hide the table, in the order of `Handlers.many`."""
    return [gradio.update(value=None, visible=False), gradio.update(value=None, visible=False), note_html(reason), []]


def stale_note(answered: list[str], names: list[str]) -> Any:
    """Say that a table is of other models than those that are ticked.

    Args:
        answered: Models that the table is of; none where there is no table.
        names: Those that are ticked.

    Returns:
        What the note above the table becomes.
    """
    if not answered:
        return gradio.skip()
    if set(answered) == set(names):
        return note_html(f"The table is of {', '.join(answered)}.")
    return note_html(f"The table is of {', '.join(answered)}; press “ask the models” for those that are ticked now.")


def nothing_shown(reason: str) -> list[Any]:
    """Empty the page, so that no answer of another image stands.

    Args:
        reason: Why nothing is shown.

    Returns:
        New values, in the order of those of `Handlers.ask`.
    """
    return [None, None, "", "", gradio.update(value=None, visible=False), note_html(reason), "", None, ""]


def kinds_sliders(kind: str) -> list[Any]:
    """Show the sliders that matter for a kind of substructure alone.

    Args:
        kind: `no_sub`, `cdm` or `axion`.

    Returns:
        Updates of the axion mass and of the number of subhaloes.
    """
    return [gradio.update(visible=kind == "axion"), gradio.update(visible=kind == "cdm")]


def _picture(subject: Subject, stretch: str) -> Any:
    return shown_image(subject.image, stretch, subject.pixel_scale, subject.is_picture)
