"""From rows of a data set to the tensors a model sees: decode, augment the raw counts, then process."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from deeplense_hf.augmentation.policies import Augmentation
from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import PIXEL_SCALE


class LensBatchDataset(torch.utils.data.Dataset):
    """Raw lens images and their targets, fetched a batch at a time.

    Args:
        dataset: One split of a data set with the project's schema.
        targets: One target per row, shape `(rows,)`.
        augmentation: What is done to raw images; nothing when absent.
    """

    def __init__(self, dataset: Dataset, targets: np.ndarray, augmentation: Augmentation | None = None) -> None:
        self.decoder = LensImageDecoder(dataset)
        self.pixel_scales = np.asarray(self.decoder.column(PIXEL_SCALE), dtype=np.float32)
        self.targets = targets
        self.augmentation = augmentation
        # in shared memory, so that workers that outlive an epoch learn of the next one
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def epoch(self) -> int:
        """Epoch of the run, by which augmentation differs; may be set."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a batch of one row, so that a loader without batching works too."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Fetch rows; torch's loader calls this once a batch.

        Args:
            indices: Row numbers.

        Returns:
            `images` `(batch, bands, height, width)` float32, `pixel_scale` `(batch,)` [arcsec], `labels` `(batch,)`.
        """
        rows = np.asarray(indices, dtype=np.int64)
        images = self.decoder[rows]
        if self.augmentation is not None:
            images = np.stack(
                [self.augmentation(image, self.epoch, int(row)) for image, row in zip(images, rows, strict=True)]
            )
        return {"images": images, "pixel_scale": self.pixel_scales[rows], "labels": self.targets[rows]}


class LensCollator:
    """Turn a fetched batch into model inputs with the processor that is saved beside the model.

    Args:
        processor: A `DeepLenseImageProcessor`, or any image processor of transformers.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Process the images of a batch.

        Args:
            batch: What `LensBatchDataset.__getitems__` returns.

        Returns:
            `pixel_values` `(batch, channels, height, width)` and `labels` `(batch,)`.
        """
        if hasattr(self.processor, "process_batch"):
            scales = batch["pixel_scale"]
            pixel_values = self.processor.process_batch(
                torch.from_numpy(batch["images"]),
                pixel_scale=None if np.isnan(scales).any() else torch.from_numpy(scales),
            )
        else:
            pixel_values = self.processor(list(batch["images"]), return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixel_values, "labels": torch.from_numpy(batch["labels"])}
