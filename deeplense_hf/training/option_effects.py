"""Which options do something only beside others, so that none is ignored in silence."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from deeplense_hf.tasks.registry import TASKS

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Condition:
    """When some options have an effect.

    Attributes:
        options: Their names.
        holds: Tells it from the values of all options.
        otherwise: Why they have none where it does not hold, a pattern of these values.
        decided_by: Names of the options that it looks at.
    """

    options: tuple[str, ...]
    holds: Callable[[Values], bool]
    otherwise: str
    decided_by: tuple[str, ...]


def _loss(values: Values) -> str:
    """Return the loss that is computed."""
    return TASKS[values["task"]].losses[0] if values["loss"] == "default" else str(values["loss"])


def _has_classes(values: Values) -> bool:
    return "cross_entropy" in TASKS[values["task"]].losses


def _hides_parts(values: Values) -> bool:
    return "reconstruction" in TASKS[values["task"]].losses


CONDITIONS: tuple[Condition, ...] = (
    Condition(
        ("frozen_layers",),
        lambda values: not values["freeze_backbone"],
        "freeze_backbone=True keeps the weights of all layers",
        ("freeze_backbone",),
    ),
    Condition(
        ("label_smoothing_factor",),
        _has_classes,
        "it spreads probability over classes, and the task is {task}",
        ("task",),
    ),
    *(
        Condition(
            (f"{name}_gamma",),
            lambda values, name=name: _loss(values) == name,  # type: ignore[misc] # bound now, not later
            f"it belongs to loss='{name}', and the loss of this run is another one",
            ("task", "loss"),
        )
        for name in ("focal", "asymmetric")
    ),
    Condition(("mixing_alpha",), lambda values: values["mixing"] != "none", "mixing is 'none'", ("mixing",)),
    Condition(
        ("distillation_weight", "distillation_temperature"),
        lambda values: bool(values["teachers"]),
        "there are no teachers",
        ("teachers",),
    ),
    Condition(
        ("curriculum_start",), lambda values: values["curriculum"] != "none", "curriculum is 'none'", ("curriculum",)
    ),
    Condition(
        ("curriculum_growth",),
        lambda values: values["curriculum"] not in ("none", "hard_negatives"),
        "curriculum is '{curriculum}', which does not grow",
        ("curriculum",),
    ),
    Condition(
        ("targets", "uncertainty"),
        lambda values: values["task"] == "regression",
        "it belongs to task='regression', and the task is {task}",
        ("task",),
    ),
    Condition(
        ("normal_class", "anomaly_score"),
        lambda values: values["task"] == "anomaly_detection",
        "it belongs to task='anomaly_detection', and the task is {task}",
        ("task",),
    ),
    Condition(("mask_ratio", "mask_size"), _hides_parts, "no part of an image is hidden in the task {task}", ("task",)),
)


def idle_options(
    options: Sequence[Any], given: Collection[str] = (), undecided: Collection[str] = ()
) -> dict[str, str]:
    """Find the options that have no effect beside the others.

    Args:
        options: Instances of the dataclasses of options.
        given: Names of options that count as given, whatever their value; else those with another one than the default.
        undecided: Names of options whose value is not known yet, so that what depends on them may have an effect.

    Returns:
        Why each has none, by name.
    """
    defaults = defaults_of(options)
    values = {name: getattr(instance, name) for instance in options for name in defaults if hasattr(instance, name)}
    return {
        name: condition.otherwise.format(**values)
        for condition in CONDITIONS
        if not condition.holds(values) and not set(condition.decided_by) & set(undecided)
        for name in condition.options
        if name in given or values[name] != defaults[name]
    }


def defaults_of(options: Sequence[Any]) -> dict[str, Any]:
    """Return the defaults of options.

    Args:
        options: Instances of the dataclasses of options.

    Returns:
        Defaults by name; nothing stands for what must be given.
    """
    fields = [field for instance in options for field in dataclasses.fields(instance) if field.init]
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory() for field in fields
    }


def check_effects(options: Sequence[Any], given: Collection[str] = (), undecided: Collection[str] = ()) -> None:
    """Refuse options that have no effect beside the others; defaults never are.

    Args:
        options: As for `idle_options`.
        given: As for `idle_options`.
        undecided: As for `idle_options`.

    Raises:
        ValueError: If there is one.
    """
    for name, reason in idle_options(options, given, undecided).items():
        value = next(getattr(instance, name) for instance in options if hasattr(instance, name))
        shown = " ".join(map(str, value)) if isinstance(value, list) else value
        what = name if name in given else f"{name}={shown}"
        raise ValueError(f"{what} has no effect here: {reason}; leave {name} out or change that.")
