"""Auto classes of the tasks that transformers has none for.

Where this package is not installed, the class of a folder or Hub repository is found by its name instead:
`get_class_from_dynamic_module(config.auto_map["AutoModelForImageRegression"], folder)` of
`transformers.dynamic_module_utils`.
"""

from collections import OrderedDict
from typing import Any

from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForMaskedImageModeling, PreTrainedModel
from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping


class AutoModelForImageRegression(_BaseAutoModelClass):
    """Models that estimate physical quantities of an image; use as any Auto class of transformers."""

    _model_mapping = _LazyAutoMapping(OrderedDict(), OrderedDict())  # type: ignore[assignment] # None there


class AutoModelForAnomalyDetection(_BaseAutoModelClass):
    """Models that tell how unlike normal images an image is; use as any Auto class of transformers."""

    _model_mapping = _LazyAutoMapping(OrderedDict(), OrderedDict())  # type: ignore[assignment] # None there


class AutoModelForLenses:
    """Any of our models, by the task that its configuration names; `from_pretrained` alone."""

    @classmethod
    def from_pretrained(cls, name: str, *arguments: Any, **options: Any) -> PreTrainedModel:
        """Load a model with the head that it was trained with.

        Args:
            name: Folder or Hub id.
            *arguments: As of any Auto class.
            **options: As of any Auto class.

        Returns:
            The model; a classifier where no task is named.
        """
        config = options.get("config") or AutoConfig.from_pretrained(
            name, **{key: options[key] for key in ("revision", "token", "trust_remote_code") if key in options}
        )
        model: PreTrainedModel = auto_class_of(config).from_pretrained(name, *arguments, **options)
        return model


def auto_class_of(config: Any) -> Any:
    """Return the Auto class of the head that a configuration asks for.

    Args:
        config: The configuration.

    Returns:
        The class.
    """
    return {
        "regression": AutoModelForImageRegression,
        "anomaly_detection": AutoModelForAnomalyDetection,
        "masked_image_modeling": AutoModelForMaskedImageModeling,
    }.get(str(getattr(config, "task", None)), AutoModelForImageClassification)


__all__ = ["AutoModelForAnomalyDetection", "AutoModelForImageRegression", "AutoModelForLenses", "auto_class_of"]
