"""Nothing that executes, nothing secret is published."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from astropy.io import fits
from PIL import Image

from deeplense_hf.hub.push_model import PushOptions, push_model
from deeplense_hf.hub.safe_files import files_to_publish

TOKEN = "hf_" + "a1B2" * 9
WANDB = "0123456789abcdef" * 2 + "01234567"


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


PICTURE = picture("png")


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
    (tmp_path / "figures" / "roc.PNG").write_bytes(PICTURE)
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


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "name",
    ["x.parquet", "x.png", "x.jpg", "x.fits", "x.txt", "x.md", "x.json", "x.csv", "x.py", "LICENSE"],
)
def test_a_pickle_of_any_protocol_is_refused_as_anything(name: str, protocol: int, tmp_path: Path) -> None:
    # a pickle works though what follows it, or it itself, goes wrong
    for content in (pickle.dumps(Evil(), protocol), pickle.dumps([None, Evil()], protocol)[:-1] + b"\nnothing\n"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} is no .* so it may execute code"):
            files_to_publish(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("instance.txt", b"(S'executed'\nibuiltins\nprint\n."),
        ("latin.txt", "Einstein-Ring, Größe".encode("latin-1")),
        ("zeros.csv", b"a,b\n\0,1\n"),
        ("tagged.yaml", b"x: !!python/object/apply:os.system [ls]\n"),
        ("cut.png", PICTURE[:-4]),
        ("longer.png", PICTURE + pickle.dumps(Evil())),
        ("cut.parquet", b"PAR1"),
    ],
)
def test_files_that_are_not_what_they_say_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is no .* so it may execute code"):
        files_to_publish(tmp_path)


def test_files_that_are_what_they_say_are_published(tmp_path: Path) -> None:
    for ending, kind in (("png", "png"), ("jpg", "jpeg"), ("jpeg", "jpeg")):
        (tmp_path / f"x.{ending}").write_bytes(picture(kind))
    fits.PrimaryHDU(np.zeros((8, 8))).writeto(tmp_path / "x.fits")
    pyarrow.parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "x.parquet")
    texts = {
        "empty.txt": "",
        # the first letters of these are instructions of pickles
        "class.csv": "class\nlens\nlens\n.5\n",
        "code.py": "import io\nimport os\n\f\nclass Lens:\n    pass\n",
        "table.csv": "id,score\n1,0.5\n2.5,1\n",
        "words.md": "\ufeffN. B.: Größe \u2028 \U0001f52d\r\n(see below)",
        "words.json": '"C:\\\\users\\u00e9\\u0000\\/"',
        # what only resembles tokens and passwords
        "links.md": "https://host:8080/a@b https://{user}:{token}@host desk-project-of-all_the_lenses_of_a_survey",
        "hash.yaml": f"tokenizer: none\nmodel_fingerprint: {WANDB}\ntoken: absent\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert len(files_to_publish(tmp_path)) == len(texts) + 5


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
        "sk-proj-" + "aB3_-" * 10,
        "sk-" + "aB3" * 16,
        "xoxb-123456789012-1234567890123-abcdef",
        "https://user:password@host/x.git",
        f"WANDB_API_KEY: {WANDB}",
        f'"api-key" = "{WANDB}"',
        f"machine api.wandb.ai\n  login user\n  password {WANDB}",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
        TOKEN.replace("_", "\\u005f"),
        TOKEN.replace("a", "\\x61"),
        "https:\\/\\/user:password@host",
        "".join(f"\\u{ord(letter):04x}" for letter in TOKEN),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tokens_and_keys_are_refused(text: str, encoding: str, tmp_path: Path) -> None:
    # across the border of two parts that are read one after the other
    (tmp_path / "notes.txt").write_bytes((" " * ((1 << 20) - 5)).encode() + text.encode(encoding))
    with pytest.raises(ValueError, match=r"notes.txt holds what looks like an access token, a password"):
        files_to_publish(tmp_path)


@pytest.mark.parametrize("name", [f"{TOKEN}.txt", f"runs-{TOKEN}/notes.txt"])
def test_tokens_in_names_are_refused_and_not_repeated(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("nothing")
    with pytest.raises(ValueError, match=r"the name of the file '.*' holds what looks like an access token") as caught:
        files_to_publish(tmp_path)
    assert TOKEN not in str(caught.value)


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
