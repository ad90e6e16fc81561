"""What a model learns after its weights are found: how wide its intervals are, what is normal."""

from collections.abc import Iterator

import torch
from datasets import DatasetDict

from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.tasks.task import Task

from .batches import IMAGES, LABELS, PIXEL_SCALES, LensCollator
from .trainer import LensTrainer


def finish_model(trainer: LensTrainer, task: Task, splits: DatasetDict, collator: LensCollator) -> None:
    """Let the task finish the trained model on training and validation images, never on test images.

    Every process does the same on the same images, so that all end with the same model.

    Args:
        trainer: Has the trained model.
        task: What was learnt.
        splits: The data.
        collator: Processes images as in evaluation.
    """
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    batch_size, device = trainer.args.per_device_eval_batch_size, trainer.args.device

    def processed(name: str) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the images of a split, and their targets, as in evaluation."""
        split = splits[name]
        rows, decoder, targets = task.training_rows(split), LensImageDecoder(split), task.targets(split)
        scales = decoder.pixel_scales
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            batch = {IMAGES: decoder[chosen], PIXEL_SCALES: scales[chosen]}
            if targets is not None:
                batch[LABELS] = targets[chosen]
            yield {name: value.to(device) for name, value in collator(batch).items()}

    was_training = model.training
    model.eval()
    with torch.no_grad():
        task.finish(model, processed, tuple(splits))
    model.train(was_training)
