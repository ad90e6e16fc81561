"""Which models can answer together, and the model that they become."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .predictor import Predictor


def check_members(names: Sequence[str], predictors: Sequence["Predictor"]) -> None:
    """Refuse models that cannot answer together.

    Args:
        names: Their names, for messages.
        predictors: The models.

    Raises:
        ValueError: If one answers another task, has other classes or targets, takes other images, reads pictures in
            another order of colours, or processes images in a way that an ensemble cannot repeat.
    """
    from deeplense_hf.models.image_processing_deeplense import DeepLenseImageProcessor
    from deeplense_hf.models.modeling_deeplense_ensemble import MEMBER_CLASSES

    first = predictors[0]
    for name, predictor in zip(names, predictors, strict=True):
        config, processor = predictor.model.config, predictor.processor
        if config.model_type not in MEMBER_CLASSES:
            raise ValueError(f"model '{name}' is a '{config.model_type}'; members are {', '.join(MEMBER_CLASSES)}.")
        if predictor.task.name not in ("classification", "lens_finding", "regression"):
            raise ValueError(f"model '{name}' answers {predictor.task.name}, of which there are no ensembles.")
        if predictor.task.name != first.task.name or config.num_channels != first.model.config.num_channels:
            raise ValueError(
                f"model '{name}' answers {predictor.task.name} for {config.num_channels} bands, but '{names[0]}' "
                f"answers {first.task.name} for {first.model.config.num_channels}."
            )
        if _answers(predictor, sort=True) != _answers(first, sort=True):
            theirs, ours = ", ".join(_answers(predictor)), ", ".join(_answers(first))
            raise ValueError(f"model '{name}' knows {theirs}, but '{names[0]}' knows {ours}.")
        own = isinstance(processor, DeepLenseImageProcessor)
        if not own or processor.target_pixel_scale is not None or processor.bands is not None:
            raise ValueError(f"model '{name}' processes images in a way that an ensemble cannot repeat on raw images.")
        if predictor.colour_bands != first.colour_bands:
            raise ValueError(
                f"model '{name}' has colour_bands={predictor.colour_bands}, but '{names[0]}' {first.colour_bands}; "
                "save their image processors with the same."
            )


def build_ensemble(
    predictors: Sequence["Predictor"], weights: Sequence[float], temperatures: Sequence[float]
) -> "PreTrainedModel":
    """Join models.

    Args:
        predictors: The members, as `check_members` accepts them.
        weights: How much each counts.
        temperatures: What logits are divided by.

    Returns:
        The ensemble, which takes raw images.
    """
    from dataclasses import asdict

    from deeplense_hf.models import modeling_deeplense_ensemble
    from deeplense_hf.models.configuration_deeplense_ensemble import DeepLenseEnsembleConfig

    first = predictors[0]
    names = list(_answers(first))
    config = DeepLenseEnsembleConfig(
        members=[_plain(predictor.model.config) for predictor in predictors],
        operations=[asdict(predictor.processor._operations()) for predictor in predictors],
        orders=[[_answers(predictor).index(name) for name in names] for predictor in predictors],
        weights=list(weights),
        temperatures=list(temperatures),
        **{"num_channels": first.model.config.num_channels, **first.task.model_options},
    )
    regression = first.task.name == "regression"
    if regression:
        config.interval_factors_95 = _mean_interval_factors_95(predictors, config.orders, weights)
    kind = "Regression" if regression else "Classification"
    model = getattr(modeling_deeplense_ensemble, f"DeepLenseEnsembleForImage{kind}")(config)
    for member, predictor in zip(model.members, predictors, strict=True):
        member.load_state_dict(predictor.model.state_dict())
    return model.eval()


def _mean_interval_factors_95(
    predictors: Sequence["Predictor"], orders: Sequence[Sequence[int]], weights: Sequence[float]
) -> list[float] | None:
    """Average half the widths of the members' 95% intervals [standard deviations], in the order of the first's targets.

    Nothing better is known of the mixture without images to calibrate it on; of equal members it is exact.
    """
    from deeplense_hf.models.answers import DEVIATIONS_OF_95

    tasks: list[Any] = [predictor.task for predictor in predictors]
    factors = [task.interval_factors_95 for task in tasks]
    if not any(factors):
        return None
    in_order = [
        [own[index] if own else DEVIATIONS_OF_95 for index in order] for own, order in zip(factors, orders, strict=True)
    ]
    return [
        sum(weight * factor for weight, factor in zip(weights, column, strict=True))
        for column in zip(*in_order, strict=True)
    ]


def _answers(predictor: "Predictor", sort: bool = False) -> tuple[str, ...]:
    """Return the names of a model's outputs."""
    task: Any = predictor.task
    names = task.target_names if task.name == "regression" else task.class_names
    return tuple(sorted(names) if sort else names)


def _plain(config: Any) -> dict[str, Any]:
    """Return a configuration as a dictionary without what says where it came from."""
    unrelated = ("_name_or_path", "transformers_version", "auto_map", "architectures", "_commit_hash", "dtype")
    return {name: value for name, value in config.to_dict().items() if name not in unrelated}
