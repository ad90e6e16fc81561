"""From files to a table: every image once, whatever happens on the way."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from astropy.io import fits
from datasets import Dataset
from transformers import AutoModelForImageClassification

import deeplense_hf
from deeplense_hf import cli
from deeplense_hf.data import staging
from deeplense_hf.data.schema import features
from deeplense_hf.inference.predict import PredictOptions, predict
from deeplense_hf.inference.prediction_store import PredictionStore
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.inference.sources import ImageFile
from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.models.presets import build_config

Rows = list[dict[str, Any]]


@pytest.fixture
def run(save_model: Callable, image_folder: Path, tmp_path: Path) -> Callable[..., Rows]:
    """Return a function that runs the command and reads the table."""
    model = save_model()

    def classify(**changes: Any) -> Rows:
        options = {
            "model": [str(model)],
            "input": [str(image_folder)],
            "output": str(tmp_path / "table.parquet"),
            "device": "cpu",
            **changes,
        }
        predict(PredictOptions(**options))
        return pq.read_table(options["output"]).to_pylist() if options["output"].endswith("parquet") else []

    return classify


def assert_same_rows(found: Rows, expected: Rows) -> None:
    """Compare tables up to the last bits of a probability."""
    assert len(found) == len(expected)
    for row, other in zip(found, expected, strict=True):
        assert row == pytest.approx(other, abs=1e-6)


def test_one_row_per_image(run: Callable, image_folder: Path, tmp_path: Path) -> None:
    rows = run()
    names = ["deeper/stack_0.npy"] * 7 + ["deeper/stack_1.npy"] * 7 + [f"image_{i}.npy" for i in range(10)]
    assert [row["path"] for row in rows] == [str(image_folder / name) for name in names]
    assert [row["index"] for row in rows] == [*range(7), *range(7), *([0] * 10)]
    columns = [
        "path",
        "index",
        "predicted_class",
        "probability_no_sub",
        "probability_cdm",
        "probability_axion",
        "error",
    ]
    assert list(rows[0]) == columns
    for row in rows:
        probabilities = {name: row[f"probability_{name}"] for name in ("no_sub", "cdm", "axion")}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-6)
        assert row["predicted_class"] == max(probabilities, key=probabilities.__getitem__)
        assert row["error"] is None
    assert not [path for path in tmp_path.iterdir() if path.name not in ("table.parquet", "images", "model")]
    about = json.loads(pq.read_schema(tmp_path / "table.parquet").metadata[b"deeplense_hf"])
    assert about["model name"] == str(tmp_path / "model")
    assert about["version of deeplense_hf"] == deeplense_hf.__version__


def test_same_rows_whatever_the_batch_and_part(run: Callable, tmp_path: Path) -> None:
    expected = run()
    for size, part in ((1, 1), (5, 6), (64, 3)):
        found = run(batch_size=size, rows_per_part=part, output=str(tmp_path / f"{size}.parquet"))
        assert_same_rows(found, expected)


def test_csv_holds_the_same(run: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = run()
    path = tmp_path / "table.csv"
    run(output=str(path))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    assert [row["predicted_class"] for row in rows] == [row["predicted_class"] for row in expected]
    found = [float(row["probability_cdm"]) for row in rows]
    assert found == pytest.approx([row["probability_cdm"] for row in expected], abs=1e-6)
    capsys.readouterr()
    run(output=str(path))
    assert "nothing to do" in capsys.readouterr().out


def test_answers_that_are_no_numbers_are_told_not_given(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Predictor.answers

    def broken(self: Predictor, images: np.ndarray, *scales: Any) -> dict[str, np.ndarray]:
        found = {name: part.copy() for name, part in answers(self, images, *scales).items()}
        for part in found.values():
            part[2:4] = [[np.nan], [np.inf]]
        return found

    monkeypatch.setattr(Predictor, "answers", broken)
    rows = run()
    told = [row["error"] == "the model's answer is not a number." for row in rows]
    assert [number for number, row in enumerate(rows) if row["error"]] == np.flatnonzero(told).tolist()
    assert sum(told) == 4, "two of each size"
    assert all((row["predicted_class"] is None) is bad for row, bad in zip(rows, told, strict=True))


def test_no_name_of_a_file_is_a_formula_in_a_csv(
    run: Callable, tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(image_folder)
    Path("image_0.npy").rename("=1+1.npy")
    Path("@broken.npy").write_bytes(b"nothing")
    run(input=["=1+1.npy", "@broken.npy"], output=str(tmp_path / "table.csv"))
    with (tmp_path / "table.csv").open(newline="") as file:
        good, bad = csv.DictReader(file)
    assert good["path"] == "./=1+1.npy"
    assert Path(good["path"]).is_file()
    assert bad["error"].startswith("./@broken.npy")


def test_unreadable_files_get_a_row_with_the_reason(run: Callable, image_folder: Path) -> None:
    (image_folder / "broken.npy").write_bytes(b"\x93NUMPY")
    (image_folder / "empty.npy").write_bytes(b"")
    np.save(image_folder / "three_bands.npy", np.random.default_rng(3).normal(size=(1, 3, 32, 32)))
    rows = {Path(row["path"]).name: row for row in run()}
    for name in ("broken.npy", "empty.npy"):
        assert name in rows[name]["error"]
        assert rows[name]["predicted_class"] is None
        assert rows[name]["probability_cdm"] is None
    assert "has 3 bands, but the model takes 1 band; choose bands with --bands" in rows["three_bands.npy"]["error"]
    assert rows["image_3.npy"]["error"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name of a file is Unicode")
def test_names_that_are_no_text_get_rows_too(run: Callable, tmp_path: Path, image_folder: Path) -> None:
    (image_folder / "image_0.npy").rename(image_folder / os.fsdecode(b"bad\xff.npy"))
    (image_folder / os.fsdecode(b"broken\xfe.npy")).write_bytes(b"nothing")
    rows = {Path(row["path"]).name: row for row in run()}
    assert len(rows) == 13
    assert rows["bad\\xff.npy"]["error"] is None
    assert rows["broken\\xfe.npy"]["error"].startswith("broken\\xfe.npy")
    run(output=str(tmp_path / "table.csv"))
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        assert {Path(row["path"]).name for row in csv.DictReader(file)} == set(rows)


def test_bands_are_selected(run: Callable, tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(size=(1, 3, 32, 32))
    np.save(tmp_path / "three.npy", image)
    np.save(tmp_path / "second.npy", image[:, 1:2])
    (selected,) = run(input=[str(tmp_path / "three.npy")], bands=[1], output=str(tmp_path / "a.parquet"))
    (alone,) = run(input=[str(tmp_path / "second.npy")], output=str(tmp_path / "b.parquet"))
    assert selected["probability_cdm"] == pytest.approx(alone["probability_cdm"], abs=1e-6)
    with pytest.raises(ValueError, match=r"three\.npy has 3 bands, but band 5 is asked for, .*; choose among 0 to 2"):
        run(input=[str(tmp_path / "three.npy")], bands=[5], output=str(tmp_path / "c.parquet"))


def test_one_refused_image_does_not_spoil_its_batch(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run()
    ask = Predictor.answers
    calls = iter(range(10**6))

    def picky(self: Predictor, images: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
        if np.any(np.isclose(images[:, 0, 0, 0], bad)):
            raise ValueError("the processor refuses it.")
        next(calls)
        return ask(self, images, scale)

    bad = np.load(expected[-1]["path"])[0, 0]
    monkeypatch.setattr(Predictor, "answers", picky)
    rows = run(output=expected[0]["path"] + ".parquet")
    assert [row["error"] for row in rows[:-1]] == [None] * (len(rows) - 1)
    assert rows[-1]["error"] == "the processor refuses it."


def test_a_fits_of_an_impossible_pixel_scale_does_not_stop_the_others(run: Callable, make_model: Callable) -> None:
    folder = Path(run()[-1]["path"]).parent
    model, processor = make_model(seed=0)
    processor.target_pixel_scale = 0.05
    for part in (model, processor):
        part.save_pretrained(folder.parent / "scaling")
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.1, "CDELT2": 0.1})
    fits.PrimaryHDU(np.random.default_rng(0).normal(size=(60, 60)), header).writeto(folder / "degrees.fits")
    rows = run(model=[str(folder.parent / "scaling")], pixel_scale=0.05, output=str(folder.parent / "scaled.parquet"))
    errors = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert list(errors) == ["degrees.fits"]
    assert errors["degrees.fits"].startswith("pixel_scale=360 would make an image of 60 x 60 pixels one of 4.32e+05 x")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nAnd so on."), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "there is not enough memory (DefaultCPUAllocator"),
        (MemoryError(), "there is not enough memory (MemoryError); use smaller images"),
        (RuntimeError("shapes cannot be multiplied\nthere"), "the computation failed (shapes cannot be multiplied)."),
    ],
)
def test_what_the_machine_cannot_do_is_the_row_of_one_image(
    failure: Exception, said: str, run: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = Predictor.answers

    def small_machine(self: Predictor, images: np.ndarray, scale: np.ndarray | None = None) -> Any:
        if len(images) > 1 or images.shape[-1] == 40:
            raise failure
        return ask(self, images, scale)

    monkeypatch.setattr(Predictor, "answers", small_machine)
    rows = run()
    assert [row["error"] is None for row in rows] == [False] * 14 + [True] * 10
    assert said in rows[0]["error"]
    assert "\n" not in rows[0]["error"]
    monkeypatch.setattr(cli, "_run", lambda *words: (_ for _ in ()).throw(failure))
    assert cli.main(["predict"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {rows[0]['error']} Set DEEPLENSE_HF_TRACE=1")


def test_nothing_is_asked_of_an_accelerator_that_failed(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Predictor, images: np.ndarray, scale: np.ndarray | None = None) -> Any:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(Predictor, "answers", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        run()


def test_sizes_that_an_equivariant_model_refuses_get_a_row_with_the_reason(tmp_path: Path) -> None:
    config = build_config(
        "deeplense-swin-test", stem="equivariant", symmetry="equivariant", window_size=8, image_size=32
    )
    AutoModelForImageClassification.from_config(config).save_pretrained(tmp_path / "model")
    DeepLenseImageProcessor().save_pretrained(tmp_path / "model")
    (tmp_path / "images").mkdir()
    for side in (24, 28, 32, 40):
        np.save(tmp_path / "images" / f"{side}.npy", np.random.default_rng(0).normal(size=(side, side)))
    output = tmp_path / "table.parquet"
    predict(PredictOptions([str(tmp_path / "model")], [str(tmp_path / "images")], str(output), device="cpu"))
    errors = [row["error"] for row in pq.read_table(output).to_pylist()]
    assert (errors[0], errors[2]) == (None, None)
    assert "multiple of 8 pixels and at most 32 (one window), not 28x28" in errors[1]
    assert "not 40x40" in errors[3]


def test_pixel_scale_fills_in(run: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[np.ndarray | None] = []
    ask = Predictor.answers

    def spy(self: Predictor, images: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
        seen.append(scale)
        return ask(self, images, None)

    monkeypatch.setattr(Predictor, "answers", spy)
    run()
    assert all(scale is None for scale in seen)
    seen.clear()
    run(pixel_scale=0.08, output=str(tmp_path / "scaled.parquet"))
    assert all(scale == pytest.approx(0.08) for scale in seen)


def test_images_unlike_those_of_the_training_are_doubted_once(
    run: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "learnt_pixel_scale": 0.05}))
    run(pixel_scale=0.05)
    assert not caplog.records
    run(pixel_scale=0.08, output=str(tmp_path / "scaled.parquet"))
    (record,) = caplog.records
    assert "stack_0.npy, and maybe others: the image has 0.08 arcsec per pixel, but the model" in record.getMessage()


def built_data_set(folder: Path, images: np.ndarray) -> Path:
    """Write a data set of five systems, two of which came from files."""
    (folder / "data").mkdir(parents=True)
    declared = features(("no_sub", "cdm", "axion"), 1, 32, 32)
    columns: dict[str, list[Any]] = {name: [None] * 5 for name in declared}
    columns |= {
        "image": list(images),
        "label": [0, 1, 2, 0, 1],
        "system_id": [f"system-{i}" for i in range(5)],
    }
    columns |= {"source_file": ["a.npy", "b.npz#3", None, None, None]}
    Dataset.from_dict(columns, features=declared).to_parquet(folder / "data" / "test-00000-of-00001.parquet")
    (folder / "README.md").write_text(
        # the description keeps `datasets` from serving another folder's cache
        f"---\nconfigs:\n- config_name: default\n  description: {folder}\n"
        "  data_files:\n  - split: test\n    path: data/test-*\n---\n"
    )
    return folder


def test_built_data_set(run: Callable, tmp_path: Path) -> None:
    images = np.random.default_rng(2).normal(size=(5, 1, 32, 32)).astype(np.float32)
    folder = built_data_set(tmp_path / "five_systems", images)
    rows = run(input=[str(folder)])
    expected = ["test/a.npy", "test/b.npz#3", "test/system-2", "test/system-3", "test/system-4"]
    assert [row["path"] for row in rows] == expected
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4]
    for index, image in enumerate(images):
        np.save(tmp_path / f"{index}.npy", image)
    files = run(input=[str(tmp_path / f"{i}.npy") for i in range(5)], output=str(tmp_path / "f.parquet"))
    assert [row["probability_cdm"] for row in rows] == pytest.approx(
        [row["probability_cdm"] for row in files], abs=1e-6
    )
    other = built_data_set(tmp_path / "other", images + 1)
    both = run(input=[str(folder), str(other), f"{folder}/"], output=str(tmp_path / "both.parquet"))
    assert [row["path"] for row in both] == [f"{place}/{path}" for place in (folder, other) for path in expected]


KILLED_RUN = """
import sys, time
from deeplense_hf.inference.predict import PredictOptions, predict
from deeplense_hf.inference.predictor import Predictor
ask, calls = Predictor.answers, []
def hang_in_the_middle(self, images, scale=None):
    calls.append(1)
    if len(calls) == 6:
        print("hanging", flush=True)
        time.sleep(600)
    return ask(self, images, scale)
