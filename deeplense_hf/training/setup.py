"""What a run is made of: threads, model and processor for a data set."""

import difflib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from datasets import DatasetDict
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

import deeplense_hf.models  # noqa: F401 - registers the families with the Auto classes
from deeplense_hf.data.display import COLOUR_BANDS
from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import IMAGE, RECIPE
from deeplense_hf.data.splits import split_by_hash
from deeplense_hf.models.adaptation import UNTRAINED_PREFIX, adapt_pretrained
from deeplense_hf.models.configuration_deeplense import as_pair
from deeplense_hf.models.configuration_deeplense_backbone import DeepLenseBackboneConfig
from deeplense_hf.models.image_processing_deeplense import DeepLenseImageProcessor
from deeplense_hf.models.presets import PRESETS, build_config
from deeplense_hf.models.safe_loading import load_config, load_image_processor, load_model
from deeplense_hf.simulation.finding_recipe import FINDING_RECIPES
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.tasks.task import Task, reference_split

from .arguments import LensTrainingArguments
from .method_options import MethodOptions
from .options import TrainOptions
from .streaming import streamed_recipe

logger = logging.getLogger(__name__)

# ahead of asinh with each of three seeds, by 0.002 in AUC on average (benchmarks/ablation.py)
DEFAULT_STRETCH = "log"
HELD_OUT_FRACTION = 0.1
# The central 4.8 arcsec hold the arcs of Models I to III, whose lenses are all alike; 48 pixels of 0.1 arcsec have a
# quarter of the pixels, and of the cost, of Model I's own 0.05. Images of other recipes are as wide as they have to be.
PUBLISHED_CROP_ARCSEC = 4.8
PUBLISHED_IMAGE_SIZE = 48


def use_cpu_threads(threads: int | None) -> None:
    """Let this process use its share of the cores.

    `accelerate launch` sets OMP_NUM_THREADS=1 unless `--cpu` is given, which halves the speed on two cores.

    Args:
        threads: Threads of this process; the cores divided by the processes of this machine when absent.
    """
    torch.set_num_threads(threads or cores_of_this_process())


