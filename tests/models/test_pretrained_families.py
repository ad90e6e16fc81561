"""What the features of each family mean, at the size and the bands it was pretrained with and at others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageClassification,
    BitConfig,
    CLIPVisionConfig,
    CvtConfig,
    DetrConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    DINOv3ViTConfig,
    EfficientNetConfig,
    HieraConfig,
    IJepaConfig,
    LevitConfig,
    PreTrainedModel,
    PvtConfig,
    SegformerConfig,
    TextNetConfig,
    ViTMAEConfig,
    ViTMAEModel,
)

from deeplense_hf.models import DeepLenseBackboneConfig, DeepLenseBackboneForImageClassification
from deeplense_hf.models.adaptation import adapt_pretrained

PLAIN: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
PYRAMID: dict[str, Any] = {
    "hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 2],
}  # fmt: skip
CVT: dict[str, Any] = {
    "embed_dim": [16, 32], "num_heads": [1, 2], "depth": [1, 2], "patch_sizes": [7, 3], "patch_stride": [4, 2],
    "patch_padding": [2, 1], "mlp_ratio": [2.0, 2.0], "attention_drop_rate": [0.0, 0.0], "drop_rate": [0.0, 0.0],
    "drop_path_rate": [0.0, 0.0], "qkv_bias": [True, True], "cls_token": [False, True], "kernel_qkv": [3, 3],
    "qkv_projection_method": ["dw_bn", "dw_bn"], "padding_kv": [1, 1], "stride_kv": [2, 2], "padding_q": [1, 1],
    "stride_q": [1, 1],
}  # fmt: skip
CONFIGS = {
    "vit_mae": ViTMAEConfig(**PLAIN),
    "ijepa": IJepaConfig(**PLAIN),
    "dinov2": Dinov2Config(**PLAIN),
    "dinov2_with_registers": Dinov2WithRegistersConfig(**PLAIN, num_register_tokens=4),
    "dinov3_vit": DINOv3ViTConfig(**PLAIN, num_register_tokens=4),
    "pvt": PvtConfig(**PYRAMID, image_size=64),
    "cvt": CvtConfig(**CVT),
    "clip_vision_model": CLIPVisionConfig(**PLAIN),
    "hiera": HieraConfig(embed_dim=8, image_size=[64, 64], depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]),
    "segformer": SegformerConfig(**PYRAMID),
    "efficientnet": EfficientNetConfig(image_size=64, width_coefficient=0.25, depth_coefficient=0.2, hidden_dim=320),
    "bit": BitConfig(hidden_sizes=[16, 32], depths=[1, 1], embedding_size=32, num_groups=8),
}
ADAPTERS = ("bit", "test_nfnet")
TIMM: dict[str, dict[str, Any]] = {
    "test_resnet": {},
    "test_convnext": {},
    "test_efficientnet": {},
    "test_nfnet": {},
    "test_vit4": {"img_size": 64},
    "deit_tiny_distilled_patch16_224": {"depth": 1, "img_size": 64},
    "deit3_small_patch16_224": {"depth": 1, "embed_dim": 64, "num_heads": 2, "img_size": 64},
    "vit_small_patch14_reg4_dinov2": {"depth": 1, "embed_dim": 64, "num_heads": 2, "patch_size": 16, "img_size": 64},
    "beit_base_patch16_224": {"depth": 1, "embed_dim": 64, "num_heads": 2, "img_size": 64},
    "eva02_tiny_patch14_224": {"depth": 1, "patch_size": 16, "img_size": 64},
    "swin_tiny_patch4_window7_224": {"depths": (1, 1), "embed_dim": 16, "num_heads": (1, 2), "img_size": 64},
    "test_coatnet": {"img_size": 64},
}
CONVOLUTIONS = ("test_resnet", "test_convnext", "test_efficientnet", "test_nfnet", "test_coatnet")
TIMM_STRIDES = {**dict.fromkeys(CONVOLUTIONS, 32), "swin_tiny_patch4_window7_224": 8}
HEAD = {"num_labels": 2}


def vary(model: PreTrainedModel) -> PreTrainedModel:
    """Give tables, biases and scales that begin as constants values of their own."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny checkpoints of the families of transformers."""
    made = {}
    for name, config in CONFIGS.items():
        made[name] = tmp_path_factory.mktemp(name)
        has_classifier = name in ("cvt", "pvt", "ijepa", "dinov2")
        model_class = AutoModelForImageClassification if has_classifier else AutoModel
        vary(model_class.from_config(config)).save_pretrained(made[name])
    return made


