"""Nobody fills the disk of the page's server."""

import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from deeplense_hf.demo import storage_bound
from deeplense_hf.demo.storage_bound import StorageBound, stored_bytes

BOUND = 100_000


def request(method: str, path: str, **headers: str) -> dict[str, Any]:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": sent}


def ask(bound: StorageBound, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is answered to a request with a body in two parts."""
    parts = iter([{"type": "http.request", "more_body": True}, {"type": "http.request"}])
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(parts)

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    anyio.run(bound, scope, receive, send)
    return said


async def behind(scope: Any, receive: Any, send: Any) -> None:
    await send({"status": 200})


def test_a_full_folder_takes_no_upload(tmp_path: Path) -> None:
    bound = StorageBound(behind, tmp_path, BOUND)
    upload = "/gradio_api/upload"
    assert ask(bound, request("POST", upload, content_length="50000"))[0]["status"] == 200
    refused = ask(bound, request("POST", upload, content_length="100001"))
    assert refused[0]["status"] == 413
    assert b"at most 100,000 bytes" in refused[1]["body"]
    (tmp_path / "hash").mkdir()
    (tmp_path / "hash" / "lens.npy").write_bytes(bytes(60_000))
    assert ask(bound, request("POST", upload, content_length="50000"))[0]["status"] == 413
    assert ask(bound, request("POST", "/gradio_api/upload/", content_length="50000"))[0]["status"] == 413
    assert ask(bound, request("POST", upload))[0]["status"] == 411
    chunked = request("POST", upload, content_length="1", transfer_encoding="chunked")
    assert ask(bound, chunked)[0]["status"] == 411
    (tmp_path / "hash" / "more.npy").write_bytes(bytes(60_000))
    assert ask(bound, request("GET", "/gradio_api/deep_link"))[0]["status"] == 413
    # whoever only looks is served
    for scope in (request("GET", "/"), request("POST", "/gradio_api/queue/join"), {"type": "lifespan"}):
        assert ask(bound, scope) == [{"status": 200}]


def test_uploads_at_the_same_time_count_together(tmp_path: Path) -> None:
    seen: list[int] = []

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        seen.append(1)
        await anyio.sleep(0.3)

    bound, said = StorageBound(slow, tmp_path, BOUND), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message.get("status"))

    async def both() -> None:
        async with anyio.create_task_group() as group:
            for wait in (0.0, 0.1):
                await anyio.sleep(wait)
                group.start_soon(bound, request("POST", "/upload", content_length="60000"), receive, send)

    anyio.run(both)
    assert (len(seen), said[0]) == (1, 413)


def test_what_gradio_forgets_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("broken_off", "hash/lens.npy", "deep_links/hash/state.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    assert stored_bytes(tmp_path) == 3 * 4096
    monkeypatch.setattr(storage_bound, "SECONDS_KEPT", -1)
    assert stored_bytes(tmp_path) == 4096
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == ["lens.npy"]
