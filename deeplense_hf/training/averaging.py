"""An exponential moving average of the weights, which is what is evaluated and saved."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

# statistics of normalisations
_AVERAGED_BUFFERS = ("running_mean", "running_var")
# a checkpoint's model.safetensors holds the average, as does the folder of the finished model
RAW_WEIGHTS_FILE = "raw_weights.safetensors"


class MovingAverage:
    """The moving average of a model's weights and normalisation statistics.

    Args:
        model: The model, unwrapped.
        decay: Share of the average that stays with every step.

    Source:
        Polyak & Juditsky (1992); as used by Tarvainen & Valpola (2017), arXiv:1703.01780. Early on the decay is
        smaller, `(1 + steps) / (10 + steps)`, so that the average forgets the initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.steps = 0
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    def update(self) -> None:
        """Take the present weights into the average."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.averaged.multi_avg_fn = get_ema_multi_avg_fn(decay)
        self.averaged.update_parameters(self.model)
        for (name, kept), now in zip(self.averaged.module.named_buffers(), self.model.buffers(), strict=True):
            # tables of indices, counts and what is remembered of images have no average
            if not name.endswith(_AVERAGED_BUFFERS):
                kept.copy_(now)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model for a while.

        Yields:
            Nothing; afterwards the model has its own weights again.
        """
        own = self._own_weights()
        self.apply()
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def apply(self) -> None:
        """Put the average into the model for good."""
        self.model.load_state_dict(self.averaged.module.state_dict())

    def adopt(self, steps: int) -> None:
        """Take the model's present weights for the average.

        Args:
            steps: Steps that they are an average of; 0 begins a new average.
        """
        self.averaged.module.load_state_dict(self.model.state_dict())
        with torch.no_grad():
            self.averaged.n_averaged.fill_(min(steps, 1))
        self.steps = steps

    def save_raw_weights(self, folder: Path) -> None:
        """Write the weights that training goes on with beside a checkpoint, whose own weights are the average.

        Args:
            folder: The checkpoint.

        Raises:
            OSError: If the disk refuses.
        """
        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.cpu() for name, tensor in self._own_weights().items()}
        save_file(weights, folder / RAW_WEIGHTS_FILE, metadata={"steps": str(self.steps)})

    def resume(self, folder: Path) -> None:
        """Go on from a checkpoint, whose weights, the average, the model has been given.

        Args:
            folder: The checkpoint.

        Raises:
            FileNotFoundError: If it has no raw weights.
        """
        path = folder / RAW_WEIGHTS_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: there is no moving average that this version can read: the run had no ema_decay, or was "
                "begun with an earlier version; start it again, or resume it with that one."
            )
        with safe_open(path, framework="pt") as file:
            self.adopt(int(file.metadata()["steps"]))
        self.model.load_state_dict(load_file(path))

    def _own_weights(self) -> dict[str, torch.Tensor]:
        """Copy the weights and statistics of the model."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