def whole_mae(folder: Path, images: Tensor) -> Tensor:
    """Features of all patches in their order, from ViTMAE itself."""
    noise = torch.arange(16.0).expand(len(images), -1)
    return ViTMAEModel.from_pretrained(folder, mask_ratio=0.0).eval()(images, noise=noise).last_hidden_state[:, 0]


def input_of_classifier(folder: Path, images: Tensor) -> Tensor:
    """What the linear classifier of a stock model is given."""
    stock = AutoModelForImageClassification.from_pretrained(folder).eval()
    seen: list[Tensor] = []
    stock.classifier.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    stock(images)
    return seen[0]


def class_token(folder: Path, images: Tensor) -> Tensor:
    return AutoModel.from_pretrained(folder).eval()(images).last_hidden_state[:, 0]


def pooler(folder: Path, images: Tensor) -> Tensor:
    return AutoModel.from_pretrained(folder).eval()(images).pooler_output.flatten(1)


def mean_of_map(folder: Path, images: Tensor) -> Tensor:
    return AutoModel.from_pretrained(folder).eval()(images).last_hidden_state.mean(dim=(2, 3))


MEANINGS: dict[str, Callable[[Path, Tensor], Tensor]] = {
    "vit_mae": whole_mae,
    "ijepa": input_of_classifier,
    "dinov2": class_token,
    "dinov2_with_registers": class_token,
    "dinov3_vit": class_token,
    "pvt": input_of_classifier,
    "cvt": input_of_classifier,
    "clip_vision_model": pooler,
    "hiera": pooler,
    "segformer": mean_of_map,
    "efficientnet": pooler,
    "bit": pooler,
}


def adapted(folder: Path, bands: int, side: int) -> Any:
    return adapt_pretrained(str(folder), DeepLenseBackboneForImageClassification, bands, side, **HEAD).eval()


def check_response(folder: Path, expected: Tensor, images: Tensor, adapter: bool) -> None:
    """Grey images give the pretrained response for any number of bands."""
    for bands in (3, 1, 2):
        model = adapted(folder, bands, images.shape[-1])
        assert model.config.band_adapter is (adapter and bands != 3)
        with torch.no_grad():
            features = model.backbone(images.expand(-1, bands, -1, -1)).pooler_output
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=2e-5)


