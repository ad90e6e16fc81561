"""Caches of their own, records, and files in every layout."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deeplense_hf.data.card import DatasetCard
from deeplense_hf.data.records import RecordBatch


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing outside the test's folder is written or found."""
    import datasets

    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(tmp_path / "deeplense-cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "arrow-cache")


@pytest.fixture
def make_images() -> Callable[..., np.ndarray]:
    """Return a function that makes random float32 images."""

    def make(*shape: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=shape).astype(np.float32)

    return make


@pytest.fixture
def make_records(make_images: Callable[..., np.ndarray]) -> Callable[..., RecordBatch]:
    """Return a function that makes records, with nulls in some columns."""

    def make(count: int, size: int = 16, seed: int = 0) -> RecordBatch:
        columns = {
            "system_id": [f"system-{seed}-{row}" for row in range(count)],
            "seed": [seed] * count,
            "pixel_scale": [0.05 if row % 2 else None for row in range(count)],
            "vortex_mass": np.where(np.arange(count) % 3 == 0, 3e10, np.nan),
            "subhalo_count": np.where(np.arange(count) % 3 == 1, 25.0, np.nan),
        }
        return RecordBatch(make_images(count, 1, size, size, seed=seed), np.arange(count) % 3, columns)

    return make


@pytest.fixture
def card() -> DatasetCard:
    """A card."""
    return DatasetCard("Title", "Summary.", {"train": {"no_sub": 2}}, (1, 16, 16), "", "A test.")


@pytest.fixture
def class_folders(tmp_path: Path, make_images: Callable[..., np.ndarray]) -> Path:
    """Original files as DeepLense has them: twelve images of each class, axion files with their mass."""
    root = tmp_path / "original"
    for number, name in enumerate(("no", "sphere", "vort")):
        (root / name).mkdir(parents=True)
        for row, image in enumerate(make_images(12, 16, 16, seed=number).astype(np.float64)):
            array: np.ndarray = image
            if name == "vort":
                array = np.empty(2, dtype=object)
                array[:] = [image, 10.0**-23]
            np.save(root / name / f"{row}.npy", array, allow_pickle=True)
    return root
