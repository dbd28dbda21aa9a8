"""What a question names, in ECG-QA's terms: statements, noise, stages, extra systoles, the axis, numeric features, leads.

Each finder takes plain text (lower case) and gives what it found in order, with the text that remains. Statements are sought
three ways: ECG-QA's own names, an injury with its wall in either order, and the assistant's lexicon.
"""

from __future__ import annotations

import re
from functools import cache

from assistant.ecgqa.asked import Target
from assistant.ecgqa.values import AXES, EXTRAS, FEATURES, NAME_OF, NOISES, RANGES, STAGES, SUPERCLASS_NAMES
from assistant.lexicon import longest_match, words
from encoders.vocabulary import codes_in

__all__ = ["axes", "extras", "features", "lead_of", "noises", "plain", "ranges", "stages", "statements"]

_LEAD_NAMES = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
_WALLS = {
    "anterior": 0, "anterolateral": 1, "anteroseptal": 2, "inferior": 3, "inferolateral": 4, "inferoposterior": 5,
    "inferoposterolateral": 6, "lateral": 7, "posterior": 8,
}  # fmt: skip
_BY_WALL = {
    "MI": ("AMI", "ALMI", "ASMI", "IMI", "ILMI", "IPMI", "IPLMI", "LMI", "PMI"),
    "ISC": ("ISCAN", "ISCAL", "ISCAS", "ISCIN", "ISCIL", "", "", "ISCLA", ""),
    "INJ": ("", "INJAL", "INJAS", "INJIN", "INJIL", "", "", "INJLA", ""),
}
_KINDS = {
    "INJ": r"(?:sub-?endocardial )?injur(?:y|ies)",
    "ISC": r"isch(?:a?emi)(?:a|c|as)(?: (?:st-?t )?(?:changes?|signs?|symptoms?|patterns?))?",
    "MI": r"(?:(?:myocardial )?infarct(?:ion|ions|s|ed)?|mi|heart attack)",
}
_WALL = r"(antero|infero|postero)?[- ]?(anterior|lateral|septal|inferior|posterior|posterolateral|postero[- ]?lateral)"
_AFTER = {
    kind: re.compile(
        rf"\b{pattern}(?: (?:is|was|are|located|seen|present|found|detected|noted))?"
        rf"(?: (?:in|of|at|on|over|within|involving|affecting|along|across))?(?: the)? {_WALL}(?: (?:leads?|walls?"
        rf"|region|territory"
        rf"|area))?\b"
    )
    for kind, pattern in _KINDS.items()
}
_BEFORE = {
    kind: re.compile(rf"\b{_WALL}(?: (?:leads?|walls?|region|territory))? (?:acute |old )?{pattern}\b")
    for kind, pattern in _KINDS.items()
}

