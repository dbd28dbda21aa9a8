"""What happens on the page when its parts are used: the handlers alone, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from ui import looking, texts
from ui.board import _Board
from ui.demo import demo
from ui.desk import Desk
from ui.visit import Entry, Visit


@dataclass
class Page:
    """The board, and what each of its parts shows by now."""

    board: _Board
    shown: dict[Any, Any]
    number: int = 0

    def take(self, out: dict[Any, Any]) -> dict[Any, Any]:
        self.shown.update(out)
        return out

    def analyse(self, *files: Path, demo: str | None = "demo:af", age: str = "", sex: str = "", rate: str = "") -> dict[Any, Any]:
        b, request = self.board, SimpleNamespace(session_hash="s")
        held = self.shown.get(b.visit)
        return self.take(b.analyse(held, list(map(str, files)), (), demo, age, sex, rate, "", "", request, lambda *a, **k: None))

    def look(self, **data: Any) -> dict[Any, Any]:
        self.number += 1
        return self.take(self.board.look(self.shown[self.board.visit], SimpleNamespace(_data={**data, "n": self.number})))

    def __getattr__(self, name: str) -> Any:
        return self.shown.get(getattr(self.board, name))


@pytest.fixture
def page(stub: Any, explained: None) -> Iterator[Page]:
    """A page whose network says that V2 speaks for whatever is asked."""
    with gr.Blocks():
        yield Page(_Board(Desk(stub), False), {})


def layout_of(tools: str) -> str:
    """Which layout the tools name as the chosen one."""
    return tools.split('data-view="layout"')[1].split(" selected")[0].rsplit('value="', 1)[1].rstrip('"')


def test_what_was_typed_for_one_recording_is_not_there_for_the_next(page: Page, stub: Any, tmp_path: Path) -> None:
    page.analyse(age="61", sex="F")
    assert (stub.seen[-1].age_years, stub.seen[-1].sex) == (61, "F") and "Age 61 (typed), sex F (typed)" in page.paper
    fields = (page.board.age, page.board.sex, page.board.rate, page.board.unit, page.board.patient)
    assert [page.shown[field] for field in fields] == [""] * 5
    # Where nothing was read, what was typed stays to be mended.
    out = page.analyse(age="old")
    assert "age is not accepted" in out[page.board.message] and not set(fields) & set(out)


def test_the_paper_says_which_recording_it_is_and_of_whom(page: Page) -> None:
    page.analyse()
    assert "<figcaption>Atrial fibrillation (synthesised). Age 74, sex M</figcaption>" in page.paper
    ecg = demo("normal")
    for about, said in (
        ({"recorded_at": "2025-03-01T10:22:00"}, "one, 2025-03-01 10:22:00. Age not known, sex not known"),
        ({"age_years": 17.6, "sex": "F"}, "one. Age 17.6, sex F"),
    ):
        entry = Entry("one", type(ecg)(ecg.signal_mv, ecg.fs_hz, ecg.leads, **about))
        assert f"<figcaption>{said}</figcaption>" in looking.paper_of(Visit((entry,)))
        both = looking.paper_of(Visit((entry, Entry("two", ecg)), shown=1, previous=0))
        assert f"Previous recording: {said}" in both and "This recording: two. Age 45, sex F" in both


def test_marks_go_with_the_evidence_they_belong_to(page: Page) -> None:
    page.analyse()
    assert layout_of(page.tools) == "grid"
    page.look(id="F:AFIB")
    assert "What speaks for atrial fibrillation" in page.paper and layout_of(page.tools) == "rows"
    assert "Clear the marks" in page.evidence
    page.look(id="M:rate_bpm")
    assert "What speaks for" not in page.paper and layout_of(page.tools) == "grid" and "M:rate_bpm" in page.evidence
    # Without marks, evidence alone is written.
    assert page.board.paper not in page.look(id="M:qrs_ms")


def test_marks_stay_in_another_scale_and_go_with_another_layout(page: Page) -> None:
    page.analyse()
    page.look(id="F:AFIB")
    page.look(view={"layout": "rows", "speed": "50"})  # as the tools have it
    assert "What speaks for" in page.paper and 'data-mm-per-s="50"' in page.paper and layout_of(page.tools) == "rows"
    page.look(id="clear")
    assert layout_of(page.tools) == "grid" and 'data-mm-per-s="50"' in page.paper and "ea-shade" not in page.paper
    page.look(id="F:AFIB")
    page.look(view={"layout": "grid"})
    assert "What speaks for" not in page.paper and layout_of(page.tools) == "grid"


def test_a_cases_trace_can_be_shown_and_hidden_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "case_paper", lambda visit, case_id, folders: f"<svg>{case_id}</svg>")
    monkeypatch.setattr(looking, "at_hand", lambda document, folders: ("C:17",))
    page.analyse()
    assert texts.SHOW_TRACE in page.cases and "<svg>" not in page.cases
    page.look(case="C:17")
    assert "<svg>C:17</svg>" in page.cases and texts.HIDE_TRACE in page.cases and texts.SHOW_TRACE not in page.cases
    page.look(case="C:17")
    assert "<svg>" not in page.cases and texts.SHOW_TRACE in page.cases


def test_once_a_recording_is_there_the_chat_asks_for_none(page: Page) -> None:
    assert page.board.talk.placeholder == texts.CHAT_EMPTY
    page.analyse()
    assert page.talk.placeholder == texts.CHAT_READY and page.talk.value == []
