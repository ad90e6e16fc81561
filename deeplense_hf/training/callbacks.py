"""Callbacks of the trainer: the epoch of the training data, and a log a person can read."""

import math
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback


class HasEpoch(Protocol):
    """What depends on the epoch: augmentation, or the stretch of a stream."""

    epoch: int


class DataEpochCallback(TrainerCallback):
    """Tell the training data which epoch it is, so that augmentation or streamed systems differ between epochs.

    accelerate forwards `set_epoch` in a single process only, and on resuming not to every sampler, hence a callback.

    Args:
        target: The training data, or the sampler of a stream.
    """

    def __init__(self, target: HasEpoch) -> None:
        self.target = target

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch; a resumed run may begin in the middle of one."""
        self.target.epoch = math.floor((state.epoch or 0.0) + 1e-6)


class EpochLogCallback(ProgressCallback):
    """The progress bar of transformers, with one line per evaluation instead of dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self._loss = math.nan

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Print loss and validation scores when both are known."""
        logs = logs or {}
        self._loss = logs.get("loss", self._loss)
        if not state.is_world_process_zero or "eval_loss" not in logs:
            return
        line = f"epoch {state.epoch or 0.0:.4g}/{args.num_train_epochs:.4g}  training loss {self._loss:.3f}"
        line += f"  validation loss {logs['eval_loss']:.3f}"
        if "eval_roc_auc" in logs:
            line += f"  macro ROC AUC {logs['eval_roc_auc']:.4f}"
        # the bar of the parent class, which it annotates as None
        bar: Any = self.training_bar
        if bar is not None:
            bar.write(line)
