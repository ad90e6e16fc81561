"""Models of others: their code is not run, their pickles are not read, whether they lie in a folder or on the Hub."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModelForImageClassification, SwinConfig, SwinForImageClassification

from deeplense_hf.inference.predictor import Predictor
from deeplense_hf.models import DeepLenseBackboneForImageClassification
from deeplense_hf.models.adaptation import adapt_pretrained
from deeplense_hf.models.modeling_deeplense_swin import DeepLenseSwinForImageClassification
from deeplense_hf.training.setup import _config_of

COMMIT = "0" * 40
CODE = "from pathlib import Path\nPath({mark!r}).touch()\n"
Place = Callable[[Path], str]


@pytest.fixture(params=["folder", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a function that puts a folder where models lie and returns its name; whoever is asked there says yes."""
    monkeypatch.setattr("builtins.input", lambda *words: "y")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def put(folder: Path) -> str:
        if request.param == "folder":
            return str(folder)
        # what the Hub's client keeps, since tests are offline
        repository = tmp_path / "cache" / "models--someone--model"
        shutil.copytree(folder, repository / "snapshots" / COMMIT)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        return "someone/model"

    return put


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def refusal(ask: Callable[[], Any]) -> str:
    """Return the sentence of a refusal."""
    with pytest.raises(ValueError, match=r"\.$") as caught:
        ask()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_code_of_a_model_is_not_run(file: str, place: Place, save_model: Callable[..., Path], tmp_path: Path) -> None:
    folder, mark = save_model(), tmp_path / "executed"
    (folder / "code.py").write_text(CODE.format(mark=str(mark)))
    if file == "config.json":
        names = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForImageClassification"), "code.Unheard")
        change(folder / file, model_type="unheard", auto_map=names)
    else:
        change(folder / file, image_processor_type="Unheard", auto_map={"AutoImageProcessor": "code.Unheard"})
    name = place(folder)
    said = refusal(lambda: Predictor.from_pretrained(name, "cpu"))
    assert said.startswith(f"{name} can be loaded only by running code")
    if file == "config.json":
        assert refusal(lambda: _config_of(name)) == said
        assert refusal(lambda: adapt_pretrained(name, DeepLenseBackboneForImageClassification, 1)) == said
    assert not mark.exists()


def test_our_classes_are_used_in_place_of_the_code_beside_a_model(
    place: Place, save_model: Callable[..., Path], tmp_path: Path
) -> None:
    folder, mark = save_model(), tmp_path / "executed"
    assert "auto_map" in json.loads((folder / "config.json").read_text())
    for file in folder.glob("*.py"):
        file.write_text(CODE.format(mark=str(mark)))
    predictor = Predictor.from_pretrained(place(folder), "cpu")
    assert type(predictor.model) is DeepLenseSwinForImageClassification
    assert not mark.exists()


def test_attention_that_the_hub_brings_is_not_run(place: Place, save_model: Callable[..., Path]) -> None:
    folder = save_model()
    change(folder / "config.json", _attn_implementation="someone/attention")
    name = place(folder)
    assert refusal(lambda: Predictor.from_pretrained(name, "cpu")).startswith(f"{name} can be loaded only by running")


@pytest.mark.parametrize("named", ["pytorch_model.bin", "a part", "adapter_model.bin"])
def test_pickled_weights_are_not_read(
    named: str, place: Place, save_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_model()
    weights = AutoModelForImageClassification.from_pretrained(folder).state_dict()
    # safetensors that have nothing to do with the model
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    torch.save(weights, folder / ("pytorch_model.bin" if named == "a part" else named))
    if named == "a part":
        index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "pytorch_model.bin")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    if named == "adapter_model.bin":
        change(folder / "config.json", transformers_weights=named)
    monkeypatch.setattr(torch, "load", lambda *arguments, **options: pytest.fail("unpickled"))
    name = place(folder)
    assert refusal(lambda: Predictor.from_pretrained(name, "cpu")).startswith(f"{name} has no model.safetensors")


def test_a_stock_model_of_pickled_weights_is_not_trained_further(place: Place, tmp_path: Path) -> None:
    config = SwinConfig(image_size=32, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)
    folder = tmp_path / "stock"
    model = SwinForImageClassification(config)
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    name = place(folder)
    said = refusal(lambda: adapt_pretrained(name, DeepLenseBackboneForImageClassification, 1))
    assert said.startswith(f"{name} has no model.safetensors")