_NOISE = (
    (0, r"baseline[- ](?:drift\w*|wander\w*|shift\w*|sway\w*|instabilit\w+|fluctuat\w+|movement)|(?:drift\w*|wander\w*|shift\w*)"
        r"(?: (?:in|of|at|from))?(?: the)? base ?line|\bdrift(?:ing|s)?\b|\bwander(?:ing|s)?\b|unstable baseline"),
    (1, r"\bstatic(?:[- ](?:noises?|interference|electricity|artifacts?|disturbances?))?\b"
        r"|(?:noises?|interference) (?:that is|which is|is|of a) static|\bpower ?line (?:noise|interference)|\bmains\b|\bhum\b"),
    (2, r"\bburst(?:s|ing|y|-like|-type)?(?:[- ](?:noises?|artifacts?|interference|disturbances?))?(?: of noises?)?"
        r"|(?:noise|sudden) bursts?"),
    (3, r"\belectrodes?(?:'s|s')?[- ](?:\w+[- ])?(?:problems?|issues?|faults?|malfunctions?|errors?|troubles?|troubles|contacts?"
        r"|artifacts?|failures?|defects?|difficult\w+|disturbances?)|(?:problems?|issues?|trouble|difficult\w+|faults?"
        r"|malfunction\w*"
        r"|errors?) (?:with|of|in|from|involving|concerning|related to|caused by|due to|at|on) (?:the |its |any |an )?electrodes?"
        r"|(?:loose|bad|faulty|poor|misplaced|defective) electrodes?|\belectrodes?\b|poor contact"),
)  # fmt: skip
_ANY_NOISE = re.compile(
    r"\bnois(?:e|es|y|iness)\b|\binterferen\w+|\bdistort\w+|\bart[ei]fact\w*|\bdisturbances?\b|\bsignal (?:quality|corruption|"
    r"contamination|degradation|disruption)\w*|\bcorrupt\w*|\bcontaminat\w+|\bdisrupt\w+|\bunwanted signals?\b"
)
_STAGE = re.compile(
    r"\b(early|initial|acute|first|beginning|hyper ?acute|middle|mid|intermediate|subacute|sub-acute|second|intermediary|old|late"
    r"|chronic|healed|later|final|older|advanced|third|remote)(?:[- ](?:stages?|phases?))?"
)
_STAGE_OF = {
    **dict.fromkeys(("early", "initial", "acute", "first", "beginning", "hyperacute", "hyper acute"), 0),
    **dict.fromkeys(("middle", "mid", "intermediate", "subacute", "sub-acute", "second", "intermediary"), 1),
    **dict.fromkeys(("old", "late", "chronic", "healed", "later", "final", "older", "advanced", "third", "remote"), 2),
}
_EXTRA = (
    (2, r"\b(?:supra-?ventricular|atrial|sv) (?:extra-?[- ]?systol\w+|extra ?beats?|ectopic\w*(?: beats?)?|ectopy"
        r"|premature beats?"
        r"|extra heart ?beats?)|\bsves\b"),
    (1, r"\bventricular (?:extra-?[- ]?systol\w+|extra ?beats?|ectopic\w*(?: beats?)?|ectopy|premature beats?"
        r"|extra heart ?beats?)"
        r"|\bves\b"),
    (0, r"\bextra-?[- ]?systol\w+|\bextra (?:heart ?)?beats?|\bectopic (?:heart ?)?beats?|\bectop(?:y|ics)\b"
        r"|\bpremature (?:heart ?)?beats?"
        r"|\badditional (?:heart ?)?beats?"),
)  # fmt: skip
_KIND_OF = re.compile(
    r"\b(?:kinds?|types?|sorts?|forms?|variet\w+|category|class|which|what)(?: of)?(?: an?| the| these| this)?"
    r" (?:extra-?[- ]?systol\w+|extra (?:heart ?)?beats?|ectopic beats?|premature beats?|additional beats?)"
)
_AXIS = (
    (3, r"\bextreme(?:ly)?(?: right| left| cardiac| heart)?(?:[- ]axis)?(?: deviat\w+)?|\bnorth ?west\w*|\bindeterminate axis"
        r"|\bno man'?s land"),
    (1, r"\bleft(?:ward)?(?:[- ](?:cardiac|heart))?[- ]ax[ie]s(?: deviat\w+)?"
        r"|\bax[ie]s (?:(?!or\b|and\b|deviation\b)\w+ ){0,3}?(?:to(?:ward)?s? )?(?:the )?left"
        r"(?:ward)?\b|\bdeviat\w+ (?:to(?:ward)?s? )?(?:the )?left\b|\bleft(?:ward)?(?:[- ]\w+)? deviat\w+|\blad\b"),
    (2, r"\bright(?:ward)?(?:[- ](?:cardiac|heart))?[- ]ax[ie]s(?: deviat\w+)?"
        r"|\bax[ie]s (?:(?!or\b|and\b|deviation\b)\w+ ){0,3}?(?:to(?:ward)?s? )?(?:the )?right"
        r"(?:ward)?\b|\bdeviat\w+ (?:to(?:ward)?s? )?(?:the )?right\b|\bright(?:ward)?(?:[- ]\w+)? deviat\w+|\brad\b"),
    (0, r"\bnormal(?:ly directed)? (?:\w+ )?ax[ie]s\b|\bax[ie]s (?:(?!or\b|and\b|deviation\b)\w+ ){0,3}?normal\b"),
)  # fmt: skip
_ABOUT_AXIS = re.compile(r"\bax[ie]s\b|\bdeviat(?:ed|ion|es)\b|\bheart direction\b")
_FEATURE = (
    (5, r"\bqtc\b(?: (?:interval|value|duration))?|\bcorrected[- ]q-?t(?:[- ](?:interval|value|duration))?"
        r"|\bq-?t[- ](?:interval[- ])?\(?corrected\)?"
        r"(?:[- ](?:interval|value|duration))?|\brate[- ]corrected q-?t(?: interval)?"),
    (4, r"\bq-?t(?:[- ](?:intervals?|durations?|lengths?|times?|values?|measurements?))?\b"),
    (0, r"\br-?[- ]?r(?:[- ](?:intervals?|durations?|lengths?|times?|values?|distances?))?\b"
        r"|\bbeat[- ]to[- ]beat (?:interval|distance|time)"
        r"|\bintervals? between (?:successive |consecutive |two )?(?:r(?:[- ]waves?|[- ]peaks?)?|(?:heart ?)?beats?)\b"),
    (2, r"\bp-?[- ]?r(?:[- ](?:intervals?|durations?|lengths?|times?|values?))?\b|\bp-?q (?:interval|time)"),
    (3, r"\bqrs(?:[- ](?:complex(?:es)?|wave))?(?:['’]s)?[- ](?:durations?|widths?|lengths?|intervals?|times?)\b"
        r"|\b(?:duration|width|length) of (?:the )?qrs(?:[- ]complex(?:es)?)?\b"),
    (1, r"\bp(?:[- ]?waves?)?(?:['’]s)?[- ](?:durations?|widths?|lengths?|times?)\b|\b(?:duration|width|length) of (?:the )?p"
        r"(?:[- ]?waves?)?\b"),
)  # fmt: skip
_FAR = r"(?:(?:the|its|a|their|that|of|typical|standard|usual|expected|established|reference) )*"
_RANGE = (
    (0, rf"\b(?:below|under|beneath|less than|lower than|shorter than|smaller than|short of|underneath|lesser than)"
        rf"(?: {_FAR}(?:normal|limits?|range|bounds?))?|\btoo (?:short|low|small)\b|\babnormally (?:short|low)\b"
        rf"|\bshortened\b|\bdecreased\b"),
    (2, rf"\b(?:above|over|exceed(?:s|ing|ed)?|greater than|longer than|higher than|beyond|more than|larger than|surpass\w*)"
        rf"(?: {_FAR}(?:normal|limits?|range|bounds?))?|\btoo (?:long|high|large)\b|\babnormally (?:long|high)\b|\bprolonged\b"
        r"|\bincreased\b|\belevated\b|\blengthened\b"),
    (1, rf"\b(?:within|inside|in|at|into|conform\w* to|among) {_FAR}(?:normal|healthy|limits?|range"
        rf"|bounds?)(?: (?:range|limits?|bounds?|values?))?"
        r"|\bnormal(?: (?:range|limits?|values?|levels?))?\b|\bwithin (?:limits|bounds|range)\b"),
)  # fmt: skip


