"""What one visitor has on the desk: recordings, what was made of them, and how they are shown. Values, and the work on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.ecg import ECG
from encoders.errors import QueryError, RecordingError
from encoders.patient import hashed
from ui import texts
from ui.demo import DEMOS, PREFIX, resolve
from ui.paper import View
from ui.reporting import recordings_of, report_document
from ui.signing import SignedReport
from ui.uploads import Upload, recordings_in, stored

if TYPE_CHECKING:
    from assistant import Assistant, Chat
    from encoders.explanation import Explanation
    from ui.audit import Actor
    from ui.desk import Desk

__all__ = ["Choice", "Entry", "Visit", "compare", "drafted", "forget", "judged", "read_choice", "recorded", "turned"]

Step = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """What a visitor filled in: a demo or files, and what they know of them; empty fields are empty strings or None."""

    demo: str | None = None
    files: tuple[str, ...] = ()
    age: str | None = None
    sex: str | None = None
    rate: str | None = None
    unit: str | None = None
    patient: str | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """One recording on the desk. ``name``: as the visitor knows it (shown to them alone). ``reading`` and ``report`` are there
    once it was judged; ``compared_with``: number of the entry that the report was drafted against; ``typed``: what of "age" and
    "sex" the visitor gave, and no file told."""

    name: str
    ecg: ECG
    reading: Any = None
    report: SignedReport | None = None
    compared_with: int | None = None
    typed: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Visit:
    """The desk: ``entries``, which is ``shown`` and which is its ``previous`` one, the ``chat`` about them, how the paper is
    shown, what is ``marked`` on it, and papers of opened cases by id. Every change gives a new one."""

    entries: tuple[Entry, ...]
    shown: int = 0
    previous: int | None = None
    chat: Chat | None = None
    view: View = field(default_factory=View)
    marked: Explanation | None = None
    traces: Mapping[str, str] = field(default_factory=dict)

    @property
    def entry(self) -> Entry:
        return self.entries[self.shown]

    @property
    def report(self) -> SignedReport:
        """The report shown. Raises QueryError before one was drafted."""
        if self.entry.report is None:
            raise QueryError(texts.NOTHING_TO_SIGN)
        return self.entry.report

    def with_entry(self, n: int, entry: Entry) -> Visit:
        return replace(self, entries=(*self.entries[:n], entry, *self.entries[n + 1 :]))

    def with_report(self, report: SignedReport) -> Visit:
        return self.with_entry(self.shown, replace(self.entry, report=report))


# Reading ---------------------------------------------------------------------------------------------------------------


def _number(text: str | None, what: str, low: float, high: float) -> float | None:
    """The number in a field, or None where it is empty. Raises QueryError for anything else."""
    if not (text or "").strip():
        return None
    try:
        value = float(str(text).replace(",", "."))
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise QueryError(f"The {what} is not accepted; give a number from {low:g} to {high:g}, or leave it empty.")
    return value


def read_choice(choice: Choice) -> tuple[tuple[Entry, ...], str]:
    """The recordings that a visitor chose, earliest first where their files tell the time, and what was wrong with those that
    could not be read (empty where all were). Dropped files go before the demo.

    A key of the patient ties them to cases of the same patient and is kept as a hash alone.
    Raises QueryError or RecordingError where none can be read.
    """
    patient = hashed(choice.patient)
    age_years, sex = _number(choice.age, "age", 0, 130), choice.sex or None
    typed = frozenset(name for name, value in (("age", age_years), ("sex", sex)) if value is not None)
    fs_hz, unit = _number(choice.rate, "sampling rate", 1, 1e5), choice.unit or None
    if not choice.files:
        if not choice.demo:
            raise QueryError(texts.EMPTY)
        title = next((subject.title for subject in DEMOS if PREFIX + subject.name == choice.demo), choice.demo)
        ecg = resolve(choice.demo, age_years=age_years, sex=sex)
        return (Entry(texts.SYNTHESISED.format(title), replace(ecg, patient=patient), typed=typed),), ""
    # A file that was dropped twice is there once.
    paths = [Path(file) for file in choice.files]
    uploads = list(dict.fromkeys(Upload(path.name, path.read_bytes()) for path in paths if path.is_file()))
    found: list[Entry] = []
    wrong: list[str] = []
    with stored(uploads) as folder:
        for path in recordings_in(folder, [upload.name for upload in uploads]):
            try:
                ecg = resolve(path, fs_hz=fs_hz, unit=unit, age_years=age_years, sex=sex)
                found.append(Entry(path.stem, replace(ecg, patient=patient or ecg.patient), typed=typed))
            except RecordingError as error:
                wrong.append(str(error).replace(f"{folder}/", ""))
    if not found:
        raise RecordingError(" ".join(wrong)) if wrong else QueryError(texts.EMPTY)
    if all(entry.ecg.recorded_at for entry in found):
        found.sort(key=lambda entry: str(entry.ecg.recorded_at))
    trouble = texts.SOME_READ.format(read=len(found), of=len(found) + len(wrong), why=" ".join(wrong))
    return tuple(found), trouble if wrong else ""


def forget(files: tuple[str, ...]) -> None:
    """Removes uploaded files where Gradio put them."""
    for file in files:
        Path(file).unlink(missing_ok=True)


# Judging ---------------------------------------------------------------------------------------------------------------


def judged(assistant: Assistant, visit: Visit, step: Step) -> Visit:
    """The visit with the recording shown (and the previous one) read, and a chat about them."""
    from assistant import Chat

    step("judge")
    asked = [n for n in (visit.previous, visit.shown) if n is not None]
    unread = [n for n in asked if visit.entries[n].reading is None]
    for n, reading in zip(unread, assistant.read([visit.entries[n].ecg for n in unread]) if unread else (), strict=True):
        visit = visit.with_entry(n, replace(visit.entries[n], reading=reading))
    chat = Chat(assistant, tuple(visit.entries[n].reading for n in asked))
    return replace(visit, chat=chat, marked=None, traces={})


def turned(visit: Visit, shown: int) -> Visit:
    """The visit with another recording shown. A report that is there comes with the recording that it was compared with; else the
    previous one stays, unless it is the one that is shown now."""
    entry = visit.entries[shown]
    if entry.report is not None:
        return replace(visit, shown=shown, previous=entry.compared_with)
    return replace(visit, shown=shown, previous=None if visit.previous == shown else visit.previous)


def drafted(assistant: Assistant, visit: Visit, step: Step) -> Visit:
    """The visit with a draft of the recording shown, against the previous one where there is one.

    A draft that is there stays, and so does a signed report; where another comparison asks for a new draft, decisions on
    sentences that are the same go along.
    """
    entry, old = visit.entry, visit.entry.report
    if old is not None and (old.signed is not None or entry.compared_with == visit.previous):
        return visit
    step("write")
    of = [entry] if visit.previous is None else [visit.entries[visit.previous], entry]
    document = report_document(assistant, [one.ecg for one in of], [one.reading for one in of])
    report = SignedReport.of(document, recorded_at=entry.ecg.recorded_at)
    if old is not None:
        report = report.edited(old.edition.carried_to(report.edition.drafted))
    return visit.with_entry(visit.shown, replace(entry, report=report, compared_with=visit.previous))


def recorded(desk: Desk, actor: Actor, visit: Visit) -> Visit:
    """The visit with its draft in the audit store, if it is not yet there. Nothing is shown before."""
    if visit.report.draft_id:
        return visit
    document = visit.report.document
    entry = desk.audit.record("report", actor, recordings=recordings_of(document), document=document)
    return visit.with_report(replace(visit.report, draft_id=entry.id))


def compare(visit: Visit) -> dict[str, Any] | None:
    """What changed since the previous recording (``Comparison.to_json``), None where none was chosen."""
    if visit.previous is None:
        return None
    from assistant.serial import compare_evidence

    before = visit.entries[visit.previous]
    now = visit.entry
    return compare_evidence(before.reading.evidence, now.reading.evidence, (before.ecg, now.ecg)).to_json()