Predictor.answers = hang_in_the_middle
predict(PredictOptions(model=[sys.argv[1]], input=[sys.argv[2]], output=sys.argv[3], device="cpu",
                       batch_size=2, rows_per_part=4))
"""


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_killed_run_goes_on(
    run: Callable,
    save_model: Callable,
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
) -> None:
    expected = run(output=str(tmp_path / "expected.parquet"))
    output = tmp_path / f"table.{ending}"
    model = save_model()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN, str(model), str(image_folder), str(output)],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "hanging"
    with pytest.raises(ValueError, match="another run is writing"):
        run(output=str(output))
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=30)
    child.stdout.close()
    assert not output.exists()
    parts = tmp_path / f"table.{ending}.parts"
    assert len(list(parts.glob("part-*.parquet"))) == 2, "8 of 24 rows are safe"

    read: list[str] = []
    original = ImageFile.read
    monkeypatch.setattr(ImageFile, "read", lambda unit: read.append(unit.path.name) or original(unit))
    with pytest.raises(ValueError, match="was begun with a different choice of model; choose another"):
        run(output=str(output), model=[str(save_model("other", seed=1))])
    with pytest.raises(ValueError, match="was begun with a different choice of bands, pixel_scale"):
        run(output=str(output), bands=[0], pixel_scale=0.1)
    run(output=str(output), batch_size=3)
    assert read[0] == "stack_1.npy", "the file in which it was killed"
    assert "stack_0.npy" not in read
    assert not parts.exists()
    if ending == "parquet":
        assert_same_rows(pq.read_table(output).to_pylist(), expected)
    else:
        with output.open(newline="") as file:
            rows = [(row["path"], int(row["index"]), row["predicted_class"]) for row in csv.DictReader(file)]
        assert rows == [(row["path"], row["index"], row["predicted_class"]) for row in expected]


def test_full_disk_keeps_the_parts(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(output=str(tmp_path / "expected.parquet"))
    synchronise, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        synchronise(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(staging.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            run(batch_size=4, rows_per_part=4)
    assert not (tmp_path / "table.parquet").exists()
    assert_same_rows(run(), expected)


def test_kill_between_the_last_two_steps(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(PredictionStore, "discard", lambda store: None)
        expected = run()
    assert (tmp_path / "table.parquet.parts").exists()
    assert run() == expected
    assert not (tmp_path / "table.parquet.parts").exists()


def test_finished_table_is_reused_or_left_alone(
    run: Callable,
    save_model: Callable,
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "table.parquet"
    run()
    content, changed = table.read_bytes(), table.stat().st_mtime_ns
    capsys.readouterr()
    run(batch_size=2)
    assert "is complete already" in capsys.readouterr().out
    with pytest.raises(ValueError, match="is there already with a different choice of model"):
        run(model=[str(save_model("other", seed=1))])
    np.save(image_folder / "new.npy", np.zeros((32, 32)))
    with pytest.raises(ValueError, match="is there already with a different choice of input"):
        run()
    assert not list(tmp_path.glob("*.lock"))
    assert (table.read_bytes(), table.stat().st_mtime_ns) == (content, changed)
    (tmp_path / "notes.csv").write_text("mine")
    with pytest.raises(ValueError, match="was not written by predict"):
        run(output=str(tmp_path / "notes.csv"))
    (tmp_path / "notes.parquet").write_text("mine")
    with pytest.raises(ValueError, match="was not written by predict"):
        run(output=str(tmp_path / "notes.parquet"))
    assert (tmp_path / "notes.parquet").read_text() == "mine"


@pytest.mark.parametrize("content", ["[1]", "hello", "{}", '{"model": "mine"}'])
def test_a_file_where_a_csv_table_notes_its_identity_is_left_alone(content: str, run: Callable, tmp_path: Path) -> None:
    table, companion = tmp_path / "table.csv", tmp_path / "table.csv.json"
    companion.write_text(content)
    with pytest.raises(ValueError, match=r"table\.csv\.json, where predict notes .* was not written by predict"):
        run(output=str(table))
    assert not list(tmp_path.glob("table.csv*.parts"))
    table.write_text("mine")
    with pytest.raises(
        ValueError, match=r"table\.csv is there already (and was not written by|with a different choice)"
    ):
        run(output=str(table))
    assert (table.read_text(), companion.read_text()) == ("mine", content)


def test_the_note_of_a_deleted_table_is_in_nobodys_way(run: Callable, save_model: Callable, tmp_path: Path) -> None:
    table, companion = tmp_path / "table.csv", tmp_path / "table.csv.json"
    run(output=str(table))
    table.unlink()
    earlier = json.loads(companion.read_text())
    run(output=str(table), model=[str(save_model("other", seed=1))])
    assert json.loads(companion.read_text())["model"] != earlier["model"]


def test_nothing_to_classify(run: Callable, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    with pytest.raises(ValueError, match="bad"):
        run(input=[str(bad)])
    (bad / "a.npy").write_bytes(b"not an array")
    (bad / "b.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 2 images could be used; the first one: .*a\.npy"):
        run(input=[str(bad)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "images", "model"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(input=[str(tmp_path / "nowhere")])
    with pytest.raises(ValueError, match="no input"):
        run(input=[])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": "table.txt"}, r"\.parquet or \.csv"),
        ({"output": "."}, "is a folder"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"rows_per_part": 0}, "rows_per_part=0"),
        ({"bands": [-1]}, "negative"),
        ({"pixel_scale": 0.0}, "pixel_scale=0.0"),
        ({"pixel_scale": float("nan")}, "pixel_scale=nan"),
    ],
)
def test_bad_options_are_refused(run: Callable, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(**change)


def test_parts_are_written_in_time(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow model does not risk more than half a minute of work."""
    clock = iter(range(0, 10**6, 31))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    parts = []
    append = PredictionStore.append
    monkeypatch.setattr(
        PredictionStore,
        "append",
        lambda store, rows, after: parts.append(len(rows)) or append(store, rows, after),
    )
    run(batch_size=8)
    assert parts == [8, 8, 8]
