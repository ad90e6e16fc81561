"""Which checkpoint is resumed, and what is said when there is none."""

from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from deeplense_hf.training import checkpoints
from deeplense_hf.training.options import TrainOptions


def write_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    save_file({"weight": torch.zeros(4)}, folder / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt"):
        torch.save({}, folder / name)
    (folder / "trainer_state.json").write_text("{}")
    return folder


def test_newest_complete_checkpoint_is_found(tmp_path: Path) -> None:
    first, second = (write_checkpoint(tmp_path / f"checkpoint-{step}") for step in (9, 10))
    assert checkpoints.last_complete_checkpoint(tmp_path) == second
    (second / "optimizer.pt").write_bytes(b"cut off")
    assert checkpoints.last_complete_checkpoint(tmp_path) == first
    (first / "model.safetensors").write_bytes(b"cut off")
    assert checkpoints.last_complete_checkpoint(tmp_path) is None


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"])
def test_missing_file_makes_a_checkpoint_incomplete(name: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint-1")
    assert checkpoints.is_complete(folder)
    (folder / name).unlink()
    assert not checkpoints.is_complete(folder)


def test_overwriting_forgets_the_earlier_run_only(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint-1")
    for name in ("metrics.json", "notes.txt"):
        (tmp_path / name).write_text("{}")
    checkpoints.forget_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


class Arguments:
    """What `choose_output_dir` reads of the training arguments."""

    process_index, world_size, output_dir_is_default = 0, 1, True

    def __init__(self, output_dir: Path, resume: str | None = None) -> None:
        self.output_dir = str(output_dir)
        self.resume_from_checkpoint = resume


def test_default_folder_counts_up_and_resumes_the_interrupted_run(tmp_path: Path) -> None:
    folder = tmp_path / "main_job"
    options = TrainOptions()
    assert checkpoints.choose_output_dir(options, Arguments(folder)) == folder
    write_checkpoint(folder / "checkpoint-1")
    with pytest.raises(ValueError, match="interrupted run; add --resume_from_checkpoint"):
        checkpoints.choose_output_dir(options, Arguments(folder))
    (folder / "metrics.json").write_text("{}")
    second = tmp_path / "main_job-2"
    assert checkpoints.choose_output_dir(options, Arguments(folder)) == second
    write_checkpoint(second / "checkpoint-1")
    assert checkpoints.choose_output_dir(options, Arguments(folder, resume="last")) == second


def test_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="a bug"), checkpoints.full_disk_explained(tmp_path):
        raise RuntimeError("a bug")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda folder: usage(1, 1, 0))
    with pytest.raises(OSError, match="the disk is full"), checkpoints.full_disk_explained(tmp_path):
        raise RuntimeError("PytorchStreamWriter failed writing file")
