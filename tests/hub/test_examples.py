"""Examples of a release say what is known, in digits that tell something and that JSON has."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deeplense_hf.hub.examples import example_images, write_examples
from deeplense_hf.hub.release import read_release

RELEASED = sorted(Path(__file__).parents[2].glob("model_cards/*/release.json"))
IMAGE = np.ones((1, 8, 8), np.float32)


def model_that_answers(**answer: float) -> Any:
    """Return what answers the same for every image."""
    table = {column: [value] for column, value in answer.items()}
    return SimpleNamespace(answers=lambda *_: table, task=SimpleNamespace(table=lambda answers: answers))


def test_digits_tell_something(tmp_path: Path) -> None:
    truth = {"fraction": 3.1234567e-5, "none": 0.0, "log10_axion_mass_ev": -22.83391, "count": 25.0}
    model = model_that_answers(probability_cdm=0.00221, fraction=-4.56789e-5, none=0.0, anomaly_score=-0.81783)
    (example,) = write_examples(model, "test", {"cdm": (IMAGE, truth)}, tmp_path / "examples")
    assert example.truth == {"fraction": 3.123e-5, "none": 0.0, "log10_axion_mass_ev": -22.8339, "count": 25.0}
    expected = {"probability_cdm": 0.0022, "fraction": -4.568e-5, "none": 0.0, "anomaly_score": -0.8178}
    assert example.answer == example.picture_answer == expected


def test_what_a_class_lacks_is_left_out(tmp_path: Path) -> None:
    images = example_images("test", ["no_sub", "axion"], ["log10_axion_mass_ev", "einstein_radius"])
    without, axion = write_examples(model_that_answers(score=1.0), "test", images, tmp_path / "examples")
    assert (set(without.truth), set(axion.truth)) == ({"einstein_radius"}, {"einstein_radius", "log10_axion_mass_ev"})
    assert json.dumps([without.truth, axion.truth], allow_nan=False)
    # an earlier release may say NaN of it
    (again,) = write_examples(model_that_answers(score=1.0), "test", {"cdm": (IMAGE, {"mass": math.nan})}, tmp_path)
    assert again.truth == {}


def test_an_answer_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the model's answer for the picture 'cdm.png' is not a number; train"):
        write_examples(model_that_answers(score=math.inf), "test", {"cdm": (IMAGE, {})}, tmp_path)


@pytest.mark.parametrize("marker", RELEASED, ids=[path.parent.name for path in RELEASED])
def test_what_was_released_keeps_its_numbers(marker: Path, tmp_path: Path) -> None:
    for example in read_release(marker.parent).examples:
        images = {example.name: (IMAGE, example.truth)}
        (again,) = write_examples(model_that_answers(**example.answer), "test", images, tmp_path)
        assert (again.answer, again.truth) == (example.answer, example.truth)
