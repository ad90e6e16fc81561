"""How a run is put together: training and validation data, the method, and the trainer that has them all."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import EarlyStoppingCallback, EvalPrediction

from deeplense_hf.augmentation.policies import Augmentation
from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import IMAGE
from deeplense_hf.tasks.task import References, Task, groups_of

from .arguments import LensTrainingArguments
from .batches import LensBatchDataset, LensCollator, Mixing, smaller_images
from .callbacks import DataEpochCallback
from .curriculum import CURRICULA, Balanced, EpochSampler, difficulty_of_visibility, progressive_size
from .distillation import Teachers
from .losses import LOSSES, WITHOUT_VARIANCES, LossSettings
from .method_options import MethodOptions
from .optimizers import freeze, keep_frozen, parameter_groups
from .options import TrainOptions
from .setup import cores_of_this_process
from .streaming import StreamedLenses, SystemStream, streamed_recipe
from .trainer import LensTrainer, TrainingMethod

VISIBILITY = "substructure_visibility"


def build_trainer(
    options: TrainOptions,
    method_options: MethodOptions,
    arguments: LensTrainingArguments,
    task: Task,
    splits: DatasetDict,
    model: Any,
    processor: Any,
    callbacks: Sequence[Any] = (),
) -> LensTrainer:
    """Put data, model and method together.

    Args:
        options: Data, augmentation, early stopping.
        method_options: How the weights are found.
        arguments: How the weights are found, in words of `Trainer`.
        task: What is learnt, as the model answers it.
        splits: The data.
        model: The model.
        processor: Its image processor.
        callbacks: Further callbacks.

    Returns:
        The trainer.

    Raises:
        ValueError: If the options do not fit task, data or model.
    """
    validation = _usable(splits["validation"], task, "validation")
    train_data = training_data(options, method_options, arguments, task, splits)
    method = training_method(method_options, arguments, task, train_data, splits, model, processor)
    with_epochs = [part for part in (train_data, method.sampler) if hasattr(part, "set_epoch")]
    own: list[Any] = [DataEpochCallback(*with_epochs)]
    if options.early_stopping_patience is not None:
        own.append(EarlyStoppingCallback(early_stopping_patience=options.early_stopping_patience))
    collator = LensCollator(processor, with_rows=method.keeps_losses, with_images=method.teachers is not None)
    return LensTrainer(
        model=model,
        args=arguments,
        method=method,
        train_dataset=train_data,
        eval_dataset=LensBatchDataset(validation, task.targets(validation)),
        data_collator=collator,
        processing_class=processor,
        compute_metrics=partial(validation_scores, task, validation) if task.has_targets else None,
        callbacks=[*own, *callbacks],
    )


def validation_scores(task: Task, dataset: Dataset, prediction: EvalPrediction) -> dict[str, float]:
    """Score a model's outputs, for `Trainer(compute_metrics=...)`.

    Args:
        task: What was asked.
        dataset: The images that were evaluated.
        prediction: The outputs `task.output_keys`, each `(rows, ...)`, and the targets.

    Returns:
        The scores that are defined.
    """
    outputs = prediction.predictions if isinstance(prediction.predictions, tuple) else (prediction.predictions,)
    answers = task.answers(dict(zip(task.output_keys, outputs, strict=True)))
    targets = np.asarray(prediction.label_ids)
    groups, names = groups_of(dataset)
    return task.scores(References(np.arange(len(targets)), targets, groups, names), answers)


def training_data(
    options: TrainOptions,
    method_options: MethodOptions,
    arguments: LensTrainingArguments,
    task: Task,
    splits: DatasetDict,
) -> LensBatchDataset | StreamedLenses:
    """Augment and mix the images of the training split, or of systems that are simulated while training.

    Args:
        options: Data and augmentation.
        method_options: Mixing.
        arguments: Batch size and seed.
        task: What is learnt.
        splits: The data.

    Returns:
        The training data.

    Raises:
        ValueError: If mixing does not fit the task, or nothing is to be learnt from.
    """
    augmentation = Augmentation(options.augmentation, arguments.seed)
    mixing = None
    if method_options.mixing != "none":
        class_names = getattr(task, "class_names", None)
        if class_names is None:
            raise ValueError(f"mixing='{method_options.mixing}' blends classes, and the task is {task.name}.")
        mixing = Mixing(method_options.mixing, method_options.mixing_alpha, len(class_names), arguments.seed)
    recipe = streamed_recipe(options.dataset)
    if recipe is None:
        train = _usable(splits["train"], task, "training")
        return LensBatchDataset(train, task.targets(train), augmentation, mixing)
    if arguments.workers_are_default:
        # simulating takes about as long as training does, and goes on while the model computes
        arguments.dataloader_num_workers = cores_of_this_process()
    stream = SystemStream(recipe, options.simulation_seed, task.classes_to_learn(splits["validation"]))
    return StreamedLenses(
        stream,
        task,
        systems_per_epoch=options.images_per_class * len(stream.class_names),
        batch_size=arguments.train_batch_size * arguments.world_size,
        augmentation=augmentation,
        mixing=mixing,
    )


def training_method(
    method_options: MethodOptions,
    arguments: LensTrainingArguments,
    task: Task,
    train_data: LensBatchDataset | StreamedLenses,
    splits: DatasetDict,
    model: Any,
    processor: Any,
) -> TrainingMethod:
    """Turn options into the method of a run, and freeze what is to be frozen.

    Args:
        method_options: How the weights are found.
        arguments: Label smoothing, seed, device.
        task: What is learnt.
        train_data: What is learnt from.
        splits: The data.
        model: The model; frozen layers lose their gradients.
        processor: Its image processor.

    Returns:
        The method.

    Raises:
        ValueError: If the options do not fit task, data or model.
    """
    name = task.losses[0] if method_options.loss == "default" else method_options.loss
    if name not in task.losses:
        raise ValueError(f"loss='{name}' does not fit the task {task.name}; use {', '.join(task.losses)}.")
    if name in WITHOUT_VARIANCES and getattr(task, "uncertainty", None) == "predicted":
        raise ValueError(f"loss='{name}' teaches no uncertainty for single images; add --uncertainty constant.")
    frozen: int | str = "backbone" if method_options.freeze_backbone else method_options.frozen_layers
    if frozen:
        freeze(model, frozen)
    teachers = None
    if method_options.teachers:
        bands = splits["validation"].features[IMAGE].shape[0]
        teachers = Teachers(method_options.teachers, task, bands, arguments.device)
    sampler = _sampler(method_options, arguments, task, train_data)
    return TrainingMethod(
        loss=LOSSES[name],
        output_keys=task.output_keys,
        loss_settings=LossSettings(
            label_smoothing=arguments.label_smoothing_factor,
            focal_gamma=method_options.focal_gamma,
            asymmetric_gamma=method_options.asymmetric_gamma,
            class_weights=_class_weights(method_options, task, train_data),
            target_mean=tuple(getattr(task, "target_mean", ())),
            target_std=tuple(getattr(task, "target_std", ())),
            has_teachers=bool(method_options.teachers),
        ),
        sampler=train_data.sampler if isinstance(train_data, StreamedLenses) else sampler,
        keeps_losses=sampler is not None and sampler.keeps_losses,
        image_side=_image_side(method_options, processor, model, splits),
        parameter_groups=partial(parameter_groups, layer_decay=method_options.layer_decay),
        keep_frozen=keep_frozen if frozen else None,
        ema_decay=method_options.ema_decay,
        teachers=teachers,
        distillation_weight=method_options.distillation_weight,
        distillation_temperature=method_options.distillation_temperature,
    )


def _usable(dataset: Dataset, task: Task, what: str) -> Dataset:
    """Keep the rows that can be learnt from."""
    rows = task.training_rows(dataset)
    if len(rows) == 0:
        raise ValueError(f"none of the {len(dataset)} {what} images can be used for {task.name}.")
    return dataset if len(rows) == len(dataset) else dataset.select(rows)


def _sampler(
    method_options: MethodOptions,
    arguments: LensTrainingArguments,
    task: Task,
    train_data: LensBatchDataset | StreamedLenses,
) -> EpochSampler | None:
    """Make the sampler that the options ask for; none where images are shown in plain random order."""
    name = method_options.curriculum
    balanced = method_options.class_balance == "sampling"
    if name == "none" and not balanced:
        return None
    labels = _labels(train_data, task, "class_balance='sampling'" if balanced else f"curriculum='{name}'")
    epochs = _epochs(arguments, len(labels))
    if balanced:
        return Balanced(labels, epochs, arguments.seed)
    return CURRICULA[name](
        labels,
        epochs,
        arguments.seed,
        start=method_options.curriculum_start,
        growth=method_options.curriculum_growth,
        difficulty=difficulty_of_visibility(_visibility(train_data), labels) if name == "visibility" else None,
    )


def _epochs(arguments: LensTrainingArguments, images: int) -> float:
    """Count the epochs of a run, which may be given by its steps, as `Trainer` does."""
    if arguments.max_steps <= 0:
        return float(arguments.num_train_epochs)
    whole = math.floor if arguments.dataloader_drop_last else math.ceil
    batches = whole(images / (arguments.train_batch_size * arguments.world_size))
    return arguments.max_steps / max(1, math.ceil(batches / arguments.gradient_accumulation_steps))


def _visibility(train_data: LensBatchDataset | StreamedLenses) -> np.ndarray:
    """Return how visible each image's substructure is, NaN where it is not known."""
    decoder: LensImageDecoder = train_data.decoder  # type: ignore[union-attr] # `_labels` refused streams
    if VISIBILITY not in decoder.dataset.features:
        raise ValueError(f"curriculum='visibility' needs the column '{VISIBILITY}', which simulated data have.")
    values = np.asarray(decoder.column(VISIBILITY), dtype=np.float64)
    if not (values > 0).any():
        raise ValueError(
            f"curriculum='visibility' needs images whose '{VISIBILITY}' is above zero, and there is none here; "
            "simulate the data set with --morphology."
        )
    return values