def cores_of_this_process() -> int:
    """Count the cores that this process may use.

    Returns:
        The machine's cores divided by the processes of the run on this machine, at least 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def with_validation(splits: DatasetDict, name: str, seed: int) -> DatasetDict:
    """Hold out systems of the training split where a data set brings no validation split.

    Args:
        splits: The data set.
        name: Its name, for the message.
        seed: Seed of the choice.

    Returns:
        The data set with a validation split.

    Raises:
        ValueError: If there is nothing to train on.
    """
    if "train" not in splits:
        raise ValueError(f"'{name}' has the splits {', '.join(splits)}, and training needs 'train'.")
    if "validation" in splits:
        return splits
    train = splits["train"]
    decoder = LensImageDecoder(train)
    chosen = split_by_hash(
        decoder.system_ids.tolist(), decoder.labels.tolist(), HELD_OUT_FRACTION, test_fraction=0.0, seed=seed
    )
    parts = {part: [row for row, split in enumerate(chosen) if split == part] for part in ("train", "validation")}
    if not parts["validation"]:
        raise ValueError(f"'{name}' has {len(train)} training images, too few to hold some out for validation.")
    logger.warning("'%s' has no validation split; %d of its systems are held out.", name, len(parts["validation"]))
    return DatasetDict({**splits, **{part: train.select(rows) for part, rows in parts.items()}})


def use_metric_of(task: Task | type[Task], arguments: LensTrainingArguments) -> None:
    """Choose the best checkpoint by the task's score, unless another one was asked for, in the direction it has there.

    Args:
        task: What is learnt, or its class.
        arguments: Changed in place.
    """
    if arguments.metric_is_default:
        arguments.metric_for_best_model = task.metric_for_best_model
    if "greater_is_better" not in arguments.changed():
        # transformers knows it of losses alone
        arguments.greater_is_better = task.greater_is_better(str(arguments.metric_for_best_model))


def build_model_and_processor(
    options: TrainOptions, method_options: MethodOptions, task: Task, splits: DatasetDict
) -> tuple[PreTrainedModel, Any]:
    """Make a new model from a named size, or load one to train further.

    Args:
        options: Which model, how images are processed.
        method_options: Whether the model has a classifier for teachers.
        task: Decides head and answers.
        splits: The data, for the number of bands and the size and scale of images.

    Returns:
        The model and its image processor.

    Raises:
        ValueError: If the model answers something else, takes another number of bands than the data have, or can be
            loaded only by running its code or by unpickling.
        OSError: If the model cannot be found.
    """
    bands, height, width = reference_split(splits).features[IMAGE].shape
    head_options = {**task.model_options, "distillation_token": method_options.distillation_token}
    if options.model in PRESETS:
        processor = new_processor(options, splits)
        height, width = processor.output_size(height, width)
        own = parse_model_options(options.model_options)
        made_for = {"num_channels": bands, "image_size": (height, width)}
        config = build_config(options.model, **{**made_for, **head_options, **own})
        return task.auto_class.from_config(config), processor
    if options.model_options:
        raise ValueError(
            f"model_options={' '.join(options.model_options)} are for new models of a named size; '{options.model}' "
            "brings its own."
        )
    if options.model.startswith(UNTRAINED_PREFIX):
        return _adapted(options, task, splits, head_options)
    config = _config_of(options.model)
    if not config.model_type.startswith("deeplense_"):
        return _adapted(options, task, splits, head_options)
    expected = getattr(config, "num_channels", 3)
    if expected != bands:
        raise ValueError(f"model '{options.model}' takes images of {expected} bands, but the data set has {bands}.")
    if (getattr(config, "task", None) or "classification") == task.name:
        # training goes on, with the head it has
        task.check_model(config, options.model)
        head_options = {"distillation_token": config.distillation_token or method_options.distillation_token}
    for name, value in head_options.items():
        setattr(config, name, value)
    with quiet_loading():
        # weights that were saved in half precision are trained in full, with autocast where that is wanted
        model = load_model(task.auto_class, options.model, config=config, dtype=torch.float32)
    task.begin(model)
    processor = load_image_processor(options.model)
    if isinstance(processor, DeepLenseImageProcessor):
        processor.colour_bands = colour_bands_of(splits, processor.colour_bands)
        processor.learnt_pixel_scale = _pixel_scale_of(splits)
    return model, processor


def _config_of(name: str) -> Any:
    """Load the configuration of a model that is no named size."""
    unknown = f"model '{name}' is not a named size ({', '.join(sorted(PRESETS))}), nor a folder with a config.json"
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_local and not (Path(name).expanduser() / "config.json").is_file():
        raise FileNotFoundError(f"{unknown}.")
    try:
        return load_config(name)
    except OSError:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else "."
        raise FileNotFoundError(f"{unknown}, nor a model that can be reached on the Hugging Face Hub{hint}") from None


def _adapted(
    options: TrainOptions, task: Task, splits: DatasetDict, head_options: dict[str, Any]
) -> tuple[PreTrainedModel, Any]:
    """Put a vision model of transformers or timm behind the task's head, for the data's bands."""
    bands = reference_split(splits).features[IMAGE].shape[0]
    head_class = task.auto_class._model_mapping[DeepLenseBackboneConfig]
    with quiet_loading():
        model = adapt_pretrained(options.model, head_class, bands, options.image_size, **head_options)
    side = as_pair(model.config.image_size)[0]
    return model, new_processor(replace(options, image_size=side), splits)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Leave out transformers' report of weights that a new head does not share with the old one."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


def parse_model_options(words: Sequence[str]) -> dict[str, Any]:
    """Read options of a model's configuration.

    Args:
        words: `name=value`, the value as in YAML.

    Returns:
        Values by name.

    Raises:
        ValueError: If a word has another form.

    >>> parse_model_options(["symmetry=average", "depths=[2, 2]"])
    {'symmetry': 'average', 'depths': [2, 2]}
    """
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"model_options: '{word}' is not of the form name=value, for example symmetry=average.")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"model_options: the value of '{word}' is not valid YAML.") from None
    return values


def new_processor(options: TrainOptions, splits: DatasetDict) -> DeepLenseImageProcessor:
    """Make the image processor of a new model.

    Args:
        options: Crop, size and stretch.
        splits: The data, for the pixel scale.

    Returns:
        The processor; every image is standardised by itself, so no statistic leaks between splits.

    Raises:
        ValueError: If a crop in arcsec is asked for and the images have no pixel scale.
    """
    bands, height, width = reference_split(splits).features[IMAGE].shape
    name = streamed_recipe(options.dataset) or options.dataset
    published = name in PUBLISHED_RECIPES or name in FINDING_RECIPES
    crop_arcsec = options.crop_arcsec or (PUBLISHED_CROP_ARCSEC if published else None)
    side = min(height, width)
    if crop_arcsec is not None:
        scale = float(LensImageDecoder(reference_split(splits)).pixel_scales[0])
        # NaN where unknown
        if not scale > 0:
            raise ValueError(
                f"crop_arcsec={crop_arcsec} needs images with a pixel scale, and '{options.dataset}' has none; "
                "import it with --pixel_scale or leave the crop out."
            )
        side = min(round(crop_arcsec / scale), side)
    size = options.image_size or (min(PUBLISHED_IMAGE_SIZE, side) if published else None)
    return DeepLenseImageProcessor(
        colour_bands=colour_bands_of(splits),
        learnt_pixel_scale=_pixel_scale_of(splits),
        num_channels=bands,
        crop_size=None if crop_arcsec is None else {"height": side, "width": side},
        size=None if size is None else {"height": size, "width": size},
        stretch=options.stretch or DEFAULT_STRETCH,
        normalisation=options.normalisation or "standard",
    )


def _pixel_scale_of(splits: DatasetDict) -> float | None:
    """Return the pixel scale of all images [arcsec/pixel]; None where it is unknown or they have several."""
    scales = LensImageDecoder(reference_split(splits)).pixel_scales
    # of NaN nothing is close
    alike = len(scales) > 0 and bool(np.isclose(scales, scales[0], rtol=1e-3).all())
    return round(float(scales[0]), 6) if alike else None


def colour_bands_of(splits: DatasetDict, otherwise: tuple[int, ...] | None = None) -> tuple[int, ...] | None:
    """Tell how colour pictures are to be read by a model, so that they are to it as the images that it learns from.

    Args:
        splits: The data.
        otherwise: The answer where the data do not tell.

    Returns:
        `colour_bands` of the image processor: of three simulated bands, which are ordered by wavelength, their order;
        of imported pictures None, since their channels are learnt from as they are.
    """
    split = reference_split(splits)
    if split.features[IMAGE].shape[0] != len(COLOUR_BANDS):
        return otherwise
    decoder = LensImageDecoder(split)
    if RECIPE in split.column_names and all(recipe is not None for recipe in decoder.column(RECIPE)):
        return COLOUR_BANDS
    return None if decoder.red_first.any() else otherwise
