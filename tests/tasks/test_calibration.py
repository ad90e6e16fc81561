"""Temperatures are found again; sets of classes hold the true one as often as they promise."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from deeplense_hf.models.answers import prediction_sets
from deeplense_hf.models.modeling_deeplense_vit import DeepLenseViTForImageClassification
from deeplense_hf.models.presets import build_config
from deeplense_hf.tasks.calibration import best_temperature, prediction_set_threshold
from deeplense_hf.tasks.classification import ClassificationTask
from deeplense_hf.tasks.registry import task_of_model
from deeplense_hf.tasks.task import References


def population(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn by them."""
    generator = np.random.default_rng(seed)
    probabilities = softmax(2 * generator.normal(size=(count, 3)), axis=1)
    return probabilities, np.array([generator.choice(3, p=row) for row in probabilities])


def test_a_temperature_is_found_again() -> None:
    probabilities, labels = population(4000, seed=0)
    for temperature in (0.5, 1.0, 3.0):
        assert best_temperature(np.log(probabilities) * temperature, labels) == pytest.approx(temperature, rel=0.1)


def test_few_images_without_an_error_do_not_make_a_model_certain() -> None:
    labels = np.arange(60) % 3
    logits = np.log(np.where(np.eye(3, dtype=bool)[labels], 0.9, 0.05))
    temperature = best_temperature(logits, labels)
    assert 0.3 < temperature < 1
    assert softmax(logits / temperature, axis=1).max() < 0.995


def test_sets_hold_the_truth_as_often_as_promised() -> None:
    threshold = prediction_set_threshold(*population(4000, seed=1))
    probabilities, labels = population(20000, seed=2)
    sets = prediction_sets(probabilities, threshold)
    assert sets[np.arange(20000), labels].mean() == pytest.approx(0.95, abs=0.01)
    assert sets.any(axis=1).all()
    assert 1 < sets.sum(axis=1).mean() < 3


def test_few_images_promise_nothing() -> None:
    threshold = prediction_set_threshold(*population(18, seed=0))
    assert threshold == 0
    assert prediction_sets(population(5, seed=1)[0], threshold).all()


@pytest.mark.parametrize("token", [False, True])
def test_a_finished_classifier_is_calibrated(token: bool) -> None:
    torch.manual_seed(0)
    names = ("no_sub", "cdm", "axion")
    config = build_config(
        "deeplense-vit-test",
        image_size=32,
        task="classification",
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
        initializer_range=0.3,
        distillation_token=token,
    )
    model = DeepLenseViTForImageClassification(config).eval()
    pixel_values = torch.randn(600, 1, 32, 32)
    with torch.no_grad():
        before = model(pixel_values=pixel_values).logits.double().numpy()
        labels = torch.from_numpy(
            np.array([np.random.default_rng(i).choice(3, p=softmax(row / 2)) for i, row in enumerate(before)])
        )
        batches = [{"pixel_values": pixel_values, "labels": labels}]
        ClassificationTask(names).finish(model, lambda split: iter(batches), ("train", "validation"))
        after = model(pixel_values=pixel_values).logits.double().numpy()
    assert np.median(before / after) == pytest.approx(best_temperature(before, labels.numpy()), rel=1e-4)
    task = task_of_model(model.config)
    answers = task.answers({"logits": after})
    table = task.table(answers)
    assert list(table) == list(task.columns)
    assert set(table["prediction_set_95"][0].split()) <= set(names)
    references = References(np.arange(600), labels.numpy(), labels.numpy(), names)
    scores = task.scores(references, answers)
    assert scores["prediction_set_coverage"] == pytest.approx(0.95, abs=0.01)
    assert 1 <= scores["prediction_set_size"] <= 3
