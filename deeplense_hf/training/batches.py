"""From rows of a data set to the tensors a model sees: decode, augment the raw counts, then process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional

from deeplense_hf.augmentation.mixing import mix_batch
from deeplense_hf.augmentation.policies import Augmentation
from deeplense_hf.data.loading import LensImageDecoder

# what a batch holds beside pixel_values and labels
ROWS = "rows"
IMAGES = "images"
PIXEL_SCALES = "pixel_scale"
LABELS = "labels"
EPOCH = "epoch"


@dataclass(frozen=True)
class Mixing:
    """Pairs of training images and their labels are blended.

    Attributes:
        kind: `mixup` or `cutmix`.
        alpha: Parameter of the beta distribution of the blend.
        num_classes: Number of classes.
        seed: Seed of the run.
    """

    kind: str
    alpha: float
    num_classes: int
    seed: int


class LensBatchDataset(torch.utils.data.Dataset):
    """Raw lens images and their targets, fetched a batch at a time.

    Args:
        dataset: One split of a data set with the project's schema.
        targets: One target per row, shape `(rows, ...)`; none where images alone are learnt from.
        augmentation: What is done to raw images; nothing when absent.
        mixing: How images are blended; not at all when absent.
    """

    def __init__(
        self,
        dataset: Dataset,
        targets: np.ndarray | None,
        augmentation: Augmentation | None = None,
        mixing: Mixing | None = None,
    ) -> None:
        self.decoder = LensImageDecoder(dataset)
        self.pixel_scales = self.decoder.pixel_scales
        self.targets = targets
        self.augmentation = augmentation
        self.mixing = mixing
        # in shared memory, so that workers that outlive an epoch learn of the next one
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.decoder)

    @property
    def epoch(self) -> int:
        """Epoch of the run, by which augmentation differs."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch."""
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a batch of one row, so that a loader without batching works too."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Fetch rows; torch's loader calls this once a batch.

        Args:
            indices: Row numbers.

        Returns:
            `images` `(batch, bands, height, width)` float32, `pixel_scale` `(batch,)` [arcsec], `labels` `(batch, ...)`
            where there are targets, `rows` `(batch,)` and `epoch`.
        """
        rows = np.asarray(indices, dtype=np.int64)
        images = self.decoder[rows]
        if self.augmentation is not None:
            images = np.stack(
                [self.augmentation(image, self.epoch, int(row)) for image, row in zip(images, rows, strict=True)]
            )
        batch = {IMAGES: images, PIXEL_SCALES: self.pixel_scales[rows], ROWS: rows, EPOCH: self.epoch}
        if self.targets is not None:
            batch[LABELS] = self.targets[rows]
        return batch if self.mixing is None else mixed(batch, self.mixing)


def mixed(batch: dict[str, Any], mixing: Mixing) -> dict[str, Any]:
    """Blend the images of a batch and their labels.

    Args:
        batch: What `LensBatchDataset.__getitems__` or a stream fetched.
        mixing: How.

    Returns:
        The batch with other images, and shares of the classes `(batch, classes)` for labels.
    """
    images, labels = mix_batch(
        batch[IMAGES],
        batch[LABELS],
        mixing.num_classes,
        mixing.alpha,
        mixing.kind,
        mixing.seed,
        batch[EPOCH],
        batch[ROWS],
    )
    return batch | {IMAGES: images, LABELS: labels}


class LensCollator:
    """Turn a fetched batch into model inputs with the processor that is saved beside the model.

    Args:
        processor: A `DeepLenseImageProcessor`, or any image processor of transformers.
        with_rows: Whether the model's trainer wants to know the rows.
        with_images: Whether it wants the raw images too, for teachers with processors of their own.
        size_of_epoch: Shorter side that processed images have in an epoch [pixels]; the other one follows, so that
            a ring stays round; what the processor makes when absent.
    """

    def __init__(
        self,
        processor: Any,
        *,
        with_rows: bool = False,
        with_images: bool = False,
        size_of_epoch: Callable[[int], int] | None = None,
    ) -> None:
        self.processor = processor
        self.with_rows = with_rows
        self.with_images = with_images
        self.size_of_epoch = size_of_epoch

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Process the images of a batch.

        Args:
            batch: What `LensBatchDataset.__getitems__` returns.

        Returns:
            `pixel_values` `(batch, channels, height, width)`, `labels` `(batch, ...)` where there are targets, and what
            was asked for.
        """
        scales = batch[PIXEL_SCALES]
        pixel_scale = None if np.isnan(scales).any() else torch.from_numpy(scales)
        if hasattr(self.processor, "process_batch"):
            pixel_values = self.processor.process_batch(torch.from_numpy(batch[IMAGES]), pixel_scale=pixel_scale)
        else:
            pixel_values = self.processor(list(batch[IMAGES]), return_tensors="pt")["pixel_values"]
        inputs: dict[str, Any] = {}
        if self.size_of_epoch is not None:
            side, shortest = self.size_of_epoch(batch[EPOCH]), min(pixel_values.shape[-2:])
            if side < shortest:
                size = [round(length * side / shortest) for length in pixel_values.shape[-2:]]
                pixel_values = functional.interpolate(
                    pixel_values, size, mode="bilinear", antialias=True, align_corners=False
                )
                inputs["interpolate_pos_encoding"] = True
        inputs["pixel_values"] = pixel_values
        if LABELS in batch:
            inputs[LABELS] = torch.from_numpy(batch[LABELS])
        if self.with_rows:
            inputs[ROWS] = torch.from_numpy(batch[ROWS])
        if self.with_images:
            inputs[IMAGES] = torch.from_numpy(batch[IMAGES])
            inputs[PIXEL_SCALES] = pixel_scale
        return inputs
