"""transformers' pipelines take lens images as they are, by whatever door they come in."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
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

from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models import AutoModelForAnomalyDetection, AutoModelForImageRegression, DeepLenseImageProcessor
from deeplense_hf.models.auto_classes import AutoModelForLenses, auto_class_of
from deeplense_hf.models.image_reading import check_image, iterate_images
from deeplense_hf.models.pipeline_deeplense import bytes_of_base64
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
    model = auto_class.from_config(config)
    if task == "anomaly_detection":
        model.normal.fit_scores(torch.tensor([0.5, 1.5]))
    model.save_pretrained(tmp_path)
    DeepLenseImageProcessor(size=32).save_pretrained(tmp_path)
    answer = pipeline("lens-classification", model=str(tmp_path))(counts.astype(np.float32))
    assert list(answer) == [name]
    assert np.isfinite(answer[name])


def test_a_model_that_was_never_fitted_is_told(tmp_path: Path, counts: np.ndarray) -> None:
    config = build_config("deeplense-swin-test", image_size=32, task="anomaly_detection")
    AutoModelForAnomalyDetection.from_config(config).save_pretrained(tmp_path)
    DeepLenseImageProcessor(size=32).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="gives no anomaly_score, for it has not been fitted to normal images"):
        pipeline("lens-classification", model=str(tmp_path))(counts.astype(np.float32))
    with pytest.raises(ValueError, match="gives no anomaly_score, for it has not been fitted"):
        Predictor.from_pretrained(tmp_path, "cpu").answers(np.ones((1, 1, 32, 32), dtype=np.float32))


@pytest.mark.parametrize("task", ["classification", "regression", "anomaly_detection"])
def test_an_answer_that_is_no_number_is_refused(task: str, tmp_path: Path, counts: np.ndarray) -> None:
    config = build_config("deeplense-swin-test", image_size=32, task=task, anomaly_score="reconstruction")
    model = auto_class_of(config).from_config(config)
    if task == "anomaly_detection":
        model.normal.fit_scores(torch.tensor([0.5, 1.5]))
    with torch.no_grad():
        list(model.parameters())[-1].view(-1)[0] = torch.nan
    model.save_pretrained(tmp_path)
    DeepLenseImageProcessor(size=32).save_pretrained(tmp_path)
    for name in ("lens-classification", "image-classification")[: 2 if task == "classification" else 1]:
        with pytest.raises(ValueError, match="the model's answer is not a number"):
            pipeline(name, model=str(tmp_path))(counts.astype(np.float32))


def test_lists_of_numpy_numbers_are_lists_of_numbers(folder: Path, counts: np.ndarray) -> None:
    explain = pipeline("lens-classification", model=str(folder))
    expected = explain(counts.astype(np.float64).tolist())["scores"]
    for kind in (np.float32, np.float64, np.int64, np.uint8):
        assert explain([[kind(value) for value in row] for row in counts])["scores"] == pytest.approx(expected)
    (read,) = iterate_images([[np.bool_(value > 128) for value in row] for row in counts])
    np.testing.assert_array_equal(read, counts > 128)
    with pytest.raises(ValueError, match="not complex64"):
        explain([[np.complex64(value) for value in row] for row in counts])


def test_what_is_no_image_is_refused_in_one_sentence(folder: Path) -> None:
    explain = pipeline("lens-classification", model=str(folder))
    with pytest.raises(ValueError, match="is no file on this machine, no address and no base64 text"):
        explain("absent.npy")
    (folder / "broken.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is not a readable image"):
        explain(str(folder / "broken.npy"))
    with pytest.raises(ValueError, match="has no option 'top'"):
        explain(np.zeros((40, 40)), top=3)


def test_several_images_never_answer_for_one(folder: Path, tmp_path: Path) -> None:
    explain = pipeline("lens-classification", model=str(folder))
    classify = pipeline("image-classification", model=str(folder))
    images = np.random.default_rng(0).normal(size=(3, 1, 40, 40)).astype(np.float32)
    scores = [list(explain(image)["scores"].values()) for image in images]
    for form in (images, torch.from_numpy(images), list(images), tuple(images), images.tolist()):
        for size in (1, 2):
            found = [list(answer["scores"].values()) for answer in explain(form, batch_size=size)]
            assert found == [pytest.approx(one, abs=1e-5) for one in scores]
    found = [{entry["score"] for entry in answer} for answer in classify(images, batch_size=2)]
    assert [max(one) for one in found] == pytest.approx([max(one) for one in scores], abs=1e-5)
    assert explain(images[0].tolist()) == explain(images[0])
    assert explain([]) == classify([]) == []
    np.save(tmp_path / "many.npy", images)
    for form in ([images, images[0]], [images[0], str(tmp_path / "many.npy")], str(tmp_path / "many.npy")):
        with pytest.raises(ValueError, match="holds 3 images; give them as an array or a list"):
            explain(form, batch_size=2)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((40, 40), np.nan), "1600 of 1600 pixels are NaN or infinite"),
        (np.full((40, 40), 1e300), "1600 of 1600 pixels are NaN or infinite"),
        (np.where(np.eye(40) > 0, np.nan, 2.0), "every pixel is 2"),
        (np.eye(5), "is too small, at least 8x8 pixels"),
        ("", "the base64 text is empty"),
        (".", "is a folder; give an image file"),
        ([[1.0, 2.0], [3.0]], "nested lists must hold numbers and be of one length"),
    ],
)
def test_images_in_which_nothing_can_be_seen_are_refused(folder: Path, image: Any, reason: str) -> None:
    for task in ("lens-classification", "image-classification"):
        with pytest.raises(ValueError, match=reason):
            pipeline(task, model=str(folder))(image)


@pytest.mark.parametrize("scale", [-1, 0, float("nan"), "wide", True])
def test_pixel_scales_are_checked(folder: Path, counts: np.ndarray, scale: Any) -> None:
    with pytest.raises(ValueError, match="is not a positive number of arcsec per pixel"):
        pipeline("lens-classification", model=str(folder))(counts, pixel_scale=scale)


def test_addresses_are_read_within_bounds(
    folder: Path, counts: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "image.npy", counts)
    content = (tmp_path / "image.npy").read_bytes()
    waits = []

    def answer(request: httpx.Request) -> httpx.Response:
        waits.append(request.extensions["timeout"]["read"])
        if request.url.path == "/down":
            raise httpx.ConnectError("nobody answers")
        return httpx.Response(404 if request.url.path == "/absent" else 200, content=content)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr("huggingface_hub.get_session", lambda: client)
    explain = pipeline("lens-classification", model=str(folder))
    assert explain("http://host/image.npy") == explain(counts)
    explain("http://host/image.npy", timeout=3)
    assert waits == [30.0, 3]
    for path in ("down", "absent"):
        with pytest.raises(ValueError, match=f"http://host/{path} cannot be fetched"):
            explain(f"http://host/{path}")
    monkeypatch.setattr("deeplense_hf.models.pipeline_deeplense.LARGEST_FILE", 100)
    with pytest.raises(ValueError, match="has more than 100 bytes"):
        explain("http://host/image.npy")


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


@pytest.mark.parametrize("task", ["regression", "anomaly_detection", "masked_image_modeling"])
def test_what_knows_no_classes_is_not_asked_for_some(task: str, tmp_path: Path) -> None:
    config = build_config("deeplense-swin-test", image_size=32, task=task)
    auto_class_of(config).from_config(config).save_pretrained(tmp_path)
    DeepLenseImageProcessor(size=32).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"answers {task} and knows no classes.*use pipeline\(\"lens-classification"):
        pipeline("image-classification", model=str(tmp_path))


def test_secrets_of_an_address_are_not_repeated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/nobody.png":
            raise httpx.ConnectError(f"nobody answers at {request.url}")
        return httpx.Response(403 if request.url.path == "/no.png" else 200, content=b"nothing")

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr("huggingface_hub.get_session", lambda: client)
    explain = pipeline("lens-classification", model=str(folder))
    for path, reason in (
        ("no.png", "cannot be fetched: the server answers with status 403"),
        ("nobody.png", "cannot be fetched: ConnectError"),
        ("bad.png", "is not a readable image"),
    ):
        with pytest.raises(ValueError, match=f"^http://host:80/{path} {reason}") as caught:
            explain(f"http://user:secret@host:80/{path}?token=secret#secret")
        assert "secret" not in str(caught.value)
    odd = ("HTTP://user:secret@host?token=secret", "ftp://secret@host/x.png#secret", "s3://a@secret@host?/x")
    for wrong in (*odd, "http://user:/secret@host/x.png", "http://user:pass?secret@host/x.png"):
        with pytest.raises(ValueError, match=r"://(host|\.\.\.)") as caught:
            explain(wrong)
        assert "secret" not in str(caught.value)


def test_grey_images_are_colours_to_a_stock_model(tmp_path: Path, counts: np.ndarray) -> None:
    model = ViTForImageClassification(
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32)
    )
    model.eval().save_pretrained(tmp_path / "model")
    ViTImageProcessor(size=32).save_pretrained(tmp_path / "model")
    grey = counts.astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    explain = pipeline("lens-classification", model=str(tmp_path / "model"))
    classify = pipeline("image-classification", model=str(tmp_path / "model"))
    expected = {entry["label"]: pytest.approx(entry["score"], abs=1e-6) for entry in classify(Image.fromarray(grey))}
    for form in (str(tmp_path / "grey.png"), grey, grey[None].astype(np.float64), np.stack([grey] * 3)):
        assert explain(form)["scores"] == expected
    for form in (grey, grey[..., None], torch.from_numpy(grey)):
        assert {entry["label"]: entry["score"] for entry in classify(form)} == expected
    predictor = Predictor.from_pretrained(tmp_path / "model", "cpu")
    images = predictor.match_bands(grey[None].astype(np.float32), "x", "")
    assert dict(zip(predictor.class_names, predictor.probabilities(images[None])[0], strict=True)) == expected
    for asked in (explain, classify):
        with pytest.raises(ValueError, match="takes 8-bit images, but this one holds values from"):
            asked(grey * 3.5)
    with pytest.raises(ValueError, match=r"the image has 4 band\(s\), but the model takes 3"):
        explain(np.stack([grey] * 4))


def test_masked_pixels_are_missing(folder: Path, counts: np.ndarray) -> None:
    explain = pipeline("lens-classification", model=str(folder))
    mask = np.random.default_rng(1).random(counts.shape) < 0.2
    holes = explain(np.where(mask, np.nan, counts))["scores"]
    assert holes != explain(counts)["scores"]
    masked = np.ma.masked_array(counts, mask)
    for form in (masked, masked.astype(np.float64), masked[None], [masked], masked[None, None]):
        answer = explain(form)
        assert (answer[0] if isinstance(answer, list) else answer)["scores"] == holes
    with pytest.raises(ValueError, match="1600 of 1600 pixels are NaN or infinite"):
        explain(np.ma.masked_array(counts, True))
    (predicted,) = Predictor.from_pretrained(folder, "cpu").probabilities(masked[None, None])
    assert predicted.tolist() == pytest.approx(list(holes.values()), abs=1e-6)


def test_images_of_which_most_is_missing_are_refused(folder: Path, counts: np.ndarray) -> None:
    explain, predictor = pipeline("lens-classification", model=str(folder)), Predictor.from_pretrained(folder, "cpu")
    half = np.where(np.arange(40) < 20, np.nan, counts)
    assert explain(half)["scores"]
    more = np.where(np.arange(40) < 21, np.nan, counts).astype(np.float32)
    sentence = "the image: 840 of 1600 pixels are NaN or infinite, but at most half may be"
    with pytest.raises(ValueError, match=sentence):
        explain(more)
    with pytest.raises(ValueError, match=sentence):
        predictor.answers(more[None, None])
    bands = torch.from_numpy(np.stack([counts, more]))
    with pytest.raises(ValueError, match="840 of 1600 pixels of band 1, counted from 0, are NaN"):
        check_image(bands)
    # what is not looked at may be missing
    assert check_image(bands, bands=[0]) is bands


def test_base64_text_comes_in_several_forms(folder: Path, counts: np.ndarray, tmp_path: Path) -> None:
    explain = pipeline("lens-classification", model=str(folder))
    np.save(tmp_path / "image.npy", np.full_like(counts, -1) + np.eye(40, dtype=int))
    content = (tmp_path / "image.npy").read_bytes()
    text, safe = base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode()
    assert text != safe
    for form in (
        text,
        safe,
        text.rstrip("="),
        f"data:image/png;base64,{safe}",
        f"{text[:80]}\n{text[80:]}",
    ):
        assert bytes_of_base64(form) == content
    assert explain(f"data:;base64,{text}") == explain(str(tmp_path / "image.npy"))
    for wrong in ("absent", f"data:text/plain,{text}", "?" * 100):
        with pytest.raises(ValueError, match="is no file on this machine, no address and no base64 text"):
            explain(wrong)
