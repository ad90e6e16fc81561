"""Progressive learning: which images an epoch shows, in which order and size.

Samplers have a constant length, since `Trainer` counts the steps of an epoch once: an epoch always has as many images
as the data set, and where fewer are active they come more than once, each equally often but for a remainder.
Everything follows from seed, epoch and recorded losses, so that all processes choose alike (they share their losses
after each epoch) and a resumed run goes on as if it had not been interrupted.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

LOSSES_FILE = "image_losses.npy"


class EpochSampler(torch.utils.data.Sampler[int]):
    """Show the active images of an epoch in random order; subclasses say which are active.

    Args:
        labels: Class of each image, `(images,)`.
        epochs: Epochs of the run.
        seed: Seed of the run.
        start: Share of the images that is active at first, or stays active.
        growth: Share of the epochs after which all are.
        difficulty: How hard each image is, larger is harder, `(images,)`; NaN for one that is always shown.
    """

    keeps_losses: ClassVar[bool] = False

    def __init__(
        self,
        labels: NDArray[np.int64],
        epochs: float,
        seed: int,
        *,
        start: float = 0.3,
        growth: float = 0.5,
        difficulty: NDArray[np.float64] | None = None,
    ) -> None:
        self.labels = np.asarray(labels)
        self.epochs = max(float(epochs), 1.0)
        self.seed, self.start, self.growth = seed, start, growth
        self.difficulty = difficulty
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.labels)

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch."""
        self.epoch = epoch

    def active(self) -> NDArray[np.int64]:
        """Return the rows that this epoch shows."""
        return np.arange(len(self))

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        rows = generator.permutation(self.active())
        # all of them as often as they fit, then a random rest
        turns = [generator.permutation(rows) for _ in range(math.ceil(len(self) / len(rows)))]
        return iter(np.concatenate(turns)[: len(self)].tolist())

    @property
    def active_share(self) -> float:
        """Share of the images that is active in this epoch, growing linearly."""
        progress = self.epoch / self.epochs / self.growth
        return min(1.0, self.start + (1 - self.start) * progress)

    def easiest(self, difficulty: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the easiest `active_share` of each class, and all images without a difficulty."""
        chosen = [np.flatnonzero(np.isnan(difficulty))]
        for label in np.unique(self.labels):
            rows = np.flatnonzero((self.labels == label) & ~np.isnan(difficulty))
            count = math.ceil(self.active_share * len(rows))
            chosen.append(rows[np.argsort(difficulty[rows], kind="stable")[:count]])
        return np.sort(np.concatenate(chosen))


class Visibility(EpochSampler):
    """Begin with the images whose substructure stands out most from the noise.

    Images without substructure are always shown, as often as they come; of each other class the easiest share is.

    Source:
        Bengio et al. (2009), curriculum learning; the measure is `substructure_visibility` of `simulation.morphology`.
    """

    def active(self) -> NDArray[np.int64]:
        """Return the rows that this epoch shows."""
        if self.difficulty is None:
            raise ValueError("curriculum='visibility' needs the visibility of each image's substructure.")
        return self.easiest(self.difficulty)

    def __iter__(self) -> Iterator[int]:
        return iter(_balanced(self.active(), self.labels, len(self), np.random.default_rng([self.seed, self.epoch])))


class Balanced(EpochSampler):
    """Show every class equally often; rare images come more than once."""

    def __iter__(self) -> Iterator[int]:
        return iter(_balanced(self.active(), self.labels, len(self), np.random.default_rng([self.seed, self.epoch])))


class LossSampler(EpochSampler):
    """What samplers that go by an image's loss have in common: the last loss of each image, NaN before the first."""

    keeps_losses = True

    def __init__(self, labels: NDArray[np.int64], epochs: float, seed: int, **options: Any) -> None:
        super().__init__(labels, epochs, seed, **options)
        self.losses = np.full(len(self.labels), np.nan)
        # what the present epoch is chosen by; losses of an epoch count from the next one on
        self._chosen_by = self.losses.copy()

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch, which is chosen by the losses recorded so far."""
        if epoch != self.epoch:
            self._chosen_by = self.losses.copy()
        super().set_epoch(epoch)

    def record(self, rows: NDArray[np.int64], losses: NDArray[np.float64]) -> None:
        """Keep the losses of images.

        Args:
            rows: Rows, `(n,)`; of one that comes twice the last loss is kept.
            losses: Their losses, `(n,)`.
        """
        self.losses[rows] = losses

    def recorded(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return rows and losses that differ from those the present epoch was chosen by, for other processes."""
        new = ~np.isnan(self.losses) & (self.losses != self._chosen_by)
        return np.flatnonzero(new), self.losses[new]

    def merge(self, shares: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]]) -> None:
        """Take over what all processes recorded, in their order, so that all end with the same.

        Args:
            shares: What `recorded` returned in each process.
        """
        for rows, losses in shares:
            self.losses[rows] = losses

    def save(self, folder: Path) -> None:
        """Write the losses beside a checkpoint."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / LOSSES_FILE, np.stack([self.losses, self._chosen_by]), allow_pickle=False)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint.

        Args:
            folder: The checkpoint.

        Raises:
            FileNotFoundError: If it has no losses.
        """
        path = folder / LOSSES_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the run to resume kept no losses; give the same --curriculum.")
        self.losses, self._chosen_by = np.load(path, allow_pickle=False)


