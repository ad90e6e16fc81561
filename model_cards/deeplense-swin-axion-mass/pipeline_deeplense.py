"""Pipelines for lens images, as transformers' `pipeline` makes them.

`image-classification` answers as any classifier's does, but hands images to the model's own processor as they are:
transformers' own turns files and pictures into 8-bit colours first, and reads neither `.npy` nor FITS.
`lens-classification` says all that a model knows of an image, whatever its task.

Both answer for one image with one answer; for a list, an array of several (see `image_reading.py`) or another sequence,
such as a column of a data set, with a list; for an iterator or a `torch.utils.data.Dataset` with an iterator. An image
in which nothing can be seen (no finite pixel, more than half of a band missing, one value everywhere, under 8 pixels a
side) is refused; fewer missing pixels take the median of their band. The channels of a colour picture are
brought to the order of the model's bands where its processor says which they are (`colour_bands`). A stock processor of
three channels is given a grey image three times, as transformers reads grey pictures, and takes images of 8 bits only.
"""

import base64
import math
import re
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import ImageClassificationPipeline
from transformers.pipelines.base import Pipeline

from .answers import intervals_95, prediction_sets
from .fits_images import LARGEST_FILE
from .image_files import image_from_bytes, read_image
from .image_reading import check_image, eight_bit, iterate_images, to_tensor
from .pictures import PICTURE_FORMATS, is_eight_bit
from .pipeline_batches import ImageBatches

_CLASSIFIERS = ("classification", "lens_finding")
_COLOURS = 3
# pictures that stock models are asked about too, all of 8 bits
_STOCK_FORMATS = (*PICTURE_FORMATS, "BMP", "GIF", "WEBP")
# of base64 text; no picture, array or FITS file is shorter, but paths are
_FEWEST_CHARACTERS = 80
_UNNAMED = "the image"
# of waiting for the next bytes of an address [s]
_PATIENCE = 30.0
_HOST = re.compile(r"([\w.-]+|\[[\w:.]+\])(:\d+)?")


