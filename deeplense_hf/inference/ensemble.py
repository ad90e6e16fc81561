"""The command `ensemble`: several trained models as one model folder."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .ensemble_members import build_ensemble, check_members
from .option_checks import check_positive, check_seed

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from .predictor import Predictor

ENSEMBLE_FILE = "ensemble.json"


@dataclass
class EnsembleOptions:
    """Options of the command `ensemble`."""

    models: list[str] = field(metadata={"help": "folders or Hub ids of trained models, of any families and sizes"})
    output_dir: str = field(metadata={"help": "folder of the ensemble, which loads with from_pretrained"})
    weighting: Literal["uniform", "validation", "temperature"] = field(
        default="uniform",
        metadata={
            "help": "uniform: all count alike; validation: weights of least log loss; temperature: each model's "
            "confidence is corrected first, then all count alike"
        },
    )
    dataset: str | None = field(
        default=None,
        metadata={
            "help": "data set that weights, temperatures, and 95-percent sets or intervals are found on; any name that "
            "train takes; without one there are no sets, and intervals are those of the members"
        },
    )
    split: str = field(default="validation", metadata={"help": "its split; never the one that is tested on"})
    images_per_class: int | None = field(
        default=None, metadata={"help": "systems per class, if the data set is a recipe; 1000 when absent"}
    )
    seed: int = field(default=0, metadata={"help": "seed of the data set, if it is a recipe"})
    batch_size: int = field(default=64, metadata={"help": "images at a time"})
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1, mps"})
    overwrite: bool = field(default=False, metadata={"help": "replace an earlier ensemble in --output_dir"})

    def __post_init__(self) -> None:
        """Check the numbers, and that options fit together.

        Raises:
            ValueError: If a number is out of range, there are fewer than two models, or data are missing or of no use.
        """
        check_positive("batch_size", self.batch_size, 64)
        if self.images_per_class is not None:
            check_positive("images_per_class", self.images_per_class, 1000)
        check_seed(self.seed)
        if len(self.models) < 2:
            raise ValueError(f"models={' '.join(self.models)} is no ensemble; give at least two.")
        if self.weighting != "uniform" and self.dataset is None:
            raise ValueError(f"weighting='{self.weighting}' needs --dataset to find it on.")
        if self.split == "test":
            raise ValueError("split='test' is for testing alone; find weights and calibrate on another split.")


def ensemble(options: EnsembleOptions) -> None:
    """Join trained models into one folder.

    Args:
        options: Which models, how they count, where to write.

    Raises:
        ValueError: If the models do not answer the same, weights are to be found for what is no classifier, or the
            folder holds something else than an ensemble or one of the models.
        FileNotFoundError: If a model or the data set is missing.
        OSError: If the folder cannot be written.
    """
    from transformers.utils.logging import disable_progress_bar

    from .predictor import Predictor

    disable_progress_bar()  # bars of loading and saving weights, which take no time
    output_dir = Path(options.output_dir)
    _check_output_dir(output_dir, options)
    predictors = [Predictor.from_pretrained(name, options.device) for name in options.models]
    check_members(options.models, predictors)
    regression = predictors[0].task.name == "regression"
    if regression and options.weighting != "uniform":
        raise ValueError(
            f"weighting='{options.weighting}' weighs probabilities, and '{options.models[0]}' estimates "
            "quantities; join such models with weighting='uniform'."
        )
    scores = None
    if options.dataset is not None and not regression:
        model, scores = _joined_classifiers(predictors, _split(options), options)
    else:
        model = build_ensemble(predictors, *_equal(predictors))
        if options.dataset is not None:
            calibrate_intervals(options.models, predictors[0], model, _split(options), options.batch_size)
    _save(model, output_dir, options, scores, predictors)
    _announce(model.config, options, scores)
    print(f"written: {output_dir}")


def _announce(config: Any, options: EnsembleOptions, scores: Sequence[float] | None) -> None:
    """Say how the members count, and what was found on the data."""
    for number, name in enumerate(options.models):
        loss = "" if scores is None else f"  log loss {scores[number]:.4f}"
        print(f"weight {config.weights[number]:.3f}  temperature {config.temperatures[number]:.3f}{loss}  {name}")
    if options.dataset is None:
        return
    if scores is None:
        found = f"standard deviations times {', '.join(f'{factor:.3f}' for factor in config.interval_factors)}"
    else:
        found = f"temperature {config.joint_temperature:.3f}, log loss {scores[-1]:.4f}"
    print(f"ensemble on {options.dataset}, split {options.split}: {found}")


def _equal(predictors: Sequence["Predictor"]) -> tuple[list[float], list[float]]:
    """Return equal weights, and temperatures that change nothing."""
    return [1 / len(predictors)] * len(predictors), [1.0] * len(predictors)


def _split(options: EnsembleOptions) -> "Dataset":
    """Load the images that the ensemble is fitted to."""
    from deeplense_hf.data.loading import load_lenses

    splits = load_lenses(str(options.dataset), seed=options.seed, images_per_class=options.images_per_class)
    if options.split not in splits:
        raise ValueError(f"'{options.dataset}' has no split '{options.split}'; it has {', '.join(splits)}.")
    return splits[options.split]


def _joined_classifiers(
    predictors: Sequence["Predictor"], dataset: "Dataset", options: EnsembleOptions
) -> "tuple[PreTrainedModel, list[float]]":
    """Join classifiers as the weighting says, calibrate them together, and return the log losses of all and of it."""
    from deeplense_hf.tasks.calibration import best_temperature

    from .ensemble_weights import best_weights, joint_logits, log_losses

    labels, logits = logits_of(options.models, predictors, dataset, options.batch_size)
    weights, temperatures = _equal(predictors)
    if options.weighting == "temperature":
        temperatures = [best_temperature(member, labels) for member in logits]
    elif options.weighting == "validation":
        weights = best_weights(logits, labels)
    model = build_ensemble(predictors, weights, temperatures)
    task: Any = predictors[0].task
    # as a single classifier is finished: a mean of probabilities is less sure than its parts, and has sets of its own
    task.calibrate(model, joint_logits(logits, weights, temperatures), labels)
    return model, log_losses(logits, labels, weights, temperatures, model.config.joint_temperature)


def calibrate_intervals(
    names: Sequence[str], first: "Predictor", model: "PreTrainedModel", dataset: "Dataset", batch_size: int
) -> None:
    """Finish an ensemble of estimators as a single one is finished after its training.

    Args:
        names: Names of the members, for messages.
        first: The first member, whose targets are the ensemble's.
        model: The ensemble; changed in place.
        dataset: Images that no member learnt from.
        batch_size: Images at a time.

    Raises:
        ValueError: If the data set knows none of the targets, or an answer of a member is not a number.
    """
    import torch

    from deeplense_hf.data.loading import LensImageDecoder
    from deeplense_hf.tasks.task import finite_rows

    task: Any = first.task
    rows, decoder, targets = task.references(dataset).rows, LensImageDecoder(dataset), task.targets(dataset)

    def processed(name: str, half: int | None = None) -> Iterator[dict[str, torch.Tensor]]:
        """Yield raw images, which the members process, and their targets."""
        for start in range(0, len(rows), batch_size):
            chosen = rows[start : start + batch_size]
            batch = {"pixel_values": decoder[chosen], "labels": targets[chosen]}
            yield {key: torch.from_numpy(value).to(first.device) for key, value in batch.items()}

    torch.nn.Module.to(model, first.device)
    # what the members answer on the way, so that nobody is asked twice
    broken = dict.fromkeys(range(len(names)), 0)

    def watch(number: int) -> Any:
        def look(member: Any, inputs: Any, outputs: Any) -> None:
            answers = {key: outputs[key].float().cpu().numpy() for key in task.output_keys}
            broken[number] += int((~finite_rows(answers)).sum())

        return look

    members: Any = model.members
    hooks = [member.register_forward_hook(watch(number)) for number, member in enumerate(members)]
    try:
        with torch.no_grad():
            task.finish(model, processed, ("validation",))
    finally:
        for hook in hooks:
            hook.remove()
    for number, images in broken.items():
        _check_answered(names[number], images, len(rows))


def _check_answered(name: str, broken: int, images: int) -> None:
    """Refuse a member whose answers are not numbers; of what is joined with them nothing would be one."""
    if broken:
        raise ValueError(
            f"the answer of model '{name}' is not a number for {broken} of {images} images; train it again, or leave "
            "it out."
        )


def _check_output_dir(output_dir: Path, options: EnsembleOptions) -> None:
    """Refuse to write where something would be lost."""
    from deeplense_hf.data.staging import check_replaceable

    place = output_dir.resolve()
    for name in options.models:
        if Path(name).exists() and Path(name).resolve().is_relative_to(place):
            raise ValueError(f"output_dir={output_dir} holds the model '{name}', which must stay; give another folder.")
    check_replaceable(output_dir, ENSEMBLE_FILE, "an ensemble", options.overwrite, "--output_dir")


def logits_of(
    names: Sequence[str], predictors: Sequence["Predictor"], dataset: "Dataset", batch_size: int
) -> "tuple[NDArray[np.int64], list[NDArray[np.float64]]]":
    """Ask all members about the labelled images of a split.

    Args:
        names: Their names, for messages.
        predictors: Classifiers.
        dataset: The split.
        batch_size: Images at a time.

    Returns:
        Labels in the order of the first member's classes `(n,)`, and log probabilities of each member `(n, classes)`.

    Raises:
        ValueError: If the members are no classifiers, or an answer of one is not a number.
    """
    import numpy as np
    from tqdm import tqdm

    from deeplense_hf.data.loading import LensImageDecoder
    from deeplense_hf.tasks.classification import PROBABILITIES
    from deeplense_hf.tasks.task import finite_rows

    class_names = predictors[0].class_names
    references, decoder = predictors[0].task.references(dataset), LensImageDecoder(dataset)
    logits = []
    for name, predictor in zip(names, predictors, strict=True):
        order = [predictor.class_names.index(class_name) for class_name in class_names]
        starts = tqdm(range(0, len(references.rows), batch_size), desc="asking members", unit="batch")
        parts = [predictor.probabilities(decoder[references.rows[start : start + batch_size]]) for start in starts]
        probabilities = np.concatenate(parts)[:, order]
        broken = int(np.count_nonzero(~finite_rows({PROBABILITIES: probabilities})))
        _check_answered(name, broken, len(probabilities))
        logits.append(np.log(np.maximum(probabilities, 1e-300)))
    return references.values, logits


def _save(
    model: "PreTrainedModel",
    output_dir: Path,
    options: EnsembleOptions,
    scores: Sequence[float] | None,
    predictors: Sequence["Predictor"],
) -> None:
    """Write model, processor and how they came about; all of it or nothing, in place of an earlier ensemble."""
    from deeplense_hf.data.staging import replaced_folder
    from deeplense_hf.models.image_processing_deeplense import DeepLenseImageProcessor

    config = model.config
    about = {
        "members": list(options.models),
        "weighting": options.weighting,
        "weights": list(config.weights),
        "temperatures": list(config.temperatures),
        "joint_temperature": config.joint_temperature,
        "prediction_set_threshold": config.prediction_set_threshold,
        "interval_factors": config.interval_factors,
        "interval_factors_95": config.interval_factors_95,
        "dataset": options.dataset,
        "split": options.split if options.dataset else None,
        "log_loss_of_members": None if scores is None else list(scores[:-1]),
        "log_loss_of_ensemble": None if scores is None else scores[-1],
    }
    # members process raw images themselves
    scales = {predictor.processor.learnt_pixel_scale for predictor in predictors}
    processor = DeepLenseImageProcessor(
        colour_bands=predictors[0].colour_bands,
        learnt_pixel_scale=scales.pop() if len(scales) == 1 else None,
        num_channels=config.num_channels,
        stretch="none",
        normalisation="none",
    )
    # what was evaluated in an earlier ensemble's folder is not true of this one
    with replaced_folder(output_dir) as place:
        model.save_pretrained(place)
        processor.save_pretrained(place)
        (place / ENSEMBLE_FILE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
