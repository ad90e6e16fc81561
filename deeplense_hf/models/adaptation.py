"""Take over pretrained vision models of transformers and timm, for other bands and image sizes.

- **Bands.** The filters of the first layer are summed over the pretrained colours and divided by the new number of
  bands. An image that is equal in all bands then gives the response that the pretrained model gives to the grey picture
  of it, exactly: for one band the filters are the sum over the colours. Where that is not so, because the first layer
  standardises its filters or is no convolution, the model keeps its colours, and a 1x1 convolution before it brings the
  bands to them. Three bands stay as they are.
- **Image size.** Tables of absolute and relative positions are interpolated bicubically to the new grid; special tokens
  keep theirs. Everything else does not depend on the size.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, MODEL_MAPPING

from .configuration_deeplense import as_pair
from .configuration_deeplense_backbone import DeepLenseBackboneConfig, channels_of, default_pooling
from .modeling_deeplense_backbone import DeepLenseBackboneModel, channels_first, network_options
from .positions import interpolate_table
from .safe_loading import load_config, load_model

UNTRAINED_PREFIX = "timm:"
# what models of other libraries raise for images or options that they are not made for
_NOT_MADE_FOR_IT = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
# largest change of a feature, relative to the largest feature, that is rounding
_ROUNDING = 1e-4


def adapt_pretrained(
    name: str, head_class: type[PreTrainedModel], num_channels: int, image_size: int | None = None, **head_options: Any
) -> PreTrainedModel:
    """Put a pretrained vision model behind a DeepLense head.

    Args:
        name: Folder or Hub id of a model of transformers or timm (`timm/...`); `timm:NAME` for an untrained one.
        head_class: A class of the family `deeplense_backbone`.
        num_channels: Bands of an image.
        image_size: Side of images [pixels]; that of the pretrained model when absent.
        **head_options: Options of the head, for example `task`, `id2label`, `label2id`.

    Returns:
        The model; its head is new.

    Raises:
        ValueError: If the model is no vision model, needs code of its own, has no safetensors weights or does not take
            images of that size.
        ImportError: If timm is needed and missing.
        OSError: If the model cannot be found.
    """
    inner, weights = _load(name)
    side = image_size or as_pair(_size_of(inner))[0]
    options = {"num_channels": num_channels, "image_size": side, **head_options}
    adapter = weights is not None and not _takes_bands(inner, weights, num_channels, side, name)
    # the width is found below
    config = DeepLenseBackboneConfig(
        backbone_config=_resized(inner, side), hidden_size=1, band_adapter=adapter, **options
    )
    config.hidden_size, config.output_stride = _probe(config, name)
    model = head_class(config)
    if weights is not None:
        backbone: Any = model.backbone
        backbone.load_state_dict(adapt_weights(weights, backbone.state_dict(), channels_of(inner)))
    return model


def adapt_weights(
    pretrained: Mapping[str, Tensor], wanted: Mapping[str, Tensor], pretrained_channels: int
) -> dict[str, Tensor]:
    """Bring pretrained weights to the shapes of a model for other bands and image sizes.

    Args:
        pretrained: Weights by name.
        wanted: Weights of the new model, for names and shapes.
        pretrained_channels: Bands of the pretrained model.

    Returns:
        The pretrained weights in the new shapes; what the pretrained model lacks stays as it is.

    Raises:
        ValueError: If a weight cannot be brought to its shape.
    """
    adapted: dict[str, Tensor] = {}
    for name, target in wanted.items():
        source = pretrained.get(name)
        if source is None or (source.shape != target.shape and not target.is_floating_point()):
            adapted[name] = target
        elif source.shape == target.shape:
            adapted[name] = source.to(target.dtype)
        elif _is_of_bands(source, target, pretrained_channels):
            adapted[name] = adapt_bands(source, target.shape[1]).to(target.dtype)
        else:
            table = interpolate_table(name, source, target.shape)
            if table is None:
                raise ValueError(
                    f"the weight '{name}' has shape {tuple(source.shape)} and would have to be {tuple(target.shape)}; "
                    "keep the image size that the model was pretrained with."
                )
            adapted[name] = table.to(target.dtype)
    return adapted


def adapt_bands(filters: Tensor, bands: int) -> Tensor:
    """Change the number of bands that the filters of a first layer take.

    Args:
        filters: `(filters, bands, height, width)`.
        bands: New number of bands.

    Returns:
        Filters that respond to an image that is equal in all bands as the given ones do.

    Source:
        The sum over colours is the response to a grey picture by linearity.
    """
    if filters.shape[1] == bands:
        return filters
    return (filters.sum(dim=1, keepdim=True) / bands).repeat(1, bands, 1, 1)


def _is_of_bands(source: Tensor, target: Tensor, pretrained_channels: int) -> bool:
    """Tell whether weights are filters that differ in the number of bands alone."""
    return (
        source.ndim == target.ndim == 4
        and source.shape[1] == pretrained_channels
        and (source.shape[0], *source.shape[2:]) == (target.shape[0], *target.shape[2:])
    )


def _load(name: str) -> tuple[PreTrainedConfig, Mapping[str, Tensor] | None]:
    """Load configuration and weights of a pretrained model, named as in ours; no weights for an untrained one."""
    if name.startswith(UNTRAINED_PREFIX):
        return _untrained_timm(name.removeprefix(UNTRAINED_PREFIX)), None
    try:
        config = load_config(name)
        if not _takes_images(config):
            raise ValueError(f"model '{name}' is a '{config.model_type}', no vision model that takes images.")
        options = network_options(config, default_pooling(config))
        model = load_model(AutoModel, name, **options)
        weights = {f"network.{key}": value for key, value in model.state_dict().items()}
        if config.model_type == "cvt":
            stock = load_model(AutoModelForImageClassification, name)
            norm = stock.layernorm.state_dict()
            weights |= {f"class_token_norm.{key}": value for key, value in norm.items()}
    except ImportError as error:
        if "timm" in str(error):
            raise ImportError(f"model '{name}' needs timm. Install it with: pip install 'deeplense-hf[timm]'") from None
        raise
    except OSError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".")
        raise OSError(
            f"model '{name}' cannot be loaded as a vision model with safetensors weights: {reason}."
        ) from None
    return config, weights


def _takes_images(config: Any) -> bool:
    """Tell whether a model of transformers makes features of images alone."""
    model_class = MODEL_MAPPING.get(type(config), None)
    if getattr(model_class, "main_input_name", None) != "pixel_values":
        return False
    # detectors and the like take images too, but their features are those of objects
    return hasattr(config, "image_size") or config.model_type in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES


def _untrained_timm(architecture: str) -> PreTrainedConfig:
    """Make the configuration of an untrained model of timm."""
    try:
        import timm
    except ImportError:
        raise ImportError(
            f"model '{UNTRAINED_PREFIX}{architecture}' needs timm. Install it with: pip install 'deeplense-hf[timm]'"
        ) from None
    if architecture not in timm.list_models():
        raise ValueError(f"timm has no model '{architecture}'; timm.list_models() names them.")
    return AutoConfig.for_model("timm_wrapper", architecture=architecture)


def _size_of(config: Any) -> Any:
    """Return the image size of a pretrained model."""
    size = getattr(config, "image_size", None)
    if size is None:
        size = (getattr(config, "pretrained_cfg", None) or {}).get("input_size", (3, 224, 224))[1:]
    return size if isinstance(size, int) else tuple(size)


def _resized(config: PreTrainedConfig, side: int) -> Any:
    """Copy a configuration for another image size."""
    resized: Any = copy.deepcopy(config)
    if getattr(resized, "image_size", None) is not None and as_pair(_size_of(resized)) != (side, side):
        resized.image_size = side if isinstance(resized.image_size, int) else [side, side]
    elif resized.model_type == "timm_wrapper":
        arguments = {**(resized.model_args or {}), "img_size": side}
        if _can_be_made(str(resized.architecture), arguments):
            resized.model_args = arguments
    return resized


def _can_be_made(architecture: str, arguments: dict[str, Any]) -> bool:
    """Tell whether timm can make a model with an image size; convolutional networks know none."""
    import timm

    try:
        with torch.device("meta"):
            timm.create_model(architecture, num_classes=0, **arguments)
    except _NOT_MADE_FOR_IT:
        return False
    return True


def _takes_bands(inner: Any, weights: Mapping[str, Tensor], bands: int, side: int, name: str) -> bool:
    """Tell whether a pretrained model can take other bands itself and respond to a grey picture as it was trained to.

    It cannot if its first layer standardises its filters, which undoes their sum, or is no convolution.
    """
    channels = channels_of(inner)
    if bands == channels:
        return True
    # faint, so that small constants of normalisations count
    grey = 0.1 * torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {"num_channels": bands, "image_size": side, "hidden_size": 1}
    config = DeepLenseBackboneConfig(backbone_config=_resized(inner, side), band_adapter=True, **options)
    options["output_stride"] = config.output_stride = _probe(config, name)[1]
    expected = _features(config, weights, channels, grey)
    try:
        config = DeepLenseBackboneConfig(backbone_config=_resized(inner, side), **options)
        response = _features(config, weights, channels, grey)
    except _NOT_MADE_FOR_IT:
        return False
    return bool((response - expected).abs().max() <= _ROUNDING * expected.abs().max())


def _features(config: DeepLenseBackboneConfig, weights: Mapping[str, Tensor], channels: int, grey: Tensor) -> Tensor:
    """Compute the last features of a grey picture with pretrained weights."""
    model = DeepLenseBackboneModel(config).eval()
    model.load_state_dict(adapt_weights(weights, model.state_dict(), channels))
    with torch.no_grad():
        features: Tensor = model(grey.expand(-1, config.num_channels, -1, -1)).last_hidden_state
    return features


def _probe(config: DeepLenseBackboneConfig, name: str) -> tuple[int, int]:
    """Find width and stride of the last map by looking at one image."""
    side = as_pair(config.image_size)[0]
    inner: Any = config.backbone_config
    try:
        network = AutoModel.from_config(inner, **network_options(inner, config.pooling)).eval()
        with torch.no_grad():
            last = network(torch.zeros(1, channels_of(inner), side, side)).last_hidden_state
        if not isinstance(last, Tensor):
            raise TypeError(f"its features are a {type(last).__name__}")
        last = channels_first(network, last)
        if last.ndim not in (3, 4):
            raise ValueError(f"its features have shape {tuple(last.shape)}")
    except _NOT_MADE_FOR_IT as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"model '{name}' cannot take images of {side} pixels ({lines[0][:120]}); choose another --image_size or "
            "another model."
        ) from None
    if last.ndim == 4:
        return last.shape[1], max(1, round(side / last.shape[-1]))
    return last.shape[-1], _stride_of_tokens(network, inner, last.shape[1], side)


def _stride_of_tokens(network: nn.Module, config: Any, tokens: int, side: int) -> int:
    """Find the pixels per token along an axis; class, distillation and register tokens are none of the map."""
    patch = getattr(config, "patch_size", None)
    if isinstance(patch, int) and 0 < (side // patch) ** 2 <= tokens:
        return patch
    special = getattr(getattr(network, "timm_model", None), "num_prefix_tokens", 0)
    rows = int((tokens - special) ** 0.5)
    return max(1, round(side / max(rows, 1)))


__all__ = ["adapt_bands", "adapt_pretrained", "adapt_weights"]
