"""What Inference Endpoints run: raw lens images in, answers out. A release folder holds a copy of this file.

    curl ENDPOINT -H "Content-Type: application/json" -d '{"inputs": "BASE64 OF image.npy"}'

`inputs` is one image or a list of up to 64, each of up to 2048 pixels a side. An image is base64 text (or a data URL)
of a `.npy`, FITS, JPEG, PNG or TIFF file of one image, or nested lists of numbers, null for a missing pixel: rows x
columns, or bands x rows x columns. Lists of numbers one deeper are a list of images. `parameters` may hold
`pixel_scale` [arcsec/pixel].

The answer is one dictionary an image, as of the pipeline `lens-classification`, or `{"error": ...}`. Nothing is
unpickled, no path or address in a request is opened, and of this package nothing needs to be installed.
"""

import sys
from typing import Any

import torch
from transformers import AutoConfig, AutoImageProcessor
from transformers.dynamic_module_utils import get_class_from_dynamic_module

_HEADS = {
    "regression": "AutoModelForImageRegression",
    "anomaly_detection": "AutoModelForAnomalyDetection",
    "masked_image_modeling": "AutoModelForMaskedImageModeling",
}
_MOST_IMAGES = 64
# of the lists of one image: bands, rows, columns
_DEEPEST = 3
# of base64 text
_LONGEST = 64 * 2**20
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
        self.reading: Any = vars(sys.modules[pipeline_class.__module__])
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
            An answer, or a list of them for a list of images; a dictionary with `error` in place of one where an image
            or the request is wrong.
        """
        if not isinstance(data, dict):
            return {"error": f"the request must be a mapping with inputs, not {type(data).__name__}."}
        inputs, parameters = data.get("inputs"), data.get("parameters") or {}
        if not isinstance(parameters, dict):
            return {"error": f"parameters must be a mapping, not {type(parameters).__name__}."}
        unknown = sorted(map(str, set(parameters) - {"pixel_scale"}))
        if unknown:
            return {"error": f"there is no parameter '{unknown[0]}'; there is pixel_scale."}
        if not isinstance(inputs, list) or _is_image(inputs):
            return self._answer(inputs, parameters)
        if len(inputs) > _MOST_IMAGES:
            return {"error": f"the request has {len(inputs)} images; send at most {_MOST_IMAGES} at a time."}
        return [self._answer(image, parameters) for image in inputs]

    def _answer(self, image: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """Answer for one image."""
        try:
            images = list(self.reading["iterate_images"](self._image(image)))
            if len(images) != 1:
                raise ValueError(f"the image holds {len(images)} images; send a list of single ones.")
            _check_sides(images[0])
            answer: dict[str, Any] = self.explain(images, **parameters)[0]
        except (ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError, ImportError) as error:
            return {"error": " ".join(str(error).split())}
        return answer

    def _image(self, image: Any) -> Any:
        """Return the image that a request holds; numbers or base64 text, never a path or an address."""
        if isinstance(image, list):
            return self._image_of_lists(image)
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


def _check_sides(image: Any) -> None:
    """Refuse an image that is too large; arrays have their sides among `shape`, pictures in `size`."""
    sides = image.size if isinstance(image.size, tuple) else image.shape
    if max(sides) > _LONGEST_SIDE:
        raise ValueError(f"the image has a side of {max(sides)} pixels, more than {_LONGEST_SIDE}; cut the lens out.")


def _is_image(value: list[Any]) -> bool:
    """Tell whether nested lists are one image, or nothing, rather than a list of images, by their depth."""
    if any(not isinstance(part, list) for part in value):
        # texts are images themselves
        return not any(isinstance(part, str | list | dict) for part in value)
    depth, inner = 0, value
    while isinstance(inner, list) and inner:
        inner, depth = inner[0], depth + 1
    return depth <= _DEEPEST and not isinstance(inner, str)
