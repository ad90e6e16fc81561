"""The main job end to end, in processes of its own as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForImageClassification

import deeplense_hf.models  # noqa: F401

Run = Callable[..., subprocess.CompletedProcess[str]]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch")


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], repository_root: Path, quick: list[str]
) -> Path:
    """A finished run of two epochs, launched by accelerate."""
    output = tmp_path_factory.mktemp("finished") / "run"
    command = [*ACCELERATE, str(repository_root / "scripts" / "train.py"), *quick]
    command += ["--num_train_epochs", "2", "--augmentation", "lens", "--output_dir", str(output)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert "ROC AUC, macro" in result.stdout
    assert str(output) in result.stdout
    return output


def test_run_leaves_a_loadable_folder(finished: Path) -> None:
    model = AutoModelForImageClassification.from_pretrained(finished)
    processor = AutoImageProcessor.from_pretrained(finished)
    assert [model.config.id2label[index] for index in range(3)] == ["no_sub", "cdm", "axion"]
    pixels = processor(torch.rand(2, 1, 32, 32), return_tensors="pt")["pixel_values"]
    assert model(pixels).logits.shape == (2, 3)
    for name in ("metrics.json", "roc.png", "confusion.png", "reliability.png", "training_options.yaml"):
        assert (finished / name).stat().st_size > 0


def test_metrics_are_those_of_the_evaluate_command(finished: Path, environment: dict[str, str], tmp_path: Path) -> None:
    cached = (Path(environment["DEEPLENSE_HF_CACHE"]) / "simulated").glob("test-40-per-class-seed-0-*")
    folder = next(folder for folder in cached if any((folder / "data").glob("train-*")))
    command = [sys.executable, "-m", "deeplense_hf.cli", "evaluate", "--model", str(finished), "--device", "cpu"]
    command += ["--dataset", str(folder), "--output_dir", str(tmp_path / "evaluation")]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    ours = json.loads((finished / "metrics.json").read_text())["metrics"]["roc_auc"]["value"]
    theirs = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())["metrics"]["roc_auc"]["value"]
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_finished_run_is_neither_overwritten_nor_resumed_with_other_data(finished: Path, train_process: Run) -> None:
    before = (finished / "model.safetensors").read_bytes()
    again = train_process("--output_dir", str(finished))
    assert again.returncode == 1
    assert again.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "holds a finished run" in again.stderr
    other = train_process("--output_dir", str(finished), "--resume_from_checkpoint", "--simulation_seed", "5")
    assert other.returncode == 1
    assert "simulation_seed" in other.stderr
    assert (finished / "model.safetensors").read_bytes() == before


def test_options_file_repeats_the_run(finished: Path, environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deeplense_hf.cli", "train", "--config", str(finished / "training_options.yaml")]
    command += ["--output_dir", str(tmp_path / "again")]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    first, second = (load_file(folder / "model.safetensors") for folder in (finished, tmp_path / "again"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_killed_run_resumes_to_the_same_weights(
    finished: Path, environment: dict[str, str], repository_root: Path, quick: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "killed"
    command = [sys.executable, str(repository_root / "scripts" / "train.py"), *quick, "--num_train_epochs", "2"]
    command += ["--augmentation", "lens", "--output_dir", str(output)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not list(output.glob("checkpoint-*/trainer_state.json")) and process.poll() is None:
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "metrics.json").exists()
    # what a kill in the middle of the next checkpoint leaves
    half = output / "checkpoint-999"
    half.mkdir()
    (half / "trainer_state.json").write_text("{")
    refused = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert refused.returncode == 1
    assert "--resume_from_checkpoint" in refused.stderr
    resumed = subprocess.run(
        [*command, "--resume_from_checkpoint"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    straight, interrupted = (load_file(folder / "model.safetensors") for folder in (finished, output))
    for name, weights in straight.items():
        torch.testing.assert_close(interrupted[name], weights, rtol=0, atol=0)


def test_two_processes(train_process: Run, tmp_path: Path) -> None:
    output = tmp_path / "two"
    result = train_process(
        "--output_dir", str(output), "--num_train_epochs", "1", "--per_device_train_batch_size", "8", launcher=TORCHRUN
    )
    assert result.returncode == 0, result.stderr
    assert "on 2 x cpu" in result.stdout
    assert result.stdout.count("ROC AUC, macro") == 1
    AutoModelForImageClassification.from_pretrained(output)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dataset", "no/such/data/set"), "is not a recipe"),
        (("--model", "./no_such_model"), "is not a named size"),
        (("--crop_arcsec", "-1"), "crop_arcsec=-1"),
        (("--learning_rat", "1"), "did you mean --learning_rate?"),
        (("--augmentation", "zoom"), "invalid choice"),
        (("--config", "missing.yaml"), "does not exist"),
    ],
)
def test_mistakes_get_one_sentence(
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    lens_cache: Path,
    quick: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deeplense_hf.cli import main

    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    try:
        status = main(["train", *quick, "--output_dir", str(tmp_path / "run"), *options])
    except SystemExit as stop:
        status = int(stop.code or 0)
    error = capsys.readouterr().err
    assert status in (1, 2)
    assert message in error
    assert "Traceback" not in error
