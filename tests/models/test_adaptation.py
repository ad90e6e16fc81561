"""Vision models of transformers and timm behind our heads: the pretrained response is kept for any bands."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForImageClassification,
    BeitConfig,
    BeitForImageClassification,
    BertConfig,
    BertModel,
    ConvNextConfig,
    ConvNextForImageClassification,
    CvtConfig,
    CvtForImageClassification,
    DeiTConfig,
    DeiTForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    Swinv2Config,
    Swinv2ForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from deeplense_hf.models import AutoModelForAnomalyDetection, DeepLenseBackboneForImageClassification
from deeplense_hf.models.adaptation import adapt_pretrained
from deeplense_hf.models.modeling_deeplense_backbone import DeepLenseBackboneForAnomalyDetection
from deeplense_hf.models.positions import interpolate_positions, interpolate_relative, interpolate_table

PLAIN = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
WINDOWED = {
    "image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4,
}  # fmt: skip
CVT = {
    "embed_dim": [16, 32], "num_heads": [1, 2], "depth": [1, 2], "patch_sizes": [7, 3], "patch_stride": [4, 2],
    "patch_padding": [2, 1], "mlp_ratio": [2.0, 2.0], "attention_drop_rate": [0.0, 0.0], "drop_rate": [0.0, 0.0],
    "drop_path_rate": [0.0, 0.0], "qkv_bias": [True, True], "cls_token": [False, True], "kernel_qkv": [3, 3],
    "qkv_projection_method": ["dw_bn", "dw_bn"], "padding_kv": [1, 1], "stride_kv": [2, 2], "padding_q": [1, 1],
    "stride_q": [1, 1],
}  # fmt: skip
STOCK: dict[str, tuple[Any, Any]] = {
    "vit": (ViTForImageClassification, ViTConfig(**PLAIN)),
    "deit": (DeiTForImageClassification, DeiTConfig(**PLAIN)),
    "beit": (
        BeitForImageClassification,
        BeitConfig(**PLAIN, use_relative_position_bias=True, use_mean_pooling=True),
    ),
    "swin": (SwinForImageClassification, SwinConfig(**WINDOWED)),
    "swinv2": (Swinv2ForImageClassification, Swinv2Config(**WINDOWED)),
    "convnext": (
        ConvNextForImageClassification,
        ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, patch_size=4, image_size=32),
    ),
    "cvt": (CvtForImageClassification, CvtConfig(**CVT)),
    "resnet": (ResNetForImageClassification, ResNetConfig(hidden_sizes=[8, 16], depths=[1, 1], embedding_size=8)),
}
HEAD = {"id2label": {0: "no_sub", 1: "sub"}, "label2id": {"no_sub": 0, "sub": 1}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny checkpoints as transformers writes them."""
    torch.manual_seed(0)
    made = {}
    for name, (model_class, config) in STOCK.items():
        made[name] = tmp_path_factory.mktemp(name)
        model_class(config).save_pretrained(made[name])
    return made


def pooled(folder: Path, bands: int, images: torch.Tensor) -> torch.Tensor:
    model = adapt_pretrained(str(folder), DeepLenseBackboneForImageClassification, bands, 32, **HEAD).eval()
    with torch.no_grad():
        return model.backbone(images.repeat(1, bands, 1, 1)).pooler_output


