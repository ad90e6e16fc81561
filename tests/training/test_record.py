"""What a training took is kept, over interruptions too."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from deeplense_hf.training import record
from deeplense_hf.training.record import RECORD_FILE, TrainingClock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that shows what is in the list."""
    shown = [100.0]
    monkeypatch.setattr(record.time, "monotonic", lambda: shown[0])
    return shown


def arguments() -> Any:
    return SimpleNamespace(
        process_index=0,
        device=torch.device("cpu"),
        train_batch_size=8,
        gradient_accumulation_steps=2,
        world_size=3,
        bf16=False,
        fp16=False,
        seed=5,
    )


def test_time_counts_on_from_the_checkpoint(tmp_path: Path, now: list[float]) -> None:
    clock = TrainingClock(tmp_path)
    clock.on_train_begin(arguments(), SimpleNamespace(global_step=0), None)  # type: ignore[arg-type]
    now[0] = 150.0
    clock.on_save(arguments(), SimpleNamespace(global_step=10), None)  # type: ignore[arg-type]
    found = json.loads((tmp_path / RECORD_FILE).read_text())
    assert (found["steps"], found["images"], found["seconds"], found["processes"]) == (10, 480, 50.0, 3)
    assert found["device"]
    # killed, and resumed from step 8 in a process whose clock begins anew
    now[0] = 7.0
    resumed = TrainingClock(tmp_path)
    resumed.on_train_begin(arguments(), SimpleNamespace(global_step=8), None)  # type: ignore[arg-type]
    now[0] = 27.0
    resumed.on_train_end(arguments(), SimpleNamespace(global_step=12), None)  # type: ignore[arg-type]
    assert json.loads((tmp_path / RECORD_FILE).read_text())["seconds"] == 60.0


@pytest.mark.parametrize("content", ["", "{}", '{"seconds": 3, "steps": 0}', "[]"])
def test_a_damaged_record_counts_nothing(content: str, tmp_path: Path, now: list[float]) -> None:
    (tmp_path / RECORD_FILE).write_text(content)
    clock = TrainingClock(tmp_path)
    clock.on_train_begin(arguments(), SimpleNamespace(global_step=3), None)  # type: ignore[arg-type]
    clock.on_train_end(arguments(), SimpleNamespace(global_step=4), None)  # type: ignore[arg-type]
    assert json.loads((tmp_path / RECORD_FILE).read_text())["seconds"] == 0.0
