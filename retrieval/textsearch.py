"""Cases by words: what a text asks for, and how well each case's statements answer it.

"elderly woman with atrial fibrillation without LBBB, rate over 100" becomes a condition (age, sex, rate), statements asked
for and statements ruled out. Wordings known to `PHRASES` are taken as they stand; other words go by the nearest wording in
the sentence model, and are left out, and named, where none is near. Where cases carry no statements, words that at least
speak of an ECG are kept, for the recordings themselves can be held against a sentence (`retrieval.aligned`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import QueryError
from encoders.vocabulary import CODES, STATEMENTS, statement
from retrieval.phrases import OUTSIDE, PHRASES, at_site
from retrieval.store import CaseRow
from retrieval.text import TextEncoder
from retrieval.where import And, Condition
from retrieval.wordrules import QUANTITY, conditions_in

__all__ = ["Fit", "TextIndex", "TextQuery", "understand"]

#: Cosine to the nearest wording below which words are taken as not understood: between unrelated medical words (kidney
#: stones 0.40, noise 0.43), wrong neighbours (no P waves → Q waves 0.58) and right ones (slow heartbeat 0.79).
NEAR_ENOUGH = 0.60
#: Cosine to the nearest name, criterion or wording from which words speak of an ECG, though they name no statement: above
#: unrelated words (kidney stones 0.40, first degree burn 0.50, car engine block 0.52), below descriptions (deep S waves in V1
#: 0.55, early beat wide bizarre 0.58, broad notched R waves lateral 0.74). Neighbours of the field pass too (chest pain 0.68).
SPEAKS_OF_ECG = 0.53
#: Wordings this close to the nearest one are meant as well.
TIE = 0.005
#: Cosine from which a whole segment ("ischaemia in inferior leads") narrows the group that one of its words names.
NARROWER = 0.75
MAX_LENGTH = 500

_COLUMN = {code: i for i, code in enumerate(CODES)}
_OUTSIDE = frozenset(name.lower() for name in OUTSIDE)
#: Wordings with hyphens as spaces, as the text is read: "first-degree" and "first degree" are one.
_WORDING = {phrase.replace("-", " "): phrase for phrase in (*PHRASES, *_OUTSIDE)}
_EXACT = re.compile(
    r"(?<![a-z0-9])(" + "|".join(re.escape(p) for p in sorted(_WORDING, key=len, reverse=True)) + r")(?![a-z0-9])"
)
#: Wordings for the sentence model: abbreviations mean nothing to it, "lateral STEMI" would be the nearest to any lateral wall.
_SPOKEN = tuple(p for p in PHRASES if "stemi" not in p and (" " in p or (len(p) > 8 and p.isalpha())))
_SPLIT = re.compile(
    r"([,;]|\.(?!\d)|\b(?:and|with|plus|but|having|has|showing|shows)\b|(?=\b(?:without|no|not|excluding|except)\b))"
)
_NEGATION = re.compile(r"^\s*(?:without|no|not|excluding|except)\b|\b(?:excluded|ruled out|absent)\b")
#: Other ways to say what is understood, put in their place first.
_REWORDED = (
    (
        r"\b(?:free (?:of|from)|(?:in the )?absence of|negative for|lacking|neither|rather than|other than"
        r"|with no|and no|but no)\b",
        " without ",
    ),
    (r"\bnor\b", " or "),
    (r"(?<=\d),(?=\d)", "."),
    (r"\b12[ -]leads?\b", " "),
    (r"\bsupra[ -]ventricular\b", "supraventricular"),
    (r"\botherwise (?:normal|unremarkable|healthy)\b", " "),
    # AHA/ACC/HRS 2009, part III, wants these named by their parts
    (r"\bbifascicular (?:heart )?block\b", " right bundle branch block and fascicular block "),
    (r"\btrifascicular (?:heart )?block\b", " right bundle branch block and fascicular block and first degree av block "),
)
_IDLE_WORDS = (
    "a an the of in on at to for from by is are was were be who whose which that this these those any some all or "
    "ecg ecgs ekg ekgs electrocardiogram electrocardiograms recording recordings tracing tracings trace traces lead leads "
    "case cases patient patients person people subject subjects example examples someone adult adults his her their "
    "find show give me us please search list get look like similar past other old older new years year aged age "
    "without no not excluding except also only i want need about signs sign pattern evidence findings finding"
)
_IDLE = frozenset(_IDLE_WORDS.split())

#: Words of stage: no statement tells one; "new recordings" says nothing of the heart.
_STAGE = re.compile(
    r"\b(?:acute|subacute|recent|new|fresh|evolving|ongoing|old|chronic|healed|remote|prior|previous|past)\b"
    r"(?! (?:ecgs?|ekgs?|electrocardiograms?|recordings?|tracings?|traces?|cases?|patients?|people|persons?|subjects?|adults?)\b)"
)
_SITE = re.compile(r"\b(?:antero|infero|postero)*(?:anterior|inferior|lateral|posterior|septal|septum|apical|basal)\b")

#: Case ids → how well the sentence fits each ECG, float (n,).
Fit = Callable[[list[str]], NDArray[np.floating]]


@dataclass(frozen=True)
class TextQuery:
    """What a text asks for. ``wanted``: sets of codes, of each of which a case should have one. ``unwanted``: codes it must
    not have. ``condition``: age, sex and measurements, or None. ``spoken``: words that name no statement but speak of an ECG.
    ``ignored``: words that were not understood. ``line``: what is wanted in full words, for the sentence model.
    ``said``: (words, the condition they were taken for)."""

    text: str
    wanted: tuple[tuple[str, ...], ...]
    unwanted: tuple[str, ...]
    condition: Condition | None
    spoken: tuple[str, ...]
    ignored: tuple[str, ...]
    line: str
    said: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "wanted": [list(group) for group in self.wanted],
            "unwanted": list(self.unwanted),
            "conditions": [{"words": words, "condition": written} for words, written in self.said],
            "by_the_signal": list(self.spoken),
            "not_understood": list(self.ignored),
        }


def understand(text: str, encoder: TextEncoder, *, keep_spoken: bool = False) -> TextQuery:
    """What ``text`` asks for. ``keep_spoken``: words that name nothing known but speak of an ECG are kept, not ignored.

    Raises QueryError where nothing in it names a statement, an age, a sex or a measurement (nor, with ``keep_spoken``,
    speaks of an ECG).
    """
    if not text.strip() or len(text) > MAX_LENGTH:
        raise QueryError(f"The text has {len(text.strip())} characters; give 1 to {MAX_LENGTH}.")
    left = re.sub(r"[\s\x00-\x1f\ue000-\uf8ff]+", " ", text.lower().replace("’", "'").replace("−", "-"))
    for pattern, instead in _REWORDED:
        left = re.sub(pattern, instead, left)
    found = conditions_in(left)
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        held.append(_WORDING[match[1]])
        return f" \x01{len(held) - 1}\x01 "

    left = _EXACT.sub(hold, found.left.replace("-", " "))

    wanted: dict[tuple[str, ...], str] = {}
    unwanted: list[str] = []
    spoken: list[str] = []
    ignored = list(found.refused)
    for segment, negative in _segments(left):
        every = [held[int(number)] for number in re.findall("\x01(\\d+)\x01", segment)]
        outside = [phrase for phrase in every if phrase in _OUTSIDE]
        named = [phrase for phrase in every if phrase not in _OUTSIDE]
        ignored += outside
        words = re.sub("\x01(\\d+)\x01", lambda m: held[int(m[1])], segment)
        words = " ".join(w for w in re.findall(r"[^\W_][\w'/-]*", words) if w not in _IDLE)
        rest = re.sub("\x01\\d+\x01", " ", segment)
        sites = _SITE.findall(rest)
        groups = {PHRASES[phrase]: phrase for phrase in named}
        if not named:
            if not words or outside:  # words about what is outside are no search of their own
                continue
            codes, phrase, _ = _nearest(words, encoder)
            if not codes or negative:  # what must not be there has to be named, not guessed
                (spoken if keep_spoken and not negative and _speaks_of_ecg(words, encoder) else ignored).append(words)
                continue
            groups = {codes: phrase}
        elif not sites and len(named) == 1 and len(PHRASES[named[0]]) > 1 and words != named[0]:
            codes, phrase, likeness = _nearest(words, encoder)
            if likeness >= NARROWER and set(codes) < set(PHRASES[named[0]]):
                groups = {codes: phrase}
        groups, unheld = _at_sites(groups, sites)
        ignored += unheld
        ignored += _unheeded(rest, " ".join(groups.values()))
        if negative:
            unwanted += [code for codes in groups for code in codes]
        elif re.search(r"\bor\b", segment) and len(groups) > 1:
            wanted[tuple(dict.fromkeys(code for codes in groups for code in codes))] = " or ".join(groups.values())
        else:
            wanted.update(groups)
    if not wanted and not unwanted and not found.conditions and not spoken:
        raise _nothing_in(text, found.refused, ignored)
    condition = None if not found.conditions else found.conditions[0] if len(found.conditions) == 1 else And(found.conditions)
    named_in_full = (statement(codes[0]).name if phrase.upper() in CODES else phrase for codes, phrase in wanted.items())
    line = ", ".join([*named_in_full, *spoken])
    gone = tuple(dict.fromkeys(unwanted))
    return TextQuery(text, tuple(wanted), gone, condition, tuple(spoken), tuple(dict.fromkeys(ignored)), line, found.said)


def _nothing_in(text: str, refused: tuple[str, ...], ignored: list[str]) -> QueryError:
    """Why a text leaves nothing to search for."""
    if refused:
        return QueryError(f"{refused[0]!r} is out of range; check the number and its unit.")
    if not _OUTSIDE.isdisjoint(ignored):
        return QueryError(f"No statement of the library stands for {', '.join(ignored)}; search by another finding.")
    return QueryError(
        f"Nothing in {text.strip()[:60]!r} names an ECG statement, an age, a sex or a measurement; "
        'write, say, "elderly woman with atrial fibrillation".'
    )


def _unheeded(rest: str, taken: str) -> list[str]:
    """Stages and numbers that a segment says beside its wordings, unless the wordings ``taken`` for it hold them."""
    stages = [word for word in _STAGE.findall(rest) if word not in taken]
    return [*stages, *(" ".join(match[0].split()) for match in QUANTITY.finditer(rest))]


def _segments(text: str) -> Iterator[tuple[str, bool]]:
    """The text's pieces, each with whether it says what must not be there.

    "Without" reaches over "and" ("without infarction and ischaemia"), and over commas where the list ends in "or" ("no AF, LBBB
    or RBBB"); "with", "but" and any other comma end it.
    """
    pieces = _SPLIT.split(text)
    segments, marks = pieces[::2], ["", *pieces[1::2]]
    negative = False
    for i, (mark, segment) in enumerate(zip(marks, segments, strict=True)):
        if mark == ",":
            ends = next((j for j in range(i + 1, len(marks)) if marks[j] != ","), len(marks))
            negative = negative and any(re.search(r"\bor\b", one) for one in segments[i:ends])
        elif mark not in ("and", ""):
            negative = False
        negative = negative or bool(_NEGATION.search(segment))
        yield segment, negative


def _at_sites(groups: dict[tuple[str, ...], str], sites: list[str]) -> tuple[dict[tuple[str, ...], str], list[str]]:
    """``groups`` narrowed to the codes at ``sites``, and the sites that none of their codes tells."""
    unheld: list[str] = []
    for site in sites:
        if not any(at_site(codes, site) for codes in groups):
            unheld.append(site)
            continue
        groups = {at_site(codes, site) or codes: f"{site} {phrase}" for codes, phrase in groups.items()}
    return groups, unheld


def _speaks_of_ecg(words: str, encoder: TextEncoder) -> bool:
    """Whether ``words`` lie near any name, criterion or wording of a statement."""
    known = np.concatenate([encoder.cached(_SPOKEN), encoder.cached(tuple(s.criteria for s in STATEMENTS))])
    return float((known @ encoder.embed([words])[0]).max()) >= SPEAKS_OF_ECG


def _nearest(words: str, encoder: TextEncoder) -> tuple[tuple[str, ...], str, float]:
    """Codes, wording and cosine of the wording nearest to ``words``; no codes where none is near."""
    likeness = encoder.cached(_SPOKEN) @ encoder.embed([words])[0]
    best = int(likeness.argmax())
    if likeness[best] < NEAR_ENOUGH:
        return (), "", float(likeness[best])
    close = [best, *np.flatnonzero(likeness >= likeness[best] - TIE).tolist()]
    return tuple(dict.fromkeys(code for i in close for code in PHRASES[_SPOKEN[i]])), _SPOKEN[best], float(likeness[best])


class TextIndex:
    """Every case's statements as one row of a matrix, and the sentence model's view of each distinct set of statements.

    A set's vector is the likelihood-weighted mean of its statements' name vectors, brought to unit length: some thousand
    distinct sets cost 71 texts instead of as many as there are sets.
    """

    def __init__(self, rows: Iterable[CaseRow], encoder: TextEncoder) -> None:
        self._encoder = encoder
        ids: list[str] = []
        weights: list[NDArray[np.uint8]] = []
        for row in rows:
            cells = np.zeros(len(CODES), np.uint8)
            for code, likelihood in row.statements.items():
                if code in _COLUMN:
                    cells[_COLUMN[code]] = int(round(likelihood)) or 100  # 0: listed, not graded
            ids.append(row.case_id)
            weights.append(cells)
        self.ids = ids
        table = np.array(weights, np.uint8).reshape(-1, len(CODES))
        self._sets, self._set_of = np.unique(table, axis=0, return_inverse=True)
        self._set_of = self._set_of.reshape(-1)
        self._row_of = {case_id: i for i, case_id in enumerate(ids)}
        self._bare = np.asarray(~self._sets.any(axis=1))  # the set without any statement, where there is one
        self._vectors: NDArray[np.float32] | None = None

    def unlabelled(self, allowed_ids: Iterable[str] | None = None) -> list[str]:
        """Ids of the cases, among ``allowed_ids`` where given, that carry no statement: what they show, nobody has said."""
        rows = self._rows(allowed_ids)
        return [self.ids[int(i)] for i in rows[self._bare[self._set_of[rows]]]] if len(rows) else []

    def _rows(self, allowed_ids: Iterable[str] | None) -> NDArray[np.int64]:
        if allowed_ids is None:
            return np.arange(len(self.ids))
        return np.array(sorted(self._row_of[i] for i in allowed_ids if i in self._row_of), np.int64)

    def rank(
        self, query: TextQuery, k: int, allowed_ids: Iterable[str] | None = None, fit: Fit | None = None
    ) -> list[tuple[str, float]]:
        """Up to ``k`` (case id, share of what was asked, 0-1), best first; cases that answer nothing are left out.

        First comes the share of the asked statements that the case has, each weighted by its likelihood, then the cosine of
        the query's and the statements' sentence vectors, then ``fit`` (case ids → how well the sentence fits each ECG), then
        the order of the library.
        """
        if not self.ids:
            return []
        shares, rows = self._shares(query, allowed_ids)
        likeness = self._likeness(query.line) if query.line else np.zeros(len(self._sets), np.float32)
        kind = self._set_of[rows]
        coarse = np.round(shares, 2)
        order = np.lexsort((rows, -likeness[kind], -coarse[kind]))
        if fit is not None and query.line and len(order):
            last = kind[order[min(k, len(order)) - 1]]  # only who may come in by a tie with the last is looked at
            near = (coarse[kind] > coarse[last]) | ((coarse[kind] == coarse[last]) & (likeness[kind] >= likeness[last]))
            rows, kind = rows[near], kind[near]
            order = np.lexsort((rows, -fit([self.ids[int(i)] for i in rows]), -likeness[kind], -coarse[kind]))
        return [(self.ids[int(rows[i])], float(shares[kind[i]])) for i in order[:k]]

    def shares(self, query: TextQuery, allowed_ids: Iterable[str] | None = None) -> tuple[list[str], NDArray[np.float32]]:
        """Ids of the cases that answer any of what was asked, and the share of it that each has, float32 (n,), above 0 to 1."""
        if not self.ids:
            return [], np.zeros(0, np.float32)
        shares, rows = self._shares(query, allowed_ids)
        return [self.ids[int(i)] for i in rows], shares[self._set_of[rows]]

    def _shares(
        self, query: TextQuery, allowed_ids: Iterable[str] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Share of what was asked of each distinct set of statements, and the rows, among those allowed, that have any."""
        shares = np.ones(len(self._sets), np.float32)
        if query.wanted:
            best = [self._sets[:, [_COLUMN[c] for c in group]].max(axis=1) / 100.0 for group in query.wanted]
            shares = np.asarray(np.stack(best).mean(axis=0), np.float32)
        if query.unwanted:
            shares[self._sets[:, [_COLUMN[c] for c in query.unwanted]].any(axis=1)] = 0.0
            shares[self._bare] = 0.0  # of a case without statements nobody has said what it lacks
        rows = self._rows(allowed_ids)
        return shares, rows[shares[self._set_of[rows]] > 0]

    def _likeness(self, line: str) -> NDArray[np.float32]:
        """Cosine of the text with each distinct set of statements."""
        if self._vectors is None:
            mixed = (self._sets / 100.0).astype(np.float32) @ self._encoder.cached(tuple(s.name for s in STATEMENTS))
            self._vectors = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-9)
        out: NDArray[np.float32] = self._vectors @ self._encoder.embed([line])[0]
        return out
