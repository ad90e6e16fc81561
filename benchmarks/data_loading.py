"""Images per second of random batches: the project's decoder beside plain `datasets`, a DataLoader and `.npy` files.

    python benchmarks/data_loading.py --images 10000 --size 64

A data set is written as every build writes it, loaded with `load_dataset` (memory-mapped Arrow), and read in batches of
64 rows in random order, on one core. The ways take turns and the best of several rounds counts, so that other work on
the machine hits all of them. Times are of the wall clock; files are in the page cache. Prints a table and a JSON line.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch
from datasets import Dataset, disable_progress_bars, load_dataset

from deeplense_hf.data.build import SplitPlan, write_dataset
from deeplense_hf.data.card import DatasetCard
from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.records import RecordBatch
from deeplense_hf.data.schema import IMAGE, SYSTEM_ID, features

NAMES = ("no_sub", "cdm", "axion")


def build(folder: Path, images: np.ndarray, npy_folder: Path) -> Dataset:
    """Write images as a data set and as files, and load the data set."""
    count, bands, height, width = images.shape
    labels = np.arange(count) % len(NAMES)
    batch = RecordBatch(images, labels, {SYSTEM_ID: [str(row) for row in range(count)]})
    card = DatasetCard(
        title="Noise",
        summary="For a benchmark.",
        class_counts={"train": {name: int((labels == label).sum()) for label, name in enumerate(NAMES)}},
        image_shape=(bands, height, width),
        details="",
        origin="benchmarks/data_loading.py",
    )
    declared = features(NAMES, bands, height, width)
    write_dataset(folder, declared, {"train": SplitPlan(count, [batch])}, {"fingerprint": "benchmark"}, card)
    npy_folder.mkdir()
    for row, image in enumerate(images):
        np.save(npy_folder / f"{row}.npy", image)
    return load_dataset(str(folder), split="train", cache_dir=str(folder.parent / "arrow"))


def ways_to_read(dataset: Dataset, npy_folder: Path, batch_size: int) -> dict[str, Callable[[np.ndarray], Iterator]]:
    """Return functions from an order of rows to batches of images."""
    decoder = LensImageDecoder(dataset)
    torch_format = dataset.select_columns([IMAGE]).with_format("torch")
    numpy_format = dataset.select_columns([IMAGE]).with_format("numpy")

    def cut(order: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]

    def decode(order: np.ndarray) -> Iterator[np.ndarray]:
        return (decoder[rows] for rows in cut(order))

    def loader(source: torch.utils.data.Dataset, order: np.ndarray, collate: Callable) -> Iterator:
        return iter(
            torch.utils.data.DataLoader(source, batch_size=batch_size, sampler=order.tolist(), collate_fn=collate)
        )

    class DecodedRows(torch.utils.data.Dataset):
        def __getitems__(self, rows: list[int]) -> np.ndarray:
            return decoder[rows]

        def __getitem__(self, row: int) -> np.ndarray:
            return decoder[row]

    return {
        "LensImageDecoder": decode,
        "DataLoader over LensImageDecoder": lambda order: loader(DecodedRows(), order, torch.from_numpy),
        "datasets, Array3D, torch format": lambda order: (torch_format[rows][IMAGE] for rows in cut(order)),
        "datasets, Array3D, numpy format": lambda order: (numpy_format[rows][IMAGE] for rows in cut(order)),
        "DataLoader over torch format": lambda order: loader(
            torch_format, order, lambda rows: torch.stack([row[IMAGE] for row in rows])
        ),
        "one .npy per file": lambda order: (
            np.stack([np.load(npy_folder / f"{row}.npy") for row in rows]) for rows in cut(order)
        ),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="rows of the data set")
    parser.add_argument("--size", type=int, default=64, help="side of an image [pixels]")
    parser.add_argument("--bands", type=int, default=1, help="bands of an image")
    parser.add_argument("--batch_size", type=int, default=64, help="rows of a batch")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every way; the best counts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    disable_progress_bars()
    random = np.random.default_rng(0)
    images = random.normal(size=(options.images, options.bands, options.size, options.size)).astype(np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        npy_folder = Path(scratch) / "npy"
        dataset = build(Path(scratch) / "dataset", images, npy_folder)
        ways = ways_to_read(dataset, npy_folder, options.batch_size)
        seconds = dict.fromkeys(ways, float("inf"))
        for _ in range(options.rounds):
            order = random.permutation(options.images)
            for name, way in ways.items():
                start = time.perf_counter()
                batches = [len(batch) for batch in way(order)]
                seconds[name] = min(seconds[name], time.perf_counter() - start)
                if sum(batches) != options.images:
                    raise SystemExit(f"{name} returned {sum(batches)} images, expected {options.images}.")
        first = order[: options.batch_size]
        for name, way in ways.items():
            if not np.array_equal(np.asarray(next(way(first))), images[first]):
                raise SystemExit(f"{name} returned other pixels than were written.")
        del ways, dataset
    speeds = {name: round(options.images / value) for name, value in seconds.items()}
    plain = speeds["datasets, Array3D, torch format"]
    print(f"{'way':36} {'images/s':>10} {'ratio':>7}")
    for name, speed in speeds.items():
        print(f"{name:36} {speed:10,d} {speed / plain:7.1f}")
    print(json.dumps({"benchmark": "data_loading", **vars(options), "images_per_second": speeds}))


if __name__ == "__main__":
    main()
