"""Build a data set of every recipe, load it with `load_dataset`, and train on it for about a minute.

    python benchmarks/every_recipe.py --output_dir every_recipe

Shows that every recipe can be learnt from, not how well: the data sets are small and the training short. Recipes that
need an extra which is not installed are named and left out. The last line is JSON.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from datasets import load_dataset

from deeplense_hf.simulation.recipes import RECIPES

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
# pyHalo takes seconds for a system, so that its recipes are built smaller.
SLOW = {"model_4": 6, "model_4_corrected": 30}


def run(*command: str) -> tuple[int, str, float]:
    start = time.monotonic()
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    return result.returncode, f"{result.stdout}\n{result.stderr}".strip(), time.monotonic() - start


def try_recipe(name: str, options: argparse.Namespace) -> dict[str, Any]:
    data, model = options.output_dir / "data" / name, options.output_dir / "model" / name
    count = SLOW.get(name, options.images_per_class)
    status, text, build_seconds = run(
        str(SCRIPTS / "simulate.py"), "--recipe", name, "--images_per_class", str(count), "--output_dir", str(data)
    )
    if status:
        return {"recipe": name, "problem": text.splitlines()[-1]}
    splits = load_dataset(str(data.resolve()))
    image_size = min(64, RECIPES[name].instrument.image_size)
    once = ("--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "False", "--overwrite")
    status, text, train_seconds = run(
        str(SCRIPTS / "train.py"), "--dataset", str(data), "--max_steps", str(options.max_steps),
        "--image_size", str(image_size), "--output_dir", str(model), *once,
    )  # fmt: skip
    if status:
        return {"recipe": name, "problem": text.splitlines()[-1]}
    metrics = json.loads((model / "metrics.json").read_text(encoding="utf-8"))
    return {
        "recipe": name,
        "images": sum(map(len, splits.values())),
        "build_seconds": round(build_seconds, 1),
        "train_seconds": round(train_seconds, 1),
        "bytes": sum(path.stat().st_size for path in data.rglob("*.parquet")),
        "test_roc_auc": round(metrics["metrics"]["roc_auc"]["value"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for data sets and models")
    parser.add_argument("--recipes", nargs="+", default=[name for name in RECIPES if name != "test"], choices=RECIPES)
    parser.add_argument("--images_per_class", type=int, default=400)
    parser.add_argument("--max_steps", type=int, default=100)
    options = parser.parse_args()
    print(f"{'recipe':25} {'images':>7} {'build [s]':>10} {'train [s]':>10} {'MB':>7} {'test ROC AUC':>13}")
    results = []
    for name in options.recipes:
        row = try_recipe(name, options)
        results.append(row)
        if "problem" in row:
            print(f"{name:25} {row['problem']}", flush=True)
            continue
        print(
            f"{name:25} {row['images']:>7} {row['build_seconds']:>10} {row['train_seconds']:>10} "
            f"{row['bytes'] / 1e6:>7.1f} {row['test_roc_auc']!s:>13}",
            flush=True,
        )
    print(json.dumps({"benchmark": "every_recipe", "results": results}))


if __name__ == "__main__":
    main()
