"""A release folder is made of a run, byte by byte the same, and its card says what its files say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from transformers import pipeline

import deeplense_hf
from deeplense_hf.cli import parse_options
from deeplense_hf.data.loading import load_lenses
from deeplense_hf.evaluation.report import EvaluationReport
from deeplense_hf.evaluation.run import evaluate_model
from deeplense_hf.hub.card import render_card
from deeplense_hf.hub.push_model import NEEDED_FILES
from deeplense_hf.hub.release import (
    LARGEST_WEIGHTS,
    ReleaseOptions,
    copy_training,
    is_private_option,
    make_release,
)
from deeplense_hf.hub.safe_files import files_to_publish
from deeplense_hf.hub.stock_export import ExportOptions
from deeplense_hf.models import AutoModelForImageRegression, DeepLenseImageProcessor
from deeplense_hf.models.presets import build_config

RELEASED = sorted(Path(__file__).parents[2].glob("model_cards/*/release.json"))

ASK = """
import sys
import json
from huggingface_hub import hf_hub_download
from transformers import pipeline
repository = sys.argv[1]
image = hf_hub_download(repository, "examples/cdm.npy")
explain = pipeline("lens-classification", model=repository, trust_remote_code=True)
classify = pipeline("image-classification", model=repository, trust_remote_code=True)
print(json.dumps([explain(image), classify(image)]))
"""

SERVE = """
import sys
import base64, importlib.util, io, json
from pathlib import Path
import numpy as np
import torch
from PIL import Image
from astropy.io import fits
folder = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location("handler", folder / "handler.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
handle = module.EndpointHandler(str(folder))
image = np.round(np.load(folder / "examples" / "cdm.npy")[0]).clip(0, 65535)
HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999, 999999)}"
def text(content):
    return base64.b64encode(content).decode()
def written(write):
    buffer = io.BytesIO()
    write(buffer)
    return text(buffer.getvalue())
npy = written(lambda buffer: np.save(buffer, image))
forms = [npy, written(lambda buffer: fits.PrimaryHDU(image).writeto(buffer)), image.tolist(),
         written(lambda buffer: Image.fromarray(image.astype(np.uint16)).save(buffer, format="png"))]
class Evil:
    def __reduce__(self):
        return (Path(sys.argv[2]).touch, ())
evil = np.array([Evil()], dtype=object)
bad = [None, 3, "config.json", str(folder / "config.json"), "http://127.0.0.1/x", text(b"nothing"), npy[:-400], {},
       written(lambda buffer: np.save(buffer, evil, allow_pickle=True)), "x" * (64 * 2**20 + 1),
       text(b"\\x93NUMPY\\x01\\x00v\\x00" + HUGE.ljust(118))]
bad += [[[10**400, 1], [1, 2]], [[1, 2], [3]], [], True, "", [[0.0] * 9] * 9, image[:5, :5].tolist(),
        [image.tolist()] * 2, written(lambda buffer: np.save(buffer, np.stack([image] * 2)[:, None]))]
def asked(data):
    try:
        return handle(data)
    except ValueError as error:
        return {"error": str(error)}
forms += [base64.encodebytes(base64.b64decode(npy)).decode(), [image.tolist()]]
print(json.dumps([handle({"inputs": forms}), handle({"inputs": npy}), [asked({"inputs": one}) for one in bad],
                  asked({"inputs": [npy] * 65}), asked({"inputs": npy, "parameters": {"top_k": 3}}),
                  [asked(3), asked({"inputs": npy, "parameters": 5}),
                   asked({"inputs": npy, "parameters": {"pixel_scale": -1}})],
                  handle({"inputs": [[image.tolist()]] * 2})]))
# weights that are pickled are not read, though there are no others
(folder / "model.safetensors").unlink()
torch.save({}, folder / "pytorch_model.bin")
try:
    module.EndpointHandler(str(folder))
except OSError as error:
    assert "model.safetensors" in str(error), error
else:
    raise AssertionError("pickled weights")