def plain(text: str) -> str:
    """Lower case, straight quotes and dashes, American spelling of what matters, single spaces."""
    text = text.lower().replace("’", "'").replace("‑", "-").replace("–", "-").replace("—", " - ").replace("−", "-")
    for pattern, by in (
        (r"electrocardiogra\w+|\bekgs?\b", "ecg"),
        (r"isch[ae]{1,2}m", "ischem"),
        (r"\bartefact", "artifact"),
        (r"\btracings?\b|\brecordings?\b", "ecg"),
        (r"\s+", " "),
    ):
        text = re.sub(pattern, by, text)
    return text.strip()


def lead_of(text: str) -> tuple[int | None, str]:
    """The one lead named, 0-11, and the text without it; None where none or several are named."""
    pattern = re.compile(
        r"\b(?:(?:in|of|at|on|for|from|within|to) )?(?:the )?(?:(?:leads?|channels?|electrode|derivation) (?:named "
        r"|labeled |number )?)"
        r"(iii|ii|i|av[rlf]|v ?[1-6]|[123])\b|(?:\bin |\bat |\bon )?(?:the )?\b(av[rlf]|v[1-6]|iii|ii)(?:[- ]lead)?\b"
        r"|\bthe i lead\b"
    )
    found = {m.group(): next((g for g in m.groups() if g), "i").replace(" ", "") for m in pattern.finditer(text)}
    names = {{"1": "i", "2": "ii", "3": "iii"}.get(name, name) for name in found.values()}
    if len(names) != 1:
        return None, text
    for phrase in found:
        text = text.replace(phrase, " ")
    return _LEAD_NAMES.index(names.pop()), re.sub(r"\s+", " ", text)


