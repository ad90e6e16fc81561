"""Fixtures shared by all tests; every test is offline and deterministic."""

import os
from pathlib import Path

# Read at import by the libraries, hence before any of them is imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")
# a second thread changes the last bits, and takes the core of the other test process
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Sequence
from typing import Any

import pytest


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a parameter that is the content of a file after its argument.

    Archives hold the time at which they were made: test processes that collect in different seconds would disagree on
    the tests there are, and run none.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Let random weights and numbers be the same whichever tests ran before, and in whichever process."""
    import random

    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - of libraries that draw from the global state
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def repository_root() -> Path:
    """The folder that holds pyproject.toml."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data(repository_root: Path) -> Path:
    """The workplace's folder of real and original-format images; tests that need it are skipped without it."""
    folder = Path(os.environ.get("DEEPLENSE_SHARED_DATA", repository_root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist (set DEEPLENSE_SHARED_DATA to run on the workplace's images)")
    return folder


@pytest.fixture
def make_model() -> Callable[..., tuple[Any, Any]]:
    """Return a function that makes a tiny random classifier and its processor."""
    import torch

    from deeplense_hf.models.image_processing_deeplense import DeepLenseImageProcessor
    from deeplense_hf.models.modeling_deeplense_swin import DeepLenseSwinForImageClassification
    from deeplense_hf.models.presets import build_config

    def make(
        class_names: Sequence[str] = ("no_sub", "cdm", "axion"), bands: int = 1, seed: int = 0, spread: float = 1.0
    ) -> tuple[DeepLenseSwinForImageClassification, DeepLenseImageProcessor]:
        torch.manual_seed(seed)
        labels = dict(enumerate(class_names))
        config = build_config(
            "deeplense-swin-test",
            num_channels=bands,
            image_size=32,
            id2label=labels,
            label2id={name: index for index, name in labels.items()},
        )
        model = DeepLenseSwinForImageClassification(config).eval()
        # random weights say almost the same of every image, unless their answers are spread
        with torch.no_grad():
            for parameter in model.classifier.parameters():
                parameter.mul_(spread)
        return model, DeepLenseImageProcessor(size={"height": 32, "width": 32})

    return make
