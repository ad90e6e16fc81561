"""The command `simulate`: a published DeepLense population as a data set."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeplense_hf.simulation.recipes import Recipe

    from .records import RecordBatch


@dataclass
class SimulateOptions:
    """Options of the command `simulate`.

    Raises:
        ValueError: If a number is out of range.
    """

    output_dir: str = field(metadata={"help": "folder of the data set; must not hold anything else"})
    recipe: str = field(default="model_1", metadata={"help": "recipe to simulate: model_1, model_2, model_3, test"})
    images_per_class: int = field(default=1000, metadata={"help": "systems of each class"})
    seed: int = field(default=0, metadata={"help": "seed; a system depends on recipe, class, seed and number only"})
    validation_fraction: float = field(default=0.1, metadata={"help": "share of systems of the validation split"})
    test_fraction: float = field(default=0.1, metadata={"help": "share of systems of the test split"})
    batch_size: int = field(default=128, metadata={"help": "systems at a time; bounds memory, changes no image"})
    device: str = field(default="cpu", metadata={"help": "where rays are traced: cpu, cuda, cuda:1"})

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not self.output_dir.strip():
            raise ValueError("output_dir is empty; give a folder as --output_dir.")
        for name in ("images_per_class", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must not be negative.")


def simulate(options: SimulateOptions) -> None:
    """Simulate a data set into a folder.

    Args:
        options: What to simulate, and where to.

    Raises:
        ValueError: If the recipe is unknown, an option is out of range or the folder is in use.
        OSError: If the disk refuses.
    """
    folder = Path(options.output_dir)
    built = build_simulated(options)
    verb = "written" if built else "already there"
    print(f"{verb}: {folder}\nload it with: load_dataset('{folder}')")


def simulate_into_cache(recipe: str, images_per_class: int, seed: int, root: Path) -> Path:
    """Simulate a data set into the cache, unless it is there.

    Args:
        recipe: Name of a recipe.
        images_per_class: Systems of each class.
        seed: Seed of the simulation.
        root: The cache.

    Returns:
        Folder of the data set.

    Raises:
        ValueError: If an option is out of range.
        OSError: If the disk refuses.
    """
    cache = root / "simulated"
    options = SimulateOptions(str(cache), recipe, images_per_class, seed)
    folder = cache / f"{recipe}-{images_per_class}-per-class-seed-{seed}-{fingerprint(options)}"
    build_simulated(replace(options, output_dir=str(folder)))
    return folder


def fingerprint(options: SimulateOptions) -> str:
    """Return what decides the content of a simulated data set: the options and the code of the simulation.

    Args:
        options: Options of the command.

    Returns:
        Twelve hexadecimal digits.
    """
    from deeplense_hf.simulation import recipes

    from .build import fingerprint_of

    here = Path(__file__)
    code = [*Path(recipes.__file__).parent.glob("*.py"), here, here.with_name("splits.py")]
    return fingerprint_of([repr(sorted(_deciding(options).items()))], code)


def build_simulated(options: SimulateOptions) -> bool:
    """Simulate a data set into a folder, unless it is there.

    Args:
        options: What to simulate, and where to.

    Returns:
        Whether anything was to be done.

    Raises:
        ValueError: If an option is out of range or the folder is in use.
        OSError: If the disk refuses.
    """
    from deeplense_hf.simulation.recipes import get_recipe

    from .build import SplitPlan, already_built, write_dataset
    from .card import DatasetCard
    from .schema import features

    recipe = get_recipe(options.recipe)
    output_dir = Path(options.output_dir)
    mark = fingerprint(options)
    systems = _systems_of_splits(recipe, options)
    if already_built(output_dir, mark):
        return False
    check_device(options.device)
    size = recipe.instrument.image_size
    names = [str(name) for name in recipe.class_names]
    plans = {
        split: SplitPlan(len(chosen), _simulate_batches(recipe, chosen, split, options))
        for split, chosen in systems.items()
    }
    counts = {
        split: {name: sum(system[0] == name for system in chosen) for name in names}
        for split, chosen in systems.items()
    }
    command = " ".join(f"--{name} {value}" for name, value in _deciding(options).items())
    card = DatasetCard(
        title=f"DeepLense {recipe.name.replace('_', ' ')}, simulated",
        summary=recipe.description,
        class_counts=counts,
        image_shape=(1, size, size),
        details=_recipe_table(recipe),
        origin=(
            f"Simulated by `deeplense-hf simulate {command}`. A system depends on recipe, class, seed and its number "
            "only, and so does its split: systems held out here are held out in a larger data set of the same seed."
        ),
        tags=("simulation", recipe.name),
    )
    provenance = {"fingerprint": mark, "command": "simulate", "options": _deciding(options), "counts": counts}
    write_dataset(output_dir, features(names, 1, size, size), plans, provenance, card)
    return True


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


def _deciding(options: SimulateOptions) -> dict[str, object]:
    """Options that decide the content."""
    return {
        name: value for name, value in asdict(options).items() if name not in ("output_dir", "batch_size", "device")
    }


def _systems_of_splits(recipe: "Recipe", options: SimulateOptions) -> dict[str, list[tuple[str, int]]]:
    """Choose (class, number) of every split's systems, in an order that says nothing about the class."""
    import numpy as np

    from .schema import SPLITS
    from .splits import split_of_systems

    split_of = split_of_systems(options.images_per_class, options.validation_fraction, options.test_fraction)
    chosen = {}
    for number, split in enumerate(SPLITS):
        indices = np.flatnonzero(split_of == number)
        systems = [(str(name), int(index)) for name in recipe.class_names for index in indices]
        if systems:
            order = np.random.default_rng([options.seed, number]).permutation(len(systems))
            chosen[split] = [systems[row] for row in order]
    return chosen


