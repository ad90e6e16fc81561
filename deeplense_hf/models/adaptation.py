"""Take over pretrained vision models of transformers and timm, for other bands and image sizes.

- **Bands.** The filters of the first layer are summed over the pretrained colours and divided by the new number of
  bands. An image that is equal in all bands then gives the response that the pretrained model gives to the grey picture
  of it, exactly: for one band the filters are the sum over the colours. Three bands stay as they are.
- **Image size.** Tables of absolute positions, and of relative ones of BEiT, are interpolated bicubically to the new
  grid; special tokens keep theirs. Everything else does not depend on the size.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from .configuration_deeplense import as_pair
from .configuration_deeplense_backbone import DeepLenseBackboneConfig
from .modeling_deeplense_backbone import channels_first, network_options

UNTRAINED_PREFIX = "timm:"


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
        ValueError: If the model is no vision model, has no safetensors weights or does not take images of that size.
        ImportError: If timm is needed and missing.
        OSError: If the model cannot be found.
    """
    inner, weights = _load(name)
    side = image_size or as_pair(_size_of(inner))[0]
    pretrained_channels = _channels_of(inner)
    target_config = _resized(inner, side)
    config = DeepLenseBackboneConfig(
        backbone_config=target_config,
        num_channels=num_channels,
        image_size=side,
        hidden_size=1 if target_config.model_type == "timm_wrapper" else None,
        **head_options,
    )
    config.hidden_size, config.output_stride = _probe(config, name)
    model = head_class(config)
    if weights is not None:
        backbone: Any = model.backbone
        network = backbone.network
        network.load_state_dict(adapt_weights(weights, network.state_dict(), pretrained_channels))
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
        elif source.ndim == 4 and source.shape[1] == pretrained_channels and source.shape[2:] == target.shape[2:]:
            adapted[name] = adapt_bands(source, target.shape[1]).to(target.dtype)
        elif source.ndim == 3 and source.shape[0] == 1:
            adapted[name] = interpolate_positions(source, target.shape[1]).to(target.dtype)
        elif source.ndim == 2 and source.shape[1] == target.shape[1]:
            adapted[name] = interpolate_relative(source, target.shape[0]).to(target.dtype)
        else:
            raise ValueError(
                f"the weight '{name}' has shape {tuple(source.shape)} and would have to be {tuple(target.shape)}; keep "
                "the image size that the model was pretrained with."
            )
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


def interpolate_positions(table: Tensor, length: int) -> Tensor:
    """Interpolate a table of absolute positions of a square grid to another one.

    Args:
        table: `(1, special + side**2, width)`; the special tokens come first.
        length: New length, with as many special tokens.

    Returns:
        `(1, length, width)`.

    Raises:
        ValueError: If no number of special tokens leaves squares on both sides.

    Source:
        Dosovitskiy et al. (2021), arXiv:2010.11929, section 3.2.
    """
    for special in (0, 1, 2, 5):
        old, new = round((table.shape[1] - special) ** 0.5), round((length - special) ** 0.5)
        if special + old**2 == table.shape[1] and special + new**2 == length:
            grid = table[:, special:].unflatten(1, (old, old)).permute(0, 3, 1, 2)
            grid = functional.interpolate(grid, (new, new), mode="bicubic", align_corners=False)
            return torch.cat((table[:, :special], grid.flatten(2).transpose(1, 2)), dim=1)
    raise ValueError(f"a table of {table.shape[1]} positions is no square grid that can become one of {length}.")


