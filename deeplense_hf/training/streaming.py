"""Freshly simulated training systems: no lens is seen twice, and every run of a seed sees the same ones in one order.

A system depends on (recipe, class, seed, index) only. The systems of a data set have the indices 0, 1, 2, ...; those of
a stream begin at `FIRST_STREAM_INDEX`, so that no stream ever meets a system that a data set holds, be it for
validation, for testing or for training. Item k of a stream is computed from k alone: any run can begin anywhere.

`Trainer` is given `StreamedLenses`, a data set with positions, not `LensStream`, an iterable: accelerate lets the first
process alone iterate over an iterable and sends the others their share, and on resuming it draws, here simulates,
everything that had been seen. With positions every process and worker simulates its own batches and resuming costs
nothing. `LensStream` is for loops of one's own.
"""

import difflib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deeplense_hf.augmentation.policies import Augmentation
from deeplense_hf.data.schema import IMAGE, LABEL, PIXEL_SCALE, SYSTEM_INDEX
from deeplense_hf.simulation.recipes import RECIPES, Recipe, get_recipe
from deeplense_hf.simulation.scene_draws import for_split
from deeplense_hf.simulation.simulator import SimulatedBatch, simulate_batch
from deeplense_hf.tasks.task import Task

from .batches import EPOCH, IMAGES, LABELS, PIXEL_SCALES, ROWS, Mixing, mixed

PREFIX = "simulate:"
FIRST_STREAM_INDEX = 2**40


def streamed_recipe(dataset: str) -> str | None:
    """Tell whether a data set is to be simulated while training.

    Args:
        dataset: Name of a data set; `simulate:` and the name of a recipe for a stream.

    Returns:
        The recipe's name, or None for any other data set.

    Raises:
        ValueError: If there is no such recipe.

    >>> streamed_recipe("simulate:model_1")
    'model_1'
    """
    if not dataset.startswith(PREFIX):
        return None
    name = dataset.removeprefix(PREFIX)
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"; did you mean '{PREFIX}{close[0]}'?" if close else "."
        raise ValueError(
            f"dataset='{dataset}' names no recipe; use {PREFIX} and one of {', '.join(RECIPES)}{hint}",
        )
    return name


