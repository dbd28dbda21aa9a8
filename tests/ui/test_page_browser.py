"""The page in a real browser: it works, it fits a laptop, it is quiet, and it asks no other host for anything."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from encoders.errors import ArtefactError
from ui.demo import demo
from ui.service import create_app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
LAPTOP = {"width": 1366, "height": 768}
WAIT_MS = 120_000  # for a machine that is busy with something else; nothing here waits that long on its own

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here (Debian: apt-get install chromium)")


@dataclass
class Visitor:
    """A browser page, and what it did on the side."""

    page: Any
    address: str
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        allowed = (self.address, "data:", "blob:")
        self.page.on("request", lambda r: None if r.url.startswith(allowed) else self.foreign.append(r.url))
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def analyse(self, title: str) -> Any:
        self.page.get_by_label(title, exact=True).check()
        self.page.click("#analyse")
        self.page.wait_for_selector("#paper img", timeout=WAIT_MS)
        self.page.wait_for_selector("#draft .ea-document, #draft .ea-error", timeout=WAIT_MS)
        return self.page.locator("#draft")

    def ask(self, question: str) -> str:
        said = self.page.locator("#talk .message.bot")
        before = said.count()
        self.page.fill("#question textarea, #question input", question)
        self.page.click("#send")
        # A bubble with dots stands there until the answer comes; the field is emptied together with the answer.
        self.page.wait_for_function(
            "n => document.querySelectorAll('#talk .message.bot').length > n && !document.querySelector('#talk .pending')"
            " && !(document.querySelector('#question textarea, #question input').value)",
            arg=before, timeout=WAIT_MS,
        )  # fmt: skip
        return str(said.last.inner_text())


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], str]]:
    """Starts the real server with an assistant on a free port of this machine; returns its address."""
    import uvicorn

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    running: list[tuple[Any, threading.Thread]] = []

    def start(assistant: Any) -> str:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        app = create_app(assistant, hosts=("127.0.0.1",))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.02)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture
def visit(serve: Callable[[Any], str]) -> Iterator[Callable[[Any], Visitor]]:
    """Opens the page of an assistant in Chromium, at the size of a small laptop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))

        def open_page(assistant: Any) -> Visitor:
            address = serve(assistant)
            visitor = Visitor(browser.new_page(viewport=LAPTOP), address)
            visitor.listen()
            visitor.page.goto(address, timeout=WAIT_MS)
            visitor.page.wait_for_selector("#analyse", timeout=WAIT_MS)
            return visitor

        yield open_page
        browser.close()


def _fits(visitor: Visitor) -> None:
    wide = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= LAPTOP["width"], f"the page is {wide} px wide"


def test_demo_analyse_and_conversation(visit: Callable[[Any], Visitor], stub: Any, tmp_path: Path) -> None:
    visitor = visit(stub)
    assert "no treatment advice" in visitor.page.inner_text(".ea-top")
    visitor.page.screenshot(path=tmp_path / "opened.png")
    draft = visitor.analyse("Atrial fibrillation").inner_text()
    assert "Unconfirmed draft" in draft and "F:AFIB" in draft
    assert "Atrial fibrillation <i>." in draft  # text arrives as text
    assert stub.seen[0].content_hash() == demo("af").content_hash()
    assert visitor.page.locator("#paper img").evaluate("image => image.naturalWidth") > 1000
    assert "110/min" in visitor.page.inner_text("#vitals") and "Something critical." in draft
    assert "97 %" in visitor.page.inner_text("#findings") and "C:17" in visitor.page.inner_text("#cases")
    assert "Answer 1 to <b>What is the rate?</b>" in visitor.ask("What is the rate?")
    assert "Answer 2 to" in visitor.ask("And the rhythm?")  # the conversation keeps its context
    _fits(visitor)
    visitor.page.screenshot(path=tmp_path / "analysed.png", full_page=True)
    visitor.page.get_by_label("Electrodes off, muscle noise", exact=True).check()
    visitor.page.click("#analyse")
    visitor.page.wait_for_selector("#draft [data-status=referral]", timeout=WAIT_MS)
    referral = visitor.page.inner_text("#draft")
    assert "Handed over to a human" in referral and "flat line" in referral and "to record it again" in referral
    assert referral.index("Something critical.") < referral.index("Handed over to a human")
    assert visitor.page.locator("#talk .message").count() == 0  # a new recording, a new conversation
    visitor.page.screenshot(path=tmp_path / "referred.png", full_page=True)
    assert visitor.foreign == [] and visitor.complaints == []


def test_own_file_is_read_and_does_not_stay(visit: Callable[[Any], Visitor], stub: Any, tmp_path: Path) -> None:
    table = tmp_path / "leads.csv"
    ecg = demo("normal")
    rows = [",".join(ecg.leads), *(",".join(f"{v:.3f}" for v in row) for row in ecg.signal_mv.T)]
    table.write_text("\n".join(rows), encoding="utf-8")
    broken = tmp_path / "broken.hea"
    broken.write_text("nonsense", encoding="utf-8")
    visitor = visit(stub)

    def drop(file: Path) -> None:
        visitor.page.set_input_files("#files input[type=file]", file)
        visitor.page.wait_for_selector("#files .file-preview, #files table", timeout=WAIT_MS)
        visitor.page.click("#analyse")

    drop(broken)
    visitor.page.wait_for_selector("#draft .ea-error", timeout=WAIT_MS)
    sentence = visitor.page.inner_text("#draft .ea-error")
    assert "broken" in sentence and "/" not in sentence and stub.seen == []
    visitor.page.get_by_text("For tables without rate or unit").click()
    visitor.page.fill("#rate textarea, #rate input", "500")
    visitor.page.get_by_label("Unit (--unit)").click()
    visitor.page.get_by_role("option", name="mV", exact=True).click()
    drop(table)
    visitor.page.wait_for_selector("#draft .ea-document", timeout=WAIT_MS)
    assert stub.seen[0].fs_hz == 500 and stub.seen[0].source == "csv"
    left = [path for path in (tmp_path / "gradio").rglob("*") if path.is_file() and path.stat().st_size]
    assert left == []
    assert visitor.foreign == [] and visitor.complaints == []


def test_the_real_assistant_on_the_page(visit: Callable[[Any], Visitor], tmp_path: Path) -> None:
    from assistant import Assistant

    try:
        assistant = Assistant.load()
        assert assistant.language is not None
    except ArtefactError as error:
        pytest.skip(f"an artefact is not in this tree: {error}")
    visitor = visit(assistant)
    draft = visitor.analyse("Atrial fibrillation").inner_text().lower()
    assert "atrial fibrillation" in draft and "F:AFIB" in visitor.page.inner_text("#findings")
    assert "ms" in visitor.ask("How long is the QRS complex?")
    _fits(visitor)
    visitor.page.screenshot(path=tmp_path / "real-af.png", full_page=True)
    visitor.page.get_by_label("Electrodes off, muscle noise", exact=True).check()
    visitor.page.click("#analyse")
    visitor.page.wait_for_selector("#draft [data-status=referral]", timeout=WAIT_MS)
    assert "Handed over to a human" in visitor.page.inner_text("#draft")
    visitor.page.screenshot(path=tmp_path / "real-noisy.png", full_page=True)
    assert visitor.foreign == [] and visitor.complaints == []
