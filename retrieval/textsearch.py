"""Cases by words: what a text asks for, and how well each case's statements answer it.

"elderly woman with atrial fibrillation without LBBB, rate over 100" becomes a condition (age, sex, rate), statements asked
for and statements ruled out. Wordings known to `PHRASES` are taken as they stand; other words go by the nearest wording in
the sentence model, and are left out, and named, where none is near.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.errors import QueryError
from encoders.vocabulary import CODES, STATEMENTS
from retrieval.phrases import PHRASES
from retrieval.store import CaseRow
from retrieval.text import TextEncoder
from retrieval.where import And, Condition, parse

__all__ = ["TextIndex", "TextQuery", "understand"]

#: Cosine to the nearest wording below which words are taken as not understood: between unrelated medical words (kidney
#: stones 0.40, noise 0.43, treatment 0.41) and loose paraphrases (enlarged atria 0.51, lack of blood to the heart 0.57).
NEAR_ENOUGH = 0.50
#: Wordings this close to the nearest one are meant as well.
TIE = 0.02
MAX_LENGTH = 500

_COLUMN = {code: i for i, code in enumerate(CODES)}
_EXACT = re.compile(
    r"(?<![a-z0-9])(" + "|".join(re.escape(p) for p in sorted(PHRASES, key=len, reverse=True)) + r")(?![a-z0-9])"
)
#: Wordings for the sentence model: abbreviations mean nothing to it.
_SPOKEN = tuple(p for p in PHRASES if " " in p or (len(p) > 8 and p.isalpha()))
_SPLIT = re.compile(r"[,;.]|\b(?:and|with|plus|but|having|has|showing|shows)\b|(?=\b(?:without|no|not|excluding|except)\b)")
_NEGATION = re.compile(r"^\s*(?:without|no|not|excluding|except)\b")
_IDLE = frozenset(
    "a an the of in on at to for from by is are was were be who whose which that this these those any some all "
    "ecg ecgs ekg ekgs electrocardiogram electrocardiograms recording recordings tracing tracings trace traces lead leads 12-lead "
    "case cases patient patients person people subject subjects example examples someone adult adults his her their "
    "find show give me us please search list get look like similar past other old older new years year aged age "
    "without no not excluding except also only i want need about signs sign pattern evidence findings finding".split()
)

_NUM = r"(\d{1,4}(?:\.\d+)?)"
_MORE = r"(?:over|above|greater than|more than|longer than|exceeding|>)"
_MORE_OR = r"(?:at least|no less than|>=|≥|from)"
_LESS = r"(?:under|below|less than|shorter than|<)"
_LESS_OR = r"(?:at most|no more than|<=|≤|up to)"
_OPS = ((_MORE_OR, ">="), (_LESS_OR, "<="), (_MORE, ">"), (_LESS, "<"))
_MEASURED = {
    "qtc_ms": r"qtc(?: interval| time)?",
    "qt_ms": r"qt(?: interval| time)?",
    "qrs_ms": r"qrs(?: duration| width| complex)?",
    "pr_ms": r"pr(?: interval| time| duration)?",
    "rate_bpm": r"(?:heart |ventricular )?rate|pulse|hr",
    "axis_deg": r"(?:qrs |frontal |electrical )?axis",
}


def _rules() -> list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
    """Patterns and the condition each means, in order; what one takes is gone for the next."""

    def fixed(text: str) -> Callable[[re.Match[str]], str]:
        return lambda match: text

    out: list[tuple[str, Callable[[re.Match[str]], str]]] = []
    for field, words in _MEASURED.items():
        for word, op in _OPS:
            out.append(
                (rf"\b(?:{words})\s*(?:is |of )?{word}\s*{_NUM}\s*(?:ms|bpm|/min|°|degrees)?", lambda m, f=field, o=op: f"{f}{o}{m[1]}")
            )
    out += [
        (r"\bleft axis(?: deviation)?\b", fixed("axis_deg<-30")),  # AHA/ACC/HRS 2009, part III: beyond -30°
        (r"\bright axis(?: deviation)?\b", fixed("axis_deg>90")),  # the same: beyond +90°
        (rf"\b(?:aged? )?between (?:ages? )?{_NUM} and {_NUM}(?: years?)?(?: old| of age)?\b", lambda m: f"age>={m[1]} and age<={m[2]}"),
        (r"\bin (?:his|her|their) ([2-9])0(?:'?s)?\b", lambda m: f"age>={m[1]}0 and age<{m[1]}9.5"),
        (rf"\b{_NUM}\s*(?:years?|yrs?)?\s*(?:old )?(?:or|and) (?:older|above|over)\b", lambda m: f"age>={m[1]}"),
        (rf"\b{_NUM}\s*(?:years?|yrs?)?\s*(?:old )?(?:or|and) (?:younger|below|under)\b", lambda m: f"age<={m[1]}"),
        (rf"\b{_NUM}[\s-]*(?:years?|yrs?|y)[\s/-]*(?:old|of age|o)\b", lambda m: f"age>={float(m[1]) - 2} and age<={float(m[1]) + 2}"),
        (rf"(?:\b(?:aged?|older than)|\bolder)\s*(?:than|>|over|above)?\s*{_NUM}(?: years?)?", lambda m: _aged(m)),
        (rf"\byounger than {_NUM}(?: years?)?", lambda m: f"age<{m[1]}"),
        *((rf"(?:\bage[d]?\s*)?{word}\s*{_NUM}\b(?!\s*(?:ms|bpm|mv|/min|°))(?: years?)?(?: old| of age)?",
           lambda m, o=op: f"age{o}{m[1]}") for word, op in _OPS),
        (r"\bmiddle[\s-]aged?\b", fixed("age>=40 and age<65")),
        (r"\b(?:elderly|geriatric|seniors?|old (?=wom[ae]n|m[ae]n|lad|patient|person|people|female|male))", fixed("age>=65")),
        (r"\boctogenarians?\b", fixed("age>=80 and age<90")),
        (r"\byoung(?:er)?\b", fixed("age<40")),
        (r"\b(?:child(?:ren)?|p(?:a)?ediatric|teenagers?|adolescents?)\b", fixed("age<18")),
        (r"\b(?:wom[ae]n|females?|lad(?:y|ies)|girls?)\b", fixed("sex=F")),
        (r"\b(?:m[ae]n|males?|gentlem[ae]n|boys?)\b", fixed("sex=M")),
    ]  # fmt: skip
    return [(re.compile(pattern), meaning) for pattern, meaning in out]


def _aged(match: re.Match[str]) -> str:
    """"older than 70" is beyond it; "aged 70" is about it."""
    years = float(match[1])
    return f"age>{years}" if "older" in match[0] or re.search(r"over|above|>", match[0]) else f"age>={years - 2} and age<={years + 2}"


_RULES = _rules()


@dataclass(frozen=True)
class TextQuery:
    """What a text asks for. ``wanted``: sets of codes, of each of which a case should have one. ``unwanted``: codes it must
    not have. ``condition``: age, sex and measurements, or None. ``ignored``: words that were not understood."""

    text: str
    wanted: tuple[tuple[str, ...], ...]
    unwanted: tuple[str, ...]
    condition: Condition | None
    ignored: tuple[str, ...]


def understand(text: str, encoder: TextEncoder, spoken: NDArray[np.float32] | None = None) -> TextQuery:
    """What ``text`` asks for. ``spoken``: embeddings of the wordings, where the caller keeps them.

    Raises QueryError where nothing in it names a statement, an age, a sex or a measurement.
    """
    if not text.strip() or len(text) > MAX_LENGTH:
        raise QueryError(f"The text has {len(text.strip())} characters; give 1 to {MAX_LENGTH}.")
    left = re.sub(r"\s+", " ", text.lower().replace("’", "'"))
    conditions: list[Condition] = []
    held: list[tuple[str, ...]] = []

    def hold(match: re.Match[str]) -> str:
        held.append(PHRASES[match[1]])
        return f" \x01{len(held) - 1}\x01 "

    def take(match: re.Match[str], meaning: Callable[[re.Match[str]], str]) -> str:
        conditions.append(parse(meaning(match)))
        return " "

    for pattern, meaning in _RULES:
        left = pattern.sub(lambda m, meaning=meaning: take(m, meaning), left)
    left = _EXACT.sub(hold, left)

    wanted: list[tuple[str, ...]] = []
    unwanted: list[str] = []
    ignored: list[str] = []
    negative = False
    for segment in _SPLIT.split(left):
        # "without LBBB and LVH" and "without LBBB, LVH" rule out both; "without LBBB but LVH" begins anew with other words
        negative = bool(_NEGATION.match(segment))
        codes = tuple(code for number in re.findall("\x01(\\d+)\x01", segment) for code in held[int(number)])
        groups = [held[int(n)] for n in re.findall("\x01(\\d+)\x01", segment)]
        if not groups:
            words = [w for w in re.findall(r"[^\W_][\w'/-]*", segment) if w not in _IDLE and w != "or"]
            if not words:
                continue
            if spoken is None:
                spoken = encoder.embed(_SPOKEN)
            codes = _nearest(" ".join(words), encoder, spoken)
            groups = [codes] if codes else []
            if not codes:
                ignored.append(" ".join(words))
        if negative:
            unwanted += codes
        elif re.search(r"\bor\b", segment) and len(groups) > 1:
            wanted.append(tuple(dict.fromkeys(codes)))
        else:
            wanted += groups
    if not wanted and not unwanted and not conditions:
        raise QueryError(
            f"Nothing in {text.strip()[:60]!r} names an ECG statement, an age, a sex or a measurement; "
            'write, say, "elderly woman with atrial fibrillation".'
        )
    condition = None if not conditions else conditions[0] if len(conditions) == 1 else And(tuple(conditions))
    return TextQuery(text, tuple(dict.fromkeys(wanted)), tuple(dict.fromkeys(unwanted)), condition, tuple(ignored))


def _nearest(words: str, encoder: TextEncoder, spoken: NDArray[np.float32]) -> tuple[str, ...]:
    likeness = spoken @ encoder.embed([words])[0]
    best = float(likeness.max())
    if best < NEAR_ENOUGH:
        return ()
    close = np.flatnonzero(likeness >= best - TIE)
    return tuple(dict.fromkeys(code for i in close for code in PHRASES[_SPOKEN[int(i)]]))


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
        self._vectors: NDArray[np.float32] | None = None
        self._spoken: NDArray[np.float32] | None = None

    def understand(self, text: str) -> TextQuery:
        """See `understand`; keeps the wordings' embeddings."""
        if self._spoken is None:
            self._spoken = self._encoder.embed(_SPOKEN)
        return understand(text, self._encoder, self._spoken)

    def rank(self, query: TextQuery, k: int, allowed_ids: Iterable[str] | None = None) -> list[tuple[str, float]]:
        """Up to ``k`` (case id, share of what was asked, 0-1), best first; cases that answer nothing are left out.

        First comes the share of the asked statements that the case has, each weighted by its likelihood, then the cosine of
        the query's and the statements' sentence vectors, then the order of the library.
        """
        if not self.ids:
            return []
        if self._vectors is None:
            names = self._encoder.embed([s.name for s in STATEMENTS])
            mixed = (self._sets / 100.0).astype(np.float32) @ names
            self._vectors = mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-9)
        shares = np.ones(len(self._sets), np.float32)
        if query.wanted:
            columns = [[_COLUMN[c] for c in group] for group in query.wanted]
            shares = np.mean([self._sets[:, group].max(axis=1) / 100.0 for group in columns], axis=0, dtype=np.float64).astype(np.float32)
        if query.unwanted:
            shares = np.where(self._sets[:, [_COLUMN[c] for c in query.unwanted]].any(axis=1), 0.0, shares)
        likeness = self._vectors @ self._encoder.embed([query.text])[0]
        if allowed_ids is None:
            rows = np.arange(len(self.ids))
        else:
            rows = np.array(sorted(self._row_of[i] for i in allowed_ids if i in self._row_of), np.int64)
        rows = rows[shares[self._set_of[rows]] > 0]
        kind = self._set_of[rows]
        order = np.lexsort((rows, -likeness[kind], -np.round(shares[kind], 2)))[:k]
        return [(self.ids[int(rows[i])], float(shares[kind[i]])) for i in order]
