"""Layers by depth: rates fall towards the stem, and frozen layers keep weights and statistics."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageClassification, PreTrainedModel, ViTConfig, ViTForImageClassification

from deeplense_hf.models import DeepLenseBackboneForImageClassification
from deeplense_hf.models.adaptation import adapt_pretrained
from deeplense_hf.models.presets import build_config
from deeplense_hf.training.optimizers import freeze, keep_frozen, layer_numbers, parameter_groups

PRESETS = ("deeplense-swin-test", "deeplense-vit-test", "resnet-test")


def make(preset: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForImageClassification.from_config(build_config(preset, image_size=32, num_labels=3))


@pytest.mark.parametrize("preset", PRESETS)
def test_depth_rises_from_stem_to_head(preset: str) -> None:
    model = make(preset)
    numbers = layer_numbers(model)
    assert set(numbers) == {name for name, _ in model.named_parameters()}
    assert numbers["classifier.weight"] == max(numbers.values())
    first = next(name for name, _ in model.named_parameters() if "stem" in name or "embedder" in name)
    assert numbers[first] == 0
    blocks = [number for name, number in numbers.items() if ".blocks." in name and "stem" not in name]
    assert blocks == sorted(blocks)


def test_depth_of_a_stock_model(tmp_path: Path) -> None:
    config = ViTConfig(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16, image_size=16)
    ViTForImageClassification(config).save_pretrained(tmp_path)
    model = adapt_pretrained(str(tmp_path), DeepLenseBackboneForImageClassification, 1, 16, num_labels=2)
    numbers = layer_numbers(model)
    by_depth = sorted({number for name, number in numbers.items() if ".layers." in name or ".layer." in name})
    assert by_depth == [1, 2, 3]
    assert {number for name, number in numbers.items() if "embeddings" in name} == {0}


@pytest.mark.parametrize("preset", PRESETS)
def test_groups_hold_every_parameter_once(preset: str) -> None:
    model = make(preset)
    groups = parameter_groups(model, 1e-3, 0.05, layer_decay=0.5)
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    numbers, last = layer_numbers(model), max(layer_numbers(model).values())
    rates = {id(parameter): group for group in groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)]["lr"] == pytest.approx(1e-3 * 0.5 ** (last - numbers[name]))
        if parameter.ndim == 1 or "position" in name:
            assert rates[id(parameter)]["weight_decay"] == 0
    assert {group["lr"] for group in parameter_groups(model, 1e-3, 0.05)} == {1e-3}


@pytest.mark.parametrize("preset", PRESETS)
def test_frozen_layers_keep_weights_and_statistics(preset: str) -> None:
    model = make(preset)
    freeze(model, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(parameter_groups(model, 0.1, 0.0))
    model.train()
    keep_frozen(model)
    model(torch.randn(8, 1, 32, 32), labels=torch.arange(8) % 3).loss.backward()
    optimizer.step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert "classifier.weight" in moved
    assert not [name for name in moved if layer_numbers(model).get(name) == 0]
    assert not [name for name in moved if "stem" in name or "embedder" in name], "running statistics stay too"


def test_a_frozen_backbone_leaves_the_head() -> None:
    model = make(PRESETS[0])
    freeze(model, "backbone")
    learnt = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert learnt == ["classifier.weight", "classifier.bias"]
    with pytest.raises(ValueError, match="frozen_layers=99, but the model has 6 layers below its head"):
        freeze(model, 99)
