"""Measuring a model: the same whatever the batch or the number of processes; mismatches are refused."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Value
from PIL import Image

from deeplense_hf.evaluation.report import EvaluationReport
from deeplense_hf.evaluation.run import EvaluateOptions, evaluate, evaluate_model
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.lens_metrics.classification_scores import classification_scores
from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.models.auto_classes import auto_class_of
from deeplense_hf.models.presets import build_config

FIGURES = ("roc.png", "confusion.png", "reliability.png")
NAMES = {"model_name": "tiny", "dataset_name": "random"}


def test_report_and_figures(make_model: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    model, processor = make_model()
    dataset = make_dataset()
    model.train()
    report = evaluate_model(model, processor, dataset, output_dir=tmp_path, bootstrap_samples=20, **NAMES)
    assert model.training, "the mode is given back"
    assert EvaluationReport.load(tmp_path / "metrics.json") == report
    assert (report.n, report.n_systems, report.n_left_out) == (30, 15, 0)
    images = np.stack([np.asarray(image, dtype=np.float32) for image in dataset["image"]])
    probabilities = Predictor(model, processor, None).probabilities(images)
    expected = classification_scores(dataset["label"], probabilities, report.class_names)
    found = {name: measurement.value for name, measurement in report.metrics.items()}
    assert found == pytest.approx(expected, abs=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*FIGURES, "metrics.json"))
    for name in FIGURES:
        with Image.open(tmp_path / name) as figure:
            assert figure.size[0] > 400
            assert len(set(figure.convert("L").get_flattened_data())) > 10, "something is drawn"


def test_scores_by_morphology(make_model: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    seen = ["ring"] * 60 + ["arc"] * 66 + ["quad"] * 12 + [None] * 12
    dataset = make_dataset(n=150)
    marked = dataset.remove_columns("image_configuration").add_column("image_configuration", seen)
    options = {"model_name": "model", "dataset_name": "data", "bootstrap_samples": 20}
    model = make_model(spread=20.0)
    report = evaluate_model(*model, marked, output_dir=tmp_path / "all", **options)
    assert [(part.name, part.n) for part in report.morphologies] == [("arc", 66), ("ring", 60)]
    rings = evaluate_model(*model, marked.select(range(60)), output_dir=tmp_path / "rings", **options)
    found = report.morphologies[1].metrics
    assert found["roc_auc"].value == pytest.approx(rings.metrics["roc_auc"].value, abs=1e-5)
    assert found["expected_calibration_error"].value == pytest.approx(
        rings.metrics["expected_calibration_error"].value, abs=1e-5
    )
    assert found["roc_auc"].low < found["roc_auc"].value < found["roc_auc"].high
    assert EvaluationReport.load(tmp_path / "all" / "metrics.json") == report


def test_a_morphology_of_few_systems_has_no_row(make_model: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    systems = [f"ring-{index % 19}" for index in range(60)] + [f"arc-{index % 20}" for index in range(60)]
    dataset = make_dataset(n=120).remove_columns(["image_configuration", "system_id"])
    dataset = dataset.add_column("image_configuration", ["ring"] * 60 + ["arc"] * 60).add_column("system_id", systems)
    report = evaluate_model(*make_model(), dataset, output_dir=tmp_path, bootstrap_samples=5, **NAMES)
    assert [part.name for part in report.morphologies] == ["arc"]


def test_unknown_systems_are_one_each_and_one_system_has_no_interval(
    make_model: Callable, make_dataset: Callable, tmp_path: Path
) -> None:
    model, bare = make_model(), make_dataset().remove_columns("system_id")
    options = {"output_dir": tmp_path, "bootstrap_samples": 20, **NAMES}
    unknown = evaluate_model(*model, bare.add_column("system_id", [None] * 30, feature=Value("string")), **options)
    assert unknown.n_systems == 30
    assert unknown.metrics["log_loss"].low < unknown.metrics["log_loss"].high
    one = evaluate_model(*model, bare.add_column("system_id", ["a"] * 30), **options)
    assert one.n_systems == 1
    assert one.metrics["log_loss"].value == unknown.metrics["log_loss"].value
    assert {(measured.low, measured.high) for measured in one.metrics.values()} == {(None, None)}


def assert_same_report(found: EvaluationReport, expected: EvaluationReport) -> None:
    """Compare reports up to what the last bits of a network's output can change."""
    for name, measurement in expected.metrics.items():
        assert dataclasses.astuple(found.metrics[name]) == pytest.approx(dataclasses.astuple(measurement), abs=1e-5)
    without = {"metrics": {}, "report_rows": ()}
    assert dataclasses.replace(found, **without) == dataclasses.replace(expected, **without)


