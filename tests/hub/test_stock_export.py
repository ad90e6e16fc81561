"""An export without our code answers as the model that it was made of, on pictures of 8 bits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset
from PIL import Image
from transformers import AutoModelForImageClassification

from deeplense_hf.data import loading
from deeplense_hf.data.loading import LensImageDecoder, load_lenses
from deeplense_hf.data.schema import features
from deeplense_hf.evaluation.report import EvaluationReport
from deeplense_hf.evaluation.run import evaluate_model
from deeplense_hf.hub.safe_files import files_to_publish
from deeplense_hf.hub.stock_card import render_stock_card
from deeplense_hf.hub.stock_export import ExportOptions, eight_bit, export_stock
from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.models.presets import build_config
from deeplense_hf.simulation.recipes import get_recipe
from deeplense_hf.simulation.simulator import simulate_batch

RELEASED = sorted(Path(__file__).parents[2].glob("model_cards/*/stock.json"))

ASK = """
import sys
import json
from transformers import pipeline
classify = pipeline("image-classification", model=sys.argv[1])
print(json.dumps([{entry["label"]: entry["score"] for entry in classify(path)} for path in sys.argv[2:]]))
"""


def saved(folder: Path, stem: str = "patch", **processing: Any) -> Path:
    """What a training of a stock network leaves behind."""
    names = dict(enumerate(("no_sub", "cdm", "axion")))
    options = {"id2label": names, "label2id": {name: index for index, name in names.items()}, "num_channels": 1}
    options |= {
        "embed_dim": 16,
        "depths": (1, 1),
        "num_heads": (2, 2),
        "initializer_range": 0.3,
        "task": "classification",
    }
    if stem == "conv":
        options |= {"stem": "conv", "patch_size": 8}
    torch.manual_seed(0)
    model = AutoModelForImageClassification.from_config(build_config("deeplense-swin-stock", **options))
    model.save_pretrained(folder)
    settings = {"crop_size": 24, "size": 48, "stretch": "log", "normalisation": "minmax", **processing}
    DeepLenseImageProcessor(num_channels=1, **settings).save_pretrained(folder)
    options_of_run = {"dataset": "test", "images_per_class": 20, "simulation_seed": 0, "model": "deeplense-swin-stock"}
    options_of_run["task"] = "classification"
    (folder / "training_options.yaml").write_text(yaml.safe_dump(options_of_run))
    record = {"steps": 10, "images": 640, "seconds": 30.0, "processes": 1, "threads": 2, "device": "Test CPU"}
    (folder / "training_record.json").write_text(json.dumps({**record, "precision": "float32", "seed": 0}))
    return folder


def in_two_bands(dataset: Dataset) -> Dataset:
    """Return the same data with every image twice, as two bands."""
    images = np.repeat(LensImageDecoder(dataset)[:], 2, axis=1)
    declared = features(dataset.features["label"].names, *images.shape[1:])
    return Dataset.from_dict({**{name: dataset[name] for name in declared}, "image": list(images)}, features=declared)


def test_pictures_are_answered_for_as_numbers_are(tmp_path: Path, client: Any) -> None:
    run = saved(tmp_path / "run")
    options = ExportOptions(str(run), "deeplense-rgb", str(tmp_path / "cards"))
    export_stock(options)
    folder = tmp_path / "cards" / "deeplense-rgb"
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["num_channels"], "auto_map" in config) == ("swin", 3, False)
    assert not list(folder.glob("*.py"))
    about = json.loads((folder / "stock.json").read_text())
    assert about["largest_difference"] < 1e-5
    assert about["pictures"] == 6
    # by transformers alone, from files
    pictures = [str(folder / "examples" / f"{name}.png") for name in ("no_sub", "cdm", "axion")]
    asked = client("-c", ASK, str(folder), *pictures, token=None, without_package=True)
    assert asked.returncode == 0, asked.stderr
    answers = json.loads(asked.stdout.strip().splitlines()[-1])
    ours = Predictor.from_pretrained(run, "cpu")
    for path, answer, written in zip(pictures, answers, about["example_answers"], strict=True):
        values = np.asarray(Image.open(path))[..., 0].astype(np.float32)[None, None] / 255
        with torch.no_grad():
            expected = ours.model(pixel_values=torch.from_numpy(values)).logits.softmax(-1)[0].tolist()
        names = ours.class_names
        assert [answer[name] for name in names] == pytest.approx(expected, abs=1e-5)
        assert [written[name] for name in names] == pytest.approx(expected, abs=1e-4)
    assert max(max(answer.values()) for answer in answers) > 0.5
    # the card and the scores are of the export
    assert (folder / "README.md").read_text() == render_stock_card(folder)
    assert EvaluationReport.load(folder / "metrics.json").dataset == "test, as 8-bit pictures"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="holds an export already"):
        export_stock(options)
    options.overwrite = True
    export_stock(options)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_picture_is_the_processed_image_in_8_bits(tmp_path: Path) -> None:
    predictor = Predictor.from_pretrained(saved(tmp_path / "run"), "cpu")
    images = simulate_batch(get_recipe("test"), "cdm", [0, 1], seed=0).images
    pictures = eight_bit(predictor, images)
    assert (pictures.dtype, pictures.shape) == (np.uint8, (2, 48, 48))
    assert (pictures.min(), pictures.max()) == (0, 255)
    processed = predictor.processor.process_batch(torch.from_numpy(images))[:, 0].numpy()
    assert np.abs(pictures / 255 - processed).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("stem", "processing", "message"),
    [
        ("conv", {}, "stem='conv' has no counterpart"),
        ("patch", {"normalisation": "standard"}, "only a model with normalisation=minmax"),
    ],
)
def test_what_has_no_counterpart_is_refused(
    stem: str, processing: dict[str, str], message: str, tmp_path: Path
) -> None:
    run = saved(tmp_path / "run", stem, **processing)
    with pytest.raises(ValueError, match=message):
        export_stock(ExportOptions(str(run), "x", str(tmp_path)))
    assert not (tmp_path / "x").exists()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something that is no export"):
        export_stock(ExportOptions(str(run), "notes", str(tmp_path), overwrite=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda test: test.remove_columns("label"),
            "no column 'label' with class names, so there is nothing to compare",
        ),
        (lambda test: test.map(lambda row: {"label": -1}), "none of the 6 images has a label"),
        (in_two_bands, "has 2 bands, but the model takes 1 band"),
    ],
)
def test_images_that_cannot_be_measured_on_are_refused(
    change: Callable[[Dataset], Dataset], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, test = saved(tmp_path / "run"), change(load_lenses("test", images_per_class=20)["test"])
    monkeypatch.setattr(loading, "load_lenses", lambda *_, **__: {"test": test})
    with pytest.raises(ValueError, match=message):
        export_stock(ExportOptions(str(run), "x", str(tmp_path)))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("marker", RELEASED, ids=[path.parent.name for path in RELEASED])
def test_released_exports_are_as_they_should_be(marker: Path) -> None:
    folder = marker.parent
    assert files_to_publish(folder)
    assert (folder / "README.md").read_text() == render_stock_card(folder)


def test_baselines_stand_beside(tmp_path: Path, make_model: Callable[..., tuple[Any, Any]]) -> None:
    run = saved(tmp_path / "run")
    splits = load_lenses("test", images_per_class=20)

    def evaluated(folder: Path, model: Any, processor: Any, split: str) -> Path:
        names = {"model_name": folder.name, "dataset_name": "test", "split": split}
        evaluate_model(model, processor, splits[split], output_dir=folder, bootstrap_samples=10, **names)
        record = json.loads((run / "training_record.json").read_text())
        (folder / "training_record.json").write_text(json.dumps({**record, "steps": 4000}))
        return folder

    own = Predictor.from_pretrained(run, "cpu")
    evaluated(run, own.model, own.processor, "test")
    resnet = evaluated(tmp_path / "resnet", *make_model(seed=3, spread=20), "test")
    elsewhere = evaluated(tmp_path / "elsewhere", *make_model(), "validation")
    with pytest.raises(ValueError, match="elsewhere is not on the test images"):
        export_stock(ExportOptions(str(run), "x", str(tmp_path / "cards"), baselines=[str(elsewhere)]))
    assert not (tmp_path / "cards" / "x").exists()
    with pytest.raises(ValueError, match="leave out --dataset or --baselines"):
        ExportOptions(str(run), "x", dataset="test", baselines=[str(resnet)])
    export_stock(ExportOptions(str(run), "x", str(tmp_path / "cards"), baselines=[str(resnet)]))
    text = (tmp_path / "cards" / "x" / "README.md").read_text()
    assert "|  | this model | resnet |" in text
    assert "`resnet` was trained for 4,000 steps on 640 images" in text
    assert text == render_stock_card(tmp_path / "cards" / "x")