def _simulate_batches(
    recipe: "Recipe", systems: list[tuple[str, int]], split: str, options: SimulateOptions
) -> Iterator["RecordBatch"]:
    """Simulate the systems of a split in their order, a batch at a time."""
    import numpy as np
    from tqdm import tqdm

    from .records import join

    with tqdm(total=len(systems), desc=f"simulating {recipe.name} {split}", unit="image") as progress:
        for start in range(0, len(systems), options.batch_size):
            batch = systems[start : start + options.batch_size]
            parts, places = [], []
            for label, name in enumerate(recipe.class_names):
                rows = [row for row, system in enumerate(batch) if system[0] == name]
                if rows:
                    parts.append(_simulate_class(recipe, label, [batch[row][1] for row in rows], options))
                    places += rows
            yield join(parts).take(np.argsort(places))
            progress.update(len(batch))


def _simulate_class(recipe: "Recipe", label: int, indices: list[int], options: SimulateOptions) -> "RecordBatch":
    """Simulate some systems of one class."""
    import numpy as np

    from deeplense_hf.simulation.simulator import simulate_batch

    from . import schema
    from .records import RecordBatch

    name, count = recipe.class_names[label], len(indices)
    result = simulate_batch(recipe, name, indices, options.seed, device=options.device)
    columns: dict[str, Any] = {
        **result.parameters,
        schema.SYSTEM_ID: [f"{recipe.name}/{options.seed}/{name}/{index}" for index in indices],
        schema.PIXEL_SCALE: [recipe.instrument.pixel_scale] * count,
        schema.INSTRUMENT: [recipe.instrument.name] * count,
        schema.RECIPE: [recipe.name] * count,
        schema.SEED: [options.seed] * count,
        schema.SYSTEM_INDEX: indices,
    }
    return RecordBatch(result.images, np.full(count, label), columns)


def _recipe_table(recipe: "Recipe") -> str:
    """Every field of the recipe, the quirks of the published data among them, as a table."""
    from .card import markdown_table

    rows = []
    for name, value in asdict(recipe).items():
        if name in ("name", "description"):
            continue
        shown = ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        rows.append((f"`{name}`", shown))
    intro = "Every number, quirks of the published data included; `simulation/recipes.py` explains each."
    return f"## Recipe\n\n{intro}\n\n{markdown_table(('field', 'value'), rows)}"
