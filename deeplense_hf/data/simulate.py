"""The command `simulate`: a population of lenses as a data set."""

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .schema import SPLITS

if TYPE_CHECKING:
    from .simulation_build import Outcome
    from .simulation_ranks import Share

_NOT_DECIDING = (
    "output_dir", "batch_size", "device", "num_workers", "systems_per_shard", "rank", "num_ranks", "list"
)  # fmt: skip
"""Options that change no image, or the last bits of one."""


@dataclass
class SimulateOptions:
    """Options of the command `simulate`.

    Raises:
        ValueError: If a number is out of range.
    """

    output_dir: str | None = field(
        default=None, metadata={"help": "folder of the data set; must not hold anything else"}
    )
    recipe: str = field(default="model_1", metadata={"help": "recipe to simulate; --list shows all of them"})
    images_per_class: int = field(default=1000, metadata={"help": "systems of each class"})
    seed: int = field(default=0, metadata={"help": "seed; a system depends on recipe, class, seed and number only"})
    validation_fraction: float = field(default=0.1, metadata={"help": "share of systems of the validation split"})
    test_fraction: float = field(default=0.1, metadata={"help": "share of systems of the test split"})
    splits: list[str] = field(
        default_factory=lambda: list(SPLITS),
        metadata={"help": "splits to write; their systems are the same either way"},
    )
    imbalance: float = field(
        default=1.0,
        metadata={"help": "systems of the first class for each one of every other class, for example 100 non-lenses"},
    )
    source_galaxies: str | None = field(
        default=None,
        metadata={
            "help": "real galaxies as sources: hubble_deep_field, a folder of images or data set, or one of the Hub "
            "such as matthieulel/galaxy10_decals; by default the sources of the recipe"
        },
    )
    morphology: bool = field(
        default=True, metadata={"help": "measure what is seen: signal-to-noise, visibility of substructure, arcs, ..."}
    )
    batch_size: int = field(default=128, metadata={"help": "systems at a time; bounds memory, changes no image"})
    device: str = field(default="cpu", metadata={"help": "where rays are traced: cpu, cuda, cuda:1"})
    num_workers: int | None = field(
        default=None, metadata={"help": "processes, each on one thread; by default as many as there are cores"}
    )
    systems_per_shard: int | None = field(
        default=None, metadata={"help": "systems of a parquet file; by default a 32nd of them, in no more than 64 MiB"}
    )
    rank: int | None = field(
        default=None, metadata={"help": "number of this process of --num_ranks; by default as the launcher says"}
    )
    num_ranks: int | None = field(
        default=None, metadata={"help": "processes that share the work; 1 does all of it, whatever a launcher says"}
    )
    list: bool = field(default=False, metadata={"help": "list the recipes and do nothing else"})

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.list and not (self.output_dir or "").strip():
            raise ValueError("output_dir is empty; give a folder as --output_dir, or --list to see the recipes.")
        for name in ("images_per_class", "batch_size", "num_workers", "systems_per_shard", "num_ranks"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be at least 1.")
        if not self.splits or set(self.splits) - set(SPLITS):
            raise ValueError(f"splits={' '.join(self.splits)} must be one or more of {', '.join(SPLITS)}.")
        self.splits = [split for split in SPLITS if split in self.splits]
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must not be negative.")
        if not 0 < self.imbalance < math.inf:
            raise ValueError(f"imbalance={self.imbalance} must be a positive number.")
        if self.rank is not None and not (self.num_ranks and 0 <= self.rank < self.num_ranks):
            raise ValueError(f"rank={self.rank} must be 0 or more and below num_ranks={self.num_ranks}; give both.")
        if self.rank is None and (self.num_ranks or 1) > 1:
            raise ValueError(f"num_ranks={self.num_ranks} needs the number of this process as --rank.")

    @property
    def folder(self) -> Path:
        """The folder of the data set."""
        return Path(self.output_dir or "")

    @property
    def deciding(self) -> dict[str, object]:
        """Options that decide the content of the data set."""
        return {name: value for name, value in asdict(self).items() if name not in _NOT_DECIDING}

    @property
    def published(self) -> dict[str, object]:
        """The same as the data set says them: of a local path the last part, for the rest is nobody's business."""
        galaxies = self.source_galaxies
        if galaxies and Path(galaxies).exists():
            galaxies = Path(galaxies).resolve().name
        return {**self.deciding, "source_galaxies": galaxies}


def simulate(options: SimulateOptions) -> None:
    """Simulate a data set into a folder, or this process's share of it, or list the recipes.

    Args:
        options: What to simulate, and where to.

    Raises:
        ValueError: If the recipe is unknown, an option is out of range or the folder is in use.
        OSError: If the disk refuses.
    """
    from .simulation_ranks import Share, share_of_process

    if options.list:
        print(list_recipes())
        return
    share = Share(options.rank or 0, options.num_ranks) if options.num_ranks else share_of_process(os.environ)
    folder = options.folder
    outcome = build_simulated(options, share)
    if outcome.missing:
        print(
            f"rank {share.rank} of {share.count} has written its share; {outcome.missing} shards of other ranks are "
            f"missing, and whoever writes the last one completes {folder} (to do everything here, add --num_ranks 1)"
        )
        return
    print(f"{'written' if outcome.written else 'already there'}: {folder}\nload it with: load_dataset('{folder}')")


def list_recipes() -> str:
    """List the recipes.

    Returns:
        A line for each: name, image size, bands, classes and description.
    """
    from deeplense_hf.simulation.recipes import RECIPES

    rows = [
        (
            name,
            f"{recipe.instrument.image_size}x{recipe.instrument.image_size}",
            f"{recipe.num_bands} band{'s' if recipe.num_bands > 1 else ''}",
            ", ".join(recipe.class_names),
            recipe.description,
        )
        for name, recipe in RECIPES.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(map(str.ljust, row, [*widths, 0])) for row in rows)


def simulate_into_cache(
    recipe: str, images_per_class: int, seed: int, root: Path, splits: Sequence[str] | None = None
) -> Path:
    """Simulate a data set into the cache, unless it is there.

    Args:
        recipe: Name of a recipe.
        images_per_class: Systems of each class.
        seed: Seed of the simulation.
        root: The cache.
        splits: Which splits are wanted; all when absent.

    Returns:
        Folder of the data set.

    Raises:
        ValueError: If an option is out of range.
        OSError: If the disk refuses.
    """
    cache = root / "simulated"
    options = SimulateOptions(str(cache), recipe, images_per_class, seed, splits=list(splits or SPLITS))
    folder = cache / f"{recipe}-{images_per_class}-per-class-seed-{seed}-{fingerprint(options)}"
    # all of it, also as one of several ranks: whoever else wants it waits for the lock
    build_simulated(replace(options, output_dir=str(folder)))
    return folder


def fingerprint(options: SimulateOptions) -> str:
    """Return what decides the content of a simulated data set.

    Args:
        options: Options of the command.

    Returns:
        Twelve hexadecimal digits.

    Raises:
        FileNotFoundError: If the source galaxies cannot be found.
        ValueError: If an option is out of range.
    """
    from .simulation_build import SimulationBuild
    from .simulation_ranks import Share

    return SimulationBuild(options, Share()).fingerprint


def build_simulated(options: SimulateOptions, share: "Share | None" = None) -> "Outcome":
    """Simulate a data set into a folder, unless it is there, or go on with it.

    Args:
        options: What to simulate, and where to.
        share: Which share of it; everything by default.

    Returns:
        What was done, and what is left for others.

    Raises:
        ValueError: If an option is out of range, or the folder is in use or unfinished with other options.
        OSError: If the disk refuses.
    """
    from .build import already_built
    from .simulation_build import SimulationBuild
    from .simulation_ranks import Share

    build = SimulationBuild(options, share or Share())
    if already_built(options.folder, build.fingerprint):
        return build.leave()
    check_device(build.job.device)
    return build.run()


def check_device(device: str) -> None:
    """Refuse a device that is not there.

    Args:
        device: As torch names it.

    Raises:
        ValueError: If it cannot be used.
    """
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = " ".join(str(error).split()).partition(".")[0]
        raise ValueError(f"device={device!r} cannot be used ({reason}); use cpu, or cuda where there is one.") from None
