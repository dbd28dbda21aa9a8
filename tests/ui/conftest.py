"""A stand-in for the assistant: the same interface and real record types, but no model behind it; the page in a browser."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import assistant
from assistant.answer import Answer
from assistant.compose import sections
from assistant.decide import Reason
from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence, Finding
from assistant.filling import fill
from assistant.intents import Question
from assistant.report import Critical, Draft, Line, Referral, Report, who_should_look
from encoders.ecg import ECG
from encoders.gate import check
from encoders.leadsets import ALL_LEADS
from encoders.measure import measure
from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.library import Found
from retrieval.neighbours import neighbours_say

PROBABILITIES = {"AFIB": 0.97, "IMI": 0.3, "NST_": 0.6, "WPW": 0.2, "SR": 0.02}


#: Of 50 similar cases all list AFIB, and 20 LAFB, which is open for it.
SAY = neighbours_say(
    [Case(str(i), 0.9, statements={"AFIB": 0.0} | ({"LAFB": 0.0} if i < 20 else {})) for i in range(50)],
    {"AFIB": 0.07, "LAFB": 0.08}, 17_000,
)  # fmt: skip


def evidence_of(ecg: ECG) -> Evidence:
    """Measured for real; the findings are always those of PROBABILITIES, and LAFB is open for SAY."""

    def finding(code: str) -> Finding:
        p = PROBABILITIES.get(code, 0.005)
        if code == "LAFB":
            return Finding(code, p, UNDETERMINED, "Similar cases.", ("N:LAFB",))
        if code in ("WPW", "TRIGU", "BIGU"):
            return Finding(code, p, NOT_ASSESSED)
        return Finding(code, p, PRESENT if p > 0.5 else UNDETERMINED if p > 0.1 else ABSENT)

    cases = (Case("17", 0.91, 70.0, "M", {"AFIB": 0.0}, {}, "PTB-XL 1.0.3 record 17"),)
    return Evidence(
        check(ecg), measure(ecg), tuple(finding(code) for code in CODES), cases, (), ecg.age_years, ecg.sex, ecg.content_hash(),
        neighbours=tuple(one for one in SAY if one.listed), left_out=(2, 1),
    )  # fmt: skip


def report_of(ecg: ECG) -> Draft | Referral:
    """A draft with a sentence that looks like HTML; a referral where the recording is unusable."""
    evidence = evidence_of(ecg)
    said = {
        name: tuple(Line(fill(s.text, evidence), s.claims) for s in lines) for name, lines in sections(evidence).items()
    }
    impression = (Line("Atrial fibrillation <i>.", ("F:AFIB",), "language model"),)
    critical = (Critical("rule", "cannot exclude", "Something critical.", ("F:IMI",), "A citation."),)
    said["impression"] = impression
    report = Report(evidence, said, impression, critical, limits=("A limit.",), guarantee="A promise.")
    if evidence.quality.usable:
        return Draft(report)
    reasons = tuple(Reason("unusable", reason) for reason in evidence.quality.reasons)
    return Referral(reasons, who_should_look(reasons), report)


def answer(text: str) -> Answer:
    return Answer(text, ("yes",), 0.9, ("M:rate_bpm",), (Line(text, ("M:rate_bpm",)),), Question(text, "verify"))


@dataclass
class StubChat:
    readings: tuple[ECG, ...]
    questions: list[str] = field(default_factory=list)

    def ask(self, question: str) -> Answer:
        self.questions.append(question)
        return answer(f"Answer {len(self.questions)} to <b>{question}</b>.")


@dataclass(frozen=True)
class StubReading:
    ecg: ECG
    evidence: Evidence


class StubLibrary:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def find(self, **asked: Any) -> Found:
        self.asked.append(asked)
        by_words = asked["embedding"] is None
        case = Case("18", 0.5, None, None, {"CLBBB": 100.0}) if by_words else Case("17", 0.91, 70.0, "M", {"AFIB": 0.0})
        said = () if by_words else neighbours_say([case] * 50, {"AFIB": 0.1}, 100)
        return Found((case,)[: asked["k"]], 2, 1, None, said, 0 if by_words else 50)

    def close(self) -> None:
        pass


@dataclass
class StubEncoding:
    probabilities: Any
    embedding: Any
    lead_set: str = ALL_LEADS


class StubEncoder:
    hash = "0" * 64

    def encode(self, ecgs: Any) -> list[StubEncoding]:
        return [StubEncoding(np.full(71, 0.2, np.float32), np.ones(256, np.float32)) for _ in ecgs]

    def with_measurements(self, encoding: StubEncoding, measurements: Any, *_: Any) -> StubEncoding:
        assert measurements.value("rate_bpm")
        return StubEncoding(encoding.probabilities + 0.05, encoding.embedding)


class StubAssistant:
    """The interface of ``assistant.Assistant`` as ``ui`` uses it."""

    def __init__(self) -> None:
        self.encoder, self.library = StubEncoder(), StubLibrary()
        self.seen: list[ECG] = []
        self.questions: list[str] = []
        self.earlier: StubReading | None = None

    def report(self, ecg: ECG, *, k: int = 10) -> Draft | Referral:
        self.seen.append(ecg)
        return report_of(ecg)

    def read(self, ecgs: list[ECG], *, k: int = 10) -> list[StubReading]:
        return [StubReading(ecg, evidence_of(ecg)) for ecg in ecgs]

    def report_of(self, reading: StubReading, earlier: StubReading | None = None) -> Draft | Referral:
        self.earlier = earlier
        return self.report(reading.ecg)

    def reply(self, readings: tuple[StubReading, ...], question: str, previous: Question | None) -> tuple[Question, Answer]:
        self.questions.append(question)
        said = answer(f"Answer {len(self.questions)} to <b>{question}</b>.")
        return said.question, said

    def ask(self, ecgs: list[ECG], question: str, history: Any = None) -> Answer:
        self.seen += ecgs
        return answer(f"{len(ecgs)} recordings: {question}")

    def chat(self, ecg: ECG) -> StubChat:
        return StubChat((ecg,))

    def versions(self) -> dict[str, str]:
        return {"ecg-assistant": "0", "encoder": self.encoder.hash}


@pytest.fixture
def stub() -> StubAssistant:
    return StubAssistant()


@pytest.fixture
def stubbed(stub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Commands get the stand-in; ``stub.options`` holds what they loaded it with."""

    class Loader:
        @staticmethod
        def load(**options: Any) -> Any:
            stub.options = options
            print("a library that chatters on stdout")
            return stub

    monkeypatch.setitem(assistant.__dict__, "Assistant", Loader)
    return stub


