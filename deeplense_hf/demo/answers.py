"""What the models say of one image, each for itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deeplense_hf.data.schema import COLUMNS, LABEL_SETS, class_with
from deeplense_hf.evaluation.explanation import Occlusion, occlusion_map
from deeplense_hf.inference.asking import in_own_order
from deeplense_hf.inference.predictor import Predictor, count
from deeplense_hf.inference.shortages import FAILURES, what_failed
from deeplense_hf.models.masked_modeling import draw_squares, mask_grid, squares_to_pixels
from deeplense_hf.tasks.anomaly_detection import ANOMALY_SCORE
from deeplense_hf.tasks.classification import PROBABILITIES, ClassificationTask
from deeplense_hf.tasks.task import NOT_A_NUMBER, Arrays, finite_rows

_HAS_DECODER = ("anomaly_detection", "masked_image_modeling")
_OF_EVERY_SUBSTRUCTURE = ("sub", "lens")
"""Classes that a lens of any kind of substructure belongs to as well."""


@dataclass(frozen=True)
class Quantity:
    """An estimate of a physical quantity.

    Attributes:
        column: Name of its column.
        value: The estimate.
        low: Lower end of the interval of 95%.
        high: Upper end.
        unit: Of all three; empty for pure numbers.
    """

    column: str
    value: float
    low: float
    high: float
    unit: str

    @property
    def title(self) -> str:
        """What it is, in words."""
        # what stands behind a colon is for readers of the schema
        return COLUMNS[self.column].description.partition(":")[0] if self.column in COLUMNS else self.column

    @property
    def only_of(self) -> str | None:
        """The only class whose lenses have it; None where all do."""
        return class_with(self.column)


@dataclass(frozen=True)
class ModelAnswer:
    """What a model says of an image; empty but for the reason where it cannot answer.

    Attributes:
        model: Its name.
        probabilities: Of each class.
        prediction_set: Classes that hold the true one for 95% of images like those of the training.
        quantities: What it estimates.
        anomaly_score: How unlike normal lenses the image is [standard deviations].
        processed: What a masked model sees, `(height, width)`, and what it fills in for it.
        refused: Why it did not answer.
    """

    model: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    prediction_set: Sequence[str] = ()
    quantities: Sequence[Quantity] = ()
    anomaly_score: float | None = None
    processed: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    refused: str | None = None

    @property
    def said_class(self) -> str | None:
        """The most probable class; None of what is no classifier or refuses."""
        return max(self.probabilities, key=self.probabilities.__getitem__) if self.probabilities else None

    def excludes(self, class_name: str) -> bool:
        """Tell whether the class that is said rules out another.

        Args:
            class_name: The other class, a kind of substructure.

        Returns:
            Whether it does; classes that we do not know rule out nothing.
        """
        known = {name for names in LABEL_SETS.values() for name in names} - {class_name, *_OF_EVERY_SUBSTRUCTURE}
        return self.said_class in known


class Models:
    """Models by name: the name of the folder, with as much of the path before it as tells two of one name apart.

    They are loaded at once, so that what cannot be loaded is known before the page is served.

    Args:
        places: Folders or Hub ids.
        device: See `Predictor`.

    Raises:
        OSError: If one cannot be loaded.
        ValueError: If one is none of ours.
    """

    def __init__(self, places: Sequence[str], device: str = "auto") -> None:
        self._loaded = {name: Predictor.from_pretrained(place, device) for name, place in names_of(places).items()}

    @property
    def names(self) -> list[str]:
        """All models."""
        return list(self._loaded)

    @property
    def classifiers(self) -> list[str]:
        """Models that tell classes."""
        return [name for name, one in self._loaded.items() if isinstance(one.task, ClassificationTask)]

    def __getitem__(self, name: str) -> Predictor:
        """Return a model."""
        return self._loaded[name]


def names_of(places: Sequence[str]) -> dict[str, str]:
    """Name models.

    Args:
        places: Folders or Hub ids.

    Returns:
        Them by the shortest ends of their paths that are unique.
    """
    paths = {Path(place): place for place in places}
    depths = dict.fromkeys(paths, 1)
    while True:
        ends: dict[str, list[Path]] = {}
        for path, depth in depths.items():
            ends.setdefault("/".join(path.parts[-depth:]) or str(path), []).append(path)
        clashing = [path for alike in ends.values() if len(alike) > 1 for path in alike]
        if not clashing:
            return {name: paths[path] for name, (path,) in ends.items()}
        for path in clashing:
            depths[path] += 1


def answers_for(
    models: Models,
    names: Sequence[str],
    image: NDArray[np.float32],
    pixel_scale: float | None,
    red_first: bool = False,
) -> list[ModelAnswer]:
    """Ask models about an image.

    Args:
        models: All models.
        names: Those to ask.
        image: Raw image, `(bands, height, width)`.
        pixel_scale: [arcsec/pixel], None where unknown.
        red_first: Whether it is a colour picture, whose bands each model gets in its own order.

    Returns:
        The answer of each; a model that cannot answer for this image says why.
    """
    found = []
    for name in names:
        try:
            own = in_own_order(models[name], image, red_first)
            found.append(ModelAnswer(name, **_answer(models[name], own, pixel_scale)))
        except ValueError as error:
            found.append(ModelAnswer(name, refused=" ".join(str(error).split())))
        except FAILURES as error:
            found.append(ModelAnswer(name, refused=what_failed(error)))
    return found


def asked(predictor: Predictor, images: NDArray[np.float32], pixel_scale: NDArray[np.float32] | None) -> Arrays:
    """Ask a model about a batch.

    Args:
        predictor: The model.
        images: Raw images, `(batch, bands, height, width)`.
        pixel_scale: Of each [arcsec/pixel], `(batch,)`; None where unknown.

    Returns:
        See `Predictor.answers`.

    Raises:
        ValueError: As `Predictor.answers` and `with_bands` do.
    """
    return predictor.answers(with_bands(predictor, images), pixel_scale)


def with_bands(predictor: Predictor, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give images the bands that a model takes, or say what can be done about it on the page.

    Args:
        predictor: The model.
        images: Raw images, `(batch, bands, height, width)`.

    Returns:
        See `Predictor.match_bands`.

    Raises:
        ValueError: If they have others.
    """
    # of too few bands none can be selected
    has_more = predictor.bands is not None and images.shape[-3] > predictor.bands
    return predictor.match_bands(images, "the image", "select bands first" if has_more else "choose another model")


