"""The command `import`, end to end: what is kept, what is reported, what is refused."""

import errno
import io
import json
import os
import pickle
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import DatasetDict, load_dataset

from deeplense_hf.cli import main
from deeplense_hf.data.importing import parse_aliases

Images = Callable[..., np.ndarray]


def import_files(source: Path, folder: Path, *words: str) -> int:
    return main(["import", "--source", str(source), "--output_dir", str(folder), *words])


def report_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "import_report.json").read_text())
    return content


def rows_of(splits: DatasetDict) -> dict[str, dict[str, Any]]:
    return {row["source_file"]: {**row, "split": name} for name, split in splits.items() for row in split}


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, image)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.split("\n")
    errors = [line.rpartition("\r")[2] for line in lines if "error: " in line]
    assert len(errors) == 1
    return errors[0]


def test_class_folders_become_a_split_data_set(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    assert import_files(class_folders, folder, "--pixel_scale", "0.05", "--instrument", "Euclid") == 0
    assert "train: 10 no_sub, 10 cdm, 10 axion" in capsys.readouterr().out
    splits = load_dataset(str(folder))
    assert {name: np.bincount(split["label"][:]).tolist() for name, split in splits.items()} == {
        "train": [10, 10, 10],
        "validation": [1, 1, 1],
        "test": [1, 1, 1],
    }
    assert splits["train"].features["label"].names == ["no_sub", "cdm", "axion"]
    assert splits["train"]["label"][:] != sorted(splits["train"]["label"][:])
    rows = rows_of(splits)
    assert len(rows) == 36
    for name, row in rows.items():
        array = np.load(class_folders / name, allow_pickle=True)
        expected = (array[0] if array.dtype == object else array).astype(np.float32)
        assert np.array_equal(np.array(row["image"], np.float32), expected[None])
        mass = row["log10_axion_mass_ev"]
        assert mass == (pytest.approx(-23) if name.startswith("vort") else None)
        assert (row["pixel_scale"], row["instrument"]) == (pytest.approx(0.05), "Euclid")
    assert (folder / "README.md").read_text().count("36 images were imported and 0 files or images left out") == 1
    assert report_of(folder)["rejected"] == []
    systems = [set(split["system_id"]) for split in splits.values()]
    assert len(set.union(*systems)) == sum(map(len, systems)) == 36


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name of a file is Unicode")
def test_names_that_are_no_text_are_imported_too(class_folders: Path, tmp_path: Path) -> None:
    source = class_folders.rename(tmp_path / os.fsdecode(b"lenses\xff"))
    (source / "no" / "0.npy").rename(source / "no" / os.fsdecode(b"bad\xff.npy"))
    (source / "no" / os.fsdecode(b"empty\xfe.npy")).touch()
    assert import_files(source, tmp_path / "set") == 0
    assert "no/bad\\xff.npy" in rows_of(load_dataset(str(tmp_path / "set")))
    rejected = {"file": "no/empty\\xfe.npy", "reason": "empty\\xfe.npy is empty."}
    assert report_of(tmp_path / "set")["rejected"] == [rejected]
    assert "lenses\\xff, imported" in (tmp_path / "set" / "README.md").read_text()


def test_bad_files_are_reported_and_the_rest_is_imported(
    class_folders: Path, tmp_path: Path, make_images: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"

    class Hostile:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {mark}",)

    array = np.empty(2, dtype=object)
    array[:] = [make_images(16, 16), Hostile()]
    np.save(class_folders / "vort" / "hostile.npy", array, allow_pickle=True)
    whole = (class_folders / "no" / "0.npy").read_bytes()
    (class_folders / "no" / "cut.npy").write_bytes(whole[:500])
    (class_folders / "no" / "empty.npy").touch()
    (class_folders / "no" / "picture.png").write_bytes(b"no picture")
    save(class_folders / "sphere" / "nan.npy", np.full((16, 16), np.nan))
    save(class_folders / "sphere" / "wide.npy", make_images(16, 20))
    stack = make_images(18, 16, 16, seed=9)
    stack[7] = np.inf
    save(class_folders / "sphere" / "stack.npy", stack)
    save(class_folders / "stray.npy", make_images(16, 16, seed=10))
    assert import_files(class_folders, tmp_path / "set") == 0
    assert not mark.exists()
    report = report_of(tmp_path / "set")
    reasons = {entry["file"]: entry["reason"] for entry in report["rejected"]}
    assert report["imported"] == 36 + 17
    assert report["rejected_count"] == len(reasons) == 8
    assert "is refused: its pickle asks for 'posix.system'" in reasons["vort/hostile.npy"]
    assert "is cut off" in reasons["no/cut.npy"]
    assert reasons["no/empty.npy"] == "empty.npy is empty."
    assert "cannot be read as a complete png file" in reasons["no/picture.png"]
    assert "256 of 256 pixels are NaN" in reasons["sphere/nan.npy"]
    assert "(1, 16, 20) differs from the commonest, (1, 16, 16)" in reasons["sphere/wide.npy"]
    assert reasons["sphere/stack.npy#7"] == "stack.npy#7: 256 of 256 pixels are NaN or infinite."
    assert reasons["stray.npy"] == "it lies in no class folder, while others do."
    output = capsys.readouterr().out
    assert "left out: 8 (all in import_report.json)" in output
    assert "vort/hostile.npy: " in output


def test_splits_of_folders_are_kept(tmp_path: Path, make_images: Images) -> None:
    source = tmp_path / "finding"
    for seed, name in enumerate(("train_lenses", "train_nonlenses", "val_lenses", "test_lenses", "test_nonlenses")):
        for row, image in enumerate(make_images(3, 3, 16, 16, seed=seed)):
            save(source / name / f"{row}.npy", image)
    assert import_files(source, tmp_path / "set") == 0
    splits = load_dataset(str(tmp_path / "set"))
    assert splits["train"].features["label"].names == ["non_lens", "lens"]
    for name, row in rows_of(splits).items():
        assert row["split"] == {"tr": "train", "va": "validation", "te": "test"}[name[:2]]
        assert row["label"] == int("_lenses" in name)
    assert {name: len(split) for name, split in splits.items()} == {"train": 6, "validation": 3, "test": 6}


def test_a_data_set_does_not_say_where_its_source_lay(class_folders: Path, tmp_path: Path) -> None:
    assert import_files(class_folders, tmp_path / "set") == 0
    assert report_of(tmp_path / "set")["source"] == class_folders.name
    for path in (tmp_path / "set").rglob("*"):
        assert path.is_dir() or str(class_folders.parent).encode() not in path.read_bytes()


def test_the_source_itself_may_name_the_split(class_folders: Path, tmp_path: Path) -> None:
    source = class_folders.rename(tmp_path / "Model_I_test")
    assert import_files(source, tmp_path / "set") == 0
    assert list(load_dataset(str(tmp_path / "set"))) == ["test"]


def test_an_image_lies_in_one_split_and_one_class_only(tmp_path: Path, make_images: Images) -> None:
    source = tmp_path / "source"
    images = make_images(10, 16, 16)
    for row in range(4):
        save(source / "train" / "no" / f"{row}.npy", images[row])
        save(source / "train" / "cdm" / f"{row}.npy", images[row + 4])
    save(source / "test" / "no" / "copy.npy", images[0])
    save(source / "train" / "no" / "twin.npy", images[1])
    save(source / "train" / "cdm" / "contradiction.npy", images[2])
    assert import_files(source, tmp_path / "set") == 0
    rows = rows_of(load_dataset(str(tmp_path / "set")))
    reasons = {entry["file"]: entry["reason"] for entry in report_of(tmp_path / "set")["rejected"]}
    assert reasons == {
        "train/no/0.npy": "the same image as test/no/copy.npy, which is held out.",
        "train/no/2.npy": "the same image lies in the classes cdm, no_sub.",
        "train/cdm/contradiction.npy": "the same image lies in the classes cdm, no_sub.",
    }
    assert rows["train/no/1.npy"]["system_id"] == rows["train/no/twin.npy"]["system_id"]
    assert rows["test/no/copy.npy"]["split"] == "test"


def test_copies_stay_in_one_split(tmp_path: Path, make_images: Images) -> None:
    for row, image in enumerate(make_images(30, 16, 16)):
        save(tmp_path / "source" / "no" / f"{row}.npy", image)
        save(tmp_path / "source" / "no" / f"{row}-copy.npy", image)
    assert import_files(tmp_path / "source", tmp_path / "set") == 0
    systems = [set(split["system_id"]) for split in load_dataset(str(tmp_path / "set")).values()]
    assert [len(one) for one in systems] == [24, 3, 3]
    assert len(set.union(*systems)) == 30


def test_files_without_class_folders_are_unlabelled(tmp_path: Path, make_images: Images) -> None:
    for row, image in enumerate(make_images(5, 16, 16)):
        save(tmp_path / "Samples" / f"{row}.npy", image)
    assert import_files(tmp_path / "Samples", tmp_path / "set") == 0
    splits = load_dataset(str(tmp_path / "set"))
    assert {label for split in splits.values() for label in split["label"]} == {-1}
    assert sum(map(len, splits.values())) == 5


def test_unknown_class_folders_need_a_word(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (class_folders / "sphere").rename(class_folders / "bubbles")
    assert import_files(class_folders, tmp_path / "set") == 1
    error = error_of(capsys)
    assert "the folder 'bubbles' names no known class; known are no_sub (no, nosub, ...), cdm" in error
    assert "--aliases bubbles=no_sub" in error
    assert import_files(class_folders, tmp_path / "set", "--aliases", "bubbles=sphere") == 0
    assert report_of(tmp_path / "set")["splits"]["train"] == {"no_sub": 10, "cdm": 10, "axion": 10}
    assert import_files(class_folders, tmp_path / "plain", "--unlabelled") == 0
    assert list(report_of(tmp_path / "plain")["splits"]["train"]) == [""]


def test_folders_that_look_like_classes_are_not_ignored(
    tmp_path: Path, make_images: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("apples", "pears")):
        save(tmp_path / "source" / name / "0.npy", make_images(16, 16, seed=seed))
    assert import_files(tmp_path / "source", tmp_path / "set") == 1
    assert "the folder 'apples' names no known class" in error_of(capsys)


def test_the_same_import_again_does_nothing(
    class_folders: Path, tmp_path: Path, make_images: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_files(class_folders, tmp_path / "set") == 0
    assert import_files(class_folders, tmp_path / "set") == 0
    assert "already there" in capsys.readouterr().out
    save(class_folders / "no" / "new.npy", make_images(16, 16, seed=50))
    assert import_files(class_folders, tmp_path / "set") == 1
    assert "is not empty and holds something else" in error_of(capsys)
    assert report_of(tmp_path / "set")["imported"] == 36


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tgz", ".tar.xz"])
def test_archives(ending: str, class_folders: Path, tmp_path: Path) -> None:
    archive = tmp_path / f"Model_I_test{ending}"
    if ending == ".zip":
        shutil.make_archive(str(tmp_path / "Model_I_test"), "zip", class_folders.parent, "original")
    else:
        with tarfile.open(archive, f"w:{ {'.tgz': 'gz', '.tar.xz': 'xz'}.get(ending, '') }") as content:
            content.add(class_folders, "original")
    assert import_files(archive, tmp_path / "set") == 0
    assert report_of(tmp_path / "set")["splits"] == {"test": {"no_sub": 12, "cdm": 12, "axion": 12}}
    assert load_dataset(str(tmp_path / "set"), split="test")["source_file"][0].startswith("original/")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([archive.name, "arrow-cache", "original", "set"])


def evil_tar(name: str = "x.npy", kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 8) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as content:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, link, size
        content.addfile(member, io.BytesIO(bytes(size)))
    return buffer.getvalue()


def evil_zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as content:
        content.writestr(name, bytes(8))
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("x.npy", bytes(2**20))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("x.tgz", evil_tar("../outside.npy"), id="tar-climbs-out"),
        pytest.param("x.tgz", evil_tar("/tmp/outside.npy/../../outside.npy"), id="tar-absolute-path"),
        pytest.param("x.tgz", evil_tar("link.npy", tarfile.SYMTYPE, "/etc/passwd", 0), id="tar-symbolic-link"),
        pytest.param("x.tgz", evil_tar("link.npy", tarfile.LNKTYPE, "/etc/passwd", 0), id="tar-hard-link"),
        pytest.param("x.tgz", evil_tar("pipe.npy", tarfile.FIFOTYPE, "", 0), id="tar-named-pipe"),
        pytest.param("x.zip", evil_zip("../outside.npy"), id="zip-climbs-out"),
        pytest.param("x.zip", bomb(), id="zip-bomb"),
        pytest.param("x.zip", b"no archive", id="no-zip"),
        pytest.param("x.tar.gz", b"no archive", id="no-tar"),
        pytest.param("x.tgz", evil_tar()[:60], id="tar-cut-short"),
        pytest.param("x.tar.bz2", b"BZh9" + bytes(50), id="damaged-bzip2"),
        pytest.param("x.zip", evil_zip("x.npy")[:-30], id="zip-cut-short"),
    ],
)
def test_unsafe_and_damaged_archives_are_refused(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("deeplense_hf.data.archives._ALWAYS_ALLOWED", 1000)
    (tmp_path / name).write_bytes(content)
    before = set(Path("/tmp").glob("outside*"))
    assert import_files(tmp_path / name, tmp_path / "inner" / "set") == 1
    error = error_of(capsys)
    assert error.startswith(f"error: {name} is ")
    assert error.endswith(".")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inner", name]
    assert set(Path("/tmp").glob("outside*")) == before


def test_nothing_to_import_is_one_sentence(
    tmp_path: Path, class_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_files(tmp_path / "nowhere", tmp_path / "set") == 1
    assert "nowhere does not exist; give a folder, a file or an archive as --source" in error_of(capsys)
    (tmp_path / "empty").mkdir()
    assert import_files(tmp_path / "empty", tmp_path / "set") == 1
    assert "'empty' holds no image file; known endings are .npy" in error_of(capsys)
    (tmp_path / "empty" / "bad.npy").write_bytes(b"bad")
    assert import_files(tmp_path / "empty", tmp_path / "set") == 1
    assert "empty holds no readable image (1 files tried): bad.npy is not a NumPy file" in error_of(capsys)
    (tmp_path / "table.csv").touch()
    assert import_files(tmp_path / "table.csv", tmp_path / "set") == 1
    assert "table.csv is no image file" in error_of(capsys)
    assert import_files(class_folders, tmp_path / "set", "--pixel_scale", "-1") == 1
    assert "pixel_scale=-1.0 arcsec must be positive" in error_of(capsys)
    assert import_files(class_folders, tmp_path / "set", "--test_fraction", "2") == 1
    assert "must add up to less than 1" in error_of(capsys)
    (tmp_path / "file").touch()
    assert import_files(class_folders, tmp_path / "file") == 1
    assert "file is a file; give a folder as --output_dir" in error_of(capsys)
    assert not (tmp_path / "set").exists()
    assert import_files(class_folders, tmp_path / "set") == 0
    assert import_files(tmp_path / "set", tmp_path / "again") == 1
    assert "is a data set already; load it with load_dataset" in error_of(capsys)


@pytest.mark.parametrize("when", ["reading", "writing"])
def test_a_full_disk_leaves_finished_work_intact(
    when: str,
    class_folders: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import pyarrow.parquet as pq

    from deeplense_hf.data import collecting

    assert import_files(class_folders, tmp_path / "finished") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "finished").rglob("*.*")}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if when == "reading":
        monkeypatch.setattr(collecting, "_spool", full)
    else:
        monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    capsys.readouterr()
    assert import_files(class_folders, tmp_path / "set") == 1
    assert error_of(capsys) == f"error: No space left on device; {tmp_path / 'set'} is not written"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["finished", "original"]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_fits_and_hdf5_are_imported(tmp_path: Path, make_images: Images) -> None:
    import h5py
    from astropy.io import fits

    images = make_images(6, 16, 16)
    for row in range(3):
        (tmp_path / "source" / "lens").mkdir(parents=True, exist_ok=True)
        header = fits.Header({"PIXSCALE": 0.1 + row, "INSTRUME": "VIS"})
        fits.PrimaryHDU(images[row], header).writeto(tmp_path / "source" / "lens" / f"{row}.fits")
    (tmp_path / "source" / "nonlens").mkdir()
    with h5py.File(tmp_path / "source" / "nonlens" / "all.h5", "w") as file:
        file["images"] = images[3:, None]
    assert import_files(tmp_path / "source", tmp_path / "set", "--pixel_scale", "0.5") == 0
    rows = rows_of(load_dataset(str(tmp_path / "set")))
    for row in range(6):
        name = f"lens/{row}.fits" if row < 3 else f"nonlens/all.h5#{row - 3}"
        assert np.array_equal(np.array(rows[name]["image"], np.float32), images[row][None])
        assert rows[name]["pixel_scale"] == pytest.approx(0.1 + row if row < 3 else 0.5)
        assert rows[name]["instrument"] == ("VIS" if row < 3 else None)


def test_aliases() -> None:
    assert parse_aliases(["Smooth-Set=no_sub", "b=vort", "c=wdm"]) == {"smooth_set": "no_sub", "b": "axion", "c": "wdm"}
    for pair in ("smooth", "=cdm", "smooth="):
        with pytest.raises(ValueError, match="is not of the form folder=class"):
            parse_aliases([pair])


@pytest.mark.parametrize(
    ("folder", "splits"),
    [
        ("Model_I_test", {"test": {"no_sub": 8, "cdm": 8, "axion": 8}}),
        ("Model_II_test", {"test": {"no_sub": 8, "cdm": 8, "axion": 8}}),
        ("common_test", {"validation": {"no_sub": 5, "cdm": 5, "axion": 5}}),
        ("lens_finding", {"train": {"non_lens": 5, "lens": 5}, "test": {"non_lens": 5, "lens": 5}}),
    ],
)
def test_every_original_format(folder: str, splits: dict[str, Any], tmp_path: Path, shared_data: Path) -> None:
    assert import_files(shared_data / "original_formats" / folder, tmp_path / "set") == 0
    report = report_of(tmp_path / "set")
    assert report["splits"] == splits
    assert report["rejected"] == []
    assert pickle.dumps(load_dataset(str(tmp_path / "set"), streaming=True)[next(iter(splits))].features)
