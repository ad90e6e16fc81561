"""A tiny data set, and a tiny model on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from deeplense_hf.data.schema import features

CLASSES = ("no_sub", "cdm", "axion")


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    """Return a function that makes one split of random images with two images to a system."""

    def make(
        n: int = 30, class_names: Sequence[str] = CLASSES, bands: int = 1, labels: Sequence[int] | None = None
    ) -> Dataset:
        rng = np.random.default_rng(0)
        declared = features(class_names, bands, 32, 32)
        columns: dict[str, list[Any]] = {name: [None] * n for name in declared}
        columns["image"] = list(rng.normal(size=(n, bands, 32, 32)).astype(np.float32))
        columns["label"] = list(labels) if labels is not None else [i % len(class_names) for i in range(n)]
        columns["system_id"] = [f"system-{index // 2}" for index in range(n)]
        columns["pixel_scale"] = [0.05] * n
        return Dataset.from_dict(columns, features=declared)

    return make


@pytest.fixture
def model_folder(make_model: Callable, tmp_path: Path) -> Path:
    """A saved tiny model."""
    folder = tmp_path / "model"
    model, processor = make_model(spread=20.0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
