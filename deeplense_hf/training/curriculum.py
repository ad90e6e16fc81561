"""Progressive learning: which images a run shows, in which order and size.

Samplers have a constant length, since `Trainer` counts the steps of an epoch once: an epoch always has as many images
as the data set, and where fewer are active they come more than once in it, none again before the others. What is active
is decided anew at every place of an epoch's order, by the share of the run that is done there, so that runs of one long
epoch move too. Everything follows from seed, epoch, place and the losses of earlier epochs, so that all processes
choose alike, however far ahead they fetch images, and a resumed run goes on as if it had not been interrupted.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

LOSSES_FILE = "image_losses.npz"


class EpochSampler(torch.utils.data.Sampler[int]):
    """Show the images of each class in random order, harder ones from later on; subclasses say what is hard.

    Args:
        labels: Class of each image, `(images,)`.
        epochs: Epochs of the run; may be less than one.
        seed: Seed of the run.
        start: Share of the images of each class that is active at first, or stays active.
        growth: Share of the run after which all are.
        difficulty: How hard each image is, larger is harder, `(images,)`; NaN for one that is always shown. For
            subclasses that do not find out by themselves.
    """

    keeps_losses: ClassVar[bool] = False
    balanced: ClassVar[bool] = False

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
        self.epochs = float(epochs)
        self.seed, self.start, self.growth = seed, start, growth
        self.difficulty = difficulty
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.labels)

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch."""
        self.epoch = epoch

    def rows_of(self, label: int) -> NDArray[np.int64]:
        """Return the rows of a class that this epoch may show."""
        return np.flatnonzero(self.labels == label)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        rows = {label: self.rows_of(label) for label in np.unique(self.labels).tolist()}
        sizes = [1 if self.balanced else len(own) for own in rows.values()]
        every = np.full(len(self), sum(sizes))
        classes = _deal(np.repeat(list(rows), sizes), every, generator)
        shares = self.active_shares()
        order = np.empty(len(self), dtype=np.int64)
        for label, own in rows.items():
            places = np.flatnonzero(classes == label)
            order[places] = self._shown(own, shares[places], generator)
        return iter(order.tolist())

    def difficulties(self) -> NDArray[np.float64]:
        """Return how hard each image is in this epoch, `(images,)`; NaN for one that is always shown."""
        return np.full(len(self), np.nan)

    def progress(self) -> NDArray[np.float64]:
        """Return the share of the run that is done at each place of this epoch, `(images,)`."""
        return (self.epoch + np.arange(len(self)) / len(self)) / self.epochs

    def active_shares(self) -> NDArray[np.float64]:
        """Return the share of the images that is active at each place, growing linearly, `(images,)`."""
        return np.clip(self.start + (1 - self.start) * self.progress() / self.growth, self.start, 1.0)

    def _shown(
        self, rows: NDArray[np.int64], shares: NDArray[np.float64], generator: np.random.Generator
    ) -> NDArray[np.int64]:
        """Draw rows of a class, at each place among its easiest share and those that are always shown."""
        difficulty = self.difficulties()[rows]
        unranked = np.isnan(difficulty)
        ranked = rows[~unranked][np.argsort(difficulty[~unranked], kind="stable")]
        active = unranked.sum() + np.ceil(shares * len(ranked)).astype(np.int64)
        return _deal(np.concatenate([rows[unranked], ranked]), active, generator)


class Visibility(EpochSampler):
    """Begin with the images whose substructure stands out most from the noise; see `difficulty_of_visibility`.

    Every class comes equally often; classes without substructure are shown whole from the start.

    Source:
        Bengio et al. (2009), curriculum learning; the measure is `substructure_visibility` of `simulation.morphology`.
    """

    balanced = True

    def difficulties(self) -> NDArray[np.float64]:
        """Return how hard each image is, `(images,)`."""
        if self.difficulty is None:
            raise ValueError("curriculum='visibility' needs the visibility of each image's substructure.")
        return self.difficulty


class Balanced(EpochSampler):
    """Show every class equally often; rare images come more than once."""

    balanced = True


