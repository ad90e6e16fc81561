"""A saved folder loads by the Auto classes in a process that does not have this package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageClassification
from transformers.dynamic_module_utils import custom_object_save

from deeplense_hf.models import (
    AutoModelForImageRegression,
    DeepLenseImageClassificationPipeline,
    DeepLenseImageProcessor,
)
from deeplense_hf.models.presets import build_config

LOADER = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "deeplense_hf":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Hidden())
import numpy as np
import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification

for folder in sys.argv[1:]:
    for source in (folder, folder + "-again"):
        config = AutoConfig.from_pretrained(source, trust_remote_code=True)
        processor = AutoImageProcessor.from_pretrained(source, trust_remote_code=True)
        model = AutoModelForImageClassification.from_pretrained(source, trust_remote_code=True).eval()
        features = AutoModel.from_pretrained(source, trust_remote_code=True).eval()
        assert type(config).__module__.startswith("transformers_modules."), type(config)
        assert type(features).__name__.endswith("Model"), type(features)
        inputs = processor(np.load(folder + "/image.npy"), return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits
            assert torch.equal(model.classifier(features(**inputs).pooler_output), logits)
        np.testing.assert_array_equal(logits.numpy(), np.load(folder + "/logits.npy"))
        # what was loaded can be saved, with its code
        model.save_pretrained(folder + "-again")
        processor.save_pretrained(folder + "-again")
# the classes that transformers has no Auto class for are found by name
from transformers.dynamic_module_utils import get_class_from_dynamic_module
for name in ("AutoModelForImageRegression", "AutoModelForAnomalyDetection", "AutoModelForMaskedImageModeling"):
    head = get_class_from_dynamic_module(config.auto_map[name], sys.argv[-1])
    assert head.from_pretrained(sys.argv[-1]).backbone is not None
# and a regression is not asked for classes
from transformers import pipeline
try:
    pipeline("image-classification", model=sys.argv[-1] + "-regression", trust_remote_code=True)
except ValueError as error:
    assert "answers regression and knows no classes" in str(error), error
else:
    raise AssertionError("classes of a regression")
assert "deeplense_hf" not in sys.modules
"""


def test_folders_load_without_the_package(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folders = []
    for preset in ("deeplense-swin-test", "deeplense-vit-test", "resnet-test"):
        folder = tmp_path / preset
        model = AutoModelForImageClassification.from_config(
            build_config(preset, image_size=32, num_labels=3, initializer_range=0.1)
        )
        processor = DeepLenseImageProcessor(size=32, crop_size=40, background="border_median")
        model.eval().save_pretrained(folder)
        processor.save_pretrained(folder)
        image = np.random.default_rng(0).normal(size=(50, 50)).astype(np.float32)
        np.save(folder / "image.npy", image)
        with torch.no_grad():
            np.save(folder / "logits.npy", model(**processor(image, return_tensors="pt")).logits.numpy())
        folders.append(str(folder))
    # a release of a regression names this pipeline, so that transformers' own does not answer by a head of chance
    regression = Path(f"{folders[-1]}-regression")
    config = build_config("resnet-test", image_size=32, task="regression", id2label={0: "x"}, label2id={"x": 0})
    for part in (AutoModelForImageRegression.from_config(config), DeepLenseImageProcessor(size=32)):
        part.save_pretrained(regression)
    custom_object_save(DeepLenseImageClassificationPipeline, regression)
    implementation = "pipeline_deeplense.DeepLenseImageClassificationPipeline"
    named = {"impl": implementation, "pt": ["AutoModelForImageClassification"], "type": "image"}
    saved = json.loads((regression / "config.json").read_text())
    saved["custom_pipelines"] = {"image-classification": named}
    (regression / "config.json").write_text(json.dumps(saved))
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "modules"), "OMP_NUM_THREADS": "1"}
    # -I: neither the working directory nor PYTHONPATH can bring the package in
    result = subprocess.run(
        [sys.executable, "-I", "-c", LOADER, *folders],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("preset", ["deeplense-swin-test", "deeplense-vit-test"])
def test_the_package_needs_no_trust(preset: str, tmp_path: Path) -> None:
    model = AutoModelForImageClassification.from_config(build_config(preset))
    model.save_pretrained(tmp_path)
    # there is code in the folder, and the registered classes win over it
    assert list(tmp_path.glob("modeling_*.py"))
    assert type(AutoModelForImageClassification.from_pretrained(tmp_path)) is type(model)
