"""Both families: any size and number of bands, saving, attention, checkpointing, losses."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification, PreTrainedModel, pipeline

import deeplense_hf.models
from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.models.layers import DropPath, PreNormBlock
from deeplense_hf.models.presets import build_config

FAMILIES = ("deeplense-swin-test", "deeplense-vit-test")


def make(preset: str = FAMILIES[0], **options: Any) -> PreTrainedModel:
    """Return a tiny model with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    options = {"image_size": 32, "num_labels": 3, "attn_implementation": "eager"} | options
    implementation = options.pop("attn_implementation")
    model = AutoModelForImageClassification.from_config(
        build_config(preset, **options), attn_implementation=implementation
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("preset", FAMILIES)
@pytest.mark.parametrize("stem", ["patch", "conv", "inverted", "equivariant"])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (5, 64), (1, 1)])
def test_any_size_and_number_of_bands(preset: str, stem: str, size: tuple[int, int]) -> None:
    model = make(preset, stem=stem, num_channels=5)
    images = torch.randn(2, 5, *size)
    outputs = model(images, interpolate_pos_encoding=True, output_hidden_states=True, labels=torch.tensor([0, 2]))
    outputs.loss.backward()
    assert outputs.logits.shape == (2, 3)
    assert all(torch.isfinite(state).all() for state in outputs.hidden_states)
    if outputs.feature_maps is not None:
        assert outputs.feature_maps[0].shape[-2:] == (-(-size[0] // 4), -(-size[1] // 4))


@pytest.mark.parametrize("size", [(40, 56), (7, 32)])
@pytest.mark.parametrize("preset", FAMILIES)
def test_models_made_for_oblong_images(preset: str, size: tuple[int, int]) -> None:
    model = make(preset, image_size=size)
    assert model(torch.randn(2, 1, *size)).logits.shape == (2, 3)


def test_another_size_needs_leave_in_a_vit() -> None:
    model = make("deeplense-vit-test")
    with pytest.raises(ValueError, match="set interpolate_pos_encoding=True"):
        model(torch.randn(1, 1, 48, 48))


def test_wrong_bands_are_refused() -> None:
    for preset in FAMILIES:
        with pytest.raises(ValueError, match=r"takes \(batch, 1, height"):
            make(preset)(torch.randn(1, 3, 32, 32))
        with pytest.raises(ValueError, match="pixel_values is missing"):
            make(preset)()


@pytest.mark.parametrize("preset", FAMILIES)
@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_saved_models_load_bit_by_bit(preset: str, stem: str, tmp_path: Path) -> None:
    model = make(preset, stem=stem)
    images = torch.randn(2, 1, 32, 32)
    model.save_pretrained(tmp_path)
    for auto in (AutoModelForImageClassification, type(model)):
        loaded, report = auto.from_pretrained(tmp_path, output_loading_info=True, attn_implementation="eager")
        assert not report["missing_keys"]
        assert not report["unexpected_keys"]
        assert torch.equal(loaded.eval()(images).logits, model(images).logits)
    features = AutoModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert torch.equal(features(images).pooler_output, model.backbone(images).pooler_output)
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == loaded.config.to_dict()


@pytest.mark.parametrize("preset", FAMILIES)
def test_nothing_is_left_out_of_a_checkpoint(preset: str) -> None:
    model = make(preset)
    assert set(model.state_dict()) == {name for name, _ in [*model.named_parameters(), *model.named_buffers()]}


@pytest.mark.parametrize("preset", FAMILIES)
@pytest.mark.parametrize("size", [(32, 32), (36, 52)])
def test_attention_implementations_agree(preset: str, size: tuple[int, int]) -> None:
    images = torch.randn(2, 1, *size)
    eager, sdpa = (make(preset, window_size=3) if "swin" in preset else make(preset) for _ in range(2))
    sdpa.set_attn_implementation("sdpa")
    gradients = []
    for model in (eager, sdpa):
        outputs = model(images, interpolate_pos_encoding=True, labels=torch.tensor([0, 1]))
        outputs.loss.backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    with torch.no_grad():
        torch.testing.assert_close(
            eager(images, interpolate_pos_encoding=True).logits, sdpa(images, interpolate_pos_encoding=True).logits
        )
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.mark.parametrize("preset", FAMILIES)
def test_attention_weights_are_returned_by_eager_attention_only(preset: str) -> None:
    model = make(preset)
    images = torch.randn(2, 1, 32, 32)
    attentions = model(images, output_attentions=True).attentions
    assert len(attentions) == (sum(model.config.depths) if "swin" in preset else model.config.num_hidden_layers)
    for weights in attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    model.set_attn_implementation("sdpa")
    assert not model(images, output_attentions=True).attentions


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated")  # its successor is new in 5.23
@pytest.mark.parametrize("preset", FAMILIES)
def test_gradient_checkpointing_changes_nothing(preset: str) -> None:
    plain = make(preset, drop_path_rate=0.3).train()
    checkpointed = copy.deepcopy(plain)
    checkpointed.gradient_checkpointing_enable()
    assert all(block.gradient_checkpointing for block in checkpointed.modules() if isinstance(block, PreNormBlock))
    results = []
    for model in (plain, checkpointed):
        torch.manual_seed(1)
        loss = model(torch.ones(2, 1, 32, 32), labels=torch.tensor([0, 1])).loss
        loss.backward()
        results.append([loss, *(weight.grad for weight in model.parameters() if weight.grad is not None)])
    assert len(results[0]) == len(results[1])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("preset", FAMILIES)
def test_an_image_is_classified_the_same_in_any_batch(preset: str) -> None:
    model = make(preset)
    images = torch.randn(5, 1, 32, 32)
    together = model(images).logits
    torch.testing.assert_close(together, torch.cat([model(image[None]).logits for image in images]))


@pytest.mark.parametrize("preset", FAMILIES)
def test_problem_types(preset: str) -> None:
    images = torch.randn(2, 1, 32, 32)
    cases: list[tuple[int, torch.Tensor, Any]] = [
        (3, torch.tensor([0, 2]), nn.functional.cross_entropy),
        (3, torch.rand(2, 3), nn.functional.binary_cross_entropy_with_logits),
        (2, torch.rand(2, 2), nn.functional.mse_loss),
        (1, torch.rand(2, 1), nn.functional.mse_loss),
    ]
    names = ("single_label_classification", "multi_label_classification", "regression", "regression")
    for (labels, targets, expected), name in zip(cases, names, strict=True):
        model = make(preset, num_labels=labels, problem_type=name)
        outputs = model(images, labels=targets)
        torch.testing.assert_close(outputs.loss, expected(outputs.logits, targets))


def test_labels_of_the_configuration() -> None:
    model = make(num_labels=2, id2label={0: "lens", 1: "non_lens"}, label2id={"lens": 0, "non_lens": 1})
    assert model.config.id2label == {0: "lens", 1: "non_lens"}
    assert model.classifier.out_features == 2


@pytest.mark.parametrize("preset", FAMILIES)
def test_blocks_start_as_the_identity(preset: str) -> None:
    torch.manual_seed(0)
    model = AutoModel.from_config(build_config(preset, image_size=32, residual_init="zero"))
    states = model(torch.randn(1, 1, 32, 32), output_hidden_states=True).hidden_states
    assert torch.equal(states[-1], states[-2])
    model = AutoModel.from_config(build_config(preset, image_size=32, residual_init="normal"))
    states = model(torch.randn(1, 1, 32, 32), output_hidden_states=True).hidden_states
    assert not torch.equal(states[-1], states[-2])


def test_drop_path_keeps_the_mean_and_is_off_in_evaluation() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.25)
    branch = torch.ones(20000, 1, 1)
    dropped = layer(branch)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean() == pytest.approx(1, abs=0.02)
    assert layer.eval()(branch) is branch


def test_the_room_registers_its_auto_classes() -> None:
    for name in deeplense_hf.models.__all__:
        registered = getattr(deeplense_hf.models, name)
        if not name.startswith("AutoModel") and not name.endswith(("Pipeline", "auto_class_of")):
            assert registered._auto_class is not None


@pytest.mark.parametrize("preset", FAMILIES)
def test_export_gives_the_same_numbers(preset: str) -> None:
    model = make(preset, image_size=36)
    images = torch.randn(2, 1, 36, 36)
    exported = torch.export.export(model, (images,)).module()
    torch.testing.assert_close(exported(images).logits, model(images).logits)


def test_pipeline_reads_pictures_and_arrays(tmp_path: Path) -> None:
    model = make(id2label={0: "no_sub", 1: "cdm", 2: "axion"})
    classify = pipeline("image-classification", model, image_processor=DeepLenseImageProcessor(num_channels=1, size=32))
    counts = np.random.default_rng(0).integers(0, 256, size=(50, 50)).astype(np.uint8)
    Image.fromarray(counts).save(tmp_path / "lens.png")
    # a pipeline opens a grey picture in colour
    from_picture = classify(str(tmp_path / "lens.png"))
    assert {answer["label"] for answer in from_picture} == {"no_sub", "cdm", "axion"}
    assert classify(counts[None].astype(np.float32)) == from_picture
