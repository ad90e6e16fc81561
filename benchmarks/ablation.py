"""Which choices pay: a declared grid of trainings, all with the same CPU time, measured on validation systems.

    python benchmarks/ablation.py                      # everything, two cells at a time; goes on after a kill
    python benchmarks/ablation.py --groups stem loss   # some groups
    python benchmarks/ablation.py --report_only        # the table and the plot of what is there

Every cell is `scripts/train.py` with the options of the reference, which were the defaults before this study, and the
cell's own, on one thread. First a few steps of it and of the reference are timed one after the other, so that both find
the machine equally busy; then it trains for as many steps as cost what `--budget` steps of the reference cost, with a
complete learning-rate schedule. The test split is not looked at: what is chosen here is chosen on validation systems.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ablation_grid import GRID, Cell
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
WARM_UP_STEPS, TIMED_STEPS = 3, 8


def run_cell(cell: Cell, seed: int, budget: float, folder: Path) -> dict[str, Any]:
    """Time and train one cell, in this process.

    Args:
        cell: What is trained.
        seed: Seed of weights, order and augmentation.
        budget: Steps of the reference whose CPU time it may take.
        folder: Where it is trained.

    Returns:
        Steps, seconds per step, parameters and the scores on the validation split.
    """
    from transformers import TrainerCallback

    from deeplense_hf.cli import parse_options
    from deeplense_hf.training.run import run_training

    class Clock(TrainerCallback):
        """Keep the CPU time at the end of each step."""

        def __init__(self) -> None:
            self.times: list[float] = []
            self.parameters = 0

        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            self.parameters = sum(weight.numel() for weight in model.parameters())

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.times.append(time.process_time())

    # a cell may build on the model of another one
    cell_words = [word.replace("{models}", str(folder.parent)) for word in cell.words]
    data_options = parse_options("train", cell_words)[0]

    def train(name: str, steps: int, words_of_cell: list[str]) -> Clock:
        clock = Clock()
        words = ["--output_dir", str(folder / name), "--overwrite", "--max_steps", str(steps), "--seed", str(seed)]
        words += ["--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", "false"]
        words += ["--use_cpu", "--cpu_threads", "1", "--disable_tqdm", "true"]
        run_training(*parse_options("train", words + words_of_cell), callbacks=[clock], look_at_test=False)
        return clock

    if cell.trained_as:
        return evaluated(cell, seed, folder, parse_options("train", cell_words)[0])

    def seconds_per_step(words_of_cell: list[str]) -> float:
        times = train("timing", WARM_UP_STEPS + TIMED_STEPS, words_of_cell).times
        return (times[-1] - times[WARM_UP_STEPS - 1]) / (len(times) - WARM_UP_STEPS)

    reference, seconds = seconds_per_step(GRID[0].words), seconds_per_step(cell_words)
    steps = max(WARM_UP_STEPS + TIMED_STEPS, round(budget * reference / seconds))
    clock = train("run", steps, cell_words)
    return evaluated(cell, seed, folder, data_options) | {
        "steps": steps,
        "seconds_per_step": round(seconds, 4),
        "relative_cost_of_a_step": round(seconds / reference, 3),
        "cpu_seconds": round(clock.times[-1] - clock.times[0], 1),
        "parameters": clock.parameters,
    }


def evaluated(cell: Cell, seed: int, folder: Path, data_options: Any) -> dict[str, Any]:
    """Score a cell's model, or the changed one of another cell, on the validation split.

    Args:
        cell: The cell.
        seed: Its seed.
        folder: Its folder.
        data_options: Options of the data set.

    Returns:
        The scores, and what a cell that trains replaces.
    """
    from deeplense_hf.data.loading import load_lenses
    from deeplense_hf.evaluation.run import evaluate_model
    from deeplense_hf.inference.predictor import Predictor

    splits = load_lenses(
        data_options.dataset, seed=data_options.simulation_seed, images_per_class=data_options.images_per_class
    )
    trained = folder.parent / f"{cell.trained_as}-{seed}" if cell.trained_as else folder
    predictor = Predictor.from_pretrained(trained / "run", "cpu")
    for name, value in cell.changes:
        setattr(predictor.model.config, name, value)
    report = evaluate_model(
        predictor.model,
        predictor.processor,
        splits["validation"],
        output_dir=folder / "validation",
        model_name=cell.name,
        dataset_name=data_options.dataset,
        split="validation",
        bootstrap_samples=0,
    )
    return {
        "cell": cell.name,
        "group": cell.group,
        "seed": seed,
        "steps": 0,
        "parameters": predictor.model.num_parameters(),
        "validation_images": report.n,
        "metrics": {name: measurement.value for name, measurement in report.metrics.items()},
    }


def result_path(output_dir: Path, cell: Cell, seed: int) -> Path:
    """Return where a cell's result is kept."""
    return output_dir / "cells" / f"{cell.name}-seed-{seed}.json"


