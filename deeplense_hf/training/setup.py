"""What a run is made of: threads, model and processor for a data set."""

import logging
import os
from pathlib import Path
from typing import Any

import torch
from datasets import DatasetDict
from transformers import AutoConfig, AutoImageProcessor, PreTrainedModel

import deeplense_hf.models  # noqa: F401 - registers the families with the Auto classes
from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.schema import IMAGE, PIXEL_SCALE, SYSTEM_ID
from deeplense_hf.data.splits import split_by_hash
from deeplense_hf.models.image_processing_deeplense import DeepLenseImageProcessor
from deeplense_hf.models.presets import PRESETS, build_config
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES

from .options import TrainOptions
from .streaming import streamed_recipe
from .tasks import ClassificationTask, reference_split

logger = logging.getLogger(__name__)

DEFAULT_STRETCH = "asinh"
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
        decoder.column(SYSTEM_ID).tolist(), decoder.labels.tolist(), HELD_OUT_FRACTION, test_fraction=0.0, seed=seed
    )
    parts = {part: [row for row, split in enumerate(chosen) if split == part] for part in ("train", "validation")}
    if not parts["validation"]:
        raise ValueError(f"'{name}' has {len(train)} training images, too few to hold some out for validation.")
    logger.warning("'%s' has no validation split; %d of its systems are held out.", name, len(parts["validation"]))
    return DatasetDict({**splits, **{part: train.select(rows) for part, rows in parts.items()}})


def build_model_and_processor(
    options: TrainOptions, task: ClassificationTask, splits: DatasetDict
) -> tuple[PreTrainedModel, Any]:
    """Make a new model from a named size, or load one to train further.

    Args:
        options: Which model, how images are processed.
        task: Decides head and classes.
        splits: The data, for the number of bands and the size and scale of images.

    Returns:
        The model and its image processor.

    Raises:
        ValueError: If the model has other classes or another number of bands than the data.
        OSError: If the model cannot be found.
    """
    bands, height, width = reference_split(splits).features[IMAGE].shape
    if options.model in PRESETS:
        processor = new_processor(options, splits)
        height, width = processor.output_size(height, width)
        config = build_config(options.model, num_channels=bands, image_size=(height, width), **task.model_options)
        return task.auto_class.from_config(config), processor
    looks_local = options.model.startswith((".", "/", "~")) or options.model.count("/") > 1
    if looks_local and not (Path(options.model).expanduser() / "config.json").is_file():
        raise FileNotFoundError(
            f"model '{options.model}' is not a named size ({', '.join(sorted(PRESETS))}), nor a folder with a "
            "config.json."
        )
    config = AutoConfig.from_pretrained(options.model)
    task.check_model_classes(tuple(config.id2label.values()), options.model)
    expected = getattr(config, "num_channels", 3)
    if expected != bands:
        raise ValueError(f"model '{options.model}' takes images of {expected} bands, but the data set has {bands}.")
    model = task.auto_class.from_pretrained(options.model)
    return model, AutoImageProcessor.from_pretrained(options.model)


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
    published = (streamed_recipe(options.dataset) or options.dataset) in PUBLISHED_RECIPES
    crop_arcsec = options.crop_arcsec or (PUBLISHED_CROP_ARCSEC if published else None)
    side = min(height, width)
    if crop_arcsec is not None:
        scale = reference_split(splits)[0][PIXEL_SCALE]
        if not scale:
            raise ValueError(
                f"crop_arcsec={crop_arcsec} needs images with a pixel scale, and '{options.dataset}' has none; "
                "import it with --pixel_scale or leave the crop out."
            )
        side = min(round(crop_arcsec / scale), side)
    size = options.image_size or (min(PUBLISHED_IMAGE_SIZE, side) if published else None)
    return DeepLenseImageProcessor(
        num_channels=bands,
        crop_size=None if crop_arcsec is None else {"height": side, "width": side},
        size=None if size is None else {"height": size, "width": size},
        stretch=options.stretch or DEFAULT_STRETCH,
        normalisation="standard",
    )
