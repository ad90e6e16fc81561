"""How much the page's server stores of what is sent to it: bounded, so that nobody fills its disk."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio

MOST_STORED = 2 * 2**30
SECONDS_KEPT = 3600
"""After which uploads, pictures and tables are deleted."""
_BLOCK = 4096
_FULL = (
    "the server keeps at most {most:,} bytes of uploads, and these would be more; send fewer or smaller files, or come "
    "back in an hour."
)
_NO_LENGTH = "the upload does not say how long it is; send it with a Content-Length."


class StorageBound:
    """ASGI middleware that refuses what its server would have to store once its folder is full.

    Gradio bounds the size of a file and the number of files of a request, but no sum of them. The length that a request
    declares counts from its first byte, so that many at a time pass the bound no more than one after the other.

    Args:
        app: The application behind it.
        folder: Where Gradio stores uploads, of this server alone.
        most_bytes: As much as is stored.
    """

    def __init__(self, app: Any, folder: Path, most_bytes: int = MOST_STORED) -> None:
        self._app = app
        self._folder = folder
        self._most_bytes = most_bytes
        self._coming = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request; see the ASGI specification."""
        if not _stores(scope):
            await self._app(scope, receive, send)
            return
        length = _declared_length(scope)
        if length is None:
            await refuse(411, _NO_LENGTH, receive, send)
            return
        self._coming += length
        try:
            stored = await anyio.to_thread.run_sync(stored_bytes, self._folder)
            if stored + self._coming > self._most_bytes:
                await refuse(413, _FULL.format(most=self._most_bytes), receive, send)
            else:
                await self._app(scope, receive, send)
        finally:
            self._coming -= length


def stored_bytes(folder: Path) -> int:
    """Count what a folder takes on the disk, without what Gradio forgot there.

    Args:
        folder: Where Gradio stores uploads, of this server alone; old files that Gradio never deletes are deleted.

    Returns:
        Bytes, in whole blocks, since many small files fill a disk too.
    """
    total = 0
    for path in _files(folder):
        try:
            found = path.lstat()
            # uploads that broke off, files opened in passing, states of links; all others Gradio deletes by itself
            forgotten = path.parent == folder or "deep_links" in path.parts
            if forgotten and time.time() - found.st_ctime > SECONDS_KEPT:
                path.unlink()
            else:
                total += _BLOCK * (1 + found.st_size // _BLOCK)
        except FileNotFoundError:
            # deleted meanwhile
            continue
    return total


def _files(folder: Path) -> Iterator[Path]:
    return (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)


def _stores(scope: Any) -> bool:
    """Tell whether a request makes Gradio store what a person sends, however large."""
    if scope["type"] != "http":
        return False
    path = scope["path"].rstrip("/")
    return (scope["method"] == "POST" and path.endswith("/upload")) or path.endswith("/deep_link")


def _declared_length(scope: Any) -> int | None:
    """Return how long the body of a request is [bytes]; None where it does not say."""
    headers = dict(scope["headers"])
    if scope["method"] == "GET":
        return 0
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() and b"transfer-encoding" not in headers else None


async def refuse(status: int, sentence: str, receive: Any, send: Any) -> None:
    """Answer at once, then let the body pass, since a browser that cannot send it shows no answer.

    Args:
        status: Of HTTP.
        sentence: What is wrong and what to do.
        receive: Gives the rest of the body; see the ASGI specification.
        send: See the ASGI specification.
    """
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.body", "body": b""})
