"""Training steps per second on systems simulated while training, beside a cached data set: is the model kept fed?

    python benchmarks/streaming.py --recipe model_1
    python benchmarks/streaming.py --recipe model_1 --device cuda --workers 0 1 2

A step is forward, backward and AdamW on a batch as `scripts/train.py` makes it, with augmentation, crop, resizing and
stretch. The ways take turns: `memory` uses one batch again and again, which no data can beat; `cached` reads a data set
from disk; `stream, n workers` simulates. Waiting is the share of the time between asking for a batch and getting it. On
a CPU the model computes on `--threads` cores, on which the workers run as well: there, what simulating costs cannot be
hidden, and `simulated alone`, the batches per second of one core that does nothing else, says what to expect. The best
of several rounds counts. Prints a table and one line of JSON.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import Any

import torch
from datasets import DatasetDict

from deeplense_hf.augmentation.policies import Augmentation
from deeplense_hf.data.loading import load_lenses
from deeplense_hf.tasks.classification import ClassificationTask
from deeplense_hf.tasks.options import TaskOptions
from deeplense_hf.training.batches import LensBatchDataset, LensCollator
from deeplense_hf.training.method_options import MethodOptions
from deeplense_hf.training.options import TrainOptions
from deeplense_hf.training.setup import build_model_and_processor
from deeplense_hf.training.streaming import StreamedLenses, SystemStream

WARM_UP = 6


def endless(loader: Callable[[], torch.utils.data.DataLoader]) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of epoch after epoch."""
    while True:
        yield from loader()


def ways_to_feed(
    options: argparse.Namespace, splits: DatasetDict, task: ClassificationTask, collator: Any
) -> dict[str, Callable[[int], Iterator[dict[str, torch.Tensor]]]]:
    """Return functions from the number of a round to batches without end."""
    augmentation = Augmentation("dihedral", seed=0)
    cached = LensBatchDataset(splits["train"], task.targets(splits["train"]), augmentation)
    load: Any = partial(torch.utils.data.DataLoader, batch_size=options.batch_size, collate_fn=collator)

    def stream(number: int, workers: int) -> Iterator[dict[str, torch.Tensor]]:
        data = StreamedLenses(SystemStream(options.recipe, seed=0), task, 10**6, 1, augmentation)
        data.sampler.set_epoch(number)
        return iter(load(data, sampler=data.sampler, num_workers=workers))

    def read(number: int) -> Iterator[dict[str, torch.Tensor]]:
        return endless(lambda: load(cached, shuffle=True))

    first = next(read(0))
    names = {f"stream, {workers} workers": partial(stream, workers=workers) for workers in options.workers}
    return {"memory": lambda number: repeat(first), "cached": read, **names}


def measure(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[dict[str, torch.Tensor]],
    device: torch.device,
    steps: int,
) -> dict[str, float]:
    """Train for some steps and return steps per second and the share of the time spent waiting for data."""
    waited = 0.0
    start = time.perf_counter()
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            waited, start = 0.0, time.perf_counter()
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        inputs = {name: tensor.to(device) for name, tensor in batch.items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        # reading the loss waits for the device
        loss.item()
    seconds = time.perf_counter() - start
    return {"steps_per_second": steps / seconds, "waiting": waited / seconds}


def simulated_alone(recipe: str, batch_size: int, batches: int) -> float:
    """Batches per second of one core that does nothing else."""
    stream = SystemStream(recipe, seed=0)
    stream.simulate(range(batch_size))
    start = time.perf_counter()
    for number in range(1, batches + 1):
        stream.simulate(range(number * batch_size, (number + 1) * batch_size))
    return batches / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="model_1", help="recipe to train on")
    parser.add_argument("--model", default="deeplense-swin-tiny", help="named size of the model")
    parser.add_argument("--device", default="cpu", help="where the model computes")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of the model")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="processes that simulate")
    parser.add_argument("--batch_size", type=int, default=64, help="systems of a step")
    parser.add_argument("--images_per_class", type=int, default=256, help="systems per class of the cached data set")
    parser.add_argument("--steps", type=int, default=30, help="steps per round")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every way; the best counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    splits = load_lenses(options.recipe, images_per_class=options.images_per_class)
    task = ClassificationTask.from_dataset(splits, TaskOptions(), options.recipe)
    train_options = TrainOptions(dataset=options.recipe, model=options.model)
    model, processor = build_model_and_processor(train_options, MethodOptions(), task, splits)
    model = model.to(options.device)
    optimizer = torch.optim.AdamW(model.parameters())
    alone = simulated_alone(options.recipe, options.batch_size, batches=4)
    ways = ways_to_feed(options, splits, task, LensCollator(processor))
    best: dict[str, dict[str, Any]] = {}
    for number in range(options.rounds):
        for name, way in ways.items():
            result = measure(model, optimizer, way(number), device, options.steps)
            if name not in best or result["steps_per_second"] > best[name]["steps_per_second"]:
                best[name] = {key: round(value, 3) for key, value in result.items()}
    print(f"simulated alone: {alone:.2f} batches/s, {alone * options.batch_size:.0f} images/s on one core")
    print(f"{'way':20} {'steps/s':>8} {'images/s':>9} {'waiting':>8}")
    for name, result in best.items():
        speed = result["steps_per_second"]
        print(f"{name:20} {speed:8.2f} {speed * options.batch_size:9.0f} {result['waiting']:8.1%}")
    simulated = {"simulated_alone_batches_per_second": round(alone, 3)}
    print(json.dumps({"benchmark": "streaming", **vars(options), **simulated, "ways": best}))


if __name__ == "__main__":
    main()
