"""What Inference Endpoints run: raw lens images in, answers out. A release folder holds a copy of this file.

    curl ENDPOINT -H "Content-Type: application/json" -d '{"inputs": "BASE64 OF image.npy"}'

`inputs` is one image or a list of up to 64: base64 text of a `.npy`, FITS or picture file, or nested lists of numbers.
`parameters` may hold `pixel_scale` [arcsec/pixel]. The answer is one dictionary an image, as of the pipeline
`lens-classification`, or `{"error": ...}`. Nothing is unpickled, no path or address in a request is opened, and of this
package nothing needs to be installed.
"""

import base64
import sys
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoImageProcessor
from transformers.dynamic_module_utils import get_class_from_dynamic_module

_HEADS = {
    "regression": "AutoModelForImageRegression",
    "anomaly_detection": "AutoModelForAnomalyDetection",
    "masked_image_modeling": "AutoModelForMaskedImageModeling",
}
_MOST_IMAGES = 64
# of base64 text
_LONGEST = 64 * 2**20


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
        self.read: Any = vars(sys.modules[pipeline_class.__module__])["image_from_bytes"]
        self.explain = pipeline_class(
            model=model_class.from_pretrained(path).eval(),
            image_processor=AutoImageProcessor.from_pretrained(path, trust_remote_code=True),
            device=0 if torch.cuda.is_available() else -1,
        )

    def __call__(self, data: dict[str, Any]) -> Any:
        """Answer a request.

        Args:
            data: `inputs` and, perhaps, `parameters`.

        Returns:
            An answer, or a list of them for a list of images; a dictionary with `error` in place of one where an image
            or the request is wrong.
        """
        inputs, parameters = data.get("inputs"), data.get("parameters") or {}
        unknown = sorted(set(parameters) - {"pixel_scale"})
        if unknown:
            return {"error": f"there is no parameter '{unknown[0]}'; there is pixel_scale."}
        many = isinstance(inputs, list) and not _is_numbers(inputs)
        images: list[Any] = list(inputs) if many and inputs else [inputs]
        if len(images) > _MOST_IMAGES:
            return {"error": f"the request has {len(images)} images; send at most {_MOST_IMAGES} at a time."}
        answers = [self._answer(image, parameters) for image in images]
        return answers if many else answers[0]

    def _answer(self, image: Any, parameters: dict[str, Any]) -> dict[str, Any]:
        """Answer for one image."""
        try:
            answer: dict[str, Any] = self.explain(self._image(image), **parameters)
        except (ValueError, TypeError) as error:
            return {"error": " ".join(str(error).split())}
        return answer

    def _image(self, image: Any) -> Any:
        """Return the image that a request holds; numbers or base64 text, never a path or an address."""
        if isinstance(image, list):
            return np.asarray(image, dtype=np.float32)
        if not isinstance(image, str):
            raise ValueError(f"inputs must be base64 text or nested lists of numbers, not {type(image).__name__}.")
        if len(image) > _LONGEST:
            raise ValueError(f"the image has {len(image)} characters of base64 text; at most {_LONGEST} are taken.")
        try:
            content = base64.b64decode(image, validate=True)
        except ValueError:
            raise ValueError("inputs must be the image itself as base64 text, not a path or an address.") from None
        return self.read(content, "the image")


def _is_numbers(value: list[Any]) -> bool:
    """Tell whether nested lists are one image of numbers."""
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, int | float)
