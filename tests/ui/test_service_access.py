"""The gate: the real server with the page mounted, and everything on it asked by strangers, by each role, and with tricks."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from starlette.routing import Mount

from encoders.errors import ArtefactError
from ui.access import ALLOWED, COOKIE, OPEN_PATHS
from ui.audit import AuditStore
from ui.keys import ROLES, KeyFile
from ui.limits import Limits
from ui.server import patient_protocol
from ui.service import create_app

FREELY = Limits(per_minute=1e9, strangers_per_minute=1e9)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


@dataclass
class House:
    """A running server with keys."""

    app: Any
    port: int
    keys: KeyFile
    key: dict[str, str]
    audit: AuditStore

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> tuple[int, Any]:
        """Status and headers of a request whose target goes out letter by letter; the body is not waited for."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        connection.close()
        return answer.status, answer.headers


def nothing() -> Any:
    raise ArtefactError("There is no assistant in this test.")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    import uvicorn

    folder = tmp_path_factory.mktemp("house")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "gradio"))
        keys, audit = KeyFile(folder / "keys.sqlite"), AuditStore(folder / "audit.sqlite")
        key = {role: keys.add(f"a {role}", role) for role in ROLES}
        app = create_app(load=nothing, keys=keys, audit=audit, limits=FREELY)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, http=patient_protocol(), ws="none", log_level="error", server_header=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.02)
        yield House(app, listener.getsockname()[1], keys, key, audit)
        server.should_exit = True
        thread.join(timeout=20)


def targets(app: Any) -> list[str]:
    """Every address of the service and of Gradio beneath it, with something in place of its parameters."""
    found = []
    for route in app.routes:
        if isinstance(route, Mount):
            found += targets(route.app)
        elif hasattr(route, "original_router"):  # a router that FastAPI took in
            found += targets(route.original_router)
        elif hasattr(route, "path"):
            found.append(re.sub(r"{[^}]*}", "x", route.path))
    return found


def test_strangers_are_refused_at_every_address_of_the_service_and_of_gradio(house: House) -> None:
    every = sorted({*targets(house.app), "/queue", "/upload", "/file=/etc/passwd", "/gradio_api/call/predict"})
    assert len(every) > 80
    assert {"/config", "/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/queue/data", "/theme.css"} <= set(every)
    assert {"/gradio_api/heartbeat/x", "/gradio_api/startup-events", "/gradio_api/file=x", "/v1/reports"} <= set(every)
    for target in every:
        for method in METHODS:
            if target not in OPEN_PATHS:
                assert house.ask(method, target)[0] == 401, f"{method} {target}"
    assert {house.ask("GET", target)[0] for target in OPEN_PATHS} == {200}


TRICKS = (
    "//config", "/./config", "/x/../config", "/%2e/config", "/%2e%2e/config", "/%2fconfig", "/config/", "/config//", "/CONFIG",
    "/config%00", "/config%0a", "/config%20", "/config;x=1", "/config?/sign-in", "/config#/sign-in", "/sign-in/../config",
    "/sign-in/%2e%2e/config", "/sign-in%2f..%2fconfig", "/sign-in/", "/SIGN-IN", "//sign-in", "/sign-in%0a", "/sign-in;/config",
    "/v1/docs/", "/v1/docs/../reports", "/v1/docs%2f", "/v1/openapi.json/", "/v1//reports", "/v1/%2e%2e/config", "/V1/reports",
    "/v1/docs%0a", "/gradio_api/../config", "/gradio_api//upload", "/\\config", "/..%5cconfig", "http://other/config", "*",
    "/assets/../config", "/static/%2e%2e/config", "/favicon.ico", "/gradio_api/file=%2fetc%2fpasswd", "/file=/etc/passwd",
)  # fmt: skip