# The page in a browser ------------------------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
LAPTOP = {"width": 1366, "height": 768}
WAIT_MS = 120_000  # for a machine that is busy with something else; nothing here waits that long on its own


@dataclass
class Visitor:
    """A browser page, and what it did on the side."""

    page: Any
    address: str
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        allowed = (self.address, "data:", "blob:")
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("request", lambda r: None if r.url.startswith(allowed) else self.foreign.append(r.url))
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def analyse(self, title: str) -> Any:
        """Chooses a demo, presses the button, waits for what is drafted."""
        if not self.page.locator("#analyse").is_visible():
            self.page.get_by_role("button", name="Recordings").click()
        self.page.get_by_label(title, exact=True).check()
        return self.go()

    def go(self) -> Any:
        # What is drafted is written anew; an empty mark on the old one tells when.
        self.page.evaluate(
            "document.querySelectorAll('#draft .ea-document, #message .ea-error').forEach(one => one.dataset.old = '1')"
        )
        self.page.click("#analyse")
        self.page.wait_for_function(
            "document.querySelector('#draft .ea-document:not([data-old])')"
            " || document.querySelector('#message .ea-error:not([data-old])')",
        )
        return self.page.locator("#draft")

    def drop(self, *files: Path) -> None:
        if not self.page.locator("#analyse").is_visible():
            self.page.get_by_role("button", name="Recordings").click()
        self.page.set_input_files("#files input[type=file]", list(files))
        self.page.wait_for_selector("#files .file-preview, #files table")

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    def ask(self, question: str) -> str:
        said = self.page.locator("#talk .ea-asked")
        before = said.count()
        self.page.fill("#question textarea, #question input", question)
        self.page.click("#send")
        self.page.wait_for_function("n => document.querySelectorAll('#talk .ea-asked').length > n", arg=before)
        return str(said.last.inner_text())

    def take(self, kind: str) -> bytes:
        with self.page.expect_download() as waiting:
            self.page.click(f"#export-{kind}")
        assert "Zzyzx" not in waiting.value.suggested_filename
        return Path(waiting.value.path()).read_bytes()

    def until(self, true: Callable[[], bool]) -> None:
        """Lets the page go on until something is so; whoever calls asserts it."""
        left = WAIT_MS // 200
        while not true() and left:
            self.page.wait_for_timeout(200)
            left -= 1

    def fits(self) -> None:
        """Neither the page nor a part of it is wider than its place; the paper alone may be scrolled when it is zoomed."""
        wide = self.page.evaluate(
            "() => [document.documentElement, ...document.querySelectorAll('#left, #right, .ea-pane, #vitals, #evidence, #tools,"
            " .ea-top, .ea-scroll, .ea-vital')].filter(one => one.offsetParent !== null || one === document.documentElement)"
            ".filter(one => one.scrollWidth > one.clientWidth + 1).map(one => (one.id || one.className) + ' ' + one.scrollWidth"
            " + ' in ' + one.clientWidth)"
        )
        assert wide == []

    def accessible(self) -> None:
        """axe-core finds nothing serious or critical."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        bad = [
            f"{one['id']}: {node['html'][:160]}"
            for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]
        ]  # fmt: skip
        assert bad == []

    def quiet(self) -> None:
        assert self.foreign == [] and self.complaints == []


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], str]]:
    """Starts the real server with an assistant on a free port of this machine; returns its address."""
    import uvicorn

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    running: list[tuple[Any, threading.Thread]] = []

    def start(assistant: Any, **options: Any) -> str:
        from ui.service import create_app

        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        app = create_app(assistant, hosts=("127.0.0.1",), **options)
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
def visit(serve: Callable[..., str]) -> Iterator[Callable[..., Visitor]]:
    """Opens the page of an assistant in Chromium, at the size of a small laptop."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium here (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))

        def open_page(assistant: Any, *, key: str = "", **options: Any) -> Visitor:
            address = serve(assistant, **options)
            visitor = Visitor(browser.new_page(viewport=LAPTOP, accept_downloads=True), address)
            visitor.listen()
            visitor.page.goto(address, timeout=WAIT_MS)
            if key:
                visitor.page.fill("#key", key)
                visitor.page.click("button")
            visitor.page.wait_for_selector("#analyse")
            return visitor

        yield open_page
        browser.close()


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the network's explanation: V2 speaks for it, from 2 to 2.2 s."""
    from encoders.attribution import Attribution
    from encoders.explanation import PARTS, Explanation
    from ui import looking

    def made(_: Any, entry: Any, code: str) -> Any:
        values = np.zeros((12, 1000), np.float32)
        values[7, 200:220] = 1.0
        attribution = Attribution(code, values, 2.0)
        spans = tuple((span, ()) for span in attribution.spans(1))
        return Explanation(attribution, attribution.by_lead(), spans, dict.fromkeys(PARTS, 0.3), dict.fromkeys(PARTS, 0.3))

    monkeypatch.setattr(looking, "explained", made)
