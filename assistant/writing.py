"""The language model's text, made fit to print: numbers put in, every sentence checked, what is missing added.

The order is fixed: the model writes with placeholders; from its first unsupported sentence on it writes once more, beginning
otherwise; what a report then still lacks it is asked for alone, and where urgent review is needed and it ended without saying
so, it goes on from there; placeholders are filled from measurements; the final text is checked sentence by sentence against the
evidence, what is not supported is dropped and counted. Only then is it asked whether what is left says what has to be said; the
renderer says the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.answers import answer
from assistant.check import check, check_text
from assistant.claims import FindingClaim
from assistant.compose import renderer, review_is_urgent, uncarried, unjudged
from assistant.corpus import prompt
from assistant.evidence import ABSENT, PRESENT, Evidence
from assistant.filling import fill
from assistant.frames import CLOSINGS, FIXED
from assistant.intents import Question
from assistant.lexicon import find_phrases
from assistant.phrasing import RHYTHMS, both_values, titled
from assistant.report import Line
from encoders.vocabulary import statement

__all__ = ["Writer", "Written", "urgency_rank", "write_answer", "write_report"]

MODEL, RENDERER = "language model", "renderer"
_CLOSINGS = {text: kind for kind, texts in CLOSINGS.items() for text in texts}
_PLAINLY_NORMAL = frozenset((*FIXED["normal"], *FIXED["probably normal"]))
_BARE_WORDS = (
    "yes", "no", "cannot be judged", "undetermined", "not assessed", "neither", "none", "both", "out of scope", "unclear",
)  # fmt: skip
_REPORT_TOKENS, _CLOSING_TOKENS, _ANSWER_TOKENS = 128, 24, 96


class Writer(Protocol):
    """What is asked of a language model: prompts and each prompt's ECG tokens (16, 256) in, one text each out."""

    def generate(
        self, prompts: Sequence[str], tokens: Sequence[Sequence[NDArray[np.float32]]], max_new_tokens: int = 96,
        begun: Sequence[str] = (), avoid: Sequence[str] = (),
    ) -> Sequence[Any]:  # fmt: skip
        """One object with ``text`` and ``confidence`` per prompt; ``begun`` and ``avoid`` as in ``LanguageModel``."""
        ...


@dataclass(frozen=True)
class Written:
    """Lines fit to print; how many sentences the model wrote at first, how many of those were not supported, and whether it
    wrote a second time."""

    lines: tuple[Line, ...]
    sentences: int
    dropped: int
    again: bool = False

    @property
    def checker(self) -> dict[str, int]:
        own = sum(line.source == MODEL for line in self.lines)
        return {
            "sentences": self.sentences, "dropped": self.dropped, "again": int(self.again), "kept": own,
            "printed": len(self.lines),
        }  # fmt: skip


def _mode(evidence: Evidence) -> str:
    return "both+cases" if evidence.cases else "both"


def write_report(
    model: Writer, evidences: Sequence[Evidence], tokens: Sequence[NDArray[np.float32]]
) -> list[Written]:
    """The impression of each recording, in batches of the model.

    Every present finding, every critical or urgent one that cannot be judged and every abnormal measurement that no finding
    carries is in it, whatever the model wrote.
    An unusable recording, or one whose leads could not be read, gets the renderer's sentences alone: its tokens say nothing.
    """
    readable = [i for i, e in enumerate(evidences) if e.quality.usable and e.findings and e.lead_set is not None]
    asked = {i: _Asked(prompt(evidences[i], None, _mode(evidences[i])), [tokens[i]], evidences[i]) for i in readable}
    raw = dict(zip(readable, _written(model, list(asked.values()), _REPORT_TOKENS), strict=True))
    drafts = {i: _checked(*texts, evidences[i], None, None) for i, texts in raw.items()}
    lacking = {i: missing for i, (own, _, _) in drafts.items() if (missing := _needed(evidences[i]) - _said(own))}
    if lacking:
        alone = [_only(evidences[i], missing) for i, missing in lacking.items()]
        texts = model.generate([prompt(one, None, "both") for one in alone], [[tokens[i]] for i in lacking], _REPORT_TOKENS)
        for (i, missing), made in zip(lacking.items(), texts, strict=True):
            more = _checked(str(made.text), str(made.text), evidences[i], None, None)[0]
            drafts[i][0].extend(line for line in more if set(line.evidence) & missing)
    unclosed = [i for i, (own, _, _) in drafts.items() if review_is_urgent(evidences[i]) and not _urgent_closing(own)]
    if unclosed:  # it ended too early: it goes on from its own text
        rows = [asked[i] for i in unclosed]
        begun = [f" {raw[i][1]}" for i in unclosed]
        texts = model.generate(
            [a.prompt for a in rows], [a.tokens for a in rows], _CLOSING_TOKENS, begun, [""] * len(rows)
        )
        for i, made in zip(unclosed, texts, strict=True):
            drafts[i][0].extend(_urgent_closing(_checked(str(made.text), str(made.text), evidences[i], None, None)[0]))
    written = []
    for i, evidence in enumerate(evidences):
        if i in drafts:
            own, total, dropped = drafts[i]
            again = raw[i][0] != raw[i][1] or i in lacking or i in unclosed
            written.append(Written(_impression(evidence, own), total, dropped, again))
        else:
            written.append(Written(tuple(_renderer_lines(evidence)), 0, 0))
    return written


