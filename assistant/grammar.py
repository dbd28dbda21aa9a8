"""Reads one sentence in full into claims, or not at all.

The words come from ``lexicon`` and ``synonyms.WRITTEN`` (the forms that mean exactly one statement; the wider forms that
questions are read with are left out on purpose: "old infarction" is no infarction of the vocabulary). What stands
between them is the grammar below. A word it does not know makes the whole sentence unreadable, and so unsupported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from assistant.claims import (
    CaseClaim,
    CertaintyClaim,
    Claim,
    CompareClaim,
    DefinitionClaim,
    FindingClaim,
    FixedClaim,
    MeasurementClaim,
    NormalClaim,
    QualityClaim,
    ReplyClaim,
    ReviewClaim,
)
from assistant.frames import CLOSINGS, FIXED
from assistant.parsing import Grammar, Rule
from assistant.readable import NUMBER, lexicon, split_words
from encoders.vocabulary import STATEMENTS

__all__ = ["UNSPLIT", "parse"]


# --- values: an item is (codes, quantifier, hedge, further claims); a list is (items, joints) ---------------------------


def _item(found: Any, hedge: str = "", more: tuple[Claim, ...] = ()) -> Any:
    return (found[0], found[1], hedge, more)


def _with(item: Any, claims: Any) -> Any:
    return (item[0], item[1], item[2], item[3] + claims)


def _one(item: Any) -> Any:
    return ((item,), ())


def _chain(joint: str) -> Any:
    return lambda item, rest: ((item, *rest[0]), (joint, *rest[1]))


def _exact_codes(codes: tuple[str, ...], quantifier: str) -> tuple[str, ...]:
    return codes[:1] if quantifier == "site" else codes


def _say(polarity: str) -> Any:
    """A list with a polarity; "probable" may stand before an item of what is present, nowhere else."""

    def act(items: Any) -> Any:
        found, joints = items
        negative = polarity in ("absent", "undetermined", "not assessed")
        if not negative and any(quantifier == "family" for _, quantifier, _, _ in found):
            return None  # "rhythm is present" says nothing
        if polarity == "present" and "or" in joints:
            return None
        if polarity == "absent" and joints and joints[-1] not in ("or", "and"):
            return None  # "no A, B": B may well be meant as present
        if negative and "with" in joints:
            return None
        claims: list[Claim] = []
        for codes, quantifier, hedge, more in found:
            if (hedge or more) and negative:
                return None
            said = {"": polarity, "probable": "probable", "possible": "undetermined"}[hedge]
            if quantifier == "site" and said in ("absent", "undetermined"):
                quantifier = "any"  # "no inferior infarction" denies the inferolateral one as well
            claims += [
                FindingClaim(_exact_codes(codes, quantifier), said, "all" if quantifier in ("all", "site") else "any"),
                *more,
            ]
        return tuple(claims)

    return act


def _value(number: str, unit: str = "") -> Any:
    return (float(number), unit, number)


def _placed(placeholder: Any) -> Any:
    return (None, placeholder[0], placeholder[1])


def _measure(name: str, value: Any = None, word: str | None = None) -> Any:
    if value is None:
        return (MeasurementClaim(name, word=word),)
    number, unit, printed = value
    if number is None:  # a placeholder carries the measurement it stands for
        if unit != name:
            return None
        unit = ""
    return (MeasurementClaim(name, number, unit, word, printed),)


def _open_measure(claims: Any) -> Any:
    """ "Cannot be judged: the QTc is 450 ms": a value with no limit for it, or no value."""
    if any(c.word not in (None, "not measurable") for c in claims):
        return None
    return (*claims, *(() if claims[0].word else (FixedClaim("no limit"),)))


def _from_to(name: str, first: Any, second: Any) -> Any:
    if first[0] is None or second[0] is None or first[1] != second[1]:
        return None
    return (CompareClaim("change", (), name, 0, first[1], "", (first[2], second[2])),)


def _sure(item: Any, polarity: str) -> Any:
    if item[2] or item[1] not in ("all", "site"):
        return None
    return (item[0][:1], (FindingClaim(item[0][:1], polarity),))


def _certain(found: Any, percent: str) -> Any:
    return (*found[1], CertaintyClaim(found[0], percent))


def _rules() -> list[Rule]:
    made: list[Rule] = []

    def r(name: str, pattern: str, action: Any) -> None:
        made.append(Rule(name, pattern, action))

    def add(a: Any, b: Any) -> Any:
        return a + b

    ecg = "(the|this) (ecg|recording|tracing)"
    be = "(is|are|was|were)"
    seen = "(present|seen|found|stated|noted|detected|visible|evident)"
    undetermined = (
        f"((can|could) not be (judged|excluded|ruled out|determined|confirmed or excluded|decided|confirmed|stated or excluded)"
        f"|{be} (undetermined|left open|undecided|uncertain|open|unclear|not certain)"
        "|(remains|remain) (open|undetermined|uncertain)"
        f"|can be neither stated nor excluded|{be} possible|may be present|{be} possibly present)"
    )
    # values and measurements
    r("V", "@number @U", _value)
    r("V", "@P", _placed)
    r("V", "@number", _value)
    r("M", "[the|a|an|this] @M", lambda m: m)
    r("W", "@W", lambda w: w)
    r("W", "not @W", lambda w: f"not {w}")
    nm = "(not measurable|can not be measured|could not be measured|not measured)"
    r("ME", f"<M> [(is|was|are|were|:)] {nm}", lambda m: _measure(m, None, "not measurable"))
    r("ME", f"<M> (and|or) <M> [(is|was|are|were|:)] {nm}",
      lambda m, n: _measure(m, None, "not measurable") + _measure(n, None, "not measurable"))  # fmt: skip
    r("ME", "<M> [is|was|:|measures|of|was measured at] <V> (,|, which is|and|and is|, that is|, and thus) <W>", _measure)
    r("ME", "<M> [is|was|:] <W> (at|:|,|with|of) <V>", lambda m, w, v: _measure(m, v, w))
    r("ME", "<M> [is|was|:] <W> LP <V> RP", lambda m, w, v: _measure(m, v, w))
    r("ME", "<M> [is|was|=|:|of|at|measures|was measured at] <V>", _measure)
    r("ME", "<M> LP <V> RP", _measure)
    r("ME", "<M> (is|was|are) <W>", lambda m, w: _measure(m, None, w))
    r("ME", "(<M> and <M>|<M> , <M> [,] and <M>) (are|were) <W>",
      lambda *v: sum((_measure(m, None, v[-1]) for m in v[:-1]), ()))  # fmt: skip
    r("ME", "with <V> , <M> is <W>", lambda v, m, w: _measure(m, v, w))
    r("ME", "[the|a|an] @W @M [at|of|with] <V>", lambda w, m, v: _measure(m, v, w))
    r("ME", "[the|a|an] @W @M LP <V> RP", lambda w, m, v: _measure(m, v, w))
    r("MB", "[the|a|an] @W @M", lambda w, m: _measure(m, None, w) if w != "abnormal" else None)
    r(
        "ME",
        "[a|an|there is|there is a] @A (at|with|of|:|, axis|,|, axis at|with an axis of) <V>",
        lambda a, v: _measure("axis_deg", v, a),
    )
    r("ME", "[a|an|there is|there is a] @A LP <V> RP", lambda a, v: _measure("axis_deg", v, a))
    r("ME", "[a|an|there is|there is a] @A", lambda a: _measure("axis_deg", None, a))
    for text, word in (("regular", "regular"), ("irregular", "irregular"), ("not regular", "irregular")):
        r("ME", f"(the rhythm|the rr interval|the ventricular response) (is|are) {text}",
          lambda w=word: (MeasurementClaim("rr_irregularity", word=w),))  # fmt: skip
    for word in ("regular", "irregular"):
        r("ME", f"{word} (rhythm|rr interval)", lambda w=word: (MeasurementClaim("rr_irregularity", word=w),))
    # items and lists
    r("I0", "[a|an|the|any] @F", _item)
    r("I0", "[a|an] (probable|likely|probably) [a|an] @F", lambda f: _item(f, "probable"))
    r("I0", "[a|an] (possible|possibly) [a|an] @F", lambda f: _item(f, "possible"))
    r("RATE", "(at|with|,) <V>", lambda v: _measure("rate_bpm", v) if v[1] in ("/min", "rate_bpm") else None)
    r("RATE", "(with|at|,) [a|the] @M [of|:|is] <V>", lambda m, v: _measure(m, v))
    r("RATE", "LP [a|the] @M [of|:|is] <V> RP", lambda m, v: _measure(m, v))
    r("RATE", "LP <V> RP", lambda v: _measure("rate_bpm", v) if v[1] in ("/min", "rate_bpm") else None)
    r("RATE", "with <ME>", lambda c: c)
    r("I", "<I0> <RATE>", _with)
    r("I", "<I0>", lambda i: i)
    r("L", "<I> , <L>", _chain(","))
    r("L", "<I> [,] (and|as well as|plus|together with) <L>", _chain("and"))
    r("L", "<I> [,] (or|nor) <L>", _chain("or"))
    r("L", "<I> with <L>", _chain("with"))
    r("L", "<I>", _one)
    r("N", "<I> , <N>", _chain(","))
    r("N", "<I> [,] (and|or|nor) <N>", _chain("or"))
    r("N", "<I>", _one)
    # Clauses: D says something whole, NEG denies, B is a bare list. A bare list never follows a denial without a clear cut:
    # "no A, B" may mean either.
    r("D", f"<L> {undetermined}", _say("undetermined"))
    whether = "(it can not be (judged|excluded|ruled out) (that|whether)|it is (open|undetermined|uncertain) whether)"
    r("D", f"{whether} <L> {be} {seen}", _say("undetermined"))
    r("D", f"whether <L> {be} {seen} (can not be judged|is undetermined|is open|is uncertain)", _say("undetermined"))
    r("D", f"(can not be judged|undetermined) : <L> {undetermined}", _say("undetermined"))
    r("D", "(undetermined|can not be judged|not excluded|left open|possible|can not be excluded) : <L>", _say("undetermined"))
    r("D", f"[not assessed :] <L> {be} not assessed [by this assistant]", _say("not assessed"))
    r("D", "not assessed : <L>", _say("not assessed"))
    r("D", f"not assessed : normal ecg {be} not assessed", lambda: (NormalClaim("not assessed"),))
    r("D", f"<L> {be} (probable|likely|probably present|likely present)", _say("probable"))
    r("D", f"there {be} probably <L>", _say("probable"))
    r("D", f"{ecg} probably (shows|has) <L>", _say("probable"))
    r("D", f"<L> {be} {seen}", _say("present"))
    r("D", f"there {be} <L>", _say("present"))
    r("D", f"({ecg}|it) (shows|has|showed|had) <L>", _say("present"))
    r("D", "(finding|stated|rhythm|conduction|chambers|infarction|st t|form|impression) : <L>", _say("present"))
    r("D", "the [underlying|basic|main] rhythm is <L>", _say("present"))
    r("D", f"both [:] <L> [{be} {seen}]", lambda found: _say("present")(found) if len(found[0]) == 2 else None)
    r("D", "it is <L>", _say("present"))
    r("D", "can not be judged : <ME>", _open_measure)
    r("D", "can not be judged : <NO>", lambda c: (c,) if c.polarity == "undetermined" else None)
    for name in ("CO", "ME", "CE"):
        r("D", f"<{name}>", lambda c: c)
    for name in ("Q", "CA"):
        r("D", f"<{name}>", lambda c: (c,))
    r("NEG", f"(no|without) [evidence of|sign of] <N> [{be} {seen}]", _say("absent"))
    r("NEG", f"there {be} no [evidence of|sign of] <N>", _say("absent"))
    r("NEG", f"{ecg} (shows|has) no [evidence of|sign of] <N>", _say("absent"))
    r("NEG", f"<L> {be} (absent|not {seen}|not there)", _say("absent"))
    r("NEG", f"neither <N> [{be} {seen}]", lambda found: _say("absent")(found) if len(found[0]) > 1 else None)
    r("NEG", f"(neither|none) : no <N> [{be} {seen}]", _say("absent"))
    r("NEG", f"(neither|none) : <L> {be} (absent|not {seen})", _say("absent"))
    r("NEG", f"the rhythm {be} not <N>", _say("absent"))
    r("B", "<NO>", lambda c: (c,))
    r("B", "<L>", _say("present"))
    r("B", "<MB>", lambda c: c)  # "prolonged PR interval" is the statement where there is one
    # normality
    normal = "([a] normal ecg|[a] normal recording|[a] normal tracing|ecg within normal limits)"
    r("NO", f"[(this|it) is|there is] {normal}", lambda: NormalClaim())
    r("NO", f"{ecg} is (normal|within normal limits)", lambda: NormalClaim())
    r("NO", f"{ecg} is otherwise normal", lambda: NormalClaim(otherwise=True))
    r("NO", "[this is an] otherwise normal (ecg|recording|tracing)", lambda: NormalClaim(otherwise=True))
    r("NO", "(probable|probably|likely) [a] normal (ecg|recording|tracing)", lambda: NormalClaim("probable"))
    r("NO", f"{ecg} is probably normal", lambda: NormalClaim("probable"))
    r("NO", f"(this|it) is probably {normal}", lambda: NormalClaim("probable"))
    r("NO", f"{ecg} is not normal", lambda: NormalClaim("absent"))
    r("NO", f"[(this|it) is] not {normal}", lambda: NormalClaim("absent"))
    r("NO", f"[{ecg} is|this is an] abnormal [ecg|recording|tracing]", lambda: NormalClaim("absent"))
    r(
        "NO",
        f"whether ({ecg} is normal|this is {normal}) (can not be judged|is undetermined|is open)",
        lambda: NormalClaim("undetermined"),
    )
    r("NO", f"{normal} {undetermined}", lambda: NormalClaim("undetermined"))
    # cases
    of = "(of|out of)"
    kind = "[the|these] [<K>] [most] similar [past] (case|recording|ecg)"
    had = "(had|have|has|showed|show|were listed with|list|listed|carry|carried)"
    r("K", "@number", lambda n: int(n) if n.isdigit() else None)
    r("K", "@K", lambda n: n)

    def case(n: Any, *rest: Any) -> Any:
        *k, item = rest
        codes = item[0] if isinstance(item, tuple) else None
        if codes is None or item[2] or item[3]:
            return None
        return CaseClaim(_exact_codes(codes, item[1]), n, k[0] if k else None)

    r("CX", "<I0>", lambda i: i)
    r("CA", f"<K> {of} {kind} {had} <CX>", case)
    r("CA", f"none of {kind} {had} <CX>", lambda *v: case(0, *v))
    r("CA", f"all [of] {kind} {had} <CX>", lambda *v: case(v[0], *v) if len(v) == 2 else None)
    r("CA", f"(of|among) {kind} , <K> {had} <CX>", lambda *v: case(v[-2], *v[:-2], v[-1]))
    r(
        "CA",
        f"(of|among) {kind} , all [<K>] {had} <CX>",
        lambda *v: case(v[0], v[0], v[-1]) if len(v) > 1 and len(set(v[:-1])) == 1 else None,
    )
    r("CA", f"<CX> {be} (stated|listed|present|found|seen) in <K> {of} {kind}", lambda i, n, *k: case(n, *k, i))

    # two recordings, the second the later one
    def compared(kind: str) -> Any:
        def act(found: Any) -> Any:
            if any(hedge or more or quantifier == "family" for _, quantifier, hedge, more in found[0]) or "with" in found[1]:
                return None
            return tuple(CompareClaim(kind, _exact_codes(codes, quantifier)) for codes, quantifier, _, _ in found[0])

        return act

    r("CO", "new : <L>", compared("new"))
    r("CO", f"<L> {be} (new|newly (stated|present|seen))", compared("new"))
    r("CO", "no longer (present|stated|seen) : <L>", compared("resolved"))
    r("CO", f"<L> {be} no longer (present|stated|seen)", compared("resolved"))
    r("CO", "(unchanged|still present) : <L>", compared("unchanged"))
    r("CO", f"<L> {be} (unchanged|still present|present in both [recording])", compared("unchanged"))
    r("CO", "change can not be judged : <L>", compared("open"))
    r("CO", "whether <L> changed can not be judged", compared("open"))
    r("CO", "<M> (rose|increased|changed|fell|decreased) from <V> to <V>", _from_to)
    for words, sign in (("(faster|longer|more|higher)", 1), ("(slower|shorter|less|lower)", -1)):
        r("CO", f"<M> is <V> {words} [than before|than in the first recording]",
          lambda m, v, s=sign: (CompareClaim("change", (), m, s, v[1], v[2]),) if v[0] is not None else None)  # fmt: skip
    # quality
    r("Q", "[with limits :] (the recording is of limited quality|signal quality is limited)", lambda: QualityClaim("limited"))
    r("Q", "(the recording is usable|signal quality is good|the recording can be read)", lambda: QualityClaim("usable"))
    r("Q", "(the recording is not usable|the recording can not be read)", lambda: QualityClaim("unusable"))
    # certainty
    r("PC", "@number %", lambda n: f"{n} %" if n.isdigit() else None)
    r("PC", "under 1 %", lambda: "under 1 %")
    r("PC", "over 99 %", lambda: "over 99 %")
    r("PC", "@C", lambda n: n)
    for polarity, said in (("present", seen), ("absent", f"(absent|not {seen})"), ("undetermined", "undetermined")):
        r("PF", f"<I0> {be} {said}", lambda i, p=polarity: _sure(i, p))
    r("CE", "the probability (of|for) <CX> is <PC>", lambda i, n: _certain((_exact_codes(i[0], i[1]), ()), n))
    r("CE", "<PF> [,] with [a] probability [of] <PC>", _certain)
    r("CE", "<PF> (:|,) probability [:|of] <PC>", _certain)
    r("CE", "probability <PC> : <PF>", lambda n, f: _certain(f, n))
    # sentences
    for start in ("D", "NEG"):
        r("X", f"<{start}>", lambda c: c)
    r("X", "<D> <MORE>", add)
    r("X", "<NEG> <APART>", add)
    r("S", "<X>", lambda c: c)
    r("S", "<B>", lambda c: c)
    r("S", "<B> <MORE>", add)
    r("MORE", "(;|,|[,] and|[,] but|[,] while|[,] whereas|[,] with) <S>", lambda c: c)
    r("MORE", "<WO>", lambda c: c)
    r("MORE", "<WO> <APART>", add)
    r("APART", "(,|[,] and|[,] with) <X>", lambda c: c)
    r("APART", "(;|[,] but|[,] while|[,] whereas) <S>", lambda c: c)
    r("WO", "without [evidence of|sign of] <N>", _say("absent"))
    r("T", "yes (,|:|;|.) <S>", lambda s: (ReplyClaim(True), *s))
    r("T", "no (,|:|;|.) <S>", lambda s: (ReplyClaim(False), *s))
    r("T", "yes", lambda: (ReplyClaim(True),))
    r("T", "no", lambda: (ReplyClaim(False),))
    r("T", "<S>", lambda s: s)
    return made


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(". ")


def _whole() -> dict[str, tuple[Claim, ...]]:
    """Sentences that are known as wholes: closings, fixed sentences, criteria, citations."""
    out: dict[str, tuple[Claim, ...]] = {}

    def add(texts: Iterable[str], *claims: Claim) -> None:
        for text in texts:
            out.setdefault(_plain(text), claims)

    for s in STATEMENTS:
        if s.criteria:
            add((s.criteria,), DefinitionClaim(s.code))
            add((f"Criteria: {s.criteria}",), DefinitionClaim(s.code, named=True))
        if s.citation:
            add((f"Source: {s.citation}",), DefinitionClaim(s.code, True))
    add(("[criteria]", "Criteria: [criteria]"), DefinitionClaim("", named=True))
    add(("Source: [citation]",), DefinitionClaim("", True))
    add(("[quality_reasons]",), QualityClaim("reason", "[quality_reasons]"))
    add(CLOSINGS["routine"], ReviewClaim())
    add(CLOSINGS["urgent"], ReviewClaim(True))
    for kind in ("acute", "out of scope", "unclear"):
        add(FIXED[kind], ReviewClaim())
    add(("Not assessed: that is not among the statements of this assistant.",), ReviewClaim())
    for kind in ("nothing stated", "no such finding", "no rhythm", "no cases", "no limit", "no change", "no earlier"):
        add(FIXED[kind], FixedClaim(kind))
    return out


_GRAMMAR = Grammar(_rules(), lexicon(), NUMBER)
_WHOLE = _whole()
#: Criteria by statement, and that of a placeholder, for "name: criteria".
_CRITERIA = {s.code: _plain(s.criteria) for s in STATEMENTS if s.criteria}
#: Whole sentences that hold a full stop of their own; sentence splitting leaves them together.
UNSPLIT = tuple(t for s in STATEMENTS for t in (s.criteria, s.citation) if re.search(r"[.!?]\s", t))


@lru_cache(maxsize=4096)
def parse(sentence: str) -> tuple[Claim, ...] | None:
    """Claims of one sentence in the order they are made; None where any part of it cannot be read.

    Placeholders such as "[qrs_ms]" are read as the value of their measurement (``value`` None, ``printed`` the placeholder).
    """
    plain = _plain(sentence)
    if not plain or len(plain) > 1200:
        return None
    known = _WHOLE.get(plain)
    if known is not None:
        return known
    name, mark, rest = plain.partition(": ")
    if mark:
        code = _named(name)
        if code and rest in (_CRITERIA.get(code), "[criteria]"):
            return (DefinitionClaim(code, named=True),)
    words = split_words(plain)
    if not words or len(words) > 120 or "." in (words[:1] + words[2:] if words[0] in ("yes", "no") else words):
        return None
    claims: tuple[Claim, ...] | None = _GRAMMAR.read(words, "T")
    return None if claims is None else tuple(dict.fromkeys(claims))


def _named(text: str) -> str | None:
    """The one statement that a phrase names, if it names one."""
    words = split_words(text)
    found = [] if not words else [v for w, v in _NAMES.get(words[0], ()) if w == words and v[1] in ("all", "site")]
    return found[0][0][0] if found else None


_NAMES = lexicon()["F"]
