"""`Chain`: several models that ask on, from "is it a lens?" over "what substructure?" to "which axion mass?"."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deeplense_hf.data.schema import class_with
from deeplense_hf.models.image_reading import check_image, iterate_images, to_tensor
from deeplense_hf.tasks.classification import PROBABILITIES, ClassificationTask
from deeplense_hf.tasks.regression import RegressionTask
from deeplense_hf.tasks.task import Arrays, Task, finite_rows

from .asking import in_own_order, rows_or_reasons
from .predictor import Predictor, count
from .sources import find_units

_LENS = "lens"
_ASKED = "asked"


class ChainTask:
    """What a chain answers: the columns of every step, empty where an image did not get that far.

    Args:
        tasks: Task of each step.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tuple(tasks)

    @property
    def columns(self) -> dict[str, str]:
        """Columns of a table of answers and their types; each begins with the name of its step's task."""
        return {f"{task.name}_{name}": kind for task in self.tasks for name, kind in task.columns.items()}

    def table(self, answers: Arrays) -> dict[str, list[Any]]:
        """Arrange answers as columns.

        Args:
            answers: What `Chain.answers` returned.

        Returns:
            The values of every column, None where a step was not reached.
        """
        columns = {}
        for step, task in enumerate(self.tasks):
            own = {name.partition(":")[2]: part for name, part in answers.items() if name.startswith(f"{step}:")}
            asked = own.pop(_ASKED)
            # a step that nobody reached has said nothing
            table = task.table(own) if own else {name: [None] * len(asked) for name in task.columns}
            for name, values in table.items():
                columns[f"{task.name}_{name}"] = [
                    value if reached else None for value, reached in zip(values, asked, strict=True)
                ]
        return columns


