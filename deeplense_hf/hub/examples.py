"""Example images of a release: simulated ones that no training saw, as numbers and as pictures, with the answers."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .public_names import recipe_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deeplense_hf.inference.predictor import Predictor

EXAMPLES = "examples"
# far from the seeds that people train with
EXAMPLE_SEED = 1_000_003
_DIGITS = 4
# another machine's arithmetic changes the last of the digits that are kept
_SAME = 2e-4


@dataclass(frozen=True)
class Example:
    """An example and what the model answers for it.

    Attributes:
        name: Class of the image, and name of its files.
        answer: Answer for the numbers, by column; rounded, so that the last bits of another machine do not change it.
        picture_answer: Answer for the picture, by column; empty where the model does not take such pictures.
        truth: What is true of it, of the quantities that a regression estimates.
    """

    name: str
    answer: dict[str, float]
    picture_answer: dict[str, float]
    truth: dict[str, float]


def example_images(
    dataset: str, class_names: Sequence[str], targets: Sequence[str] = ()
) -> "dict[str, tuple[NDArray[np.float32], dict[str, float]]]":
    """Simulate an image of each class.

    Args:
        dataset: Name of a recipe, `simulate:` before it or not.
        class_names: Which classes.
        targets: Parameters that are wanted.

    Returns:
        By class, an image `(bands, height, width)` and its parameters; nothing for what is no recipe.
    """
    from deeplense_hf.simulation.simulator import simulate_batch

    recipe = recipe_of(dataset)
    if recipe is None:
        return {}
    images: dict[str, tuple[NDArray[np.float32], dict[str, float]]] = {}
    for name in recipe.class_names:
        if name in class_names:
            batch = simulate_batch(recipe, name, [0], EXAMPLE_SEED)
            truth = {target: float(batch.parameters[target][0]) for target in targets if target in batch.parameters}
            images[name] = (batch.images[0], truth)
    return images


def examples_of_release(folder: Path, examples: Sequence[Example]) -> "dict[str, tuple[NDArray[np.float32], Any]]":
    """Read the examples of a release that is made again; another machine would simulate other last bits.

    Args:
        folder: The release.
        examples: What it says of them.

    Returns:
        As `example_images`.
    """
    from deeplense_hf.data.safe_numpy import load_npy

    return {each.name: (load_npy(folder / EXAMPLES / f"{each.name}.npy"), each.truth) for each in examples}


def write_examples(
    predictor: "Predictor",
    dataset: str,
    images: "dict[str, tuple[NDArray[np.float32], dict[str, float]]]",
    place: Path,
    earlier: Sequence[Example] = (),
) -> tuple[Example, ...]:
    """Write examples as numbers and as pictures, and ask the model.

    Pictures of one band hold its numbers, in shares of the brightest, so that the model answers for them as well. Those
    of several bands are for the eye; the model answers for them where it knows which band each of their colours is.

    Args:
        predictor: The model.
        dataset: Name of the recipe that they are of.
        images: By class, an image and what is true of it.
        place: Folder; made if there is an example.
        earlier: What an earlier release says of them; it stays where the model says the same up to another machine's
            last bits.

    Returns:
        What the model answers for each.

    Raises:
        ValueError: If an answer is not a number.
    """
    import numpy as np

    from deeplense_hf.data.display import picture

    recipe = recipe_of(dataset)
    if recipe is None:
        return ()
    examples = []
    for name, (image, truth) in images.items():
        place.mkdir(exist_ok=True)
        np.save(place / f"{name}.npy", image)
        content = linear_picture(image[0]) if len(image) == 1 else picture(image)
        (place / f"{name}.png").write_bytes(content)
        scale = recipe.instrument.pixel_scale
        of_picture = {}
        if len(image) == 1 or _takes_colours(predictor):
            of_picture = _answer(predictor, _read(predictor, content, name), scale, f"the picture '{name}.png'")
        answer = _answer(predictor, image, scale, f"the example '{name}'")
        # NaN is what a class lacks, as a lens without axions their mass
        known = {target: _rounded(value) for target, value in truth.items() if math.isfinite(value)}
        before = next((example for example in earlier if example.name == name), Example(name, {}, {}, {}))
        examples.append(Example(name, _kept(answer, before.answer), _kept(of_picture, before.picture_answer), known))
    return tuple(examples)


def linear_picture(image: "NDArray[np.float32]") -> bytes:
    """Write one band as a picture of 16 bits, in proportion to its numbers.

    Args:
        image: Shape `(height, width)`; what is below zero becomes zero.

    Returns:
        Content of a PNG file.
    """
    import numpy as np
    from PIL import Image

    top = float(image.max())
    shares = np.clip(image / top, 0, 1) if top > 0 else np.zeros_like(image)
    buffer = io.BytesIO()
    Image.fromarray(np.round(65535 * shares).astype(np.uint16)).save(buffer, format="png")
    return buffer.getvalue()


def _takes_colours(predictor: "Predictor") -> bool:
    """Tell whether a model knows the colours of pictures, and sees the same of one that is enlarged."""
    processor = predictor.processor
    return predictor.colour_bands is not None and processor.crop_size is None and processor.target_pixel_scale is None


def _read(predictor: "Predictor", content: bytes, name: str) -> "NDArray[np.float32]":
    """Return the numbers of a picture, `(bands, height, width)`, as the model is given them."""
    from deeplense_hf.models.image_files import image_from_bytes
    from deeplense_hf.models.image_reading import to_tensor

    numbers: NDArray[np.float32] = to_tensor(
        image_from_bytes(content, name), colour_bands=predictor.colour_bands
    ).numpy()
    return numbers


def _answer(predictor: "Predictor", image: "NDArray[np.float32]", pixel_scale: float, what: str) -> dict[str, float]:
    """Return the numbers that the model answers for an image, and refuse what is none."""
    import numpy as np

    from deeplense_hf.tasks.classification import PROBABILITY_OF

    table = predictor.task.table(predictor.answers(image[None], np.array([pixel_scale], dtype=np.float32)))
    answer = {column: float(values[0]) for column, values in table.items() if isinstance(values[0], int | float)}
    if not all(map(math.isfinite, answer.values())):
        raise ValueError(f"the model's answer for {what} is not a number; train the model again.")
    # of a probability, which is one of several that sum to one, digits beyond the fourth decimal say nothing
    return {
        column: round(value, _DIGITS) if column.startswith(PROBABILITY_OF) else _rounded(value)
        for column, value in answer.items()
    }


def _kept(answer: dict[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return an answer with the numbers of an earlier one that are the same but for the rounding."""
    return {
        column: before[column]
        if column in before and math.isclose(value, before[column], rel_tol=_SAME, abs_tol=_SAME)
        else value
        for column, value in answer.items()
    }


def _rounded(value: float) -> float:
    """Round to four significant digits, or to four decimals where those are more."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    return round(value, max(_DIGITS, _DIGITS - 1 - magnitude))
