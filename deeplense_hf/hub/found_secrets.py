"""Access tokens and private keys in what is to be published, as far as they can be told by their look."""

import re
from collections.abc import Iterator
from pathlib import Path

# without word bounds: what stands beside a token does not make it another one
_TOKENS = tuple(
    re.compile(pattern)
    for pattern in (
        rb"hf_[A-Za-z0-9]{30}",
        rb"api_org_[A-Za-z0-9]{30}",
        rb"gh[opsru]_[A-Za-z0-9]{36}",
        rb"github_pat_[A-Za-z0-9_]{22}",
        rb"glpat-[A-Za-z0-9_-]{20}",
        rb"A[KS]IA[A-Z0-9]{16}",
        rb"AIza[A-Za-z0-9_-]{35}",
        # a figure, else it is words with strokes between them
        rb"sk-(?:proj|svcacct|admin|ant)-(?=[A-Za-z_-]{0,60}[0-9])[A-Za-z0-9_-]{20}",
        rb"sk-[A-Za-z0-9]{40}",
        rb"xox[a-z]-[0-9A-Za-z-]{10}",
        rb"hooks\.slack\.com/services/T[A-Z0-9]{6}",
        rb"wandb_v1_[A-Za-z0-9_]{20}",
        rb"pypi-AgE[A-Za-z0-9_-]{20}",
        rb"npm_[A-Za-z0-9]{36}",
        rb"eyJ[A-Za-z0-9_-]{10,300}\.eyJ[A-Za-z0-9_-]{10}",
        rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY",
        # of an address; what stands in brackets is to be filled in
        rb"[a-zA-Z]://[^\0-\x20\x7f-\xff/:@'\"<>{}$]{1,100}:[^\0-\x20\x7f-\xff/@'\"<>{}$]{1,200}@[A-Za-z0-9\[]",
    )
)
# what nothing but its name tells from other numbers, in texts alone
_NAMED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rb"(?:api[_-]?key|secret|token|password)['\"]?[\s:=]{1,5}['\"]?[0-9a-f]{32}",
        rb"secret_access_key['\"]?[\s:=]{1,5}['\"]?[a-z0-9/+]{40}",
    )
)
# a character of ASCII as JSON, YAML and Python may write it
_ESCAPED = re.compile(rb"\\(?:u00|U000000|x)([0-7][0-9a-fA-F])|\\(/)")
_CHUNK = 1 << 20
# more than the shortest match of every pattern, also where a character takes two or four bytes, or six and an escape
_OVERLAP = 1 << 12


def holds_a_secret(path: Path, is_text: bool) -> bool:
    """Search a file of any size.

    Args:
        path: The file.
        is_text: Whether escapes stand for characters in it and words for what they say.

    Returns:
        Whether something looks like an access token, a private key or a password, as plain text in UTF-8 or UTF-16; in
        compressed content nothing is found.

    Raises:
        OSError: If the file cannot be read.
    """
    return any(
        pattern.search(part) for part in _parts(path, is_text) for pattern in (_TOKENS + _NAMED if is_text else _TOKENS)
    )


def without_secrets(name: str) -> str:
    """Blot out what looks like an access token in the name of a file.

    Args:
        name: Path in the repository.

    Returns:
        The name; the same if it holds none.
    """
    content = name.encode(errors="surrogateescape")
    for pattern in _TOKENS:
        content = pattern.sub(b"[...]", content)
    return content.decode(errors="surrogateescape")


def _parts(path: Path, is_text: bool) -> Iterator[bytes]:
    """Yield parts of a file that overlap, in plain ASCII where they are text."""
    end = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            # without zeros, UTF-16 reads as UTF-8 does
            part = (end + chunk).replace(b"\0", b"")
            yield _ESCAPED.sub(_character, part) if is_text else part
            end = (end + chunk)[-_OVERLAP:]


def _character(escape: re.Match[bytes]) -> bytes:
    return escape[2] or bytes([int(escape[1], 16)])
