"""deeplense_hf: dark matter substructure in strong gravitational lenses, native to Hugging Face.

Importing the root is free: a public name is imported from its room the first time it is used.

>>> import deeplense_hf
>>> "load_lenses" in dir(deeplense_hf)
True
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC: dict[str, str] = {
    "AutoModelForAnomalyDetection": "deeplense_hf.models",
    "AutoModelForImageRegression": "deeplense_hf.models",
    "AutoModelForLenses": "deeplense_hf.models",
    "Chain": "deeplense_hf.inference.chain",
    "DeepLenseBackboneConfig": "deeplense_hf.models",
    "DeepLenseEnsembleConfig": "deeplense_hf.models",
    "DeepLenseImageProcessor": "deeplense_hf.models.image_processing_deeplense",
    "DeepLenseSwinConfig": "deeplense_hf.models.configuration_deeplense_swin",
    "DeepLenseSwinForImageClassification": "deeplense_hf.models.modeling_deeplense_swin",
    "DeepLenseSwinModel": "deeplense_hf.models.modeling_deeplense_swin",
    "DeepLenseViTConfig": "deeplense_hf.models.configuration_deeplense_vit",
    "DeepLenseViTForImageClassification": "deeplense_hf.models.modeling_deeplense_vit",
    "DeepLenseViTModel": "deeplense_hf.models.modeling_deeplense_vit",
    "EvaluationReport": "deeplense_hf.evaluation.report",
    "LensImageDecoder": "deeplense_hf.data.loading",
    "LensMetrics": "deeplense_hf.lens_metrics.lens_metrics",
    "Predictor": "deeplense_hf.inference.predictor",
    "adapt_pretrained": "deeplense_hf.models.adaptation",
    "get_recipe": "deeplense_hf.simulation.recipes",
    "load_lenses": "deeplense_hf.data.loading",
    "stream_lenses": "deeplense_hf.training.streaming",
    "run_training": "deeplense_hf.training.run",
    "simulate_batch": "deeplense_hf.simulation.simulator",
}

__all__ = sorted([*_PUBLIC, "__version__"])  # noqa: PLE0605 - a lazy table cannot be a literal


def __getattr__(name: str) -> Any:
    """Import a public name from its room on first use.

    Raises:
        AttributeError: If the name is not public.
    """
    if name not in _PUBLIC:
        raise AttributeError(f"module 'deeplense_hf' has no attribute '{name}'; public names are {', '.join(__all__)}.")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
