"""What is pushed comes back as it was, whatever happens on the way."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError, HTTPError, RevisionNotFoundError
from safetensors.torch import save_file

from deeplense_hf.hub.push_model import PushOptions, push_model
from deeplense_hf.hub.refusals import one_sentence
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


def push(client: Any, folder: Path, *options: str, repo_id: str = REPOSITORY, token: str | None = "hf_writer") -> Any:
    words = ("-m", "deeplense_hf", "push", "--folder", str(folder), "--repo_id", repo_id)
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


# the client waits half a minute in all before it gives a file up
IMPATIENT = """
import sys, time
from deeplense_hf.cli import main
time.sleep = lambda seconds: None
sys.exit(main(sys.argv[1:]))
"""


def test_a_connection_lost_within_the_weights_is_said_and_gone_on_from(hub: Any, client: Any, tmp_path: Path) -> None:
    folder = small(tmp_path / "release")
    hub.breaks = lambda method, path: method == "PUT"
    lost = client("-c", IMPATIENT, "push", "--folder", str(folder), "--repo_id", REPOSITORY)
    assert lost.returncode == 1
    assert f"\nerror: {REPOSITORY}: the connection to the Hub was lost" in lost.stderr
    assert "Traceback" not in lost.stderr
    assert not hub.uploaded
    hub.breaks = lambda method, path: False
    assert push(client, folder).returncode == 0
    assert hub.files(REPOSITORY) == contents(folder)


def test_what_stops_a_large_file_is_said() -> None:
    response: Any = SimpleNamespace(status_code=403, headers={}, request=None)
    for cause, reason in (
        (
            HfHubHTTPError("Request has expired", response=response),
            r"\(the storage answered 403\); run the same command",
        ),
        (FileNotFoundError("model.safetensors is gone"), r"\(model\.safetensors is gone\); run the same command"),
    ):
        said = rf"{REPOSITORY}: Error while uploading 'x' to the Hub {reason}"
        with pytest.raises(OSError, match=said), one_sentence(REPOSITORY):
            raise RuntimeError("Error while uploading 'x' to the Hub.") from cause
    with pytest.raises(RuntimeError, match="ours"), one_sentence(REPOSITORY):
        raise RuntimeError("ours")


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
    listed = push(client, release, "--revision", "later", "--dry_run")
    assert "the branch 'later' would be created, with what is on main" in listed.stdout
    assert "unchanged" in listed.stdout


def small(folder: Path, text: str = CARD) -> Path:
    """What suffices to be pushed."""
    folder.mkdir(exist_ok=True)
    for name in ("config.json", "preprocessor_config.json"):
        (folder / name).write_text("{}")
    (folder / "README.md").write_text(text)
    save_file({"weight": torch.zeros(3)}, folder / "model.safetensors")
    return folder


def test_whoever_can_read_proposes_once(hub: Any, client: Any, tmp_path: Path) -> None:
    folder = small(tmp_path / "release")
    assert push(client, folder).returncode == 0
    repository = hub.repositories["model", REPOSITORY]
    repository.branches["draft"] = repository.branches["main"]
    save_file({"weight": torch.ones(3)}, folder / "model.safetensors")
    for text in ("Other.", "More.", "Most."):
        (folder / "README.md").write_text(CARD + text)
        proposed = push(client, folder, "--create_pr", token="hf_reader")
        assert proposed.returncode == 0, proposed.stderr
    # as the last of them, which is on a page of its own
    for again in (push(client, folder, "--create_pr"), push(client, folder, "--create_pr", "--dry_run")):
        assert again.returncode == 0, again.stderr
        assert "a pull request with these files is open" in again.stdout
        assert f"{REPOSITORY}/discussions/3" in again.stdout
    assert len(repository.pull_requests) == 3
    # to another branch it is another proposal
    assert "/discussions/4" in push(client, folder, "--create_pr", "--revision", "draft").stdout
    refused = push(client, folder, token="hf_reader")
    assert "the token may not write there" in refused.stderr
    assert hub.files(REPOSITORY)["README.md"] == CARD.encode()


def test_what_somebody_else_pushes_meanwhile_stays(hub: Any, client: Any, tmp_path: Path) -> None:
    folder = small(tmp_path / "release")
    assert push(client, folder).returncode == 0

    def push_meanwhile(method: str, path: str) -> bool:
        if "/preupload/" in path:
            repository = hub.repositories["model", REPOSITORY]
            _, files = repository.at("main")
            repository.commit({**files, "config.json": files["README.md"]}, "main")
        return False

    hub.breaks = push_meanwhile
    (folder / "config.json").write_text('{"mine": true}')
    refused = push(client, folder)
    assert refused.returncode == 1
    assert f"{REPOSITORY}: somebody else pushed in the meantime; run the same command again." in refused.stderr
    assert hub.files(REPOSITORY)["config.json"] == CARD.encode()


def test_options_that_do_not_go_with_the_repository_are_refused(hub: Any, client: Any, tmp_path: Path) -> None:
    folder = small(tmp_path / "release")
    unborn = push(client, folder, "--create_pr", "--revision", "draft")
    assert "has no branch 'draft' that a pull request could change" in unborn.stderr
    alone = push(client, folder, repo_id="deeplense-swin")
    assert "repo_id='deeplense-swin' is not a name on the Hub; write owner/name." in alone.stderr
    assert not hub.repositories
    assert push(client, folder).returncode == 0
    (folder / "config.json").write_text('{"mine": true}')
    for options in (["--private"], ["--private", "--dry_run"]):
        public = push(client, folder, *options)
        assert public.returncode == 1
        assert f"{REPOSITORY} is public, and --private is for new repositories only" in public.stderr
    unborn = push(client, folder, "--create_pr", "--revision", "draft")
    assert "has no branch 'draft' that a pull request could change" in unborn.stderr
    assert hub.files(REPOSITORY)["config.json"] == b"{}"


def test_an_absent_branch_is_said() -> None:
    response: Any = SimpleNamespace(status_code=404, headers={}, request=None)
    with (
        pytest.raises(OSError, match=f"{REPOSITORY} has no branch, tag or commit of that name"),
        one_sentence(REPOSITORY),
    ):
        raise RevisionNotFoundError("Invalid rev id", response=response)


@pytest.mark.parametrize(
    ("marker", "command"),
    [
        ("release.json", "scripts/make_release.py --model {folder} --name x --owner you"),
        ("stock.json", "scripts/export_stock.py --model RUN --name x --owner you"),
    ],
)
def test_a_release_goes_to_the_place_that_its_card_names(marker: str, command: str, tmp_path: Path) -> None:
    folder = small(tmp_path / "release")
    (folder / marker).write_text(json.dumps({"repo_id": REPOSITORY}))
    with pytest.raises(ValueError, match=f"is made for {REPOSITORY}.*{re.escape(command.format(folder=folder))}"):
        push_model(PushOptions(str(folder), repo_id="you/x", dry_run=True))
    (folder / marker).write_text("[]")
    with pytest.raises(ValueError, match=f"{marker} is damaged"):
        push_model(PushOptions(str(folder), repo_id=REPOSITORY, dry_run=True))


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

        def repo_info(self, *arguments: Any, **options: Any) -> Any:
            raise HTTPError("Connection refused")

    upload = Upload(REPOSITORY, "model", files_to_publish(release), "message")
    with pytest.raises(OSError, match="the connection to the Hub was lost"):
        compare(upload, Absent())  # type: ignore[arg-type]
    lines = list(describe(upload, Absent()))  # type: ignore[arg-type]
    assert lines[0].startswith("not compared with the Hub")
    assert any(line.endswith("model.safetensors") for line in lines)