class EasyFirst(LossSampler):
    """Begin with the images of each class that had the smallest losses; the first epoch shows all.

    Source:
        Kumar et al. (2010), self-paced learning.
    """

    def active(self) -> NDArray[np.int64]:
        """Return the rows that this epoch shows."""
        return self.easiest(self._chosen_by)


class HardNegatives(LossSampler):
    """Show all images of every class but the most frequent one, and of that one those with the largest losses.

    The first epoch shows all. After it, the hardest `start` share of the frequent class is shown, a tenth of it drawn
    at random from the rest, so that images that have become hard come back.

    Source:
        Shrivastava et al. (2016), arXiv:1604.03540 (online hard example mining), by epoch.
    """

    random_share: ClassVar[float] = 0.1

    def active(self) -> NDArray[np.int64]:
        """Return the rows that this epoch shows."""
        if np.isnan(self._chosen_by).all():
            return np.arange(len(self))
        frequent = np.bincount(self.labels).argmax()
        negatives = np.flatnonzero(self.labels == frequent)
        # one that was never shown counts as hard
        losses = np.nan_to_num(self._chosen_by[negatives], nan=np.inf)
        count = max(1, math.ceil(self.start * len(negatives)))
        at_random = min(int(self.random_share * count), len(negatives) - count)
        ranked = negatives[np.argsort(-losses, kind="stable")]
        hard, rest = ranked[: count - at_random], ranked[count - at_random :]
        again = np.random.default_rng([self.seed, self.epoch, 1]).choice(rest, at_random, replace=False)
        return np.sort(np.concatenate([np.flatnonzero(self.labels != frequent), hard, again]))


CURRICULA: dict[str, type[EpochSampler]] = {
    "visibility": Visibility,
    "loss": EasyFirst,
    "hard_negatives": HardNegatives,
}


def _balanced(
    active: NDArray[np.int64], labels: NDArray[np.int64], length: int, generator: np.random.Generator
) -> list[int]:
    """Draw active rows so that every class comes equally often, each row of a class as often as its others."""
    classes = np.unique(labels[active])
    parts = []
    for number, label in enumerate(classes):
        rows = active[labels[active] == label]
        count = length // len(classes) + (number < length % len(classes))
        turns = [generator.permutation(rows) for _ in range(math.ceil(count / len(rows)))]
        parts.append(np.concatenate(turns)[:count])
    order: list[int] = generator.permutation(np.concatenate(parts)).tolist()
    return order


def progressive_size(progress: float, final: int, start: float, multiple_of: int, growth: float = 0.5) -> int:
    """Return the size of training images at a time of a run.

    >>> [progressive_size(progress, 48, 0.5, 8) for progress in (0.0, 0.25, 0.5, 1.0)]
    [24, 40, 48, 48]

    Args:
        progress: Share of the epochs that are done.
        final: Size in the end [pixels]; of oblong images the shorter side.
        start: Share of that size in the beginning.
        multiple_of: Sizes between are multiples of it [pixels].
        growth: Share of the epochs after which images have their final size.

    Returns:
        The size [pixels].

    Source:
        Tan & Le (2021), arXiv:2104.00298, section 4 (without their growing regularisation).
    """
    share = min(1.0, start + (1 - start) * progress / growth)
    return min(final, max(multiple_of, math.ceil(share * final / multiple_of) * multiple_of))