class Chain:
    """Models of different tasks, each asked about the images that the ones before passed on.

    A lens finder passes on what it takes for a lens; a classifier passes on to a regression the images of the class
    that has the regression's targets (`axion` for an axion mass, `cdm` for subhaloes, all for an Einstein radius).
    All models are asked about the same image, of which each may pick bands, by `bands` of its image processor.

    Args:
        predictors: The models, in the order in which they are asked; each task once.
        names: Their names, for messages.

    Raises:
        ValueError: If there are fewer than two, two have the same task, one can neither classify nor estimate, one
            comes too late to be asked, no image has the bands that all of them take, or two want the colours of a
            picture in different orders.
    """

    def __init__(self, predictors: Sequence[Predictor], names: Sequence[str]) -> None:
        self.predictors, self.names = tuple(predictors), tuple(names)
        tasks = [predictor.task for predictor in predictors]
        if len(tasks) < 2:
            raise ValueError("a chain has at least two models, for example a lens finder and a classifier.")
        order = ["lens_finding", "classification", "regression"]
        for name, task in zip(names, tasks, strict=True):
            if task.name not in order:
                raise ValueError(f"model '{name}' answers {task.name}; a chain is of {', '.join(order)}.")
        ranks = [order.index(task.name) for task in tasks]
        if ranks != sorted(set(ranks)):
            asked = ", ".join(task.name for task in tasks)
            raise ValueError(f"the models answer {asked}; a chain asks {', '.join(order)}, each once, in this order.")
        _check_bands(predictors, names)
        _check_colours(predictors, names)
        for name, task in zip(names, tasks, strict=True):
            _check_class(name, task, tasks)
        self.task = ChainTask(tasks)

    @classmethod
    def from_pretrained(cls, names: Sequence[str | Path], device: str | torch.device | None = "auto") -> "Chain":
        """Load the models.

        Args:
            names: Folders or Hub ids, in the order in which the models are asked.
            device: See `Predictor`.

        Returns:
            The chain.

        Raises:
            FileNotFoundError: As `Predictor.from_pretrained` does.
            OSError: As `Predictor.from_pretrained` does.
            ValueError: As `Predictor.from_pretrained` and the class do.
        """
        return cls([Predictor.from_pretrained(name, device) for name in names], [str(name) for name in names])

    def __call__(self, inputs: Any, pixel_scale: float | None = None) -> list[dict[str, Any]]:
        """Answer for one image or many, a file or a folder.

        Args:
            inputs: An image file, a folder of such at any depth, a data set folder; or arrays, tensors, PIL images and
                lists of these, as the pipelines take them.
            pixel_scale: Pixel scale of images that do not say theirs [arcsec/pixel].

        Returns:
            For each image its columns, see `ChainTask.columns`; of files also `path`, `index` and, in place of answers,
            `error`.

        Raises:
            FileNotFoundError: If there is no such file or folder.
            ValueError: If an array is no image, nothing can be seen in it, it does not fit the models that it is
                passed on to, or the answer of one is not a number.
        """
        if not isinstance(inputs, str | Path):
            tensors = [to_tensor(image, colour_bands=self.colour_bands) for image in iterate_images(inputs)]
            images = [check_image(tensor, bands=()).cpu().numpy() for tensor in tensors]
            return [self._row(image[None], pixel_scale) for image in images]
        rows = []
        for unit in find_units([str(inputs)]):
            for entry in unit.read():
                row: dict[str, Any] = {"path": entry.path, "index": entry.index}
                try:
                    if entry.image is None:
                        raise ValueError(entry.error)
                    scale = pixel_scale if entry.pixel_scale is None else entry.pixel_scale
                    image = in_own_order(self, entry.image, entry.red_first)
                    row |= self._row(image[None], scale)
                except ValueError as error:
                    row["error"] = str(error)
                rows.append(row)
        return rows

    def _row(self, image: NDArray[np.float32], pixel_scale: float | None) -> dict[str, Any]:
        """Answer for a batch of one, or say why not."""
        scales = None if pixel_scale is None else np.array([pixel_scale], dtype=np.float32)
        (found,) = rows_or_reasons(self, image, scales)
        if isinstance(found, str):
            raise ValueError(found)
        return found

    def answers(self, images: NDArray[np.float32], pixel_scale: NDArray[np.float32] | None = None) -> Arrays:
        """Ask the models one after the other, for a batch.

        Args:
            images: Raw images, `(batch, bands, height, width)`.
            pixel_scale: Pixel scale of each [arcsec/pixel], `(batch,)`; needed by processors that resize by it.

        Returns:
            For each step its answers and whether an image was asked about, named `step:answer`, each `(batch, ...)`; of
            images that were not, zeros. A step that no image reaches is not asked and has no answers.

        Raises:
            ValueError: As `Predictor.answers` does, of a step about the images that it is asked about.
        """
        passed = np.ones(len(images), dtype=bool)
        answers: dict[str, NDArray[Any]] = {}
        for step, predictor in enumerate(self.predictors):
            following = self.task.tasks[step + 1] if step + 1 < len(self.predictors) else None
            asked = passed.copy()
            answers[f"{step}:{_ASKED}"] = asked
            if not asked.any():
                continue
            found = predictor.answers(images[asked], None if pixel_scale is None else pixel_scale[asked])
            for name, part in found.items():
                whole = np.zeros((len(images), *part.shape[1:]), dtype=part.dtype)
                whole[asked] = part
                answers[f"{step}:{name}"] = whole
            # what has no answer is passed on to nobody
            passed[asked] = finite_rows(found)
            wanted = _class_passed_on(predictor.task, following)
            if wanted is not None:
                passed[asked] &= found[PROBABILITIES].argmax(axis=1) == wanted
        return answers

    @property
    def bands(self) -> int | None:
        """Bands an image must have; None where the models do not say."""
        return next((predictor.bands for predictor in self.predictors if predictor.bands is not None), None)

    @property
    def colour_bands(self) -> tuple[int, ...] | None:
        """Which band red, green and blue of a colour picture are; as all models say that say it."""
        return next((one.colour_bands for one in self.predictors if one.colour_bands is not None), None)

    def doubt_about(self, shape: Sequence[int], pixel_scale: float | None) -> str | None:
        """Say why an image is unlike those that a model learnt from; see `Predictor`."""
        doubts = (predictor.doubt_about(shape, pixel_scale) for predictor in self.predictors)
        return next((doubt for doubt in doubts if doubt is not None), None)

    def match_bands(self, images: NDArray[np.float32], what: str, remedy: str) -> NDArray[np.float32]:
        """Refuse images of another number of bands; see `Predictor`."""
        for predictor in self.predictors:
            images = predictor.match_bands(images, what, remedy)
        return images

    def fingerprint(self) -> str:
        """Hash what decides the answers; see `Predictor`."""
        prints = " ".join(predictor.fingerprint() for predictor in self.predictors)
        return hashlib.sha256(prints.encode()).hexdigest()[:16]


