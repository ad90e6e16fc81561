"""What a card tells of a training, from its options and its record, and of those of the baselines beside it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .public_names import is_streamed, recipe_of

if TYPE_CHECKING:
    from deeplense_hf.evaluation.report import EvaluationReport

_WATTS_OF_A_CORE = 10
# what a reader wants to see of the options of every task; the others are in the file
_SHOWN_OPTIONS = (
    "dataset",
    "images_per_class",
    "simulation_seed",
    "model",
    "model_options",
    "image_size",
    "stretch",
    "normalisation",
    "task",
    "augmentation",
    "optim",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "max_steps",
    "num_train_epochs",
    "ema_decay",
    "seed",
)
# what has another name or place in each run, or decides nothing of what is learnt
_SAME_LEARNING = re.compile(r"cpu_threads|use_cpu|dataloader_.*|eval_.*|save_.*|logging_.*|load_best_model_at_end|bf16")


@dataclass(frozen=True)
class Training:
    """A training as its files tell it.

    Attributes:
        options: Its options.
        record: What it took.
    """

    options: Mapping[str, Any]
    record: Mapping[str, Any]

    def sentence(self, parameters: int) -> str:
        """Return what was trained, in a sentence.

        Args:
            parameters: Numbers that were learnt.

        Returns:
            The sentence.
        """
        from deeplense_hf.models.presets import PRESETS

        model = self.options["model"]
        start = f"`{model}`, from random weights" if model in PRESETS else f"from `{model}`"
        return (
            f"{parameters:,} parameters in float32, {start}, by `deeplense-hf train`. No test image was used in "
            "training, in choosing a checkpoint or in calibration."
        )

    def shown_options(self, of_task: Sequence[str]) -> list[tuple[str, str]]:
        """Return the options that a reader wants to see.

        Args:
            of_task: Names of those that matter to this task.

        Returns:
            Names and values.
        """
        unused = () if recipe_of(str(self.options["dataset"])) else ("images_per_class", "simulation_seed")
        names = [name for name in (*_SHOWN_OPTIONS, *of_task) if name not in unused]
        wanted = [name for name in names if self.options.get(name) not in (None, [], "")]
        return [(name, _cell(self.options[name])) for name in wanted]

    def cost(self) -> str:
        """Return machine, time and energy."""
        record = self.record
        energy = "Energy was not measured."
        if threads := record["threads"]:
            busy = record["seconds"] / 3600 * record["processes"] * threads
            energy += (
                f" If a busy core draws {_WATTS_OF_A_CORE} W, that of the network was about "
                f"{busy * _WATTS_OF_A_CORE:.2g} Wh."
            )
        # a stream is simulated by processes of its own, unless there are none
        beside = is_streamed(str(self.options["dataset"])) and self.options.get("dataloader_num_workers") != 0
        simulated = " beside processes that simulated the images" if beside else ""
        return f"{_effort(record)} took {_time(record)} by the clock on {_machine(record)}{simulated}. {energy}"

    def baselines(self, folder: Path, names: Sequence[str]) -> "tuple[list[EvaluationReport], list[tuple[str, str]]]":
        """Read what stands beside the model.

        Args:
            folder: The folder of the release or export.
            names: Names of the baselines, in the order of their folders.

        Returns:
            Their scores; and for each its name and how it was trained, in words.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If one is damaged.
        """
        from deeplense_hf.evaluation.report import EvaluationReport

        from .release import BASELINES

        folders = sorted((folder / BASELINES).glob("*"))
        reports = [EvaluationReport.load(each / "metrics.json") for each in folders]
        return reports, [(name, self._of_baseline(each)) for name, each in zip(names, folders, strict=True)]

    def _of_baseline(self, folder: Path) -> str:
        """Return how a baseline was trained: steps, images, time, machine, and where its options differ."""
        import yaml

        from deeplense_hf.training.checkpoints import OPTIONS_FILE
        from deeplense_hf.training.record import RECORD_FILE

        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        text = f"for {_effort(record)}, {_time(record)} on {_machine(record)}"
        # releases of before kept none
        if not (folder / OPTIONS_FILE).is_file():
            return text
        options = yaml.safe_load((folder / OPTIONS_FILE).read_text(encoding="utf-8"))
        different = [
            f"`{name}` {_cell(value)}"
            for name, value in options.items()
            if value != self.options.get(name) and value not in (None, []) and not _SAME_LEARNING.fullmatch(name)
        ]
        return f"{text}, with {', '.join(different)}" if different else text


def _effort(record: Mapping[str, Any]) -> str:
    """Return how long a training was, in steps and images."""
    return f"{record['steps']:,} steps on {record['images']:,} images"


def _time(record: Mapping[str, Any]) -> str:
    """Return how long a training took by the clock."""
    hours = record["seconds"] / 3600
    if hours < 1 / 60:
        return f"{record['seconds']:.0f} seconds"
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"


def _machine(record: Mapping[str, Any]) -> str:
    """Return what the network of a training ran on."""
    processes, threads = record["processes"], record["threads"]
    machine = f"{processes} x {record['device']}"
    if threads:
        cores = processes * threads
        machine = f"{cores} thread{'s' if cores > 1 else ''} of a CPU ({record['device']})"
    return f"{machine}, in {record['precision']}"


def _cell(value: Any) -> str:
    """Return an option as a cell of a table."""
    return f"`{' '.join(map(str, value)) if isinstance(value, list) else value}`"
