"""Loading and asking a model: DeepLense and stock, and what is said when it cannot be loaded."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import SwinConfig, SwinForImageClassification, SwinModel, ViTImageProcessorPil

from deeplense_hf.data.readers import LensImage
from deeplense_hf.inference import sources
from deeplense_hf.inference.predictor import Predictor, select_device
from deeplense_hf.inference.sources import ImageFile
from deeplense_hf.models.image_processing_deeplense import DeepLenseImageProcessor

IMAGES = np.random.default_rng(0).normal(100, 30, size=(6, 1, 32, 32)).astype(np.float32)


def test_probabilities(save_model: Callable) -> None:
    predictor = Predictor.from_pretrained(save_model(), "cpu")
    assert predictor.class_names == ("no_sub", "cdm", "axion")
    assert predictor.bands == 1
    probabilities = predictor.probabilities(IMAGES)
    assert probabilities.shape == (6, 3)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    with torch.no_grad():
        logits = predictor.model(pixel_values=predictor.processor.process_batch(torch.from_numpy(IMAGES))).logits
    np.testing.assert_allclose(probabilities, logits.double().softmax(-1).numpy(), atol=1e-6)
    one_by_one = np.concatenate([predictor.probabilities(IMAGES[i : i + 1]) for i in range(6)])
    np.testing.assert_allclose(one_by_one, probabilities, atol=1e-6)


def test_pixel_scale_reaches_the_processor(save_model: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor.from_pretrained(save_model(), "cpu")
    seen = []
    process = predictor.processor.process_batch

    def spy(images: torch.Tensor, pixel_scale: torch.Tensor | None = None) -> torch.Tensor:
        seen.append(pixel_scale)
        return process(images)

    monkeypatch.setattr(predictor.processor, "process_batch", spy)
    predictor.probabilities(IMAGES)
    predictor.probabilities(IMAGES, np.full(6, 0.05))
    assert seen[0] is None
    assert seen[1].tolist() == pytest.approx([0.05] * 6)


def test_processor_that_picks_bands(save_model: Callable) -> None:
    folder = save_model()
    whole = Predictor.from_pretrained(folder, "cpu")
    DeepLenseImageProcessor(size={"height": 32, "width": 32}, bands=[1]).save_pretrained(folder)
    picking = Predictor.from_pretrained(folder, "cpu")
    assert picking.bands is None
    three_bands = np.concatenate([IMAGES * 0, IMAGES, IMAGES + 1], axis=1)
    np.testing.assert_allclose(picking.probabilities(three_bands), whole.probabilities(IMAGES), atol=1e-6)
    with pytest.raises(ValueError, match="band"):
        picking.probabilities(IMAGES)


def test_half_precision_weights(save_model: Callable) -> None:
    predictor = Predictor.from_pretrained(save_model(), "cpu")
    exact = predictor.probabilities(IMAGES)
    predictor.model.to(torch.bfloat16)
    np.testing.assert_allclose(predictor.probabilities(IMAGES), exact, atol=0.02)


def test_fingerprint_tells_weights_not_places(save_model: Callable) -> None:
    first = Predictor.from_pretrained(save_model("a"), "cpu").fingerprint()
    assert Predictor.from_pretrained(save_model("b"), "cpu").fingerprint() == first
    assert Predictor.from_pretrained(save_model("c", seed=1), "cpu").fingerprint() != first


def test_released_models_keep_their_fingerprint(repository_root: Path) -> None:
    for folder in sorted((repository_root / "model_cards").glob("*/")):
        known = json.loads((folder / "metrics.json").read_text())["model_fingerprint"]
        assert Predictor.from_pretrained(folder, "cpu").fingerprint() == known, "make-release would refuse its scores"


def test_stock_checkpoint_takes_eight_bit_images_only(tmp_path: Path) -> None:
    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4,
        num_channels=3, id2label={0: "lens", 1: "non_lens"}, label2id={"lens": 0, "non_lens": 1},
    )  # fmt: skip
    SwinForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    predictor = Predictor.from_pretrained(tmp_path, "cpu")
    assert predictor.class_names == ("lens", "non_lens")
    eight_bit = np.random.default_rng(0).integers(0, 256, size=(2, 3, 48, 48)).astype(np.float32)
    probabilities = predictor.probabilities(eight_bit)
    stock = predictor.processor(images=list(eight_bit.astype(np.uint8)), return_tensors="pt")
    with torch.no_grad():
        expected = predictor.model(**stock).logits.softmax(-1).numpy()
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    with pytest.raises(ValueError, match="takes 8-bit images, but this one holds values from -3"):
        predictor.probabilities(eight_bit - 3)


def test_a_grey_picture_in_colour_is_one_band(save_model: Callable) -> None:
    predictor = Predictor.from_pretrained(save_model(), "cpu")
    grey = np.random.default_rng(0).normal(size=(2, 1, 32, 32)).astype(np.float32)
    np.testing.assert_array_equal(predictor.probabilities(grey.repeat(3, axis=1)), predictor.probabilities(grey))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32), "3 bands, but the model takes 1"),
        (np.zeros((32, 32), np.float32), "shape"),
        (np.zeros((0, 1, 32, 32), np.float32), "shape"),
    ],
)
def test_bad_images_are_refused(save_model: Callable, images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Predictor.from_pretrained(save_model(), "cpu").probabilities(images)


def test_incomplete_folders_are_refused(save_model: Callable, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such model folder"):
        Predictor.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(OSError, match="no-such-user/no-such-model: there is no folder of that name here, and no such"):
        Predictor.from_pretrained("no-such-user/no-such-model")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        Predictor.from_pretrained(empty)
    folder = save_model()
    with pytest.raises(ValueError, match="is a file"):
        Predictor.from_pretrained(folder / "config.json")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match="damaged"):
        Predictor.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="holds no weights"):
        Predictor.from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no preprocessor_config\.json"):
        Predictor.from_pretrained(folder)


def test_untrained_head_and_foreign_config_are_refused(save_model: Callable, tmp_path: Path) -> None:
    folder = save_model()
    config = SwinConfig(image_size=32, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, num_channels=1)
    SwinModel(config).save_pretrained(folder)
    with pytest.raises(ValueError, match="it is not a trained model"):
        Predictor.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="is no model for images that can be loaded"):
        Predictor.from_pretrained(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises((ValueError, OSError), match="model"):
        Predictor.from_pretrained(folder)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"id2label": {"0": "a", "1": "b"}}, "lacks 2 weights .* among them 'classifier.bias'"),
        ("config.json", {"hidden_dropout_prob": "abc"}, "a value in config.json or .* is of the wrong kind"),
        ("config.json", {"embed_dim": 0}, "of the wrong kind"),
        ("config.json", {"hidden_act": "nope"}, "of the wrong kind .*'nope'"),
        ("config.json", {"id2label": [1]}, "of the wrong kind"),
        ("config.json", {"task": "nonsense"}, "cannot be asked: the model's task is 'nonsense'"),
        ("preprocessor_config.json", [1], "of the wrong kind"),
        ("preprocessor_config.json", {"softening": "x"}, "of the wrong kind"),
    ],
)
def test_values_that_do_not_fit_are_told_in_one_sentence(
    save_model: Callable, file: str, changes: Any, message: str
) -> None:
    folder = save_model()
    values = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**values, **changes} if isinstance(changes, dict) else changes))
    with pytest.raises(ValueError, match=message) as caught:
        Predictor.from_pretrained(folder, "cpu")
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


def test_regression_models_are_refused(save_model: Callable) -> None:
    folder = save_model()
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "problem_type": "regression"}))
    with pytest.raises(ValueError, match="problem_type is 'regression'"):
        Predictor.from_pretrained(folder)


def test_a_value_that_only_an_image_shows_to_be_wrong(save_model: Callable) -> None:
    folder = save_model()
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "layer_norm_eps": "x"}))
    with pytest.raises(ValueError, match=r"a value in (its )?config\.json .*is of the wrong kind"):
        Predictor.from_pretrained(folder, "cpu").answers(IMAGES)


def test_devices() -> None:
    assert select_device("cpu") == torch.device("cpu")
    assert isinstance(select_device("auto"), torch.device)
    with pytest.raises(ValueError, match="device 'gpu' cannot be used here"):
        select_device("gpu")
    with pytest.raises(ValueError, match="device 'cuda:99' cannot be used here"):
        select_device("cuda:99")
    with pytest.raises(ValueError, match="device 'meta' cannot be used here"):
        select_device("meta")


def test_one_bad_image_of_a_stack_does_not_hide_the_others(tmp_path: Path) -> None:
    images = np.random.default_rng(0).normal(size=(20, 32, 32)).astype(np.float32)
    images[3] = np.nan
    np.save(tmp_path / "stack.npy", images)
    entries = list(ImageFile(tmp_path / "stack.npy").read())
    assert [entry.index for entry in entries] == list(range(20))
    assert [entry.index for entry in entries if entry.error] == [3]
    assert np.array_equal(entries[4].image[0], images[4])


def test_a_stack_is_read_one_image_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def stack(path: Path, **options: bool) -> Iterator[LensImage]:
        for index in range(3):
            read.append(index)
            yield LensImage(IMAGES[0], f"{path.name}#{index}")
        raise OSError("the file ends here.")

    monkeypatch.setattr(sources, "iterate_images", stack)
    entries = ImageFile(tmp_path / "stack.npy").read()
    assert next(entries).index == 0
    assert read == [0]
    rest = list(entries)
    assert [(entry.index, entry.error) for entry in rest] == [(1, None), (2, None), (3, "the file ends here.")]
