"""A colour picture is brought to the order of a model's bands by every door, an array by none; training agrees."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from datasets import Dataset, DatasetDict
from PIL import Image
from transformers import pipeline

from deeplense_hf.cli import parse_options
from deeplense_hf.data.loading import LensImageDecoder, load_lenses
from deeplense_hf.data.schema import IMAGE, LABEL, PIXEL_SCALE, RECIPE, SOURCE_FILE, SYSTEM_ID, features
from deeplense_hf.evaluation.dataset_predictions import predict_dataset
from deeplense_hf.hub.handler import EndpointHandler, reading_of
from deeplense_hf.inference.chain import Chain
from deeplense_hf.inference.predict import PredictOptions, predict
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.models.image_reading import to_tensor
from deeplense_hf.tasks.registry import TASKS
from deeplense_hf.training.setup import build_model_and_processor

CLASSES = ("non_lens", "lens")
ORDER = (2, 1, 0)
# red is much brighter than blue, so that the order tells
PICTURE = np.random.default_rng(0).integers(1, 80, size=(40, 40, 3)).astype(np.uint8)
PICTURE[10:20, :, 0] += 150
BANDS = np.ascontiguousarray(PICTURE.transpose(2, 0, 1)[::-1]).astype(np.float32)
LENS = "probability_lens"


@dataclass
class Finder:
    """A finder of three bands, and one like it that takes channels as bands."""

    folder: Path
    predictor: Predictor
    as_stored: Predictor

    def of(self, image: np.ndarray) -> float:
        return float(self.predictor.probabilities(image[None])[0, 1])


@pytest.fixture
def finder(make_model: Callable[..., tuple[Any, Any]], tmp_path: Path) -> Finder:
    model, processor = make_model(CLASSES, bands=3, spread=50)
    model.config.task = "lens_finding"
    as_stored = DeepLenseImageProcessor(**{"num_channels": 3, "size": 32, "per_band": False})
    processor = DeepLenseImageProcessor(**{"num_channels": 3, "size": 32, "per_band": False, "colour_bands": ORDER})
    for part in (model, processor):
        part.save_pretrained(tmp_path / "finder")
    made = Finder(
        tmp_path / "finder", Predictor.from_pretrained(tmp_path / "finder", "cpu"), Predictor(model, as_stored, "cpu")
    )
    assert abs(made.of(BANDS) - made.of(BANDS[::-1].copy())) > 0.01, "the order must tell"
    return made


def write_files(folder: Path) -> dict[str, bool]:
    """Write the same numbers as pictures, which are red first, and as arrays; name the pictures."""
    folder.mkdir()
    Image.fromarray(PICTURE).save(folder / "colour.png")
    Image.fromarray(PICTURE).convert("RGBA").save(folder / "transparent.png")
    Image.fromarray(PICTURE).save(folder / "colour.tif")
    np.save(folder / "bands.npy", BANDS)
    np.save(folder / "bands_last.npy", BANDS.transpose(1, 2, 0))
    fits.PrimaryHDU(BANDS).writeto(folder / "bands.fits")
    np.save(folder / "reversed.npy", BANDS[::-1])
    return {path.name: path.suffix in (".png", ".tif") for path in sorted(folder.iterdir())}


def table_of(finder: Finder, inputs: Path, output: Path, **options: Any) -> dict[str, float]:
    predict(PredictOptions([str(finder.folder)], [str(inputs)], str(output), device="cpu", **options))
    return {Path(row["path"]).name: row[LENS] for row in pq.read_table(output).to_pylist()}


def test_every_door_reads_pictures_alike(finder: Finder, tmp_path: Path) -> None:
    names = write_files(tmp_path / "images")
    explain = pipeline("lens-classification", model=str(finder.folder))
    classify = pipeline("image-classification", model=str(finder.folder))
    handler = EndpointHandler.__new__(EndpointHandler)
    handler.explain, handler.reading = explain, reading_of("deeplense_hf.models")
    predicted = table_of(finder, tmp_path / "images", tmp_path / "table.parquet")
    right, wrong = finder.of(BANDS), finder.of(BANDS[::-1].copy())
    assert len(predicted) == len(names) == 7
    for name in names:
        path = tmp_path / "images" / name
        text = base64.b64encode(path.read_bytes()).decode()
        answers = [
            explain(path)["scores"]["lens"],
            explain(text)["scores"]["lens"],
            {entry["label"]: entry["score"] for entry in classify(str(path))}["lens"],
            handler({"inputs": text})["scores"]["lens"],
            predicted[name],
        ]
        expected = wrong if name == "reversed.npy" else right
        assert answers == [pytest.approx(expected, abs=1e-5)] * 5, name
    # by hand, in lists and as nested numbers too
    picture = Image.fromarray(PICTURE)
    assert [one["scores"]["lens"] for one in explain([picture, BANDS])] == [pytest.approx(right, abs=1e-5)] * 2
    assert handler({"inputs": BANDS.tolist()})["scores"]["lens"] == pytest.approx(right, abs=1e-5)
    # an array is never taken for a picture, even of the numbers and the shape of one
    assert explain(PICTURE)["scores"]["lens"] == pytest.approx(wrong, abs=1e-5)


def test_who_names_the_bands_gets_those_of_the_file(finder: Finder, tmp_path: Path) -> None:
    write_files(tmp_path / "images")
    named = table_of(finder, tmp_path / "images", tmp_path / "named.parquet", bands=[0, 1, 2])
    assert named["colour.png"] == pytest.approx(finder.of(BANDS[::-1].copy()), abs=1e-5)
    assert named["bands.npy"] == pytest.approx(finder.of(BANDS), abs=1e-5)


def test_a_model_without_colours_takes_channels_as_bands(finder: Finder, tmp_path: Path) -> None:
    write_files(tmp_path / "images")
    finder.as_stored.processor.save_pretrained(finder.folder)
    predicted = table_of(finder, tmp_path / "images", tmp_path / "table.parquet")
    answer = pipeline("lens-classification", model=str(finder.folder))(str(tmp_path / "images" / "colour.png"))
    expected = pytest.approx(finder.of(BANDS[::-1].copy()), abs=1e-5)
    assert [predicted["colour.png"], answer["scores"]["lens"]] == [expected] * 2


def test_a_chain_reads_a_picture_once_for_all(
    finder: Finder, tmp_path: Path, make_model: Callable[..., tuple[Any, Any]]
) -> None:
    write_files(tmp_path / "images")
    model, processor = make_model(bands=1, seed=3, spread=50)
    # picks the last band of an image, which is red
    processor.bands = (2,)
    second = Predictor(model, processor, "cpu")
    chain = Chain((finder.predictor, second), ["finder", "classifier"])
    assert chain.colour_bands == ORDER
    # whatever the finder says, ask on
    finder.predictor.model.classifier.bias.data[1] += 100
    for image in (Image.fromarray(PICTURE), BANDS, tmp_path / "images" / "colour.png", tmp_path / "images/bands.fits"):
        (row,) = chain(image)
        expected = second.probabilities(BANDS[None])[0, 1]
        assert row["classification_probability_cdm"] == pytest.approx(expected, abs=1e-5)
    second.processor.colour_bands = (0, 1, 2)
    with pytest.raises(ValueError, match=r"'b' takes red, .* for the bands \[0, 1, 2\], but 'a' for \[2, 1, 0\], and"):
        Chain((finder.predictor, second), ["a", "b"])


def test_the_fingerprint_is_of_the_answers_for_arrays(finder: Finder, tmp_path: Path) -> None:
    assert finder.predictor.fingerprint() == finder.as_stored.fingerprint()
    # a table of answers for pictures is of one order of colours all the same
    write_files(tmp_path / "images")
    table_of(finder, tmp_path / "images", tmp_path / "table.parquet")
    finder.as_stored.processor.save_pretrained(finder.folder)
    with pytest.raises(ValueError, match="with a different choice of model"):
        table_of(finder, tmp_path / "images", tmp_path / "table.parquet")


def import_pictures(folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 16) -> DatasetDict:
    """Import a folder of colour pictures of two classes."""
    rng = np.random.default_rng(1)
    for number in range(count):
        place = folder / "pictures" / CLASSES[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(PICTURE + rng.integers(0, 20, size=PICTURE.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.PNG")
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(folder / "cache"))
    return load_lenses(str(folder / "pictures"))


def test_imported_pictures_are_asked_about_as_the_files_are(
    finder: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = import_pictures(tmp_path, monkeypatch)["train"]
    files = table_of(finder, tmp_path / "pictures", tmp_path / "files.parquet")
    found = predict_dataset(finder.predictor, split, 4)
    names = [Path(name).name for name in LensImageDecoder(split).column(SOURCE_FILE)]
    assert found.answers["probabilities"][:, 1] == pytest.approx([files[name] for name in names], abs=1e-5)
    # what the scores are of does not depend on the model
    assert predict_dataset(finder.as_stored, split, 4).fingerprint == found.fingerprint
    (folder,) = {path.parent.parent for path in (tmp_path / "cache").rglob("*.parquet")}
    rows = table_of(finder, folder, tmp_path / "rows.parquet")
    assert rows == {name: pytest.approx(files[name], abs=1e-5) for name in files}


def split_of(**columns: Any) -> DatasetDict:
    """Make a training split of three bands, of random numbers."""
    declared = features(CLASSES, 3, 40, 40)
    images = list(np.random.default_rng(0).normal(size=(4, 3, 40, 40)).astype(np.float32))
    given = {name: [None] * 4 for name in declared} | {IMAGE: images, LABEL: [0, 1, 0, 1], SYSTEM_ID: list("abcd")}
    return DatasetDict(
        {"train": Dataset.from_dict(given | {name: [value] * 4 for name, value in columns.items()}, features=declared)}
    )


def processor_for(model: str | Path, splits: DatasetDict, tmp_path: Path) -> Any:
    words = ["--model", str(model), "--task", "lens_finding", "--dataset", "mine", "--use_cpu"]
    words += ["--output_dir", str(tmp_path / "run")]
    options, task_options, method_options, _ = parse_options("train", words)
    task = TASKS["lens_finding"].from_dataset(splits, task_options, "mine")
    return build_model_and_processor(options, method_options, task, splits)[1]


def test_new_models_read_pictures_as_their_training_images(
    finder: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = import_pictures(tmp_path, monkeypatch)
    simulated, numbers = split_of(**{RECIPE: "lens_finding"}), split_of(**{SOURCE_FILE: "a.fits"})
    expected = {
        "deeplense-swin-test": {"simulated": ORDER, "numbers": None, "pictures": None},
        # one that is trained further keeps what it knows, unless it learns otherwise
        finder.folder: {"simulated": ORDER, "numbers": ORDER, "pictures": None},
    }
    for model, orders in expected.items():
        for splits, order in zip((simulated, numbers, pictures), orders.values(), strict=True):
            assert processor_for(model, splits, tmp_path).colour_bands == order
    (image, *_), (name, *_) = pictures["train"][IMAGE], pictures["train"][SOURCE_FILE]
    # what was learnt from is what is asked about
    processor = processor_for(finder.folder, pictures, tmp_path)
    learnt = processor(np.array(image, dtype=np.float32), return_tensors="np").pixel_values
    read = processor(tmp_path / "pictures" / name, return_tensors="np").pixel_values
    np.testing.assert_array_equal(read, learnt)


def test_simulated_bands_are_shown_in_the_order_that_is_read() -> None:
    from deeplense_hf.data.display import COLOUR_BANDS, display_colours

    bands = np.random.default_rng(0).normal(size=(3, 40, 40))
    bands[2, 10:20, 10:20] += 50
    bands[1, 10:20, 10:20] += 5
    shown = Image.fromarray(display_colours(bands))
    order = to_tensor(shown, colour_bands=COLOUR_BANDS)[:, 15, 15].tolist()
    assert order == sorted(order)
    assert order[2] > order[0]


def test_models_know_the_pixel_scale_that_they_learnt_from(finder: Finder, tmp_path: Path) -> None:
    for model in ("deeplense-swin-test", finder.folder):
        of_one, unknown = split_of(**{PIXEL_SCALE: 0.2}), split_of()
        assert processor_for(model, of_one, tmp_path).learnt_pixel_scale == pytest.approx(0.2)
        assert processor_for(model, unknown, tmp_path).learnt_pixel_scale is None
