"""Vision transformers for lens images, as transformers classes; importing this room registers the Auto classes.

After `import deeplense_hf.models`, `AutoConfig`, `AutoModel`, `AutoModelForImageClassification` and
`AutoImageProcessor` know the families without `trust_remote_code`. A saved folder carries its own code and loads
without this package too. The room is an island: its files are copied to the Hub, flat.
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

from .configuration_deeplense_swin import DeepLenseSwinConfig
from .configuration_deeplense_vit import DeepLenseViTConfig
from .image_processing_deeplense import DeepLenseImageProcessor
from .modeling_deeplense_swin import DeepLenseSwinForImageClassification, DeepLenseSwinModel
from .modeling_deeplense_vit import DeepLenseViTForImageClassification, DeepLenseViTModel

_FAMILIES = (
    (DeepLenseSwinConfig, DeepLenseSwinModel, DeepLenseSwinForImageClassification),
    (DeepLenseViTConfig, DeepLenseViTModel, DeepLenseViTForImageClassification),
)

# one processor, with the same numbers whichever backend a caller or an environment prefers
_PROCESSORS: dict[str, type] = dict.fromkeys(("pil", "torchvision"), DeepLenseImageProcessor)

for _config, _model, _classifier in _FAMILIES:
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoModel.register(_config, _model, exist_ok=True)
    AutoModelForImageClassification.register(_config, _classifier, exist_ok=True)
    AutoImageProcessor.register(_config, image_processor_classes=_PROCESSORS, exist_ok=True)
    # what `save_pretrained` writes, so that a folder loads without this package
    _config.register_for_auto_class()
    _model.register_for_auto_class("AutoModel")
    _classifier.register_for_auto_class("AutoModelForImageClassification")
DeepLenseImageProcessor.register_for_auto_class()

__all__ = [
    "DeepLenseImageProcessor",
    "DeepLenseSwinConfig",
    "DeepLenseSwinForImageClassification",
    "DeepLenseSwinModel",
    "DeepLenseViTConfig",
    "DeepLenseViTForImageClassification",
    "DeepLenseViTModel",
]
