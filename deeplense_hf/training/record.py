"""What a training took: time, images, machine; kept over interruptions, for the model card."""

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from deeplense_hf.data.staging import write_atomically

RECORD_FILE = "training_record.json"


@dataclass(frozen=True)
class TrainingRecord:
    """What a training took.

    Attributes:
        steps: Steps of the optimiser.
        images: Images that they saw, repeated ones counted again.
        seconds: Time of training and of the evaluations within it, without loading and simulating the data sets [s].
        processes: Processes that trained together.
        threads: Threads of each on a CPU; 0 on other devices.
        device: What they ran on.
        precision: Numbers that the network computed with.
        seed: Seed of weights, order and augmentation.
    """

    steps: int
    images: int
    seconds: float
    processes: int
    threads: int
    device: str
    precision: str
    seed: int


class TrainingClock(TrainerCallback):
    """Keep the time that a training takes; a resumed one counts on from its checkpoint.

    Args:
        folder: Folder of the run, for `training_record.json`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD_FILE
        self._before, self._start = 0.0, time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start, after what a resumed run took up to its checkpoint."""
        self._before, self._start = self._recorded_until(state.global_step), time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Write what it took so far, beside the checkpoint."""
        self._write(args, state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write what it took."""
        self._write(args, state)

    def _recorded_until(self, step: int) -> float:
        """Return the seconds that a run took up to a step, from where it was interrupted."""
        if step == 0 or not self.path.is_file():
            return 0.0
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
            # a later record is of steps that are now done again
            return float(record["seconds"]) * min(1.0, step / float(record["steps"]))
        except (ValueError, KeyError, TypeError, ZeroDivisionError):
            return 0.0

    def _write(self, args: TrainingArguments, state: TrainerState) -> None:
        if args.process_index != 0:
            return
        on_cpu = args.device.type == "cpu"
        record = TrainingRecord(
            steps=state.global_step,
            images=state.global_step * args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
            seconds=round(self._before + time.monotonic() - self._start, 1),
            processes=args.world_size,
            threads=torch.get_num_threads() if on_cpu else 0,
            device=processor_name()
            if on_cpu
            else torch.cuda.get_device_name(args.device)
            if args.device.type == "cuda"
            else args.device.type,
            precision="bfloat16" if args.bf16 else "float16" if args.fp16 else "float32",
            seed=args.seed,
        )
        write_atomically(self.path, (json.dumps(asdict(record), indent=2) + "\n").encode())


def processor_name() -> str:
    """Return the name of the CPU, as far as the system says."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
