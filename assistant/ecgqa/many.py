"""Many questions about many recordings of one PTB-XL folder, in batches.

Of the folder's table only ecg_id, the file name, age and sex are read; everything else that is known comes from the signals.
Recordings are read and encoded once and kept as long as there is room. An answer is never withheld for low confidence: it is
given with its confidence. Withheld are answers to what is no question about an ECG, and about recordings that cannot be read.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from encoders.errors import EcgAssistantError, InputError, QueryError, RecordingError

if TYPE_CHECKING:
    from assistant.assistant import Assistant, Reading
    from assistant.ecgqa.known import Known
    from encoders.ecg import ECG
    from retrieval.text import TextEncoder

__all__ = ["CONVENTIONS", "Ask", "Clinical", "EcgQa", "Table", "answer_all", "read_line"]

CONVENTIONS = ("clinical", "ecg-qa")
#: Topics of ``assistant.scope`` that no wording of a question on an ECG touches.
_BEYOND = ("treatment", "prognosis", "disposition", "identity", "other_test", "instructions", "off_topic")
#: Questions of one batch: their recordings go through the encoder together.
BATCH = 48
#: Recordings that are kept at once.
KEPT = 6000
_COLUMNS = ("ecg_id", "filename", "filename_lr", "filename_hr", "age", "sex")
_SEX = {0: "M", 1: "F"}  # PTB-XL's own coding


@dataclass(frozen=True)
class Ask:
    """One line of the questions' file."""

    qid: str | int
    question: str
    ecg_ids: tuple[int, ...]
    options: tuple[str, ...] = ()


def read_line(text: str) -> Ask:
    """A question from a line {qid, question, ecg_id: [one or two], options: [...] or null}. QueryError says what is wrong."""
    try:
        row = json.loads(text)
    except ValueError:
        raise QueryError("The line is no JSON; write one object a line: qid, question, ecg_id, options.") from None
    if not isinstance(row, dict):
        raise QueryError("The line holds no JSON object; write one object a line: qid, question, ecg_id, options.")
    qid, question, ids, options = (row.get(name) for name in ("qid", "question", "ecg_id", "options"))
    if isinstance(qid, bool) or not isinstance(qid, str | int) or qid == "":
        raise QueryError("The qid is missing or no text or whole number; give every question one of its own.")
    if not isinstance(question, str) or not question.strip():
        raise QueryError("The question is missing or empty; write it as a text.")
    ids = ids if isinstance(ids, list) else [ids]
    if not 1 <= len(ids) <= 2 or any(isinstance(i, bool) or not isinstance(i, int) for i in ids):
        raise QueryError("The ecg_id must be a list of one or two whole numbers.")
    if options is not None and (not isinstance(options, list) or not options or any(not isinstance(o, str) for o in options)):
        raise QueryError("The options must be a list of texts, or null.")
    return Ask(qid, question, tuple(ids), tuple(options or ()))


