"""A tiny model on disk and files to classify."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from deeplense_hf.models.image_processing_deeplense import DeepLenseImageProcessor
from deeplense_hf.models.modeling_deeplense_swin import DeepLenseSwinForImageClassification
from deeplense_hf.models.presets import build_config

CLASSES = ("no_sub", "cdm", "axion")


@pytest.fixture
def save_model(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves a tiny random model and its processor."""

    def save(name: str = "model", seed: int = 0, bands: int = 1) -> Path:
        torch.manual_seed(seed)
        labels = dict(enumerate(CLASSES))
        config = build_config(
            "deeplense-swin-test",
            num_channels=bands,
            image_size=32,
            id2label=labels,
            label2id={label: index for index, label in labels.items()},
        )
        folder = tmp_path / name
        DeepLenseSwinForImageClassification(config).save_pretrained(folder)
        DeepLenseImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
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
