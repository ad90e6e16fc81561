"""Where a run writes, and from where it goes on after a kill."""

import errno
import json
import logging
import math
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError, safe_open
from transformers import TrainingArguments

from .arguments import LensTrainingArguments
from .options import TrainOptions

logger = logging.getLogger(__name__)

OPTIONS_FILE = "training_options.yaml"
FINISHED_FILE = "metrics.json"
# free space that no checkpoint fits into [bytes]
ALMOST_NOTHING = 2**20
SETTINGS_FILE = "training_settings.json"
RESUME_WORDS = ("last", "true", "yes", "1")


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end.

    Args:
        checkpoint: A folder `checkpoint-<step>`.

    Returns:
        False if a file that resuming needs is missing or cut off, as after a kill while saving.
    """
    try:
        # `Trainer` writes it last
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        if (checkpoint / "latest").exists():
            return _is_complete_deepspeed(checkpoint)
        if not zipfile.is_zipfile(checkpoint / "scheduler.pt"):
            return False
        fsdp = ("pytorch_model_fsdp", "optimizer")
        if any((checkpoint / f"{name}_0").is_dir() for name in fsdp):
            return all(_is_complete_shards(checkpoint / f"{name}_0") for name in fsdp)
        if any((checkpoint / f"{name}.bin").exists() for name in fsdp):
            return all(zipfile.is_zipfile(checkpoint / f"{name}.bin") for name in fsdp)
        with safe_open(checkpoint / "model.safetensors", framework="pt") as weights:
            weights.keys()
    except (OSError, ValueError, SafetensorError):
        return False
    return zipfile.is_zipfile(checkpoint / "optimizer.pt")


def _is_complete_shards(folder: Path) -> bool:
    """Whether a folder of torch.distributed.checkpoint, as FSDP writes it, has its table and all shards it began."""
    # the table is written under another name, and renamed when all processes have written their shards
    return (folder / ".metadata").is_file() and any(folder.glob("*.distcp"))


def _is_complete_deepspeed(checkpoint: Path) -> bool:
    """Whether DeepSpeed wrote weights and optimiser to their end; it names their folder in a file, afterwards."""
    states = checkpoint / (checkpoint / "latest").read_text(encoding="utf-8").strip()
    files = [path for kind in ("model", "optim") for path in states.glob(f"*_{kind}_states.pt")]
    kinds = {path.stem.rsplit("_", 2)[1] for path in files}
    return kinds == {"model", "optim"} and all(map(zipfile.is_zipfile, files))


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Say that the disk is full where safetensors and torch report internal failures of writing.

    Args:
        folder: Where is written.

    Yields:
        Nothing; wrap the writing.

    Raises:
        OSError: If writing failed on a full disk.
    """
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        # safetensors passes the system's words on and removes its file; torch says neither, and leaves its file
        if "No space left" not in str(error) and shutil.disk_usage(folder).free > ALMOST_NOTHING:
            raise
        raise OSError(
            errno.ENOSPC, "the disk is full; free some space, then go on with --resume_from_checkpoint", str(folder)
        ) from error


def last_complete_checkpoint(output_dir: Path) -> Path | None:
    """Find the newest checkpoint that can be resumed.

    Args:
        output_dir: Folder of a run.

    Returns:
        The complete checkpoint with the most steps, if there is one.
    """
    folders = [folder for folder in output_dir.glob("checkpoint-*") if folder.name.split("-")[-1].isdigit()]
    by_step = sorted(folders, key=lambda folder: int(folder.name.split("-")[-1]), reverse=True)
    return next(filter(is_complete, by_step), None)


def find_checkpoint(options: Sequence[Any], arguments: LensTrainingArguments) -> Path | None:
    """Find the checkpoint that `--resume_from_checkpoint` asks for.

    Args:
        options: Dataclasses of the run's options, compared with those of the run to resume.
        arguments: Training arguments with the final `output_dir`.

    Returns:
        The checkpoint, or None for a run from the start.

    Raises:
        FileNotFoundError: If there is no complete checkpoint.
        ValueError: If the earlier run had other options, another seed or other steps.
    """
    wanted = arguments.resume_from_checkpoint
    if not wanted:
        return None
    output_dir = Path(str(arguments.output_dir))
    if str(wanted).lower() in RESUME_WORDS:
        checkpoint = last_complete_checkpoint(output_dir)
        if checkpoint is None:
            raise FileNotFoundError(
                f"{output_dir} holds no complete checkpoint to resume from; run without --resume_from_checkpoint."
            )
    else:
        checkpoint = Path(str(wanted))
        if not is_complete(checkpoint):
            raise FileNotFoundError(f"{checkpoint} is not a complete checkpoint; use --resume_from_checkpoint last.")
    _check_same_options(options, checkpoint.parent / OPTIONS_FILE)
    _check_same_settings(arguments, checkpoint / SETTINGS_FILE)
    return checkpoint