@pytest.mark.parametrize("name", STOCK)
def test_the_pretrained_response_is_kept(name: str, folders: dict[str, Path]) -> None:
    images = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    model_class, _ = STOCK[name]
    stock = model_class.from_pretrained(folders[name]).eval()
    with torch.no_grad():
        states = stock.base_model(images.repeat(1, 3, 1, 1))
    expected = pooled(folders[name], 3, images)
    if name in ("vit", "deit"):
        torch.testing.assert_close(expected, states.last_hidden_state[:, 0])
    elif name != "cvt":
        torch.testing.assert_close(expected, states.pooler_output.flatten(1))
    for bands in (1, 2, 5):
        torch.testing.assert_close(pooled(folders[name], bands, images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STOCK)
def test_another_size_learns_saves_and_loads(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    model = adapt_pretrained(str(folders[name]), DeepLenseBackboneForAnomalyDetection, 1, 48, id2label={0: "no_sub"})
    images = torch.randn(2, 1, 48, 48)
    model(images).loss.backward()
    with torch.no_grad():
        model.eval().normal.fit(model.pooled(images))
        model.normal.fit_scores(torch.tensor([0.0, 1.0]))
    model.save_pretrained(tmp_path)
    loaded, report = AutoModelForAnomalyDetection.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(images).anomaly_score, model(images).anomaly_score, rtol=0, atol=0)


def test_positions_keep_their_tokens() -> None:
    table = torch.randn(1, 1 + 16, 8)
    assert torch.equal(interpolate_positions(table, 17)[:, :1], table[:, :1])
    torch.testing.assert_close(interpolate_positions(table, 17), table)
    smooth = torch.linspace(0, 1, 4)[:, None].expand(4, 4).reshape(1, 16, 1)
    larger = interpolate_positions(smooth, 64).view(8, 8)
    torch.testing.assert_close(larger[:, 0], larger[:, 7])
    assert (larger.diff(dim=0) >= -0.02).all()
    relative = torch.randn(7 * 7 + 3, 2)
    assert torch.equal(interpolate_relative(relative, 11 * 11 + 3)[-3:], relative[-3:])
    with pytest.raises(ValueError, match="no square grid"):
        interpolate_positions(torch.randn(1, 13, 8), 30)
    with pytest.raises(ValueError, match="cannot become one of 30"):
        interpolate_relative(relative, 30)


def test_tables_of_every_layout() -> None:
    maps = torch.randn(1, 8, 4, 4)
    larger = interpolate_table("pos_embed", maps, (1, 8, 6, 6))
    last = interpolate_table("encoder.pos_embed", maps.permute(0, 2, 3, 1), (1, 6, 6, 8))
    tokens = interpolate_table("position_embedding.weight", maps.flatten(2)[0].T, (36, 8))
    relative = interpolate_table("attn.rel_pos.relative_position_bias_table", maps[0], (8, 6, 6))
    assert larger is not None
    assert last is not None
    assert tokens is not None
    torch.testing.assert_close(last.permute(0, 3, 1, 2), larger)
    torch.testing.assert_close(tokens.T.unflatten(1, (6, 6))[None], larger)
    assert relative is not None
    torch.testing.assert_close(relative[None], larger)
    steps = interpolate_table("attn.rel_pos_h", torch.arange(7.0)[:, None], (13, 1))
    assert steps is not None
    torch.testing.assert_close(steps.flip(0), 6 - steps)
    # no tables of positions, or of other widths
    assert interpolate_table("mlp.weight", torch.randn(17, 8), (37, 8)) is None
    assert interpolate_table("pos_embed", torch.randn(1, 17, 8), (1, 37, 4)) is None
    assert interpolate_table("rel_pos_bias", torch.randn(2, 49, 3), (3, 49, 3)) is None


def test_what_cannot_be_adapted_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(OSError, match="cannot be loaded as a vision model with safetensors"):
        adapt_pretrained(str(tmp_path / "nothing"), DeepLenseBackboneForImageClassification, 1)
    weights = folders["vit"] / "model.safetensors"
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((folders["vit"] / "config.json").read_text())
    torch.save({}, pickled / "pytorch_model.bin")
    assert weights.exists()
    with pytest.raises(ValueError, match=r"pickled has no model\.safetensors"):
        adapt_pretrained(str(pickled), DeepLenseBackboneForImageClassification, 1)
    BertModel(
        BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="is a 'bert', no vision model"):
        adapt_pretrained(str(tmp_path / "bert"), DeepLenseBackboneForImageClassification, 1)
    with pytest.raises(ValueError, match="cannot take images of 4 pixels"):
        adapt_pretrained(str(folders["swin"]), DeepLenseBackboneForImageClassification, 1, 4)


@pytest.mark.parametrize(
    ("architecture", "width", "stride"),
    [("test_mambaout", 64, 32), ("swin_tiny_patch4_window7_224", 768, 32), ("deit_tiny_patch16_224", 192, 16)],
)
def test_timm_models_of_other_layouts_and_sizes(architecture: str, width: int, stride: int) -> None:
    pytest.importorskip("timm")
    model = adapt_pretrained(f"timm:{architecture}", DeepLenseBackboneForImageClassification, 1, 64, **HEAD).eval()
    assert (model.config.hidden_size, model.config.output_stride) == (width, stride)
    images = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert model(images).logits.shape == (2, 2)
        features = model.backbone(images)
    assert features.last_map.shape == (2, width, 64 // stride, 64 // stride)
    assert features.pooler_output.shape == (2, width)


def test_timm(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    model = adapt_pretrained("timm:test_resnet", DeepLenseBackboneForImageClassification, 2, 48, **HEAD)
    model.eval().save_pretrained(tmp_path)
    images = torch.randn(2, 2, 48, 48)
    with torch.no_grad():
        loaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
        torch.testing.assert_close(loaded(images).logits, model(images).logits, rtol=0, atol=0)
    with pytest.raises(ValueError, match="timm has no model 'no_such_net'"):
        adapt_pretrained("timm:no_such_net", DeepLenseBackboneForImageClassification, 1)
