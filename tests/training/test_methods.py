"""Every task and every method trains for a moment through the command line, and leaves a model that answers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import SwinConfig, SwinForImageClassification

from deeplense_hf.cli import main
from deeplense_hf.evaluation.report import EvaluationReport
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.tasks.registry import TASKS
from deeplense_hf.training.curriculum import CURRICULA
from deeplense_hf.training.losses import LOSSES

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory, lens_cache: Path, quick: list[str]) -> Callable[..., Path]:
    """Train in this process and return the model's folder."""

    def run(*options: str) -> Path:
        folder = tmp_path_factory.mktemp("run") / "model"
        words = [*quick, "--num_train_epochs", "1", "--disable_tqdm", "true", "--output_dir", str(folder), *options]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
            assert main(["train", *words]) == 0
        return folder

    return run


@pytest.fixture(scope="module")
def classifier(train: Train) -> Path:
    return train()


@pytest.fixture(scope="module")
def encoder(train: Train) -> Path:
    return train("--task", "masked_image_modeling")


def failure(options: list[str], quick: list[str], lens_cache: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a training that must fail before its first step, and return the sentence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
        assert main(["train", *quick, *options]) == 1
    captured = capsys.readouterr()
    assert "training  " not in captured.out, "it failed before the first step"
    return captured.err.strip().splitlines()[-1]


TASK_OPTIONS = {"regression": ("--targets", "log10_axion_mass_ev", "source_x")}


@pytest.fixture(scope="module")
def lens_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of lenses and many more non-lenses, in three bands."""
    folder = tmp_path_factory.mktemp("files")
    generator = np.random.default_rng(0)
    for name, count in (("lenses", 6), ("nonlenses", 60)):
        for split in ("train", "val", "test"):
            (folder / f"{split}_{name}").mkdir()
            for number in range(count):
                image = generator.normal(size=(3, 24, 24)).astype(np.float32) + (name == "lenses")
                np.save(folder / f"{split}_{name}" / f"{number}.npy", image)
    return folder


def test_lens_finding_in_several_bands(lens_folder: Path, train: Train) -> None:
    options = ("--task", "lens_finding", "--dataset", str(lens_folder), "--class_balance", "weights")
    folder = train(*options)
    report = EvaluationReport.load(folder / "metrics.json")
    assert report.class_counts == {"non_lens": 60, "lens": 6}
    assert report.metrics["tpr_at_0_false_positives"].value is not None
    assert "true positive rate at 10 false positives" in report.table()
    assert (folder / "precision_recall.png").exists()
    train(*options, "--curriculum", "hard_negatives", "--num_train_epochs", "3")


@pytest.mark.parametrize("task", [name for name in TASKS if name != "lens_finding"])
def test_every_task_trains_evaluates_and_predicts(task: str, train: Train, tmp_path: Path) -> None:
    folder = train("--task", task, *TASK_OPTIONS.get(task, ()))
    report = EvaluationReport.load(folder / "metrics.json")
    assert report.task == task
    assert all(title in report.table() for title, _ in report.report_rows)
    assert list(folder.glob("*.png"))
    np.save(tmp_path / "lens.npy", np.random.default_rng(0).poisson(50, size=(32, 32)))
    output = tmp_path / "answers.parquet"
    assert (
        main(["predict", "--model", str(folder), "--input", str(tmp_path / "lens.npy"), "--output", str(output)]) == 0
    )
    row = pq.read_table(output).to_pylist()[0]
    predictor = Predictor.from_pretrained(folder, "cpu")
    assert list(row) == ["path", "index", *predictor.task.columns, "error"]
    assert row["error"] is None
    assert all(row[name] is not None for name in predictor.task.columns)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name in TASKS["classification"].losses])
def test_losses_of_classes(loss: str, train: Train) -> None:
    train("--loss", loss, "--label_smoothing_factor", "0.1", "--class_balance", "weights")


@pytest.mark.parametrize("loss", TASKS["regression"].losses)
def test_losses_of_quantities(loss: str, train: Train) -> None:
    uncertainty = "constant" if loss in ("huber", "mse") else "predicted"
    folder = train("--task", "regression", "--loss", loss, "--uncertainty", uncertainty)
    config = json.loads((folder / "config.json").read_text())
    assert config["interval_factors"][0] > 0


@pytest.mark.parametrize(
    "options",
    [
        *(("--curriculum", name) for name in CURRICULA),
        ("--class_balance", "sampling"),
        ("--mixing", "mixup"),
        ("--mixing", "cutmix"),
        ("--progressive_size", "0.5"),
        ("--progressive_size", "0.5", "--model", "deeplense-vit-test"),
        ("--layer_decay", "0.7"),
        ("--ema_decay", "0.9"),
        ("--augmentation", "lens"),
        ("--augmentation", "standard"),
        ("--model", "resnet-test"),
        ("--model_options", "stem=equivariant", "symmetry=equivariant", "window_size=8"),
        ("--max_grad_norm", "0.1", "--lr_scheduler_type", "linear", "--optim", "sgd"),
        ("--early_stopping_patience", "1"),
        ("--dataset", "simulate:test", "--dataloader_num_workers", "0", "--mixing", "mixup"),
        ("--dataset", "simulate:test", "--dataloader_num_workers", "0", "--task", "regression"),
        ("--dataset", "simulate:test", "--dataloader_num_workers", "0", "--task", "anomaly_detection"),
    ],
    ids=lambda options: " ".join(options).replace("--", ""),
)
def test_methods(options: tuple[str, ...], train: Train) -> None:
    assert (train(*options) / "metrics.json").exists()


def test_frozen_layers_are_those_of_the_model(classifier: Path, train: Train) -> None:
    tuned = load_file(train("--model", str(classifier), "--freeze_backbone") / "model.safetensors")
    for name, weight in load_file(classifier / "model.safetensors").items():
        assert torch.equal(tuned[name], weight) is name.startswith("backbone."), name


@pytest.mark.parametrize("task", ["classification", "regression", "anomaly_detection"])
def test_an_encoder_of_masked_images_is_tuned_for_any_task(task: str, encoder: Path, train: Train) -> None:
    folder = train("--model", str(encoder), "--task", task, "--freeze_backbone")
    pretrained, tuned = (load_file(path / "model.safetensors") for path in (encoder, folder))
    assert all(torch.equal(tuned[name], weight) for name, weight in pretrained.items() if name.startswith("backbone."))
    assert EvaluationReport.load(folder / "metrics.json").task == task


def test_teachers_of_another_family_and_size_are_learnt_from(classifier: Path, train: Train) -> None:
    small = train("--image_size", "24", "--model", "deeplense-vit-test")
    teachers = ("--teachers", str(classifier), str(small), "--distillation_weight", "0.9")
    plain = load_file(classifier / "model.safetensors")
    distilled = load_file(train(*teachers) / "model.safetensors")
    assert not torch.equal(plain["classifier.weight"], distilled["classifier.weight"])
    for model in ("deeplense-vit-test", "deeplense-swin-test"):
        folder = train(*teachers, "--model", model, "--distillation_token")
        assert Predictor.from_pretrained(folder, "cpu").model.config.distillation_token


def test_a_stock_model_is_tuned(train: Train, tmp_path: Path) -> None:
    config = SwinConfig(
        image_size=32, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4, num_labels=7
    )
    SwinForImageClassification(config).save_pretrained(tmp_path / "stock")
    folder = train("--model", str(tmp_path / "stock"), "--layer_decay", "0.7", "--frozen_layers", "1")
    assert Predictor.from_pretrained(folder, "cpu").class_names == ("no_sub", "cdm", "axion")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "regression", "--targets", "no_such_column"], "has no column 'no_such_column'"),
        (["--task", "lens_finding"], "needs the classes non_lens and lens"),
        (["--task", "anomaly_detection", "--normal_class", "smooth"], "has no class 'smooth'"),
        (["--loss", "gaussian_nll"], "loss='gaussian_nll' does not fit the task classification"),
        (["--task", "regression", "--loss", "huber"], "add --uncertainty constant"),
        (["--task", "regression", "--mixing", "mixup"], "blends classes, and the task is regression"),
        (["--task", "masked_image_modeling", "--class_balance", "weights"], "needs classes, and the task is masked"),
        (["--dataset", "simulate:test", "--curriculum", "loss"], "does not fit a stream"),
        (["--curriculum", "loss", "--class_balance", "sampling"], "use class_balance='weights'"),
        (["--distillation_token"], "needs --teachers"),
        (["--frozen_layers", "50"], "frozen_layers=50, but the model has"),
        (["--model_options", "stem"], "is not of the form name=value"),
        (["--model_options", "colour=red"], "has no option 'colour'"),
        (["--ema_decay", "1.5"], "ema_decay=1.5 must be between 0 and 1"),
        (["--mixing_alpha", "0"], "mixing_alpha=0.0 must be positive"),
        (["--label_smoothing_factor", "1.5"], "label_smoothing_factor=1.5 must be from 0 to 1"),
        (["--label_smoothing_factor", "-0.1"], "label_smoothing_factor=-0.1 must be from 0 to 1"),
    ],
)
def test_what_does_not_fit_fails_before_the_first_step(
    options: list[str], message: str, quick: list[str], lens_cache: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert message in failure([*options, "--output_dir", str(tmp_path / "run")], quick, lens_cache, capsys)


def test_teachers_that_do_not_fit_fail_before_the_first_step(
    classifier: Path,
    encoder: Path,
    quick: list[str],
    lens_cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = ["--output_dir", str(tmp_path / "run")]
    regression = ["--task", "regression", "--teachers", str(classifier), *output]
    assert "teachers teach classes" in failure(regression, quick, lens_cache, capsys)
    wrong = ["--teachers", str(encoder), *output]
    assert "knows the classes" in failure(wrong, quick, lens_cache, capsys)


def test_accumulated_batches_are_one_batch(train: Train) -> None:
    # patches have no batch statistics, and plain gradient descent shows any factor of the loss
    options = ("--model_options", "stem=patch", "--max_steps", "4", "--optim", "sgd", "--learning_rate", "0.1")
    options += ("--bf16", "false")
    whole = load_file(train(*options, "--per_device_train_batch_size", "16") / "model.safetensors")
    halves = ("--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2")
    for name, weight in load_file(train(*options, *halves) / "model.safetensors").items():
        torch.testing.assert_close(weight, whole[name], rtol=1e-4, atol=1e-5)
