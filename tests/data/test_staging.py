"""A file is there complete, or as it was before, whoever writes it and whatever goes wrong."""

import os
from pathlib import Path

import pytest

from deeplense_hf.data.staging import whole_file, write_atomically


def test_two_writers_of_one_file_do_not_share_what_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "record.json"
    with whole_file(path) as slow, whole_file(path, tmp_path / "scratch") as fast:
        slow.write_bytes(b"half")
        assert fast != slow
        assert fast.parent == tmp_path / "scratch"
        write_atomically(path, b"whole")
        assert path.read_bytes() == b"whole"
        fast.write_bytes(b"another whole")
        slow.write_bytes(b"half and half")
    assert path.read_bytes() == b"half and half"
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["record.json"]


def test_a_disk_that_refuses_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "record.json", b"old")

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "record.json", b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("record.json", b"old")]
