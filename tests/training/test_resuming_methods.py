"""What methods keep beside the weights survives an interruption, and is the same in several processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import SwinConfig, SwinForImageClassification, TrainerCallback

from deeplense_hf.cli import main, parse_options
from deeplense_hf.training import wiring
from deeplense_hf.training.run import run_training
from deeplense_hf.training.wiring import build_trainer

# an epoch has 6 steps: the second checkpoint is at the end of the second one, or within it
WITHIN_AN_EPOCH = ("--save_strategy", "steps", "--save_steps", "4", "--eval_strategy", "steps", "--eval_steps", "4")
METHODS = {
    "average and losses": ("--ema_decay", "0.9", "--curriculum", "loss"),
    "average and losses, within an epoch": ("--ema_decay", "0.9", "--curriculum", "loss", *WITHIN_AN_EPOCH),
    "hard negatives, within an epoch": ("--curriculum", "hard_negatives", "--layer_decay", "0.8", *WITHIN_AN_EPOCH),
    "visibility, mixing and sizes, within an epoch": (
        *("--curriculum", "visibility", "--mixing", "mixup", "--progressive_size", "0.5"),
        *WITHIN_AN_EPOCH,
    ),
}


class Interrupt(TrainerCallback):
    """Stop as Ctrl-C does, after a checkpoint."""

    def __init__(self, saves: int = 2) -> None:
        self.saves = saves

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.saves -= 1
        if self.saves == 0:
            raise KeyboardInterrupt


def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], dict[int, dict[str, torch.Tensor]]]:
    """Return lists that fill with the trainers of runs, and with the weights that are evaluated at each step."""
    trainers: list[Any] = []
    evaluated: dict[int, dict[str, torch.Tensor]] = {}

    class Watch(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
            evaluated[state.global_step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def build(*arguments: Any) -> Any:
        trainers.append(build_trainer(*arguments))
        trainers[-1].add_callback(Watch())
        return trainers[-1]

    monkeypatch.setattr(wiring, "build_trainer", build)
    return trainers, evaluated


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_ends_with_the_same_weights(
    method: str, quick: list[str], lens_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    words = [*quick, *METHODS[method], "--num_train_epochs", "3", "--disable_tqdm", "true"]
    # the best checkpoint may be one from before the interruption
    words += ["--load_best_model_at_end", "false"]
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    run_training(*parse_options("train", [*words, "--output_dir", str(straight)]))
    again = [*words, "--output_dir", str(broken)]
    with pytest.raises(KeyboardInterrupt):
        run_training(*parse_options("train", again), callbacks=[Interrupt()])
    run_training(*parse_options("train", [*again, "--resume_from_checkpoint"]))
    expected, found = (load_file(folder / "model.safetensors") for folder in (straight, broken))
    for name, weights in expected.items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=0)


def test_a_run_killed_after_its_last_step_is_only_finished(
    quick: list[str], lens_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    words = [*quick, "--ema_decay", "0.9", "--disable_tqdm", "true", "--output_dir", str(tmp_path / "run")]
    words += ["--save_strategy", "epoch", "--eval_strategy", "epoch"]
    run_training(*parse_options("train", words))
    expected = load_file(tmp_path / "run" / "model.safetensors")
    (tmp_path / "run" / "metrics.json").unlink()
    (tmp_path / "run" / "model.safetensors").unlink()
    run_training(*parse_options("train", [*words, "--resume_from_checkpoint"]))
    for name, weights in load_file(tmp_path / "run" / "model.safetensors").items():
        torch.testing.assert_close(weights, expected[name], rtol=0, atol=0)


def test_weights_that_are_saved_under_other_names_are_found_again(
    quick: list[str], lens_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    options = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2]}
    SwinForImageClassification(SwinConfig(**options, window_size=4)).save_pretrained(tmp_path / "stock")
    trainers, evaluated = watched(monkeypatch)
    words = [*quick, "--model", str(tmp_path / "stock"), "--num_train_epochs", "2", "--disable_tqdm", "true"]
    words += ["--output_dir", str(tmp_path / "run")]
    run_training(*parse_options("train", words))
    trainer = trainers[0]
    for step in (6, 12):
        checkpoint = tmp_path / "run" / f"checkpoint-{step}"
        assert not set(evaluated[step]) <= set(load_file(checkpoint / "model.safetensors"))
        trainer.state.best_model_checkpoint = str(checkpoint)
        for load in (trainer._load_best_model, lambda folder=str(checkpoint): trainer._load_from_checkpoint(folder)):
            with torch.no_grad():
                for parameter in trainer.model.parameters():
                    parameter.zero_()
            load()
            for name, tensor in trainer.model.state_dict().items():
                torch.testing.assert_close(tensor, evaluated[step][name], rtol=0, atol=0)


@pytest.mark.parametrize("saves", [2, 4])
def test_a_resumed_run_has_the_patience_that_was_left(
    saves: int, quick: list[str], lens_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    # nothing is learnt, so that no evaluation is better than the first
    words = [*quick, "--learning_rate", "0", "--num_train_epochs", "8", "--early_stopping_patience", "3"]
    words += ["--model_options", "stem=patch", "--disable_tqdm", "true", "--output_dir", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        run_training(*parse_options("train", words), callbacks=[Interrupt(saves)])
    run_training(*parse_options("train", [*words, "--resume_from_checkpoint"]))
    assert json.loads((tmp_path / "training_record.json").read_text())["steps"] == 4 * 6


def test_checkpoints_hold_what_was_evaluated_and_so_does_the_finished_trainer(
    quick: list[str], lens_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    trainers, evaluated = watched(monkeypatch)
    words = [*quick, "--ema_decay", "0.9", "--num_train_epochs", "2", "--disable_tqdm", "true"]
    run_training(*parse_options("train", [*words, "--output_dir", str(tmp_path)]))
    for step in (6, 12):
        weights = load_file(tmp_path / f"checkpoint-{step}" / "model.safetensors")
        raw = load_file(tmp_path / f"checkpoint-{step}" / "raw_weights.safetensors")
        assert all(torch.equal(tensor, evaluated[step][name]) for name, tensor in weights.items())
        assert not torch.equal(raw["classifier.weight"], weights["classifier.weight"])
    trainers[0].evaluate()
    # calibrated, which averaged weights alone are not
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        torch.testing.assert_close(evaluated[12][name], tensor, rtol=0, atol=0)


def test_two_processes_report_what_one_measures(
    quick: list[str], environment: dict[str, str], repository_root: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    options = ("--curriculum", "loss", "--ema_decay", "0.9", "--num_train_epochs", "2")
    output = tmp_path / "two"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = [str(repository_root / "scripts" / "train.py"), *quick, *options, "--output_dir", str(output)]
    command = [*launcher, *script, "--per_device_train_batch_size", "8"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", environment["DEEPLENSE_HF_CACHE"])
    cached = (Path(environment["DEEPLENSE_HF_CACHE"]) / "simulated").glob("test-40-per-class-seed-0-*")
    folder = next(folder for folder in cached if any((folder / "data").glob("train-*")))
    words = ["--model", str(output), "--dataset", str(folder), "--output_dir", str(tmp_path / "one"), "--device", "cpu"]
    assert main(["evaluate", *words]) == 0
    two, one = (json.loads((path / "metrics.json").read_text())["metrics"] for path in (output, tmp_path / "one"))
    assert two.keys() == one.keys()
    for name, measurement in one.items():
        assert two[name]["value"] == pytest.approx(measurement["value"], abs=1e-5), name