def takers_note(models: Models, answers: Sequence[ModelAnswer], image: NDArray[np.float32]) -> str:
    """Name the models that take an image where none of the chosen ones does.

    Args:
        models: All models.
        answers: Of those that were chosen.
        image: Raw image, `(bands, height, width)`.

    Returns:
        A sentence; empty where one of them answers, or no other takes such images.
    """
    chosen = {one.model for one in answers if one.refused}
    others = [name for name in models.names if name not in chosen and models[name].bands == len(image)]
    if len(chosen) < len(answers) or not chosen or not others:
        return ""
    return f"Images of {count(len(image), 'band')} are taken by {', '.join(others)}; tick it above."


def explanation_for(
    models: Models,
    names: Sequence[str],
    image: NDArray[np.float32],
    pixel_scale: float | None,
    red_first: bool = False,
) -> tuple[str, Occlusion] | None:
    """Explain the answer of the first classifier that answers for an image.

    Args:
        models: All models.
        names: Those to try, in this order.
        image: Raw image, `(bands, height, width)`.
        pixel_scale: [arcsec/pixel], None where unknown.
        red_first: As in `answers_for`.

    Returns:
        The model's name and how its answer changes under covers; None where none classifies the image.
    """
    for name in names:
        if name in models.classifiers:
            try:
                own = in_own_order(models[name], image, red_first)
                return name, occlusion_map(models[name], own, pixel_scale=pixel_scale)
            except (ValueError, *FAILURES):
                # its answer says why it refuses the image
                continue
    return None


def _answer(predictor: Predictor, image: NDArray[np.float32], pixel_scale: float | None) -> dict[str, Any]:
    """Return the fields of `ModelAnswer` that a model fills.

    Raises:
        ValueError: If the model refuses the image, or its answer is not a number.
    """
    scales = None if pixel_scale is None else np.array([pixel_scale], dtype=np.float32)
    answers = asked(predictor, image[None], scales)
    if not finite_rows(answers).all():
        raise ValueError(NOT_A_NUMBER)
    table = {name: values[0] for name, values in predictor.task.table(answers).items()}
    if PROBABILITIES in answers:
        return {
            "probabilities": dict(zip(predictor.class_names, answers[PROBABILITIES][0].tolist(), strict=True)),
            "prediction_set": str(table.get("prediction_set_95", "")).split(),
        }
    if predictor.task.name == "regression":
        return {"quantities": _quantities(predictor, table)}
    extra = {"processed": _reconstructed(predictor, image, scales)} if predictor.task.name in _HAS_DECODER else {}
    score = answers.get(ANOMALY_SCORE)
    return extra | ({} if score is None else {"anomaly_score": float(score[0])})


def _quantities(predictor: Predictor, table: Mapping[str, Any]) -> list[Quantity]:
    """Return what a regression estimates."""
    task: Any = predictor.task
    return [
        Quantity(name, table[name], table[f"{name}_low_95"], table[f"{name}_high_95"], unit)
        for name, unit in zip(task.target_names, task.target_units, strict=True)
    ]


@torch.inference_mode()
def _reconstructed(
    predictor: Predictor, image: NDArray[np.float32], scales: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fill in every part of an image while it is hidden, and return the processed image and what was filled in."""
    model: Any = predictor.model
    pixels = predictor.pixel_values(image[None], scales).to(predictor.device, model.dtype)
    size, grid = model.config.mask_size, mask_grid(pixels, model.config.mask_size)
    squares = draw_squares(1, grid, 0.5, pixels.device, seed=0)
    masks = [squares_to_pixels(chosen, grid, pixels, size) for chosen in (squares, ~squares)]
    filled = sum(model.reconstruct(pixels, mask)[1] * mask for mask in masks)
    return tuple(part[0].float().mean(dim=0).cpu().numpy() for part in (pixels, filled))  # type: ignore[return-value]
