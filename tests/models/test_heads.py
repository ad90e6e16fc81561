"""Heads that all families share: they save, load and answer alike."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageClassification, AutoModelForMaskedImageModeling, PreTrainedModel

from deeplense_hf.models import AutoModelForAnomalyDetection, AutoModelForImageRegression
from deeplense_hf.models.heads import gaussian_negative_log_likelihood
from deeplense_hf.models.masked_modeling import draw_squares
from deeplense_hf.models.presets import build_config

FAMILIES = ("deeplense-swin-test", "deeplense-vit-test", "resnet-test")
HEADS = (
    AutoModelForImageClassification,
    AutoModelForMaskedImageModeling,
    AutoModelForImageRegression,
    AutoModelForAnomalyDetection,
)


def make(auto_class: Any, preset: str = FAMILIES[0], **options: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    return auto_class.from_config(build_config(preset, **{"image_size": 32, "num_labels": 2, **options}))


def images(count: int = 3, size: int = 32) -> torch.Tensor:
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("preset", FAMILIES)
@pytest.mark.parametrize("auto_class", HEADS)
def test_every_head_of_every_family_learns_saves_and_loads(auto_class: Any, preset: str, tmp_path: Path) -> None:
    model = make(auto_class, preset).train()
    outputs = model(images())
    loss = outputs.loss if outputs.get("loss") is not None else sum(part.sum() for part in outputs.values())
    loss.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters() if weight.grad is not None)
    model.eval().save_pretrained(tmp_path)
    loaded, report = auto_class.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        for name, value in model(images()).items():
            torch.testing.assert_close(loaded.eval()(images())[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("preset", FAMILIES)
def test_an_encoder_of_masked_images_goes_to_another_head(preset: str, tmp_path: Path) -> None:
    encoder = make(AutoModelForMaskedImageModeling, preset)
    encoder.save_pretrained(tmp_path)
    classifier, report = AutoModelForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert sorted(report["missing_keys"]) == ["classifier.bias", "classifier.weight"]
    for name, weight in encoder.backbone.state_dict().items():
        assert torch.equal(classifier.backbone.state_dict()[name], weight)


def test_regression_answers_in_units() -> None:
    model = make(
        AutoModelForImageRegression, target_mean=[-23.0, 0.02], target_std=[0.5, 0.01], interval_factors=[2.0, 1.0]
    ).eval()
    with torch.no_grad():
        outputs = model(images())
    expected = torch.tensor([-23.0, 0.02]) + torch.tensor([0.5, 0.01]) * outputs.standardised
    torch.testing.assert_close(outputs.predictions, expected)
    widths = torch.tensor([1.0, 0.01]) * torch.exp(0.5 * outputs.log_variances)
    torch.testing.assert_close(outputs.standard_deviations, widths)
    torch.testing.assert_close(model.standardise(outputs.predictions), outputs.standardised, rtol=1e-4, atol=1e-4)
    constant = make(AutoModelForImageRegression, uncertainty="constant").eval()
    assert (constant(images()).standard_deviations == 1).all()


def test_targets_of_another_shape_are_refused() -> None:
    model = make(AutoModelForImageRegression, num_labels=1)
    with pytest.raises(ValueError, match=r"labels have shape \(3,\), but \(batch, num_labels\), \(3, 1\), is needed"):
        model(images(), labels=torch.zeros(3))


def test_unknown_targets_do_not_count() -> None:
    means, variances = torch.randn(4, 2), torch.randn(4, 2)
    targets = torch.randn(4, 2)
    half = targets.clone()
    half[:, 1] = torch.nan
    expected = -torch.distributions.Normal(means[:, 0], torch.exp(0.5 * variances[:, 0])).log_prob(targets[:, 0]).mean()
    torch.testing.assert_close(gaussian_negative_log_likelihood(means, variances, half), expected)


@pytest.mark.parametrize("auto_class", [AutoModelForMaskedImageModeling, AutoModelForAnomalyDetection])
def test_masked_images_need_the_bands_of_the_model(auto_class: Any) -> None:
    model = make(auto_class, num_channels=3)
    with pytest.raises(
        ValueError, match=r"has shape \(3, 1, 32, 32\), but the model takes \(batch, 3, height, width\)"
    ):
        model(images())
    with pytest.raises(ValueError, match="pixel_values is missing"):
        model()


@pytest.mark.parametrize("preset", FAMILIES)
def test_hidden_squares_cannot_be_seen(preset: str) -> None:
    model = make(AutoModelForMaskedImageModeling, preset).eval()
    squares = torch.zeros(3, 16, dtype=torch.bool)
    squares[:, 5] = True
    original, changed = images(), images()
    changed[:, :, 8:16, 8:16] += 5
    with torch.no_grad():
        first, second = (model(batch, bool_masked_pos=squares) for batch in (original, changed))
    torch.testing.assert_close(first.reconstruction, second.reconstruction)
    assert (first.reconstruction_error != second.reconstruction_error).all()
    assert first.mask.sum() == 3 * 64
    expected = ((first.reconstruction - original) ** 2)[:, :, 8:16, 8:16].mean(dim=(1, 2, 3))
    torch.testing.assert_close(first.reconstruction_error, expected)


def test_masks_are_drawn_for_training_and_fixed_for_evaluation() -> None:
    model = make(AutoModelForMaskedImageModeling, mask_ratio=0.25)
    assert not torch.equal(model(images()).mask[0], model(images()).mask[0]) or not torch.equal(
        model(images()).mask[0], model(images()).mask[1]
    )
    masks = model.eval()(images()).mask
    assert torch.equal(masks, model(images()).mask)
    assert torch.equal(masks[0], masks[1])
    assert masks.mean() == 0.25
    with pytest.raises(ValueError, match=r"bool_masked_pos has shape \(3, 4\)"):
        model(images(), bool_masked_pos=torch.zeros(3, 4, dtype=torch.bool))
    assert draw_squares(2, (1, 1), 0.5, torch.device("cpu"), 0).sum() == 2


@pytest.mark.parametrize("score", ["reconstruction", "mahalanobis", "nearest_neighbours"])
def test_anomalies_stand_out(score: str, tmp_path: Path) -> None:
    model = make(AutoModelForAnomalyDetection, anomaly_score=score, anomaly_references=40).eval()
    generator = torch.Generator().manual_seed(2)
    normal = torch.randn(60, 1, 32, 32, generator=generator)
    strange = normal[:10] * 3 + 1
    with torch.no_grad():
        model.normal.fit(model.pooled(normal))
        model.normal.fit_scores(model.raw_score(normal))
        scores = model(normal).anomaly_score
        assert scores.mean().abs() < 1e-3
        assert scores.std(correction=0) == pytest.approx(1, rel=1e-3)
        assert model(strange).anomaly_score.min() > scores.quantile(0.9)
        assert model.train()(normal).anomaly_score is None, "training needs no score"
        model.eval().save_pretrained(tmp_path)
        loaded = AutoModelForAnomalyDetection.from_pretrained(tmp_path).eval()
        torch.testing.assert_close(loaded(strange).anomaly_score, model(strange).anomaly_score)


def test_few_normal_images_are_neighbours_once(tmp_path: Path) -> None:
    options = {"anomaly_score": "nearest_neighbours", "anomaly_references": 40, "anomaly_neighbours": 5}
    model = make(AutoModelForAnomalyDetection, **options).eval()
    generator = torch.Generator().manual_seed(2)
    normal, others = torch.randn(12, 1, 32, 32, generator=generator), torch.randn(3, 1, 32, 32, generator=generator)
    with torch.no_grad():
        model.normal.fit(model.pooled(normal))
        whitened = [model.normal.whitened(model.pooled(part)) for part in (normal, others)]
        distances = torch.cdist(whitened[1], whitened[0]).sort(dim=1).values
        torch.testing.assert_close(model.raw_score(others), distances[:, :5].mean(dim=1))
        model.normal.references[12:] = 1e6  # as earlier versions saved the places of images that there are not
        torch.testing.assert_close(model.raw_score(others), distances[:, :5].mean(dim=1))
        model.normal.fit_scores(model.raw_score(normal))
        model.to(torch.bfloat16).save_pretrained(tmp_path)
        half = AutoModelForAnomalyDetection.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
        assert half(others.to(torch.bfloat16)).anomaly_score.isfinite().all()
        assert len(half.normal.kept()) == 12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("auto_class", [AutoModelForImageClassification, AutoModelForMaskedImageModeling])
def test_what_was_never_fitted_gives_no_score(auto_class: Any, dtype: torch.dtype, tmp_path: Path) -> None:
    make(auto_class).save_pretrained(tmp_path)
    leftovers = [torch.full((1000, 32), 7.0) for _ in range(20)]
    del leftovers  # memory that is handed out again is not empty
    model, report = AutoModelForAnomalyDetection.from_pretrained(tmp_path, dtype=dtype, output_loading_info=True)
    assert "normal.references" in report["missing_keys"]
    assert not model.normal.mean.any()
    assert torch.equal(model.normal.whitening, torch.eye(32, dtype=dtype))
    assert not len(model.normal.kept())
    assert not model.mask_value.any()
    model = model.float()
    outputs = model.eval()(images())
    assert outputs.loss.isfinite(), "training is watched in evaluation mode"
    assert outputs.anomaly_score is None
    with pytest.raises(ValueError, match="has not been fitted to normal images"):
        model.raw_score(images())
    # what is saved stays without a score, and continues to be fitted
    model.save_pretrained(tmp_path)
    loaded = AutoModelForAnomalyDetection.from_pretrained(tmp_path).eval()
    assert loaded(images()).anomaly_score is None
    with torch.no_grad():
        loaded.normal.fit(loaded.pooled(images(20)))
        loaded.normal.fit_scores(loaded.raw_score(images(20)))
        assert loaded(images()).anomaly_score.isfinite().all()
    # what is trained further has other features soon
    loaded.save_pretrained(tmp_path)
    again = AutoModelForAnomalyDetection.from_pretrained(tmp_path).eval()
    assert again.normal.has_scale
    again.normal.reset()
    assert not again.normal.has_images
    assert torch.equal(again.normal.whitening, torch.eye(32))
    assert again(images()).anomaly_score is None


def test_too_few_or_broken_normal_images_are_refused() -> None:
    normal = make(AutoModelForAnomalyDetection).normal
    with pytest.raises(ValueError, match="needs the features of at least 2, better hundreds, and 1 are given"):
        normal.fit(torch.randn(1, 32))
    with pytest.raises(ValueError, match="needs the scores of at least 2, better hundreds, and 1 are given"):
        normal.fit_scores(torch.ones(1))
    broken = torch.randn(5, 32)
    broken[3, 1] = torch.nan
    with pytest.raises(ValueError, match="features of 1 of 5 normal images are not finite"):
        normal.fit(broken)
    with pytest.raises(ValueError, match="scores of 2 of 3 normal images are not finite"):
        normal.fit_scores(torch.tensor([1.0, torch.inf, torch.nan]))
    assert not normal.has_images
    assert not normal.has_scale


@pytest.mark.parametrize("preset", FAMILIES)
def test_a_distillation_token_has_a_classifier_of_its_own(preset: str) -> None:
    model = make(AutoModelForImageClassification, preset, distillation_token=True).eval()
    with torch.no_grad():
        outputs = model(images())
    torch.testing.assert_close(outputs.logits, (outputs.class_logits + outputs.distillation_logits) / 2)
    assert not torch.equal(outputs.class_logits, outputs.distillation_logits)
    assert make(AutoModelForImageClassification, preset)(images()).distillation_logits is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_ratio": 1.0}, "mask_ratio=1.0 must be between 0 and 1"),
        ({"anomaly_score": "guess"}, "anomaly_score='guess' is not one of"),
        ({"uncertainty": "none"}, "uncertainty='none' is not one of predicted, constant"),
        ({"mask_size": 0}, "mask_size=0 must be at least 1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_config("deeplense-swin-test", **options)