class LossSampler(EpochSampler):
    """What samplers that go by an image's loss have in common: the last loss of each image, NaN before the first.

    The first epoch shows all images, since nothing is known of them; what is active grows from its end on.

    Raises:
        ValueError: If the run has no second epoch.
    """

    keeps_losses = True

    def __init__(self, labels: NDArray[np.int64], epochs: float, seed: int, **options: Any) -> None:
        if not epochs > 1:
            raise ValueError(
                f"a curriculum that goes by losses begins after the first epoch, and the run has only {epochs:g} of "
                "them; train for more than 1 epoch, or use curriculum='visibility'."
            )
        super().__init__(labels, epochs, seed, **options)
        self.losses = np.full(len(self.labels), np.nan)
        # what the present epoch is chosen by; losses of an epoch count from the next one on
        self._chosen_by = self.losses.copy()
        self._unshared = np.zeros(len(self.labels), dtype=np.bool_)

    def progress(self) -> NDArray[np.float64]:
        """Return the share of the run after its first epoch that is done at each place, negative before."""
        return (self.epoch - 1 + np.arange(len(self)) / len(self)) / (self.epochs - 1)

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
        self._unshared[rows] = True

    def recorded(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return rows and losses that this process recorded since the last `merge`, for other processes."""
        rows = np.flatnonzero(self._unshared)
        return rows, self.losses[rows]

    def merge(self, shares: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]]) -> None:
        """Take over what all processes recorded, in their order, so that all end with the same.

        Args:
            shares: What `recorded` returned in each process.
        """
        for rows, losses in shares:
            self.losses[rows] = losses
        self._unshared[:] = False

    def save(self, folder: Path) -> None:
        """Write the losses beside a checkpoint, those that the present epoch was chosen by, and which epoch it is."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / LOSSES_FILE, losses=self.losses, chosen_by=self._chosen_by, epoch=np.array(self.epoch))

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint, which may have been written in the middle of an epoch.

        Args:
            folder: The checkpoint.

        Raises:
            FileNotFoundError: If it has no losses.
        """
        path = folder / LOSSES_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: there are no losses that this version can read: the run had no such curriculum, or was begun "
                "with an earlier version; start it again, or resume it with that one."
            )
        with np.load(path, allow_pickle=False) as saved:
            self.losses, self._chosen_by = saved["losses"], saved["chosen_by"]
            self.epoch = int(saved["epoch"])


class EasyFirst(LossSampler):
    """Begin with the images of each class that had the smallest losses; the first epoch shows all.

    Source:
        Kumar et al. (2010), self-paced learning.
    """

    def difficulties(self) -> NDArray[np.float64]:
        """Return the losses that the present epoch is chosen by, `(images,)`."""
        return self._chosen_by


class HardNegatives(LossSampler):
    """Show all images of every class but the most frequent one, and of that one those with the largest losses.

    The first epoch shows all. After it, the hardest `start` share of the frequent class is shown, a tenth of it drawn
    at random from the rest, so that images that have become hard come back.

    Source:
        Shrivastava et al. (2016), arXiv:1604.03540 (online hard example mining), by epoch.
    """

    random_share: ClassVar[float] = 0.1

    def rows_of(self, label: int) -> NDArray[np.int64]:
        """Return the rows of a class that this epoch may show."""
        rows = super().rows_of(label)
        if label != np.bincount(self.labels).argmax() or np.isnan(self._chosen_by).all():
            return rows
        # one that was never shown counts as hard
        losses = np.nan_to_num(self._chosen_by[rows], nan=np.inf)
        count = max(1, math.ceil(self.start * len(rows)))
        at_random = min(int(self.random_share * count), len(rows) - count)
        ranked = rows[np.argsort(-losses, kind="stable")]
        hard, rest = ranked[: count - at_random], ranked[count - at_random :]
        again = np.random.default_rng([self.seed, self.epoch, 1]).choice(rest, at_random, replace=False)
        return np.sort(np.concatenate([hard, again]))


CURRICULA: dict[str, type[EpochSampler]] = {
    "visibility": Visibility,
    "loss": EasyFirst,
    "hard_negatives": HardNegatives,
}


def difficulty_of_visibility(visibility: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rank images by how little of their substructure is seen.

    A system with substructure that does not show at all is the hardest of its class; of a class in which none shows,
    as of smooth lenses, there is nothing to see, and no image of it is hard.

    >>> difficulty_of_visibility(np.array([0.0, 0.0, 0.0, 8.0]), np.array([0, 0, 1, 1]))
    array([nan, nan, -0., -8.])

    Args:
        visibility: Signal-to-noise ratio of each image's substructure, `(images,)`; NaN where it is not known.
        labels: Class of each image, `(images,)`.

    Returns:
        The difficulty, `(images,)`; NaN for images that are always shown.
    """
    with_substructure = np.unique(labels[visibility > 0])
    return np.where(np.isin(labels, with_substructure), -visibility, np.nan)


def _deal(pool: NDArray[np.int64], active: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Deal the beginning of a pool like cards: none comes again before all that are active have come.

    Args:
        pool: What is dealt, `(n,)`.
        active: How many of its first members may come at each place, never fewer than before, `(places,)`.
        generator: Source of the order.

    Returns:
        What comes at each place, `(places,)`.
    """
    deck: list[int] = []
    known = 0
    dealt = np.empty(len(active), dtype=np.int64)
    for place, (count, chance) in enumerate(zip(active.tolist(), generator.random(len(active)).tolist(), strict=True)):
        # what becomes active is shuffled into the rest of the deck
        deck.extend(range(known, count))
        known = count
        if not deck:
            deck.extend(range(count))
        drawn = int(chance * len(deck))
        deck[drawn], deck[-1] = deck[-1], deck[drawn]
        dealt[place] = deck.pop()
    return pool[dealt]


def progressive_size(progress: float, final: int, start: float, multiple_of: int, growth: float = 0.5) -> int:
    """Return the size of training images at a time of a run.

    >>> [progressive_size(progress, 48, 0.5, 8) for progress in (0.0, 0.25, 0.5, 1.0)]
    [24, 40, 48, 48]

    Args:
        progress: Share of the run that is done.
        final: Size in the end [pixels]; of oblong images the shorter side.
        start: Share of that size in the beginning.
        multiple_of: Sizes between are multiples of it [pixels].
        growth: Share of the run after which images have their final size.

    Returns:
        The size [pixels].

    Source:
        Tan & Le (2021), arXiv:2104.00298, section 4 (without their growing regularisation).
    """
    share = min(1.0, start + (1 - start) * progress / growth)
    return min(final, max(multiple_of, math.ceil(share * final / multiple_of) * multiple_of))
