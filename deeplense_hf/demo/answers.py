"""All that the models say of one image, as the page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deeplense_hf.evaluation.explanation import occlusion_map
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models.masked_modeling import draw_squares, mask_grid, squares_to_pixels
from deeplense_hf.tasks.anomaly_detection import ANOMALY_SCORE
from deeplense_hf.tasks.classification import PROBABILITIES

_HAS_DECODER = ("anomaly_detection", "masked_image_modeling")


@dataclass(frozen=True)
class LensAnswers:
    """Answers for one image; empty where no chosen model gives them.

    Attributes:
        probabilities: Of each class.
        prediction_set: Classes that hold the true one for 95% of images like those of the training.
        quantities: Sentences about estimated quantities.
        anomaly_score: How unlike normal lenses it is.
        explanation: By how much the logarithm of the likeliest class's probability falls where a pixel is covered,
            `(height, width)`.
        processed: What the masked model sees, `(height, width)`, and what it fills in for it.
        refused: Why a model did not answer, by its name.
    """

    probabilities: Mapping[str, float] = field(default_factory=dict)
    prediction_set: Sequence[str] = ()
    quantities: Sequence[str] = ()
    anomaly_score: float | None = None
    explanation: NDArray[np.float64] | None = None
    processed: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    refused: Mapping[str, str] = field(default_factory=dict)


class Models:
    """Models by name, loaded when they are first asked.

    Args:
        places: Folders or Hub ids.
        device: See `Predictor`.
    """

    def __init__(self, places: Sequence[str], device: str = "auto") -> None:
        self.places = {Path(place).name: place for place in places}
        self._device = device
        self._loaded: dict[str, Predictor] = {}

    def __getitem__(self, name: str) -> Predictor:
        """Return a model.

        Raises:
            OSError: If it cannot be loaded.
            ValueError: If it is none of ours.
        """
        if name not in self._loaded:
            self._loaded[name] = Predictor.from_pretrained(self.places[name], self._device)
        return self._loaded[name]


def answers_for(
    models: Models, names: Sequence[str], image: NDArray[np.float32], pixel_scale: float | None
) -> LensAnswers:
    """Ask models about an image.

    Args:
        models: All models.
        names: Those to ask.
        image: Raw image, `(bands, height, width)`.
        pixel_scale: [arcsec/pixel], None where unknown.

    Returns:
        Their answers; a model that cannot answer for this image says why.
    """
    found: dict[str, Any] = {}
    refused = {}
    for name in names:
        try:
            found |= _answer(models[name], image, pixel_scale)
        except (ValueError, OSError) as error:
            refused[name] = " ".join(str(error).split())
    return LensAnswers(**found, refused=refused)


def _answer(predictor: Predictor, image: NDArray[np.float32], pixel_scale: float | None) -> dict[str, Any]:
    """Return the fields of `LensAnswers` that a model fills."""
    scales = None if pixel_scale is None else np.array([pixel_scale], dtype=np.float32)
    answers = predictor.answers(image[None], scales)
    table = {name: values[0] for name, values in predictor.task.table(answers).items()}
    if PROBABILITIES in answers:
        best = int(answers[PROBABILITIES][0].argmax())
        return {
            "probabilities": dict(zip(predictor.class_names, answers[PROBABILITIES][0].tolist(), strict=True)),
            "prediction_set": str(table.get("prediction_set_95", "")).split(),
            "explanation": occlusion_map(predictor, image, best, pixel_scale),
        }
    if predictor.task.name == "regression":
        return {"quantities": _sentences(predictor, table)}
    extra = {"processed": _reconstructed(predictor, image, scales)} if predictor.task.name in _HAS_DECODER else {}
    score = answers.get(ANOMALY_SCORE)
    return extra | ({} if score is None else {"anomaly_score": float(score[0])})


def _sentences(predictor: Predictor, table: Mapping[str, Any]) -> list[str]:
    """Say what a regression estimates."""
    task: Any = predictor.task
    return [
        f"{name}: {table[name]:.2f} {unit} (95%: {table[f'{name}_low_95']:.2f} to {table[f'{name}_high_95']:.2f})"
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
