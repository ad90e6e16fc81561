"""The command `train`: the main job, from lens images to a trained and evaluated model folder."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplense_hf.tasks.options import TaskOptions

from .method_options import MethodOptions
from .options import TrainOptions

if TYPE_CHECKING:
    from datasets import DatasetDict

    from deeplense_hf.evaluation.report import EvaluationReport

    from .arguments import LensTrainingArguments
    from .trainer import LensTrainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        output_dir: Folder of the model.
        metric: Name of the validation score by which the best checkpoint was chosen.
        best_metric: Its value; None if nothing was evaluated.
        report: What the test split says; None if it was not looked at.
    """

    output_dir: Path
    metric: str
    best_metric: float | None
    report: "EvaluationReport | None"


def train(
    options: TrainOptions, task_options: TaskOptions, method_options: MethodOptions, arguments: "LensTrainingArguments"
) -> None:
    """Train a model on lens images, evaluate it on held-out systems and save it as a loadable folder.

    The best checkpoint is chosen on the validation split; the test split is looked at once, at the end.

    Args:
        options: Data, model, processing.
        task_options: What is learnt.
        method_options: How the weights are found, beyond the next.
        arguments: How the weights are found, and where everything is written.

    Raises:
        ValueError: If options, data and model do not fit.
        OSError: If something cannot be read or written.
    """
    result = run_training(options, task_options, method_options, arguments)
    if arguments.process_index == 0:
        if result.report is not None:
            print(f"\n{result.report.table()}\n")
        print(f"model, metrics.json and figures: {result.output_dir}")


def run_training(
    options: TrainOptions,
    task_options: TaskOptions,
    method_options: MethodOptions,
    arguments: "LensTrainingArguments",
    *,
    callbacks: Sequence[Any] = (),
    look_at_test: bool = True,
) -> TrainingResult:
    """Train as `train` does, for callers in Python.

    Args:
        options: Data, model, processing.
        task_options: What is learnt.
        method_options: How the weights are found, beyond the next.
        arguments: How the weights are found, and where everything is written.
        callbacks: Further callbacks of transformers' `Trainer`.
        look_at_test: Whether the model is evaluated on the test split in the end; a search must not.

    Returns:
        Where the model is and how good it is.

    Raises:
        ValueError: If options, data and model do not fit.
        OSError: If something cannot be read or written.
    """
    from transformers import set_seed
    from transformers.utils.logging import disable_progress_bar

    from deeplense_hf.tasks.registry import TASKS, task_of_model

    from .batches import LensCollator
    from .checkpoints import choose_output_dir, find_checkpoint, full_disk_explained
    from .finishing import finish_model
    from .option_effects import check_effects
    from .record import TrainingClock
    from .setup import build_model_and_processor, use_cpu_threads, use_metric_of
    from .wiring import build_trainer

    disable_progress_bar()  # bars of loading and saving weights, which take no time
    if not arguments.resume_from_checkpoint:
        # an interrupted run goes on with the options it was started with
        check_effects((options, task_options, method_options, arguments))
    if arguments.device.type == "cpu":
        use_cpu_threads(options.cpu_threads)
    output_dir = choose_output_dir(options, arguments)
    checkpoint = find_checkpoint((options, task_options, method_options), arguments)
    splits = _load(options, arguments)
    task = TASKS[task_options.task].from_dataset(splits, task_options, options.dataset)
    use_metric_of(task, arguments)
    set_seed(arguments.seed)
    model, processor = build_model_and_processor(options, method_options, task, splits)
    # a model that is trained further has its own order of classes and scale of targets
    task = task_of_model(model.config)
    clock = TrainingClock(output_dir)
    trainer = build_trainer(options, method_options, arguments, task, splits, model, processor, (clock, *callbacks))
    if trainer.is_world_process_zero():
        _announce(options, trainer, splits)
        write_options(output_dir, (options, task_options, method_options), arguments)
    with full_disk_explained(output_dir):
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except KeyError as error:
            # as transformers says that the best checkpoint cannot be told
            if str(arguments.metric_for_best_model) not in str(error):
                raise
            raise ValueError(
                f"metric_for_best_model='{arguments.metric_for_best_model}' is no score of {task.name} on these "
                "validation images: it does not exist, or they lack a class or truths; choose another one."
            ) from None
        finish_model(trainer, task, splits, LensCollator(processor))
        trainer.save_model(str(output_dir))
    return TrainingResult(
        output_dir=output_dir,
        metric=str(arguments.metric_for_best_model),
        best_metric=trainer.state.best_metric,
        report=_evaluate(options, trainer, splits, processor, output_dir) if look_at_test else None,
    )


