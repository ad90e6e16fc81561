"""The command `train`: the main job, from lens images to a trained and evaluated model folder."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import TrainOptions

if TYPE_CHECKING:
    from datasets import DatasetDict

    from deeplense_hf.evaluation.report import EvaluationReport

    from .arguments import LensTrainingArguments
    from .batches import LensBatchDataset
    from .streaming import StreamedLenses
    from .tasks import ClassificationTask
    from .trainer import LensTrainer

logger = logging.getLogger(__name__)


def train(options: TrainOptions, arguments: "LensTrainingArguments") -> None:
    """Train a model on lens images, evaluate it on held-out systems and save it as a loadable folder.

    The best checkpoint is chosen on the validation split; the test split is looked at once, at the end.

    Args:
        options: Data, model, processing.
        arguments: How the weights are found, and where everything is written.

    Raises:
        ValueError: If options, data and model do not fit.
        OSError: If something cannot be read or written.
    """
    from transformers import set_seed
    from transformers.utils.logging import disable_progress_bar

    from deeplense_hf.data.loading import load_lenses

    from .checkpoints import choose_output_dir, find_checkpoint, full_disk_explained
    from .setup import build_model_and_processor, use_cpu_threads, with_validation
    from .streaming import streamed_recipe
    from .tasks import TASKS

    # validation and test systems of a stream are those of the data set of its recipe, size and seed
    streamed = streamed_recipe(options.dataset)
    disable_progress_bar()  # bars of loading and saving weights, which take no time
    if arguments.device.type == "cpu":
        use_cpu_threads(options.cpu_threads)
    output_dir = choose_output_dir(options, arguments)
    checkpoint = find_checkpoint(options, arguments)
    with arguments.main_process_first(desc="simulating or importing the data set"):
        splits = load_lenses(
            streamed or options.dataset,
            seed=options.simulation_seed,
            images_per_class=options.images_per_class,
            splits=("validation", "test") if streamed else None,
        )
    if not streamed:
        splits = with_validation(splits, options.dataset, options.simulation_seed)
    task = TASKS[options.task].from_dataset(splits)
    set_seed(arguments.seed)
    model, processor = build_model_and_processor(options, task, splits)
    trainer = _build_trainer(options, arguments, task, splits, model, processor)
    if trainer.is_world_process_zero():
        _announce(options, trainer, splits)
        write_options(output_dir, options, arguments)
    with full_disk_explained(output_dir):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model(str(output_dir))
    report = _evaluate(options, trainer, splits, processor, output_dir)
    if trainer.is_world_process_zero() and report is not None:
        print(f"\n{report.table()}\n")
    if trainer.is_world_process_zero():
        print(f"model, metrics.json and figures: {output_dir}")


def _build_trainer(
    options: TrainOptions,
    arguments: "LensTrainingArguments",
    task: "ClassificationTask",
    splits: "DatasetDict",
    model: Any,
    processor: Any,
) -> "LensTrainer":
    """Put data, model and callbacks together."""
    from transformers import EarlyStoppingCallback

    from .batches import LensBatchDataset, LensCollator
    from .callbacks import DataEpochCallback
    from .streaming import StreamedLenses
    from .trainer import LensTrainer

    names = tuple(model.config.id2label[index] for index in range(model.config.num_labels))
    validation_split = task.select(splits["validation"])
    train_data = _training_data(options, arguments, task, splits, names)
    validation_data = LensBatchDataset(validation_split, task.targets(validation_split, names))
    epoch_of = train_data.sampler if isinstance(train_data, StreamedLenses) else train_data
    callbacks: list[Any] = [DataEpochCallback(epoch_of)]
    if options.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=options.early_stopping_patience))
    return LensTrainer(
        model=model,
        args=arguments,
        train_dataset=train_data,
        eval_dataset=validation_data,
        data_collator=LensCollator(processor),
        processing_class=processor,
        compute_metrics=partial(task.metrics, names),
        callbacks=callbacks,
    )


def _training_data(
    options: TrainOptions,
    arguments: "LensTrainingArguments",
    task: "ClassificationTask",
    splits: "DatasetDict",
    names: tuple[str, ...],
) -> "LensBatchDataset | StreamedLenses":
    """Augmented images of the training split, or of systems that are simulated while training."""
    from deeplense_hf.augmentation.policies import Augmentation

    from .batches import LensBatchDataset
    from .setup import cores_of_this_process
    from .streaming import StreamedLenses, SystemStream, streamed_recipe

    augmentation = Augmentation(options.augmentation, arguments.seed)
    recipe = streamed_recipe(options.dataset)
    if recipe is None:
        train_split = task.select(splits["train"])
        return LensBatchDataset(train_split, task.targets(train_split, names), augmentation)
    if arguments.workers_are_default:
        # simulating takes about as long as training does, and goes on while the model computes
        arguments.dataloader_num_workers = cores_of_this_process()
    stream = SystemStream(recipe, options.simulation_seed)
    return StreamedLenses(
        stream,
        names,
        systems_per_epoch=options.images_per_class * len(stream.class_names),
        batch_size=arguments.train_batch_size * arguments.world_size,
        augmentation=augmentation,
    )


def _announce(options: TrainOptions, trainer: "LensTrainer", splits: "DatasetDict") -> None:
    """Say in three lines what is about to happen."""
    from .streaming import StreamedLenses

    sizes = ", ".join(f"{len(split)} {name}" for name, split in splits.items())
    if isinstance(trainer.train_dataset, StreamedLenses):
        held_out = ", ".join(f"{len(split)} {name}" for name, split in splits.items() if name != "train")
        sizes = f"{len(trainer.train_dataset)} new training images an epoch, {held_out}"
    parameters = trainer.accelerator.unwrap_model(trainer.model).num_parameters()
    processes = trainer.args.world_size
    print(f"data      {options.dataset}: {sizes} images")
    print(f"model     {options.model}: {parameters:,} parameters")
    print(f"training  {trainer.args.num_train_epochs:g} epochs on {processes} x {trainer.args.device.type}", flush=True)


def write_options(output_dir: Path, options: TrainOptions, arguments: "LensTrainingArguments") -> None:
    """Write the options of a run so that `--config` reads them back.

    Args:
        output_dir: Folder of the run.
        options: Written whole.
        arguments: Written where they differ from the defaults.

    Raises:
        OSError: If the folder cannot be written.
    """
    import yaml

    from deeplense_hf.option_parser import options_as_dict

    from .checkpoints import OPTIONS_FILE

    values = options_as_dict(options)
    values.update(arguments.changed())
    for once_only in ("overwrite", "resume_from_checkpoint"):
        values.pop(once_only, None)
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