def _sweep(text: str, patterns: tuple[tuple[int, str], ...], names: tuple[str, ...]) -> tuple[tuple[Target, ...], str]:
    """Targets in order of their place; each stretch of text is used once, by the first pattern that takes it."""
    found: list[tuple[int, Target]] = []
    for index, pattern in patterns:
        for match in re.finditer(pattern, text):
            found.append((match.start(), Target(names[index])))
        text = re.sub(pattern, lambda m: "#" * len(m.group()), text)
    ordered = [target for _, target in sorted(found, key=lambda item: item[0])]
    return tuple(dict.fromkeys(ordered)), text


def noises(text: str) -> tuple[tuple[Target, ...], bool]:
    """Kinds of noise named, and whether noise is spoken of at all. The rest of a name ("static noise") is no general mention."""
    kinds, rest = _sweep(text, _NOISE, NOISES)
    return kinds, bool(kinds) or bool(_ANY_NOISE.search(rest))


def stages(text: str) -> tuple[tuple[Target, ...], bool]:
    """Stages of infarction named, and whether the stage is what the question is about."""
    about = re.search(r"\bstag(?:e|es|ed|ing)\b|\bphases?\b|\bhow (?:old|recent|far|advanced)\b|\bage of\b", text) is not None
    about = about and re.search(r"\binfarct|\bmi\b|\bheart attack|\bmyocardial", text) is not None
    if not about:
        return (), False
    found = [Target(STAGES[_STAGE_OF[m.group(1)]]) for m in _STAGE.finditer(re.sub(r"\b(?:first|second) ecg\b", " ", text))]
    return tuple(dict.fromkeys(found)), True


def extras(text: str) -> tuple[tuple[Target, ...], bool]:
    """Kinds of extra systoles named; "any" and the bare word with "kind" or "type" are the general mention."""
    kinds, _ = _sweep(text, _EXTRA, EXTRAS)
    # "Which kind of extra systoles, ventricular or …" names what follows; the first mention says only what it is about.
    asked = _KIND_OF.search(text)
    if asked is not None:
        rest, _ = _sweep(text[: asked.start()] + " " + re.sub(r"^\S+", "", text[asked.end() :]), _EXTRA, EXTRAS)
        if rest:
            return rest, True
    return kinds, bool(kinds)


def axes(text: str) -> tuple[tuple[Target, ...], bool]:
    """Directions of the axis named, and whether the axis is spoken of."""
    if not _ABOUT_AXIS.search(text) and not re.search(r"\b[lr]ad\b", text):
        return (), False
    pair = re.sub(r"\b(left|right)(,? or |/|,? and )(left|right)([- ]axis)", r"\1\4\2\3\4", text)
    pair = re.sub(r"\b(left|right|extreme|normal)(?=,? (?:or|versus|vs) .*\b(?:axis|deviation)\b)(?![- ](?:axis|cardiac|heart))",
                  r"\1 axis", pair)
    found, _ = _sweep(pair, _AXIS, AXES)
    return found, True


