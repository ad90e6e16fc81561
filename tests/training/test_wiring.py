"""What is decided before and between the steps: sizes, types, metrics, contradictions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageClassification, TrainerCallback

from deeplense_hf.cli import parse_options
from deeplense_hf.data import loading
from deeplense_hf.data.schema import PIXEL_SCALE, SYSTEM_ID
from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.models.presets import build_config
from deeplense_hf.tasks.registry import TASKS
from deeplense_hf.training import setup
from deeplense_hf.training.batches import LensCollator
from deeplense_hf.training.run import run_training
from deeplense_hf.training.setup import use_metric_of

CLASSES = {0: "no_sub", 1: "cdm", 2: "axion"}


def run(words: list[str], folder: Path, *callbacks: Any) -> Any:
    options = parse_options("train", [*words, "--output_dir", str(folder), "--disable_tqdm", "true"])
    return run_training(*options, callbacks=callbacks)


@pytest.fixture(autouse=True)
def cached(lens_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))


@pytest.mark.parametrize("dataset", ["test", "simulate:test"])
def test_small_images_grow_and_validation_sees_full_ones(
    dataset: str, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[bool, list[int]] = {True: [], False: []}
    model_is_training = [False]
    collate = LensCollator.__call__

    class Watch(TrainerCallback):
        def on_epoch_begin(self, *arguments: Any, **options: Any) -> None:
            model_is_training[0] = True

        def on_epoch_end(self, *arguments: Any, **options: Any) -> None:
            model_is_training[0] = False

    def watched(self: LensCollator, batch: dict[str, Any]) -> dict[str, Any]:
        inputs = collate(self, batch)
        seen[model_is_training[0]].append(inputs["pixel_values"].shape[-1])
        return inputs

    monkeypatch.setattr(LensCollator, "__call__", watched)
    words = ["--dataset", dataset, "--progressive_size", "0.5", "--num_train_epochs", "3"]
    words += ["--dataloader_num_workers", "0"]
    run([*quick, *words], tmp_path / "run", Watch())
    full = max(seen[True])
    assert min(seen[True]) < full
    assert seen[True][-1] == full
    assert set(seen[False]) == {full}


def test_a_model_in_half_precision_is_trained_further(quick: list[str], tmp_path: Path) -> None:
    config = build_config(
        "deeplense-swin-test",
        image_size=32,
        id2label=CLASSES,
        label2id={name: index for index, name in CLASSES.items()},
        task="classification",
    )
    AutoModelForImageClassification.from_config(config).to(torch.bfloat16).save_pretrained(tmp_path / "half")
    DeepLenseImageProcessor(num_channels=1, size=32).save_pretrained(tmp_path / "half")
    words = [word for word in quick if word not in ("--model", "deeplense-swin-test")]
    result = run([*words, "--model", str(tmp_path / "half")], tmp_path / "run")
    loaded = AutoModelForImageClassification.from_pretrained(result.output_dir)
    assert loaded.dtype == torch.float32
    # and as a teacher
    run([*quick, "--teachers", str(tmp_path / "half")], tmp_path / "taught")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_data_without_pixel_scale_and_systems_are_learnt_from(
    task: str, quick: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = loading.load_lenses
    absent = [PIXEL_SCALE, SYSTEM_ID]
    monkeypatch.setattr(loading, "load_lenses", lambda *given, **named: load(*given, **named).remove_columns(absent))
    # a recipe's own images always have a scale, and a crop by default
    monkeypatch.setattr(setup, "PUBLISHED_RECIPES", {})
    words = [*quick, "--task", task, "--num_train_epochs", "1"]
    assert run(words, tmp_path / "run").report is not None
    with pytest.raises(ValueError, match=r"crop_arcsec=1.0 needs images with a pixel scale, and 'test' has none"):
        run([*words, "--crop_arcsec", "1"], tmp_path / "cropped")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric_for_best_model", "acuracy"], "metric_for_best_model='acuracy' is no score of classification"),
        (["--ema_decay", "0.9", "--save_only_model", "true"], "save_only_model=True keeps no moving average"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(
    words: list[str], message: str, quick: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        run([*quick, *words], tmp_path / "run")


@pytest.mark.parametrize(
    ("task", "words", "larger"),
    [
        ("regression", ["--metric_for_best_model", "eval_rmse_einstein_radius"], False),
        ("regression", [], True),
        ("classification", ["--metric_for_best_model", "expected_calibration_error"], False),
        ("classification", ["--metric_for_best_model", "accuracy"], True),
        ("classification", ["--metric_for_best_model", "accuracy", "--greater_is_better", "false"], False),
        ("lens_finding", ["--metric_for_best_model", "fpr_at_tpr_50"], False),
        ("masked_image_modeling", ["--metric_for_best_model", "reconstruction_error"], False),
        ("anomaly_detection", [], False),
    ],
)
def test_errors_are_better_when_they_are_smaller(task: str, words: list[str], larger: bool, tmp_path: Path) -> None:
    arguments = parse_options("train", ["--output_dir", str(tmp_path), "--use_cpu", *words])[3]
    use_metric_of(TASKS[task], arguments)
    assert arguments.greater_is_better is larger
