"""Models that answer together give the mean of their answers, from raw images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import OptimizeResult
from scipy.special import softmax
from transformers import AutoImageProcessor, AutoModelForImageClassification

from deeplense_hf.data.loading import LensImageDecoder, load_lenses
from deeplense_hf.inference.ensemble import (
    ENSEMBLE_FILE,
    EnsembleOptions,
    calibrate_intervals,
    ensemble,
    logits_of,
)
from deeplense_hf.inference.ensemble_members import build_ensemble, check_members
from deeplense_hf.inference.ensemble_weights import best_weights, log_losses
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models import AutoModelForImageRegression, DeepLenseImageProcessor
from deeplense_hf.models.presets import build_config
from deeplense_hf.tasks.calibration import best_temperature
from deeplense_hf.tasks.task import References

CLASSES = ("no_sub", "cdm", "axion")
TARGET = "source_x"
NAMES = ("a", "b", "c")
EQUAL = ([1 / 3] * 3, [1.0] * 3)


def member(preset: str, size: int, stretch: str, classes: tuple[str, ...] = CLASSES, seed: int = 0) -> Predictor:
    torch.manual_seed(seed)
    config = build_config(
        preset, image_size=size, id2label=dict(enumerate(classes)), label2id={name: i for i, name in enumerate(classes)}
    )
    model = AutoModelForImageClassification.from_config(config)
    return Predictor(model, DeepLenseImageProcessor(num_channels=1, size=size, crop_size=40, stretch=stretch), "cpu")


@pytest.fixture
def members() -> list[Predictor]:
    return [
        member("deeplense-swin-test", 32, "asinh"),
        # the same classes in another order
        member("deeplense-vit-test", 24, "log", ("axion", "no_sub", "cdm"), seed=1),
        member("resnet-test", 40, "none", seed=2),
    ]


@pytest.fixture
def raw() -> np.ndarray:
    return np.random.default_rng(0).poisson(60, size=(5, 1, 50, 50)).astype(np.float32)


def test_probabilities_are_averaged(members: list[Predictor], raw: np.ndarray, tmp_path: Path) -> None:
    weights, temperatures = [0.5, 0.3, 0.2], [1.0, 2.0, 0.5]
    build_ensemble(members, weights, temperatures).save_pretrained(tmp_path)
    DeepLenseImageProcessor(num_channels=1, stretch="none", normalisation="none").save_pretrained(tmp_path)
    expected = np.zeros((5, 3))
    for one, weight, temperature in zip(members, weights, temperatures, strict=True):
        order = [one.class_names.index(name) for name in CLASSES]
        expected += weight * softmax(np.log(one.probabilities(raw))[:, order] / temperature, axis=1)
    together = Predictor.from_pretrained(tmp_path, "cpu")
    assert together.class_names == CLASSES
    np.testing.assert_allclose(together.probabilities(raw), expected, atol=1e-6)
    model = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    pixels = AutoImageProcessor.from_pretrained(tmp_path)(list(raw), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        np.testing.assert_allclose(model(pixels).logits.softmax(-1).numpy(), expected, atol=1e-6)


def test_estimates_are_mixed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {"image_size": 32, "task": "regression", "id2label": {0: "mass"}, "label2id": {"mass": 0}}
    processor = DeepLenseImageProcessor(num_channels=1, size=32)
    configs = [
        build_config(preset, **options, target_mean=[mean], target_std=[2.0], interval_factors_95=factors)
        for preset, mean, factors in (("deeplense-swin-test", 1.0, [3.0]), ("deeplense-vit-test", 3.0, None))
    ]
    members = [Predictor(AutoModelForImageRegression.from_config(config), processor, "cpu") for config in configs]
    raw = np.random.default_rng(0).normal(size=(4, 1, 32, 32)).astype(np.float32)
    model = build_ensemble(members, [0.25, 0.75], [1.0, 1.0])
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageRegression.from_pretrained(tmp_path).eval()
    parts = [one.answers(raw) for one in members]
    mean = 0.25 * parts[0]["predictions"] + 0.75 * parts[1]["predictions"]
    second = sum(
        weight * (part["standard_deviations"] ** 2 + part["predictions"] ** 2)
        for weight, part in zip((0.25, 0.75), parts, strict=True)
    )
    with torch.no_grad():
        outputs = loaded(torch.from_numpy(raw))
    np.testing.assert_allclose(outputs.predictions.numpy(), mean, atol=1e-5)
    np.testing.assert_allclose(outputs.standard_deviations.numpy() ** 2, second - mean**2, rtol=1e-4)
    assert loaded.config.interval_factors_95 == pytest.approx([0.25 * 3 + 0.75 * 1.96])


@pytest.mark.parametrize("dtypes", [[torch.float16] * 3, [torch.bfloat16, torch.float32, torch.float16]])
def test_members_answer_in_their_own_precision(
    dtypes: list[torch.dtype], members: list[Predictor], raw: np.ndarray
) -> None:
    model = build_ensemble(members, *EQUAL)
    processor = DeepLenseImageProcessor(num_channels=1, stretch="none", normalisation="none")
    exact = Predictor(model, processor, "cpu").probabilities(raw)
    for part, dtype in zip(model.members, dtypes, strict=True):
        part.to(dtype)
    together = Predictor(model, processor, "cpu")
    # counts beyond what half precision holds are processed all the same
    np.testing.assert_allclose(together.probabilities(raw), exact, atol=0.02)
    assert np.isfinite(together.probabilities(raw * 1e5)).all()


def test_raw_images_are_processed_in_single_precision(members: list[Predictor], raw: np.ndarray) -> None:
    bright = raw + 3000  # half precision knows even counts only there, and bfloat16 every 16th
    model = build_ensemble(members, *EQUAL)
    exact = Predictor(model, DeepLenseImageProcessor(num_channels=1, stretch="none", normalisation="none"), "cpu")
    seen = []
    model.members[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].float()))
    expected = exact.probabilities(bright)
    found = Predictor(model.to(torch.bfloat16), exact.processor, "cpu").probabilities(bright)
    np.testing.assert_allclose(found, expected, atol=0.02)
    torch.testing.assert_close(seen[1], seen[0].to(torch.bfloat16).float(), rtol=0, atol=0)


def test_weights_are_found() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=4000)
    informed = np.log(softmax(2.0 * np.eye(3)[labels] + generator.normal(size=(4000, 3)), axis=1))
    noise = generator.normal(size=(4000, 3))
    weights = best_weights([informed, noise], labels)
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > 0.9


def test_members_that_do_not_fit_are_refused(members: list[Predictor]) -> None:
    other = member("deeplense-vit-test", 32, "none", ("lens", "non_lens"))
    with pytest.raises(ValueError, match="model 'b' knows lens, non_lens, but 'a' knows no_sub, cdm, axion"):
        check_members(["a", "b"], [members[0], other])
    for processing in ({"target_pixel_scale": 0.1}, {"bands": [2]}):
        scaled = member("deeplense-vit-test", 32, "none")
        scaled.processor = DeepLenseImageProcessor(num_channels=1, size=32, **processing)
        with pytest.raises(ValueError, match="model 'b' processes images in a way"):
            check_members(["a", "b"], [members[0], scaled])
    coloured = member("deeplense-vit-test", 32, "none")
    coloured.processor.colour_bands = (2, 1, 0)
    with pytest.raises(ValueError, match=r"model 'b' has colour_bands=\(2, 1, 0\), but 'a' None; save"):
        check_members(["a", "b"], [members[0], coloured])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["one"]}, "is no ensemble; give at least two"),
        ({"batch_size": 0}, "batch_size=0 is not positive; use for example 64"),
        ({"images_per_class": 0}, "images_per_class=0 is not positive"),
        ({"seed": -1}, "seed=-1 is negative"),
        ({"weighting": "validation"}, "needs --dataset"),
        ({"weighting": "validation", "dataset": "model_1", "split": "test"}, "is for testing alone"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnsembleOptions(**{"models": ["one", "two"], "output_dir": "out", **options})


def test_a_search_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=400)
    logits = [2.0 * np.eye(3)[labels], generator.normal(size=(400, 3))]
    # where the search begins is not where it should end
    result = OptimizeResult(x=np.array([0.5, 0.5]), success=False, message="it gave up")
    monkeypatch.setattr("scipy.optimize.minimize", lambda *given, **options: result)
    with pytest.raises(ValueError, match=r"least log loss failed \(it gave up\); use weighting='uniform'"):
        best_weights(logits, labels)
    # but at the optimum it may stop as it likes
    result.x = np.array([1.0, 0.0])
    assert best_weights(logits, labels) == [1.0, 0.0]


def test_a_member_without_an_answer_is_not_joined(members: list[Predictor]) -> None:
    with torch.no_grad():
        members[1].model.classifier.bias[0] = torch.nan
    dataset = load_lenses("model_2", images_per_class=30)["validation"]
    with pytest.raises(ValueError, match=rf"of model 'b' is not a number for {len(dataset)} of {len(dataset)} images"):
        logits_of(NAMES, members, dataset, 64)


def test_weights_of_many_members_are_the_best_ones() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=1500)
    logits = [
        3 * strength * np.eye(3)[labels] + 3 * generator.normal(size=(1500, 3))
        for strength in np.linspace(0.2, 1.5, 10)
    ]
    of_truth = np.stack([softmax(member, axis=1)[np.arange(1500), labels] for member in logits])
    slow = np.full(10, 0.1)
    for _ in range(20000):
        # expectation maximisation, which never leaves the simplex and cannot miss the optimum
        slow = slow * (of_truth / (slow @ of_truth)).mean(axis=1)
    found = log_losses(logits, labels, best_weights(logits, labels), [1.0] * 10)[-1]
    assert found <= log_losses(logits, labels, list(slow), [1.0] * 10)[-1] + 1e-6


def save(one: Predictor, folder: Path) -> str:
    one.model.save_pretrained(folder)
    one.processor.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("weighting", "dataset"),
    [("uniform", None), ("uniform", "model_2"), ("validation", "model_2"), ("temperature", "model_2")],
)
def test_the_command_writes_a_folder_that_answers(
    weighting: str,
    dataset: str | None,
    members: list[Predictor],
    raw: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    for one in members:
        one.processor.colour_bands = (2, 1, 0)
    names = [save(one, tmp_path / f"member-{number}") for number, one in enumerate(members)]
    output_dir = tmp_path / "together"
    options = EnsembleOptions(
        models=names,
        output_dir=str(output_dir),
        weighting=weighting,
        dataset=dataset,
        images_per_class=30,
        device="cpu",
    )
    ensemble(options)
    about = json.loads((output_dir / ENSEMBLE_FILE).read_text())
    assert about["members"] == names
    assert sum(about["weights"]) == pytest.approx(1)
    together = Predictor.from_pretrained(output_dir, "cpu")
    assert together.colour_bands == (2, 1, 0)
    assert together.probabilities(raw).shape == (5, 3)
    table = together.task.table(together.answers(raw))
    assert list(table) == list(together.task.columns)
    assert ("prediction_set_95" in table) is (dataset is not None)
    if dataset:
        logits, labels = _asked(members)
        # the calibrated ensemble is right about what it is sure of, up to the doubt that few images leave
        assert about["log_loss_of_ensemble"] <= log_losses(logits, labels, *EQUAL)[-1] + 1e-3
        assert f"log loss {about['log_loss_of_ensemble']:.4f}" in capsys.readouterr().out
        _, (said,) = logits_of(["together"], [together], load_lenses("model_2", images_per_class=30)["validation"], 64)
        assert about["log_loss_of_ensemble"] == pytest.approx(log_losses([said], labels, [1.0], [1.0])[-1], abs=1e-5)


def test_an_ensemble_is_calibrated_as_a_single_model_is(members: list[Predictor]) -> None:
    for one in members:
        with torch.no_grad():
            for layer in (module for module in one.model.modules() if isinstance(module, torch.nn.Linear)):
                layer.weight.mul_(3)
    raw = np.random.default_rng(1).poisson(60, size=(600, 1, 50, 50)).astype(np.float32)
    model = build_ensemble(members, *EQUAL)
    together = Predictor(model, DeepLenseImageProcessor(num_channels=1, stretch="none", normalisation="none"), "cpu")
    before = together.probabilities(raw)
    generator = np.random.default_rng(2)
    labels = np.array([generator.choice(3, p=softmax(np.log(row) / 2)) for row in before])
    members[0].task.calibrate(model, np.log(before), labels)
    assert model.config.joint_temperature == pytest.approx(best_temperature(np.log(before), labels))
    expected = softmax(np.log(before) / model.config.joint_temperature, axis=1)
    calibrated = Predictor(model, together.processor, "cpu")
    np.testing.assert_allclose(calibrated.probabilities(raw), expected, atol=1e-6)
    scores = calibrated.task.scores(References(np.arange(600), labels, labels, CLASSES), calibrated.answers(raw))
    assert scores["prediction_set_coverage"] == pytest.approx(0.95, abs=0.01)


def _asked(members: list[Predictor]) -> tuple[list[np.ndarray], np.ndarray]:
    labels, logits = logits_of(NAMES, members, load_lenses("model_2", images_per_class=30)["validation"], 64)
    return logits, labels


def test_estimators_are_joined_as_equals_only(tmp_path: Path) -> None:
    config = build_config(
        "deeplense-swin-test", image_size=32, task="regression", id2label={0: "mass"}, label2id={"mass": 0}
    )
    one = Predictor(AutoModelForImageRegression.from_config(config), DeepLenseImageProcessor(num_channels=1), "cpu")
    name = save(one, tmp_path / "one")
    options = {"models": [name, name], "output_dir": str(tmp_path / "two"), "device": "cpu"}
    with pytest.raises(ValueError, match=r"weighs probabilities, and .* estimates quantities"):
        ensemble(EnsembleOptions(**options, weighting="validation", dataset="model_2"))
    ensemble(EnsembleOptions(**options))
    assert Predictor.from_pretrained(options["output_dir"], "cpu").model.config.interval_factors is None


def test_intervals_of_estimators_are_calibrated_together(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = {"image_size": 32, "task": "regression", "id2label": {0: TARGET}, "label2id": {TARGET: 0}}
    names = []
    for number, mean in enumerate((0.5, 3.0)):
        config = build_config(
            "deeplense-swin-test", **options, target_mean=[mean], target_std=[0.1], interval_factors=[5.0]
        )
        torch.manual_seed(number)
        one = Predictor(AutoModelForImageRegression.from_config(config), DeepLenseImageProcessor(size=32), "cpu")
        names.append(save(one, tmp_path / str(number)))
    together = tmp_path / "together"
    ensemble(
        EnsembleOptions(
            models=names, output_dir=str(together), dataset="model_2", split="train", images_per_class=30, device="cpu"
        )
    )
    predictor = Predictor.from_pretrained(together, "cpu")
    (factor,) = predictor.model.config.interval_factors
    assert f"standard deviations times {factor:.3f}" in capsys.readouterr().out
    assert json.loads((together / ENSEMBLE_FILE).read_text())["interval_factors"] == [factor]
    dataset = load_lenses("model_2", images_per_class=30)["train"]
    decoder, truths = LensImageDecoder(dataset), predictor.task.targets(dataset)
    answers = predictor.answers(decoder[:])
    inside = np.abs(truths - answers["predictions"]) <= answers["standard_deviations"]
    assert inside.mean() == pytest.approx(0.6827, abs=0.03)


def test_a_model_or_other_work_is_never_overwritten(members: list[Predictor], tmp_path: Path) -> None:
    names = [save(one, tmp_path / "models" / str(number)) for number, one in enumerate(members)]
    before = (tmp_path / "models" / "0" / "model.safetensors").read_bytes()
    for place in (names[0], str(tmp_path / "models"), f"{tmp_path}/models/../models/1"):
        with pytest.raises(ValueError, match=r"holds the model .*, which must stay"):
            ensemble(EnsembleOptions(models=names, output_dir=place, overwrite=True, device="cpu"))
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something that is no ensemble"):
        ensemble(EnsembleOptions(models=names, output_dir=str(notes), overwrite=True, device="cpu"))
    assert (notes / "notes.txt").read_text() == "mine"
    assert (tmp_path / "models" / "0" / "model.safetensors").read_bytes() == before


def test_an_earlier_ensemble_is_replaced_whole_when_asked(members: list[Predictor], tmp_path: Path) -> None:
    names = [save(one, tmp_path / str(number)) for number, one in enumerate(members)]
    together = tmp_path / "together"
    ensemble(EnsembleOptions(models=names, output_dir=str(together), device="cpu"))
    (together / "metrics.json").write_text("{}")
    with pytest.raises(ValueError, match="holds an ensemble already"):
        ensemble(EnsembleOptions(models=names, output_dir=str(together), device="cpu"))
    ensemble(EnsembleOptions(models=names[:2], output_dir=str(together), overwrite=True, device="cpu"))
    assert not (together / "metrics.json").exists()
    assert json.loads((together / ENSEMBLE_FILE).read_text())["members"] == names[:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "together"]


def test_an_estimator_without_an_answer_is_not_joined() -> None:
    options = {"image_size": 32, "task": "regression", "id2label": {0: TARGET}, "label2id": {TARGET: 0}}
    members = [
        Predictor(
            AutoModelForImageRegression.from_config(build_config("deeplense-swin-test", **options)),
            DeepLenseImageProcessor(num_channels=1, size=32),
            "cpu",
        )
        for _ in range(2)
    ]
    with torch.no_grad():
        list(members[1].model.parameters())[-1].view(-1)[0] = torch.nan
    dataset = load_lenses("model_2", images_per_class=30)["validation"]
    model = build_ensemble(members, [0.5, 0.5], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"the answer of model 'b' is not a number for \d+ of \d+ images; train it"):
        calibrate_intervals(["a", "b"], members[0], model, dataset, 64)
    assert not any(member._forward_hooks for member in model.members)
