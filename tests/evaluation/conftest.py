"""A tiny model and a tiny data set."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from deeplense_hf.data.schema import features
from deeplense_hf.models.image_processing_deeplense import DeepLenseImageProcessor
from deeplense_hf.models.modeling_deeplense_swin import DeepLenseSwinForImageClassification
from deeplense_hf.models.presets import build_config

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
def make_model() -> Callable[..., tuple[DeepLenseSwinForImageClassification, DeepLenseImageProcessor]]:
    """Return a function that makes a tiny random classifier and its processor."""

    def make(
        class_names: Sequence[str] = CLASSES, bands: int = 1
    ) -> tuple[DeepLenseSwinForImageClassification, DeepLenseImageProcessor]:
        torch.manual_seed(0)
        labels = dict(enumerate(class_names))
        config = build_config(
            "deeplense-swin-test",
            num_channels=bands,
            image_size=32,
            id2label=labels,
            label2id={name: index for index, name in labels.items()},
        )
        model = DeepLenseSwinForImageClassification(config).eval()
        # random weights say almost the same of every image: spread the answers
        with torch.no_grad():
            for parameter in model.classifier.parameters():
                parameter.mul_(20.0)
        return model, DeepLenseImageProcessor(size={"height": 32, "width": 32})

    return make


@pytest.fixture
def model_folder(make_model: Callable, tmp_path: Path) -> Path:
    """A saved tiny model."""
    folder = tmp_path / "model"
    model, processor = make_model()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