def run_in_process(cell: Cell, seed: int, budget: float, output_dir: Path) -> None:
    """Train one cell in a process of its own, unless its result is there."""
    path = result_path(output_dir, cell, seed)
    if path.exists():
        return
    command = [sys.executable, __file__, "--cell", cell.name, "--seed", str(seed), "--budget", str(budget)]
    command += ["--output_dir", str(output_dir)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        tqdm.write(f"{cell.name}, seed {seed}: {last}")


def report(output_dir: Path, budget: float) -> str:
    """Write the table and the plot of all results, and return the table.

    Args:
        output_dir: Folder of the results.
        budget: Steps of the reference, for the heading.

    Returns:
        Markdown.
    """
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for cell in GRID:
        for seed in cell.seeds:
            path = result_path(output_dir, cell, seed)
            if path.exists():
                results[cell.name].append(json.loads(path.read_text()))
    lines = [f"Validation scores; every training took the CPU time of {budget:g} steps of the reference.", ""]
    for group in dict.fromkeys(cell.group for cell in GRID):
        cells = [cell for cell in GRID if cell.group == group and results[cell.name]]
        if not cells:
            continue
        lines += [f"**{group}**", "", "| cell | score | | seeds | images seen | parameters |"]
        lines += ["|---|---|---|---|---|---|"]
        for cell in cells:
            runs = results[cell.name]
            values = [run["metrics"].get(cell.metric, float("nan")) for run in runs]
            spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
            images = statistics.mean(run["steps"] for run in runs) * cell.batch_size
            columns = [cell.name, cell.metric, f"{statistics.mean(values):.4f}{spread}", str(len(values))]
            columns += [f"{images:,.0f}", f"{runs[0]['parameters']:,}"]
            lines.append(f"| {' | '.join(columns)} |")
        lines.append("")
    table = "\n".join(lines)
    (output_dir / "ablation.md").write_text(table)
    draw(results, output_dir / "ablation.png")
    return table


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw the scores of all cells that classify the same images, a dot for each seed and a line for their mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = [cell for cell in GRID if results[cell.name] and cell.is_of_main_study]
    if not cells:
        return
    figure = Figure(figsize=(7, 1.2 + 0.22 * len(cells)), layout="constrained")
    axes = figure.add_subplot()
    groups = list(dict.fromkeys(cell.group for cell in cells))
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
    for row, cell in enumerate(cells):
        values = [run["metrics"]["roc_auc"] for run in results[cell.name]]
        colour = colours[groups.index(cell.group) % len(colours)]
        axes.plot(values, [row] * len(values), "o", color=colour, markersize=4, alpha=0.6)
        axes.plot(statistics.mean(values), row, "|", color=colour, markersize=14, markeredgewidth=2)
    axes.set_yticks(range(len(cells)), [f"{cell.name}  ({cell.group})" for cell in cells], fontsize=7)
    axes.invert_yaxis()
    axes.grid(axis="x", linewidth=0.4)
    axes.set(xlabel="macro ROC AUC on validation systems", title="Equal CPU time per cell")
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> None:
    """Run what is missing of the grid and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/ablation"), help="folder of the results")
    parser.add_argument(
        "--budget", type=float, default=650.0, help="steps of the reference that a cell may take the CPU time of"
    )
    parser.add_argument("--groups", nargs="*", help="groups to run; all when absent")
    parser.add_argument("--cells", nargs="*", help="single cells to run beside these groups")
    parser.add_argument("--parallel", type=int, default=2, help="cells at a time")
    parser.add_argument("--report_only", action="store_true", help="run nothing")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    output_dir = options.output_dir.resolve()
    if options.cell:
        cell = next(cell for cell in GRID if cell.name == options.cell)
        result = run_cell(cell, options.seed, options.budget, output_dir / "runs" / f"{cell.name}-{options.seed}")
        path = result_path(output_dir, cell, options.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
        return
    if not options.report_only:
        wanted = {*(options.groups or ()), *(options.cells or ())}
        chosen = [cell for cell in GRID if not wanted or wanted & {cell.group, cell.name}]
        jobs = [(cell, seed) for cell in chosen for seed in cell.seeds]
        with ThreadPoolExecutor(options.parallel) as pool, tqdm(total=len(jobs), unit="cell") as bar:
            # those that build on others come when all others are done
            for builds in (False, True):
                ready = [job for job in jobs if job[0].builds_on_another is builds]
                for job in [pool.submit(run_in_process, *job, options.budget, output_dir) for job in ready]:
                    job.result()
                    bar.update()
    print(report(output_dir, options.budget))


if __name__ == "__main__":
    main()
