"""Data sets by any name; the fast decoder gives what `datasets` gives."""

import errno
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Array3D, Dataset, Features, Value, concatenate_datasets

from deeplense_hf.data import loading, simulation_build
from deeplense_hf.data.loading import LensImageDecoder, load_lenses
from deeplense_hf.data.records import RecordBatch, as_table
from deeplense_hf.data.schema import features
from deeplense_hf.data.simulate import simulate_into_cache

NAMES = ("no_sub", "cdm", "axion")


@pytest.fixture
def dataset(make_records: Callable[..., RecordBatch]) -> Dataset:
    """Rows in several chunks, as Arrow files have them."""
    records = make_records(50)
    declared = features(NAMES, 1, 16, 16)
    parts = [Dataset(as_table(records.part(start, start + 7), declared)) for start in range(0, 50, 7)]
    return concatenate_datasets(parts)


def plain(dataset: Dataset) -> np.ndarray:
    return np.stack([np.asarray(row["image"]) for row in dataset.with_format("numpy")]).astype(np.float32)


VARIANTS: dict[str, Callable[[Dataset], Dataset]] = {
    "itself": lambda rows: rows,
    "selected": lambda rows: rows.select([40, 3, 3, 17, 0, 49]),
    "a range": lambda rows: rows.select(range(10, 30)),
    "shuffled": lambda rows: rows.shuffle(seed=0),
    "shuffled twice": lambda rows: rows.shuffle(seed=0).select(range(20)).shuffle(seed=1),
    "train part": lambda rows: rows.train_test_split(0.3, seed=0)["train"],
    "test part": lambda rows: rows.train_test_split(0.3, seed=0)["test"],
    "filtered": lambda rows: rows.filter(lambda row: row["label"] == 1),
    "sorted": lambda rows: rows.sort("label"),
    "sharded": lambda rows: rows.shard(3, 1),
    "flattened": lambda rows: rows.shuffle(seed=0).flatten_indices(),
    "mapped": lambda rows: rows.map(lambda row: {"label": (row["label"] + 1) % 3}),
    "concatenated": lambda rows: concatenate_datasets([rows.shuffle(seed=0).select(range(9)), rows, rows.shard(2, 0)]),
    "formatted": lambda rows: rows.with_format("torch").shuffle(seed=0),
    "fewer columns": lambda rows: rows.select_columns(["image", "label", "system_id", "pixel_scale"]),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_decoder_gives_what_datasets_gives(variant: str, dataset: Dataset) -> None:
    rows = VARIANTS[variant](dataset)
    decoder = LensImageDecoder(rows)
    expected = plain(rows)
    order = np.random.default_rng(0).integers(0, len(rows), 64)
    assert len(decoder) == len(rows)
    assert decoder[order].tobytes() == expected[order].tobytes()
    assert np.array_equal(decoder[:], expected)
    assert np.array_equal(decoder.labels, rows.with_format(None)["label"][:])
    assert decoder.column("system_id").tolist() == rows.with_format(None)["system_id"][:]
    scales = [np.nan if scale is None else scale for scale in rows.with_format(None)["pixel_scale"]]
    assert np.array_equal(decoder.column("pixel_scale"), np.array(scales, np.float32), equal_nan=True)


def test_decoder_takes_rows_as_numpy_does(dataset: Dataset) -> None:
    decoder, expected = LensImageDecoder(dataset), plain(dataset)
    assert decoder[3].shape == (1, 16, 16)
    for rows in (3, -1, [1, -2], np.array([4, 4]), range(5, 8), slice(None, None, -7), [], slice(60, 70)):
        found = decoder[rows]
        wanted = expected[np.array(rows, dtype=int) if isinstance(rows, list | range) else rows]
        assert found.dtype == np.float32
        assert np.array_equal(found, wanted)
    for rows in (50, -51, [0, 50]):
        with pytest.raises(IndexError, match="is not among the 50 rows"):
            decoder[rows]
    for rows in (np.ones(50, bool), [0.5]):
        with pytest.raises(IndexError, match="rows are given by their numbers"):
            decoder[rows]


def test_what_the_decoder_gives_may_be_changed(dataset: Dataset) -> None:
    decoder = LensImageDecoder(dataset)
    decoder[[0, 1]][:] = 0
    decoder[0][:] = 0
    assert np.array_equal(decoder[:], plain(dataset))


def test_decoder_travels_to_workers(dataset: Dataset) -> None:
    decoder = LensImageDecoder(dataset.shuffle(seed=0))
    assert np.array_equal(pickle.loads(pickle.dumps(decoder))[:], decoder[:])  # noqa: S301 - our own


def test_decoder_columns(dataset: Dataset) -> None:
    decoder = LensImageDecoder(dataset.shuffle(seed=0))
    assert decoder.column("seed").dtype == np.int64
    assert decoder.column("subhalo_count").tolist() == decoder.dataset["subhalo_count"][:]
    assert np.isnan(decoder.column("vortex_mass")).sum() == decoder.dataset["vortex_mass"][:].count(None)
    with pytest.raises(KeyError, match="no column 'colour'"):
        decoder.column("colour")


@pytest.mark.parametrize(
    ("kind", "systems"), [("string", ["3", None, "3", None]), ("int64", [3, None, 3, None]), ("float64", [3, None] * 2)]
)
def test_a_row_without_a_system_is_one_of_its_own(kind: str, systems: list[Any], dataset: Dataset) -> None:
    rows = dataset.select(range(4)).remove_columns("system_id").flatten_indices()
    rows = rows.add_column("system_id", systems, feature=Value(kind))
    for order in ([0, 1, 2, 3], [1, 3, 0, 2]):
        found = dict(zip(order, LensImageDecoder(rows.select(order)).system_ids.tolist(), strict=True))
        assert found[0] == found[2] == ("3.0" if kind == "float64" else "3")
        assert len({found[0], found[1], found[3]}) == 3
        assert "None" not in found.values()
    with_nan = rows.remove_columns("system_id").add_column("system_id", [3.0, np.nan, 3.0, np.nan])
    assert len(set(LensImageDecoder(with_nan).system_ids.tolist())) == 3


def test_decoder_refuses_other_data_sets(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match=r"needs a column 'image' of float32 arrays .* it is missing among label"):
        LensImageDecoder(dataset.select_columns(["label"]))
    dynamic = Features({"image": Array3D((None, 16, 16), "float32"), "label": Value("int64")})
    rows = Dataset.from_dict({"image": [np.zeros((2, 16, 16), np.float32)], "label": [0]}, features=dynamic)
    with pytest.raises(ValueError, match="of one shape"):
        LensImageDecoder(rows)
    holes = Features({"image": Array3D((1, 16, 16), "float32")})
    rows = Dataset.from_dict({"image": [np.zeros((1, 16, 16), np.float32), None]}, features=holes)
    with pytest.raises(ValueError, match="has missing images"):
        LensImageDecoder(rows)
    assert LensImageDecoder(Dataset.from_dict({"image": []}, features=holes))[:].shape == (0, 1, 16, 16)


def test_a_recipe_is_simulated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_lenses("test", images_per_class=4, seed=2)
    assert {name: len(split) for name, split in first.items()} == {"train": 6, "validation": 3, "test": 3}
    assert [path.name[:24] for path in (tmp_path / "deeplense-cache" / "simulated").iterdir()] == [
        "test-4-per-class-seed-2-"
    ]

    def unexpected(*_: Any, **__: Any) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(simulation_build, "write_shards", unexpected)
    again = load_lenses("test", images_per_class=4, seed=2)
    assert np.array_equal(LensImageDecoder(first["train"])[:], LensImageDecoder(again["train"])[:])
    with pytest.raises(AssertionError, match="simulated again"):
        load_lenses("test", images_per_class=4, seed=3)


def test_the_cache_can_lie_elsewhere(tmp_path: Path) -> None:
    load_lenses("test", images_per_class=3, cache_dir=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "simulated").is_dir()
    assert not (tmp_path / "deeplense-cache").exists()


def test_folders_and_original_files(class_folders: Path, tmp_path: Path) -> None:
    imported = load_lenses(str(class_folders))
    assert {name: len(split) for name, split in imported.items()} == {"train": 30, "validation": 3, "test": 3}
    (folder,) = (tmp_path / "deeplense-cache" / "imported").iterdir()
    assert folder.name.startswith("original-")
    direct = load_lenses(str(folder))
    assert np.array_equal(LensImageDecoder(direct["train"])[:], LensImageDecoder(imported["train"])[:])
    (class_folders / "no" / "0.npy").unlink()
    assert sum(map(len, load_lenses(str(class_folders)).values())) == 35
    one = load_lenses(str(class_folders / "vort" / "1.npy"))
    assert one["train"]["log10_axion_mass_ev"][:] == [pytest.approx(-23)]


@pytest.mark.parametrize(
    ("source", "error", "sentence"),
    [
        ("modell_1", FileNotFoundError, "is not a recipe (model_1, model_2"),
        ("modell_1", FileNotFoundError, "did you mean 'model_1'?"),
        ("./nowhere/at/all", FileNotFoundError, "an existing folder or archive"),
        ("", FileNotFoundError, "data set '' is not a recipe"),
        ("some/repository", FileNotFoundError, "that can be reached on the Hugging Face Hub"),
    ],
)
def test_unknown_names(source: str, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as raised:
        load_lenses(source)
    assert sentence in str(raised.value)


def test_a_recipe_wants_images() -> None:
    with pytest.raises(ValueError, match="images_per_class=0 must be at least 1"):
        load_lenses("test", images_per_class=0)


def test_a_damaged_data_set_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(b"damaged")
    with pytest.raises(
        ValueError, match=r"set cannot be read as a data set \([^\n]*\); remove it and build it again\.$"
    ):
        load_lenses(str(folder))


def test_a_full_disk_is_not_blamed_on_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets.exceptions import DatasetGenerationError

    def full(*_: Any, **__: Any) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise DatasetGenerationError("An error occurred while generating the dataset") from error

    folder = simulate_into_cache("test", 3, 0, tmp_path)
    monkeypatch.setattr(loading, "load_dataset", full)
    with pytest.raises(OSError, match="No space left on device"):
        load_lenses(str(folder))


def test_other_data_sets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    Dataset.from_dict({"picture": [1, 2]}).to_parquet(tmp_path / "set" / "train.parquet")
    with pytest.raises(ValueError, match=r"needs a column 'image' .* but it is missing among picture"):
        load_lenses(str(tmp_path / "set"))
