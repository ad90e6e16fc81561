"""Conversion from and to transformers' Swin and ViT."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForImageClassification,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from deeplense_hf.models import DeepLenseViTConfig, DeepLenseViTForImageClassification
from deeplense_hf.models.presets import build_config
from deeplense_hf.models.weights import from_stock, from_stock_weights, to_stock

LABELS = {"id2label": {0: "no_sub", 1: "cdm", 2: "axion"}, "label2id": {"no_sub": 0, "cdm": 1, "axion": 2}}


def stock_swin(**options: Any) -> PreTrainedModel:
    defaults = {"image_size": 32, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
    config = SwinConfig(**{**defaults, "patch_size": 2, "num_channels": 2, **LABELS, **options})
    return randomised(SwinForImageClassification(config))


def stock_vit(**options: Any) -> PreTrainedModel:
    defaults = {"image_size": 32, "patch_size": 4, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    config = ViTConfig(**{**defaults, "intermediate_size": 50, "num_channels": 2, **LABELS, **options})
    return randomised(ViTForImageClassification(config))


def randomised(model: PreTrainedModel) -> PreTrainedModel:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@torch.no_grad()
def logits(model: PreTrainedModel, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    images = torch.randn(3, 2, *size, generator=torch.Generator().manual_seed(1))
    result: torch.Tensor = model(images, interpolate_pos_encoding=True).logits
    return result


@pytest.mark.parametrize(
    ("make", "size"),
    [
        (stock_swin, (32, 32)),
        (stock_swin, (35, 41)),  # maps that windows do not tile
        (stock_swin, (16, 32)),  # the second map is as high as a window
        (stock_vit, (32, 32)),
        (stock_vit, (40, 48)),
    ],
)
def test_stock_models_give_the_same_logits(make: Any, size: tuple[int, int]) -> None:
    stock = make()
    expected = logits(stock, size)
    assert expected.std() > 0.01
    torch.testing.assert_close(logits(from_stock(stock), size), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [stock_swin, stock_vit])
@pytest.mark.parametrize("qkv_bias", [True, False])
def test_there_and_back(make: Any, qkv_bias: bool, tmp_path: Path) -> None:
    stock = make(qkv_bias=qkv_bias)
    from_stock(stock).save_pretrained(tmp_path / "ours")
    ours, report = AutoModelForImageClassification.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert ours.config.id2label == LABELS["id2label"]
    to_stock(ours).save_pretrained(tmp_path / "stock")
    back, report = type(stock).from_pretrained(tmp_path / "stock", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert back.config.id2label == LABELS["id2label"]
    weights = stock.state_dict()
    assert set(back.state_dict()) == set(weights)
    assert all(torch.equal(value, weights[name]) for name, value in back.state_dict().items())
    assert torch.equal(logits(back), logits(stock))


def test_models_of_ours_become_stock() -> None:
    options: dict[str, Any] = {"num_channels": 2, "image_size": 32, "stem": "patch", "num_labels": 3}
    swin = randomised(
        AutoModelForImageClassification.from_config(build_config("deeplense-swin-test", patch_size=2, **options))
    )
    torch.testing.assert_close(logits(to_stock(swin)), logits(swin), rtol=1e-5, atol=1e-6)
    vit = randomised(
        AutoModelForImageClassification.from_config(build_config("deeplense-vit-test", pooling="cls", **options))
    )
    torch.testing.assert_close(logits(to_stock(vit)), logits(vit), rtol=1e-5, atol=1e-6)


def test_what_has_no_counterpart_is_refused() -> None:
    def ours(preset: str, **options: Any) -> PreTrainedModel:
        return AutoModelForImageClassification.from_config(build_config(preset, **options))

    with pytest.raises(ValueError, match="stem='conv' has no counterpart"):
        to_stock(ours("deeplense-swin-test"))
    with pytest.raises(ValueError, match="pooling='mean' has no counterpart"):
        to_stock(ours("deeplense-vit-test", stem="patch", image_size=32))
    with pytest.raises(ValueError, match="a map of 7x7 tokens is tiled otherwise"):
        to_stock(ours("deeplense-swin-test", stem="patch", image_size=28))
    with pytest.raises(ValueError, match="a map of 3x3 tokens is tiled otherwise"):
        to_stock(ours("deeplense-swin-test", stem="patch", image_size=12, adaptive_window=False))
    with pytest.raises(ValueError, match="not a multiple of patch_size=4"):
        from_stock(stock_vit(image_size=30))
    with pytest.raises(ValueError, match="use_absolute_embeddings"):
        from_stock(stock_swin(use_absolute_embeddings=True))
    with pytest.raises(ValueError, match="'resnet' cannot be converted"):
        from_stock(ResNetForImageClassification(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])))
    with pytest.raises(ValueError, match="is no DeepLense model"):
        to_stock(stock_vit())
    with pytest.raises(ValueError, match=r"'vit\.pooler\.weight' has no counterpart"):
        from_stock_weights({"vit.pooler.weight": torch.zeros(1)}, "vit")


def test_hidden_width_survives_division() -> None:
    config = DeepLenseViTConfig(hidden_size=48, num_attention_heads=3, mlp_ratio=131 / 48, image_size=16, stem="patch")
    model = DeepLenseViTForImageClassification(config)
    assert model.backbone.blocks[0].feed_forward.expand.out_features == 131
