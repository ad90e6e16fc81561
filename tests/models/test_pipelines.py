"""transformers' pipelines take lens images as they are, by whatever door they come in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from astropy.io import fits
from PIL import Image
from transformers import (
    AutoModelForMaskedImageModeling,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    pipeline,
)

from deeplense_hf.models import AutoModelForAnomalyDetection, AutoModelForImageRegression, DeepLenseImageProcessor
from deeplense_hf.models.auto_classes import AutoModelForLenses, auto_class_of
from deeplense_hf.models.presets import build_config
from deeplense_hf.tasks.registry import TASKS


@pytest.fixture
def counts() -> np.ndarray:
    """An image of whole numbers below 256, so that it has a form of every depth."""
    return np.random.default_rng(0).integers(0, 256, size=(40, 40))


@pytest.fixture
def folder(tmp_path: Path, make_model: Callable[..., tuple[Any, Any]]) -> Path:
    model, processor = make_model(spread=20)
    model.config.prediction_set_threshold = 0.2
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def forms(counts: np.ndarray, folder: Path) -> dict[str, Any]:
    """Return one image in every form."""
    np.save(folder / "image.npy", counts.astype(np.float32))
    fits.PrimaryHDU(counts.astype(np.float32)).writeto(folder / "image.fits")
    Image.fromarray(counts.astype(np.uint16)).save(folder / "image.png")
    Image.fromarray(counts.astype(np.float32)).save(folder / "image.tif")
    return {
        "array": counts.astype(np.float64),
        "tensor": torch.from_numpy(counts)[None],
        "8 bit": Image.fromarray(counts.astype(np.uint8)),
        "16 bit": Image.fromarray(counts.astype(np.uint16)),
        "float": Image.fromarray(counts.astype(np.float32)),
        **{ending: str(folder / f"image.{ending}") for ending in ("npy", "fits", "png", "tif")},
    }


def test_every_form_of_an_image_gives_the_same_answer(
    folder: Path, counts: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    classify = pipeline("image-classification", model=str(folder))
    explain = pipeline("lens-classification", model=str(folder))
    with torch.no_grad():
        pixels = classify.image_processor(counts.astype(np.float32), return_tensors="pt")
        expected = classify.model(**pixels).logits.softmax(-1)[0].tolist()
    names = classify.model.config.id2label
    images = forms(counts, tmp_path)
    for form, image in images.items():
        found = {entry["label"]: entry["score"] for entry in classify(image)}
        assert [found[names[index]] for index in range(3)] == pytest.approx(expected, abs=1e-6), form
        answer = explain(image)
        assert list(answer["scores"].values()) == pytest.approx(expected, abs=1e-6), form
    assert answer["score"] == max(answer["scores"].values()) == answer["scores"][answer["label"]]
    assert answer["prediction_set"] == [name for name, score in answer["scores"].items() if score >= 0.2]
    together = explain([images["npy"], images["fits"]], batch_size=2)
    assert [entry["scores"] for entry in together] == [pytest.approx(answer["scores"], abs=1e-5)] * 2
    assert explain(Path(images["npy"])) == explain(images["npy"])
    np.testing.assert_allclose(
        [entry["score"] for entry in classify(images["array"], top_k=1)], max(expected), rtol=1e-6
    )


def test_a_regression_answers_with_intervals(tmp_path: Path, counts: np.ndarray) -> None:
    config = build_config(
        "deeplense-vit-test",
        image_size=32,
        task="regression",
        id2label={0: "log10_axion_mass_ev"},
        label2id={"log10_axion_mass_ev": 0},
        target_mean=[-23.0],
        target_std=[0.5],
        target_units=["log10 eV"],
    )
    AutoModelForImageRegression.from_config(config).save_pretrained(tmp_path)
    DeepLenseImageProcessor(size=32).save_pretrained(tmp_path)
    answer = pipeline("lens-classification", model=str(tmp_path))(counts.astype(np.float32))
    target = answer["targets"]["log10_axion_mass_ev"]
    assert target["unit"] == "log10 eV"
    assert target["low_95"] < target["value"] < target["high_95"]
    assert target["high_95"] - target["value"] == pytest.approx(1.96 * target["standard_deviation"])
    config.interval_factors_95 = [2.5]
    config.save_pretrained(tmp_path)
    wider = pipeline("lens-classification", model=str(tmp_path))(counts.astype(np.float32))
    target = wider["targets"]["log10_axion_mass_ev"]
    assert target["value"] - target["low_95"] == pytest.approx(2.5 * target["standard_deviation"])


@pytest.mark.parametrize(
    ("task", "auto_class", "name"),
    [
        ("anomaly_detection", AutoModelForAnomalyDetection, "anomaly_score"),
        ("masked_image_modeling", AutoModelForMaskedImageModeling, "reconstruction_error"),
    ],
)
def test_other_tasks_answer_with_their_number(
    task: str, auto_class: Any, name: str, tmp_path: Path, counts: np.ndarray
) -> None:
    config = build_config("deeplense-swin-test", image_size=32, task=task, anomaly_score="reconstruction")
    auto_class.from_config(config).save_pretrained(tmp_path)
    DeepLenseImageProcessor(size=32).save_pretrained(tmp_path)
    answer = pipeline("lens-classification", model=str(tmp_path))(counts.astype(np.float32))
    assert list(answer) == [name]
    assert np.isfinite(answer[name])


def test_what_is_no_image_is_refused_in_one_sentence(folder: Path) -> None:
    explain = pipeline("lens-classification", model=str(folder))
    with pytest.raises(ValueError, match="is no file on this machine, no address and no base64 text"):
        explain("absent.npy")
    (folder / "broken.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not a readable image"):
        explain(str(folder / "broken.npy"))
    with pytest.raises(ValueError, match="has no option 'top'"):
        explain(np.zeros((40, 40)), top=3)


def test_stock_models_are_treated_as_before(tmp_path: Path, counts: np.ndarray) -> None:
    model = ViTForImageClassification(
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32)
    )
    classify = pipeline("image-classification", model=model, image_processor=ViTImageProcessor(size=32))
    picture = Image.fromarray(counts.astype(np.uint8))
    with torch.no_grad():
        pixels = classify.image_processor(picture.convert("RGB"), return_tensors="pt")
        expected = model.eval()(**pixels).logits.softmax(-1).max().item()
    assert classify(picture)[0]["score"] == pytest.approx(expected, rel=1e-5)


def test_every_task_has_the_auto_class_that_loads_it() -> None:
    for name, task in TASKS.items():
        assert auto_class_of(build_config("deeplense-swin-test", task=name)) is task.auto_class
    assert auto_class_of(build_config("deeplense-swin-test")) is TASKS["classification"].auto_class
    assert AutoModelForLenses.from_pretrained.__doc__
