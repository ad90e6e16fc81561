"""Vision transformers for lens images, as transformers classes; importing this room registers the Auto classes.

After `import deeplense_hf.models`, `AutoConfig`, `AutoModel`, `AutoModelForImageClassification` and
`AutoImageProcessor` know the families without `trust_remote_code`. A saved folder carries its own code and loads
without this package too. The room is an island: its files are copied to the Hub, flat.
"""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForMaskedImageModeling,
)
from transformers.pipelines import PIPELINE_REGISTRY

from . import (
    modeling_deeplense_backbone,
    modeling_deeplense_ensemble,
    modeling_deeplense_swin,
    modeling_deeplense_vit,
)
from .auto_classes import AutoModelForAnomalyDetection, AutoModelForImageRegression, AutoModelForLenses, auto_class_of
from .configuration_deeplense_backbone import DeepLenseBackboneConfig
from .configuration_deeplense_ensemble import DeepLenseEnsembleConfig
from .configuration_deeplense_swin import DeepLenseSwinConfig
from .configuration_deeplense_vit import DeepLenseViTConfig
from .configuration_heads import DeepLenseHeadConfig
from .image_processing_deeplense import DeepLenseImageProcessor
from .modeling_deeplense import AUTO_CLASSES
from .modeling_deeplense_backbone import (
    DeepLenseBackboneForAnomalyDetection,
    DeepLenseBackboneForImageClassification,
    DeepLenseBackboneForImageRegression,
    DeepLenseBackboneForMaskedImageModeling,
    DeepLenseBackboneModel,
)
from .modeling_deeplense_ensemble import (
    DeepLenseEnsembleForImageClassification,
    DeepLenseEnsembleForImageRegression,
)
from .modeling_deeplense_swin import (
    DeepLenseSwinForAnomalyDetection,
    DeepLenseSwinForImageClassification,
    DeepLenseSwinForImageRegression,
    DeepLenseSwinForMaskedImageModeling,
    DeepLenseSwinModel,
)
from .modeling_deeplense_vit import (
    DeepLenseViTForAnomalyDetection,
    DeepLenseViTForImageClassification,
    DeepLenseViTForImageRegression,
    DeepLenseViTForMaskedImageModeling,
    DeepLenseViTModel,
)
from .pipeline_deeplense import DeepLenseImageClassificationPipeline, LensClassificationPipeline

_FAMILIES = (
    (DeepLenseSwinConfig, modeling_deeplense_swin, "DeepLenseSwin"),
    (DeepLenseViTConfig, modeling_deeplense_vit, "DeepLenseViT"),
    (DeepLenseBackboneConfig, modeling_deeplense_backbone, "DeepLenseBackbone"),
    (DeepLenseEnsembleConfig, modeling_deeplense_ensemble, "DeepLenseEnsemble"),
)
_AUTO_CLASSES = {
    auto_class.__name__: auto_class
    for auto_class in (
        AutoModel,
        AutoModelForImageClassification,
        AutoModelForMaskedImageModeling,
        AutoModelForImageRegression,
        AutoModelForAnomalyDetection,
    )
}

# one processor, with the same numbers whichever backend a caller or an environment prefers
_PROCESSORS: dict[str, type] = dict.fromkeys(("pil", "torchvision"), DeepLenseImageProcessor)

for _config, _module, _name in _FAMILIES:
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoImageProcessor.register(_config, image_processor_classes=_PROCESSORS, exist_ok=True)
    # what `save_pretrained` writes, so that a folder loads without this package
    _config.register_for_auto_class()
    for _auto_class, _ending in AUTO_CLASSES.items():
        _model = getattr(_module, f"{_name}{_ending}", None)
        if _model is None:
            # an ensemble has no features of its own
            continue
        _AUTO_CLASSES[_auto_class].register(_config, _model, exist_ok=True)
        # not by `register_for_auto_class`, which knows transformers' own Auto classes only
        _model._auto_class = _auto_class
DeepLenseImageProcessor.register_for_auto_class()

# Set, not registered, where transformers has a task of that name: registering warns, and other models are treated as
# before. A folder's own code is then not needed for its pipelines, so its configuration does not ask for it.
PIPELINE_REGISTRY.supported_tasks["image-classification"]["impl"] = DeepLenseImageClassificationPipeline
PIPELINE_REGISTRY.supported_tasks["lens-classification"] = {
    "impl": LensClassificationPipeline,
    "pt": (AutoModelForLenses,),
    "type": "image",
}
DeepLenseHeadConfig.pipelines_are_registered = True

__all__ = [
    "AutoModelForAnomalyDetection",
    "AutoModelForImageRegression",
    "AutoModelForLenses",
    "DeepLenseBackboneConfig",
    "DeepLenseBackboneForAnomalyDetection",
    "DeepLenseBackboneForImageClassification",
    "DeepLenseBackboneForImageRegression",
    "DeepLenseBackboneForMaskedImageModeling",
    "DeepLenseBackboneModel",
    "DeepLenseEnsembleConfig",
    "DeepLenseEnsembleForImageClassification",
    "DeepLenseEnsembleForImageRegression",
    "DeepLenseImageClassificationPipeline",
    "DeepLenseImageProcessor",
    "DeepLenseSwinConfig",
    "DeepLenseSwinForAnomalyDetection",
    "DeepLenseSwinForImageClassification",
    "DeepLenseSwinForImageRegression",
    "DeepLenseSwinForMaskedImageModeling",
    "DeepLenseSwinModel",
    "DeepLenseViTConfig",
    "DeepLenseViTForAnomalyDetection",
    "DeepLenseViTForImageClassification",
    "DeepLenseViTForImageRegression",
    "DeepLenseViTForMaskedImageModeling",
    "DeepLenseViTModel",
    "LensClassificationPipeline",
    "auto_class_of",
]
