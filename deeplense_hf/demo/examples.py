"""Example images that models bring along."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """An image to click on.

    Attributes:
        path: The file.
        models: Models that it is an example of.
    """

    path: str
    models: tuple[str, ...]


def example_files(places: Mapping[str, str]) -> dict[str, Example]:
    """Find the example images of model folders.

    Args:
        places: Folders or Hub ids of models by the names of the models.

    Returns:
        Examples by what they are called on the page, each distinct image once, called by the first model that has it.
    """
    found: dict[str, tuple[str, Example]] = {}
    for model, place in places.items():
        for path in _images(Path(place) / "examples"):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            called, first = found.setdefault(digest, (f"{path.stem} ({model})", Example(str(path), ())))
            found[digest] = called, Example(first.path, (*first.models, model))
    return dict(found.values())


def _images(folder: Path) -> list[Path]:
    """Return the arrays of a folder; its pictures only show them, but of a model of pictures they are all there is."""
    return sorted(folder.glob("*.npy")) or sorted(folder.glob("*.png"))
