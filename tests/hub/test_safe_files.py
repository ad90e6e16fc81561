"""Nothing that executes, nothing secret is published."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeplense_hf.hub.push_model import PushOptions, push_model
from deeplense_hf.hub.safe_files import files_to_publish

TOKEN = "hf_" + "a1B2" * 9


class Evil:
    """What a pickle makes a reader do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def _array_file(save: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, np.array([Evil()], dtype=object))
    return buffer.getvalue()


def test_a_folder_is_listed_without_what_is_not_released(tmp_path: Path) -> None:
    left_out = (".git/config", ".hidden", "checkpoint-10/model.safetensors", "README.md~", "a/events.out.tfevents.1.2")
    for name in ("README.md", "LICENSE", "figures/roc.PNG", *left_out):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(TOKEN if name in left_out else "content")
    np.save(tmp_path / "lens.npy", np.zeros(3))
    np.savez(tmp_path / "lens.npz", image=np.zeros(3), name=np.array(["text"]))
    assert list(files_to_publish(tmp_path)) == ["LICENSE", "README.md", "figures/roc.PNG", "lens.npy", "lens.npz"]


@pytest.mark.parametrize(
    "name",
    ["training_args.bin", "model.pt", "weights.dat", "m.pkl.gz", "m.pth.tar", "m.pt2", "m.dill", "m.p", "id_rsa", "x"],
)
def test_kinds_that_no_release_is_made_of_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"{name} is of a kind that is never published.*\.yml files are published"):
        files_to_publish(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("objects.npy", _array_file(np.save)),
        ("objects.npz", _array_file(np.savez)),
        ("archive.npy", _array_file(np.savez)),
        ("pickle.npy", pickle.dumps(Evil())),
        ("pickle.npz", pickle.dumps(Evil())),
        ("model.safetensors", pickle.dumps(Evil())),
    ],
)
def test_a_pickle_under_another_name_is_refused(
    name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is no .* file of plain numbers"):
        files_to_publish(tmp_path)
    assert not capsys.readouterr().out


def test_other_members_of_an_archive_of_arrays_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "lens.npz", "w") as archive:
        archive.writestr("weights.pkl", pickle.dumps(Evil()))
    with pytest.raises(ValueError, match=r"lens.npz is no .npz file of plain numbers"):
        files_to_publish(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        f"HF_TOKEN={TOKEN}",
        f"MY_{TOKEN}_x",
        "ghp_" + "a" * 36,
        "github_pat_" + "a" * 22 + "_" + "b" * 59,
        "AKIAABCDEFGHIJKLMNOP",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tokens_and_keys_are_refused(text: str, encoding: str, tmp_path: Path) -> None:
    # across the border of two parts that are read one after the other
    (tmp_path / "notes.txt").write_bytes((" " * ((1 << 20) - 5)).encode() + text.encode(encoding))
    with pytest.raises(ValueError, match=r"notes.txt holds what looks like an access token or a private key"):
        files_to_publish(tmp_path)


@pytest.mark.parametrize("target", [".env", ".git", "/", ".", "link.md", "absent", "../secret.md"])
def test_links_are_refused_before_they_are_followed(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "release"
    (folder / ".git").mkdir(parents=True)
    for path in (folder / ".env", folder / ".git" / "config.txt", tmp_path / "secret.md"):
        path.write_text("mine")
    (folder / "link.md").symlink_to(target)
    with pytest.raises(ValueError, match=r"link.md is a link, which is never published"):
        files_to_publish(folder)


def test_pipes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(ValueError, match=r"pipe.txt is no regular file"):
        files_to_publish(tmp_path)


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        push_model(PushOptions(str(tmp_path / "absent"), repo_id="ml4sci/x"))
    with pytest.raises(ValueError, match="is empty"):
        push_model(PushOptions(str(tmp_path), repo_id="ml4sci/x"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"lacks README.md, model.safetensors, preprocessor_config.json"):
        push_model(PushOptions(str(tmp_path), repo_id="ml4sci/x"))
