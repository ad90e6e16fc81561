"""Data set folders: exact, streamable, complete or not there at all."""

import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from filelock import FileLock

from deeplense_hf.data import build
from deeplense_hf.data.build import SplitPlan, already_built, is_dataset_folder, shard_bounds, write_dataset
from deeplense_hf.data.card import DatasetCard
from deeplense_hf.data.records import RecordBatch, as_table
from deeplense_hf.data.schema import COLUMNS, features
from deeplense_hf.data.staging import temporary_sibling

NAMES = ("no_sub", "cdm", "axion")
FINGERPRINT = {"fingerprint": "abc"}
Records = Callable[..., RecordBatch]


def in_batches(records: RecordBatch, size: int) -> Iterator[RecordBatch]:
    for start in range(0, len(records), size):
        yield records.part(start, start + size)


def write(folder: Path, card: DatasetCard, batch: int = 7, **splits: RecordBatch) -> None:
    plans = {name: SplitPlan(len(records), in_batches(records, batch)) for name, records in splits.items()}
    card = card if set(splits) <= set(card.class_counts) else replace(card, class_counts={name: {} for name in splits})
    write_dataset(folder, features(NAMES, *next(iter(splits.values())).images.shape[1:]), plans, FINGERPRINT, card)


def test_round_trip_is_exact(tmp_path: Path, make_records: Records, card: DatasetCard) -> None:
    records = make_records(30)
    records.images[0, 0, 0, :4] = np.array([-0.0, 1e-45, 3.4e38, np.nextafter(np.float32(1), 2, dtype=np.float32)])
    write(tmp_path / "set", card, train=records)
    dataset = load_dataset(str(tmp_path / "set"), split="train")
    assert dataset.features == features(NAMES, 1, 16, 16)
    images = np.stack(dataset.with_format("numpy")["image"])
    assert images.dtype == np.float32
    assert images.tobytes() == records.images.tobytes()
    assert dataset["label"][:] == records.labels.tolist()
    assert dataset["pixel_scale"][:2] == [None, pytest.approx(0.05)]
    assert dataset["vortex_mass"][:3] == [3e10, None, None]
    assert dataset["subhalo_count"][:3] == [None, 25, None]
    assert dataset["recipe"][:] == [None] * 30


def test_streaming_gives_the_same(tmp_path: Path, make_records: Records, card: DatasetCard) -> None:
    write(tmp_path / "set", card, train=make_records(9), test=make_records(3, seed=1))
    stored = load_dataset(str(tmp_path / "set"))
    streamed = load_dataset(str(tmp_path / "set"), streaming=True)
    assert set(streamed) == {"train", "test"}
    for split in streamed:
        assert streamed[split].features == stored[split].features
        for one, other in zip(streamed[split], stored[split], strict=True):
            assert one == other


