"""Simulate a large data set with the command `simulate`; measure time, memory of every process, and size on the disk.

    python benchmarks/simulation_scale.py --recipe model_2_noisy --images_per_class 33334

The data set is written into a temporary folder, also read once with `load_dataset`, and removed. Memory is the highest
resident size of the command and of each worker, read from /proc (Linux). Prints a table and a JSON line.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def children(process: int) -> list[int]:
    """Processes that a process started, from any of its threads."""
    found = []
    for listing in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [int(word) for word in listing.read_text().split()]
        except OSError:
            # the thread has ended
            continue
    return found


def peak_mebibytes(process: int) -> float:
    """Highest resident size of a process so far [MiB]."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)


def watch(command: subprocess.Popen[bytes]) -> tuple[float, dict[int, float]]:
    """Wait for the command; return its highest resident size and those of its workers [MiB]."""
    own = 0.0
    workers: dict[int, float] = {}
    while command.poll() is None:
        own = max(own, peak_mebibytes(command.pid))
        for worker in children(command.pid):
            workers[worker] = max(workers.get(worker, 0.0), peak_mebibytes(worker))
        time.sleep(0.2)
    return own, workers


def load(folder: Path, cache: Path) -> tuple[int, float]:
    """Load the data set into an empty cache; return its rows and the seconds that it took."""
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    start = time.perf_counter()
    splits = load_dataset(str(folder), cache_dir=str(cache))
    return sum(map(len, splits.values())), time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="model_2_noisy", help="recipe to simulate")
    parser.add_argument("--images_per_class", type=int, default=33_334, help="systems of each class")
    parser.add_argument("--num_workers", type=int, help="worker processes; by default as many as there are cores")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--no_load", action="store_true", help="do not read the data set afterwards")
    options, more = parser.parse_known_args()
    words = ["--recipe", options.recipe, "--images_per_class", str(options.images_per_class), *more]
    if options.num_workers:
        words += ["--num_workers", str(options.num_workers)]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch) / "set"
        start = time.perf_counter()
        command = subprocess.Popen(
            [sys.executable, "-m", "deeplense_hf.cli", "simulate", "--output_dir", str(folder), *words]
        )
        own, workers = watch(command)
        seconds = time.perf_counter() - start
        if command.returncode:
            raise SystemExit(command.returncode)
        provenance = json.loads((folder / "provenance.json").read_text())
        images = sum(sum(counts.values()) for counts in provenance["counts"].values())
        result = {
            "images": images,
            "seconds": round(seconds, 1),
            "images_per_second": round(images / seconds),
            "command_mebibytes": round(own),
            "worker_mebibytes": [round(peak) for peak in workers.values()],
            "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            "shards": len(provenance["shards"]),
        }
        if not options.no_load:
            rows, load_seconds = load(folder, Path(scratch) / "arrow")
            result["load_seconds"] = round(load_seconds, 1)
            if rows != images:
                raise SystemExit(f"{rows} rows were loaded, expected {images}.")
    for name, value in result.items():
        print(f"{name:20} {value}")
    print(json.dumps({"benchmark": "simulation_scale", "recipe": options.recipe, "more": more, **result}))


if __name__ == "__main__":
    main()
