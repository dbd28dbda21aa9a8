"""The page's parts and what happens when they are used. Imports Gradio: only ``ui.page`` imports this, when a page is made."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from encoders.errors import EcgAssistantError
from ui import looking, panes, present, texts
from ui.audit import actor_of
from ui.demo import DEMOS, PREFIX
from ui.desk import Busy, Desk
from ui.editing import Edition
from ui.replies import growing
from ui.takeaway import KINDS, packed
from ui.visit import Choice, Visit, compare, drafted, forget, judged, read_choice, recorded, turned

if TYPE_CHECKING:
    from assistant import Assistant
    from assistant.report import Line

__all__ = ["board"]

_LOG = logging.getLogger("ecg-assistant")
#: How long a visitor's recordings are held in memory after the last use, in seconds.
KEEP_S = 1800
#: What the page's scripts call: they send what was pressed, and take a file that was made.
_COURIER = "window.eaSend = (name, data) => trigger(name, data); window.eaEvents = ['edit', 'look', 'hand'];"
_PARCELS = "watch('value', () => window.eaFetch(props.value));"
_ANSWERED = "watch('value', () => window.eaDone(props.value));"
Update = dict[Any, Any]


class _Held:
    """One session's visit. Events of several kinds come at the same time, each with the state as it was when it was sent; what
    one of them changed would be lost under another's. So all share this one object, and one at a time works on what it holds."""

    def __init__(self) -> None:
        self.visit: Visit | None = None
        #: Number of the last event that was worked on: one that the page sends again is not done twice.
        self.done = 0
        self.lock = threading.RLock()


