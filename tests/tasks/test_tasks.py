"""A task knows rows, targets, answers and scores, and refuses data and models that do not fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import DatasetDict

from deeplense_hf.models.presets import build_config
from deeplense_hf.tasks.options import TaskOptions
from deeplense_hf.tasks.registry import TASKS, task_of_model
from deeplense_hf.tasks.task import References, finite_rows, rows_of_half

CLASSES = {
    "lens_finding": {"class_names": ("non_lens", "lens"), "labels": [0, 1] * 6},
}


def make_task(name: str, make_splits: Callable[..., DatasetDict]) -> tuple[Any, DatasetDict]:
    splits = make_splits(**CLASSES.get(name, {}))
    return TASKS[name].from_dataset(splits, TaskOptions(task=name), "mine"), splits


@pytest.mark.parametrize("name", TASKS)
def test_a_model_remembers_its_task(name: str, make_splits: Callable) -> None:
    task, _ = make_task(name, make_splits)
    config = build_config("deeplense-swin-test", **task.model_options)
    assert task_of_model(config) == task
    task.check_model(config, "mine")


@pytest.mark.parametrize("name", TASKS)
def test_answers_become_a_table_and_scores(name: str, make_splits: Callable) -> None:
    task, splits = make_task(name, make_splits)
    torch.manual_seed(0)
    model = task.auto_class.from_config(build_config("deeplense-swin-test", image_size=16, **task.model_options)).eval()
    references = task.references(splits["test"])
    if name == "anomaly_detection":
        model.normal.fit(torch.randn(20, model.config.hidden_size))
        model.normal.fit_scores(torch.tensor([1.0, 2.0]))
    with torch.no_grad():
        outputs = model(torch.randn(len(references.rows), 1, 16, 16))
    answers = task.answers({key: outputs[key].numpy() for key in task.output_keys})
    table = task.table(answers)
    assert list(table) == list(task.columns)
    assert {len(column) for column in table.values()} == {len(references.rows)}
    scores = task.scores(references, answers)
    named = {score for _, score in task.report_rows(references.group_names)}
    weighted = task.weighted_scores(references, answers, np.ones((2, len(references.rows))))
    assert named <= set(weighted)
    assert all(np.array_equal(value[0], value[1], equal_nan=True) for value in weighted.values())
    assert all(np.isfinite(value) for value in scores.values())
    if task.metric_for_best_model != "loss":
        assert task.metric_for_best_model in weighted


@pytest.mark.parametrize("name", TASKS)
def test_rows_and_targets_belong_together(name: str, make_splits: Callable) -> None:
    task, splits = make_task(name, make_splits)
    rows = task.training_rows(splits["train"])
    expected = {"regression": [2, 5, 8, 11], "anomaly_detection": [0, 3, 6, 9]}
    assert rows.tolist() == expected.get(name, list(range(12)))
    targets = task.targets(splits["train"].select(rows))
    assert (targets is None) is not task.has_targets
    assert targets is None or len(targets) == len(rows)


def test_regression_reads_its_scale_off_the_training_images(make_splits: Callable) -> None:
    task, splits = make_task("regression", make_splits)
    assert task.target_units == ("log10 eV",)
    assert task.target_mean[0] == pytest.approx(-23.25)
    assert task.target_std[0] == pytest.approx(np.std([-23.5, -22.5, -24, -23]))
    assert task.classes_to_learn(splits["train"]) == ("axion",)
    batch = {"log10_axion_mass_ev": np.array([-23.0, np.nan]), "pixel_scale": np.ones(2)}
    np.testing.assert_array_equal(task.stream_targets(batch, ("axion",)), np.float32([[-23], [np.nan]]))


def test_intervals_are_calibrated_on_validation_images(make_splits: Callable) -> None:
    task, _ = make_task("regression", make_splits)
    torch.manual_seed(0)
    model = task.auto_class.from_config(build_config("deeplense-swin-test", image_size=16, **task.model_options)).eval()
    pixels, truths = torch.randn(400, 1, 16, 16), torch.randn(400, 1) * 3 - 23

    def processed(split: str) -> Any:
        assert split == "validation"
        yield {"pixel_values": pixels, "labels": truths}

    with torch.no_grad():
        task.finish(model, processed, ("train", "validation", "test"))
        outputs = model(pixels)
    inside = (truths - outputs.predictions).abs() <= outputs.standard_deviations
    assert inside.float().mean() == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize(("images", "promised"), [(400, True), (18, False)])
def test_intervals_of_95_percent_have_a_factor_of_their_own(
    images: int, promised: bool, make_splits: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    columns = {"einstein_radius": [0.5 + row / 10 for row in range(12)]}
    options = TaskOptions(task="regression", targets=["log10_axion_mass_ev", "einstein_radius"])
    task = TASKS["regression"].from_dataset(make_splits(**columns), options, "mine")
    torch.manual_seed(0)
    model = task.auto_class.from_config(build_config("deeplense-swin-test", image_size=16, **task.model_options)).eval()
    pixels = torch.randn(images, 1, 16, 16)
    # tails as heavy as those of networks: a factor for 68% alone is far too narrow
    heavy = torch.distributions.StudentT(2.0).sample((images, 2)) * torch.tensor([3.0, 0.5]) + torch.tensor([-23.0, 1])
    with torch.no_grad():
        task.finish(model, lambda _: iter([{"pixel_values": pixels, "labels": heavy}]), ("train", "validation"))
        outputs = model(pixels)
    task = task_of_model(model.config)
    answers = task.answers({key: outputs[key].numpy() for key in task.output_keys})
    truths = heavy.double().numpy()
    references = References(np.arange(images), truths, np.zeros(images, dtype=np.int64), ())
    scores, table = task.scores(references, answers), task.table(answers)
    for index, name in enumerate(task.target_names):
        inside = (np.array(table[f"{name}_low_95"]) <= truths[:, index]) & (
            truths[:, index] <= np.array(table[f"{name}_high_95"])
        )
        assert inside.mean() == scores[f"coverage_95_{name}"], "what is shown is what is scored"
        # the image at the very end is inside or outside by the last bit
        assert inside.mean() == pytest.approx(0.9525 if promised else 1.0, abs=1.5 / images if promised else 0)
    assert model.config.interval_factors_95[0] != model.config.interval_factors_95[1]
    assert ("is known of 18 validation images, too few" in caplog.text) is not promised
    # models that were saved before have no such factor
    model.config.interval_factors_95 = None
    low, high = task_of_model(model.config).intervals_95(answers)
    np.testing.assert_allclose((high - low) / 2, 1.96 * answers["standard_deviations"])


@pytest.mark.parametrize("streamed", [False, True])
def test_the_scale_of_anomalies_is_of_images_that_the_features_are_not_of(
    streamed: bool, make_splits: Callable
) -> None:
    task, _ = make_task("anomaly_detection", make_splits)
    torch.manual_seed(0)
    model = task.auto_class.from_config(build_config("deeplense-swin-test", image_size=16, **task.model_options)).eval()
    pixels = torch.randn(200, 1, 16, 16)
    parts = {("train", None): pixels[:100], ("validation", None): pixels[100:]}
    if streamed:
        parts = {("validation", 0): pixels[:100], ("validation", 1): pixels[100:]}

    def processed(split: str, half: int | None = None) -> Any:
        yield {"pixel_values": parts[split, half]}

    with torch.no_grad():
        task.finish(model, processed, ("validation", "test") if streamed else ("train", "validation", "test"))
        own, new = model(pixels[:100]).anomaly_score, model(pixels[100:]).anomaly_score
    assert new.mean() == pytest.approx(0, abs=1e-3)
    assert new.std(correction=0) == pytest.approx(1, abs=1e-3)
    assert own.mean() < -0.1, "images are more like statistics that they are part of"


def test_halves_share_no_system(make_splits: Callable) -> None:
    systems = ["a", "a", "b", None, "c", "b", None, "d", "a", "e", "e", "c"]
    dataset, rows = make_splits(system_id=systems)["train"], np.arange(1, 12)
    halves = [rows_of_half(dataset, rows, half).tolist() for half in (0, 1)]
    # a, the two rows without a system and e; b, c and d
    assert halves == [[1, 3, 6, 8, 9, 10], [2, 4, 5, 7, 11]]
    assert rows_of_half(dataset, rows, None) is rows
    bare = dataset.remove_columns("system_id")
    assert [rows_of_half(bare, rows, half).tolist() for half in (0, 1)] == [rows[::2].tolist(), rows[1::2].tolist()]


@pytest.mark.parametrize(
    ("labels", "splits", "message"),
    [
        ([0] + [1] * 11, ("train", "validation"), "among train images of 'mine' there are 1; add some"),
        ([0] * 3 + [1] * 9, ("validation", "test"), "among half of the validation systems of 'mine' there are 1"),
    ],
)
def test_too_few_normal_images_are_refused_before_training(
    labels: list[int], splits: tuple[str, ...], message: str, make_splits: Callable
) -> None:
    data = make_splits(labels=labels)
    with pytest.raises(ValueError, match=message):
        TASKS["anomaly_detection"].from_dataset(
            DatasetDict({name: data[name] for name in splits}), TaskOptions(task="anomaly_detection"), "mine"
        )


def test_answers_are_finite_or_not_image_by_image() -> None:
    answers = {"predictions": np.array([[1.0, 2.0], [np.nan, 0.0], [0.0, 1.0]]), "score": np.array([1.0, 2.0, np.inf])}
    assert finite_rows(answers).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("name", "options", "change", "message"),
    [
        ("regression", {"targets": ["no_such_column"]}, {}, "has no column 'no_such_column'"),
        ("regression", {"targets": ["system_id"]}, {}, "holds no numbers"),
        ("regression", {"targets": ["einstein_radius"]}, {}, "is 1.2 for every training image"),
        ("regression", {"targets": ["sersic_index"]}, {}, "is empty on the 12 training images"),
        ("classification", {}, {"labels": [1] * 12}, "at least two classes, and 'mine' has only cdm"),
        ("classification", {}, {"labels": [-1] * 12}, "at least two classes, and 'mine' has no labelled image"),
        ("lens_finding", {}, {}, "needs the classes non_lens and lens, and 'mine' has no_sub, cdm, axion"),
        ("anomaly_detection", {}, {"labels": [1, 2] * 6}, r"has only anomalies \(cdm, axion\) to learn from"),
        ("anomaly_detection", {}, {"labels": [0, -1] * 6}, "6 of 12 images to learn from in 'mine' have no class"),
        ("anomaly_detection", {"normal_class": "smooth"}, {}, "has no class 'smooth'"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    name: str, options: dict, change: dict, message: str, make_splits: Callable
) -> None:
    with pytest.raises(ValueError, match=message):
        TASKS[name].from_dataset(make_splits(**change), TaskOptions(task=name, **options), "mine")


@pytest.mark.parametrize(
    ("radii", "message"),
    [
        ([None] * 12, "'einstein_radius' of 'mine' is empty on the 12 validation images"),
        ([1.5] + [None] * 11, "'einstein_radius' of 'mine' is known of only one of the 12 validation images"),
        ([1.5] * 12, "'einstein_radius' of 'mine' is 1.5 for every validation image"),
    ],
)
def test_targets_that_cannot_be_watched_are_refused(radii: list, message: str, make_splits: Callable) -> None:
    splits = make_splits(einstein_radius=[0.5 + row / 10 for row in range(12)])
    splits["validation"] = make_splits(einstein_radius=radii)["validation"]
    options = TaskOptions(task="regression", targets=["log10_axion_mass_ev", "einstein_radius"])
    with pytest.raises(ValueError, match=message):
        TASKS["regression"].from_dataset(splits, options, "mine")


def test_models_that_do_not_fit_are_refused(make_splits: Callable) -> None:
    regression, _ = make_task("regression", make_splits)
    other = build_config("deeplense-swin-test", id2label={0: "einstein_radius"}, task="regression")
    with pytest.raises(ValueError, match="model 'theirs' estimates einstein_radius, but --targets asks for log10"):
        regression.check_model(other, "theirs")
    anomaly, _ = make_task("anomaly_detection", make_splits)
    other = build_config("deeplense-swin-test", id2label={0: "cdm"}, task="anomaly_detection")
    with pytest.raises(ValueError, match="takes 'cdm' for normal"):
        anomaly.check_model(other, "theirs")
    with pytest.raises(ValueError, match="the model's task is 'poetry'"):
        task_of_model(build_config("deeplense-swin-test", task="poetry"))
    with pytest.raises(ValueError, match="only single-label classifiers"):
        task_of_model(build_config("deeplense-swin-test", problem_type="multi_label_classification"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_ratio": 0.0}, "mask_ratio=0.0"),
        ({"mask_size": 0}, "mask_size=0"),
        ({"targets": []}, "must name at least one column"),
        ({"targets": ["a", "a"]}, "each one once"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskOptions(**options)


@pytest.mark.parametrize("name", TASKS)
def test_a_resample_of_no_row_has_no_score_and_no_warning(name: str, make_splits: Callable) -> None:
    task, splits = make_task(name, make_splits)
    if name in ("classification", "lens_finding"):
        task = replace(task, prediction_set_threshold=0.2)
    references = task.references(splits["test"])
    rows = len(references.rows)
    outputs = {
        "logits": np.random.default_rng(0).normal(size=(rows, 3 if name == "classification" else 2)),
        "predictions": np.ones((rows, 1)),
        "standard_deviations": np.ones((rows, 1)),
        "anomaly_score": np.arange(rows),
        "reconstruction_error": np.arange(rows),
    }
    answers = task.answers({key: outputs[key] for key in task.output_keys})
    with np.errstate(all="raise"):
        scores = task.weighted_scores(references, answers, np.zeros((2, rows)))
    assert all(np.isnan(value).all() for value in scores.values())
