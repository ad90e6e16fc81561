"""What is pushed comes back as it was, whatever happens on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import HTTPError

from deeplense_hf.hub.safe_files import files_to_publish
from deeplense_hf.hub.upload import Upload, compare, describe

REPOSITORY = "ml4sci/deeplense-swin"
CARD = "---\nlibrary_name: transformers\npipeline_tag: image-classification\nlicense: mit\n---\n\n# A model\n"

LOAD = """
import sys
import numpy as np
import torch
if "package" in sys.argv:
    import deeplense_hf.models
from transformers import AutoImageProcessor, AutoModelForImageClassification
trust = {} if "package" in sys.argv else {"trust_remote_code": True}
model = AutoModelForImageClassification.from_pretrained(sys.argv[1], **trust).eval()
processor = AutoImageProcessor.from_pretrained(sys.argv[1], **trust)
with torch.no_grad():
    logits = model(**processor(np.load(sys.argv[2]), return_tensors="pt")).logits
np.testing.assert_array_equal(logits.numpy(), np.load(sys.argv[3]))
print(type(model).__module__)
"""


@pytest.fixture
def release(tmp_path: Path, make_model: Callable[..., tuple[Any, Any]]) -> Path:
    """A release folder, with an image and its logits beside it."""
    folder = tmp_path / "release"
    model, processor = make_model(spread=10)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    image = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    with torch.no_grad():
        logits = model(**processor(image, return_tensors="pt")).logits.numpy()
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "logits.npy", logits)
    return folder


def push(client: Any, folder: Path, *options: str, token: str | None = "hf_writer") -> Any:
    words = ("-m", "deeplense_hf", "push", "--folder", str(folder), "--repo_id", REPOSITORY)
    return client(*words, *options, token=token)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_pushed_model_loads_with_and_without_the_package(hub: Any, client: Any, release: Path) -> None:
    listed = push(client, release, "--dry_run")
    assert listed.returncode == 0, listed.stderr
    assert "would be created" in listed.stdout
    assert "model.safetensors" in listed.stdout
    assert not hub.repositories
    pushed = push(client, release)
    assert pushed.returncode == 0, pushed.stderr
    assert hub.files(REPOSITORY) == contents(release)
    again = push(client, release)
    assert "nothing to push" in again.stdout
    assert len(hub.repositories["model", REPOSITORY].commits) == 2
    image, logits = str(release.parent / "image.npy"), str(release.parent / "logits.npy")
    for words, module in (([], "transformers_modules."), (["package"], "deeplense_hf.models.")):
        options = {"home": f"home-{len(words)}", "token": None, "without_package": not words}
        loaded = client("-c", LOAD, REPOSITORY, image, logits, *words, **options)
        assert loaded.returncode == 0, loaded.stderr
        assert loaded.stdout.startswith(module)


def test_a_lost_connection_is_said_and_gone_on_from(hub: Any, client: Any, release: Path) -> None:
    np.save(release / "example.npy", np.zeros(3))
    # the weights arrive, then the connection is cut for good
    hub.breaks = lambda method, path: path.endswith("/commit/main")
    lost = push(client, release)
    assert lost.returncode == 1
    assert lost.stderr.strip().splitlines()[-1].startswith(f"error: {REPOSITORY}: the connection to the Hub was lost")
    assert "Traceback" not in lost.stderr
    assert len(hub.uploaded) == 2
    hub.breaks, hub.requests[:] = lambda method, path: False, []
    assert push(client, release).returncode == 0
    assert hub.files(REPOSITORY) == contents(release)
    # what had arrived was not sent again
    assert not [request for request in hub.requests if request.startswith("PUT")]


def test_branches_pull_requests_and_leftovers(hub: Any, client: Any, release: Path) -> None:
    assert push(client, release, "--private").returncode == 0
    assert hub.repositories["model", REPOSITORY].private
    (release / "README.md").write_text(CARD + "\nMore.\n")
    (release / "heads.py").unlink()
    proposed = push(client, release, "--create_pr")
    assert proposed.returncode == 0, proposed.stderr
    assert "/discussions/1" in proposed.stdout
    assert hub.files(REPOSITORY)["README.md"] == CARD.encode()
    assert hub.files(REPOSITORY, revision="refs/pr/1")["README.md"] != CARD.encode()
    assert push(client, release, "--revision", "next").returncode == 0
    assert "heads.py" in hub.files(REPOSITORY, revision="next")
    assert push(client, release, "--revision", "next", "--delete_absent").returncode == 0
    assert hub.files(REPOSITORY, revision="next") == contents(release)
    assert hub.files(REPOSITORY)["README.md"] == CARD.encode()
    listed = push(client, release, "--delete_absent", "--dry_run")
    assert "changed" in listed.stdout
    assert "deleted" in listed.stdout


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "no token for the Hugging Face Hub"),
        ("hf_reader", "the token may not write there"),
        ("hf_" + "x" * 34, "the Hub does not accept the token"),
    ],
)
def test_refusals_are_one_sentence_without_the_token(
    token: str | None, message: str, client: Any, release: Path
) -> None:
    refused = push(client, release, token=token)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    if token:
        assert token not in refused.stdout + refused.stderr


def test_an_absent_hub_is_said(release: Path) -> None:
    class Absent:
        """A client whose Hub does not answer; the real one tries for half a minute."""

        def list_repo_tree(self, *arguments: Any, **options: Any) -> Any:
            raise HTTPError("Connection refused")

    upload = Upload(REPOSITORY, "model", files_to_publish(release), "message")
    with pytest.raises(OSError, match="the connection to the Hub was lost"):
        compare(upload, Absent())  # type: ignore[arg-type]
    lines = list(describe(upload, Absent()))  # type: ignore[arg-type]
    assert lines[0].startswith("not compared with the Hub")
    assert any(line.endswith("model.safetensors") for line in lines)
