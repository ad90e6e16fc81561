"""A tiny model on disk and files to classify."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def save_model(make_model: Callable, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves a tiny random model and its processor."""

    def save(name: str = "model", seed: int = 0, bands: int = 1) -> Path:
        folder = tmp_path / name
        for part in make_model(seed=seed, bands=bands):
            part.save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Ten files of one image and two files of seven images of another size."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(10):
        np.save(folder / f"image_{number}.npy", rng.normal(size=(32, 32)))
    for number in range(2):
        np.save(folder / "deeper" / f"stack_{number}.npy", rng.normal(size=(7, 1, 40, 40)))
    return folder
