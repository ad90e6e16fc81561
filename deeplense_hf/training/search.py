"""The command `search`: hyper-parameters by Optuna, resumable and shared by processes."""

import contextlib
import io
import json
import logging
import math
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from deeplense_hf.option_parser import options_as_dict
from deeplense_hf.tasks.options import TaskOptions

from .method_options import MethodOptions
from .options import TrainOptions
from .search_options import SearchOptions
from .search_space import Space, checked_space, options_of_trial, read_space

if TYPE_CHECKING:
    from .arguments import LensTrainingArguments

logger = logging.getLogger(__name__)

_HEARTBEAT_SECONDS, _GRACE_SECONDS = 5, 20
# trials that may fail before a search gives up, beyond those that it wants
_SPARE_TRIALS = 10


def search(
    search_options: SearchOptions,
    options: TrainOptions,
    task_options: TaskOptions,
    method_options: MethodOptions,
    arguments: "LensTrainingArguments",
) -> None:
    """Search the options of `train` that give the best validation score; the test split is never looked at.

    Args:
        search_options: What is searched, how and for how long.
        options: What all trials have in common.
        task_options: What all trials have in common.
        method_options: What all trials have in common.
        arguments: What all trials have in common.

    Raises:
        ImportError: If Optuna is missing.
        ValueError: If options do not fit, the study has others, or all trials fail.
        OSError: If the study cannot be read or written.
    """
    optuna = _optuna()
    if arguments.world_size > 1:
        raise ValueError(
            f"a search trains one model at a time, and {arguments.world_size} processes were started for it; start "
            "several searches with the same --study_dir instead."
        )
    if arguments.resume_from_checkpoint:
        raise ValueError(
            f"resume_from_checkpoint={arguments.resume_from_checkpoint} belongs to one training, and a search goes on "
            "by itself where it stopped; give the same command without it."
        )
    from deeplense_hf.tasks.registry import TASKS

    from .option_effects import check_effects
    from .search_report import write_report
    from .setup import use_metric_of

    together = (options, task_options, method_options, arguments)
    known = [field.name for instance in together for field in fields(instance) if field.init]
    path = Path(search_options.search_space)
    space = checked_space(path, read_space(path, known), together)
    # what depends on a drawn value may act in some trials
    check_effects(together, given=space, undecided=space)
    use_metric_of(TASKS[task_options.task], arguments)
    direction = "maximize" if arguments.greater_is_better else "minimize"
    study = _study(optuna, search_options, space, together, direction)
    _run_trials(optuna, study, search_options, space, together)
    done = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not done and any(trial.state == optuna.trial.TrialState.RUNNING for trial in study.trials):
        print("other searches are still at the trials that were asked for; the last of them reports.")
        return
    if not done:
        reasons = [trial.user_attrs["error"] for trial in study.trials if "error" in trial.user_attrs]
        raise ValueError(
            f"none of the {len(study.trials)} trials was completed"
            f"{'; the first one failed: ' + reasons[0] if reasons else ''}"
        )
    best = options_of_trial(together, study.best_params, Path(search_options.study_dir) / "best")
    print(write_report(study, Path(search_options.study_dir), best))


def _optuna() -> Any:
    """Import Optuna, quietly."""
    try:
        import optuna
    except ImportError:
        raise ImportError("search needs Optuna. Install it with: pip install 'deeplense-hf[search]'") from None
    # a failed trial gets one sentence of ours instead of a traceback
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # what is used of it that may change is named in the tests
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _study(optuna: Any, search_options: SearchOptions, space: Space, together: Sequence[Any], direction: str) -> Any:
    """Open or make the study, and refuse one of another search."""
    folder = Path(search_options.study_dir)
    folder.mkdir(parents=True, exist_ok=True)
    url = search_options.storage or f"sqlite:///{(folder / 'study.db').resolve()}"
    # searches that start together must not both make the tables
    with FileLock(folder / "study.lock"):
        storage = optuna.storages.RDBStorage(
            url,
            heartbeat_interval=_HEARTBEAT_SECONDS,
            grace_period=_GRACE_SECONDS,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=1),
        )
        study = optuna.create_study(
            storage=storage,
            study_name=search_options.study_name,
            direction=direction,
            load_if_exists=True,
            sampler=_sampler(optuna, search_options, space, 0),
            pruner=_pruner(optuna, search_options.pruner),
        )
    fixed = _fixed(together) | {"search_space": {name: repr(entry) for name, entry in space.items()}}
    earlier = study.user_attrs.get("fixed")
    if earlier is None:
        study.set_user_attr("fixed", json.dumps(fixed, default=str))
        return study
    before, now = json.loads(earlier), json.loads(json.dumps(fixed, default=str))
    for name in sorted({*before, *now}):
        if before.get(name, _DEFAULT) != now.get(name, _DEFAULT):
            raise ValueError(
                f"the study '{search_options.study_name}' in {folder} has {name}={before.get(name, _DEFAULT)!r}, not "
                f"{now.get(name, _DEFAULT)!r}; give the same options, another --study_name or another --study_dir."
            )
    return study