def features(text: str) -> tuple[tuple[Target, ...], str]:
    """Numeric features named, with the text that remains (marks in their place)."""
    return _sweep(text, _FEATURE, FEATURES)


def ranges(text: str) -> tuple[str, ...]:
    """Numeric ranges named, in order."""
    found, _ = _sweep(text, _RANGE, RANGES)
    return tuple(t.name for t in found)


@cache
def _own_names() -> tuple[tuple[re.Pattern[str], str], ...]:
    """ECG-QA's names as patterns, longest first; hyphens, plurals and what stands in brackets may differ."""
    rows = []
    for code, name in NAME_OF.items():
        forms = {name, name.replace(" (block)", ""), name.split(" (unknown")[0]}
        for form in forms:
            pattern = re.escape(form).replace(r"\-", "[- ]?").replace("/", r"(?:/| or | and )").replace(r"\ ", "[- ]")
            rows.append((len(form), pattern + r"(?:s|es)?", code))
    rows.sort(key=lambda row: -row[0])
    return tuple((re.compile(rf"(?<!\w){pattern}(?!\w)"), code) for _, pattern, code in rows)


def _wall(match: re.Match[str]) -> int | None:
    first, second = match.group(1) or "", match.group(2).replace(" ", "").replace("-", "")
    return _WALLS.get(f"{first}{second}" if first else second)


def statements(text: str) -> tuple[tuple[Target, ...], str]:
    """Statements and superclasses named, in order of their place, and the text with marks where their names stood."""
    found: list[tuple[int, Target]] = []

    def blank(match: re.Match[str]) -> str:
        return "#" * len(match.group())

    for pattern, code in _own_names():
        for match in pattern.finditer(text):
            found.append((match.start(), Target(NAME_OF[code], (code,))))
        text = pattern.sub(blank, text)
    for table in (_AFTER, _BEFORE):
        for kind, pattern in table.items():
            for match in list(pattern.finditer(text)):
                wall = _wall(match)
                code = _BY_WALL[kind][wall] if wall is not None else ""
                if code:
                    found.append((match.start(), Target(NAME_OF[code], (code,))))
                    text = text[: match.start()] + blank(match) + text[match.end() :]
    for name, code in SUPERCLASS_NAMES.items():
        pattern = re.compile(rf"(?<!\w){re.escape(name).replace('/', '(?:/|-| or | and )?')}s?(?! in\b)(?!\w)")
        for match in pattern.finditer(text):
            found.append((match.start(), Target(name, codes_in(code))))
        text = pattern.sub(blank, text)
    found += _by_lexicon(text)
    ordered = [target for _, target in sorted(found, key=lambda item: item[0])]
    return tuple({target.name: target for target in ordered}.values()), text


def _by_lexicon(text: str) -> list[tuple[int, Target]]:
    """What the assistant's lexicon finds in the rest: single statements and groups that are no family."""
    out: list[tuple[int, Target]] = []
    found, at = words(text.replace("#", " ")), 0
    place = 0
    while at < len(found):
        match = longest_match(found, at, ("statement", "group"))
        if match is None:
            at += 1
            continue
        start = text.find(found[match.start], place)
        place = start if start >= 0 else place
        phrase, at = match.phrase, match.end
        if phrase.kind == "statement" and len(phrase.codes) == 1:
            out.append((place, Target(NAME_OF[phrase.codes[0]], phrase.codes)))
        elif phrase.kind == "group" and phrase.value not in ("rhythm", "form", "diagnostic", "abnormality"):
            same = {"ST-T changes": "st/t change"}.get(phrase.value, phrase.value)
            codes = codes_in(SUPERCLASS_NAMES[same]) if same in SUPERCLASS_NAMES else phrase.codes
            out.append((place, Target(same, codes)))
    return out
