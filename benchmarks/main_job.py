"""Run the README's first command with an empty cache; measure time, memory and the quality of the result.

    python benchmarks/main_job.py
    python benchmarks/main_job.py --original_files ../shared/data/original_formats/Model_I_test

The second line also asks how the model does on original files of DeepLense Model I. Prints a table and a JSON line.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(command: list[str], environment: dict[str, str]) -> float:
    """Run a command, showing its output, and return the seconds it took.

    Raises:
        SystemExit: If it fails.
    """
    start = time.monotonic()
    status = subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(f"error: {' '.join(command)} ended with status {status}.")
    return time.monotonic() - start


def main() -> None:
    """Measure the main job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original_files", help="folder of original files with classes to evaluate on as well")
    parser.add_argument("train_options", nargs="*", help="options handed on to scripts/train.py, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="deeplense-main-job-") as name:
        work = Path(name)
        environment = os.environ | {"DEEPLENSE_HF_CACHE": str(work / "cache"), "HF_HOME": str(work / "huggingface")}
        launch = [sys.executable, "-m", "accelerate.commands.launch", "scripts/train.py"]
        seconds = run([*launch, "--output_dir", str(work / "run"), *options.train_options], environment)
        metrics = json.loads((work / "run" / "metrics.json").read_text())["metrics"]
        result = {
            "benchmark": "main_job",
            "seconds": round(seconds, 1),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
            "roc_auc": metrics["roc_auc"]["value"],
            "accuracy": metrics["accuracy"]["value"],
        }
        if options.original_files:
            command = [sys.executable, "-m", "deeplense_hf.cli", "evaluate", "--model", str(work / "run")]
            command += ["--dataset", options.original_files, "--output_dir", str(work / "original")]
            run(command, environment)
            original = json.loads((work / "original" / "metrics.json").read_text())
            result["original_files_roc_auc"] = original["metrics"]["roc_auc"]["value"]
            result["original_files_n"] = original["n"]
    for key, value in result.items():
        print(f"{key:>24}  {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
