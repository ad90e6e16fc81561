"""The command `simulate`, end to end."""

from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict, load_dataset

from deeplense_hf.cli import main
from deeplense_hf.data.loading import LensImageDecoder
from deeplense_hf.data.simulate import SimulateOptions, fingerprint
from deeplense_hf.simulation.recipes import RECIPES, get_recipe
from deeplense_hf.simulation.simulator import simulate_batch


def simulate(folder: Path, *words: str) -> int:
    return main(["simulate", "--recipe", "test", "--output_dir", str(folder), *words])


def by_system(splits: DatasetDict) -> dict[str, np.ndarray]:
    found = {}
    for split in splits.values():
        decoder = LensImageDecoder(split)
        found.update(zip(decoder.column("system_id"), decoder[:], strict=True))
    return found


def test_from_command_to_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out" / "set"
    assert simulate(folder, "--images_per_class", "10", "--seed", "3") == 0
    assert f"load_dataset('{folder}')" in capsys.readouterr().out
    splits = load_dataset(str(folder))
    assert {name: len(split) for name, split in splits.items()} == {"train": 24, "validation": 3, "test": 3}
    for split in splits.values():
        labels = split["label"][:]
        assert np.bincount(labels).tolist() == [len(labels) // 3] * 3
    recipe = get_recipe("test")
    for row in splits["train"]:
        name = recipe.class_names[row["label"]]
        expected = simulate_batch(recipe, name, [int(row["system_index"])], seed=3)
        assert np.array_equal(np.array(row["image"], np.float32), expected.images[0])
        assert row["system_id"] == f"test/3/{name}/{row['system_index']}"
        assert row["einstein_radius"] == pytest.approx(expected.parameters["einstein_radius"][0])
        assert (row["log10_axion_mass_ev"] is None) == (name != "axion")
        assert row["pixel_scale"] == pytest.approx(recipe.instrument.pixel_scale)
    assert "subhalo_mass_slope" in (folder / "README.md").read_text()


def test_order_says_nothing_about_the_class(tmp_path: Path) -> None:
    assert simulate(tmp_path / "set", "--images_per_class", "30") == 0
    labels = load_dataset(str(tmp_path / "set"), split="train")["label"][:]
    assert 10 < np.count_nonzero(np.diff(labels)) < len(labels) - 1
    assert sorted(labels[: len(labels) // 2]) != labels[: len(labels) // 2]


def test_batches_change_nothing_and_larger_sets_keep_their_splits(tmp_path: Path) -> None:
    assert simulate(tmp_path / "a", "--images_per_class", "8", "--batch_size", "128") == 0
    assert simulate(tmp_path / "b", "--images_per_class", "8", "--batch_size", "5") == 0
    assert simulate(tmp_path / "c", "--images_per_class", "12") == 0
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 6
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    small, large = load_dataset(str(tmp_path / "a")), load_dataset(str(tmp_path / "c"))
    for split in small:
        assert set(small[split]["system_id"]) <= set(large[split]["system_id"])
    images = by_system(large)
    assert all(np.array_equal(image, images[system]) for system, image in by_system(small).items())
    assert len(images) == 36


def test_no_system_lies_in_two_splits(tmp_path: Path) -> None:
    assert simulate(tmp_path / "set", "--images_per_class", "20", "--test_fraction", "0.3") == 0
    systems = [system for split in load_dataset(str(tmp_path / "set")).values() for system in split["system_id"]]
    assert len(systems) == len(set(systems)) == 60


def test_the_same_command_again_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate(tmp_path / "set", "--images_per_class", "4") == 0
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")}
    assert simulate(tmp_path / "set", "--images_per_class", "4") == 0
    assert "already there" in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")}
    assert simulate(tmp_path / "set", "--images_per_class", "5") == 1
    assert "is not empty and holds something else" in capsys.readouterr().err
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "set").rglob("*")}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--recipe", "model_9"), "recipe='model_9' is not known. Use one of model_1, model_2"),
        (("--images_per_class", "0"), "images_per_class=0 must be at least 1"),
        (("--images_per_class", "2"), "leaves the split 'test' empty; use at least 3"),
        (("--seed", "-1"), "seed=-1 must not be negative"),
        (("--batch_size", "0"), "batch_size=0 must be at least 1"),
        (("--test_fraction", "1.5"), "must add up to less than 1"),
        (("--source_galaxies", "hubble_deep_field"), "does not go with recipe='test', whose sources are as published"),
        (("--imbalance", "0"), "imbalance=0.0 must be a positive number"),
        (("--imbalance", "0.1"), "imbalance=0.1 leaves no system of the class 'no_sub'"),
        (("--num_workers", "0"), "num_workers=0 must be at least 1"),
        (("--systems_per_shard", "0"), "systems_per_shard=0 must be at least 1"),
        (("--num_ranks", "2"), "num_ranks=2 needs the number of this process as --rank"),
        (("--rank", "0"), "rank=0 must be 0 or more and below num_ranks=None; give both"),
        (("--device", "toaster"), "device='toaster' cannot be used"),
        (("--output_dir", ""), "output_dir is empty"),
    ],
)
def test_bad_options_get_one_sentence(
    words: tuple[str, str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(tmp_path / "set", "--images_per_class", "4", *words) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert sentence in error
    assert list(tmp_path.iterdir()) == []


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RECIPES)
    for line, recipe in zip(lines, RECIPES.values(), strict=True):
        size = recipe.instrument.image_size
        words = line.split()
        assert words[:3] == [recipe.name, f"{size}x{size}", str(recipe.num_bands)]
        assert ", ".join(recipe.class_names) in line
        assert line.endswith(recipe.description)


def test_the_first_class_can_be_more_frequent(tmp_path: Path) -> None:
    assert simulate(tmp_path / "set", "--images_per_class", "4", "--imbalance", "2.5") == 0
    counts = {name: np.bincount(split["label"][:]) for name, split in load_dataset(str(tmp_path / "set")).items()}
    assert sum(counts.values()).tolist() == [10, 4, 4]
    assert counts["train"].tolist() == [8, 2, 2]
    assert simulate(tmp_path / "balanced", "--images_per_class", "10") == 0
    balanced = by_system(load_dataset(str(tmp_path / "balanced")))
    images = by_system(load_dataset(str(tmp_path / "set")))
    assert all(np.array_equal(image, balanced[system]) for system, image in images.items())


def test_the_card_shows_images(tmp_path: Path) -> None:
    from PIL import Image

    assert simulate(tmp_path / "set", "--images_per_class", "4") == 0
    assert "![Some images of each class](contact_sheet.png)" in (tmp_path / "set" / "README.md").read_text()
    with Image.open(tmp_path / "set" / "contact_sheet.png") as picture:
        assert min(picture.size) > 300


def test_morphology_is_measured_unless_it_is_not_wanted(tmp_path: Path) -> None:
    assert simulate(tmp_path / "with", "--images_per_class", "4") == 0
    assert simulate(tmp_path / "without", "--images_per_class", "4", "--no_morphology") == 0
    measured, plain = (load_dataset(str(tmp_path / name), split="train") for name in ("with", "without"))
    assert all(value > 0 for value in measured["signal_to_noise"])
    assert set(measured["image_configuration"]) <= {"none", "single", "double", "quad", "ring", "arc"}
    assert set(plain["signal_to_noise"]) == {None}
    assert np.array_equal(LensImageDecoder(measured)[:], LensImageDecoder(plain)[:])


def test_real_galaxies_can_be_the_sources(tmp_path: Path) -> None:
    size = ("--recipe", "realistic", "--images_per_class", "3", "--no_morphology")
    assert simulate(tmp_path / "set", *size) == 0
    assert simulate(tmp_path / "real", *size, "--source_galaxies", "hubble_deep_field") == 0
    splits, real = (load_dataset(str(tmp_path / name), split="train") for name in ("set", "real"))
    assert set(splits["source_galaxy"]) == {None}
    assert None not in real["source_galaxy"]
    assert splits["einstein_radius"][:] == real["einstein_radius"][:]


def test_a_data_set_does_not_say_where_its_galaxies_lay(tmp_path: Path) -> None:
    (tmp_path / "galaxies").mkdir()
    for given, said in ((str(tmp_path / "galaxies"), "galaxies"), ("owner/galaxies", "owner/galaxies"), (None, None)):
        options = SimulateOptions("a", "realistic", source_galaxies=given)
        assert options.published == {**options.deciding, "source_galaxies": said}


def test_fingerprint_knows_what_decides_the_content() -> None:
    options = SimulateOptions("a", "test", images_per_class=4)
    assert fingerprint(options) == fingerprint(SimulateOptions("b", "test", images_per_class=4, batch_size=1))
    others = [
        SimulateOptions("a", "model_1", images_per_class=4),
        SimulateOptions("a", "test", images_per_class=5),
        SimulateOptions("a", "test", images_per_class=4, seed=1),
        SimulateOptions("a", "test", images_per_class=4, test_fraction=0.2),
        SimulateOptions("a", "test", images_per_class=4, imbalance=2),
        SimulateOptions("a", "test", images_per_class=4, morphology=False),
    ]
    assert len({fingerprint(options), *map(fingerprint, others)}) == 7
