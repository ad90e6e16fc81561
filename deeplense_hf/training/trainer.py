"""`Trainer` with the project's log, streamed training data and without the model card that would replace ours."""

from typing import Any

import torch
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from .callbacks import EpochLogCallback
from .streaming import StreamedLenses


class LensTrainer(Trainer):
    """`transformers.Trainer` for lens images; takes the same arguments."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for callback in (ProgressCallback, PrinterCallback):
            self.remove_callback(callback)
        if not self.args.disable_tqdm:
            self.add_callback(EpochLogCallback)

    def _get_train_sampler(
        self, train_dataset: torch.utils.data.Dataset | None = None
    ) -> torch.utils.data.Sampler | None:
        """Read streamed systems in the order of their stream, which is shuffled already."""
        dataset = self.train_dataset if train_dataset is None else train_dataset
        return dataset.sampler if isinstance(dataset, StreamedLenses) else super()._get_train_sampler(train_dataset)

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """Leave README.md alone: the one `Trainer` writes says "fine-tuned from" nothing and has no licence."""