class _Board:
    """The components, made inside ``gr.Blocks``, and the handlers of their events."""

    def __init__(self, desk: Desk, sign_out: bool) -> None:
        self.desk = desk
        self.visit = gr.State(None, time_to_live=KEEP_S)
        self.pending = gr.State((), time_to_live=KEEP_S, delete_callback=forget)
        gr.HTML(present.header_html(sign_out), padding=False)
        self.courier = gr.HTML("", js_on_load=_COURIER, elem_id="courier", padding=False)
        self.parcels = gr.HTML(None, html_template="", js_on_load=_PARCELS, elem_id="parcels", padding=False)
        self.answered = gr.HTML(None, html_template="", js_on_load=_ANSWERED, elem_id="answered", padding=False)
        self._recordings()
        self.message = gr.HTML("", elem_id="message", padding=False)
        with gr.Row(equal_height=False, elem_id="work"):
            with gr.Column(scale=3, min_width=480, elem_id="left"):
                self.tools = gr.HTML("", elem_id="tools", padding=False)
                self.paper = gr.HTML(present.empty_html(texts.EMPTY), elem_id="paper", padding=False)
                self.vitals = gr.HTML("", elem_id="vitals", padding=False)
                self.evidence = gr.HTML("", elem_id="evidence", padding=False)
            with gr.Column(scale=2, min_width=360, elem_id="right"):
                self._tabs()
        self._wire()

    # Parts ------------------------------------------------------------------------------------------------------------

    def _recordings(self) -> None:
        self.accordion = gr.Accordion(texts.RECORDINGS, open=True, elem_id="recordings")
        with self.accordion, gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=240):
                self.files = gr.File(file_count="multiple", label=texts.DROP_LABEL, height=92, elem_id="files")
            with gr.Column(scale=4, min_width=300):
                self.demo = gr.Radio(
                    [(subject.title, PREFIX + subject.name) for subject in DEMOS], label=texts.DEMO_LABEL,
                    value=PREFIX + DEMOS[0].name, elem_id="demo",
                )  # fmt: skip
            with gr.Column(scale=3, min_width=240):
                with gr.Row():
                    # A text field, for an empty number field of Gradio reads 0, and 0 years would overrule the file.
                    self.age = gr.Textbox(
                        label=texts.AGE, placeholder=texts.AS_RECORDED, min_width=80, max_length=5, elem_id="age"
                    )
                    self.sex = gr.Dropdown(
                        [("—", ""), ("F", "F"), ("M", "M")], value="", label=texts.SEX, min_width=80, elem_id="sex"
                    )
                self.patient = gr.Textbox(
                    label=texts.PATIENT_KEY, placeholder=texts.PATIENT_KEY_HINT, min_width=80, max_length=200,
                    elem_id="patient-key",
                )
                with gr.Accordion(texts.TABLES, open=False), gr.Row():
                    self.rate = gr.Textbox(label=texts.RATE, min_width=80, max_length=10, elem_id="rate")
                    self.unit = gr.Dropdown(
                        [("—", ""), "mV", "uV", "V"], value="", label=texts.UNIT, min_width=80, elem_id="unit"
                    )
                self.go = gr.Button(texts.ANALYSE, variant="primary", elem_id="analyse")
        with gr.Row(visible=False, elem_id="entries") as self.chooser:
            self.shown = gr.Dropdown([], label=texts.CHOOSE, elem_id="shown", min_width=200)
            self.previous = gr.Dropdown([], label=texts.PREVIOUS, elem_id="previous", min_width=200)

    def _tabs(self) -> None:
        draft, findings, measured, compared, cases, talk = texts.TABS
        with gr.Tabs(selected="draft", elem_id="tabs") as self.tabs:
            with gr.Tab(draft, id="draft"):
                self.document = gr.HTML("", elem_id="draft", elem_classes="ea-pane", padding=False)
                self.sign = gr.HTML("", elem_id="sign-pane", elem_classes="ea-pane", padding=False)
            with gr.Tab(findings, id="findings"):
                self.findings = gr.HTML("", elem_id="findings", elem_classes="ea-pane", padding=False)
            with gr.Tab(measured, id="measured"):
                self.measured = gr.HTML("", elem_id="measured", elem_classes="ea-pane", padding=False)
            with gr.Tab(compared, id="compared"):
                self.compared = gr.HTML(
                    present.empty_html(texts.COMPARE_EMPTY), elem_id="compared", elem_classes="ea-pane", padding=False
                )
            with gr.Tab(cases, id="cases"):
                self.cases = gr.HTML("", elem_id="cases", elem_classes="ea-pane", padding=False)
            with gr.Tab(talk, id="talk"):
                # Every reply is made here, with all text in it escaped: sanitising it would take away its evidence buttons.
                self.talk = gr.Chatbot(
                    label=texts.CHAT_LABEL, height=400, placeholder=texts.CHAT_EMPTY, render_markdown=False, sanitize_html=False,
                    feedback_options=None, buttons=[], elem_id="talk", layout="bubble",
                )  # fmt: skip
                with gr.Row():
                    self.question = gr.Textbox(
                        placeholder=texts.ASK_PLACEHOLDER, label=texts.ASK_PLACEHOLDER, show_label=False, container=False,
                        scale=1, elem_id="question", max_length=2000,
                    )  # fmt: skip
                    self.send = gr.Button(texts.ASK, scale=0, min_width=60, elem_id="send")
                gr.Examples([[text] for text in texts.QUESTIONS], inputs=[self.question], label=texts.FOR_EXAMPLE)

    def _wire(self) -> None:
        whole = [
            self.visit, self.pending, self.message, self.accordion, self.chooser, self.shown, self.previous, self.tools,
            self.paper, self.vitals, self.evidence, self.document, self.sign, self.findings, self.measured, self.compared,
            self.cases, self.talk, self.files, self.tabs, self.age, self.sex, self.rate, self.unit, self.patient,
        ]  # fmt: skip
        about = [self.visit, self.files, self.pending, self.demo, self.age, self.sex, self.rate, self.unit, self.patient]
        private: dict[str, Any] = {"api_visibility": "private"}
        busy: dict[str, Any] = {"show_progress": "full", "show_progress_on": [self.paper], **private}
        self.go.click(self.analyse, about, whole, **busy)
        self.shown.input(self.choose, [self.visit, self.shown], whole, **busy)
        self.previous.input(self.choose_previous, [self.visit, self.previous], whole, **busy)
        quiet: dict[str, Any] = {"show_progress": "hidden", **private}
        # Every decision and every look counts, however fast they come: they are taken one after the other.
        self.courier.edit(
            self.edit, [self.visit], [self.visit, self.message, self.document, self.answered], trigger_mode="multiple", **quiet
        )
        self.courier.look(
            self.look, [self.visit],
            [self.visit, self.message, self.document, self.tools, self.paper, self.evidence, self.cases, self.answered],
            show_progress="minimal", show_progress_on=[self.evidence], trigger_mode="multiple", **private,
        )  # fmt: skip
        self.courier.hand(
            self.hand, [self.visit], [self.visit, self.message, self.document, self.parcels, self.answered],
            show_progress="minimal", show_progress_on=[self.message], trigger_mode="multiple", **private,
        )  # fmt: skip
        for event in (self.question.submit, self.send.click):
            event(self.ask, [self.question, self.talk, self.visit], [self.talk, self.question, self.message], **quiet)

    # What happens -----------------------------------------------------------------------------------------------------

    def _trouble(self, error: Exception) -> str:
        """The sentence that the visitor reads; what was unforeseen is logged by its kind alone."""
        if isinstance(error, EcgAssistantError | Busy):
            return str(error)
        _LOG.error("unforeseen %s", type(error).__name__)
        return texts.UNFORESEEN

    def _carefully(self, held: _Held | None, work: Callable[[Visit | None], Update]) -> Update:
        """What the work on the session's visit shows; where it fails, one sentence and nothing else changes."""
        held = held or _Held()
        try:
            with held.lock:
                out = {self.message: "", **work(held.visit)}
                if self.visit in out:
                    held.visit, out[self.visit] = out[self.visit], held
            return out
        except Exception as error:
            return {self.message: present.message_html(self._trouble(error))}

    def _once(self, held: _Held | None, data: dict[str, Any], work: Callable[[Visit | None], Update]) -> Update:
        """The same for an event of the page, by its number: done once, and answered however often it comes."""
        number = data.get("n")

        def first(visit: Visit | None) -> Update:
            if held is not None and isinstance(number, int):
                if number <= held.done:
                    return {} if visit is None else {self.document: present.document_html(visit.report)}
                held.done = number
            return work(visit)

        return {**self._carefully(held, first), self.answered: number}

    def analyse(
        self, held: _Held | None, files: list[str] | None, pending: tuple[str, ...], demo: str | None, age: str | None,
        sex: str | None, rate: str | None, unit: str | None, patient: str | None, request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Update:  # fmt: skip
        dropped = tuple(files or ())
        forget(tuple(file for file in pending if file not in dropped))

        def work(_: Visit | None) -> Update:
            progress(0.05, desc=texts.STEPS["read"])
            entries, trouble = read_choice(Choice(demo, dropped, age, sex, rate, unit, patient))
            shown = self._judge(Visit(entries, shown=len(entries) - 1), request, progress)
            forget(dropped)
            # What was typed goes with the files: the next recording may be another patient's, or of another device.
            fields: Update = dict.fromkeys((self.age, self.sex, self.rate, self.unit, self.patient), "")
            cleared = {self.files: None, self.pending: (), **fields}
            return {**shown, self.message: present.message_html(trouble), **cleared}

        out = self._carefully(held, work)
        return out if self.visit in out else {**out, self.pending: dropped}

    def choose(
        self, held: _Held | None, shown: int | None, request: gr.Request, progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Update:  # fmt: skip
        def work(visit: Visit | None) -> Update:
            if visit is None or shown is None or not 0 <= shown < len(visit.entries):
                return {}
            return self._judge(turned(visit, shown), request, progress)

        return self._carefully(held, work)

    def choose_previous(
        self, held: _Held | None, previous: int | None, request: gr.Request, progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Update:  # fmt: skip
        def work(visit: Visit | None) -> Update:
            if visit is None:
                return {}
            known = previous is not None and 0 <= previous < len(visit.entries) and previous != visit.shown
            return self._judge(replace(visit, previous=previous if known else None), request, progress)

        return self._carefully(held, work)

    def _judge(self, visit: Visit, request: gr.Request, progress: gr.Progress) -> Update:
        """Reads, drafts, records, and shows."""
        shares = {"load": 0.15, "judge": 0.4, "write": 0.75, "draw": 0.9}

        def step(name: str) -> None:
            progress(shares[name], desc=texts.STEPS[name])

        def work(assistant: Assistant) -> Visit:
            return drafted(assistant, judged(assistant, visit, step), step)

        step("load")
        with self.desk.place():
            done = self.desk.with_assistant(work)
        done = recorded(self.desk, actor_of(request), done)
        step("draw")
        return self._show(done)

    def _show(self, visit: Visit) -> Update:
        document, several = visit.report.document, len(visit.entries) > 1
        names = [
            (texts.ENTRY.format(n=n + 1, name=e.name) if not e.ecg.recorded_at
             else texts.ENTRY_AT.format(n=n + 1, name=e.name, at=e.ecg.recorded_at), n)
            for n, e in enumerate(visit.entries)
        ]  # fmt: skip
        changes = compare(visit)
        empty = present.empty_html(texts.COMPARE_CHOOSE if several else texts.COMPARE_EMPTY)
        compared = empty if changes is None else panes.comparison_html(changes, document)
        others = [(texts.NO_PREVIOUS, -1), *(one for one in names if one[1] != visit.shown)]
        return {
            self.visit: visit,
            self.accordion: gr.Accordion(open=False),
            self.chooser: gr.Row(visible=several),
            self.shown: gr.Dropdown(choices=names, value=visit.shown),
            self.previous: gr.Dropdown(choices=others, value=-1 if visit.previous is None else visit.previous),
            self.tools: _tools(visit),
            self.paper: looking.paper_of(visit),
            self.vitals: panes.vitals_html(document),
            self.evidence: present.hint_html(texts.EVIDENCE_EMPTY),
            self.document: present.document_html(visit.report),
            self.sign: present.sign_html(visit.report),
            self.findings: panes.findings_html(document),
            self.measured: panes.measurements_html(document),
            self.compared: compared,
            self.cases: self._cases(document),
            self.talk: gr.Chatbot(value=[], placeholder=texts.CHAT_READY),
            self.tabs: gr.Tabs(selected="draft"),
        }

    def _cases(self, document: dict[str, Any], opened: Mapping[str, str] | None = None) -> str:
        return panes.cases_html(document, looking.at_hand(document, self.desk.recordings), opened)

    def edit(self, held: _Held | None, event: gr.EventData) -> Update:
        data = event._data

        def work(visit: Visit | None) -> Update:
            if visit is None:
                return {}
            report = visit.report
            changed = report.edited(_edition(report.edition, data))
            return {self.visit: visit.with_report(changed), self.document: present.document_html(changed)}

        return self._once(held, data, work)

    def look(self, held: _Held | None, event: gr.EventData) -> Update:
        data = event._data

        def work(visit: Visit | None) -> Update:
            if visit is None:
                return {}
            if "view" in data:
                seen = looking.viewed(visit, looking.view_of(data["view"]))
                out: Update = {self.visit: seen, self.paper: looking.paper_of(seen)}
                # The tools show what they asked for; written anew they would close their menu of leads.
                return out if (seen.marked is None) == (visit.marked is None) else {**out, self.tools: _tools(seen)}
            if "case" in data:
                case_id = str(data["case"])
                opened = {shown: paper for shown, paper in visit.traces.items() if shown != case_id}
                if case_id not in visit.traces:  # the same button hides it again
                    opened[case_id] = looking.case_paper(visit, case_id, self.desk.recordings)
                return {self.visit: replace(visit, traces=opened), self.cases: self._cases(visit.report.document, opened)}
            return self._evidence(visit, str(data.get("id") or ""), str(data.get("sentence") or ""), bool(data.get("show")))

        return self._once(held, data, work)

    def _drawn(self, before: Visit, visit: Visit) -> Update:
        """The paper of a visit that is looked at in another way; its tools, too, where they name another layout now."""
        out = {self.visit: visit, self.paper: looking.paper_of(visit)}
        same = looking.view_shown(before).layout == looking.view_shown(visit).layout
        return out if same else {**out, self.tools: _tools(visit)}

    def _evidence(self, visit: Visit, evidence_id: str, key: str, show: bool) -> Update:
        """What a sentence or an id rests on; where that is a finding, what speaks for it is drawn on the paper."""
        document, said = visit.report.document, ""
        ids: tuple[str, ...] = (evidence_id,) if evidence_id else ()
        # Marks belong to the evidence that is told: where other evidence takes its place, they go.
        bare = replace(visit, marked=None)
        if evidence_id == "clear":
            return {**self._drawn(visit, bare), self.evidence: present.hint_html(texts.EVIDENCE_EMPTY)}
        if key:
            row = next((row for _, rows in visit.report.edition.rows() for row in rows if row.key == key), None)
            said, ids = ("", ()) if row is None else (row.text, row.evidence)
        known = {f["code"] for f in document.get("findings") or ()}
        code = next((i[2:] for i in ids if i.startswith("F:") and i[2:] in known), None)
        if code is None:
            told = panes.evidence_html(ids, document, said)
            return {self.evidence: told} if visit.marked is None else {**self._drawn(visit, bare), self.evidence: told}
        with self.desk.place():
            marked = self.desk.with_assistant(lambda assistant: looking.explained(assistant, visit.entry, code))
        told = panes.evidence_html(ids, document, said, looking.spoken_html(marked))
        return {**self._drawn(visit, replace(visit, marked=marked)), self.evidence: told}

    def hand(self, held: _Held | None, request: gr.Request, event: gr.EventData) -> Update:
        """Signs, or packs the report to be taken away. The patient's label is in the event alone, and in what is packed."""
        data = event._data
        kind, label = str(data.get("kind")), str(data.get("label") or "")

        def work(visit: Visit | None) -> Update:
            if visit is None:
                return {}
            report, actor = visit.report, actor_of(request)
            if kind == "sign":
                if report.signed is not None:  # pressed twice
                    return {}
                signed = report.sign(self.desk.audit, actor, str(data.get("name") or ""), label)
                return {self.visit: visit.with_report(signed), self.document: present.document_html(signed)}
            if kind not in KINDS:
                return {}
            made = packed(kind, report, visit.entry.ecg, label)
            self.desk.audit.record(
                "export", actor, recordings=[report.document["recording"]], kind=kind, about=report.draft_id
            )
            return {self.parcels: self.desk.parcels.keep(made, actor, str(request.session_hash))}

        return self._once(held, data, work)

    def ask(
        self, question: str, talk: list[dict[str, Any]], held: _Held | None, request: gr.Request
    ) -> Iterator[Update]:
        question, visit = (question or "").strip(), None if held is None else held.visit
        if not question:
            yield {self.question: ""}
            return
        said = [*talk, {"role": "user", "content": present.plain(question)}]
        yield {self.talk: [*said, {"role": "assistant", "content": texts.THINKING}], self.question: "", self.message: ""}
        if visit is None or visit.chat is None:
            yield {self.talk: [*said, {"role": "assistant", "content": present.plain(texts.ASK_FIRST)}]}
            return
        chat, document = visit.chat, visit.report.document

        def work(_: Assistant) -> tuple[list[Line], dict[str, Any]]:
            lines = list(chat.stream(question))
            reply = chat.turns[-1].reply.to_json()
            self.desk.audit.record(
                "question", actor_of(request), recordings=[document["recording"]], asked=question, document=reply,
                about=visit.report.draft_id, versions=document.get("versions"),
            )  # fmt: skip
            return lines, reply

        try:
            with self.desk.place():
                lines, reply = self.desk.with_assistant(work)
        except Exception as error:
            yield {self.talk: [*said, {"role": "assistant", "content": present.plain(self._trouble(error))}]}
            return
        for part in growing(lines, reply, document):
            yield {self.talk: [*said, {"role": "assistant", "content": part}]}


def _tools(visit: Visit) -> str:
    """The paper's tools, as what is drawn has them."""
    return present.tools_html(looking.leads_of(visit.entry), visit.entry.ecg.duration_s, looking.view_shown(visit))


def _edition(edition: Edition, data: dict[str, Any]) -> Edition:
    """The edition after what was pressed on the page."""
    what, key, text = str(data.get("do")), str(data.get("key") or ""), str(data.get("text") or "")
    if what == "accept":
        return edition.accept(key)
    if what == "reject":
        return edition.reject(key)
    if what == "change":
        return edition.change(key, text)
    return edition.add(text, str(data.get("section") or "impression")) if what == "add" else edition


def board(desk: Desk, sign_out: bool = False) -> gr.Blocks:
    """The page as Gradio blocks; ``sign_out``: with a button that ends the session."""
    blocks = gr.Blocks(title=texts.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, KEEP_S))
    with blocks:
        _Board(desk, sign_out)
    return blocks