@pytest.mark.parametrize("target", TRICKS)
def test_no_spelling_of_an_address_lets_a_stranger_in(house: House, target: str) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        assert house.ask(method, target)[0] in (400, 401), f"{method} {target}"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"},
        {"cookie": f"{COOKIE}=wrong"}, {"cookie": "access-token=x; access-token-unsecure-x=x"}, {"x-forwarded-for": "127.0.0.1"},
        {"x-original-url": "/sign-in"}, {"x-rewrite-url": "/sign-in"}, {"x-http-method-override": "GET"},
        {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
         "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="},
        {"accept": "text/event-stream"},
    ],
)  # fmt: skip
def test_no_header_lets_a_stranger_in(house: House, headers: dict[str, str]) -> None:
    for target in ("/", "/config", "/gradio_api/queue/data?session_hash=x", "/gradio_api/queue/join", "/v1/health"):
        status, answered = house.ask("GET", target, headers)
        assert status == 401 and answered["www-authenticate"] == "Bearer", target
    multipart = {**headers, "content-type": "multipart/form-data; boundary=x"}
    assert house.ask("POST", "/gradio_api/upload", multipart, b"--x--\r\n")[0] == 401


ENDPOINTS = {
    ("GET", "/config"): "page", ("GET", "/gradio_api/info"): "page", ("GET", "/theme.css"): "page",
    ("POST", "/v1/reports"): "reports", ("GET", f"/v1/reports/{'0' * 32}"): "reports", ("POST", "/v1/answers"): "answers",
    ("POST", f"/v1/reports/{'0' * 32}/signature"): "sign",
    ("POST", f"/v1/reports/{'0' * 32}/document"): "reports", ("POST", "/v1/measurements"): "measurements",
    ("POST", "/v1/cases/search"): "cases", ("GET", "/v1/audit"): "audit", ("GET", "/v1/audit/rates"): "audit",
    ("GET", "/v1/health"): "health",
}  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says_and_nothing_else(house: House, role: str) -> None:
    for (method, target), what in ENDPOINTS.items():
        for name, value in (("authorization", f"bearer {house.key[role]}"), ("x-api-key", house.key[role])):
            status, _ = house.ask(method, target, {name: value})
            assert (status == 403) == (role not in ALLOWED[what]) and status != 401, f"{role}: {method} {target} is {status}"


@pytest.mark.parametrize("target", ["/v1/audit%0a", "/v1/audit/", "/v1//audit", "/V1/audit", "/v1/./audit", "/v1/x/../audit",
                                    "/%761/audit", "/v1/aud%69t", "/v1/audit?x", "/v1/audit;x"])  # fmt: skip
def test_no_spelling_of_an_address_gives_a_role_more(house: House, target: str) -> None:
    assert house.ask("GET", target, {"x-api-key": house.key["clinician"]})[0] in (400, 403, 404, 422)
    config = target.replace("v1/audit", "config").replace("/audit", "/config")
    assert house.ask("GET", config, {"x-api-key": house.key["researcher"]})[0] in (400, 403, 404)


@pytest.mark.parametrize(
    "target",
    ["/gradio_api/proxy=https://huggingface.co/x", "/gradio_api/file=https://evil.example/", "/gradio_api/FILE=HTTP://evil.example",
     "/gradio_api/%66ile=http:%2f%2fevil.example", "/gradio_api/vibe-code", "/gradio_api/dev/reload", "/monitoring"],
)  # fmt: skip
def test_doors_that_lead_elsewhere_are_shut_for_clinicians_too(house: House, target: str) -> None:
    for method in ("GET", "POST"):
        status, headers = house.ask(method, target, {"x-api-key": house.key["clinician"]})
        assert status == 404 and "location" not in headers, target


def test_a_revoked_key_and_its_session_end_at_once(house: House) -> None:
    key = house.keys.add("leaver", "clinician")
    cookie = sign_in(house, key)
    assert house.ask("GET", "/v1/health", {"x-api-key": key})[0] == 200 == house.ask("GET", "/config", cookie)[0]
    house.keys.revoke("leaver")
    assert house.ask("GET", "/v1/health", {"x-api-key": key})[0] == 401 == house.ask("GET", "/config", cookie)[0]