def _renderer_lines(evidence: Evidence) -> list[Line]:
    return [Line(fill(s.text, evidence), s.claims, RENDERER) for s in renderer(evidence)]


def _needed(evidence: Evidence) -> set[str]:
    """Ids of the findings that an impression has to name, and of abnormal measurements that none of them carries; of a normal
    ECG too, where that is absent and nothing abnormal is stated that would say so."""
    needed = {f.id for f in (*evidence.in_state(PRESENT), *evidence.pressing())}
    needed |= {i for sentence in uncarried(evidence) for i in sentence.claims}
    abnormal = any(f.code not in ("NORM", "SR") for f in evidence.in_state(PRESENT))
    return needed if abnormal else needed | {f.id for f in evidence.in_state(ABSENT) if f.code == "NORM"}


def _said(lines: Sequence[Line]) -> set[str]:
    return {i for line in lines for i in line.evidence}


def _only(evidence: Evidence, ids: set[str]) -> Evidence:
    """The evidence as if nothing but these findings and values (and the rate) were known: what the model is given to say what
    it left out."""
    findings = tuple(f if f.id in ids else replace(f, state=ABSENT) for f in evidence.findings)
    kept = {"M:rate_bpm", *ids}
    values = tuple(m if f"M:{m.name}" in kept else replace(m, value=None) for m in evidence.measurements.items)
    measurements = replace(evidence.measurements, items=values)
    return replace(evidence, findings=findings, measurements=measurements, cases=(), conflicts=())


@dataclass(frozen=True)
class _Asked:
    """One prompt with what its text is held against."""

    prompt: str
    tokens: Sequence[NDArray[np.float32]]
    evidence: Evidence
    question: Question | None = None
    second: Evidence | None = None

    def stumble(self, text: str) -> tuple[str, str] | None:
        """What stands before the first unsupported sentence, and that sentence; None where every sentence is supported."""
        before: list[str] = []
        for one in check_text(text, self.evidence, question=self.question, second=self.second, placeholders=True):
            if not one.supported:
                return " ".join(before), one.text
            before.append(one.text)
        return None


def _written(model: Writer, asked: Sequence[_Asked], most: int) -> list[tuple[str, str]]:
    """The first and the last text for every prompt; they differ where the model stumbled and wrote a second time."""
    if not asked:
        return []
    first = [str(made.text) for made in model.generate([a.prompt for a in asked], [a.tokens for a in asked], most)]
    last = list(first)
    stumbles = [(i, found) for i, a in enumerate(asked) if (found := a.stumble(first[i])) is not None]
    if stumbles:
        rows = [i for i, _ in stumbles]
        begun = [f" {before}" if before else "" for _, (before, _) in stumbles]
        more = model.generate(
            [asked[i].prompt for i in rows], [asked[i].tokens for i in rows], most, begun, [bad for _, (_, bad) in stumbles]
        )
        for i, before, made in zip(rows, begun, more, strict=True):
            last[i] = f"{before} {made.text}".strip()
    return list(zip(first, last, strict=True))