class Table:
    """Where the recordings of a PTB-XL folder lie, and age and sex of each; nothing else of its table is read."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        file = self.folder / "ptbxl_database.csv"
        if not file.exists():
            raise RecordingError(f"There is no ptbxl_database.csv in {self.folder.name!r}; give an unpacked PTB-XL.")
        try:
            rows = pd.read_csv(file, usecols=lambda name: name in _COLUMNS)
        except ValueError:
            raise RecordingError("The table ptbxl_database.csv cannot be read; give the folder of an unpacked PTB-XL.") from None
        files = [name for name in ("filename_lr", "filename_hr", "filename") if name in rows]
        if "ecg_id" not in rows or not files:
            raise RecordingError("The table ptbxl_database.csv lacks ecg_id or file names; give an unpacked PTB-XL.")
        rows = rows.set_index("ecg_id")
        self._files = rows[files]
        self._age = rows.get("age")
        self._sex = rows.get("sex")

    def read(self, ecg_id: int) -> ECG:
        """One recording as it was stored; RecordingError where it is not in the table or cannot be read."""
        from encoders.readers import read

        if ecg_id not in self._files.index:
            raise RecordingError(f"The table holds no recording with ecg_id {ecg_id}; give one that it lists.")
        names = [str(name) for name in self._files.loc[ecg_id] if isinstance(name, str)]
        paths = [self.folder / f"{name.removesuffix('.hea')}.hea" for name in names]
        path = next((p for p in paths if p.exists()), None)
        if path is None:
            raise RecordingError(f"The file of the recording with ecg_id {ecg_id} is missing; unpack PTB-XL again.")
        age = None if self._age is None else self._age.loc[ecg_id]
        sex = None if self._sex is None else self._sex.loc[ecg_id]
        ecg = read(path)
        return replace(
            ecg,
            age_years=None if age is None or pd.isna(age) else min(90.0, float(age)),  # 300 stands for "90 or older"
            sex=None if sex is None or pd.isna(sex) else _SEX.get(int(sex)),
        )


class EcgQa:
    """Answers in ECG-QA's convention: its strings, its ranges, its "not sure"."""

    def __init__(self, text_encoder: TextEncoder | None = None) -> None:
        from assistant.ecgqa.heads import Heads
        from encoders.encode import Encoder
        from retrieval.text import TextEncoder

        self.encoder = Encoder.load()
        self.heads = Heads.load(self.encoder.hash)
        self._texts = text_encoder or TextEncoder()

    def know(self, ecgs: Sequence[ECG]) -> list[Known]:
        """What is known of each recording."""
        from assistant.ecgqa.known import know

        return know(ecgs, self.encoder, self.heads)

    def answer(self, ask: Ask, known: Sequence[Known]) -> dict[str, Any]:
        """The answer to one question, as it is written."""
        from assistant.ecgqa.decide import decide
        from assistant.ecgqa.parse import parse
        from assistant.ecgqa.said import said

        reason = _beyond(ask.question)
        asked = parse(ask.question, len(known), ask.options, self._texts)
        if reason or asked.confidence < 0.3:
            return _declined(ask, reason or "The question was not understood; please name what is asked of the ECG.")
        allowed = tuple(option.strip().lower() for option in ask.options)
        decided = decide(asked, known, self.heads, allowed=allowed)
        spelled = {option.strip().lower(): option for option in ask.options}
        values = [spelled.get(value, value) for value in decided.values]
        if ask.options and not set(values) <= set(ask.options):
            values = [v for v in values if v in ask.options] or _fallback(ask.options)
        return _line(ask, values, said(asked, decided), decided.confidence)


class Clinical:
    """Answers by the assistant's own evidence and tables; what cannot be judged is answered with the likelier state."""

    def __init__(self, assistant: Assistant | None = None) -> None:
        from assistant.assistant import Assistant

        self.assistant = assistant or Assistant.load()

    def know(self, ecgs: Sequence[ECG]) -> list[Reading]:
        """A reading of each recording."""
        return self.assistant.read(list(ecgs))

    def answer(self, ask: Ask, known: Sequence[Reading]) -> dict[str, Any]:
        """The answer to one question, as it is written."""
        from assistant.answer import bare_answer, more_lines, open_lines, signal_lines, value_line
        from assistant.answers import answer
        from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED
        from assistant.filling import fill
        from assistant.understanding import understand

        asked = understand(ask.question, recordings=len(known))
        if asked.intent in ("out_of_scope", "unclear"):
            return _declined(ask, asked.reason or "The question was not understood; please name a finding or a measurement.")
        about = list(known) if asked.intent == "compare" else list(known[-1:])
        stop = [r.text for reading in about for r in reading.reasons if r.kind == "unusable"]
        if stop and asked.intent not in ("quality", "define"):
            return _declined(ask, stop[0])
        evidence = [
            replace(
                reading.evidence,
                findings=tuple(
                    replace(f, state=PRESENT if f.probability >= 0.5 else ABSENT)
                    if f.state in (UNDETERMINED, NOT_ASSESSED)
                    else f
                    for f in reading.evidence.findings
                ),
            )
            for reading in about
        ]
        second = evidence[1] if len(evidence) > 1 else None
        bare = bare_answer(asked, evidence[0], second)
        lines = signal_lines(asked, evidence[0]) or open_lines(asked, evidence[0]) or more_lines(asked, evidence[0], second)
        said = [line.text for line in lines] or [fill(s.text, evidence[-1]) for s in answer(evidence[0], asked, None, second)]
        text = " ".join([*said, *(value_line(evidence[-1], name).text for name in asked.beside)])
        values = list(bare.values)
        if ask.options:
            spelled = {option.strip().lower(): option for option in ask.options}
            values = [spelled[v.lower()] for v in values if v.lower() in spelled] or _fallback(ask.options)
        return _line(ask, values, text or bare.open, bare.confidence)


