"""Layers of a model by depth: learning rates that fall towards the stem, and layers that keep their weights."""

import re
from typing import Any

from torch import nn

# names of what comes before the first block: DeepLense stems, and the embeddings of stock models
_FIRST = ("stem", "embed", "positions", "mask_value", "distillation_token", "cls_token", "band_adapter")
# names of lists of blocks or stages, DeepLense and stock; what is in them is numbered, and so may be what is in that
_NUMBERED = re.compile(r"(?:^|\.)(?:stages|blocks|layers|layer|block)\.?(\d+)(?:\.(\d+))?(?=\.|$)")
# what stock models begin their stages with, where it is a list of its own
_EMBEDDINGS = re.compile(r"\.patch_embeddings\.(\d+)\.")
_BEFORE, _WITHIN, _AFTER = -1, 0, 1
# parameters with more than one dimension that decay would pull towards nothing in particular
_WITHOUT_DECAY = (
    "position",
    "pos_embed",
    "cls_token",
    "class_token",
    "class_embedding",
    "dist_token",
    "distillation_token",
    "reg_token",
    "register_tokens",
    "mask_value",
    "mask_token",
)


def layer_numbers(model: nn.Module) -> dict[str, int]:
    """Number the parameters of a model by depth.

    Args:
        model: A model with a `backbone` and a head, DeepLense or wrapped.

    Returns:
        For each parameter 0 for the stem or embeddings, 1 and so on for the blocks in their order, then one number for
        what follows the blocks, and the last for the head.
    """
    names = [name for name, _ in model.named_parameters()]
    places = _places([name for name in names if name.startswith("backbone.")])
    order = {place: number for number, place in enumerate(sorted({place for place in places.values() if place}))}
    blocks = len(order)
    numbers = {}
    begun = False
    for name in names:
        if name not in places:
            numbers[name] = blocks + 2
        elif places[name]:
            numbers[name] = order[places[name]] + 1
            begun = True
        else:
            first = any(word in name.removeprefix("backbone.") for word in _FIRST)
            # the modules of a model stand in the order of their use
            numbers[name] = 0 if first or (blocks and not begun) else blocks + 1
    return numbers


def _places(names: list[str]) -> dict[str, tuple[int, ...]]:
    """Return the stage, the part of it and the block that each parameter lies in; nothing outside of them.

    What a stage has beside its blocks, for example its downsampling, comes before or after them, as in the model.
    """
    numbers = {name: _numbers(name) for name in names}
    stages_of_blocks = {found[0] for found in numbers.values() if len(found) > 1}
    begun: set[int] = set()
    places: dict[str, tuple[int, ...]] = {}
    for name, found in numbers.items():
        embedding = _EMBEDDINGS.search(name)
        if embedding and int(embedding[1]):
            places[name] = (int(embedding[1]), _BEFORE, 0)
        elif not found:
            places[name] = ()
        elif len(found) > 1 or found[0] not in stages_of_blocks:
            begun.add(found[0])
            places[name] = (found[0], _WITHIN, *found[1:])
        elif not begun:
            # what the first stage begins with is the stem
            places[name] = ()
        else:
            places[name] = (found[0], _AFTER if found[0] in begun else _BEFORE, 0)
    return places


def _numbers(name: str) -> tuple[int, ...]:
    """Return the numbers of stage and block in the name of a parameter, none outside of them."""
    # a stem of blocks is one layer
    if any(part in ("stem", "embeddings") for part in name.split(".")):
        return ()
    # stage and block; what is numbered within a block belongs together
    return tuple(int(number) for found in _NUMBERED.findall(name) for number in found if number)[:2]


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, *, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Group the trainable parameters for an optimiser.

    Args:
        model: The model.
        learning_rate: That of the head.
        weight_decay: That of weights; biases, normalisations, positions and tokens have none.
        layer_decay: Factor of the learning rate from each layer to the one below it.

    Returns:
        Groups with `params`, `lr` and `weight_decay`.

    Source:
        Layer-wise decay: Howard & Ruder (2018), arXiv:1801.06146; for vision transformers Bao et al. (2022),
        arXiv:2106.08254.
    """
    numbers = layer_numbers(model)
    last = max(numbers.values(), default=0)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim > 1 and not any(word in name for word in _WITHOUT_DECAY)
        depth = numbers[name] if layer_decay != 1.0 else last
        group = groups.setdefault(
            (depth, decays),
            {
                "params": [],
                "lr": learning_rate * layer_decay ** (last - depth),
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def freeze(model: nn.Module, layers: int | str) -> None:
    """Let layers keep their weights.

    Args:
        model: The model; the parameters lose their gradients.
        layers: How many, from the stem on, or `backbone` for everything but the head.

    Raises:
        ValueError: If the model does not have so many below its head.
    """
    numbers = layer_numbers(model)
    head = max(numbers.values())
    if layers == "backbone":
        layers = head
    if not 0 <= int(layers) <= head:
        raise ValueError(f"frozen_layers={layers}, but the model has {head} layers below its head.")
    for name, parameter in model.named_parameters():
        if numbers[name] < int(layers):
            parameter.requires_grad_(False)


def keep_frozen(model: nn.Module) -> None:
    """Put normalisations and dropout of frozen layers into evaluation mode, so that their statistics stay too.

    Args:
        model: The model, in training mode.
    """
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
