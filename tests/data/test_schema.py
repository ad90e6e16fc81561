"""Names of classes and splits in all their spellings; the declared columns."""

import pytest

from deeplense_hf.data.schema import (
    COLUMNS,
    LABEL_SETS,
    class_and_split,
    features,
    known_class_folders,
    label_set,
    place_of,
)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("no", ("no_sub", None)),
        ("no_sub", ("no_sub", None)),
        ("NoSub", ("no_sub", None)),
        ("no-substructure", ("no_sub", None)),
        ("smooth", ("no_sub", None)),
        ("sphere", ("cdm", None)),
        ("CDM", ("cdm", None)),
        ("subhalos", ("cdm", None)),
        ("particle", ("cdm", None)),
        ("vort", ("axion", None)),
        ("Vortex", ("axion", None)),
        ("axion", ("axion", None)),
        ("sub", ("sub", None)),
        ("lenses", ("lens", None)),
        ("nonlenses", ("non_lens", None)),
        ("Non-Lens", ("non_lens", None)),
        ("non_lenses", ("non_lens", None)),
        ("training", (None, "train")),
        ("val", (None, "validation")),
        ("valid", (None, "validation")),
        ("test", (None, "test")),
        ("train_nonlenses", ("non_lens", "train")),
        ("test_lenses", ("lens", "test")),
        ("Model_I_test", (None, "test")),
        ("Model_II", (None, None)),
        ("latest", (None, None)),
    ],
)
def test_folder_names(folder: str, expected: tuple[str | None, str | None]) -> None:
    assert class_and_split(folder) == expected


def test_aliases_come_first() -> None:
    assert class_and_split("fuzzy", {"fuzzy": "axion"}) == ("axion", None)
    assert class_and_split("test_fuzzy", {"fuzzy": "axion"}) == ("axion", "test")


def test_the_innermost_folder_counts() -> None:
    assert place_of(("lenses", "val", "no_sub"), {}) == ("no_sub", "validation")
    assert place_of(("Model_I_test", "axion"), {}) == ("axion", "test")
    assert place_of(("survey",), {}) == (None, None)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"axion", "no_sub", "cdm"}, "substructure"),
        ({"no_sub"}, "substructure"),
        ({"cdm"}, "substructure"),
        ({"no_sub", "sub"}, "substructure_presence"),
        ({"lens"}, "lens_finding"),
    ],
)
def test_label_set_covers_the_found_classes(found: set[str], expected: str) -> None:
    assert label_set(found) == LABEL_SETS[expected]


def test_label_sets_of_no_and_of_new_classes() -> None:
    assert label_set(()) == ()
    assert label_set({"wdm", "sidm"}) == ("sidm", "wdm")


def test_classes_of_two_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cdm, lens belong to different tasks.*--aliases"):
        label_set({"cdm", "lens"})


def test_every_class_is_listed_for_messages() -> None:
    assert all(name in known_class_folders() for names in LABEL_SETS.values() for name in names)


def test_features_hold_every_declared_column() -> None:
    declared = features(("no_sub", "cdm"), 2, 8, 9)
    assert declared["image"].shape == (2, 8, 9)
    assert declared["image"].dtype == "float32"
    assert declared["label"].names == ["no_sub", "cdm"]
    assert set(declared) == {"image", "label", *COLUMNS}
    assert declared["subhalo_count"].dtype == "int32"
    assert declared["vortex_mass"].dtype == "float64"
