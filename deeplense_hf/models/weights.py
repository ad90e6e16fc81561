"""Conversion between transformers' Swin and ViT classifiers and ours with a patch stem: same logits, every weight.

Weights are those of models in memory, as `model.state_dict()` gives them; what transformers writes to disk has older
names.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, cat
from transformers import (
    PreTrainedModel,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from .configuration_deeplense import as_pair
from .configuration_deeplense_swin import DeepLenseSwinConfig
from .configuration_deeplense_vit import DeepLenseViTConfig
from .modeling_deeplense_swin import DeepLenseSwinForImageClassification
from .modeling_deeplense_vit import DeepLenseViTForImageClassification
from .windows import window_grid

# names within a block, ours and theirs
_BLOCK_NAMES = {
    "norm_attention": "layernorm_before",
    "attention.output": "attention.o_proj",
    "norm_feed_forward": "layernorm_after",
    "feed_forward.expand": "mlp.fc1",
    "feed_forward.output": "mlp.fc2",
}
# names by kind of model; * stands for a number
_NAMES: dict[str, dict[str, str]] = {
    "swin": {
        "backbone.stem.projection": "swin.embeddings.patch_embeddings.projection",
        "backbone.stem_norm": "swin.embeddings.norm",
        "backbone.stages.*.merge.norm": "swin.encoder.layers.*.downsample.norm",
        "backbone.stages.*.merge.reduction": "swin.encoder.layers.*.downsample.reduction",
        "backbone.stages.*.blocks.*.attention.position_bias": (
            "swin.encoder.layers.*.blocks.*.attention.relative_position_bias.relative_position_bias_table"
        ),
        "backbone.norm": "swin.layernorm",
        "classifier": "classifier",
        **{
            f"backbone.stages.*.blocks.*.{ours}": f"swin.encoder.layers.*.blocks.*.{theirs}"
            for ours, theirs in _BLOCK_NAMES.items()
        },
    },
    "vit": {
        "backbone.stem.projection": "vit.embeddings.patch_embeddings.projection",
        "backbone.positions.class_token": "vit.embeddings.cls_token",
        "backbone.positions.table": "vit.embeddings.position_embeddings",
        "backbone.norm": "vit.layernorm",
        "classifier": "classifier",
        **{f"backbone.blocks.*.{ours}": f"vit.layers.*.{theirs}" for ours, theirs in _BLOCK_NAMES.items()},
    },
}
# where the joint projection of queries, keys and values lies, ours and theirs
_ATTENTIONS = {
    "swin": ("backbone.stages.*.blocks.*.attention", "swin.encoder.layers.*.blocks.*.attention"),
    "vit": ("backbone.blocks.*.attention", "vit.layers.*.attention"),
}
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")
# options that mean the same on both sides
_SHARED_OPTIONS = (
    "image_size",
    "patch_size",
    "num_channels",
    "qkv_bias",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "hidden_act",
    "layer_norm_eps",
    "id2label",
    "label2id",
    "problem_type",
)
_SWIN_OPTIONS = (*_SHARED_OPTIONS, "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "drop_path_rate")
_VIT_OPTIONS = (*_SHARED_OPTIONS, "hidden_size", "num_hidden_layers", "num_attention_heads")


def from_stock(model: PreTrainedModel) -> PreTrainedModel:
    """Turn a classifier of transformers into ours.

    Args:
        model: A `SwinForImageClassification` or `ViTForImageClassification`.

    Returns:
        Our classifier with copies of the weights and the same logits, in evaluation mode.

    Raises:
        ValueError: If the model is of another kind or uses what ours does not have.
    """
    config = model.config
    converted: PreTrainedModel
    if isinstance(config, SwinConfig):
        if config.use_absolute_embeddings:
            raise ValueError(
                "use_absolute_embeddings=True has no counterpart in DeepLense Swin, it cannot be converted."
            )
        options = {name: getattr(config, name) for name in _SWIN_OPTIONS}
        converted = DeepLenseSwinForImageClassification(
            DeepLenseSwinConfig(
                **options,
                stem="patch",
                adaptive_window=False,
                residual_init="normal",
                initializer_range=config.initializer_range,
            )
        )
    elif isinstance(config, ViTConfig):
        _check_whole_patches(config)
        options = {name: getattr(config, name) for name in _VIT_OPTIONS}
        converted = DeepLenseViTForImageClassification(
            DeepLenseViTConfig(
                **options,
                stem="patch",
                pooling="cls",
                residual_init="normal",
                initializer_range=config.initializer_range,
                mlp_ratio=config.intermediate_size / config.hidden_size,
            )
        )
    else:
        raise ValueError(f"a model of type '{config.model_type}' cannot be converted; the types are swin and vit.")
    converted.load_state_dict(from_stock_weights(model.state_dict(), config.model_type))
    return converted.eval()


def to_stock(model: PreTrainedModel) -> PreTrainedModel:
    """Turn our classifier into one of transformers, which needs no code of ours.

    Args:
        model: A DeepLense classifier with `stem="patch"`.

    Returns:
        A `SwinForImageClassification` or `ViTForImageClassification` with copies of the weights and, for images of the
        configured size, the same logits, in evaluation mode.

    Raises:
        ValueError: If the model uses what transformers' does not have.
    """
    config = model.config
    if not isinstance(config, DeepLenseSwinConfig | DeepLenseViTConfig):
        raise ValueError(f"a model of type '{config.model_type}' is no DeepLense model, it cannot be converted.")
    if config.symmetry != "none":
        raise ValueError(f"symmetry='{config.symmetry}' has no counterpart in transformers; convert a model without.")
    if config.stem != "patch":
        raise ValueError(f"stem='{config.stem}' has no counterpart in transformers; train a model with stem='patch'.")
    converted: PreTrainedModel
    spread = 0.02 if config.initializer_range is None else config.initializer_range
    if isinstance(config, DeepLenseSwinConfig):
        _check_stock_windows(config)
        options = {name: getattr(config, name) for name in _SWIN_OPTIONS}
        converted = SwinForImageClassification(SwinConfig(**options, initializer_range=spread))
    else:
        _check_whole_patches(config)
        if config.pooling != "cls":
            raise ValueError(
                f"pooling='{config.pooling}' has no counterpart in transformers' ViT; train a model with pooling='cls'."
            )
        options = {name: getattr(config, name) for name in _VIT_OPTIONS}
        hidden = model.state_dict()["backbone.blocks.0.feed_forward.expand.weight"].shape[0]
        converted = ViTForImageClassification(ViTConfig(**options, initializer_range=spread, intermediate_size=hidden))
    converted.load_state_dict(to_stock_weights(model.state_dict(), converted.config.model_type))
    return converted.eval()


def from_stock_weights(weights: Mapping[str, Tensor], model_type: str) -> dict[str, Tensor]:
    """Rename the weights of a classifier of transformers to ours.

    Args:
        weights: Weights of a model in memory.
        model_type: `swin` or `vit`.

    Returns:
        Weights of our classifier with a patch stem.

    Raises:
        ValueError: If a weight is unknown.
    """
    names = {theirs: ours for ours, theirs in _NAMES[model_type].items()}
    ours, theirs = _ATTENTIONS[model_type]
    for projection in _PROJECTIONS:
        names[f"{theirs}.{projection}"] = f"{ours}.{projection}"
    renamed = {_rename(name, names): weight for name, weight in weights.items()}
    first, *others = _PROJECTIONS
    for name in [name for name in renamed if f".{first}." in name]:
        parts = [renamed.pop(name), *(renamed.pop(name.replace(first, other)) for other in others)]
        renamed[name.replace(first, "qkv")] = cat(parts)
    return renamed


def to_stock_weights(weights: Mapping[str, Tensor], model_type: str) -> dict[str, Tensor]:
    """Rename the weights of our classifier with a patch stem to those of transformers.

    Args:
        weights: Weights of a model in memory.
        model_type: `swin` or `vit`.

    Returns:
        Weights of the classifier of transformers.

    Raises:
        ValueError: If a weight is unknown.
    """
    ours, theirs = _ATTENTIONS[model_type]
    names = _NAMES[model_type] | {f"{ours}.qkv": f"{theirs}.qkv"}
    renamed: dict[str, Tensor] = {}
    for name, weight in weights.items():
        target = _rename(name, names)
        if ".qkv." in target:
            for projection, part in zip(_PROJECTIONS, weight.chunk(3), strict=True):
                renamed[target.replace(".qkv.", f".{projection}.")] = part.clone()
        else:
            renamed[target] = weight
    return renamed


def _rename(name: str, names: Mapping[str, str]) -> str:
    """Rename one weight by the first pattern that fits; what follows the pattern is kept."""
    for pattern, target in names.items():
        expression = re.escape(pattern).replace(r"\*", r"(\d+)")
        match = re.fullmatch(rf"{expression}((?:\.(?:weight|bias))?)", name)
        if match:
            *numbers, ending = match.groups()
            return target.replace("*", "{}").format(*numbers) + ending
    raise ValueError(f"the weight '{name}' has no counterpart, the model cannot be converted.")


def _check_whole_patches(config: Any) -> None:
    """Refuse sizes that the stems of the two sides treat differently."""
    if any(side % config.patch_size for side in as_pair(config.image_size)):
        raise ValueError(
            f"image_size={config.image_size} is not a multiple of patch_size={config.patch_size}; transformers' ViT "
            "cuts off the rest and ours fills it up."
        )


def _check_stock_windows(config: DeepLenseSwinConfig) -> None:
    """Refuse a model whose windows differ from those of transformers on images of its size."""
    rows, columns = (-(-side // config.patch_size) for side in as_pair(config.image_size))
    for _ in config.depths:
        ours, theirs = (
            window_grid(rows, columns, config.window_size, shifted=True, adaptive=adaptive)
            for adaptive in (config.adaptive_window, False)
        )
        differs = (ours.window, ours.shift) != (theirs.window, theirs.shift) or (ours.masked and any(ours.padding))
        if differs or min(rows, columns) < config.window_size:
            raise ValueError(
                f"a map of {rows}x{columns} tokens is tiled otherwise by transformers' Swin with window_size="
                f"{config.window_size}; choose an image_size whose maps are multiples of it."
            )
        rows, columns = (rows + 1) // 2, (columns + 1) // 2


__all__ = ["from_stock", "from_stock_weights", "to_stock", "to_stock_weights"]
