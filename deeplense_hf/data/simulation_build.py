"""Build a simulated data set: plan it, write this process's shards, and complete it once all shards are there."""

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .build import fingerprint_of, is_built, rows_of, write_texts
from .card import DatasetCard, markdown_table
from .simulation_plan import class_counts, plan_shards, plan_systems, systems_of_classes
from .simulation_ranks import Share, usable_cores
from .simulation_shards import Job, features_of, recipe_of
from .simulation_workers import write_shards
from .staging import Staging

if TYPE_CHECKING:
    from deeplense_hf.simulation.recipes import Recipe

    from .simulate import SimulateOptions

CONTACT_SHEET_FILE = "contact_sheet.png"
_SHARD_BYTES = 64 * 2**20
_MANY_SHARDS = 32
_SMALLEST_SHARD = 256
# A process takes two to three seconds to start; less work than this does not pay for it.
_WORKER_BYTES = 32 * 2**20
_SHOWN_PER_CLASS = 6


@dataclass(frozen=True)
class Outcome:
    """What became of a build.

    Attributes:
        written: Whether anything was to be done.
        missing: Shards that others are still to write; with 0 the data set lies in its place.
    """

    written: bool
    missing: int = 0


class SimulationBuild:
    """The build of a data set, by this process and perhaps by others.

    Shards are written one by one into a hidden folder beside the data set's, which whoever finds all of them there
    completes and renames.

    Args:
        options: What to simulate, and where to.
        share: Which shards this process writes.

    Raises:
        FileNotFoundError: If the source galaxies cannot be found.
        ValueError: If an option is out of range.
    """

    def __init__(self, options: "SimulateOptions", share: Share) -> None:
        self.options = options
        self.share = share
        self.job = Job(
            output_dir=str(options.folder.absolute()),
            share=share.name,
            recipe=options.recipe,
            source_galaxies=options.source_galaxies,
            seed=options.seed,
            morphology=options.morphology,
            batch_size=options.batch_size,
            device=_own_device(options.device),
        )
        self.recipe = recipe_of(self.job, "train")
        self.class_names = [str(name) for name in self.recipe.class_names]
        self.systems = plan_systems(
            systems_of_classes(self.class_names, options.images_per_class, options.imbalance),
            options.validation_fraction,
            options.test_fraction,
            options.seed,
        )
        self.systems = {split: systems for split, systems in self.systems.items() if split in options.splits}
        self.features = features_of(self.recipe)
        self.systems_per_shard = options.systems_per_shard or self._default_systems_per_shard()
        self.shards = plan_shards(self.systems, self.systems_per_shard)
        self.staging = Staging(options.folder)
        self.fingerprint = self._fingerprint()

    def _fingerprint(self) -> str:
        """What decides the content: the options, the code of the simulation and the galaxies behind their name."""
        from deeplense_hf.simulation import recipes

        galaxies = getattr(self.recipe, "galaxies", None)
        choices = [repr(sorted(self.options.deciding.items())), str(getattr(galaxies, "identifier", galaxies))]
        names = ("build.py", "records.py", "schema.py", "simulation_plan.py", "simulation_shards.py", "splits.py")
        code = [*Path(recipes.__file__).parent.glob("*.py"), *map(Path(__file__).with_name, names)]
        return fingerprint_of(choices, code)

    def _default_systems_per_shard(self) -> int:
        """Systems of a file: few enough for many processes to share the work, whatever their number is today."""
        shared = max(_SMALLEST_SHARD, math.ceil(sum(map(len, self.systems.values())) / _MANY_SHARDS))
        return min(shared, rows_of(_SHARD_BYTES, self.features))

    def leave(self) -> Outcome:
        """Do nothing, the data set being there, but tidy up.

        Returns:
            That nothing was done.
        """
        self.staging.discard(finished_parts_too=True)
        return Outcome(written=False)

    def run(self) -> Outcome:
        """Write this process's shards, and complete the data set if these were the last.

        Returns:
            What was done, and what is left for others.

        Raises:
            ValueError: If the folder is unfinished with other options.
            OSError: If the disk refuses.
        """
        try:
            with self._full_disk_in_a_sentence(), self.staging.turn(self.share.name):
                # perhaps another process has completed it while this one waited
                written = not self._is_done()
                missing = self._write_share_and_complete() if written else 0
        except FileNotFoundError:
            # another process, which did the same, has completed the data set and removed the unfinished one
            if not self._is_done():
                raise
            written, missing = True, 0
        finally:
            # also of what failed before anything was finished
            self.staging.discard(finished_parts_too=self._is_done())
        return Outcome(written, missing)

    def _is_done(self) -> bool:
        return is_built(self.options.folder, self.fingerprint)

    def _identity(self) -> dict[str, object]:
        """What a process must agree on to go on with the work of another."""
        return {
            **self.options.deciding,
            "systems_per_shard": self.systems_per_shard,
            "device": self.job.device.partition(":")[0],
            "code": self.fingerprint,
        }

    def _write_share_and_complete(self) -> int:
        """Do what falls to this process, and return how many shards are missing then."""
        from tqdm import tqdm

        self.staging.open(self._identity())
        shards = self.share.of(self.shards)
        total = sum(len(shard.systems) for shard in shards)
        several = f", rank {self.share.rank} of {self.share.count}" if self.share.count > 1 else ""
        with tqdm(
            total=total,
            desc=f"simulating {self.recipe.name}{several}",
            unit="image",
            position=int(os.environ.get("LOCAL_RANK", "0")) if several else None,
        ) as progress:

            def advance(systems: int) -> None:
                progress.update(systems)

            write_shards(self.job, shards, self._workers(), advance)
        with self.staging.lock():
            return 0 if self._is_done() else self._complete()

    def _workers(self) -> int:
        shards = self.share.of(self.shards)
        if self.options.num_workers:
            return max(1, min(self.options.num_workers, len(shards)))
        if self.job.device != "cpu":
            return 1
        rows = sum(len(shard.systems) for shard in shards if self.staging.size_of(shard.name) is None)
        paying = math.ceil(rows / rows_of(_WORKER_BYTES, self.features))
        return max(1, min(usable_cores(os.environ), len(shards), paying))

    def _complete(self) -> int:
        """Write what belongs to the shards and publish the data set, or return how many shards are missing."""
        parts = {
            shard.name: (self.staging.size_of(shard.name), self.staging.hash_of(shard.name)) for shard in self.shards
        }
        finished = {name: (size, digest) for name, (size, digest) in parts.items() if size is not None}
        if len(finished) < len(parts):
            return len(parts) - len(finished)
        counts = class_counts(self.systems, self.class_names)
        provenance = {
            "fingerprint": self.fingerprint,
            "command": "simulate",
            "options": self.options.published,
            "counts": counts,
        }
        sheet = {CONTACT_SHEET_FILE: self._contact_sheet()}
        write_texts(self.staging.folder, finished, provenance, self._card(counts), sheet)
        self.staging.publish(lambda _: self._is_done())
        return 0

    def _contact_sheet(self) -> bytes:
        """Draw the first systems of each class of the first split, read from their shards."""
        from .contact_sheet import contact_sheet

        split, systems = next(iter(self.systems.items()))
        shown = {
            name: self._read_images(split, np.flatnonzero(systems.labels == label)[:_SHOWN_PER_CLASS])
            for label, name in enumerate(self.class_names)
        }
        title = f"{self.recipe.name}: first systems of the {split} split, seed {self.options.seed}"
        return contact_sheet(shown, self.recipe.instrument.pixel_scale, title)

    def _read_images(self, split: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows of a split from its shards, `(rows, bands, height, width)`; one shard is in memory at a time."""
        import pyarrow.parquet as pq
        from datasets import Dataset

        from .loading import LensImageDecoder
        from .schema import IMAGE

        parts = [np.empty((0, *self.features[IMAGE].shape), dtype=np.float32)]
        start = 0
        for shard in self.shards:
            if shard.split != split:
                continue
            inside = rows[(rows >= start) & (rows < start + len(shard.systems))] - start
            if len(inside):
                table = pq.read_table(self.staging.folder / shard.name, columns=[IMAGE])
                parts.append(LensImageDecoder(Dataset(table))[inside])
            start += len(shard.systems)
        return np.concatenate(parts)

    def _card(self, counts: dict[str, dict[str, int]]) -> DatasetCard:
        size = self.recipe.instrument.image_size
        galaxies = getattr(self.recipe, "galaxies", None)
        no_galaxy_twice = " No real galaxy is the source of systems in two splits." if galaxies is not None else ""
        words = [_as_option(name, value) for name, value in self.options.published.items() if value is not None]
        return DatasetCard(
            title=f"DeepLense {self.recipe.name.replace('_', ' ')}, simulated",
            summary=f"{self.recipe.description}\n\n![Some images of each class]({CONTACT_SHEET_FILE})",
            class_counts=counts,
            image_shape=(self.recipe.num_bands, size, size),
            details=_recipe_table(self.recipe),
            origin=(
                f"Simulated by `deeplense-hf simulate {' '.join(words)}`. A system depends on recipe, class, seed and "
                "its number only, and so does its split: systems held out here are held out in a larger data set of "
                f"the same seed.{no_galaxy_twice}"
            ),
            tags=("simulation", self.recipe.name),
        )

    @contextmanager
    def _full_disk_in_a_sentence(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise OSError(
                errno.ENOSPC,
                f"{os.strerror(errno.ENOSPC)}; make room and run the same command again, the finished shards of "
                f"{self.options.folder} are kept",
            ) from None


def _own_device(device: str) -> str:
    """Give each rank of a machine its own GPU, unless a certain one is asked for."""
    if device != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    import torch

    return f"cuda:{int(os.environ['LOCAL_RANK']) % max(1, torch.cuda.device_count())}"


def _recipe_table(recipe: "Recipe") -> str:
    """Every field of the recipe, the quirks of the published data among them, as a table."""
    rows = [row for row in _rows_of(recipe, "") if row[0] not in ("`name`", "`description`")]
    module = type(recipe).__module__.rpartition(".")[2]
    intro = f"Every number, quirks of published data included; `simulation/{module}.py` explains each."
    return f"## Recipe\n\n{intro}\n\n{markdown_table(('field', 'value'), rows)}"


def _rows_of(value: object, path: str) -> list[tuple[str, str]]:
    """Name and value of every number of a recipe; parts of it are gone through in their turn."""
    if isinstance(value, tuple) and value and all(is_dataclass(item) for item in value):
        return [row for number, item in enumerate(value) for row in _rows_of(item, f"{path}[{number}]")]
    module = type(value).__module__
    # of a collection of galaxies its name says enough, and a prior is as short as its numbers
    is_part = (
        is_dataclass(value) and not hasattr(value, "identifier") and not module.endswith((".priors", ".cosmology"))
    )
    if not is_part:
        return [(f"`{path}`", str(getattr(value, "identifier", value)))]
    names = [declared.name for declared in fields(value)]  # type: ignore[arg-type]
    return [row for name in names for row in _rows_of(getattr(value, name), f"{path}.{name}".lstrip("."))]


def _as_option(name: str, value: object) -> str:
    """An option as it is written on the command line."""
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no_{name}"
    return f"--{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
