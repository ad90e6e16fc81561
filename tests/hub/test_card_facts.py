"""What a card says of the images of a recipe is what the recipe's data say."""

from typing import Any

import pytest

from deeplense_hf.hub.card_facts import Facts
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