_DEFAULT = "the default"


def _fixed(together: Sequence[Any]) -> dict[str, Any]:
    """Return the options that all trials share."""
    *plain, arguments = together
    values = options_as_dict(*plain) | arguments.changed()
    for name in ("overwrite", "output_dir", "cpu_threads"):
        values.pop(name, None)
    return values


def _sampler(optuna: Any, search_options: SearchOptions, space: Space, number: int) -> Any:
    """Make the sampler of a trial; by its number, so that processes and resumed searches draw different ones."""
    seed = search_options.sampler_seed + number
    if search_options.sampler == "grid":
        grid = {name: entry.grid(name) for name, entry in space.items()}
        return optuna.samplers.GridSampler(grid, seed=search_options.sampler_seed)
    if search_options.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _pruner(optuna: Any, name: str) -> Any:
    """Make the pruner."""
    pruners = {
        "none": optuna.pruners.NopPruner,
        "median": optuna.pruners.MedianPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
    }
    return pruners[name]()


def _run_trials(optuna: Any, study: Any, search_options: SearchOptions, space: Space, together: Sequence[Any]) -> None:
    """Run trials until the study has enough, counting those of other processes."""
    from tqdm import tqdm

    states = optuna.trial.TrialState
    counted = (states.COMPLETE, states.PRUNED, states.RUNNING)
    folder = Path(search_options.study_dir)

    def objective(trial: Any) -> float:
        if search_options.sampler != "grid":
            study.sampler = _sampler(optuna, search_options, space, trial.number)
        values = {name: entry.suggest(trial, name) for name, entry in space.items()}
        return _run_trial(optuna, trial, together, values, folder / f"trial-{trial.number:05d}")

    spare = _SPARE_TRIALS
    with tqdm(total=search_options.trials, desc="searching", unit="trial") as bar:
        while True:
            optuna.storages.fail_stale_trials(study)
            count = sum(trial.state in counted for trial in study.trials)
            bar.update(min(count, search_options.trials) - bar.n)
            exhausted = search_options.sampler == "grid" and study.sampler.is_exhausted(study)
            if count >= search_options.trials or exhausted or spare < 0:
                return
            before = len(study.trials)
            study.optimize(objective, n_trials=1, catch=(ValueError, RuntimeError, MemoryError))
            failed = [trial for trial in study.trials[before:] if trial.state == states.FAIL]
            spare -= bool(failed)
            if not search_options.keep_models:
                _keep_best(study, states, folder)


def _run_trial(optuna: Any, trial: Any, together: Sequence[Any], values: dict[str, Any], output_dir: Path) -> float:
    """Train one trial and return its best validation score."""
    from transformers import TrainerCallback

    from .run import run_training

    class ReportingCallback(TrainerCallback):
        """Tell Optuna of every evaluation, and stop a trial that does not look good."""

        pruned = False
        last_value, last_percent = math.nan, -1

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
            name = f"eval_{str(args.metric_for_best_model).removeprefix('eval_')}"
            value = (metrics or {}).get(name)
            if value is None or not math.isfinite(value):
                return
            percent = 100 * state.global_step // max(1, state.max_steps)
            if percent <= self.last_percent:
                # closer evaluations than can be told apart
                return
            # Trials of other batch sizes and lengths compare by the share of their training that is done, each by what
            # was known of it by then.
            for missed in range(self.last_percent + 1, percent) if self.last_percent >= 0 else ():
                trial.report(self.last_value, step=missed)
            trial.report(value, step=percent)
            self.last_value, self.last_percent = value, percent
            if trial.should_prune():
                self.pruned = control.should_training_stop = True

    reporting = ReportingCallback()
    try:
        # what a killed trial of the same number left is of no use
        shutil.rmtree(output_dir, ignore_errors=True)
        with contextlib.redirect_stdout(io.StringIO()):
            chosen = options_of_trial(together, values, output_dir)
            result = run_training(*chosen, callbacks=[reporting], look_at_test=False)
    except (ValueError, RuntimeError, MemoryError) as error:
        sentence = " ".join(str(error).split())
        logger.warning("trial %d failed: %s", trial.number, sentence)
        trial.set_user_attr("error", sentence)
        raise
    if reporting.pruned:
        raise optuna.TrialPruned
    if result.best_metric is None or not math.isfinite(result.best_metric):
        trial.set_user_attr("error", f"the validation score {result.metric} is not a number")
        raise ValueError(f"the validation score {result.metric} of trial {trial.number} is not a number.")
    return float(result.best_metric)


def _keep_best(study: Any, states: Any, folder: Path) -> None:
    """Remove the models of trials that are over and not the best."""
    over = [trial for trial in study.trials if trial.state in (states.COMPLETE, states.PRUNED, states.FAIL)]
    complete = any(trial.state == states.COMPLETE for trial in over)
    best = study.best_trial.number if complete else None
    for trial in over:
        if trial.number != best:
            shutil.rmtree(folder / f"trial-{trial.number:05d}", ignore_errors=True)
