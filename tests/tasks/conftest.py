"""A small data set with labels and quantities, and options of tasks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from deeplense_hf.data.records import RecordBatch, as_table
from deeplense_hf.data.schema import PIXEL_SCALE, SYSTEM_ID, features

MASSES = [None, None, -23.5, None, None, -22.5, None, None, -24.0, None, None, -23.0]


@pytest.fixture
def make_splits() -> Callable[..., DatasetDict]:
    """Make splits of 12 images, four of each class, of which axion images have a mass."""

    def make(
        class_names: tuple[str, ...] = ("no_sub", "cdm", "axion"), labels: list[int] | None = None, **columns: Any
    ) -> DatasetDict:
        images = np.random.default_rng(0).poisson(50, size=(12, 1, 16, 16)).astype(np.float32)
        values = {SYSTEM_ID: [str(row) for row in range(12)], PIXEL_SCALE: [0.05] * 12}
        values |= {"log10_axion_mass_ev": MASSES, "einstein_radius": [1.2] * 12, **columns}
        declared = features(class_names, 1, 16, 16)
        batch = RecordBatch(images, np.array(labels or [0, 1, 2] * 4), values)
        split = Dataset(as_table(batch, declared))
        return DatasetDict({"train": split, "validation": split, "test": split})

    return make