def check_another_size(folder: Path, side: int, rows: int, place: Path) -> None:
    """A model for another size and other bands learns, and loads as it was saved."""
    model = adapted(folder, 2, side)
    images = 0.3 * torch.randn(2, 2, side, side)
    model(images, labels=torch.tensor([0, 1])).loss.backward()
    if model.config.band_adapter:
        assert model.backbone.band_adapter.weight.grad.abs().max() > 0
    model.save_pretrained(place)
    loaded, report = AutoModelForImageClassification.from_pretrained(place, output_loading_info=True)
    assert not report["missing_keys"]
    with torch.no_grad():
        assert model.backbone(images).last_map.shape[-2:] == (rows, rows)
        # equal weights at other places in memory may be summed in another order
        torch.testing.assert_close(loaded.eval()(images).logits, model(images).logits, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", CONFIGS)
def test_features_mean_what_they_did(name: str, folders: dict[str, Path]) -> None:
    side = 32 if getattr(CONFIGS[name], "image_size", None) == 32 else 64
    images = 0.3 * torch.randn(2, 1, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = MEANINGS[name](folders[name], images.expand(-1, 3, -1, -1))
    check_response(folders[name], expected, images, name in ADAPTERS)


@pytest.mark.parametrize("name", CONFIGS)
def test_another_size(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    stride = 8 if name in ("cvt", "bit") or getattr(CONFIGS[name], "patch_size", None) == 8 else 32
    check_another_size(folders[name], 96, 96 // stride, tmp_path)


@pytest.mark.parametrize("name", ["dinov2_with_registers", "dinov3_vit"])
def test_registers_are_no_patches(name: str, folders: dict[str, Path]) -> None:
    model = adapted(folders[name], 3, 16)
    assert model.config.output_stride == 8
    with torch.no_grad():
        outputs = model.backbone(torch.randn(2, 3, 16, 16))
    # one class token, four registers, and a grid of 2x2 that could be taken for one of 3x3
    assert outputs.last_hidden_state.shape[1] == 9
    torch.testing.assert_close(outputs.last_map.flatten(2).transpose(1, 2), outputs.last_hidden_state[:, 5:])


@pytest.mark.parametrize("architecture", TIMM)
def test_timm_families(architecture: str, tmp_path: Path) -> None:
    pytest.importorskip("timm")
    config = AutoConfig.for_model("timm_wrapper", architecture=architecture, model_args=TIMM[architecture])
    stock = vary(AutoModel.from_config(config))
    stock.save_pretrained(tmp_path / "stock")
    images = 0.3 * torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = stock(images.expand(-1, 3, -1, -1))
    check_response(tmp_path / "stock", outputs.pooler_output, images, architecture in ADAPTERS)
    check_another_size(tmp_path / "stock", 96, 96 // TIMM_STRIDES.get(architecture, 16), tmp_path / "saved")


def test_a_model_that_fixes_its_bands_gets_an_adapter(tmp_path: Path) -> None:
    config = TextNetConfig(
        stem_out_channels=8, hidden_sizes=[8, 8, 8, 16, 16],
        conv_layer_kernel_sizes=[[[3, 3]]] * 4, conv_layer_strides=[[2]] * 4,
    )  # fmt: skip
    vary(AutoModel.from_config(config)).save_pretrained(tmp_path)
    assert adapted(tmp_path, 1, 64).config.band_adapter


def test_what_gives_no_features_is_refused() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match=r"cannot take images of 240 pixels \(its features are a list\)"):
        adapt_pretrained("timm:crossvit_9_240", DeepLenseBackboneForImageClassification, 1, 240, **HEAD)


def test_what_is_no_encoder_of_images_is_refused(tmp_path: Path) -> None:
    detector = DetrConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=4,
    )  # fmt: skip
    detector.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a 'detr', no vision model that takes images"):
        adapted(tmp_path, 1, 64)


def test_what_keeps_its_size_says_so(tmp_path: Path) -> None:
    config = LevitConfig(
        image_size=64, hidden_sizes=[16, 32, 48], num_attention_heads=[2, 2, 2], depths=[1, 1, 1], key_dim=[8, 8, 8]
    )
    vary(AutoModel.from_config(config)).save_pretrained(tmp_path)
    assert adapted(tmp_path, 1, 64).config.image_size == 64
    with pytest.raises(ValueError, match="keep the image size that the model was pretrained with"):
        adapted(tmp_path, 1, 96)


def test_contradictions_are_refused() -> None:
    inner = AutoConfig.for_model("resnet", hidden_sizes=[8, 16], depths=[1, 1], embedding_size=8)
    with pytest.raises(ValueError, match="symmetry='average' needs square images, not image_size=\\(32, 48\\)"):
        DeepLenseBackboneConfig(backbone_config=inner, image_size=(32, 48), symmetry="average")
    config = DeepLenseBackboneConfig(backbone_config=inner, image_size=32, pooling="cls", num_labels=2)
    with pytest.raises(ValueError, match="pooling='cls', but the wrapped model has no class token"):
        DeepLenseBackboneForImageClassification(config)(torch.zeros(1, 1, 32, 32))
