"""`Trainer` with the project's log and without the model card that would replace ours."""

from typing import Any

from transformers import Trainer
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from .callbacks import EpochLogCallback


class LensTrainer(Trainer):
    """`transformers.Trainer` for lens images; takes the same arguments."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for callback in (ProgressCallback, PrinterCallback):
            self.remove_callback(callback)
        if not self.args.disable_tqdm:
            self.add_callback(EpochLogCallback)

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """Leave README.md alone: the one `Trainer` writes says "fine-tuned from" nothing and has no licence."""