class SystemStream:
    """An endless sequence of simulated systems; any stretch of it can be computed, in any process.

    Of every `len(class_names)` systems in a row each class has one, in random order.

    Args:
        recipe: A recipe, or its name.
        seed: Seed of the simulation, zero or more; that of a data set may be the same.
        classes: Classes that are wanted; all of the recipe's when absent.

    Raises:
        ValueError: If there is no such recipe or class, or the seed is negative.
    """

    def __init__(self, recipe: Recipe | str, seed: int, classes: Sequence[str] | None = None) -> None:
        self.recipe = for_split(get_recipe(recipe) if isinstance(recipe, str) else recipe, "train")
        if seed < 0:
            raise ValueError(f"seed={seed} must not be negative.")
        self.seed = seed
        names = tuple(self.recipe.class_names)
        if classes is not None and not 0 < len(set(classes) & set(names)) == len(classes):
            raise ValueError(f"classes={list(classes)} must be some of {', '.join(names)}.")
        self.class_names: tuple[str, ...] = names if classes is None else tuple(classes)

    def systems(self, positions: Sequence[int] | NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Say which systems stand where.

        Args:
            positions: Places in the stream, zero or more, shape `(batch,)`.

        Returns:
            Labels (numbers of the recipe's classes) and indices of the systems within class and seed, each `(batch,)`.

        Raises:
            ValueError: If a position is negative.
        """
        places = np.asarray(positions, dtype=np.int64).reshape(-1)
        if (places < 0).any():
            raise ValueError(f"the lowest position is {places.min()}; a stream begins at 0.")
        rounds, turns = np.divmod(places, len(self.class_names))
        distinct, row = np.unique(rounds, return_inverse=True)
        count = len(self.class_names)
        orders = [np.random.default_rng([self.seed, number]).permutation(count) for number in distinct.tolist()]
        labels = np.array(orders, dtype=np.int64).reshape(-1, count)[row, turns]
        return labels, FIRST_STREAM_INDEX + rounds

    def simulate(self, positions: Sequence[int] | NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Simulate systems.

        Args:
            positions: Places in the stream, shape `(batch,)`.

        Returns:
            `image` `(batch, bands, height, width)` float32, `label`, `system_index`, `pixel_scale` [arcsec] and the
            recipe's parameters, each `(batch,)`, in the order of the positions.

        Raises:
            ValueError: If a position is negative.
        """
        labels, indices = self.systems(positions)
        rows = [np.flatnonzero(labels == label) for label in range(len(self.class_names))]
        parts = [
            simulate_batch(self.recipe, name, indices[chosen].tolist(), self.seed)
            for name, chosen in zip(self.class_names, rows, strict=True)
            if len(chosen) or not len(labels)
        ]
        order = np.argsort(np.concatenate(rows))
        names = dict.fromkeys(name for part in parts for name in part.parameters)
        return {
            IMAGE: np.concatenate([part.images for part in parts])[order],
            LABEL: labels,
            SYSTEM_INDEX: indices,
            PIXEL_SCALE: np.full(len(labels), self.recipe.instrument.pixel_scale, dtype=np.float32),
            **{name: _joined(parts, name)[order] for name in names},
        }


def _joined(parts: Sequence[SimulatedBatch], name: str) -> NDArray[Any]:
    """Join a column that only some classes have; NaN or an empty text stands for no value."""
    first = next(part.parameters[name] for part in parts if name in part.parameters)
    absent = np.array(math.nan if first.dtype.kind in "biuf" else "")
    return np.concatenate([part.parameters.get(name, np.broadcast_to(absent, len(part.images))) for part in parts])


class StreamSampler(torch.utils.data.Sampler[int]):
    """The stretch of the stream that is an epoch; the next epoch goes on where the last one ended.

    Args:
        length: Systems of an epoch.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.epoch * self.length, (self.epoch + 1) * self.length))

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch.

        Args:
            epoch: Its number.
        """
        self.epoch = epoch


class StreamedLenses(torch.utils.data.Dataset):
    """Training data for `Trainer` that are simulated when they are asked for, in the process that asks.

    Positions come from `sampler` and carry the epoch, so that workers need not be told of it.

    Args:
        stream: The systems.
        task: What is learnt.
        systems_per_epoch: Systems of an epoch, rounded up to whole batches, so that no process repeats one.
        batch_size: Systems of a step in all processes.
        augmentation: What is done to raw images; nothing when absent.
        mixing: How images are blended; not at all when absent.
    """

    def __init__(
        self,
        stream: SystemStream,
        task: Task,
        systems_per_epoch: int,
        batch_size: int = 1,
        augmentation: Augmentation | None = None,
        mixing: Mixing | None = None,
    ) -> None:
        self.stream = stream
        self.sampler = StreamSampler(-(-systems_per_epoch // batch_size) * batch_size)
        self.augmentation = augmentation
        self.task = task
        self.mixing = mixing

    def __len__(self) -> int:
        return len(self.sampler)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Return a batch of one system, so that a loader without batching works too."""
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int]) -> dict[str, Any]:
        """Simulate systems; torch's loader calls this once a batch.

        Args:
            positions: Places in the stream.

        Returns:
            As `LensBatchDataset.__getitems__`; positions are rows, and never recur.
        """
        batch = self.stream.simulate(positions)
        images = batch[IMAGE]
        if self.augmentation is not None:
            pairs = zip(images, positions, strict=True)
            images = np.stack([self.augmentation(image, 0, int(position)) for image, position in pairs])
        rows = np.asarray(positions, dtype=np.int64)
        epoch = int(rows[0]) // len(self)
        fetched = {IMAGES: images, PIXEL_SCALES: batch[PIXEL_SCALE], ROWS: rows, EPOCH: epoch}
        targets = self.task.stream_targets(batch, self.stream.class_names)
        if targets is not None:
            fetched[LABELS] = targets
        return fetched if self.mixing is None else mixed(fetched, self.mixing)


class LensStream(torch.utils.data.IterableDataset):
    """Batches of freshly simulated systems without end, for a `DataLoader(stream, batch_size=None, num_workers=...)`.

    Batches come in the same order for any number of workers. Several processes each take every n-th batch. With
    workers, `torchdata.StatefulDataLoader` keeps the state of all of them; or count the batches and give `start`.

    Args:
        stream: The systems.
        batch_size: Systems of a batch.
        start: Number of the first batch of this process.
        process_index: Number of this process.
        num_processes: Number of processes that share the stream.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self, stream: SystemStream, batch_size: int = 64, start: int = 0, process_index: int = 0, num_processes: int = 1
    ) -> None:
        if batch_size < 1 or start < 0:
            raise ValueError(f"batch_size={batch_size} must be at least 1 and start={start} at least 0.")
        if not 0 <= process_index < num_processes:
            raise ValueError(f"process_index={process_index} must be one of 0 to {num_processes - 1}.")
        self.stream = stream
        self.batch_size = batch_size
        self.process_index, self.num_processes = process_index, num_processes
        self._next = start
        self._furthest = torch.tensor(start).share_memory_()
        # seed of a loop over workers and where it began
        self._loop = torch.tensor([-1, start]).share_memory_()

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Simulate batch by batch; a second loop goes on behind what the first one simulated."""
        worker = torch.utils.data.get_worker_info()
        number, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        # workers are copies of this object; what they have simulated is known to the next ones through shared memory
        self._next = max(self._next, int(self._furthest))
        if worker is not None:
            self._next = self._start_of_loop(worker.seed - worker.id)
        while True:
            # within this process, worker w of n has the batches w, w + n, w + 2 n, ...
            first = (((self._next + number) * self.num_processes) + self.process_index) * self.batch_size
            batch = self.stream.simulate(range(first, first + self.batch_size))
            self._next += step
            self._furthest.clamp_(min=self._next)
            yield batch

    def _start_of_loop(self, loop: int) -> int:
        """Return where a loop begins: where its first worker found the stream, however late the others start.

        Read after `_furthest`, which a worker only moves after it has noted the loop here; so no lock is needed.
        """
        if int(self._loop[0]) != loop:
            self._loop[1] = self._next
            self._loop[0] = loop
        return int(self._loop[1])

    def state_dict(self) -> dict[str, int]:
        """Return where the stream stands.

        Returns:
            What `load_state_dict` takes.
        """
        return {"next_batch": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another stream of the same recipe, seed and batch size stood.

        Args:
            state: Its `state_dict()`.
        """
        self._next = int(state["next_batch"])
        self._furthest.fill_(self._next)


def stream_lenses(
    recipe: Recipe | str,
    seed: int = 0,
    *,
    batch_size: int = 64,
    start: int = 0,
    process_index: int = 0,
    num_processes: int = 1,
) -> LensStream:
    """Stream freshly simulated systems, none of which is in a data set of `load_lenses`.

    Args:
        recipe: A recipe, or its name.
        seed: Seed of the simulation, zero or more.
        batch_size: Systems of a batch.
        start: Number of the first batch of this process, to go on after so many.
        process_index: Number of this process.
        num_processes: Number of processes that share the stream.

    Returns:
        An iterable of batches, dictionaries of arrays by column; resumable by `state_dict` and `load_state_dict`.

    Raises:
        ValueError: If there is no such recipe, or a number is out of range.

    >>> batch = next(iter(stream_lenses("test", batch_size=6)))
    >>> batch["image"].shape, sorted(batch["label"].tolist())
    ((6, 1, 32, 32), [0, 0, 1, 1, 2, 2])
    """
    return LensStream(SystemStream(recipe, seed), batch_size, start, process_index, num_processes)