def _check_bands(predictors: Sequence[Predictor], names: Sequence[str]) -> None:
    """Refuse models of which no image has the bands of all."""
    exact = [(name, predictor.bands) for name, predictor in zip(names, predictors, strict=True) if predictor.bands]
    for name, bands in exact[1:]:
        if bands != exact[0][1]:
            fewest = min(exact[0], (name, bands), key=lambda pair: pair[1] or 0)
            raise ValueError(
                f"model '{name}' takes images of {count(bands or 0, 'band')}, but '{exact[0][0]}' of "
                f"{count(exact[0][1] or 0, 'band')}, and a chain asks both about the same image; save the image "
                f"processor of '{fewest[0]}' with the bands it is to pick, for example "
                f"bands={list(range(fewest[1] or 0))}."
            )
    for name, predictor in zip(names, predictors, strict=True):
        picked = getattr(predictor.processor, "bands", None)
        if exact and picked is not None and max(picked) >= (exact[0][1] or 0):
            raise ValueError(
                f"model '{name}' picks the bands {list(picked)} of an image, but '{exact[0][0]}' takes images of "
                f"{count(exact[0][1] or 0, 'band')}; save its image processor with the bands it is to pick, for "
                "example bands=[0]."
            )


def _check_colours(predictors: Sequence[Predictor], names: Sequence[str]) -> None:
    """Refuse models that want the colours of a picture in different orders."""
    known = [(name, one.colour_bands) for name, one in zip(names, predictors, strict=True) if one.colour_bands]
    for name, order in known[1:]:
        if order != known[0][1]:
            raise ValueError(
                f"model '{name}' takes red, green and blue of a picture for the bands {list(order or ())}, but "
                f"'{known[0][0]}' for {list(known[0][1] or ())}, and a chain asks both about the same image; save "
                "their image processors with the same colour_bands."
            )


def _class_passed_on(task: Task, following: Task | None) -> int | None:
    """Return which class of a classifier the following step is asked about; None for all."""
    if following is None or not isinstance(task, ClassificationTask):
        return None
    if task.name == "lens_finding":
        return task.class_names.index(_LENS)
    wanted = _class_of_targets(following)
    return None if wanted is None else task.class_names.index(wanted)


def _class_of_targets(task: Task) -> str | None:
    """Return the class that has a regression's targets; None if all have."""
    names = task.target_names if isinstance(task, RegressionTask) else ()
    return next((found for found in map(class_with, names) if found is not None), None)


def _check_class(name: str, task: Task, tasks: Sequence[Task]) -> None:
    """Refuse a regression of what the classifier before it does not know."""
    wanted = _class_of_targets(task)
    for earlier in tasks:
        # a lens finder knows no classes of substructure
        known = earlier.class_names if type(earlier) is ClassificationTask else (wanted,)
        if wanted is not None and wanted not in known:
            raise ValueError(
                f"model '{name}' estimates a quantity of the class '{wanted}', which the classifier before it does not "
                f"know; it knows {', '.join(map(str, known))}."
            )