def _impression(evidence: Evidence, own: Sequence[Line]) -> tuple[Line, ...]:
    """The model's lines and what the renderer adds, the most urgent first, one closing line last."""
    must = _renderer_lines(evidence)
    # One closing line is enough, and it comes last. Every draft says of itself that it is unconfirmed, so the renderer adds
    # one only where the model missed that review is urgent.
    withheld = {f"M:{name}" for name in unjudged(evidence)}
    body = _new_only([line for line in own if line.text not in _CLOSINGS and withheld.isdisjoint(line.evidence)])
    closing = (_urgent_closing(own) or [line for line in own if line.text in _CLOSINGS])[:1]
    added = _lacking(evidence, _needed(evidence) - _said(own))
    lines = _consistent(evidence, sorted([*body, *added], key=lambda line: urgency_rank(line.evidence)))
    lines.sort(key=lambda line: line.text in FIXED["otherwise normal"])
    if not lines:
        lines = [line for line in must if line.text not in _CLOSINGS]
    wanted = _urgent_closing(must)
    if wanted and not _urgent_closing(closing):
        closing = wanted
    return (*lines, *closing[:1])


def _urgent_closing(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if _CLOSINGS.get(line.text) == "urgent"]


def _consistent(evidence: Evidence, lines: Sequence[Line]) -> list[Line]:
    """Without a plain "normal" or "nothing stated" beside something urgent that cannot be excluded, an abnormal measurement or
    an unknown rhythm, and without "nothing stated" of an ECG that is not normal.

    What is normal is then said to be so otherwise, and "no abnormal finding was stated" is left out beside the former.
    """
    pressing = bool(evidence.pressing()) or bool(uncarried(evidence))
    not_normal = any(f.code == "NORM" for f in evidence.in_state(ABSENT))
    rhythm = any(f.code in RHYTHMS for f in evidence.in_state(PRESENT))
    out = []
    for line in lines:
        if line.text in FIXED["nothing stated"] and (pressing or not_normal):
            continue
        if line.text in _PLAINLY_NORMAL and (pressing or not rhythm):
            line = Line(FIXED["otherwise normal"][0], line.evidence, RENDERER)
        out.append(line)
    return out


def _lacking(evidence: Evidence, missing: set[str]) -> list[Line]:
    """The renderer's sentences on these findings alone: those that name one, none that adds nothing to the others.

    What it says of them alone must hold beside all that is known too; where it does not, its sentence on the whole stands.
    """
    if not missing:
        return []
    alone = [line for line in _renderer_lines(_only(evidence, missing)) if check(line.text, evidence).supported]
    lines = [*alone, *_renderer_lines(evidence)]
    named = [{f"F:{code}" for m in find_phrases(line.text, ("statement", "normal")) for code in m.phrase.codes} for line in lines]
    out: list[Line] = []
    said: set[str] = set()
    for line, names in zip(lines, named, strict=True):
        new = set(line.evidence) & missing & names - said
        if new:
            out.append(line)
            said |= new
    # A finding that no sentence names is left to whichever one rests on it.
    for line in lines:
        if set(line.evidence) & missing - said:
            out.append(line)
            said |= set(line.evidence) & missing
    return out


def _new_only(lines: Sequence[Line]) -> list[Line]:
    """Lines that cite something no earlier line cites; a line without citation stands."""
    said: set[str] = set()
    out = []
    for line in lines:
        if not line.evidence or set(line.evidence) - said:
            out.append(line)
            said |= set(line.evidence)
    return out


def urgency_rank(ids: Sequence[str]) -> int:
    """0 for a line that cites a critical finding, 1 for an urgent one, 2 for the rest."""
    urgencies = {statement(i[2:]).urgency for i in ids if i.startswith("F:")}
    return 0 if "critical" in urgencies else 1 if "urgent" in urgencies else 2


