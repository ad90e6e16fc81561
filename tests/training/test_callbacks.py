"""What a person reads while a model trains."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerState

from deeplense_hf.training.callbacks import EpochLogCallback


def train(callback: EpochLogCallback) -> None:
    """Call a callback as a training of two epochs does, of which the first ends before a loss is logged."""
    state, arguments = TrainerState(max_steps=4), SimpleNamespace(num_train_epochs=2, metric_for_best_model="roc_auc")
    words: Any = (arguments, state, None)
    callback.on_train_begin(*words)
    for epoch in (1, 2):
        state.global_step, state.epoch = 2 * epoch, float(epoch)
        callback.on_step_end(*words)
        callback.on_prediction_step(*words, eval_dataloader=[1, 2])
        callback.on_log(*words, logs={"eval_loss": 0.5, "eval_roc_auc": 0.9})
        callback.on_evaluate(*words)
        callback.on_log(*words, logs={"loss": 0.25})
    callback.on_train_end(*words)


LINES = [
    "epoch 1/2  validation loss 0.500  roc_auc 0.9000",
    "epoch 2/2  training loss 0.250  validation loss 0.500  roc_auc 0.9000",
]


def test_files_get_clean_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    both = io.StringIO()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    train(EpochLogCallback())
    text = both.getvalue()
    assert [line for line in text.split("\n") if "epoch" in line] == LINES
    assert "\x1b" not in text
    assert "4/4" in text


def test_a_terminal_gets_bars_and_the_same_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    train(EpochLogCallback())
    assert capsys.readouterr().out.splitlines() == LINES
    assert "1/2" in terminal.getvalue()
