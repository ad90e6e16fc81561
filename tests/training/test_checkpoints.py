"""Which checkpoint is resumed, and what is said when there is none."""

from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint import FileSystemWriter, save

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


def write_fsdp_files(folder: Path) -> None:
    """What accelerate writes for FULL_STATE_DICT."""
    for name in ("pytorch_model_fsdp.bin", "optimizer.bin"):
        torch.save({}, folder / name)


def write_fsdp_shards(folder: Path) -> None:
    """What torch.distributed.checkpoint writes for SHARDED_STATE_DICT; there is no model.safetensors then."""
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model_fsdp_0", "optimizer_0"):
        save({"weight": torch.zeros(4)}, storage_writer=FileSystemWriter(folder / name), no_dist=True)


def write_deepspeed(folder: Path) -> None:
    """What DeepSpeed writes at ZeRO 3, where the scheduler is its own."""
    for name in ("model.safetensors", "scheduler.pt"):
        (folder / name).unlink()
    (folder / "global_step7").mkdir()
    for rank in range(2):
        for kind in ("model", "optim"):
            torch.save({}, folder / "global_step7" / f"zero_pp_rank_{rank}_mp_rank_00_{kind}_states.pt")
    (folder / "latest").write_text("global_step7")


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize(
    ("write", "needed"),
    [
        (write_fsdp_files, ["pytorch_model_fsdp.bin", "optimizer.bin", "scheduler.pt", "trainer_state.json"]),
        (
            write_fsdp_shards,
            ["pytorch_model_fsdp_0/.metadata", "optimizer_0/.metadata", "scheduler.pt", "trainer_state.json"],
        ),
        (write_deepspeed, ["latest", "trainer_state.json"]),
    ],
)
def test_checkpoints_of_sharded_trainings_are_recognised(
    write: Callable[[Path], None], needed: list[str], tmp_path: Path
) -> None:
    for name in (None, *needed):
        folder = write_checkpoint(tmp_path / f"checkpoint-{len(list(tmp_path.iterdir()))}")
        (folder / "optimizer.pt").unlink()
        write(folder)
        assert checkpoints.is_complete(folder)
        if name is not None:
            (folder / name).unlink()
            assert not checkpoints.is_complete(folder), name


def test_cut_off_files_of_sharded_trainings_make_a_checkpoint_incomplete(tmp_path: Path) -> None:
    for number, (write, pattern) in enumerate(
        [(write_fsdp_files, "optimizer.bin"), (write_deepspeed, "global_step7/*rank_1_mp_rank_00_optim_states.pt")]
    ):
        folder = write_checkpoint(tmp_path / f"checkpoint-{number}")
        (folder / "optimizer.pt").unlink()
        write(folder)
        next(folder.glob(pattern)).write_bytes(b"cut off")
        assert not checkpoints.is_complete(folder)


def settings(**changed: Any) -> Any:
    same = {"seed": 0, "data_seed": None, "train_batch_size": 16, "gradient_accumulation_steps": 1, "world_size": 2}
    return SimpleNamespace(**{**same, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "the run to resume had seed=0, not 1"),
        ({"data_seed": 3}, "had data_seed=None, not 3"),
        ({"train_batch_size": 32}, "learnt from 32 images a step .per_device_train_batch_size=16, .* not from 64"),
        ({"gradient_accumulation_steps": 4}, "not from 128 .*gradient_accumulation_steps=4"),
        ({"world_size": 1}, "processes=2.*processes=1"),
    ],
)
def test_another_seed_or_step_is_no_continuation(changed: dict[str, int], message: str, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint-1")
    checkpoints.save_settings(checkpoint, settings())
    arguments = settings(output_dir=str(tmp_path), resume_from_checkpoint="last")
    assert checkpoints.find_checkpoint((), arguments) == checkpoint
    for name, value in changed.items():
        setattr(arguments, name, value)
    with pytest.raises(ValueError, match=message):
        checkpoints.find_checkpoint((), arguments)


def test_the_same_step_shared_out_anew_is_only_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint-1")
    checkpoints.save_settings(checkpoint, settings())
    changed = {"world_size": 1, "gradient_accumulation_steps": 2}
    arguments = settings(output_dir=str(tmp_path), resume_from_checkpoint="last", **changed)
    assert checkpoints.find_checkpoint((), arguments) == checkpoint
    assert "processes=2, not " in caplog.text
    assert "gradient_accumulation_steps=2, processes=1" in caplog.text


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