def write_answer(
    model: Writer,
    question: Question,
    evidence: Evidence,
    tokens: Sequence[NDArray[np.float32]],
    second: Evidence | None = None,
) -> Written:
    """The answer's lines. The model's stand where they carry the bare answer on what was asked; else the renderer's do."""
    must = _rendered(question, evidence, second)
    if question.intent == "compare" and question.measurements and second is not None:
        # Two values of one measurement: there is nothing to word freely.
        return Written(tuple(must), 0, 0)
    text = prompt(evidence, question, _mode(evidence), recordings=len(tokens), second=second)
    raw = _written(model, [_Asked(text, list(tokens), evidence, question, second)], _ANSWER_TOKENS)[0]
    own, total, dropped = _checked(*raw, evidence, question, second)
    own = [line for line in own if _to_the_point(line, question)]
    if not _carries(own, must):
        return Written(tuple(must), total, dropped, raw[0] != raw[1])
    unsaid = [line for line in must[1:] if set(line.evidence) - _said(own) and _weighty(line)]
    lines = (*own, *unsaid)
    if question.intent == "summary":
        lines = tuple(_consistent(evidence, lines))
    return Written(lines, total, dropped, raw[0] != raw[1])


def _to_the_point(line: Line, question: Question) -> bool:
    """Not so a line that speaks only of findings that were not asked for, behind a question about one."""
    about = {i.removeprefix("F:") for i in line.evidence if i.startswith("F:")}
    return question.intent not in ("verify", "explain", "certainty") or not about or not about.isdisjoint(question.codes)


def _carries(own: Sequence[Line], must: Sequence[Line]) -> bool:
    """Whether the model's first sentence says what the renderer's first one does: the same evidence, the same bare word."""
    if not own or not must:
        return False
    if must[0].evidence and not set(must[0].evidence) <= _said(own):
        return False
    return _bare_word(own[0].text) == _bare_word(must[0].text)


def _bare_word(text: str) -> str:
    """"yes", "no", "cannot be judged" and their like where an answer opens with one; else nothing."""
    head = text.lower()
    for word in _BARE_WORDS:
        if head.startswith(word) and not head[len(word) : len(word) + 1].isalpha():
            return {"undetermined": "cannot be judged"}.get(word, word)
    return ""


def _weighty(line: Line) -> bool:
    return any(i.startswith("F:") and statement(i[2:]).urgency in ("critical", "urgent") for i in line.evidence)


def _rendered(question: Question, evidence: Evidence, second: Evidence | None) -> list[Line]:
    if question.intent == "compare" and question.measurements and second is not None:
        return [
            Line(f"{titled(name)} {both_values(name, evidence, second)}", (f"M:{name}",), RENDERER)
            for name in question.measurements
        ]
    code = question.codes[0] if question.codes else None
    return [Line(fill(s.text, evidence, code), s.claims, RENDERER) for s in answer(evidence, question, None, second)]


def _checked(
    first: str, last: str, evidence: Evidence, question: Question | None, second: Evidence | None
) -> tuple[list[Line], int, int]:
    """The sentences of the last text that the evidence supports, each once; how many the first held, and how many of those
    it does not support."""
    code = question.codes[0] if question is not None and question.codes else None

    def held(raw: str) -> tuple[list[Line], int]:
        checked = check_text(fill(raw, evidence, code), evidence, question=question, second=second)
        kept: dict[str, Line] = {}
        fit = [item for item in checked if item.supported and not _stammers(item.text, item.claims)]
        for item in fit:
            kept.setdefault(item.text.strip(), Line(item.text.strip(), item.evidence_ids, MODEL))
        repeated = len(fit) - len(kept)
        return list(kept.values()), len(checked) - repeated

    raw_lines, total = held(first)
    own = raw_lines if last == first else held(last)[0]
    return own, total, total - len(raw_lines)


def _stammers(text: str, claims: Sequence[Any]) -> bool:
    """Whether one sentence names the same statement or value twice, or a list the same words ("A or A")."""
    if re.search(r"\b(\w+(?: [\w-]+)+)(?:,| and| or|, and|, or) \1(?! ST)\b", text, re.IGNORECASE):
        return True
    named = [(code, claim.polarity) for claim in claims if isinstance(claim, FindingClaim) for code in claim.codes]
    phrases = [match.phrase.codes for match in find_phrases(text, ("statement",))]
    return len(named) > len(set(named)) or len(phrases) > len(set(phrases))