class DeepLenseImageClassificationPipeline(  # type: ignore[misc] # arguments of `_forward` by other names
    ImageBatches, ImageClassificationPipeline
):
    """`pipeline("image-classification")` for raw images: arrays, tensors, PIL images of any depth, `.npy`, FITS.

    Args:
        *args: As transformers has them.
        **kwargs: As transformers has them.

    Raises:
        ValueError: If the model was trained for another task, so that its classes would be of a head without training.
    """

    # else transformers looks for one in the folder, and asks whether to trust the code that is there
    _load_video_processor = False  # type: ignore[assignment] # None there

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        task = getattr(self.model.config, "task", None)
        if task is not None and task not in _CLASSIFIERS:
            raise ValueError(
                f"the model '{self.model.config._name_or_path}' answers {task} and knows no classes, which "
                'image-classification asks for; import deeplense_hf.models and use pipeline("lens-classification").'
            )

    def __call__(self, inputs: Any = None, **kwargs: Any) -> Any:  # type: ignore[override] # by name
        """Classify one image or many.

        Args:
            inputs: Array or tensor, PIL image, path, address or base64 text of a picture, or a list.
            **kwargs: `top_k`, `function_to_apply`, `timeout` [s], `batch_size`.

        Returns:
            Classes with their probabilities, or a list of such for a list.

        Raises:
            ValueError: If an image cannot be read or does not fit the model.
        """
        return self.answer(kwargs.pop("images", inputs), **kwargs)

    def preprocess(self, image: Any, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override] # by name
        """Process one image.

        Args:
            image: Array or tensor, PIL image, path, address or base64 text of a picture.
            timeout: Seconds to wait for an address.

        Returns:
            What the model takes.

        Raises:
            ValueError: If the image cannot be read or does not fit the model.
        """
        if takes_raw_images(self.image_processor):
            return raw_inputs(self, *opened(image, timeout))
        image, name = opened(image, timeout, _STOCK_FORMATS)
        if isinstance(image, Image.Image) and is_eight_bit(image):
            # a stock model in a process that knows ours; what has more bits transformers would cut to 8
            stock: dict[str, Any] = super().preprocess(image)
            return stock
        return raw_inputs(self, image, name)

    def postprocess(self, model_outputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Say what the outputs mean, for one image.

        Args:
            model_outputs: Has `logits`, `(1, classes)`.
            *args: As transformers has them.
            **kwargs: As transformers has them.

        Returns:
            Classes with their probabilities.

        Raises:
            ValueError: If they are no numbers.
        """
        _finite(model_outputs["logits"].float().softmax(-1))
        return super().postprocess(model_outputs, *args, **kwargs)


class LensClassificationPipeline(ImageBatches, Pipeline):
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
        if pixel_scale is not None and not _is_positive(pixel_scale):
            raise ValueError(f"pixel_scale={pixel_scale!r} is not a positive number of arcsec per pixel.")
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
        return self.answer(inputs, **kwargs)

    def preprocess(  # type: ignore[override] # by name
        self, image: Any, pixel_scale: float | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        """Process one image."""
        options = {} if pixel_scale is None else {"pixel_scale": pixel_scale}
        image, name = opened(image, timeout)
        return raw_inputs(self, image, name, **options)

    def postprocess(self, model_outputs: Any, **postprocess_parameters: Any) -> dict[str, Any]:
        """Say what the outputs mean, for one image.

        Args:
            model_outputs: Of any model of ours.
            **postprocess_parameters: None.

        Returns:
            See the class.

        Raises:
            ValueError: If an answer is not a number.
        """
        config, outputs = self.model.config, model_outputs
        if outputs.get("logits") is not None:
            return _class_answer(config, outputs["logits"].float())
        if outputs.get("predictions") is not None:
            return {"targets": _target_answers(config, outputs["predictions"], outputs["standard_deviations"])}
        name = "anomaly_score" if outputs.get("anomaly_score") is not None else "reconstruction_error"
        return {name: float(_finite(outputs[name]).reshape(-1)[0])}


def _finite(answer: torch.Tensor) -> torch.Tensor:
    """Refuse an answer that is not a number: as the largest it would be a sure class, and JSON has no word for it."""
    if not torch.isfinite(answer).all():
        raise ValueError(
            "the model's answer is not a number; load the model with dtype=torch.float32, and if it stays so train it "
            "again."
        )
    return answer


def _class_answer(config: Any, logits: torch.Tensor) -> dict[str, Any]:
    """Return classes and probabilities of one image; `logits` is `(1, classes)`."""
    probabilities = _finite(logits.softmax(-1))
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
    value, deviation = (_finite(part).cpu().double().numpy() for part in (values, deviations))
    low, high = intervals_95(value, deviation, getattr(config, "interval_factors_95", None))
    columns = {"value": value, "standard_deviation": deviation, "low_95": low, "high_95": high}
    return {
        config.id2label[index]: {**{name: float(array[0, index]) for name, array in columns.items()}, "unit": unit}
        for index, unit in enumerate(units)
    }


def takes_raw_images(processor: Any) -> bool:
    """Tell whether a processor is ours; by name, since code from the Hub is another class of the same name."""
    return type(processor).__name__ == "DeepLenseImageProcessor"


def opened(image: Any, timeout: float | None, pictures: tuple[str, ...] = PICTURE_FORMATS) -> tuple[Any, str]:
    """Read an image that is given as a text.

    Args:
        image: Path of a file, address, base64 text; anything else is returned as it is.
        timeout: Seconds to wait for the next bytes of an address; 30 when absent.
        pictures: Formats of pictures that are read.

    Returns:
        An array or a PIL image, and what messages call it.

    Raises:
        ValueError: If it cannot be read.
    """
    if not isinstance(image, str | Path):
        return image, _UNNAMED
    text = str(image)
    if _is_path(text):
        return read_image(Path(text), pictures), _short(text)
    return _image_of_text(text, timeout, pictures), _UNNAMED


def raw_inputs(pipeline: Pipeline, image: Any, name: str, **options: Any) -> dict[str, Any]:
    """Process one image of any kind without passing through 8 bits.

    Args:
        pipeline: Has the processor and the type of the model's numbers.
        image: Array or tensor, PIL image, or a list of one.
        name: What messages call it.
        **options: Of the processor's call.

    Returns:
        What the model takes.

    Raises:
        ValueError: If nothing can be seen in it, or it is not one.
    """
    images = list(iterate_images(image))
    if len(images) != 1:
        raise ValueError(f"{name} holds {len(images)} images; give them as an array or a list, an answer is of one.")
    processor: Any = pipeline.image_processor
    tensor: Any = to_tensor(images[0], colour_bands=getattr(processor, "colour_bands", None))
    tensor = check_image(tensor, name, getattr(processor, "bands", None))
    if not takes_raw_images(processor):
        tensor, options = _stock_input(pipeline, tensor, name), {}
    inputs = processor(images=tensor, return_tensors="pt", input_data_format="channels_first", **options)
    # what processes raw images itself takes them in single precision, whatever its weights are in
    converted: dict[str, Any] = inputs.to(getattr(pipeline.model, "input_dtype", pipeline.dtype))
    return converted


def _stock_input(pipeline: Pipeline, image: torch.Tensor, name: str) -> torch.Tensor | np.ndarray:
    """Return an image of one or more bands as a stock processor takes it, or say why it cannot."""
    processor, wanted = pipeline.image_processor, getattr(pipeline.model.config, "num_channels", None)
    if len(image) == 1 and wanted == _COLOURS:
        # as transformers reads a grey picture
        image = image.expand(_COLOURS, -1, -1)
    if wanted not in (None, len(image)):
        raise ValueError(f"{name} has {len(image)} band(s), but the model takes {wanted}; select bands first.")
    rescales = getattr(processor, "do_rescale", False)
    return eight_bit(image.cpu().numpy(), type(processor).__name__) if rescales else image


def _is_positive(number: Any) -> bool:
    """Tell whether something is a usable pixel scale."""
    return not isinstance(number, bool) and isinstance(number, Real) and 0 < float(number) < math.inf


def _is_path(text: str) -> bool:
    """Tell whether a text is the path of a file or folder; base64 text is too long for one."""
    try:
        return bool(text) and Path(text).exists()
    except (OSError, ValueError):
        return False


def _image_of_text(text: str, timeout: float | None, pictures: tuple[str, ...]) -> Any:
    """Return the image at an address or in base64 text: a picture at its own depth, or an array of `.npy` or FITS."""
    if text.startswith(("http://", "https://")):
        return image_from_bytes(_fetched(text, timeout), _short(text), pictures=pictures)
    try:
        content = bytes_of_base64(text)
    except ValueError:
        raise ValueError(f"'{_short(text)}' is no file on this machine, no address and no base64 text.") from None
    return image_from_bytes(content, "the base64 text", pictures=pictures)


def bytes_of_base64(text: str) -> bytes:
    """Decode the base64 text of an image file, in one line or many.

    Args:
        text: The text, in the usual alphabet or in that of addresses (`-` and `_`), with or without the `=` at its end;
            or a data URL, `data:image/png;base64,...`.

    Returns:
        What it stands for.

    Raises:
        ValueError: If it is no base64 text, or too short for an image.
    """
    text = "".join(text.split())
    if text[:5].lower() == "data:":
        kind, _, text = text.partition(",")
        if not kind.lower().endswith(";base64"):
            raise ValueError("a data URL must be of base64 text.")
    text = text.rstrip("=")
    if 0 < len(text) < _FEWEST_CHARACTERS:
        raise ValueError(f"{len(text)} characters of base64 text are too few for an image.")
    text += "=" * (-len(text) % 4)
    return base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)


def _fetched(address: str, timeout: float | None) -> bytes:
    """Fetch what is at an address, as far as it is not too large."""
    from huggingface_hub import get_session

    content = bytearray()
    wait = _PATIENCE if timeout is None else timeout
    try:
        with get_session().stream("GET", address, timeout=wait, follow_redirects=True) as response:
            response.raise_for_status()
            for part in response.iter_bytes():
                content += part
                if len(content) > LARGEST_FILE:
                    break
    except Exception as error:  # noqa: BLE001 - whatever stops a connection
        # of httpx, of the operating system, or of huggingface_hub where it is told to stay offline; its own words
        # would repeat the address with all that is secret in it
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = type(error).__name__ if status is None else f"the server answers with status {status}"
        raise ValueError(f"{_short(address)} cannot be fetched: {reason}.") from None
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{_short(address)} has more than {LARGEST_FILE} bytes; give a smaller image.")
    return bytes(content)


def _short(text: str) -> str:
    """Name a text in a message: the start of it; of an address no name, password, token or query."""
    if "://" in text:
        scheme, _, rest = text.partition("://")
        place, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
        host = place.rpartition("@")[2]
        # else it may be the start of a password with a stroke in it
        text = f"{scheme}://{host}{slash}{path}" if _HOST.fullmatch(host) else f"{scheme}://..."
    return text if len(text) <= 100 else f"{text[:100]}..."


__all__ = ["DeepLenseImageClassificationPipeline", "LensClassificationPipeline"]
