"""`LensMetrics` as `evaluate` uses it, without internet."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import evaluate
import numpy as np
import pytest

from deeplense_hf.lens_metrics.classification_scores import classification_scores
from deeplense_hf.lens_metrics.lens_metrics import LensMetrics

NAMES = ("no_sub", "cdm", "axion")


@pytest.fixture
def metric(tmp_path: Path) -> LensMetrics:
    return LensMetrics(cache_dir=str(tmp_path))


def test_compute_equals_the_functions(metric: LensMetrics, random_case: Callable) -> None:
    labels, scores = random_case(80, 3, seed=0)
    values = metric.compute(references=labels, prediction_scores=scores, class_names=NAMES)
    assert values == classification_scores(labels, scores, NAMES)


def test_batches_equal_one_call(metric: LensMetrics, random_case: Callable) -> None:
    labels, scores = random_case(80, 3, seed=1)
    for start in range(0, 80, 33):
        metric.add_batch(references=labels[start : start + 33], prediction_scores=scores[start : start + 33])
    assert metric.compute(class_names=NAMES) == classification_scores(labels, scores, NAMES)


def test_intervals_on_request(metric: LensMetrics, random_case: Callable) -> None:
    labels, scores = random_case(60, 2, seed=2)
    values = metric.compute(
        references=labels,
        prediction_scores=scores,
        bootstrap_samples=20,
        system_ids=[str(index // 2) for index in range(60)],
    )
    assert values["roc_auc_low"] <= values["roc_auc"] <= values["roc_auc_high"]


def test_nan_is_refused(metric: LensMetrics) -> None:
    with pytest.raises(ValueError, match="NaN"):
        metric.compute(references=[0, 1], prediction_scores=[[0.5, np.nan], [0.5, 0.5]])


def test_ragged_rows_are_refused(metric: LensMetrics) -> None:
    with pytest.raises(ValueError, match="rows of"):
        metric.compute(references=[0, 1], prediction_scores=[[0.5, 0.5], [0.2, 0.3, 0.5]])


def test_combine(tmp_path: Path) -> None:
    combined = evaluate.combine([LensMetrics(cache_dir=str(tmp_path))])
    values = combined.compute(references=[0, 1], prediction_scores=[[0.9, 0.1], [0.2, 0.8]])
    assert values["roc_auc"] == 1.0


def test_evaluate_load_copies_all_it_needs(repository_root: Path, tmp_path: Path) -> None:
    """In a fresh process that cannot import the package, from the folder alone."""
    program = (
        "import sys, evaluate\n"
        "metric = evaluate.load(sys.argv[1])\n"
        "values = metric.compute(references=[0, 1], prediction_scores=[[0.9, 0.1], [0.2, 0.8]])\n"
        "assert values['roc_auc'] == 1.0\n"
        "assert not any(name.startswith('deeplense_hf') for name in sys.modules)\n"
    )
    folder = repository_root / "deeplense_hf" / "lens_metrics"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True, env=environment, cwd=tmp_path)
