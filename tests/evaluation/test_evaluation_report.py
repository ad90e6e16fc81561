"""The report: strict JSON, atomic files, a table."""

import dataclasses
import json
from pathlib import Path

import pytest

from deeplense_hf.data import staging
from deeplense_hf.evaluation.report import EvaluationReport, Measurement, PartScores

NAMES = ("no_sub", "cdm", "axion")


@pytest.fixture
def report() -> EvaluationReport:
    values = {"roc_auc": 0.95, "accuracy": 0.9, "average_precision": 0.9, "expected_calibration_error": 0.03}
    metrics = {name: Measurement(value, value - 0.02, value + 0.02) for name, value in values.items()}
    metrics |= {"roc_auc_no_sub": Measurement(1.0, 1.0, 1.0), "roc_auc_cdm": Measurement(0.9, 0.88, 0.92)}
    return EvaluationReport(
        task="classification",
        model="runs/model",
        model_fingerprint="0123",
        dataset="model_1",
        dataset_fingerprint="4567",
        split="test",
        n=20,
        n_systems=10,
        n_left_out=2,
        class_names=NAMES,
        class_counts={"no_sub": 10, "cdm": 10, "axion": 0},
        metrics={**metrics, "roc_auc_axion": Measurement(None)},
        morphologies=(PartScores("ring", 60, {"roc_auc": Measurement(0.97, 0.9, 1.0)}),),
        confusion_matrix=((9, 1, 0), (1, 9, 0), (0, 0, 0)),
        report_rows=(("ROC AUC, macro", "roc_auc"), ("ROC AUC, axion", "roc_auc_axion")),
        bootstrap_samples=100,
        seed=0,
        library_versions={"torch": "2"},
    )


def test_round_trip(report: EvaluationReport, tmp_path: Path) -> None:
    assert EvaluationReport.from_json(report.to_json()) == report
    report.save(tmp_path / "new" / "metrics.json")
    assert EvaluationReport.load(tmp_path / "new" / "metrics.json") == report
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, r"unknown keys \['colour'\]"),
        ({"n": "20"}, "'n' is '20'"),
        ({"n": True}, "'n' is True"),
        ({"n": 19}, "n=19 is less than the sum"),
        ({"report_rows": [["title", "nothing"]]}, "names the score 'nothing'"),
        ({"metrics": {"roc_auc": {"value": 0.9}}}, r"lacks the keys \['high', 'low'\]"),
        ({"metrics": {"roc_auc": 0.9}}, "'metrics' is"),
        ({"morphologies": [{"name": "ring"}]}, r"a morphology .* lacks the keys"),
        ({"confusion_matrix": [[20]]}, "3 x 3"),
        ({"confusion_matrix": [[9.5, 1, 0], [1, 9, 0], [0, 0, 0]]}, "'confusion_matrix' is"),
        ({"class_counts": {"no_sub": 20}}, "class_counts names"),
        ({"class_counts": {"no_sub": 5, "cdm": 15, "axion": 0}}, "sum over the rows"),
    ],
)
def test_bad_json_is_refused(report: EvaluationReport, change: dict, message: str) -> None:
    values = {**json.loads(report.to_json()), **change}
    with pytest.raises(ValueError, match=message):
        EvaluationReport.from_json(json.dumps(values))


def test_missing_key_and_no_json_are_refused(report: EvaluationReport, tmp_path: Path) -> None:
    values = json.loads(report.to_json())
    del values["seed"]
    with pytest.raises(ValueError, match=r"lacks the keys \['seed'\]"):
        EvaluationReport.from_json(json.dumps(values))
    path = tmp_path / "metrics.json"
    path.write_text(report.to_json()[:100], encoding="utf-8")
    with pytest.raises(ValueError, match=r"metrics\.json: an evaluation report must be JSON"):
        EvaluationReport.load(path)
    with pytest.raises(FileNotFoundError, match="there is no evaluation report"):
        EvaluationReport.load(tmp_path / "nothing.json")


def test_full_disk_leaves_the_old_file(
    report: EvaluationReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.json"
    report.save(path)

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(staging.os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        dataclasses.replace(report, seed=1).save(path)
    assert EvaluationReport.load(path) == report
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.json"]


def test_table(report: EvaluationReport) -> None:
    lines = report.table().splitlines()
    assert lines[0] == (
        "model_1, split test: 20 images of 10 systems (no_sub 10, cdm 10); 2 images without truth left out"
    )
    assert "ROC AUC, macro  0.9500   0.9300 - 0.9700" in lines
    assert any(line.startswith("ROC AUC, axion") and "undefined" in line for line in lines)
    without = dataclasses.replace(report, bootstrap_samples=0, metrics={k: Measurement(0.5) for k in report.metrics})
    assert "interval" not in without.table()