def test_files_do_not_depend_on_batches(
    tmp_path: Path, make_records: Records, card: DatasetCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_SHARD_BYTES", 12 * 1024)
    monkeypatch.setattr(build, "_ROW_GROUP_BYTES", 5 * 1024)
    records = make_records(41)
    for batch in (1, 4, 100):
        write(tmp_path / str(batch), card, batch, train=records)
    shards = sorted(path.name for path in (tmp_path / "1" / "data").iterdir())
    assert shards == [f"train-{shard:05d}-of-00004.parquet" for shard in range(4)]
    for name in [f"data/{shard}" for shard in shards] + ["README.md", "provenance.json"]:
        assert len({(tmp_path / batch / name).read_bytes() for batch in ("1", "4", "100")}) == 1
    dataset = load_dataset(str(tmp_path / "4"), split="train")
    assert np.array_equal(np.stack(dataset.with_format("numpy")["image"]), records.images)


def test_unlabelled_images_have_label_minus_one(tmp_path: Path, make_records: Records, card: DatasetCard) -> None:
    records = make_records(4)
    unlabelled = RecordBatch(records.images, np.full(4, -1), records.columns)
    plans = {"train": SplitPlan(4, [unlabelled])}
    write_dataset(tmp_path / "set", features((), 1, 16, 16), plans, FINGERPRINT, card)
    for streaming in (False, True):
        dataset = load_dataset(str(tmp_path / "set"), split="train", streaming=streaming)
        assert [row["label"] for row in dataset] == [-1] * 4
        assert dataset.features["label"].names == []


def test_a_folder_of_the_same_name_is_not_confused(tmp_path: Path, make_records: Records, card: DatasetCard) -> None:
    # load_dataset keys its cache by the folder's last name and the card, not by the files
    for seed, place in enumerate(("one", "other")):
        write(tmp_path / place / "set", card, train=make_records(3, seed=seed))
    loaded = [load_dataset(str(tmp_path / place / "set"), split="train")["seed"][0] for place in ("one", "other")]
    assert loaded == [0, 1]


def test_columns_of_arrays_are_as_those_of_lists(make_records: Records) -> None:
    declared = features(NAMES, 1, 16, 16)
    values = {
        "signal_to_noise": [0.1, None, 3.0],
        "vortex_mass": [3e10, None, 1.0],
        "subhalo_count": [25, None, 0],
        "crosses_caustic": [True, None, False],
        "image_configuration": ["ring", None, "quad"],
    }
    arrays = {
        name: np.array([np.nan if value is None else value for value in column], dtype=float)
        for name, column in values.items()
        if name != "image_configuration"
    }
    arrays["image_configuration"] = np.array(values["image_configuration"], dtype=object)
    records = make_records(3)
    tables = [as_table(RecordBatch(records.images, records.labels, columns), declared) for columns in (values, arrays)]
    assert tables[0].equals(tables[1])
    assert tables[1].select(list(values)).to_pydict() == {
        **values,
        "signal_to_noise": [pytest.approx(0.1), None, 3.0],
    }


def test_shards_are_of_nearly_one_size() -> None:
    for rows, per_shard in ((0, 3), (1, 3), (5, 2), (9, 3), (10, 3), (100, 7)):
        bounds = shard_bounds(rows, per_shard)
        assert bounds[0][0] == 0
        assert bounds[-1][1] == rows
        assert all(one[1] == other[0] for one, other in pairwise(bounds))
        sizes = [stop - start for start, stop in bounds]
        assert max(sizes) <= per_shard
        assert max(sizes) - min(sizes) <= 1
        assert len(bounds) == max(1, -(-rows // per_shard))


@pytest.mark.parametrize("rows", [5, 7])
def test_a_wrong_number_of_records_is_refused(
    rows: int, tmp_path: Path, make_records: Records, card: DatasetCard
) -> None:
    plans = {"train": SplitPlan(rows, in_batches(make_records(6), 2))}
    with pytest.raises(ValueError, match=r"split 'train' (has more records|was announced with)"):
        write_dataset(tmp_path / "set", features(NAMES, 1, 16, 16), plans, FINGERPRINT, card)
    assert list(tmp_path.iterdir()) == []


def test_undeclared_columns_are_refused(make_records: Records) -> None:
    records = make_records(2)
    extra = RecordBatch(records.images, records.labels, {"colour": ["red", "blue"]})
    with pytest.raises(ValueError, match=r"column 'colour' is not declared in data/schema\.py"):
        as_table(extra, features(NAMES, 1, 16, 16))


def test_a_full_disk_leaves_nothing_half(
    tmp_path: Path, make_records: Records, card: DatasetCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    write(tmp_path / "finished", card, train=make_records(3))
    before = {path: path.read_bytes() for path in (tmp_path / "finished").rglob("*") if path.is_file()}

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left on device"):
        write(tmp_path / "set", card, train=make_records(3))
    assert [path.name for path in tmp_path.iterdir()] == ["finished"]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_what_killed_builds_left_is_removed_and_running_ones_are_kept(tmp_path: Path) -> None:
    killed, running = tmp_path / ".set.partial-0a", tmp_path / ".set.partial-0b"
    for folder in (killed, running):
        (folder / "dataset").mkdir(parents=True)
        folder.with_name(f"{folder.name}.lock").touch()
    with FileLock(f"{running}.lock"), temporary_sibling(tmp_path / "set") as mine:
        assert mine.is_dir()
        assert mine.parent == tmp_path
        assert not killed.exists()
        assert running.exists()
    assert not mine.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [running.name, f"{running.name}.lock"]


def test_the_first_of_two_equal_builds_stays(tmp_path: Path, make_records: Records, card: DatasetCard) -> None:
    records = make_records(3)

    def overtaken() -> Iterator[RecordBatch]:
        write(tmp_path / "set", card, train=records)
        yield records

    plans = {"train": SplitPlan(3, overtaken())}
    write_dataset(tmp_path / "set", features(NAMES, 1, 16, 16), plans, FINGERPRINT, card)
    assert already_built(tmp_path / "set", "abc")
    (tmp_path / "other").mkdir()
    with pytest.raises(OSError, match="not empty"):
        write_dataset(
            tmp_path / "set", features(NAMES, 1, 16, 16), {"train": SplitPlan(3, [records])}, {"fingerprint": "d"}, card
        )


def test_a_folder_in_use_is_refused(tmp_path: Path, make_records: Records, card: DatasetCard) -> None:
    assert not already_built(tmp_path / "set", "abc")
    (tmp_path / "set").mkdir()
    assert not already_built(tmp_path / "set", "abc")
    write(tmp_path / "set", card, train=make_records(3))
    assert already_built(tmp_path / "set", "abc")
    with pytest.raises(ValueError, match="is not empty and holds something else; give another --output_dir"):
        already_built(tmp_path / "set", "other")
    next((tmp_path / "set" / "data").iterdir()).write_bytes(b"cut")
    with pytest.raises(ValueError, match="is damaged: train-00000-of-00001"):
        already_built(tmp_path / "set", "abc")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file; give a folder"):
        already_built(tmp_path / "file", "abc")


def test_what_a_data_set_folder_is(tmp_path: Path, make_records: Records, card: DatasetCard) -> None:
    write(tmp_path / "set", card, train=make_records(3))
    assert is_dataset_folder(tmp_path / "set")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "README.md").touch()
    (tmp_path / "run" / "predictions.parquet").touch()
    assert not is_dataset_folder(tmp_path / "run")
    assert not is_dataset_folder(tmp_path / "nowhere")


def test_card_is_complete(tmp_path: Path, make_records: Records) -> None:
    from huggingface_hub import DatasetCard as HubCard

    card = DatasetCard("T", "S.", {"train": {"no_sub": 4000, "cdm": 2}, "test": {"cdm": 1}}, (1, 16, 16), "D", "O")
    write(tmp_path / "set", card, train=make_records(3))
    loaded = HubCard.load(tmp_path / "set" / "README.md")
    assert loaded.data.license == "mit"
    assert loaded.data.task_categories == ["image-classification"]
    assert loaded.data.size_categories == ["1K<n<10K"]
    assert loaded.data.pretty_name == "T"
    assert "| test | 0 | 1 |" in loaded.text
    for name, column in COLUMNS.items():
        assert f"| `{name}` | {column.dtype} | {column.unit} | {column.description} |" in loaded.text
    assert not any(word in loaded.text for word in ("More Information Needed", "TODO", "None"))
    provenance = json.loads((tmp_path / "set" / "provenance.json").read_text())
    assert set(provenance) == {"fingerprint", "shards"}