def _class_weights(
    method_options: MethodOptions, task: Task, train_data: LensBatchDataset | StreamedLenses
) -> tuple[float, ...] | None:
    """Weigh classes by the inverse of their number, with a mean of one over the training images."""
    if method_options.class_balance != "weights":
        return None
    counts = np.bincount(_labels(train_data, task, "class_balance='weights'"), minlength=len(task.class_names))  # type: ignore[attr-defined]
    if (counts == 0).any():
        raise ValueError("class_balance='weights' needs training images of every class.")
    return tuple((counts.sum() / (len(counts) * counts)).tolist())


def _labels(train_data: LensBatchDataset | StreamedLenses, task: Task, what: str) -> np.ndarray:
    """Return the classes of the training images, or refuse what needs them."""
    if isinstance(train_data, StreamedLenses):
        raise ValueError(f"{what} does not fit a stream, which shows every class equally often and no image twice.")
    if getattr(task, "class_names", None) is None or train_data.targets is None:
        raise ValueError(f"{what} needs classes, and the task is {task.name}.")
    return train_data.targets


def _image_side(
    method_options: MethodOptions, processor: Any, model: Any, splits: DatasetDict
) -> Callable[[float], int] | None:
    """Return the schedule of the image size; none where the size stays the same."""
    if method_options.progressive_size == 1.0:
        return None
    _, height, width = splits["validation"].features[IMAGE].shape
    size = processor.output_size(height, width) if hasattr(processor, "output_size") else (height, width)
    final = min(size)
    schedule = partial(
        progressive_size,
        final=final,
        start=method_options.progressive_size,
        multiple_of=model.config.output_stride,
    )
    _check_size(model, schedule(0.0), size)
    return schedule


def _check_size(model: Any, side: int, size: tuple[int, int]) -> None:
    """Refuse a model that takes images of one size alone, before the first step.

    Args:
        model: The model.
        side: Shorter side of the first images [pixels].
        size: Height and width of the last ones [pixels].

    Raises:
        ValueError: If it does not take the first ones.
    """
    images = torch.zeros(1, model.config.num_channels, *size, device=model.device, dtype=model.dtype)
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(**{"pixel_values": images, **smaller_images(images, side)})
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"progressive_size makes images of {side} pixels, which the model does not take "
            f"({' '.join(str(error).split())[:100]}); leave it out."
        ) from None
    finally:
        model.train(training)