def sign_in(house: House, key: str) -> dict[str, str]:
    form = {"content-type": "application/x-www-form-urlencoded"}
    status, headers = house.ask("POST", "/sign-in", form, f"key={quote(key)}".encode())
    assert status == 303
    cookie = headers["set-cookie"]
    assert "httponly" in cookie.lower() and "samesite=strict" in cookie.lower() and "max-age=28800" in cookie.lower()
    return {"cookie": cookie.split(";")[0]}


def test_sign_in_with_a_cookie_and_out_again(house: House) -> None:
    cookie = sign_in(house, house.key["clinician"])
    assert house.ask("GET", "/", cookie)[0] == 200 == house.ask("GET", "/v1/health", cookie)[0]
    assert next(reversed(list(house.audit.entries()))).action == "sign-in"
    assert house.ask("POST", "/sign-out", cookie)[0] == 303
    assert house.ask("GET", "/", cookie)[0] == 401
    form = {"content-type": "application/x-www-form-urlencoded"}
    for body in (b"", b"key=", b"key=wrong", b"\xff=\xff&key=%ff", b"&" * 50):
        assert house.ask("POST", "/sign-in", form, body)[0] in (401, 422), body
    assert house.key["clinician"] not in cookie["cookie"]


def test_a_researcher_signs_in_to_the_description_and_not_to_the_page(house: House) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    status, headers = house.ask("POST", "/sign-in", form, f"key={quote(house.key['researcher'])}".encode())
    assert (status, headers["location"]) == (303, "/v1/docs")


def test_forms_of_foreign_pages_are_refused_whoever_is_signed_in(house: House) -> None:
    cookie = sign_in(house, house.key["clinician"])
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{house.port + 1}", "http://127.0.0.1"):
        assert house.ask("POST", "/v1/reports", {**cookie, "origin": origin})[0] == 403, origin
    assert house.ask("POST", "/v1/reports", {**cookie, "origin": f"http://127.0.0.1:{house.port}"})[0] == 422


def test_a_browser_gets_the_sign_in_page_with_its_401(house: House) -> None:
    status, headers = house.ask("GET", "/", {"accept": "text/html,*/*"})
    assert status == 401 and headers["content-type"].startswith("text/html")
    assert house.ask("GET", "/", {"accept": "application/json"})[1]["content-type"] == "application/json"


def test_headers_of_safety_stand_on_every_answer(house: House) -> None:
    wanted = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "cross-origin-opener-policy": "same-origin"}
    for target in ("/", "/config", "/v1/health", "/v1/docs", "/nothing", "/v1/nothing"):
        for headers in ({}, {"x-api-key": house.key["clinician"]}):
            answered = house.ask("GET", target, headers)[1]
            assert {name: answered[name] for name in wanted} == wanted and answered["cache-control"] == "no-store", target
            assert "default-src" in answered["content-security-policy"] and "permissions-policy" in answered
            assert "access-control-allow-origin" not in answered and "server" not in answered


def test_nothing_calls_out(stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole round in this process: whoever opens a connection or asks for an address is noted."""
    called: list[Any] = []

    def noted(name: str) -> Any:
        def call(*args: Any, **_: Any) -> Any:
            called.append((name, args[-1:]))
            raise OSError("no network in this test")

        return call

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, noted(name))
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, noted(name))
    with TestClient(create_app(stub, limits=FREELY)) as client:
        page = client.get("/")
        assert page.status_code == 200 and client.get("/config").status_code == 200
        for target in ("/gradio_api/info", "/gradio_api/startup-events", "/theme.css", "/v1/docs", "/v1/openapi.json"):
            assert client.get(target).status_code == 200, target
        assert client.post("/v1/reports", data={"demo": "af"}).status_code == 200
        assert client.post("/v1/answers", data={"demo": "af", "question": "QRS?"}).status_code == 200
        assert client.post("/v1/cases/search", data={"text": "left bundle branch block"}).status_code == 200
        foreign = re.findall(r"(?:src|href)=\"(https?://[^\"]+)", page.text)
        assert foreign == []
        assert not re.search(r"https?://", client.get("/v1/docs").text.replace("http://127.0.0.1:8000", ""))
    assert called == []
