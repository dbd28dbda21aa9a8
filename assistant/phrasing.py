"""Small pieces of wording: names, lists, hedges, measurement clauses. Used by compose, answers and corpus alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence, Finding
from assistant.frames import FIXED, JUDGED_FRAMES, NO_VALUE_FRAMES, VALUE_FRAMES, Sentence
from assistant.judged import judged_words
from assistant.synonyms import MORE_SYNONYMS, WRITTEN
from encoders.vocabulary import STATEMENTS, codes_in, statement

__all__ = [
    "CARRIERS",
    "CERTAIN",
    "RHYTHMS",
    "SECTION_MEASUREMENTS",
    "TOPICS",
    "View",
    "article",
    "both_values",
    "fixed",
    "fixed_sentence",
    "framed",
    "item",
    "joined",
    "measured_sentence",
    "measurement_name",
    "name_of",
    "placeholder",
    "sentence",
    "titled",
]

#: A present finding with a lower calibrated probability is written with "probable".
CERTAIN = 0.8

_ECTOPY = ("PVC", "PAC", "PRC(S)")
_CHAMBERS = (*codes_in("HYP"), "VCLVH", "HVOLT", "LVOLT")
_INFARCTION = (*codes_in("MI"), "QWAVE")
_CONDUCTION = (*codes_in("CD"), "LPR")
_ST_T = (*codes_in("STTC"), "STD_", "STE_", "TAB_", "NT_", "LOWT", "INVT")
#: Every statement but NORM stands in exactly one topic.
TOPICS: dict[str, frozenset[str]] = {
    "rhythm": frozenset((*codes_in("rhythm"), *_ECTOPY)),
    "conduction": frozenset(_CONDUCTION),
    "chambers": frozenset(_CHAMBERS),
    "infarction": frozenset(_INFARCTION),
    "st-t": frozenset(_ST_T),
    "form": frozenset(
        s.code
        for s in STATEMENTS
        if s.code not in (*codes_in("rhythm"), *_ECTOPY, *_CHAMBERS, *_INFARCTION, *_CONDUCTION, *_ST_T, "NORM")
    ),
}
#: Rhythms proper, without single early beats.
RHYTHMS = frozenset(codes_in("rhythm"))
#: Measurements that are printed, each with the statements that already say what an abnormal value would.
SECTION_MEASUREMENTS: dict[str, tuple[str, ...]] = {
    "rate_bpm": ("STACH", "SBRAD", "SVTAC", "PSVT"),
    "pr_ms": ("1AVB", "LPR", "WPW", "2AVB", "3AVB"),
    "qrs_ms": ("CLBBB", "CRBBB", "IVCD", "WPW", "PACE", "ILBBB", "IRBBB", "3AVB"),
    "qtc_ms": ("LNGQT",),
    "axis_deg": ("LAFB", "LPFB"),
}
#: The measurement that speaks for or against a statement.
CARRIERS: dict[str, str] = {
    **{code: name for name, codes in SECTION_MEASUREMENTS.items() for code in codes if code not in ("2AVB", "3AVB", "PACE")},
    "LVH": "sokolow_lyon_mv",
    "VCLVH": "sokolow_lyon_mv",
    "AFIB": "rate_bpm",
    "AFLT": "rate_bpm",
    "SR": "rate_bpm",
}

_PLURAL = ("changes", "waves", "complexes", "beats", "abnormalities", "criteria", "extrasystoles")
_COUNT = (
    "interval",
    "pattern",
    "complex",
    "QRS",
    "tracing",
    "ECG",
    "electrocardiogram",
    "rhythm",
    "pathway",
    "arrhythmia",
    "voltage",
)


@dataclass(frozen=True)
class View:
    """Evidence with what the writer asks of it most often worked out once."""

    evidence: Evidence
    by_code: dict[str, Finding]
    present: tuple[str, ...]
    undetermined: tuple[str, ...]
    words: dict[str, str]

    @classmethod
    def of(cls, evidence: Evidence) -> View:
        by_code = {f.code: f for f in evidence.findings}
        return cls(
            evidence,
            by_code,
            tuple(f.code for f in evidence.findings if f.state == PRESENT),
            tuple(f.code for f in evidence.findings if f.state == UNDETERMINED),
            judged_words(evidence),
        )

    def state(self, code: str) -> str:
        """State of a code; a code the evidence does not list is not assessed."""
        found = self.by_code.get(code)
        return NOT_ASSESSED if found is None else found.state

    def doubtful(self, code: str) -> bool:
        """True where a finding is to be written with "probable"."""
        return code in self.by_code and self.by_code[code].probability < CERTAIN

    def state_of_any(self, codes: Sequence[str]) -> str:
        """State of a group: present where any member is, else undetermined, else absent, else not assessed."""
        states = {self.state(c) for c in codes}
        return next((s for s in (PRESENT, UNDETERMINED, ABSENT) if s in states), NOT_ASSESSED)

    @property
    def rhythm_stated(self) -> bool:
        """Whether any rhythm is stated; where none is, "normal ECG" would say more than is known."""
        return any(code in RHYTHMS for code in self.present)

    def normal_sentence(self, present: Sequence[str], rng: Random | None, *, alone: bool = True) -> Sentence | None:
        """What is said of normality in an impression, if anything; not ``alone`` where a measurement is said to be abnormal."""
        abnormal = [c for c in present if c not in ("NORM", "SR")]
        open_ = bool(self.evidence.pressing())
        if "NORM" in present:
            beside = abnormal or open_ or not self.rhythm_stated or not alone
            key = "otherwise normal" if beside else "probably normal" if self.doubtful("NORM") else "normal"
            return fixed_sentence(key, rng, ("F:NORM",))
        if abnormal:
            return None
        if self.state("NORM") == UNDETERMINED:
            return fixed_sentence("normal undetermined", rng, ("F:NORM",))
        if self.state("NORM") == ABSENT:  # "no abnormal finding was stated" would read as if it were
            return fixed_sentence("not normal", rng, ("F:NORM",))
        # Beside "infarction cannot be excluded" or a wide QRS it would read as if nothing were the matter.
        return None if open_ or not alone else fixed_sentence("nothing stated", rng)


def name_of(code: str, rng: Random | None) -> str:
    """A written name of a code: canonical without a generator, else one of its forms."""
    if rng is None or rng.random() < 0.6:
        return statement(code).name
    return rng.choice(WRITTEN[code])


def _is_plural(phrase: str) -> bool:
    return phrase.split()[-1] in _PLURAL or " changes " in phrase or phrase.startswith(("voltage criteria", "T waves"))


def article(frame: str) -> bool:
    """Whether items in this frame take an article ("There is a prolonged QT interval")."""
    return frame.startswith(("There", "The ECG shows", "The recording", "The tracing", "This ECG")) and " no " not in frame


def item(view: View, code: str, rng: Random | None, articles: bool = False, hedge: bool = True) -> str:
    """A finding inside a list, with "probable" in front where it is doubtful."""
    name = name_of(code, rng)
    lead = "probable " if hedge and view.doubtful(code) else ""
    if articles and name.split()[-1] in _COUNT and not _is_plural(name):
        whole = lead + name
        lead = ("an " if whole[0] in "aeiouAEIO" else "a ") + lead
    return lead + name


def joined(items: Sequence[str], rng: Random | None, last: str = "and") -> str:
    """ "a, b and c"; with a generator also other ways to join."""
    if len(items) == 1:
        return items[0]
    if rng is not None and last == "and":
        draw = rng.random()
        if draw < 0.12:
            return ", ".join(items)
        if draw < 0.24:
            return f"{', '.join(items[:-1])}, and {items[-1]}"
        if draw < 0.32:
            return f"{', '.join(items[:-1])} as well as {items[-1]}"
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def sentence(text: str, claims: tuple[str, ...] = ()) -> Sentence:
    """A sentence with its first letter in upper case."""
    return Sentence(text[0].upper() + text[1:], claims)


def framed(frame: str, items: Sequence[str], claims: tuple[str, ...], rng: Random | None, last: str = "and") -> Sentence:
    """A frame with its list and agreeing verbs filled in."""
    plural = len(items) > 1 or _is_plural(items[0])
    denies = ("No {x}", "There {be} no", "Not excluded", "Whether {x} {be}", "It cannot")
    if frame.startswith(denies) and len(items) > 1:
        last = "or"
        plural = _is_plural(items[-1])
    if frame.startswith("There") and len(items) > 1:
        plural = _is_plural(items[0])  # agrees with the nearest
    text = frame.replace("{x}", joined(items, rng if last == "and" else None, last))
    return sentence(text.replace("{be}", "are" if plural else "is").replace("{was}", "were" if plural else "was"), claims)


def fixed(key: str, rng: Random | None) -> str:
    """One of the fixed sentences; the first without a generator."""
    texts = FIXED[key]
    return texts[0] if rng is None else rng.choice(texts)


def fixed_sentence(key: str, rng: Random | None, claims: tuple[str, ...] = ()) -> Sentence:
    """``fixed`` as a sentence."""
    return Sentence(fixed(key, rng), claims)


_MEASURE_NAMES: dict[str, tuple[str, ...]] = {
    "rate_bpm": ("ventricular rate", "heart rate", "rate"),
    "rr_ms": ("mean RR interval", "RR interval"),
    "pr_ms": ("PR interval", "PR"),
    "qrs_ms": ("QRS duration", "QRS", "QRS width"),
    "qt_ms": ("QT interval", "QT"),
    "qtc_ms": ("QTc interval", "QTc", "corrected QT interval"),
    "qtc_bazett_ms": ("QTc after Bazett",),
    "axis_deg": ("QRS axis", "axis", "electrical axis", "frontal axis"),
    "sokolow_lyon_mv": ("Sokolow-Lyon index", "Sokolow-Lyon voltage"),
    "cornell_mv": ("Cornell voltage", "Cornell index"),
    "rr_sd_ms": ("standard deviation of the RR interval", "RR standard deviation"),
    "rr_irregularity": ("RR irregularity",),
    "p_wave_share": ("share of beats with a P wave",),
    **{f"st_j_mv_{lead}": (f"ST level in {lead}", f"ST level in lead {lead}")
       for lead in ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")},
    **{name: texts[:1] for name, texts in MORE_SYNONYMS.items()},
}  # fmt: skip
_JUDGED_WRITTEN: dict[str, tuple[str, ...]] = {
    "normal": ("normal", "within normal limits", "within limits"),
    "prolonged": ("prolonged", "long"),
    "short": ("short", "shortened"),
    "slightly prolonged": ("slightly prolonged",),
    "markedly prolonged": ("markedly prolonged",),
    "wide": ("wide", "broad", "prolonged"),
    "slow": ("slow", "low"),
    "fast": ("fast", "high"),
    "left": ("deviated to the left", "leftward"),
    "right": ("deviated to the right", "rightward"),
    "extreme": ("extreme",),
}


def measurement_name(name: str, rng: Random | None = None) -> str:
    """A written name of a measurement, e.g. "QTc interval"."""
    names = _MEASURE_NAMES[name]
    return names[0] if rng is None or rng.random() < 0.4 else rng.choice(names)


def titled(name: str) -> str:
    """The name of a measurement at the head of a sentence; "pNN50" stays as it is."""
    shown = measurement_name(name, None)
    return shown if shown[1:2].isupper() else shown[:1].upper() + shown[1:]


def both_values(name: str, first: Evidence, second: Evidence) -> str:
    """What a measurement is in two recordings: the end of a sentence that names it."""
    return f"{first.measurements[name].text()} in the first recording, {second.measurements[name].text()} in the second."


def placeholder(name: str) -> str:
    """The placeholder of a measurement, e.g. "[qrs_ms]"."""
    return f"[{name.lower()}]"


def judged_word(word: str, rng: Random | None) -> str:
    """A written form of a judging word."""
    forms = _JUDGED_WRITTEN.get(word, (word,))
    return forms[0] if rng is None else rng.choice(forms)


def measured_sentence(view: View, name: str, rng: Random | None, judged: bool = True) -> Sentence:
    """One measurement with its value and, where a limit applies, its judgement: "QRS duration [qrs_ms], wide."."""
    shown = measurement_name(name, rng)
    claims = (f"M:{name}",)
    if view.evidence.measurements.value(name) is None:
        frame = NO_VALUE_FRAMES[0] if rng is None else rng.choice(NO_VALUE_FRAMES)
        return sentence(frame.replace("{m}", shown), claims)
    word = view.words.get(name) if judged else None
    if word is None:
        frame = VALUE_FRAMES[0] if rng is None else rng.choice(VALUE_FRAMES)
        return sentence(frame.replace("{m}", shown).replace("{v}", placeholder(name)), claims)
    if name == "axis_deg" and word in ("left", "right", "extreme") and (rng is None or rng.random() < 0.6):
        tail = rng.choice((" at {v}", " ({v})", ", axis {v}", " with {v}")) if rng is not None else " at {v}"
        return sentence(f"{word} axis deviation{tail.replace('{v}', placeholder(name))}.", claims)
    frame = JUDGED_FRAMES[0] if rng is None else rng.choice(JUDGED_FRAMES)
    text = frame.replace("{m}", shown).replace("{v}", placeholder(name)).replace("{w}", judged_word(word, rng))
    return sentence(text, claims)
