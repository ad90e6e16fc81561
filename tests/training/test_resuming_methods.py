"""What methods keep beside the weights survives an interruption, and is the same in several processes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from deeplense_hf.cli import main, parse_options
from deeplense_hf.training.run import run_training

METHODS = {
    "average and losses": ("--ema_decay", "0.9", "--curriculum", "loss"),
    "hard negatives and mixing": ("--curriculum", "hard_negatives", "--mixing", "mixup", "--layer_decay", "0.8"),
}


class Interrupt(TrainerCallback):
    """Stop as Ctrl-C does, after the second epoch's checkpoint."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.epoch >= 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_ends_with_the_same_weights(
    method: str, quick: list[str], lens_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    words = [*quick, *METHODS[method], "--num_train_epochs", "4", "--disable_tqdm", "true"]
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
