"""What the service grants: sizes, times, turns; and that whoever asks for more is told so, while others go on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ui.audit import AuditStore
from ui.desk import Busy, Desk
from ui.keys import KeyFile
from ui.limits import Limits, Rates
from ui.server import patient_protocol
from ui.service import create_app


class Held:
    """A report that lasts until it is let go."""

    def __init__(self, stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.done = threading.Event(), 0

        def report(*_: Any, **__: Any) -> Any:
            assert self.go.wait(60)
            self.done += 1
            return SimpleNamespace(to_json=lambda: {"status": "answer", "reasons": [], "recording": ""})

        monkeypatch.setattr(stub, "report", report)


@pytest.fixture
def held(stub: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    one = Held(stub, monkeypatch)
    yield one
    one.go.set()


def together(work: Callable[[], Any], n: int) -> tuple[list[Any], list[threading.Thread]]:
    """Starts ``n`` threads that put what the work returns into the list."""
    out: list[Any] = []
    threads = [threading.Thread(target=lambda: out.append(work())) for _ in range(n)]
    for thread in threads:
        thread.start()
    return out, threads


def until(true: Callable[[], bool]) -> None:
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_a_full_queue_is_429_at_once_and_those_in_it_are_served(stub: Any, held: Held) -> None:
    with TestClient(create_app(stub, page=False, limits=Limits(waiting=2))) as client:
        out, threads = together(lambda: client.post("/v1/reports", data={"demo": "af"}), 8)
        until(lambda: len(out) == 5)  # one is worked on and two wait; all others have their answer already
        for answer in out:
            assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
            assert answer.json() == {"error": Busy.sentence}
        assert client.get("/v1/health").status_code == 200  # what needs no assistant goes on
        held.go.set()
        for thread in threads:
            thread.join()
        assert sorted(answer.status_code for answer in out) == [200] * 3 + [429] * 5
        assert client.post("/v1/reports", data={"demo": "af"}).status_code == 200


def test_work_that_takes_too_long_is_504_and_nothing_is_done_for_who_gave_up(stub: Any, held: Held) -> None:
    audit = AuditStore(None)
    with TestClient(create_app(stub, page=False, audit=audit, limits=Limits(work_s=1.0))) as client:
        out, threads = together(lambda: client.post("/v1/reports", data={"demo": "af"}), 2)
        for thread in threads:
            thread.join()
        # One was worked on for too long; the other one's turn did not come in half of the time.
        assert sorted(answer.status_code for answer in out) == [429, 504]
        assert all("error" in answer.json() for answer in out)
        held.go.set()
        until(lambda: held.done == 1)
        # Behind it in the queue; what it did is over when this is.
        assert client.post("/v1/cases/search", data={"text": "AF"}).status_code == 200
    assert [entry.action for entry in audit.entries()] == ["search"]  # what nobody got stands nowhere
    assert held.done == 1  # the one that waited when it was given up was never begun


def test_a_turn_that_does_not_come_is_busy(stub: Any) -> None:
    desk = Desk(stub)
    with pytest.raises(Busy):
        desk.with_assistant(lambda _: desk.with_assistant(lambda loaded: loaded, 0.01))
    assert desk.with_assistant(lambda loaded: loaded, 0.01) is stub


def test_a_bucket_fills_up_again() -> None:
    clock = [0.0]
    rates = Rates(now=lambda: clock[0])
    assert [rates.wait_s("a", 60) for _ in range(15)] == [0.0] * 15
    assert rates.wait_s("a", 60) == pytest.approx(1.0) and rates.wait_s("b", 60) == 0.0
    clock[0] = 0.5
    assert rates.wait_s("a", 60) == pytest.approx(0.5)
    clock[0] = 1.0
    assert rates.wait_s("a", 60) == 0.0 and rates.wait_s("a", 60) > 0
    clock[0] = 1e6
    assert [rates.wait_s("a", 60, 0.1) for _ in range(151)].count(0.0) == 150


def test_a_key_that_asks_too_often_waits_and_others_do_not(stub: Any, tmp_path: Any) -> None:
    keys = KeyFile(tmp_path / "keys.sqlite")
    eager, calm = (keys.add(name, "clinician") for name in ("eager", "calm"))
    limits = Limits(per_minute=8, strangers_per_minute=8)
    with TestClient(create_app(stub, page=False, keys=keys, limits=limits)) as client:
        answers = [client.get("/v1/health", headers={"x-api-key": eager}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 8 and "Retry-After" in answers[2].json()["error"]
        assert client.get("/v1/health", headers={"x-api-key": calm}).status_code == 200
        strangers = [client.get("/v1/health", headers={"x-api-key": "wrong"}).status_code for _ in range(3)]
        assert strangers == [401, 401, 429]
        assert client.get("/v1/health", headers={"x-api-key": calm}).status_code == 200


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        ({"files": [("files", (f"{n}.csv", b"x")) for n in range(6)]}, 400, "Too many files"),
        ({"data": {f"f{n}": "x" for n in range(6)}, "files": [("files", ("a.csv", b"x"))]}, 400, "Too many fields"),
        ({"data": {"demo": "x" * 3000}, "files": [("files", ("a.csv", b"x"))]}, 400, "maximum size"),
        ({"data": {"demo": "x" * 3000}}, 413, "larger than 2 KB"),
        ({"json": {"signer": "x" * 3000}}, 413, "larger than 2 KB"),
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, ""),
    ],
)
def test_forms_are_bounded(stub: Any, request_: dict[str, Any], status: int, said: str) -> None:
    with TestClient(create_app(stub, page=False, limits=Limits(files=5, fields=5, form_bytes=2048))) as client:
        answer = client.post("/v1/reports", **request_)
        assert (answer.status_code, list(answer.json())) == (status, ["error"]), answer.text
        assert said in answer.json()["error"] and stub.seen == []


def test_a_body_that_comes_too_slowly_is_408(stub: Any) -> None:
    app = create_app(stub, page=False, limits=Limits(upload_s=0.3))
    sent: list[Any] = []
    begun: list[bool] = []

    async def receive() -> Any:
        await asyncio.sleep(0.01 if not begun else 3600)
        begun.append(True)
        return {"type": "http.request", "body": b"--x\r\n", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"x"), (b"content-type", b"multipart/form-data; boundary=x")]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/reports", "raw_path": b"/v1/reports", "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("x", 80), "scheme": "http", "root_path": "",
        "http_version": "1.1", "asgi": {"version": "3.0"},
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408 and b"took longer" in sent[1]["body"]


def test_headers_that_do_not_come_close_the_connection(stub: Any) -> None:
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = create_app(stub, page=False)
    server = uvicorn.Server(uvicorn.Config(app, http=patient_protocol(0.5), ws="none", log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)

        def connected() -> socket.socket:
            return socket.create_connection(listener.getsockname(), timeout=30)

        silent, trickling, good = connected(), connected(), connected()
        asked = b"GET /v1/health HTTP/1.1\r\nHost: x\r\n"
        good.sendall(asked + b"\r\n")
        assert good.recv(15) == b"HTTP/1.1 200 OK"
        trickling.sendall(asked)

        def trickle() -> None:
            with contextlib.suppress(OSError):
                for n in range(300):
                    trickling.sendall(f"X-{n}: x\r\n".encode())
                    time.sleep(0.1)

        thread_of_trickle = threading.Thread(target=trickle, daemon=True)
        thread_of_trickle.start()
        assert silent.recv(1) == b""  # closed by the server
        with contextlib.suppress(ConnectionResetError):  # closed, too, perhaps with bytes on the way
            assert trickling.recv(1) == b""
        thread_of_trickle.join(timeout=30)
        assert not thread_of_trickle.is_alive()
    finally:
        server.should_exit = True
        thread.join(timeout=20)
