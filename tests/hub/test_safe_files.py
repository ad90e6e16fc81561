"""Nothing that executes, nothing secret is published."""

from pathlib import Path

import pytest

from deeplense_hf.hub.push_model import PushOptions, push_model
from deeplense_hf.hub.safe_files import files_to_publish


def test_a_folder_is_listed_without_what_is_not_released(tmp_path: Path) -> None:
    for name in ("README.md", "figures/roc.png", ".git/config", "checkpoint-10/model.safetensors", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("content")
    assert list(files_to_publish(tmp_path)) == ["README.md", "figures/roc.png"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("training_args.bin", b"", "can execute code"),
        ("model.pt", b"", "can execute code"),
        ("notes.txt", b"HF_TOKEN=hf_" + b"a1B2" * 9, "looks like a token"),
    ],
)
def test_what_must_not_be_published_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# card")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        files_to_publish(tmp_path)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "README.md").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="leads out of the folder"):
        files_to_publish(folder)


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        push_model(PushOptions(str(tmp_path / "absent"), repo_id="ml4sci/x"))
    with pytest.raises(ValueError, match="is empty"):
        push_model(PushOptions(str(tmp_path), repo_id="ml4sci/x"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"lacks README.md, model.safetensors, preprocessor_config.json"):
        push_model(PushOptions(str(tmp_path), repo_id="ml4sci/x"))