def _load(options: TrainOptions, arguments: "LensTrainingArguments") -> "DatasetDict":
    """Load the splits; of a stream those of the data set of its recipe, size and seed, without the training split."""
    from deeplense_hf.data.loading import load_lenses

    from .setup import with_validation
    from .streaming import streamed_recipe

    streamed = streamed_recipe(options.dataset)
    with arguments.main_process_first(desc="simulating or importing the data set"):
        splits = load_lenses(
            streamed or options.dataset,
            seed=options.simulation_seed,
            images_per_class=options.images_per_class,
            splits=("validation", "test") if streamed else None,
        )
    return splits if streamed else with_validation(splits, options.dataset, options.simulation_seed)


def _announce(options: TrainOptions, trainer: "LensTrainer", splits: "DatasetDict") -> None:
    """Say in three lines what is about to happen."""
    from .streaming import StreamedLenses

    held_out = ", ".join(f"{len(split)} {name}" for name, split in splits.items() if name != "train")
    streamed = isinstance(trainer.train_dataset, StreamedLenses)
    train_data: Any = trainer.train_dataset
    learnt = f"{len(train_data)} {'new training images an epoch' if streamed else 'train'}"
    parameters = trainer.accelerator.unwrap_model(trainer.model).num_parameters()
    processes = trainer.args.world_size
    print(f"data      {options.dataset}: {learnt}{', ' if held_out else ''}{held_out} images")
    print(f"model     {options.model}: {parameters:,} parameters")
    print(f"training  {trainer.args.num_train_epochs:g} epochs on {processes} x {trainer.args.device.type}", flush=True)


def write_options(output_dir: Path, options: Sequence[Any], arguments: "LensTrainingArguments") -> None:
    """Write the options of a run so that `--config` reads them back.

    Args:
        output_dir: Folder of the run.
        options: Dataclasses of options, written whole.
        arguments: Written where they differ from the defaults or decide the weights.

    Raises:
        OSError: If the folder cannot be written.
    """
    import yaml

    from deeplense_hf.option_parser import options_as_dict

    from .checkpoints import OPTIONS_FILE

    values = options_as_dict(*options)
    values.update(arguments.to_repeat())
    # what holds for one start alone, and what must not lie in a folder
    for left_out in ("overwrite", "resume_from_checkpoint", "hub_token"):
        values.pop(left_out, None)
    output_dir.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(values, sort_keys=False)
    (output_dir / OPTIONS_FILE).write_text(f"# options of this run; repeat it with --config\n{text}", encoding="utf-8")


def _evaluate(
    options: TrainOptions, trainer: "LensTrainer", splits: "DatasetDict", processor: Any, output_dir: Path
) -> "EvaluationReport | None":
    """Look at the test split, once."""
    from deeplense_hf.evaluation.run import evaluate_model

    if "test" not in splits:
        logger.warning("'%s' has no test split; the model is saved without an evaluation.", options.dataset)
        return None
    return evaluate_model(
        # without the autocast of training, as the saved model will be used
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False),
        processor,
        splits["test"],
        output_dir=output_dir,
        model_name=str(output_dir),
        dataset_name=options.dataset,
        batch_size=trainer.args.per_device_eval_batch_size,
        seed=trainer.args.seed,
    )