def interpolate_relative(table: Tensor, length: int) -> Tensor:
    """Interpolate a table of relative positions to another window.

    Args:
        table: `((2 * side - 1)**2 + special, heads)`; the special entries come last.
        length: New length, with as many special entries.

    Returns:
        `(length, heads)`.

    Raises:
        ValueError: If no number of special entries leaves squares on both sides.

    Source:
        Bao et al. (2022), arXiv:2106.08254: three special entries for the class token; Liu et al. (2022),
        arXiv:2111.09883, for the interpolation between windows.
    """
    for special in (0, 3):
        old, new = round((len(table) - special) ** 0.5), round((length - special) ** 0.5)
        if special + old**2 == len(table) and special + new**2 == length:
            grid = table[: old**2].T.unflatten(1, (old, old))[None]
            grid = functional.interpolate(grid, (new, new), mode="bicubic", align_corners=False)[0]
            return torch.cat((grid.flatten(1).T, table[old**2 :]))
    raise ValueError(f"a table of {len(table)} relative positions cannot become one of {length}.")


def _load(name: str) -> tuple[PreTrainedConfig, Mapping[str, Tensor] | None]:
    """Load configuration and weights of a pretrained model; no weights for an untrained one."""
    if name.startswith(UNTRAINED_PREFIX):
        return _untrained_timm(name.removeprefix(UNTRAINED_PREFIX)), None
    try:
        config = AutoConfig.from_pretrained(name)
        if type(config) not in MODEL_MAPPING or (
            not hasattr(config, "image_size") and config.model_type not in _ANY_SIZE
        ):
            raise ValueError(f"model '{name}' is a '{config.model_type}', no vision model that takes images.")
        options = network_options(config, DeepLenseBackboneConfig(backbone_config=copy.deepcopy(config)).pooling)
        model = AutoModel.from_pretrained(name, use_safetensors=True, **options)
    except ImportError as error:
        if "timm" in str(error):
            raise ImportError(f"model '{name}' needs timm. Install it with: pip install 'deeplense-hf[timm]'") from None
        raise
    except OSError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".")
        raise OSError(
            f"model '{name}' cannot be loaded as a vision model with safetensors weights: {reason}."
        ) from None
    return config, model.state_dict()


# families that do not say an image size, and take any
_ANY_SIZE = ("resnet", "cvt", "timm_wrapper", "regnet", "mobilenet_v2", "poolformer", "van")


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


def _channels_of(config: Any) -> int:
    """Return the bands of a pretrained model."""
    return int(getattr(config, "num_channels", None) or (getattr(config, "model_args", None) or {}).get("in_chans", 3))


def _resized(config: PreTrainedConfig, side: int) -> Any:
    """Copy a configuration for another image size."""
    resized: Any = copy.deepcopy(config)
    if getattr(resized, "image_size", None) is not None and as_pair(_size_of(resized)) != (side, side):
        resized.image_size = side
    elif resized.model_type == "timm_wrapper" and _is_made_for_a_size(str(resized.architecture), side):
        resized.model_args = {**(resized.model_args or {}), "img_size": side}
    return resized


def _is_made_for_a_size(architecture: str, side: int) -> bool:
    """Tell whether a model of timm is made for images of one size, and can be for this one."""
    import timm

    try:
        with torch.device("meta"):
            timm.create_model(architecture, img_size=side, num_classes=0)
    except (TypeError, AssertionError, ValueError, RuntimeError, NotImplementedError):
        # it knows no such option (a convolutional network), or cannot be made for that size
        return False
    return True


def _probe(config: DeepLenseBackboneConfig, name: str) -> tuple[int, int]:
    """Find width and stride of the last map by looking at one image."""
    side = as_pair(config.image_size)[0]
    network = AutoModel.from_config(config.backbone_config, **network_options(config.backbone_config, config.pooling))
    images = torch.zeros(1, config.num_channels, side, side)
    try:
        with torch.no_grad():
            last = channels_first(network, network.eval()(images).last_hidden_state)
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"model '{name}' cannot take images of {side} pixels ({lines[0][:120]}); choose another --image_size."
        ) from None
    if last.ndim == 4:
        return last.shape[1], max(1, round(side / last.shape[-1]))
    rows = int(last.shape[1] ** 0.5)
    return last.shape[-1], max(1, side // max(rows, 1))


__all__ = ["adapt_bands", "adapt_pretrained", "adapt_weights", "interpolate_positions", "interpolate_relative"]
