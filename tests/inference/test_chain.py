"""A chain asks each model about what the one before passes on, and says nothing of the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from deeplense_hf.inference.chain import Chain
from deeplense_hf.inference.predict import PredictOptions, predict
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models import AutoModelForImageRegression, DeepLenseImageProcessor
from deeplense_hf.models.presets import build_config

SUBSTRUCTURE = ("no_sub", "cdm", "axion")
MASS = "log10_axion_mass_ev"


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 1, 40, 40)).astype(np.float32)


@pytest.fixture
def folders(tmp_path: Path, images: np.ndarray, make_model: Callable[..., tuple[Any, Any]]) -> list[str]:
    """A lens finder, a classifier and a regression that say different things of different images."""

    @torch.no_grad()
    def undecided(model: Any, processor: Any) -> None:
        """Let every class be the likeliest of some images."""
        logits = model(**processor(list(images), return_tensors="pt")).logits
        model.classifier.bias -= logits.mean(dim=0)

    def saved(model: Any, processor: Any, name: str) -> str:
        model.save_pretrained(tmp_path / name)
        processor.save_pretrained(tmp_path / name)
        return str(tmp_path / name)

    finder, processor = make_model(("non_lens", "lens"), spread=300)
    finder.config.task = "lens_finding"
    classifier, _ = make_model(SUBSTRUCTURE, seed=2, spread=300)
    undecided(finder, processor)
    undecided(classifier, processor)
    torch.manual_seed(0)
    config = build_config(
        "deeplense-vit-test", image_size=32, task="regression", id2label={0: MASS}, label2id={MASS: 0}
    )
    regression = AutoModelForImageRegression.from_config(config)
    return [
        saved(finder, processor, "finder"),
        saved(classifier, processor, "classifier"),
        saved(regression, DeepLenseImageProcessor(size=32), "regression"),
    ]


def test_each_step_answers_for_what_was_passed_on(folders: list[str], images: np.ndarray) -> None:
    chain = Chain.from_pretrained(folders, "cpu")
    finder, classifier, regression = (Predictor.from_pretrained(folder, "cpu") for folder in folders)
    table = chain.task.table(chain.answers(images))
    assert list(table) == list(chain.task.columns)
    lens = finder.probabilities(images)[:, 1] > 0.5
    axion = lens & (classifier.probabilities(images).argmax(axis=1) == 2)
    assert 0 < axion.sum() < lens.sum() < len(images)
    assert None not in table["lens_finding_predicted_class"]
    asked = np.array([value is not None for value in table["classification_predicted_class"]])
    estimated = np.array([value is not None for value in table[f"regression_{MASS}"]])
    np.testing.assert_array_equal(asked, lens)
    np.testing.assert_array_equal(estimated, axion)
    found = [value for value in table[f"regression_{MASS}"] if value is not None]
    np.testing.assert_allclose(found, regression.answers(images[axion])["predictions"][:, 0], rtol=1e-5)


def test_nobody_is_reached(folders: list[str], images: np.ndarray) -> None:
    chain = Chain.from_pretrained(folders, "cpu")
    no_lens = Predictor.from_pretrained(folders[0], "cpu").probabilities(images)[:, 1] < 0.5
    table = chain.task.table(chain.answers(images[no_lens]))
    assert set(table["classification_predicted_class"]) == {None}
    assert set(table[f"regression_{MASS}"]) == {None}


def test_images_files_and_folders(folders: list[str], images: np.ndarray, tmp_path: Path) -> None:
    chain = Chain.from_pretrained(folders, "cpu")
    np.save(tmp_path / "many.npy", images)
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    rows = chain(tmp_path / "many.npy")
    assert len(rows) == 40
    (alone,) = chain(images[3, 0])
    name = "lens_finding_probability_lens"
    assert alone[name] == pytest.approx(rows[3][name], abs=1e-5)
    assert rows[3]["index"] == 3
    (broken,) = chain(tmp_path / "broken.npy")
    assert "broken.npy" in broken["error"]
    output = tmp_path / "table.parquet"
    predict(PredictOptions(folders, [str(tmp_path / "many.npy")], str(output), device="cpu"))
    table = pq.read_table(output).to_pylist()
    name = "lens_finding_predicted_class"
    assert [row[name] for row in table] == [row[name] for row in rows]
    # a step that was not reached is empty, which is no error
    assert any(row["classification_predicted_class"] is None for row in table)
    assert all(row["error"] is None for row in table)


def test_images_are_read_as_by_the_pipelines(folders: list[str], images: np.ndarray) -> None:
    chain = Chain.from_pretrained(folders, "cpu")
    counts = np.random.default_rng(1).integers(0, 256, size=(40, 40)).astype(np.uint8)
    name = "lens_finding_probability_lens"
    (expected,) = chain(counts)
    for form in (counts[..., None], torch.from_numpy(counts), Image.fromarray(counts), [counts], counts.tolist()):
        (row,) = chain(form)
        assert row[name] == pytest.approx(expected[name], abs=1e-5)
    assert [row[name] for row in chain(Image.fromarray(counts).convert("RGB"))] == [
        pytest.approx(expected[name], abs=1e-5)
    ]
    assert len(chain(images[:3])) == len(chain(list(images[:3]))) == 3
    for blank, reason in ((np.ones((40, 40)), "every pixel is 1"), (np.full((40, 40), np.nan), "NaN or infinite")):
        with pytest.raises(ValueError, match=reason):
            chain(blank)


def test_models_pick_their_bands(folders: list[str], make_model: Callable[..., tuple[Any, Any]]) -> None:
    finder = Predictor.from_pretrained(folders[0], "cpu")
    model, processor = make_model(SUBSTRUCTURE, bands=3)
    processor.bands = (0, 1, 2)
    colour = Predictor(model, processor, "cpu")
    with pytest.raises(ValueError, match=r"picks the bands \[0, 1, 2\] of an image, but 'a' takes images of 1"):
        Chain((finder, colour), ["a", "b"])
    finder.processor.bands = (1,)
    image = np.random.default_rng(0).normal(size=(3, 40, 40)).astype(np.float32)
    (row,) = Chain((finder, colour), ["a", "b"])(image)
    expected = finder.probabilities(image[None])[0, 1]
    assert row["lens_finding_probability_lens"] == pytest.approx(expected, abs=1e-5)


def test_models_that_make_no_chain_are_refused(
    folders: list[str], tmp_path: Path, make_model: Callable[..., tuple[Any, Any]]
) -> None:
    finder, classifier, regression = (Predictor.from_pretrained(folder, "cpu") for folder in folders)
    bands = r"of 3 bands, but 'a' of 1 band, .* processor of 'a' with the bands it is to pick, .* bands=\[0\]"
    for predictors, message in (
        ((finder,), "has at least two models"),
        ((classifier, finder), r"answer classification, lens_finding; a chain asks lens_finding, classification"),
        ((finder, finder), "each once, in this order"),
        ((finder, Predictor(*make_model(SUBSTRUCTURE, bands=3), "cpu")), bands),
        ((Predictor(*make_model(("no_sub", "cdm")), "cpu"), regression), "of the class 'axion', which the classifier"),
    ):
        with pytest.raises(ValueError, match=message):
            Chain(predictors, ["a", "b"][: len(predictors)])
    with pytest.raises(ValueError, match="model is empty"):
        PredictOptions([], ["x"], "y.csv")


def test_a_step_refuses_only_what_it_is_asked_about(folders: list[str], images: np.ndarray, tmp_path: Path) -> None:
    classifier = Predictor.from_pretrained(folders[1], "cpu")
    classifier.processor.target_pixel_scale = 0.05
    classifier.processor.save_pretrained(folders[1])
    np.save(tmp_path / "many.npy", images)
    lens = Predictor.from_pretrained(folders[0], "cpu").probabilities(images)[:, 1] > 0.5
    output = tmp_path / "table.parquet"
    predict(PredictOptions(folders[:2], [str(tmp_path / "many.npy")], str(output), device="cpu"))
    rows = pq.read_table(output).to_pylist()
    refused = np.array(["pixel_scale" in (row["error"] or "") for row in rows])
    np.testing.assert_array_equal(refused, lens)
    assert {row["lens_finding_predicted_class"] for row in rows if not row["error"]} == {"non_lens"}
    chain = Chain.from_pretrained(folders[:2], "cpu")
    assert set(chain.task.table(chain.answers(images[~lens]))["classification_predicted_class"]) == {None}
    with pytest.raises(ValueError, match="pixel_scale"):
        chain(images[lens][0])


@pytest.mark.parametrize("step", [0, 1])
def test_answers_that_are_no_numbers_are_no_class(
    step: int, folders: list[str], images: np.ndarray, tmp_path: Path
) -> None:
    chain = Chain.from_pretrained(folders[:2], "cpu")
    lenses = int((chain.predictors[0].probabilities(images)[:, 1] > 0.5).sum())
    with torch.no_grad():
        chain.predictors[step].model.classifier.bias[1] = torch.nan
    np.save(tmp_path / "many.npy", images)
    rows = chain(tmp_path / "many.npy")
    broken = [row for row in rows if "error" in row]
    assert len(broken) == (len(images) if step == 0 else lenses)
    assert {row["error"] for row in broken} == {"the model's answer is not a number."}
    assert all(set(row) == {"path", "index", "error"} for row in broken)
    # what has no answer is passed on to nobody
    assert chain.answers(images)["1:asked"].sum() == (0 if step == 0 else lenses)
    with pytest.raises(ValueError, match="is not a number"):
        chain(images[broken[0]["index"]])
