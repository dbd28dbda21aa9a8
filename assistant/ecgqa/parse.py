"""From a question's wording to what it asks (``Asked``): rules over what it names, and the nearest own example for the rest.

What a question names decides most: a kind of noise, a stage, an interval, a statement. Its first words say whether it is to be
verified, chosen or listed; the options, where the asker gives them, settle that. Two recordings add a relation. Only what cues
leave open (which relation, which family, which attribute) goes to the nearest of our own example sentences, by sentence
embeddings; without that model the most common reading stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.ecgqa import mentions
from assistant.ecgqa.asked import Asked, Target
from assistant.ecgqa.values import (
    AXES,
    CODE_OF,
    EXTRAS,
    FAMILIES,
    FEATURES,
    LEADS,
    NOISES,
    RANGES,
    STAGE_NONE,
    STAGE_UNKNOWN,
    STAGES,
    SUPERCLASS_NAMES,
)
from encoders.errors import ArtefactError

if TYPE_CHECKING:
    from retrieval.text import TextEncoder

__all__ = ["parse"]

_POLAR = re.compile(
    r"^(?:so |and |please |well |based on (?:the|this|these) \w+,? |(?:in|on|for) (?:the|this|these)[^,]*, |(?:compared"
    r"|relative) [^,]*, "
    r"|(?:as|when|if) [^,]*, |[^,]{0,60}, )*(?:is|are|was|were|does|do|did|has|have|had|can|could|will|would|should|might|may|any"
    r"|am i)\b"
)
_WH = re.compile(r"\b(?:what|which|where|list|name|enumerate|identify|specify|describe|state|give|tell|detail|how many"
    r"|in what)\b")
_WHETHER = re.compile(r"\b(?:whether|if) (?:the|this|there|any|it|that|a|an|\w+ (?:is|are|has|have))\b|\byes or no\b"
    r"|\btrue or false\b")
_OR = re.compile(r"\b(?:or|versus|vs\.?|rather than|as opposed to|instead of)\b|\bbetween\b.*\band\b|\beither\b")
_FAMILY = (
    ("diagnostic", r"\bdiagnos\w+"),
    ("form", r"\bform\b|\bform-|\bmorpholog\w+|\bwaveform\b|\bshape\b|\bconfiguration\b|\bstructur\w+"),
    ("rhythm", r"\brhythm\w*|\brhythmic\w*|\barr?h?ythmia"),
)
_UNSURE = (
    r"(?:uncertain\w*|unsure|not sure|doubtful|doubted|doubts?|ambiguous|ambiguit\w+|unclear|suspected|equivocal"
    r"|indefinite|possible(?= (?:symptom|diagnos|finding|ones))|questionable|inconclusive|tentative|unconfirmed|not certain)"
)
_EXCLUDE = re.compile(
    rf"\b(?:exclud\w+|without|except\w*|omit\w*|ignor\w+|not (?:includ|consider|count|tak)\w*|leav\w+ out|disregard\w*"
    rf"|aside|apart|"
    rf"other than|barring|minus|besides|rul\w+ out|filter\w* out|discount\w*|no|non|never mind|that (?:are|is) not|not counting|"
    rf"eliminat\w+|remov\w+|setting aside|with the exception of|devoid|free of)\b[^,.?]*\b{_UNSURE}"
    rf"|\b{_UNSURE}\b[^,.?]*\b(?:exclud\w+|left out|aside|omitted|ignored|not (?:included|considered|counted)"
    rf"|disregarded|removed)\b"
    r"|\b(?:only|just|strictly|solely) (?:\w+ )?(?:certain|definite|sure|confirmed|clear)\b|\b(?:certain|definite"
    r"|confirmed|definitive|clear-cut) "
    r"(?:diagnos|symptom|finding)\w*|\bwith certainty\b|\bcertain ones\b|\bdefinitely\b"
)
_INCLUDE = re.compile(rf"\b{_UNSURE}")
_GONE = re.compile(
    r"\bresol\w+|\bdisappear\w*|\bgone\b|\bno longer\b|\bvanish\w*|\bwent away\b|\bcleared?\b|\bsubsid\w+|\bceased?\b|\blost\b"
    r"|\b(?:first|previous|earlier|prior|initial)\b[^?]{0,40}\bbut (?:not|absent|missing|no longer)\b|\brecovered\b"
    r"|\bimproved\b|\bstopped\b"
    r"|\bnot (?:present|seen|visible|found|detected|shown|there) (?:any ?more|now|anymore)\b|\bany ?more\b|\bremedied\b|\bended\b"
    r"|\bdissipat\w+|\beliminat\w+|\bused to\b|\bcured\b|\bsettled\b|\bremitted\b|\babated?\b|\bfaded\b|\brectified\b"
    r"|\balleviat\w+"
)
_NEW = re.compile(
    r"\bnew\b|\bnewly\b|\bemerg\w+|\bdevelop\w*|\bappear(?:s|ed|ing)?\b|\bappearance\b|\barise\w*|\barose\b|\bonset\b"
    r"|\bfirst time\b|\bnovel\b"
    r"|\b(?:second|recent|latest|later|current|subsequent|follow[- ]?up)\b[^?]{0,40}\bbut (?:not|absent|missing"
    r"|were not|was not)\b|\bde novo\b"
    r"|\brecently (?:detected|found|identified|discovered|observed)\b|\b(?:now|additionally) (?:show|detect|present"
    r"|exhibit|display|identif|observ|found|"
    r"seen|reveal|manifest)\w*|\bnot (?:\w+ )?(?:in|on|seen in|present in|found in|detected in) (?:the )?(?:first"
    r"|previous|prior|earlier|initial)"
    r"|\bwas(?:n't| not) (?:\w+ )?(?:in|on|seen|present|found|detected|there|previously)\b|\badditional\b|\badded\b"
    r"|\bnot previously\b|\bpreviously (?:absent|"
    r"undetected|unseen|not)\b|\bbecome (?:apparent|evident|visible|detectable|present)\b|\bfresh(?:ly)?\b|\bbegun\b"
    r"|\bstarted\b|\bacquired\b"
)
_STILL = re.compile(
    r"\bstill\b|\bremain\w*|\bpersist\w*|\bcontinu\w+|\bongoing\b|\bunchanged\b|\bretain\w*|\bkeeps?\b|\bstay\w*"
    r"|\blinger\w*|\byet\b"
    r"|\bunresolved\b|\bendur\w+|\bsustain\w*|\bboth (?:ecgs?|traces?|of)\b|\bin both\b|\bcarried over\b|\bmaintain\w*"
    r"|\bconsistently\b"
    r"|\bas before\b|\bneither\b|\bthe same\b"
)
_ABSENT = re.compile(
    r"\bnot (?:be |been |being |yet |still |to be )?(?:\w+ )?(?:found|detected|present|seen|observed|identified|visible"
    r"|shown?|evident|there|exhibited|"
    r"displayed|apparent|noted|appear\w*|manifest\w*|detectable|discovered|noticeable|discernible|recognized|indicated"
    r"|in evidence|exist\w*)"
    r"|\babsen(?:t|ce)\b|\bundetect\w+|\bmissing\b|\bfree (?:of|from)\b|\black(?:s|ing)?\b|\bwithout\b|\bneither\b"
    r"|\bunobserved\b|\bunseen\b|\bno (?:sign|evidence|trace|"
    r"indication|presence)s?\b|\bnowhere\b|\bnot\b|\bfail(?:s|ed|ing)? to (?:show|appear|detect|display)|\bn't\b"
    r"|\bnon-?existent\b|\bclear of\b|\bunidentified\b"
)
_ODD = re.compile(
    r"\babnormal\w*|\birregular\w*|\batypical\w*|\bunusual\w*|\boutside\b|\bdeviat\w*|\bout of (?:the )?(?:normal "
    r"|usual |standard )?(?:range|limits|bounds)|\baberrant\w*"
    r"|\bnot (?:\w+ )?(?:normal|typical|standard|regular)\b|\bunhealthy\b|\bpatholog\w+|\banomal\w+|\bnon-?normal\b"
    r"|\bstrange\b|\boff\b|\bexceptional\b"
    r"|\bno longer (?:\w+ ){0,2}(?:normal|within|typical|standard)|\bnon-?standard\b|\bnot (?:within|in|inside) (?:the "
    r"|a )?(?:normal|usual|standard|typical)"
    r"|\buntypical\b|\bdisordered\b|\bimproper\b|\bfaulty\b|\bstopped being normal\b|\bceased to be normal\b|\bloss of normal"
)
_FINE = re.compile(
    r"\b(?<!ab)(?<!non-)normal\w*|\bstandard\b|\btypical\b|\bstable\b|\bregular\b|\bhealthy\b"
    r"|\bwithin (?:the )?(?:range|limits|bounds)|\busual\b|\bphysiolog\w+"
    r"|\bacceptable\b|\bexpected\b|\bin range\b"
)
_GENERIC_NUMBER = re.compile(
    r"\bnumer\w+|\bmeasurements?\b|\bmeasures?\b|\bintervals?\b|\bparameters?\b|\bquantit\w+|\bmetrics?\b|\bvalues?\b"
    r"|\bdurations?\b"
)
_NEAR = 0.35


@cache
def _examples() -> tuple[tuple[str, Asked], ...]:
    """Own example sentences with what they ask; data, so that more can be added without touching the rules."""
    rows = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))
    out = []
    for row in rows:
        form = Asked(
            row["kind"], row["attribute"], tuple(Target(t) for t in row.get("targets", ())), row.get("family", "all"),
            row.get("doubt", ""), None, row.get("relation", ""), tuple(row.get("ranges", ())), row.get("wants", "values"),
        )  # fmt: skip
        out += [(sentence, form) for sentence in row["sentences"]]
    return tuple(out)


def parse(
    text: str, recordings: int = 1, options: Sequence[str] | None = None, encoder: TextEncoder | None = None
) -> Asked:
    """What a question asks of one recording, or of two (the earlier one first). Never raises on any text.

    ``options``: the answers allowed, where the asker fixes them. ``encoder``: the sentence model for what the rules leave open.
    """
    words = mentions.plain(text)
    lead, rest = mentions.lead_of(words)
    allowed = tuple(dict.fromkeys(o.strip().lower() for o in options or ()))
    own, bare = mentions.statements(rest)
    attribute, targets, sure = _attribute(rest, own, allowed)
    guess: Asked | None = None
    if not sure:
        guess = _nearest(words, recordings, encoder)
        if guess is not None:
            attribute, sure = guess.attribute, True
            if attribute == "numeric_feature":
                targets = mentions.features(rest)[0]
    kind = _kind(words, targets, allowed, attribute)
    left = bare if attribute == "scp_code" else rest
    asked = _typed(kind, attribute, targets, left, lead, allowed, recordings, guess)
    if recordings > 1 and not asked.relation:
        guess = guess or _nearest(words, recordings, encoder)
        asked = replace(asked, relation=guess.relation if guess is not None and guess.relation else "still", confidence=0.5)
    return asked if sure else replace(asked, confidence=min(asked.confidence, 0.3))


def _attribute(rest: str, own: tuple[Target, ...], allowed: Sequence[str]) -> tuple[str, tuple[Target, ...], bool]:
    """Attribute, what is named, and whether anything spoke for it; ``own``: the statements named."""
    hinted = _of_options(allowed)
    found, about = mentions.stages(rest)
    if about or hinted == "stage_of_infarction":
        return "stage_of_infarction", found, True
    named, left = mentions.features(rest)
    judged = bool(mentions.ranges(left) or _ODD.search(left) or _FINE.search(left) or _GENERIC_NUMBER.search(left))
    own_features = [t for t in own if t.codes in (("LPR",), ("LNGQT",))]
    if named and judged and len(own_features) < len(named) and hinted in ("", "numeric_feature"):
        return "numeric_feature", named, True
    if hinted == "numeric_feature":
        return "numeric_feature", named, True
    if hinted not in ("scp_code",):
        found, about = mentions.extras(rest)
        if about and not any(t.codes in (("PVC",), ("PAC",)) and "complex" in rest for t in own) or hinted == "extra_systole":
            return "extra_systole", found, True
        found, about = mentions.noises(rest)
        if about and not own or hinted == "noise":
            return "noise", found, True
        found, about = mentions.axes(rest)
        if (about and not own) or hinted == "heart_axis":
            return "heart_axis", found, True
    if own:
        return "scp_code", own, True
    if named:
        return "numeric_feature", named, True
    numeric = re.search(r"\bnumer\w+|\bmeasur\w+|\bquantit\w+|\bmetrics?\b|\bintervals?\b|\bparameters?\b|\bdurations?\b", rest)
    if numeric and not re.search(r"\bsymptoms?\b", rest):
        return "numeric_feature", (), True
    told = re.search(
        r"\bsymptoms?\b|\bsigns?\b|\bfindings?\b|\bdiagnos\w+|\brhythm\w*|\bform\b|\bform-|\bmorpholog\w+|\babnormal\w*"
        r"|\bnormal\b|\bcondition", rest
    )
    return "scp_code", (), bool(told) or hinted == "scp_code"


def _of_options(allowed: Sequence[str]) -> str:
    """The attribute that the options belong to, or "" where they do not tell."""
    telling = [o for o in allowed if o not in ("yes", "no", "not sure", "none", "both")]
    for attribute, values in (
        ("noise", NOISES), ("heart_axis", AXES), ("stage_of_infarction", (*STAGES, STAGE_NONE, STAGE_UNKNOWN)),
        ("extra_systole", EXTRAS), ("numeric_feature", (*FEATURES, *RANGES)), ("scp_code", (*CODE_OF, *SUPERCLASS_NAMES)),
    ):  # fmt: skip
        if telling and all(o in values for o in telling):
            return attribute
    return ""


def _kind(words: str, targets: Sequence[Target], allowed: Sequence[str], attribute: str) -> str:
    if allowed and set(allowed) <= {"yes", "no", "not sure"}:
        return "verify"
    ranges = mentions.ranges(words) if attribute == "numeric_feature" else ()
    several = len(targets) >= 2 or len(ranges) >= 2
    pair = several and (_OR.search(words) is not None or len(targets) == 2 and re.search(r"\bwhich\b", words) is not None)
    if pair and len(allowed) <= 4:
        return "choose"
    if allowed:
        return "choose" if pair else "query"
    if words.startswith("how "):
        return "query"
    if _WHETHER.search(words) or _POLAR.match(words) and not (_WH.search(words) and re.match(r"^(?:can|could|would"
        r"|will)\b", words)):
        return "choose" if pair and not re.search(r"\bany\b", words) else "verify"
    if _WH.search(words):
        return "query"
    return "verify" if targets else "query"


def _typed(
    kind: str, attribute: str, targets: tuple[Target, ...], rest: str, lead: int | None, allowed: Sequence[str], recordings: int,
    guess: Asked | None,
) -> Asked:  # fmt: skip
    """The rest of the form, by attribute."""
    if attribute == "numeric_feature":
        return _numeric(kind, targets, rest, allowed, recordings, guess)
    wants = "values"
    if lead is None and kind != "verify" and (
        any(o in LEADS for o in allowed) or re.search(r"\b(?:what|which|list|name|identify)\b[^?]{0,25}\b(?:leads?"
            r"|channels?)\b|\bin (?:what|which) leads?\b"
                                                      r"|\bwhere\b|\bleads\b", rest)
    ):
        wants = "leads"
        kind = "query"
    relation = _relation(rest) if recordings > 1 else ""
    family, doubt = "all", ""
    if attribute == "scp_code":
        family = _family(rest, targets, allowed, kind)
        doubt = "exclude" if _EXCLUDE.search(rest) else "include" if _INCLUDE.search(rest) else ""
        targets = _general(targets, rest, kind, family, wants)
    elif attribute == "noise" and not targets and kind == "verify" or attribute == "extra_systole" and kind == "verify" and (
        not targets or targets == (Target(EXTRAS[0]),) and re.search(r"\b(?:any|some|all) (?:\w+ )?(?:kinds?|types?"
            r"|sorts?|form|variet\w+)\b|\bany\b", rest)
    ):
        targets = (Target("any"),)
    listed = attribute in ("extra_systole", "noise", "stage_of_infarction") and wants == "values"
    if kind != "verify" and len(targets) < 2 and listed:
        kind, targets = "query", ()
    if kind == "query" and wants == "values":
        targets = ()
    if kind == "choose" and attribute != "scp_code":
        targets = targets[:2]
    if kind != "query" and not targets and recordings == 1 and attribute != "scp_code":
        kind = "query"
    return Asked(kind, attribute, targets, family, doubt, lead, relation, (), wants, 0.9)


def _family(rest: str, targets: Sequence[Target], allowed: Sequence[str], kind: str) -> str:
    codes = {CODE_OF[o] for o in allowed if o in CODE_OF}
    if kind == "query" and len(codes) > 2:
        fits = [name for name in ("rhythm", "form", "diagnostic", "all") if codes <= set(FAMILIES[name])]
        if fits:
            return fits[0]
    for name, pattern in _FAMILY:
        if re.search(pattern, rest):
            return name
    return "all"


def _general(targets: tuple[Target, ...], rest: str, kind: str, family: str, wants: str) -> tuple[Target, ...]:
    """For questions that name no statement: the whole family, normality, or any abnormality."""
    if targets or kind != "verify" or wants == "leads":
        return tuple(t if t.codes != ("NORM",) else Target("normal", t.codes) for t in targets)
    if family != "all":
        return (Target("any", FAMILIES[family]),)
    if re.search(r"\b(?:free (?:of|from)|without|devoid of|no|clear of) (?:\w+ ){0,2}(?:abnormal|patholog|anomal)", rest):
        return (Target("normal", ("NORM",)),)
    if _ODD.search(rest) or re.search(r"\bany\b|\bsymptoms?\b|\bwrong\b", rest) and not re.search(r"\bnormal\b", rest):
        return (Target("abnormal"),)
    return (Target("normal", ("NORM",)),)


def _relation(rest: str) -> str:
    lacking = _ABSENT.search(re.sub(r"\bnot (?:yet )?resolv\w+|\bnot (?:dis)?appeared\b", "", rest)) is not None
    if re.search(r"\bneither\b|\bnot\b.*\b(?:either|both)\b|\bin none of\b", rest) or _STILL.search(rest) and lacking:
        if re.search(r"\bnot (?:yet )?(?:been )?resolv\w+|\bhas(?:n't| not) (?:yet )?(?:gone|disappeared|resolved)", rest):
            return "still"
        if re.search(r"\bno longer\b|\bnot (?:remain|persist|continue)|\bfail\w* to (?:persist|remain)", rest):
            return "resolved"
        return "absent"
    if re.search(r"\bunresolved\b|\bnot (?:yet )?(?:been )?resolved\b", rest):
        return "still"
    gone, new, still = _GONE.search(rest), _NEW.search(rest), _STILL.search(rest)
    if gone:
        return "resolved"
    if still and not (new and new.start() < still.start()):
        return "still"
    if new:
        return "new"
    return "still" if still else ""


def _numeric(
    kind: str, targets: tuple[Target, ...], rest: str, allowed: Sequence[str], recordings: int, guess: Asked | None
) -> Asked:
    _, left = mentions.features(rest)
    if recordings > 1:
        relation = _numeric_relation(left) or (guess.relation if guess is not None else "")
        if kind == "choose":
            kind = "verify"
        if kind == "verify" and not targets:
            kind = "query"
        wants = "features" if kind == "query" else "values"
        return Asked(kind, "numeric_feature", targets if kind == "verify" else (), "all", "", None, relation, (), wants, 0.9)
    ranges = mentions.ranges(left)
    wants = "values"
    if len(ranges) > 1 and kind == "verify":
        ranges = tuple(r for r in ranges if r != RANGES[1]) or ranges
        ranges = ranges[:1]
    if not targets:
        kind, wants, ranges = "query", "features", ranges[:1] or ((RANGES[1],) if not _ODD.search(left) else ("abnormal",))
    elif kind == "choose":
        ranges = ranges[:2] if len(ranges) > 1 else tuple(o for o in RANGES if o in allowed)[:2]
        wants = "range"
    elif kind == "query":
        ranges, wants = (), "range"
    elif not ranges:
        ranges = ("abnormal",) if _ODD.search(left) else (RANGES[1],)
    elif _ODD.search(left) and ranges == (RANGES[1],):
        ranges = ("abnormal",)
    return Asked(kind, "numeric_feature", targets[:1], "all", "", None, "", ranges, wants, 0.9)


def _numeric_relation(left: str) -> str:
    """Became normal "resolved", became abnormal "new", still abnormal "still", still normal "absent"."""
    if re.search(r"\bfrom (?:\w+ ){0,2}(?:abnormal|atypical|irregular"
        r"|unusual)\w* (?:\w+ ){0,3}to (?:\w+ ){0,3}(?:normal|typical|regular|standard)", left):
        return "resolved"
    if re.search(r"\bfrom (?:\w+ ){0,2}normal\w* (?:\w+ ){0,3}to (?:\w+ ){0,3}(?:ab|ir|un|a)", left):
        return "new"
    earlier, later = r"(?:previous\w*|first|earlier|prior|initial\w*|before)", r"(?:now|second|recent|latest|later|current\w*)"
    odd, fine = r"(?:abnormal|atypical|irregular|unusual)\w*", r"(?<!ab)(?:normal|typical|regular)\w*"
    for before, after, changed in ((odd, fine, "resolved"), (fine, odd, "new")):
        if re.search(rf"\b{before} [^.?]{{0,30}}\b{earlier}\b[^.?]{{0,20}}\b{later} [^.?]{{0,20}}\b{after}", left):
            return changed
    if re.search(r"\bno longer (?:\w+ ){0,3}(?:abnormal|atypical|irregular|unusual|outside|out of)", left):
        return "resolved"
    if re.search(r"\bno longer\b|\bceased?\b|\bstopped\b", left) and _FINE.search(left):
        return "new"
    abnormal = _ODD.search(left) is not None
    if _STILL.search(left):
        return "still" if abnormal else "absent"
    # "established as normal by the first" is only what is compared with.
    if abnormal:
        return "new"
    return "resolved" if _FINE.search(left) or _GONE.search(left) else ""


def _nearest(words: str, recordings: int, encoder: TextEncoder | None) -> Asked | None:
    """The nearest example with as many recordings, or None where nothing is near or no sentence model is there."""
    rows = [(sentence, form) for sentence, form in _examples() if bool(form.relation) == (recordings > 1)]
    if encoder is None or not rows:
        return None
    try:
        likeness = encoder.cached(tuple(sentence for sentence, _ in rows)) @ encoder.embed([words])[0]
    except (ArtefactError, ImportError, OSError):  # the rules' reading stands without the model
        return None
    best = int(likeness.argmax())
    return rows[best][1] if float(likeness[best]) >= _NEAR else None