def test_same_report_whatever_the_batch_size(make_model: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    model, processor = make_model()
    options = {"output_dir": tmp_path, "bootstrap_samples": 10, **NAMES}
    first, second, third = (
        evaluate_model(model, processor, make_dataset(), batch_size=size, **options) for size in (1, 7, 64)
    )
    assert_same_report(second, first)
    assert_same_report(third, first)


def test_same_command_writes_the_same_file(make_model: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    model, processor = make_model()
    for folder in ("a", "b"):
        evaluate_model(model, processor, make_dataset(), output_dir=tmp_path / folder, bootstrap_samples=10, **NAMES)
    for name in ("metrics.json", *FIGURES):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_classes_are_matched_by_name(make_model: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    model, processor = make_model()
    reordered = make_dataset(class_names=("axion", "no_sub", "cdm"), labels=[(i + 1) % 3 for i in range(30)])
    options = {"output_dir": tmp_path, "bootstrap_samples": 0, **NAMES}
    first = evaluate_model(model, processor, make_dataset(), **options)
    second = evaluate_model(model, processor, reordered, **options)
    assert first.class_counts == second.class_counts
    assert first.metrics == second.metrics, "equal images and equal names of classes, in another order"


def test_unlabelled_rows_are_counted_and_left_out(make_model: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    model, processor = make_model()
    labels = [-1 if index < 6 else index % 3 for index in range(30)]
    options = {"output_dir": tmp_path, "bootstrap_samples": 0, **NAMES}
    report = evaluate_model(model, processor, make_dataset(labels=labels), **options)
    assert (report.n, report.n_left_out) == (24, 6)
    with pytest.raises(ValueError, match="none of the 30 images has a label"):
        evaluate_model(model, processor, make_dataset(labels=[-1] * 30), **options)


def test_without_systems_and_scales_each_image_is_its_own(
    make_model: Callable, make_dataset: Callable, tmp_path: Path
) -> None:
    model, processor = make_model()
    bare = make_dataset().select_columns(["image", "label"])
    report = evaluate_model(model, processor, bare, output_dir=tmp_path, bootstrap_samples=5, **NAMES)
    assert report.n_systems == report.n == 30


def test_a_regression_is_scored_on_quarters_of_the_truths(make_dataset: Callable, tmp_path: Path) -> None:
    names = {"id2label": {0: "einstein_radius"}, "label2id": {"einstein_radius": 0}}
    config = build_config("deeplense-swin-test", image_size=32, task="regression", **names)
    model = auto_class_of(config).from_config(config).eval()
    processor = DeepLenseImageProcessor(num_channels=1, size={"height": 32, "width": 32})
    # none between 1.25 and 1.75, and of three images nothing is known
    radii = [None] * 3 + [*np.linspace(1, 1.25, 60), *np.linspace(1.75, 2, 61)]
    dataset = make_dataset(len(radii)).remove_columns("einstein_radius").add_column("einstein_radius", radii)
    report = evaluate_model(model, processor, dataset, output_dir=tmp_path, bootstrap_samples=5, **NAMES)
    low, high = report.truth_ranges
    assert [(part.name, part.n) for part in (low, high)] == [
        ("einstein_radius 1 to 1.25", 59),
        ("einstein_radius 1.75 to 2", 61),
    ]
    # a network that was never trained says the same of all, so that the bias falls as the truth rises
    fall = low.metrics["bias_einstein_radius"].value - high.metrics["bias_einstein_radius"].value
    assert fall == pytest.approx(0.75, abs=0.05)
    assert EvaluationReport.load(tmp_path / "metrics.json") == report


@pytest.mark.parametrize("task", ["classification", "regression", "anomaly_detection", "masked_image_modeling"])
def test_answers_that_are_no_numbers_are_refused(
    task: str, make_dataset: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"regression": ("einstein_radius",), "anomaly_detection": ("no_sub",)}.get(task, ("no_sub", "cdm", "axion"))
    config = build_config(
        "deeplense-swin-test",
        image_size=32,
        task=task,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
        anomaly_score="reconstruction",
    )
    model = auto_class_of(config).from_config(config)
    if task == "anomaly_detection":
        model.normal.fit_scores(torch.tensor([0.0, 1.0]))
    answers = Predictor.answers

    def broken(self: Predictor, *arguments: Any) -> dict[str, np.ndarray]:
        found = {name: part.copy() for name, part in answers(self, *arguments).items()}
        for part in found.values():
            part[[4, 7, 9, 11, 20, 21]] = np.nan
        return found

    monkeypatch.setattr(Predictor, "answers", broken)
    dataset = make_dataset(labels=[-1] + [index % 3 for index in range(29)])
    if "einstein_radius" in names:
        radii = [None, *np.linspace(1, 2, 29)]
        dataset = dataset.remove_columns("einstein_radius").add_column("einstein_radius", radii)
    first = 4 if task == "masked_image_modeling" else 5
    sentence = rf"for 6 of \d+ images of 'random', split test are not finite \(rows {first}, .*, \.\.\.\); remove"
    with pytest.raises(ValueError, match=sentence):
        evaluate_model(model, DeepLenseImageProcessor(size=32), dataset, output_dir=tmp_path, **NAMES)
    assert not list(tmp_path.iterdir())


def test_absent_class(make_model: Callable, make_dataset: Callable, tmp_path: Path) -> None:
    model, processor = make_model()
    report = evaluate_model(
        model, processor, make_dataset(labels=[i % 2 for i in range(30)]), output_dir=tmp_path,
        bootstrap_samples=10, **NAMES,
    )  # fmt: skip
    assert report.metrics["roc_auc_axion"].value is None
    assert report.metrics["roc_auc"].value is not None
    assert "undefined" in report.table()


def test_mismatches_are_refused_before_any_work(
    make_model: Callable, make_dataset: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor = make_model()
    monkeypatch.setattr(Predictor, "answers", lambda *_: pytest.fail("work was done"))
    with pytest.raises(ValueError, match="label mismatch: the data has images of 'lens', 'non_lens', but the model"):
        evaluate_model(model, processor, make_dataset(class_names=("lens", "non_lens")), output_dir=tmp_path, **NAMES)
    with pytest.raises(ValueError, match="has 3 bands, but the model takes 1 band"):
        evaluate_model(model, processor, make_dataset(bands=3), output_dir=tmp_path, **NAMES)
    with pytest.raises(ValueError, match="no column 'label'"):
        evaluate_model(model, processor, make_dataset().remove_columns("label"), output_dir=tmp_path, **NAMES)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def dataset_folder(make_dataset: Callable, tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    (folder / "data").mkdir(parents=True)
    make_dataset().to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    (folder / "README.md").write_text(
        # the description keeps `datasets` from serving another folder's cache
        f"---\nconfigs:\n- config_name: default\n  description: {folder}\n"
        "  data_files:\n  - split: test\n    path: data/test-*\n---\n"
    )
    return folder


def test_command(model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "results"
    options = EvaluateOptions(
        model=str(model_folder),
        dataset=str(dataset_folder),
        output_dir=str(output),
        bootstrap_samples=10,
        device="cpu",
    )
    evaluate(options)
    printed = capsys.readouterr().out
    report = EvaluationReport.load(output / "metrics.json")
    assert report.table() in printed
    assert str(output / "metrics.json") in printed
    with pytest.raises(ValueError, match="has no split 'validation'; its splits are test"):
        evaluate(EvaluateOptions(**{**vars(options), "split": "validation"}))
    with pytest.raises(ValueError, match="is a file; give a folder"):
        evaluate(EvaluateOptions(**{**vars(options), "output_dir": str(model_folder / "config.json")}))
    assert EvaluationReport.load(output / "metrics.json") == report


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"bootstrap_samples": -1}, "bootstrap_samples=-1"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_options_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluateOptions(model="m", dataset="d", output_dir="o", **change)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_equal_one(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from deeplense_hf.evaluation.run import EvaluateOptions, evaluate\n"
        "evaluate(EvaluateOptions(model=sys.argv[1], dataset=sys.argv[2], output_dir=sys.argv[3],\n"
        "                         device='cpu', batch_size=4, bootstrap_samples=10))\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "hf")}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = subprocess.run(
        [*launcher, str(program), str(model_folder), str(dataset_folder), str(tmp_path / "two")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("ROC AUC, macro") == 1, "one table, from the main process"
    evaluate(
        EvaluateOptions(
            model=str(model_folder), dataset=str(dataset_folder), output_dir=str(tmp_path / "one"),
            device="cpu", batch_size=7, bootstrap_samples=10,
        )
    )  # fmt: skip
    one, two = (EvaluationReport.load(tmp_path / name / "metrics.json") for name in ("one", "two"))
    assert_same_report(two, one)
