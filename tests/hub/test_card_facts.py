"""What a card says of images and scores is what data and reports say."""

import re
from typing import Any

import pytest

from deeplense_hf.cli import parse_options
from deeplense_hf.evaluation.report import EvaluationReport
from deeplense_hf.hub.card_facts import Facts
from deeplense_hf.hub.card_tables import found_lenses
from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.recipes import RECIPES
from deeplense_hf.simulation.simulator import simulate_batch


def facts(dataset: str, **config: Any) -> Facts:
    return Facts({"dataset": dataset}, config, {}, {})


@pytest.mark.parametrize("name", PUBLISHED_RECIPES)
def test_the_einstein_radius_is_that_of_the_data(name: str) -> None:
    radius = simulate_batch(PUBLISHED_RECIPES[name], "no_sub", [0], seed=0).parameters["einstein_radius"][0]
    sentence = facts(name).limits()[0]
    assert f"every lens of `{name}` has the same Einstein radius ({radius:.2f} arcsec)" in sentence


def test_a_finder_is_limited_as_its_lenses_are() -> None:
    assert facts("model_1_lens_finding").limits()[0] == facts("model_1").limits()[0]


def test_a_camera_is_named_where_its_name_tells_something() -> None:
    says = {name: facts(name, num_channels=recipe.num_bands).takes() for name, recipe in RECIPES.items()}
    named = {name: text.partition("(")[2].partition(")")[0] for name, text in says.items() if "(" in text}
    quiet = {*PUBLISHED_RECIPES, "model_1_lens_finding"}
    assert set(named) == set(RECIPES) - quiet
    assert not set(named.values()) & set(RECIPES)
    assert "images of 1 band; those it learnt from have 150x150 pixels of 0.05 arcsec" in says["model_1_lens_finding"]
    assert not [name for name, text in says.items() if "+" in text]


def report_of_a_finder(dataset: str, found: int, lenses: int, alarms: int, others: int) -> EvaluationReport:
    return EvaluationReport(
        task="lens_finding",
        model="finder",
        model_fingerprint="",
        dataset=dataset,
        dataset_fingerprint="",
        split="test",
        n=lenses + others,
        n_systems=lenses + others,
        n_left_out=0,
        class_names=("non_lens", "lens"),
        class_counts={"non_lens": others, "lens": lenses},
        metrics={},
        morphologies=(),
        confusion_matrix=((others - alarms, alarms), (lenses - found, found)),
        report_rows=(),
        bootstrap_samples=0,
        seed=0,
        library_versions={},
    )


def test_what_a_finder_finds_is_counted() -> None:
    balanced = report_of_a_finder("lens_finding", 197, 200, 2, 200)
    rare = report_of_a_finder("1_in_100", 197, 198, 316, 19_800)
    blind = report_of_a_finder("faint", 0, 10, 0, 10)
    assert [sentence for report in (balanced, rare, blind) for sentence in found_lenses(report)] == [
        "By the more probable class it finds 197 of 200 lenses of `lens_finding` and takes 2 of 200 look-alikes for "
        "one, so that 99.0% of what it calls a lens is one.",
        "By the more probable class it finds 197 of 198 lenses of `1_in_100` and takes 316 of 19,800 look-alikes for "
        "one, so that 38.4% of what it calls a lens is one.",
        "By the more probable class it finds 0 of 10 lenses of `faint` and takes 0 of 10 look-alikes for one.",
    ]


def test_real_galaxies_are_named() -> None:
    def data(name: str) -> str:
        return Facts({"dataset": name, "simulation_seed": 3, "images_per_class": 200}, {}, {}, {}).data()

    assert "Of the sources 50%, and some look-alikes, are galaxies of the Hubble eXtreme Deep Field" in data(
        "lens_finding"
    )
    assert "Hubble" not in data("model_1") + data("model_1_lens_finding")


def test_the_command_of_a_card_can_be_run() -> None:
    text = Facts({"dataset": "model_1", "simulation_seed": 3, "images_per_class": 200}, {}, {}, {}).data()
    command = re.search(r"`deeplense-hf simulate (.*?)`", text)
    assert command
    (options,) = parse_options("simulate", command[1].split())
    assert (options.recipe, options.seed, options.images_per_class) == ("model_1", 3, 200)


@pytest.mark.parametrize(
    ("stretch", "normalisation", "words"),
    [
        ("log", "standard", "takes the logarithm of brightness, softened at 0.02 of the peak, and brings each band of"),
        (
            "asinh",
            "minmax",
            "takes the asinh of brightness, softened at 0.02 of the peak, and brings each band of each",
        ),
        ("sqrt", "max", "takes the square root of brightness and divides each band of each image by its maximum, all"),
        ("none", "none", "keeps brightness and scales nothing, all in float32"),
    ],
)
def test_the_stretch_is_that_of_the_processor(stretch: str, normalisation: str, words: str) -> None:
    processor = DeepLenseImageProcessor(num_channels=1, stretch=stretch, normalisation=normalisation).to_dict()
    assert words in Facts({"dataset": "model_1"}, {}, processor, {}).takes()
