"""Layers by depth: rates fall towards the stem, and frozen layers keep weights and statistics."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
)

from deeplense_hf.models import DeepLenseBackboneConfig, DeepLenseBackboneForImageClassification
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


CVT = {
    "embed_dim": [16, 32], "num_heads": [1, 2], "depth": [1, 2], "patch_sizes": [7, 3], "patch_stride": [4, 2],
    "patch_padding": [2, 1], "mlp_ratio": [2.0, 2.0], "attention_drop_rate": [0.0, 0.0], "drop_rate": [0.0, 0.0],
    "drop_path_rate": [0.0, 0.0], "qkv_bias": [True, True], "cls_token": [False, True], "kernel_qkv": [3, 3],
    "qkv_projection_method": ["dw_bn", "dw_bn"], "padding_kv": [1, 1], "stride_kv": [2, 2], "padding_q": [1, 1],
    "stride_q": [1, 1],
}  # fmt: skip
STAGES = {"depths": [1, 2], "hidden_sizes": [8, 16]}
# family, its options, and what its layers are, from the stem to what follows the blocks
ORDERS = {
    "cvt": (
        CVT,
        ["stages.0.embedding", "stages.0.layers.0", "stages.1.cls_token|stages.1.embedding", "stages.1.layers.0",
         "stages.1.layers.1", "class_token_norm"],
    ),
    "convnext": (
        {**STAGES, "num_stages": 2},
        ["embeddings", "stages.0.layers.0", "stages.1.downsampling_layer", "stages.1.layers.0", "stages.1.layers.1",
         "network.layernorm"],
    ),
    "swin": (
        {"embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "image_size": 32, "window_size": 4},
        ["embeddings", "layers.0.blocks.0", "layers.0.downsample", "layers.1.blocks.0", "layers.1.blocks.1",
         "network.layernorm|pooler"],
    ),
    "poolformer": (
        {**STAGES, "num_encoder_blocks": 2},
        ["patch_embeddings.0", "block.0.0", "patch_embeddings.1", "block.1.0", "block.1.1", "nothing"],
    ),
    "timm:test_resnet": (
        {},
        ["timm_model.conv1|timm_model.bn1", "layer1.0", "layer2.0", "layer3.0", "layer4.0", "nothing"],
    ),
    "timm:convnext_atto": (
        {"depths": (1, 2, 1, 1), "dims": (8, 16, 16, 16)},
        ["stem", "stages.0.blocks.0", "stages.1.downsample", "stages.1.blocks.0", "stages.1.blocks.1",
         "stages.2.downsample", "stages.2.blocks.0", "stages.3.downsample", "stages.3.blocks.0", "head.norm"],
    ),
    "timm:swin_tiny_patch4_window7_224": (
        {"depths": (1, 2), "embed_dim": 8, "num_heads": (1, 2)},
        ["patch_embed", "layers.0.blocks.0", "layers.1.downsample", "layers.1.blocks.0", "layers.1.blocks.1",
         "timm_model.norm"],
    ),
    "timm:test_nfnet": (
        {},
        ["stem", "stages.0.0", "stages.1.0", "stages.2.0", "stages.3.0", "final_conv"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", ORDERS)
def test_the_layers_of_each_family_in_their_order(family: str) -> None:
    options, layers = ORDERS[family]
    if family.startswith("timm:"):
        pytest.importorskip("timm")
        options = {"architecture": family.removeprefix("timm:"), "model_args": options}
    inner = AutoConfig.for_model("timm_wrapper" if family.startswith("timm:") else family, **options)
    config = DeepLenseBackboneConfig(backbone_config=inner, band_adapter=True, hidden_size=16, num_labels=2)
    with torch.device("meta"):
        numbers = layer_numbers(DeepLenseBackboneForImageClassification(config))
    assert numbers.pop("backbone.band_adapter.weight") == 0
    assert numbers.pop("classifier.weight") == numbers.pop("classifier.bias") == len(layers)
    for name, number in numbers.items():
        assert any(f".{part}." in f"{name}." for part in layers[number].split("|")), (name, number)
    assert set(numbers.values()) == {number for number, layer in enumerate(layers) if layer != "nothing"}


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
