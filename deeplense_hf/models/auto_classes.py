"""Auto classes of the tasks that transformers has none for.

Where this package is not installed, the class of a folder or Hub repository is found by its name instead:
`get_class_from_dynamic_module(config.auto_map["AutoModelForImageRegression"], folder)` of
`transformers.dynamic_module_utils`.
"""

from collections import OrderedDict

from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping


class AutoModelForImageRegression(_BaseAutoModelClass):
    """Models that estimate physical quantities of an image; use as any Auto class of transformers."""

    _model_mapping = _LazyAutoMapping(OrderedDict(), OrderedDict())  # type: ignore[assignment] # None there


class AutoModelForAnomalyDetection(_BaseAutoModelClass):
    """Models that tell how unlike normal images an image is; use as any Auto class of transformers."""

    _model_mapping = _LazyAutoMapping(OrderedDict(), OrderedDict())  # type: ignore[assignment] # None there


__all__ = ["AutoModelForAnomalyDetection", "AutoModelForImageRegression"]
