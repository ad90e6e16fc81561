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
from deeplense_hf.training import setup, wiring
from deeplense_hf.training.run import run_training
from deeplense_hf.training.setup import use_metric_of

CLASSES = {0: "no_sub", 1: "cdm", 2: "axion"}


def run(words: list[str], folder: Path, *callbacks: Any) -> Any:
    options = parse_options("train", [*words, "--output_dir", str(folder), "--disable_tqdm", "true"])
    return run_training(*options, callbacks=callbacks)


@pytest.fixture(autouse=True)
def cached(lens_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))


@pytest.mark.parametrize(
    ("dataset", "length"),
    [
        ("test", ("--num_train_epochs", "1")),
        ("simulate:test", ("--max_steps", "4", "--gradient_accumulation_steps", "2")),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1],
)
def test_small_images_grow_by_the_step_and_validation_sees_full_ones(
    dataset: str, length: tuple[str, ...], quick: list[str], tmp_path: Path
) -> None:
    seen: dict[bool, list[int]] = {True: [], False: []}

    class Watch(TrainerCallback):
        def on_train_begin(self, *arguments: Any, model: Any, **options: Any) -> None:
            def watch(module: Any, arguments: Any, inputs: dict[str, Any]) -> None:
                seen[module.training].append(inputs["pixel_values"].shape[-1])

            model.register_forward_pre_hook(watch, with_kwargs=True)

    words = ["--dataset", dataset, "--progressive_size", "0.5", "--dataloader_num_workers", "0", *length]
    run([*quick, *words], tmp_path / "run", Watch())
    full = max(seen[True])
    assert seen[True][0] < full
    assert seen[True] == sorted(seen[True])
    middle = len(seen[True]) // 2
    assert set(seen[True][middle:]) == {full}
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
        (["--curriculum", "loss", "--num_train_epochs", "1"], "the run has only 1 of them"),
        (["--curriculum", "hard_negatives", "--max_steps", "3"], "begins after the first epoch"),
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


def test_scores_that_are_best_between_choose_no_model(tmp_path: Path) -> None:
    words = ["--output_dir", str(tmp_path), "--use_cpu", "--metric_for_best_model", "bias_einstein_radius"]
    with pytest.raises(ValueError, match="'bias_einstein_radius' is best at a value between"):
        use_metric_of(TASKS["regression"], parse_options("train", words)[3])


def test_growing_images_are_tried_before_the_first_step() -> None:
    class OneSize(torch.nn.Module):
        """As timm's transformers: of one size alone, which an assertion says."""

        config, device, dtype = build_config("deeplense-swin-test"), "cpu", torch.float32

        def forward(self, pixel_values: torch.Tensor, interpolate_pos_encoding: bool = False) -> None:
            assert pixel_values.shape[-1] == 32, "Input height doesn't match model"

    model = OneSize().train()
    with pytest.raises(ValueError, match=r"makes images of 16 pixels, which the model does not take \(Input height"):
        wiring._check_size(model, 16, (32, 32))
    assert model.training
    wiring._check_size(model, 32, (32, 32))


def test_an_anomaly_model_that_is_trained_further_forgets_its_normal_images(quick: list[str], tmp_path: Path) -> None:
    scales: list[bool] = []

    class Watch(TrainerCallback):
        def on_train_begin(self, *arguments: Any, model: Any, **options: Any) -> None:
            scales.append(model.normal.has_scale)

    words = ["--task", "anomaly_detection", "--max_steps", "1"]
    run([*quick, *words], tmp_path / "first", Watch())
    at = quick.index("--model") if "--model" in quick else None
    further = quick if at is None else [*quick[:at], *quick[at + 2 :]]
    run([*further, *words, "--model", str(tmp_path / "first")], tmp_path / "further", Watch())
    assert scales == [False, False]
