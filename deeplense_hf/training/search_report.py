"""What a search found: a table, the best options, importances and plots."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from optuna.trial import TrialState

from deeplense_hf.evaluation.figure_style import COLOURS, GREY, new_figure
from deeplense_hf.option_parser import options_as_dict

REPORT_FILE = "search_report.json"
TRIALS_FILE = "trials.csv"
BEST_OPTIONS_FILE = "best_options.yaml"


def write_report(study: Any, folder: Path, best_options: Sequence[Any]) -> str:
    """Write what a study found.

    Args:
        study: The study, with at least one complete trial.
        folder: Where to.
        best_options: Options of `train` with the best values; the last ones are the training arguments.

    Returns:
        A short table to print.

    Raises:
        OSError: If the folder cannot be written.
    """
    importances = parameter_importances(study)
    states = [trial.state.name for trial in study.trials]
    report = {
        "best_value": study.best_value,
        "best_trial": study.best_trial.number,
        "best_options": study.best_params,
        "importances": importances,
        "trials": {state.lower(): states.count(state) for state in sorted(set(states))},
    }
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    study.trials_dataframe().to_csv(folder / TRIALS_FILE, index=False)
    *plain, arguments = best_options
    values = options_as_dict(*plain) | arguments.changed()
    for name in ("overwrite", "output_dir", "disable_tqdm"):
        values.pop(name, None)
    text = yaml.safe_dump(values, sort_keys=False)
    (folder / BEST_OPTIONS_FILE).write_text(f"# best options of the search; train --config reads them\n{text}")
    figures = {"history.png": history_figure(study), "slices.png": slices_figure(study)}
    if importances:
        figures["importances.png"] = importances_figure(importances)
    for name, figure in figures.items():
        FigureCanvasAgg(figure).print_png(str(folder / name), metadata={"Software": None})
    lines = [f"{sum(report['trials'].values())} trials ({_counts(report['trials'])}), best {study.best_value:.4f}"]
    lines += [
        f"  {name} = {value:.4g}" if isinstance(value, float) else f"  {name} = {value}"
        for name, value in study.best_params.items()
    ]
    return "\n".join([*lines, f"report, plots and {BEST_OPTIONS_FILE}: {folder}"])


def parameter_importances(study: Any) -> dict[str, float]:
    """Estimate how much of the variance of the score each option explains.

    Args:
        study: The study.

    Returns:
        Shares by option, the largest first; nothing where too few trials differ.

    Source:
        fANOVA: Hutter et al. (2014), by Optuna.
    """
    try:
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (RuntimeError, ValueError):
        return {}
    return {name: float(value) for name, value in found.items()}


def history_figure(study: Any) -> Figure:
    """Draw the score of every trial and the best so far."""
    figure = new_figure(5.5, 3.6)
    axes = figure.add_subplot()
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED and trial.value is not None]
    if pruned:
        numbers, values = [trial.number for trial in pruned], [trial.value for trial in pruned]
        axes.plot(numbers, values, "x", color=GREY, label="pruned")
    numbers, values = [trial.number for trial in done], [trial.value for trial in done]
    choose = max if study.direction == optuna.study.StudyDirection.MAXIMIZE else min
    axes.plot(numbers, values, "o", color=COLOURS[0], markersize=4, label="trial")
    best = [choose(values[: index + 1]) for index in range(len(values))]
    axes.step(numbers, best, where="post", color=COLOURS[1], linewidth=1.4, label="best so far")
    axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel="trial", ylabel="validation score", title="History of the search")
    return figure


def importances_figure(importances: dict[str, float]) -> Figure:
    """Draw the importance of every option."""
    figure = new_figure(5.5, 1.4 + 0.3 * len(importances))
    axes = figure.add_subplot()
    names = list(importances)[::-1]
    axes.barh(names, [importances[name] for name in names], color=COLOURS[0])
    axes.set(xlabel="share of the score's variance", title="Importance of options")
    return figure


def slices_figure(study: Any) -> Figure:
    """Draw the score against every option."""
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    names = sorted({name for trial in done for name in trial.params})
    figure = new_figure(min(2.6 * len(names), 13) + 0.6, 3.2)
    grid = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(grid, names, strict=True):
        pairs = [(trial.params[name], trial.value) for trial in done if name in trial.params]
        texts = any(not isinstance(value, int | float) or isinstance(value, bool) for value, _ in pairs)
        axes.plot([str(value) if texts else value for value, _ in pairs], [score for _, score in pairs], "o", ms=4)
        if any(getattr(trial.distributions.get(name), "log", False) for trial in done):
            axes.set_xscale("log")
        axes.set_xlabel(name, fontsize=8)
    grid[0].set_ylabel("validation score")
    return figure


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items())
