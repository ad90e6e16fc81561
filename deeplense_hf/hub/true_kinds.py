"""Whether a file is what its ending says, so that no pickle is published under another name."""

import codecs
import pickletools
import re
import zipfile
import zlib
from pathlib import Path

TEXTS = frozenset({".cff", ".csv", ".json", ".jsonl", ".md", ".py", ".txt", ".yaml", ".yml"})
_CHUNK = 1 << 20
# what texts are made of besides characters: tabulators, ends of lines and of pages
_CONTROLS = re.compile(r"[^\t\n\v\f\r -\x7e\x85\xa0-\U0010ffff]")
_PYTHON_TAGS = re.compile(r"!!python/|tag:yaml\.org,2002:python/")
# start and end
_MARKS = {
    ".fits": (b"SIMPLE  =", b""),
    ".jpeg": (b"\xff\xd8\xff", b""),
    ".jpg": (b"\xff\xd8\xff", b""),
    ".parquet": (b"PAR1", b"PAR1"),
    ".png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
}
_IMPORTING = frozenset({"GLOBAL", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"})
_CALLING = frozenset({"REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "INST"})


def is_what_it_says(path: Path) -> bool:
    """Look into a file.

    Args:
        path: A file of an ending that is published; without one it is a text.

    Returns:
        Whether `.npy`, `.npz` and `.safetensors` hold plain numbers, pictures, parquet and FITS files have the marks of
        their kind, and texts are UTF-8 without control characters, instructions of a pickle or Python tags of YAML.

    Raises:
        OSError: If the file cannot be read.
    """
    ending = path.suffix.lower()
    if ending in (".npy", ".npz"):
        return _is_array_file(path)
    if ending == ".safetensors":
        return _is_safetensors_file(path)
    if ending in _MARKS:
        return _has_marks(path, *_MARKS[ending])
    return _is_text(path) and not _is_textual_pickle(path)


def _is_array_file(path: Path) -> bool:
    """Whether numpy reads it without a pickle."""
    import numpy as np

    try:
        content = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return path.suffix.lower() == ".npy"
        with content:
            # one at a time; other members than arrays come as bytes
            return all(isinstance(content[name], np.ndarray) for name in content.files)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
        return False


def _is_safetensors_file(path: Path) -> bool:
    """Whether its header is one, and its content as long as that says."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            return True
    except SafetensorError:
        return False


def _has_marks(path: Path, start: bytes, end: bytes) -> bool:
    """Whether a file starts and ends so."""
    size = path.stat().st_size
    with path.open("rb") as file:
        starts = file.read(len(start)) == start
        file.seek(max(0, size - len(end)))
        return starts and size >= len(start) + len(end) and file.read() == end if end else starts


def _is_text(path: Path) -> bool:
    """Whether a file is UTF-8, without control characters and without tags that make YAML call Python."""
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    end = ""
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK):
                text = end + decoder.decode(chunk)
                if _CONTROLS.search(text) or (is_yaml and _PYTHON_TAGS.search(text)):
                    return False
                end = text[-40:]
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _is_textual_pickle(path: Path) -> bool:
    """Whether unpickling would import and call something before it stumbles; the oldest protocol is printable.

    A text may look like a few instructions by chance, such as a line `class` of a table, which would import.
    """
    imports, since = False, 0
    with path.open("rb") as file:
        try:
            for instruction, argument, _ in pickletools.genops(file):
                name = instruction.name
                imports |= name in _IMPORTING or (name == "INST" and since > 0)
                if name in ("GLOBAL", "INST") and not all(map(_is_dotted_name, str(argument).split(" ", 1))):
                    return False
                if imports and name in _CALLING and since > 0:
                    return True
                since += 1
        except (ValueError, OverflowError):
            return False
    return False


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))
