"""Pipelines for lens images, as transformers' `pipeline` makes them.

`image-classification` answers as any classifier's does, but hands images to the model's own processor as they are:
transformers' own turns files and pictures into 8-bit colours first, and reads neither `.npy` nor FITS.
`lens-classification` says all that a model knows of an image, whatever its task.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import torch
from transformers import ImageClassificationPipeline
from transformers.pipelines.base import Pipeline

from .answers import intervals_95, prediction_sets
from .image_reading import image_from_bytes


class DeepLenseImageClassificationPipeline(ImageClassificationPipeline):
    """`pipeline("image-classification")` for raw images: arrays, tensors, PIL images of any depth, `.npy`, FITS."""

    # else transformers looks for one in the folder, and asks whether to trust the code that is there
    _load_video_processor = False  # type: ignore[assignment] # None there

    def preprocess(self, image: Any, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override] # by name
        """Process one image.

        Args:
            image: Array or tensor, PIL image, path, address or base64 text of a picture.
            timeout: Seconds to wait for an address.

        Returns:
            What the model takes.
        """
        if not takes_raw_images(self.image_processor):
            # a stock model in a process that knows ours
            stock: dict[str, Any] = super().preprocess(image, timeout=timeout)
            return stock
        return raw_inputs(self, image, timeout)


class LensClassificationPipeline(Pipeline):
    """`pipeline("lens-classification")`: all that a model says of a lens image, whatever its task.

    For each image a dictionary:

    - of a classifier or lens finder `label`, `score` (its probability), `scores` (of all classes) and `prediction_set`,
      the classes that hold the true one for 95% of the images of the population it was trained on;
    - of a regression `targets`: for each `value`, `standard_deviation`, `low_95`, `high_95` and `unit`;
    - of an anomaly detector `anomaly_score`; of a masked model `reconstruction_error`.
    """

    _load_processor = False  # type: ignore[assignment] # None there
    _load_image_processor = True  # type: ignore[assignment] # None there
    _load_feature_extractor = False  # type: ignore[assignment] # None there
    _load_tokenizer = False  # type: ignore[assignment] # None there
    _load_video_processor = False  # type: ignore[assignment] # None there

    def _sanitize_parameters(
        self, pixel_scale: float | None = None, timeout: float | None = None, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if kwargs:
            raise ValueError(f"lens-classification has no option '{next(iter(kwargs))}'; it has pixel_scale, timeout.")
        options = {"pixel_scale": pixel_scale, "timeout": timeout}
        return {name: value for name, value in options.items() if value is not None}, {}, {}

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:  # type: ignore[override] # by name
        """Answer for one image or many.

        Args:
            inputs: Array or tensor, PIL image, path (`.npy`, FITS, picture), address of a picture, or a list.
            **kwargs: `pixel_scale` of the images [arcsec/pixel], for models that need it; `timeout` [s]; `batch_size`.

        Returns:
            A dictionary, or a list of them for a list.

        Raises:
            ValueError: If an image cannot be read or does not fit the model.
        """
        return super().__call__(str(inputs) if isinstance(inputs, Path) else inputs, **kwargs)

    def preprocess(  # type: ignore[override] # by name
        self, image: Any, pixel_scale: float | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Process one image."""
        options = {} if pixel_scale is None else {"pixel_scale": pixel_scale}
        return raw_inputs(self, image, timeout, **options)

    def _forward(self, input_tensors: dict[str, Any], **forward_parameters: Any) -> Any:
        return self.model(**input_tensors)

    def postprocess(self, model_outputs: Any, **postprocess_parameters: Any) -> dict[str, Any]:
        """Say what the outputs mean, for one image."""
        config, outputs = self.model.config, model_outputs
        if outputs.get("logits") is not None:
            return _class_answer(config, outputs["logits"].float())
        if outputs.get("predictions") is not None:
            return {"targets": _target_answers(config, outputs["predictions"], outputs["standard_deviations"])}
        name = "anomaly_score" if outputs.get("anomaly_score") is not None else "reconstruction_error"
        return {name: float(outputs[name].reshape(-1)[0])}


def _class_answer(config: Any, logits: torch.Tensor) -> dict[str, Any]:
    """Return classes and probabilities of one image; `logits` is `(1, classes)`."""
    probabilities = logits.softmax(-1)
    names = [config.id2label[index] for index in range(logits.shape[-1])]
    scores = dict(zip(names, probabilities[0].tolist(), strict=True))
    best = max(scores, key=lambda name: scores[name])
    answer = {"label": best, "score": scores[best], "scores": scores}
    threshold = getattr(config, "prediction_set_threshold", None)
    if threshold is not None:
        chosen = prediction_sets(probabilities.cpu().numpy(), threshold)[0].tolist()
        answer["prediction_set"] = [name for name, belongs in zip(names, chosen, strict=True) if belongs]
    return answer


def _target_answers(config: Any, values: torch.Tensor, deviations: torch.Tensor) -> dict[str, dict[str, Any]]:
    """Return value and interval of each target of one image; both tensors are `(1, targets)`."""
    units = config.target_units or [""] * values.shape[-1]
    numbers = [tensor.cpu().double().numpy() for tensor in (values, deviations)]
    lows, highs = intervals_95(*numbers, getattr(config, "interval_factors_95", None))
    columns = ("value", "standard_deviation", "low_95", "high_95")
    answers: dict[str, dict[str, Any]] = {}
    for index, unit in enumerate(units):
        row = (float(array[0, index]) for array in (*numbers, lows, highs))
        answers[config.id2label[index]] = dict(zip(columns, row, strict=True)) | {"unit": unit}
    return answers


def takes_raw_images(processor: Any) -> bool:
    """Tell whether a processor is ours; by name, since code from the Hub is another class of the same name."""
    return type(processor).__name__ == "DeepLenseImageProcessor"


def raw_inputs(pipeline: Pipeline, image: Any, timeout: float | None, **options: Any) -> dict[str, Any]:
    """Process one image of any kind without passing through 8 bits.

    Args:
        pipeline: Has the processor and the type of the model's numbers.
        image: As in the pipelines.
        timeout: Seconds to wait for an address.
        **options: Of the processor's call.

    Returns:
        What the model takes.

    Raises:
        ValueError: If the image cannot be read.
    """
    if isinstance(image, str) and not _is_file(image):
        image = _image_of_text(image, timeout)
    processor: Any = pipeline.image_processor
    inputs = processor(images=image, return_tensors="pt", **options)
    converted: dict[str, Any] = inputs.to(pipeline.dtype)
    return converted


def _is_file(text: str) -> bool:
    """Tell whether a text is the path of a file; base64 text is too long for one."""
    try:
        return Path(text).is_file()
    except OSError:
        return False


def _image_of_text(text: str, timeout: float | None) -> Any:
    """Return the image at an address or in base64 text: a picture at its own depth, or an array of `.npy` or FITS."""
    if text.startswith(("http://", "https://")):
        from huggingface_hub import get_session

        content = get_session().get(text, timeout=timeout, follow_redirects=True).raise_for_status().content
        return image_from_bytes(content, text[:100])
    try:
        content = base64.b64decode(text.rpartition(",")[2] if text.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"'{text[:100]}' is no file on this machine, no address and no base64 text.") from None
    return image_from_bytes(content, "the base64 text")


__all__ = ["DeepLenseImageClassificationPipeline", "LensClassificationPipeline"]
