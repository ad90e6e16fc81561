"""How the pipelines go through many images: what counts as a list of them, and batches of images of several sizes."""

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from .image_reading import array_of_lists, holds_images, is_numbers, iterate_images

# what answers are made of; the losses and maps beside it have no row for each image
_ANSWERS = ("logits", "predictions", "standard_deviations", "anomaly_score", "reconstruction_error")
_PIXELS = "pixel_values"


class ImageSequence(Dataset[Any]):
    """A sequence of images of any type, such as a column of a data set, each read when its turn comes.

    Args:
        images: The sequence.
    """

    def __init__(self, images: Sequence[Any]) -> None:
        self.images = images

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        """Return one image."""
        return self.images[index]


class ImageBatches:
    """What the pipelines do alike with many images; a base before transformers' own."""

    def answer(self, inputs: Any, **kwargs: Any) -> Any:
        """Answer for one image or many.

        Args:
            inputs: As `one_or_list` takes them.
            **kwargs: As transformers has them.

        Returns:
            An answer; for a sequence a list of them; for an iterator or a `torch.utils.data.Dataset` an iterator, which
            asks for an image when its turn comes.

        Raises:
            ValueError: If an image cannot be read or does not fit the model.
        """
        inputs = one_or_list(inputs)
        if isinstance(inputs, list | Dataset) and isinstance(inputs, Sized) and len(inputs) == 0:
            return []
        asked: Any = super()
        answers = asked.__call__(inputs, **kwargs)
        return list(answers) if isinstance(inputs, ImageSequence) else answers

    def get_iterator(self, inputs: Any, num_workers: int, batch_size: int, *parameters: Any) -> Any:
        """Go through images as transformers does, but keep images of several sizes in one batch apart.

        Args:
            inputs: List, data set or generator.
            num_workers: Processes that read images.
            batch_size: Images that the model is given at a time.
            *parameters: Of the three steps.

        Returns:
            Iterator over the answers.
        """
        steps: Any = super()
        answers = steps.get_iterator(inputs, num_workers, batch_size, *parameters)
        if batch_size > 1:
            answers.loader.loader.collate_fn = side_by_side
        return answers

    def _forward(self, input_tensors: dict[str, Any], **forward_parameters: Any) -> Any:
        pipeline: Any = self
        return answers_of(pipeline.model, input_tensors)


def side_by_side(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Put what the processor made of each image together.

    Args:
        items: For each image tensors by name, `(1, ...)`.

    Returns:
        By the same names tensors `(images, ...)`; where images differ in size, a list of theirs instead.
    """
    batch: dict[str, Any] = {}
    for name in items[0]:
        values = [item[name] for item in items]
        batch[name] = torch.cat(values) if len({value.shape for value in values}) == 1 else values
    return batch


def answers_of(model: Any, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Ask a model about a batch, and keep what is an answer.

    Args:
        model: The model.
        inputs: As `side_by_side` returns it.

    Returns:
        Those of `logits`, `predictions`, `standard_deviations`, `anomaly_score` and `reconstruction_error` that the
        model gives, each `(images, ...)` in the order of the images.

    Raises:
        ValueError: If the model gives none, for it was never fitted to normal images.
    """
    pixels = inputs[_PIXELS]
    if isinstance(pixels, list):
        return _answers_by_size(model, pixels)
    outputs = model(**inputs)
    answers = {name: outputs[name] for name in _ANSWERS if outputs.get(name) is not None}
    if not answers:
        raise ValueError(
            "the model gives no anomaly_score, for it has not been fitted to normal images; train it with deeplense-hf "
            "train."
        )
    return answers


def _answers_by_size(model: Any, pixels: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Ask a model about images of several sizes, those of one size together."""
    places: dict[torch.Size, list[int]] = {}
    for place, image in enumerate(pixels):
        places.setdefault(image.shape, []).append(place)
    parts = [answers_of(model, {_PIXELS: torch.cat([pixels[place] for place in some])}) for some in places.values()]
    # where the answer for each image stands when those of all sizes are put behind each other
    order = torch.tensor([place for some in places.values() for place in some]).argsort()
    return {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}


def one_or_list(inputs: Any) -> Any:
    """Tell one image from several, as the pipelines take them.

    Args:
        inputs: One image; a list, a tuple, an array or nested lists of numbers, another sequence or an iterator of
            several, or a `torch.utils.data.Dataset` of them.

    Returns:
        One image, or a list of single ones; of other sequences an `ImageSequence`, of iterators a generator, and a data
        set as it is.

    Raises:
        ValueError: If an array or nested lists of numbers are neither.
    """
    if isinstance(inputs, Path):
        return str(inputs)
    if isinstance(inputs, list | tuple):
        if not is_numbers(inputs):
            return list(inputs)
        inputs = array_of_lists(inputs)
    if isinstance(inputs, np.ndarray | torch.Tensor):
        images = list(iterate_images(inputs))
        # an array of four axes is a list, even of one
        return images if len(images) > 1 or inputs.ndim > 3 else images[0]
    if isinstance(inputs, Dataset) or not holds_images(inputs):
        return inputs
    return ImageSequence(inputs) if isinstance(inputs, Sequence) else (image for image in inputs)
