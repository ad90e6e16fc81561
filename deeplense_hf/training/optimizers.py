"""Layers of a model by depth: learning rates that fall towards the stem, and layers that keep their weights."""

import math
import re
from typing import Any

from torch import nn

# names of what comes before the first block: DeepLense stems, and the embeddings of stock models
_FIRST = ("stem", "embed", "positions", "mask_value", "distillation_token", "cls_token")
# names of lists of blocks or stages, DeepLense and stock; what is in them is numbered
_NUMBERED = re.compile(r"(?:^|\.)(?:stages|blocks|layers|layer|block)\.?(\d+)(?=\.|$)")
# parameters with more than one dimension that decay would pull towards nothing in particular
_WITHOUT_DECAY = ("position", "cls_token", "class_token", "distillation_token", "mask_value", "relative_position")


def layer_numbers(model: nn.Module) -> dict[str, int]:
    """Number the parameters of a model by depth.

    Args:
        model: A model with a `backbone` and a head, DeepLense or wrapped.

    Returns:
        For each parameter 0 for the stem or embeddings, 1 and so on for the blocks in their order, then one number for
        what follows the blocks, and the last for the head.
    """
    names = [name for name, _ in model.named_parameters()]
    places = {name: _place(name) for name in names if name.startswith("backbone.")}
    # what ends a stage has one number less than its blocks and comes after them
    found = sorted({place for place in places.values() if place}, key=lambda place: (*place, math.inf))
    order = {place: number for number, place in enumerate(found)}
    blocks = len(order)
    numbers = {}
    for name in names:
        if name not in places:
            numbers[name] = blocks + 2
        elif places[name]:
            numbers[name] = order[places[name]] + 1
        else:
            inner = name.removeprefix("backbone.")
            numbers[name] = 0 if any(word in inner for word in _FIRST) else blocks + 1
    return numbers


def _place(name: str) -> tuple[int, ...]:
    """Return the numbers of the stages and blocks that a parameter lies in, none outside of them."""
    # a stem of blocks is one layer
    if any(part in ("stem", "embeddings") for part in name.split(".")):
        return ()
    # stage and block; what is numbered within a block belongs together
    return tuple(map(int, _NUMBERED.findall(name)))[:2]


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
