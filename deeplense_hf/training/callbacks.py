"""Callbacks of the trainer: the epoch of the training data, losses that processes share, a log a person can read."""

import math
from typing import Any, Protocol

from accelerate.utils import gather_object
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from .averaging import MovingAverage


class HasEpoch(Protocol):
    """What depends on the epoch: augmentation, the stretch of a stream, the images of a curriculum."""

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch."""


class DataEpochCallback(TrainerCallback):
    """Tell the training data which epoch it is, so that augmentation or streamed systems differ between epochs.

    accelerate forwards `set_epoch` in a single process only, and on resuming not to every sampler, hence a callback.

    Args:
        targets: The training data, and the sampler where there is one.
    """

    def __init__(self, *targets: HasEpoch) -> None:
        self.targets = targets

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch; a resumed run may begin in the middle of one."""
        epoch = math.floor((state.epoch or 0.0) + 1e-6)
        for target in self.targets:
            target.set_epoch(epoch)


class MovingAverageCallback(TrainerCallback):
    """Take the weights into their moving average after every step of the optimiser.

    Args:
        average: The average.
    """

    def __init__(self, average: MovingAverage) -> None:
        self.average = average

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Update the average."""
        self.average.update()


class SharedLossesCallback(TrainerCallback):
    """Let all processes know the losses that each of them recorded, so that their samplers choose alike.

    Args:
        sampler: Records losses by row.
    """

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Gather what was recorded."""
        share_losses(self.sampler, args.world_size)


def share_losses(sampler: Any, processes: int) -> None:
    """Let all processes know the losses that each of them recorded; every process must call it.

    Args:
        sampler: Records losses by row.
        processes: Processes that train together.
    """
    shares = [sampler.recorded()]
    sampler.merge(gather_object(shares) if processes > 1 else shares)


class EpochLogCallback(ProgressCallback):
    """The progress bar of transformers, with one line per evaluation instead of dictionaries.

    In a file the lines stand for themselves: the cursor, which a second bar moves, is a terminal's.
    """

    def __init__(self) -> None:
        super().__init__()
        # none is logged before the first evaluation where logging is rarer
        self._loss: float | None = None

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Show a bar of the evaluation, during a training on a terminal only."""
        # the bar of the parent class, which it annotates as None
        bar: Any = self.training_bar
        if bar is None or _on_terminal(bar):
            super().on_prediction_step(args, state, control, eval_dataloader, **kwargs)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Print validation scores, with the loss once one is known."""
        logs = logs or {}
        self._loss = logs.get("loss", self._loss)
        if not state.is_world_process_zero or "eval_loss" not in logs:
            return
        line = f"epoch {state.epoch or 0.0:.4g}/{args.num_train_epochs:.4g}"
        if self._loss is not None:
            line += f"  training loss {self._loss:.3f}"
        line += f"  validation loss {logs['eval_loss']:.3f}"
        metric = f"eval_{(args.metric_for_best_model or 'loss').removeprefix('eval_')}"
        if metric != "eval_loss" and metric in logs:
            line += f"  {metric.removeprefix('eval_')} {logs[metric]:.4f}"
        bar: Any = self.training_bar
        if bar is None:
            return
        if _on_terminal(bar):
            bar.write(line)
        else:
            # the bar's line ends, so that this one begins where a line begins
            bar.fp.write("\n")
            print(line, flush=True)


def _on_terminal(bar: Any) -> bool:
    """Whether a bar is drawn on a terminal."""
    return bool(bar.fp.isatty())
