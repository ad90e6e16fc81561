"""Examples of a release say what is known, in digits that tell something and that JSON has."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import pipeline

from deeplense_hf.hub.examples import example_images, write_examples
from deeplense_hf.hub.release import read_release
from deeplense_hf.models import DeepLenseImageProcessor

RELEASED = sorted(Path(__file__).parents[2].glob("model_cards/*/release.json"))
IMAGE = np.ones((1, 8, 8), np.float32)


def model_that_answers(**answer: float) -> Any:
    """Return what answers the same for every image."""
    table = {column: [value] for column, value in answer.items()}
    return SimpleNamespace(
        answers=lambda *_: table,
        task=SimpleNamespace(table=lambda answers: answers),
        processor=DeepLenseImageProcessor(),
        colour_bands=None,
    )


def test_digits_tell_something(tmp_path: Path) -> None:
    truth = {"fraction": 3.1234567e-5, "none": 0.0, "log10_axion_mass_ev": -22.83391, "count": 25.0}
    model = model_that_answers(probability_cdm=0.00221, fraction=-4.56789e-5, none=0.0, anomaly_score=-0.81783)
    (example,) = write_examples(model, "test", {"cdm": (IMAGE, truth)}, tmp_path / "examples")
    assert example.truth == {"fraction": 3.123e-5, "none": 0.0, "log10_axion_mass_ev": -22.8339, "count": 25.0}
    expected = {"probability_cdm": 0.0022, "fraction": -4.568e-5, "none": 0.0, "anomaly_score": -0.8178}
    assert example.answer == example.picture_answer == expected


def test_colour_pictures_are_asked_about_where_their_colours_are_known(tmp_path: Path) -> None:
    bands = np.random.default_rng(0).normal(size=(3, 20, 20)).astype(np.float32)
    bands[:, 5:10, 5:10] += np.array([5, 20, 60], dtype=np.float32)[:, None, None]

    def written(processor: DeepLenseImageProcessor) -> tuple[dict[str, float], list[np.ndarray]]:
        model, asked = model_that_answers(score=1.0), []
        model.processor, model.colour_bands = processor, processor.colour_bands
        model.answers = lambda images, scale: asked.append(images[0]) or {"score": [float(images.mean())]}
        (example,) = write_examples(model, "test", {"lens": (bands, {})}, tmp_path / "examples")
        return example.picture_answer, asked

    answer, (picture, numbers) = written(DeepLenseImageProcessor(colour_bands=(2, 1, 0)))
    pixels = np.asarray(Image.open(tmp_path / "examples" / "lens.png")).astype(np.float32)
    np.testing.assert_array_equal(picture, pixels.transpose(2, 0, 1)[::-1])
    np.testing.assert_array_equal(numbers, bands)
    assert answer == {"score": pytest.approx(float(pixels.mean()), rel=1e-3)}
    # of an enlarged picture a cut by pixels or by their scale would leave another part
    for options in (
        {},
        *({"colour_bands": (2, 1, 0), **cut} for cut in ({"crop_size": 10}, {"target_pixel_scale": 1})),
    ):
        answer, asked = written(DeepLenseImageProcessor(**options))
        assert (answer, len(asked)) == ({}, 1)


def test_the_pictures_of_the_finder_are_answered_for_rightly() -> None:
    (marker,) = (path for path in RELEASED if path.parent.name == "deeplense-swin-finder")
    explain = pipeline("lens-classification", model=str(marker.parent))
    for example in read_release(marker.parent).examples:
        for ending, expected in (("png", example.picture_answer), ("npy", example.answer)):
            answer = explain(str(marker.parent / "examples" / f"{example.name}.{ending}"))
            assert answer["label"] == example.name
            assert {f"probability_{name}": score for name, score in answer["scores"].items()} == {
                name: pytest.approx(value, abs=1e-3) for name, value in expected.items()
            }
    card = (marker.parent / "README.md").read_text()
    assert "widget:" in card
    assert "pictures are for the eye" not in card
    assert "Red, green and blue of a colour picture are taken for the bands 2, 1 and 0" in card


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