def _beyond(question: str) -> str:
    """Why a question asks for what no ECG tells (treatment, prognosis, a person's name …), or ""."""
    from assistant.plain_words import clauses
    from assistant.scope import reason_for, topic_of

    topics = [topic_of(clause, has_content=True) for clause, _ in clauses(question)]
    kept = [t for t in topics if t in _BEYOND]
    return reason_for(kept[0]) if kept and len(kept) == len(topics) else ""


def _fallback(options: Sequence[str]) -> list[str]:
    """The option that says least, where nothing that was found is among the options."""
    for plain in ("none", "no", "not sure"):
        for option in options:
            if option.strip().lower() == plain:
                return [option]
    return [options[0]]


def _line(ask: Ask, values: Sequence[str], text: str, confidence: float) -> dict[str, Any]:
    return {"qid": ask.qid, "values": list(values), "text": text, "declined": False, "confidence": round(float(confidence), 4)}


def _declined(ask: Ask, reason: str) -> dict[str, Any]:
    return {"qid": ask.qid, "values": [], "text": reason, "declined": True, "confidence": 0.0}


def _read_new(
    wanted: Sequence[int], table: Table, answerer: EcgQa | Clinical, kept: OrderedDict[int, Any]
) -> None:
    """Puts what is known of each recording into ``kept``, or the sentence that says why nothing is."""
    ecgs: dict[int, ECG] = {}
    for ecg_id in wanted:
        if ecg_id in kept:
            kept.move_to_end(ecg_id)
            continue
        try:
            ecgs[ecg_id] = table.read(ecg_id)
        except EcgAssistantError as error:
            kept[ecg_id] = str(error)
    found: list[Any] = []
    try:
        found = list(answerer.know(list(ecgs.values())))
    except InputError:  # one that cannot be read for answers must not cost the others theirs
        for ecg in ecgs.values():
            try:
                found += answerer.know([ecg])
            except InputError as error:
                found.append(str(error))
    kept.update(zip(ecgs, found, strict=True))


def answer_all(
    asks: Sequence[Ask], table: Table, answerer: EcgQa | Clinical, step: Callable[[int], None] = lambda n: None
) -> Iterator[dict[str, Any]]:
    """Answers in the order of the questions; ``step`` is told how many were answered since it was last called."""
    kept: OrderedDict[int, Any] = OrderedDict()
    for start in range(0, len(asks), BATCH):
        part = asks[start : start + BATCH]
        _read_new(list(dict.fromkeys(i for ask in part for i in ask.ecg_ids)), table, answerer, kept)
        for ask in part:
            known = [kept[i] for i in ask.ecg_ids]
            unread = next((k for k in known if isinstance(k, str)), "")
            yield _declined(ask, unread) if unread else answerer.answer(ask, known)
        step(len(part))
        while len(kept) > KEPT:
            kept.popitem(last=False)