"""


@pytest.fixture
def run(tmp_path: Path, make_model: Callable[..., tuple[Any, Any]]) -> Path:
    """What a training leaves behind."""
    model, processor = make_model(spread=20)
    model.config.prediction_set_threshold = 0.2
    return finished(tmp_path / "run", model, processor, "classification")


def finished(
    folder: Path,
    model: Any,
    processor: Any,
    task: str,
    dataset: str = "test",
    base: str = "deeplense-swin-test",
    **options: Any,
) -> Path:
    model.config.task = task
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    test = load_lenses("test", images_per_class=20)["test"]
    names = {"model_name": str(folder), "dataset_name": dataset}
    evaluate_model(model, processor, test, output_dir=folder, bootstrap_samples=10, **names)
    written = {
        "dataset": dataset,
        "images_per_class": 20,
        "simulation_seed": 0,
        "model": base,
        "task": task,
        "output_dir": str(folder),
        "run_name": "/home/somebody/run",
        "hub_token": "hf_" + "x" * 34,
        "logging_dir": "/home/somebody/logs",
        "teachers": ["/home/somebody/teacher"],
        **options,
    }
    (folder / "training_options.yaml").write_text(yaml.safe_dump(written))
    record = {"steps": 10, "images": 640, "seconds": 7200.0, "processes": 1, "threads": 2, "device": "Test CPU"}
    (folder / "training_record.json").write_text(json.dumps({**record, "precision": "float32", "seed": 0}))
    return folder


def release(run: Path, **options: Any) -> Path:
    make_release(ReleaseOptions(str(run), "deeplense-test", str(run.parent / "cards"), **options))
    return run.parent / "cards" / "deeplense-test"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_run_gives_the_same_bytes(run: Path) -> None:
    first = contents(release(run))
    assert contents(release(run, overwrite=True)) == first
    assert set(NEEDED_FILES) < set(first)
    assert {"examples/cdm.npy", "examples/cdm.png", "figures/roc.png", "pipeline_deeplense.py"} < set(first)
    # nothing of this machine
    private = (str(run).encode(), b"somebody", b"hf_x")
    assert not [name for name, content in first.items() if any(word in content for word in private)]


def test_the_card_says_what_the_files_say(run: Path) -> None:
    folder = release(run)
    text = (folder / "README.md").read_text()
    assert text == render_card(folder)
    report = EvaluationReport.load(folder / "metrics.json")
    measured = report.metrics["roc_auc"]
    assert f"| ROC AUC, macro | {measured.value:.4f} ({measured.low:.4f} to {measured.high:.4f}) |" in text
    assert "took 2.0 hours by the clock on 2 threads of a CPU (Test CPU), in float32" in text
    # what the last example is answered, in the form of the pipeline
    example = json.loads((folder / "release.json").read_text())["examples"][-1]["answer"]
    scores = {name: example[f"probability_{name}"] for name in ("no_sub", "cdm", "axion")}
    label = max(scores, key=lambda name: scores[name])
    assert f"# {{'label': '{label}', 'score': {scores[label]}, 'scores': {scores}, 'prediction_set': [...]}}" in text
    assert not [word for word in ("TODO", "More Information Needed", "None", "nan", "{{") if word in text]
    card = ModelCard.load(folder / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("transformers", "image-classification")
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert results["roc_auc"] == measured.value
    assert len(card.data.widget) == 3
    # what the Hub shows beside a picture is what the model says of that picture
    classify = pipeline("image-classification", model=str(folder))
    for entry in card.data.widget:
        found = {each["label"]: each["score"] for each in classify(str(folder / "examples" / Path(entry["src"]).name))}
        for each in entry["output"]:
            assert each["score"] == pytest.approx(found[each["label"]], abs=1e-3)
    assert {entry["label"] for entry in card.data.widget[0]["output"]} == {"no_sub", "cdm", "axion"}
    # a card does not outlive its numbers
    changed = json.loads((folder / "metrics.json").read_text())
    changed["metrics"]["accuracy"]["value"] = 0.123456
    (folder / "metrics.json").write_text(json.dumps(changed))
    assert "0.1235" in render_card(folder)


def test_what_is_no_recipe_is_not_called_simulated(tmp_path: Path, make_model: Callable[..., tuple[Any, Any]]) -> None:
    folder = finished(tmp_path / "run", *make_model(), "classification", "/home/somebody/survey", base="some/vit")
    folder = release(folder, licence="apache-2.0")
    text = (folder / "README.md").read_text()
    assert "It was trained on images of `survey`." in text
    assert not [word for word in ("somebody", "simulated", "MIT", "`mit`") if word in text]
    data = ModelCard.load(folder / "README.md").data
    assert (data.license, data.base_model, data.datasets) == ("apache-2.0", "some/vit", None)


def test_the_card_of_a_regression_says_what_a_guess_is_worth(tmp_path: Path) -> None:
    target = "log10_axion_mass_ev"
    options = {"id2label": {0: target}, "label2id": {target: 0}, "num_channels": 1, "image_size": 32}
    config = build_config(
        "deeplense-swin-test", **options, target_mean=[-23.0], target_std=[0.58], target_units=["log10 eV"]
    )
    torch.manual_seed(0)
    model, processor = AutoModelForImageRegression.from_config(config).eval(), DeepLenseImageProcessor(num_channels=1)
    processor.size = {"height": 32, "width": 32}
    folder = release(finished(tmp_path / "run", model, processor, "regression", targets=[target]))
    text = (folder / "README.md").read_text()
    # which says that the model knows no classes
    assert list(json.loads((folder / "config.json").read_text())["custom_pipelines"]) == ["image-classification"]
    assert "Estimates `log10_axion_mass_ev` [log10 eV] from one image" in text
    assert "guesses the mean of `log10_axion_mass_ev` over the training systems, -23, has an RMSE of 0.58" in text
    assert "it has not learnt this quantity" in text
    assert "(true: log10_axion_mass_ev -2" in text
    # those that have no axions were not learnt from
    assert [path.name for path in sorted((folder / "examples").glob("*.npy"))] == ["axion.npy"]
    assert "`trust_remote_code=True` runs the Python files" not in text
    assert "| `targets` | `log10_axion_mass_ev` |" in text
    data = ModelCard.load(folder / "README.md").data
    assert (data.metrics, data.get("widget")) == (["r_squared", "mae"], None)


def test_comparisons_stand_beside(run: Path, make_model: Callable[..., tuple[Any, Any]]) -> None:
    splits = load_lenses("test", images_per_class=20)
    options = {"bootstrap_samples": 10}
    for name, seed, split in (("resnet", 3, "test"), ("elsewhere", 0, "validation")):
        model, processor = make_model(seed=seed, spread=20)
        if seed == 0:
            model.config.prediction_set_threshold = 0.2
            model.config.task = "classification"
        evaluate_model(
            model,
            processor,
            splits[split],
            output_dir=run.parent / name,
            model_name=f"/home/somebody/{name}",
            dataset_name="/data/somebody/survey" if seed == 0 else "test",
            description="Images that a survey took." if seed == 0 else "",
            split=split,
            **options,
        )
    resnet, elsewhere = str(run.parent / "resnet"), str(run.parent / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"resnet is no training run of this version: it lacks training_record"):
        release(run, baselines=[resnet])
    record = json.loads((run / "training_record.json").read_text())
    (Path(resnet) / "training_record.json").write_text(json.dumps({**record, "steps": 4000}))
    options_of_run = yaml.safe_load((run / "training_options.yaml").read_text())
    changed = {**options_of_run, "learning_rate": 0.01, "cpu_threads": 7, "output_dir": "/home/somebody/resnet"}
    (Path(resnet) / "training_options.yaml").write_text(yaml.safe_dump(changed))
    folder = release(run, baselines=[resnet], evaluations=[elsewhere])
    text = (folder / "README.md").read_text()
    assert "|  | this model | resnet |" in text
    assert (
        "`resnet` was trained for 4,000 steps on 640 images, 2.0 hours on 2 threads of a CPU (Test CPU), in float32, "
        "with `learning_rate` `0.01`."
    ) in text
    # the Hub takes what is said of a data set for a claim about all of it, and has no survey of ours
    results = ModelCard.load(folder / "README.md").data.eval_results
    assert {(each.dataset_type, each.dataset_config) for each in results} == {("ml4sci/deeplense-test", None)}
    assert "On `survey`, split validation" in text
    assert "images (2 no_sub, 2 cdm, 2 axion). Images that a survey took.\n\n|" in text
    # a release is made again from itself, with all that it says
    before = contents(folder)
    make_release(ReleaseOptions(str(folder), folder.name, str(folder.parent), overwrite=True))
    assert contents(folder) == before
    with pytest.raises(ValueError, match="scores of other weights"):
        release(run, overwrite=True, evaluations=[resnet])
    with pytest.raises(ValueError, match="is not on the test images of"):
        release(run, overwrite=True, baselines=[elsewhere])


def test_the_last_bits_of_another_machine_change_no_release(run: Path) -> None:
    folder = release(run)
    path = folder / "release.json"
    text = path.read_text()
    written = json.loads(text)
    scores = written["examples"][0]["answer"]
    name = next(iter(scores))
    scores[name] += 1e-4
    path.write_text(json.dumps(written))
    make_release(ReleaseOptions(str(folder), folder.name, str(folder.parent), overwrite=True))
    assert json.loads(path.read_text())["examples"][0]["answer"][name] == scores[name]
    scores[name] += 0.01
    path.write_text(json.dumps(written))
    make_release(ReleaseOptions(str(folder), folder.name, str(folder.parent), overwrite=True))
    assert path.read_text() == text


def test_nothing_is_lost(run: Path) -> None:
    folder = release(run)
    before = contents(folder)
    with pytest.raises(ValueError, match="holds a release already"):
        release(run)
    with pytest.raises(ValueError, match="holds something that is no release"):
        make_release(ReleaseOptions(str(run), "run", str(run.parent), overwrite=True))
    (run / "training_record.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks training_record.json"):
        release(run, overwrite=True)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["deeplense-test"]
    notes = run.parent / "cards" / "notes"
    notes.mkdir()
    (notes / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds something that is no release"):
        make_release(ReleaseOptions(str(run), "notes", str(run.parent / "cards"), overwrite=True))


@pytest.mark.parametrize("options", [ReleaseOptions, ExportOptions])
@pytest.mark.parametrize("name", ["../../evil", "a b", "", "-a", "a/b", "a\n"])
def test_names_are_names_on_the_hub(options: Any, name: str) -> None:
    with pytest.raises(ValueError, match=r"(?s)^name='.*' is no name on the Hub; begin with a letter"):
        options("run", name)
    with pytest.raises(ValueError, match=r"(?s)^owner='.*' is no name on the Hub; begin with a letter"):
        options("run", "deeplense-test", owner=name)


def test_of_all_tokens_that_of_a_network_alone_is_published() -> None:
    tokens = {name for options in parse_options("train", []) for name in vars(options) if name.endswith("token")}
    assert {"hub_token", "distillation_token"} <= tokens
    names = {*tokens, "push_to_hub_token", "wandb_token"}
    assert [name for name in names if not is_private_option(name)] == ["distillation_token"]


def test_an_option_of_a_network_stays_in_a_release(run: Path, tmp_path: Path) -> None:
    options, copied = run / "training_options.yaml", tmp_path / "copied"
    written = yaml.safe_load(options.read_text()) | {"distillation_token": True, "push_to_hub_token": "hf_y"}
    options.write_text(yaml.safe_dump(written))
    copied.mkdir()
    copy_training(run, copied)
    kept = yaml.safe_load((copied / "training_options.yaml").read_text())
    assert kept["distillation_token"] is True
    assert not {"hub_token", "push_to_hub_token", "output_dir", "run_name"} & set(kept)


def test_pipelines_run_from_the_hub_without_the_package(run: Path, hub: Any, client: Any) -> None:
    folder = release(run)
    repository = "ml4sci/deeplense-test"
    pushed = client("-m", "deeplense_hf", "push", "--folder", str(folder), "--repo_id", repository)
    assert pushed.returncode == 0, pushed.stderr
    asked = client("-c", ASK, repository, token=None, without_package=True)
    assert asked.returncode == 0, asked.stderr
    explained, classified = json.loads(asked.stdout.strip().splitlines()[-1])
    answers = json.loads((folder / "release.json").read_text())["examples"][1]["answer"]
    for name in ("no_sub", "cdm", "axion"):
        assert explained["scores"][name] == pytest.approx(answers[f"probability_{name}"], abs=1e-4)
    assert explained["scores"] == pytest.approx({entry["label"]: entry["score"] for entry in classified})
    assert explained["prediction_set"]


def test_the_handler_of_an_endpoint(run: Path, client: Any) -> None:
    folder = release(run)
    touched = run.parent / "touched"
    served = client("-c", SERVE, str(folder), str(touched), token=None, without_package=True)
    assert served.returncode == 0, served.stderr
    forms, alone, bad, many, parameter, requests, deeper = json.loads(served.stdout.strip().splitlines()[-1])
    assert set(alone) == {"label", "score", "scores", "prediction_set"}
    assert [form["scores"] for form in forms] == [pytest.approx(alone["scores"], abs=1e-5)] * 6
    assert [answer["scores"] for answer in deeper] == [pytest.approx(alone["scores"], abs=1e-5)] * 2
    assert [set(answer) for answer in requests] == [{"error"}] * 3
    assert [set(answer) for answer in bad] == [{"error"}] * len(bad)
    assert not touched.exists()
    assert "at most 64 at a time" in many["error"]
    assert "no parameter 'top_k'" in parameter["error"]


@pytest.mark.parametrize("marker", RELEASED, ids=[path.parent.name for path in RELEASED])
def test_released_folders_are_as_they_should_be(marker: Path) -> None:
    folder = marker.parent
    assert set(NEEDED_FILES) <= set(files_to_publish(folder))
    assert (folder / "model.safetensors").stat().st_size <= LARGEST_WEIGHTS
    assert (folder / "README.md").read_text() == render_card(folder)
    for path in folder.glob("*.py"):
        room = "hub" if path.name == "handler.py" else "models"
        packaged = Path(deeplense_hf.__file__).parent / room / path.name
        assert path.read_bytes() == packaged.read_bytes(), (
            f"make it again: deeplense-hf make-release --model {folder} --name {folder.name} --overwrite True"
        )
