"""What the page's server reads of a request: JSON of a bounded length, in which no file is an address."""

import json
from typing import Any

from .storage_bound import refuse

LONGEST_BODY = 2 * 2**20
"""[bytes]; what the page itself sends names at most a few hundred files."""
_NO_BODY = ("GET", "HEAD", "OPTIONS")
_ADDRESS = "the path of a file is an address, and addresses are not fetched here; upload the file itself."
_TOO_LONG = "the request has more than {most:,} bytes; upload files to /gradio_api/upload and send their paths."
_NO_JSON = "the request is not JSON; send a JSON object, and files to /gradio_api/upload."


class RequestBodies:
    """ASGI middleware that refuses requests by which others fill the memory or the disk of the server.

    In place of an uploaded file, Gradio takes the address of one, fetches it whatever its size and keeps it. Only
    uploads, which `StorageBound` bounds, pass unread.

    Args:
        app: The application behind it.
        longest_body: As long as a request may be [bytes].
    """

    def __init__(self, app: Any, longest_body: int = LONGEST_BODY) -> None:
        self._app = app
        self._longest_body = longest_body

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request; see the ASGI specification."""
        if scope["type"] != "http" or scope["method"] in _NO_BODY or _is_upload(scope):
            await self._app(scope, receive, send)
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._longest_body:
                too_long = _TOO_LONG.format(most=self._longest_body)
                await refuse(413, too_long, receive if more else _nothing_more, send)
                return
        fault = _fault(bytes(body))
        if fault:
            await refuse(400, fault, _nothing_more, send)
            return
        read = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Any:
            return read.pop() if read else await receive()

        await self._app(scope, again, send)


class _AddressError(ValueError):
    """A file that is an address."""


def _fault(body: bytes) -> str | None:
    """Say what is wrong with the body of a request; None if nothing is."""
    if not body:
        return None
    try:
        json.loads(body, object_pairs_hook=_check_file)
    except _AddressError:
        return _ADDRESS
    except (ValueError, RecursionError):
        return _NO_JSON
    return None


def _check_file(pairs: list[tuple[str, Any]]) -> None:
    """Look at an object of JSON, at any depth; of a key that it has twice, at both values."""
    if any(key == "path" and isinstance(value, str) and "://" in value for key, value in pairs):
        raise _AddressError


def _is_upload(scope: Any) -> bool:
    """Tell whether a request brings files.

    Gradio reads JSON by other paths that end so too, such as `/run/upload`, but not out of a form.
    """
    kinds = [value.lower() for name, value in scope["headers"] if name == b"content-type"]
    is_form = bool(kinds) and all(kind.startswith(b"multipart/form-data") for kind in kinds)
    return is_form and scope["path"].rstrip("/").endswith("/upload")


async def _nothing_more() -> dict[str, Any]:
    """Be the rest of a body that was read to its end."""
    return {}
