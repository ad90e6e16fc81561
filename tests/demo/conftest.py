"""Tiny models of three tasks, as folders."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

MASS = "log10_axion_mass_ev"


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    from deeplense_hf.models import (
        AutoModelForAnomalyDetection,
        AutoModelForImageRegression,
        DeepLenseImageProcessor,
    )
    from deeplense_hf.models.modeling_deeplense_swin import DeepLenseSwinForImageClassification
    from deeplense_hf.models.presets import build_config

    folder = tmp_path_factory.mktemp("models")
    names = dict(enumerate(("no_sub", "cdm", "axion")))
    options: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
        "classes": (
            DeepLenseSwinForImageClassification,
            {"id2label": names, "label2id": {v: k for k, v in names.items()}, "prediction_set_threshold": 0.1},
        ),
        "mass": (
            AutoModelForImageRegression.from_config,
            {"task": "regression", "id2label": {0: MASS}, "label2id": {MASS: 0}, "target_units": ["log10 eV"]},
        ),
        "anomalies": (
            AutoModelForAnomalyDetection.from_config,
            {"task": "anomaly_detection", "anomaly_score": "reconstruction", "id2label": {0: "no_sub"}},
        ),
    }
    torch.manual_seed(0)
    for name, (make, config) in options.items():
        model = make(build_config("deeplense-swin-test", image_size=32, **config))
        if name == "anomalies":
            model.normal.fit_scores(torch.tensor([0.5, 1.5]))
        model.save_pretrained(folder / name)
        DeepLenseImageProcessor(num_channels=1, crop_size=96, size=32).save_pretrained(folder / name)
    (folder / "anomalies" / "examples").mkdir()
    image = np.random.default_rng(1).poisson(50, (100, 100)).astype(np.float32)
    np.save(folder / "anomalies" / "examples" / "unlike.npy", image)
    return [str(folder / name) for name in options]