def save_settings(checkpoint: Path, arguments: TrainingArguments) -> None:
    """Write into a checkpoint what a run must have in common with it to go on from it.

    Args:
        checkpoint: The checkpoint.
        arguments: Those of the run.

    Raises:
        OSError: If the disk refuses.
    """
    checkpoint.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_settings(arguments), indent=2) + "\n"
    (checkpoint / SETTINGS_FILE).write_text(text, encoding="utf-8")


def _settings(arguments: TrainingArguments) -> dict[str, int | None]:
    """Return what decides the order of images and which of them make a step."""
    return {
        "seed": arguments.seed,
        "data_seed": arguments.data_seed,
        "per_device_train_batch_size": arguments.train_batch_size,
        "gradient_accumulation_steps": arguments.gradient_accumulation_steps,
        "processes": arguments.world_size,
    }


def _check_same_settings(arguments: LensTrainingArguments, path: Path) -> None:
    """Refuse to resume with another seed or number of images in a step; warn where they are only shared out anew."""
    if not path.is_file():
        return
    earlier, now = json.loads(path.read_text(encoding="utf-8")), _settings(arguments)
    for name in ("seed", "data_seed"):
        if earlier[name] != now[name]:
            raise ValueError(
                f"the run to resume had {name}={earlier[name]}, not {now[name]}; give the same, or start a new run in "
                "another --output_dir."
            )
    if earlier == now:
        return
    (images_before, before), (images, present) = _images_of_a_step(earlier), _images_of_a_step(now)
    if images_before != images:
        raise ValueError(
            f"the run to resume learnt from {images_before} images a step ({before}), not from {images} ({present}); "
            "give the same, or start a new run in another --output_dir."
        )
    logger.warning(
        "the run to resume had %s, not %s: it goes on with as many images in a step, but not with the same numbers as "
        "without an interruption.",
        before,
        present,
    )


def _images_of_a_step(settings: dict[str, Any]) -> tuple[int, str]:
    """Return how many images a step of the optimiser learns from, and how that comes about."""
    factors = ("per_device_train_batch_size", "gradient_accumulation_steps", "processes")
    return math.prod(settings[name] for name in factors), ", ".join(f"{name}={settings[name]}" for name in factors)


def _check_same_options(options: Sequence[Any], path: Path) -> None:
    """Refuse to resume a run with other data, model, task or method."""
    if not path.is_file():
        return
    earlier = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    for name, value in (item for part in options for item in vars(part).items()):
        if name not in ("cpu_threads", "overwrite") and name in earlier and earlier[name] != value:
            raise ValueError(
                f"the run to resume had {name}={earlier[name]!r}, not {value!r}; give the same options "
                f"(--config {path}) or start a new run in another --output_dir."
            )


def choose_output_dir(options: TrainOptions, arguments: LensTrainingArguments) -> Path:
    """Decide where the run writes, the same in every process, without touching finished work.

    Args:
        options: Options of the run (`overwrite`).
        arguments: Training arguments; their `output_dir` is set to the choice.

    Returns:
        The folder; `outputs/main_job-2`, ... if the default is taken by a finished run.

    Raises:
        ValueError: If the folder holds an earlier run and neither resuming nor overwriting was asked for.
    """
    answer: list[str | None] = [None, None]
    if arguments.process_index == 0:
        answer[0], answer[1] = _choose(options, arguments)
        if options.overwrite and not arguments.resume_from_checkpoint:
            forget_run(Path(str(answer[0])))
    if arguments.world_size > 1:
        broadcast_object_list(answer)
    if answer[1]:
        raise ValueError(answer[1])
    arguments.output_dir = str(answer[0])
    return Path(str(answer[0]))


def forget_run(folder: Path) -> None:
    """Remove the checkpoints and the metrics of an earlier run, so that nothing of it is taken for the new one's.

    Args:
        folder: Folder of a run; other files in it stay.

    Raises:
        OSError: If a file cannot be removed.
    """
    (folder / FINISHED_FILE).unlink(missing_ok=True)
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _choose(options: TrainOptions, arguments: LensTrainingArguments) -> tuple[str, str | None]:
    """Return a folder and, if it cannot be used, the reason."""
    folder = Path(str(arguments.output_dir))
    candidate, number = folder, 1
    while arguments.output_dir_is_default and (candidate / FINISHED_FILE).exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    interrupted = any(candidate.glob("checkpoint-*"))
    if arguments.resume_from_checkpoint:
        # of the numbered default folders, the one that was interrupted is meant
        return str(candidate if interrupted else folder), None
    if options.overwrite:
        return str(folder), None
    if candidate.exists() and not candidate.is_dir():
        return str(candidate), f"{candidate} is a file; give a folder as --output_dir."
    if (candidate / FINISHED_FILE).exists():
        return str(candidate), (
            f"{candidate} holds a finished run; give another --output_dir, or --overwrite to replace it."
        )
    if interrupted:
        return str(candidate), (
            f"{candidate} holds an interrupted run; add --resume_from_checkpoint to go on, or --overwrite "
            "to start again."
        )
    return str(candidate), None
