"""Callbacks of the trainer: the epoch of the augmentation, and a log a person can read."""

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from .batches import LensBatchDataset


class AugmentationEpochCallback(TrainerCallback):
    """Tell the training data which epoch it is, so that augmentation differs between epochs.

    accelerate forwards `set_epoch` to the data set in a single process only, hence a callback.

    Args:
        dataset: The training data.
    """

    def __init__(self, dataset: LensBatchDataset) -> None:
        self.dataset = dataset

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch; a resumed run may begin in the middle of one."""
        self.dataset.epoch = math.floor((state.epoch or 0.0) + 1e-6)


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
