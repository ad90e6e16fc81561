"""What Inference Endpoints run: raw lens images in, answers out. A release folder holds a copy of this file.

    curl ENDPOINT -H "Content-Type: application/json" -d '{"inputs": "BASE64 OF image.npy"}'

`inputs` is one image or a list of up to 64, each of up to 2048 pixels a side. An image is base64 text (or a data URL)
of a `.npy`, FITS, JPEG, PNG or TIFF file of one image, or nested lists of numbers, null for a missing pixel: rows x
columns, or bands x rows x columns. Lists of numbers one deeper are a list of images. `parameters` may hold
`pixel_scale` [arcsec/pixel].

A picture may also be the whole body of a request, `-H "Content-Type: image/png" --data-binary @image.png`. The endpoint
then turns it into colours of 8 bits before this file sees it, whatever it was: send pictures of more bits, `.npy` and
FITS as base64 text.

The answer is one dictionary an image, as of the pipeline `lens-classification`. A wrong request, and a single image
that is wrong, raise a ValueError, to which the endpoint answers with status 400 and `{"error": ...}`; in the answer to
a list `{"error": ...}` stands in the place of a wrong image. Nothing is unpickled, no path or address in a request is
opened, and of this package nothing needs to be installed.
"""

import sys
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor
from transformers.dynamic_module_utils import get_class_from_dynamic_module

_HEADS = {
    "regression": "AutoModelForImageRegression",
    "anomaly_detection": "AutoModelForAnomalyDetection",
    "masked_image_modeling": "AutoModelForMaskedImageModeling",
}
# the functions that read images, with the files that they stand in
_READING = {
    "array_of_lists": "image_reading",
    "bytes_of_base64": "pipeline_deeplense",
    "image_from_bytes": "image_files",
    "iterate_images": "image_reading",
}
_MOST_IMAGES = 64
# of the lists of one image: bands, rows, columns
_DEEPEST = 3
# of base64 text, and of the three bytes that four of its characters stand for
_LONGEST = 64 * 2**20
_MOST_BYTES = _LONGEST // 4 * 3
# of an image [pixels]; a small file can hold a picture of any size, and memory is shared by all requests
_LONGEST_SIDE = 2048
_LARGEST_IMAGE = 4 * _LONGEST_SIDE**2


