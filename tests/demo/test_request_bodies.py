"""The page's server fetches nothing for others and reads no request without end."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from deeplense_hf.demo import request_bodies
from deeplense_hf.demo.app import _launch, _own_folder
from deeplense_hf.demo.request_bodies import RequestBodies

gradio = pytest.importorskip("gradio")
FETCHED: list[str] = []


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page that takes files, served as the real one is; what it would fetch is noted."""
    from gradio import processing_utils

    async def fetch(address: str) -> Any:
        FETCHED.append(address)
        raise AssertionError("fetched")

    with pytest.MonkeyPatch.context() as patch, _own_folder() as folder:
        patch.setattr(processing_utils, "async_ssrf_protected_get", fetch)
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        with gradio.Blocks(analytics_enabled=False) as page:
            one, many, size = gradio.File(), gradio.File(file_count="multiple"), gradio.Textbox()
            one.change(lambda path: str(Path(path).stat().st_size), one, size, api_name="drop")
            many.change(lambda paths: str(len(paths)), many, size, api_name="many")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        yield _launch(page, folder, "127.0.0.1", port)
        page.close()


def send(address: str, path: str, body: bytes, kind: str = "application/json") -> tuple[int, str]:
    request = urllib.request.Request(f"{address}gradio_api/{path}", body or None, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def file_at(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


FOREIGN = file_at("http://198.51.100.7/big.npy")


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("call/drop", {"data": [FOREIGN]}),
        ("call/drop/", {"data": [FOREIGN | {"path": "HTTPS://198.51.100.7/big.npy"}]}),
        ("call/many", {"data": [[file_at("/tmp/lens.npy"), FOREIGN]]}),
        ("call/v2/drop", {"value_0": FOREIGN}),
        ("run/drop", {"data": [FOREIGN]}),
        # a path that ends as the one of uploads does
        ("run/upload", {"data": [FOREIGN], "fn_index": 0}),
        ("queue/join", {"data": [FOREIGN], "fn_index": 0, "session_hash": "x"}),
    ],
)
def test_addresses_are_not_fetched(path: str, data: dict[str, Any], address: str) -> None:
    status, said = send(address, path, json.dumps(data).encode())
    assert (status, said) == (400, request_bodies._ADDRESS)
    # the same in other words of JSON
    escaped = json.dumps(data).replace("://", r"\u003a\/\/").replace("path", r"p\u0061th")
    assert send(address, path, escaped.encode("utf-16"))[0] == 400
    assert send(address, path, escaped.encode(), "multipart/form-data; boundary=x")[0] in (400, 422)
    assert not FETCHED


def test_uploads_are_answered_for_as_before(address: str) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="lens.npy"\r\n\r\nlens\r\n--x--\r\n'
    status, said = send(address, "upload", form, "multipart/form-data; boundary=x")
    assert status == 200
    (path,) = json.loads(said)
    # as browsers send it
    data = {"data": [file_at(path) | {"url": f"{address}gradio_api/file={path}", "orig_name": "lens.npy"}]}
    status, said = send(address, "call/drop", json.dumps(data).encode())
    assert status == 200
    assert '"4"' in send(address, f"call/drop/{json.loads(said)['event_id']}", b"")[1]


@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence"),
    [
        (b" " * (request_bodies.LONGEST_BODY + 1), "application/json", 413, "more than 2,097,152 bytes"),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400, "is not JSON"),
        (b"[" * 100_000, "application/json", 400, "is not JSON"),
    ],
    ids=["long", "form", "deep"],
)
def test_other_bodies_are_refused(body: bytes, kind: str, status: int, sentence: str, address: str) -> None:
    assert (answer := send(address, "process_recording", body, kind))[0] == status
    assert sentence in answer[1]


def test_a_body_without_end_is_not_kept() -> None:
    """The rest passes unread after the answer."""
    parts = iter([{"type": "http.request", "body": b" " * 60, "more_body": True}] * 5 + [{"type": "http.request"}])
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(parts)

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("passed on")

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/queue/join", "headers": []}
    anyio.run(RequestBodies(behind, 100), scope, receive, send)
    assert said[0]["status"] == 413
    assert next(parts, None) is None


def test_who_leaves_is_not_waited_for() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/queue/join", "headers": []}
    anyio.run(RequestBodies(lambda *words: pytest.fail("passed on")), scope, receive, receive)