class EndpointHandler:
    """Answers for images in requests.

    Args:
        path: The release folder.
    """

    def __init__(self, path: str = "") -> None:
        # the code beside this file, which the owner of the endpoint chose to run
        config = AutoConfig.from_pretrained(path, trust_remote_code=True)
        head = _HEADS.get(str(getattr(config, "task", None)), "AutoModelForImageClassification")
        model_class: Any = get_class_from_dynamic_module(config.auto_map[head].rpartition("--")[2], path)
        pipeline_class = get_class_from_dynamic_module("pipeline_deeplense.LensClassificationPipeline", path)
        self.reading = reading_of(pipeline_class.__module__.rpartition(".")[0])
        self.explain = pipeline_class(
            model=model_class.from_pretrained(path, use_safetensors=True).eval(),
            image_processor=AutoImageProcessor.from_pretrained(path, trust_remote_code=True),
            device=0 if torch.cuda.is_available() else -1,
        )

    def __call__(self, data: Any) -> Any:
        """Answer a request.

        Args:
            data: A mapping with `inputs` and, perhaps, `parameters`.

        Returns:
            An answer, or a list of them for a list of images, with a dictionary with `error` in place of one where an
            image is wrong.

        Raises:
            ValueError: If the request, or the image of a request that is no list, is wrong.
        """
        if not isinstance(data, dict):
            raise ValueError(f"the request must be a mapping with inputs, not {type(data).__name__}.")
        inputs, parameters = data.get("inputs"), data.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise ValueError(f"parameters must be a mapping, not {type(parameters).__name__}.")
        unknown = sorted(map(str, set(parameters) - {"pixel_scale"}))
        if unknown:
            raise ValueError(f"there is no parameter '{unknown[0]}'; there is pixel_scale.")
        if not isinstance(inputs, list) or _is_image(inputs):
            return self._answer(inputs, parameters)
        if len(inputs) > _MOST_IMAGES:
            raise ValueError(f"the request has {len(inputs)} images; send at most {_MOST_IMAGES} at a time.")
        return [self._answer_or_error(image, parameters) for image in inputs]

    def _answer_or_error(self, image: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """Answer for one image of several, of which a wrong one does not spoil the others."""
        try:
            return self._answer(image, parameters)
        except ValueError as error:
            return {"error": str(error)}

    def _answer(self, image: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """Answer for one image, or say in one line why not."""
        try:
            images = list(self.reading["iterate_images"](self._image(image)))
            if len(images) != 1:
                raise ValueError(f"the image holds {len(images)} images; send a list of single ones.")
            _check_sides(images[0])
            answer: dict[str, Any] = self.explain(images, **parameters)[0]
        except (ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError, ImportError) as error:
            raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
        return answer

    def _image(self, image: Any) -> Any:
        """Return the image that a request holds; numbers, base64 text or a raw body, never a path or an address."""
        if isinstance(image, list):
            return self._image_of_lists(image)
        if isinstance(image, Image.Image):
            # made by the endpoint of the body of a request
            return image
        if isinstance(image, bytes | bytearray):
            if len(image) > _MOST_BYTES:
                raise ValueError(f"the image has {len(image)} bytes; at most {_MOST_BYTES} are taken.")
            return self.reading["image_from_bytes"](bytes(image), "the image", _LARGEST_IMAGE)
        if not isinstance(image, str):
            raise ValueError(f"inputs must be base64 text or nested lists of numbers, not {type(image).__name__}.")
        if len(image) > _LONGEST:
            raise ValueError(f"the image has {len(image)} characters of base64 text; at most {_LONGEST} are taken.")
        try:
            content = self.reading["bytes_of_base64"](image)
        except ValueError:
            raise ValueError(
                f"the text of {len(image)} characters is not valid base64 of an image; send the content of an image "
                "file as base64 text or a data URL, not a path or an address."
            ) from None
        return self.reading["image_from_bytes"](content, "the image", _LARGEST_IMAGE)

    def _image_of_lists(self, rows: list[Any]) -> Any:
        """Return nested lists as an array of one image."""
        array = self.reading["array_of_lists"](rows)
        if array.ndim not in (2, _DEEPEST):
            raise ValueError(
                f"an image is lists of depth 2 (rows x columns) or 3 (bands x rows x columns), not of {array.ndim}."
            )
        wanted = getattr(self.explain.model.config, "num_channels", None)
        picks = getattr(self.explain.image_processor, "bands", None) is not None
        if array.ndim == _DEEPEST and not picks and wanted not in (None, array.shape[0], array.shape[-1]):
            raise ValueError(
                f"lists of depth 3 are one image, bands x rows x columns, here of {len(array)} bands, but the model "
                f"takes {wanted}; give several images as a list of such."
            )
        return array


def reading_of(package: str) -> dict[str, Any]:
    """Find the functions that read images, as the pipeline has them.

    Args:
        package: Where the pipeline was imported from.

    Returns:
        The functions by name.
    """
    return {name: getattr(sys.modules[f"{package}.{file}"], name) for name, file in _READING.items()}


def _check_sides(image: Any) -> None:
    """Refuse an image that is too large; arrays have their sides among `shape`, pictures in `size`."""
    sides = image.size if isinstance(image.size, tuple) else image.shape
    if max(sides) > _LONGEST_SIDE:
        raise ValueError(f"the image has a side of {max(sides)} pixels, more than {_LONGEST_SIDE}; cut the lens out.")


def _is_image(value: list[Any]) -> bool:
    """Tell whether nested lists are one image, or nothing, rather than a list of images, by their depth."""
    if any(not isinstance(part, list) for part in value):
        # texts, files and pictures are images themselves
        return not any(isinstance(part, str | bytes | bytearray | Image.Image | list | dict) for part in value)
    depth, inner = 0, value
    while isinstance(inner, list) and inner:
        inner, depth = inner[0], depth + 1
    return depth <= _DEEPEST and not isinstance(inner, str)
