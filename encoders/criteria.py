"""From numbers to words: one table of cited thresholds, and ``judge``, which applies it.

Sources
-------
- Surawicz et al. 2009, AHA/ACC/HRS recommendations part III, intraventricular conduction: QRS duration and axis in adults.
- Rautaharju et al. 2009, AHA/ACC/HRS recommendations part IV, ST segment, T and U waves, QT interval.
- Hancock et al. 2009, AHA/ACC/HRS recommendations part V, chamber hypertrophy: Sokolow-Lyon and Cornell voltages.
- Kusumoto et al. 2019, ACC/AHA/HRS bradycardia guideline; Thygesen et al. 2018, Fourth Universal Definition of MI.
"""

from __future__ import annotations

from dataclasses import dataclass

from encoders.measurements import Measurement, Measurements

__all__ = ["CONTIGUOUS", "CRITERIA", "Criterion", "Judgement", "contiguous", "criterion", "judge"]

_PART_III = "Surawicz et al. 2009, AHA/ACC/HRS part III, doi:10.1161/CIRCULATIONAHA.108.191095"
_PART_IV = "Rautaharju et al. 2009, AHA/ACC/HRS part IV, doi:10.1161/CIRCULATIONAHA.108.191096"
_PART_V = "Hancock et al. 2009, AHA/ACC/HRS part V, doi:10.1161/CIRCULATIONAHA.108.191097"
_BRADY = "Kusumoto et al. 2019, ACC/AHA/HRS bradycardia guideline, doi:10.1161/CIR.0000000000000628"
_SVT = "Page et al. 2015, ACC/AHA/HRS supraventricular tachycardia guideline, doi:10.1161/CIR.0000000000000311"
_UDMI = "Thygesen et al. 2018, Fourth Universal Definition of Myocardial Infarction, doi:10.1161/CIR.0000000000000617"
_HOUSE = "Alert threshold of this project for extreme rates (DESIGN: critical findings by rule); no guideline sets one number"

ADULT_YEARS = 18.0


@dataclass(frozen=True)
class Criterion:
    """One threshold rule.

    ``measurement`` is judged ``word`` where its value lies in [``low``, ``high``) (None: open). ``sex`` and ``max_age`` /
    ``min_age`` limit whom it is for (age in [min_age, max_age)). ``severity``: normal, abnormal or critical. ``text`` is
    the rule in one sentence. Rules of one measurement and one person do not overlap.
    """

    id: str
    measurement: str
    word: str
    low: float | None
    high: float | None
    severity: str
    text: str
    citation: str
    sex: str | None = None
    min_age: float | None = None
    max_age: float | None = None

    def covers(self, value: float) -> bool:
        """True where ``value`` lies in the rule's range."""
        return (self.low is None or value >= self.low) and (self.high is None or value < self.high)


@dataclass(frozen=True)
class Judgement:
    """What a rule says of one measurement. ``word`` "withheld": the rule needs an age or sex that is not known."""

    measurement: str
    word: str
    severity: str
    criterion_id: str
    text: str
    citation: str


def _c(id_: str, name: str, word: str, low: float | None, high: float | None, severity: str, text: str, cite: str) -> Criterion:
    return Criterion(id_, name, word, low, high, severity, text, cite)


#: Ranges are half open, so "above 100" begins at the next printed value: values are rounded as printed before judging.
CRITERIA: tuple[Criterion, ...] = (
    _c(
        "rate_extreme_low",
        "rate_bpm",
        "extreme bradycardia",
        None,
        40,
        "critical",
        "A ventricular rate below 40/min is an extreme bradycardia.",
        _HOUSE,
    ),
    _c(
        "rate_low",
        "rate_bpm",
        "bradycardia",
        40,
        60,
        "abnormal",
        "A ventricular rate below 60/min is bradycardia (the guideline asks for attention to sinus rates below 50/min).",
        _BRADY,
    ),
    _c("rate_normal", "rate_bpm", "normal", 60, 101, "normal", "A ventricular rate of 60 to 100/min is normal.", _SVT),
    _c("rate_high", "rate_bpm", "tachycardia", 101, 151, "abnormal", "A ventricular rate above 100/min is tachycardia.", _SVT),
    _c(
        "rate_extreme_high",
        "rate_bpm",
        "extreme tachycardia",
        151,
        None,
        "critical",
        "A ventricular rate above 150/min is an extreme tachycardia.",
        _HOUSE,
    ),
    _c("pr_short", "pr_ms", "short", None, 120, "abnormal", "A PR interval below 120 ms is short in adults.", _PART_III),
    _c("pr_normal", "pr_ms", "normal", 120, 201, "normal", "A PR interval of 120 to 200 ms is normal in adults.", _BRADY),
    _c(
        "pr_long",
        "pr_ms",
        "prolonged",
        201,
        None,
        "abnormal",
        "A PR interval above 200 ms is prolonged (first-degree AV block where every P is conducted).",
        _BRADY,
    ),
    _c("qrs_normal", "qrs_ms", "normal", None, 110, "normal", "A QRS duration below 110 ms is normal in adults.", _PART_III),
    _c(
        "qrs_slight",
        "qrs_ms",
        "slightly prolonged",
        110,
        120,
        "abnormal",
        "A QRS duration of 110 to 119 ms is slightly prolonged in adults.",
        _PART_III,
    ),
    _c("qrs_wide", "qrs_ms", "wide", 120, None, "abnormal", "A QRS duration of 120 ms or more is wide in adults.", _PART_III),
    _c(
        "qtc_short",
        "qtc_ms",
        "short",
        None,
        391,
        "abnormal",
        "A corrected QT interval of 390 ms or less is short in adults.",
        _PART_IV,
    ),
    Criterion(
        "qtc_normal_m",
        "qtc_ms",
        "normal",
        391,
        450,
        "normal",
        "A corrected QT interval above 390 and below 450 ms is normal in men.",
        _PART_IV,
        sex="M",
    ),
    Criterion(
        "qtc_long_m",
        "qtc_ms",
        "prolonged",
        450,
        500,
        "abnormal",
        "A corrected QT interval of 450 ms or more is prolonged in men.",
        _PART_IV,
        sex="M",
    ),
    Criterion(
        "qtc_normal_f",
        "qtc_ms",
        "normal",
        391,
        460,
        "normal",
        "A corrected QT interval above 390 and below 460 ms is normal in women.",
        _PART_IV,
        sex="F",
    ),
    Criterion(
        "qtc_long_f",
        "qtc_ms",
        "prolonged",
        460,
        500,
        "abnormal",
        "A corrected QT interval of 460 ms or more is prolonged in women.",
        _PART_IV,
        sex="F",
    ),
    _c(
        "qtc_critical",
        "qtc_ms",
        "markedly prolonged",
        500,
        None,
        "critical",
        "A corrected QT interval of 500 ms or more is markedly prolonged and goes with torsades de pointes.",
        "Drew et al. 2010, AHA/ACCF torsade de pointes statement, doi:10.1161/CIRCULATIONAHA.109.192704",
    ),
    _c(
        "axis_extreme",
        "axis_deg",
        "extreme",
        -181,
        -90,
        "abnormal",
        "A frontal QRS axis between -90 and 180 degrees (the upper right quarter) is extreme.",
        _PART_III,
    ),
    _c(
        "axis_left",
        "axis_deg",
        "left",
        -90,
        -30,
        "abnormal",
        "A frontal QRS axis of -31 to -90 degrees is a left axis deviation.",
        _PART_III,
    ),
    _c(
        "axis_normal",
        "axis_deg",
        "normal",
        -30,
        91,
        "normal",
        "A frontal QRS axis of -30 to 90 degrees is normal in adults.",
        _PART_III,
    ),
    _c(
        "axis_right",
        "axis_deg",
        "right",
        91,
        181,
        "abnormal",
        "A frontal QRS axis above 90 degrees is a right axis deviation in adults.",
        _PART_III,
    ),
    _c(
        "sokolow_normal",
        "sokolow_lyon_mv",
        "normal",
        None,
        3.5,
        "normal",
        "S in V1 plus the larger R of V5 and V6 below 3.5 mV does not meet the Sokolow-Lyon voltage.",
        _PART_V,
    ),
    _c(
        "sokolow_high",
        "sokolow_lyon_mv",
        "high",
        3.5,
        None,
        "abnormal",
        "S in V1 plus the larger R of V5 and V6 of 3.5 mV or more meets the Sokolow-Lyon voltage.",
        _PART_V,
    ),
    Criterion(
        "cornell_normal_m",
        "cornell_mv",
        "normal",
        None,
        2.81,
        "normal",
        "R in aVL plus S in V3 of up to 2.8 mV does not meet the Cornell voltage in men.",
        _PART_V,
        sex="M",
    ),
    Criterion(
        "cornell_high_m",
        "cornell_mv",
        "high",
        2.81,
        None,
        "abnormal",
        "R in aVL plus S in V3 above 2.8 mV meets the Cornell voltage in men.",
        _PART_V,
        sex="M",
    ),
    Criterion(
        "cornell_normal_f",
        "cornell_mv",
        "normal",
        None,
        2.01,
        "normal",
        "R in aVL plus S in V3 of up to 2.0 mV does not meet the Cornell voltage in women.",
        _PART_V,
        sex="F",
    ),
    Criterion(
        "cornell_high_f",
        "cornell_mv",
        "high",
        2.01,
        None,
        "abnormal",
        "R in aVL plus S in V3 above 2.0 mV meets the Cornell voltage in women.",
        _PART_V,
        sex="F",
    ),
    Criterion(
        "wide_tachycardia",
        "rate_bpm",
        "wide-complex tachycardia",
        None,
        None,
        "critical",
        "A rate above 100/min with a QRS of 120 ms or more is a wide-complex tachycardia, ventricular until shown otherwise.",
        "Al-Khatib et al. 2017, AHA/ACC/HRS ventricular arrhythmia guideline, doi:10.1161/CIR.0000000000000549",
    ),
    Criterion(
        "st_elevation",
        "st_j_mv",
        "elevated",
        0.1,
        None,
        "critical",
        "J-point elevation of 0.1 mV or more in two contiguous leads other than V2 and V3 meets the ST criterion.",
        _UDMI,
    ),
    Criterion(
        "st_elevation_v23_m_young",
        "st_j_mv",
        "elevated",
        0.25,
        None,
        "critical",
        "J-point elevation of 0.25 mV or more in V2 or V3 meets the ST criterion in men under 40.",
        _UDMI,
        sex="M",
        max_age=40,
    ),
    Criterion(
        "st_elevation_v23_m",
        "st_j_mv",
        "elevated",
        0.2,
        None,
        "critical",
        "J-point elevation of 0.2 mV or more in V2 or V3 meets the ST criterion in men of 40 and over.",
        _UDMI,
        sex="M",
        min_age=40,
    ),
    Criterion(
        "st_elevation_v23_f",
        "st_j_mv",
        "elevated",
        0.15,
        None,
        "critical",
        "J-point elevation of 0.15 mV or more in V2 or V3 meets the ST criterion in women.",
        _UDMI,
        sex="F",
    ),
)

#: Neighbouring leads of the Fourth Universal Definition: V1 to V6 in a row, II-aVF-III, and aVL-I; -aVR lies between I and II.
CONTIGUOUS: tuple[tuple[str, str], ...] = (
    ("V1", "V2"),
    ("V2", "V3"),
    ("V3", "V4"),
    ("V4", "V5"),
    ("V5", "V6"),
    ("II", "aVF"),
    ("aVF", "III"),
    ("II", "III"),
    ("aVL", "I"),
)

_WITHHELD = "withheld"
#: ST level that counts only where the leads it was read from are trusted.
_MIN_RELIABILITY = 0.35


def criterion(id_: str) -> Criterion:
    """The rule with this id; KeyError where there is none."""
    for rule in CRITERIA:
        if rule.id == id_:
            return rule
    raise KeyError(id_)


def contiguous(leads: set[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of neighbouring leads that are both in ``leads``."""
    return tuple(pair for pair in CONTIGUOUS if set(pair) <= leads)


def judge(measurements: Measurements, age_years: float | None = None, sex: str | None = None) -> tuple[Judgement, ...]:
    """What the table says of the measurements of an adult.

    One ``Judgement`` per measurement that has a rule and a value, in the table's order, then wide-complex tachycardia and
    ST elevation. Values are judged as they are printed (whole ms, /min and degrees), so that text and word agree.
    Word "withheld" (severity "normal") stands where a rule needs a sex or age that is None, and for every measurement of a
    person under 18, whose limits differ by age; ``text`` says why. Measurements that are None give no judgement.
    """
    if age_years is not None and age_years < ADULT_YEARS:
        names = dict.fromkeys(rule.measurement for rule in CRITERIA if rule.measurement != "st_j_mv")
        known = [name for name in names if measurements.value(name) is not None]
        return tuple(
            _withheld(name, "adult_only", "Limits are for adults; under 18 years this criterion is withheld.", _PART_III)
            for name in known
        )
    out = []
    for name in dict.fromkeys(rule.measurement for rule in CRITERIA):
        if name != "st_j_mv" and (item := measurements[name]).value is not None:
            found = _one(item, sex)
            if found is not None:
                out.append(found)
    out += _wide_tachycardia(measurements)
    out += _st_elevation(measurements, age_years, sex)
    return tuple(out)


def _withheld(name: str, id_: str, text: str, citation: str) -> Judgement:
    return Judgement(name, _WITHHELD, "normal", id_, text, citation)


def _as_printed(item: Measurement) -> float:
    """The value rounded as ``Measurement.text`` prints it."""
    value = float(item.value if item.value is not None else float("nan"))
    return float(f"{value:.0f}") if item.unit in ("ms", "/min", "°") else float(f"{value:.2f}")


def _one(item: Measurement, sex: str | None) -> Judgement | None:
    value = _as_printed(item)
    rules = [r for r in CRITERIA if r.measurement == item.name and r.covers(value) and r.id != "wide_tachycardia"]
    for rule in rules:
        if rule.sex is None or rule.sex == sex:
            return Judgement(item.name, rule.word, rule.severity, rule.id, f"{item.text()}: {rule.text}", rule.citation)
    if rules and sex is None:
        # Men and women may share the word: then no sex is needed.
        words = {r.word for r in rules}
        if len(words) == 1:
            rule = rules[0]
            return Judgement(item.name, rule.word, rule.severity, rule.id, f"{item.text()}: {rule.text}", rule.citation)
        return _withheld(
            item.name,
            rules[0].id,
            f"{item.text()}: the limit differs between women and men and sex is not known.",
            rules[0].citation,
        )
    return None


def _wide_tachycardia(m: Measurements) -> list[Judgement]:
    rate, qrs = m["rate_bpm"], m["qrs_ms"]
    if rate.value is None or qrs.value is None or _as_printed(rate) <= 100 or _as_printed(qrs) < 120:
        return []
    rule = criterion("wide_tachycardia")
    return [
        Judgement(
            "rate_bpm", rule.word, rule.severity, rule.id, f"{rate.text()} and QRS {qrs.text()}: {rule.text}", rule.citation
        )
    ]


def _st_limit(lead: str, age_years: float | None, sex: str | None) -> Criterion | None:
    """The ST rule for this lead and person; None where it needs an age or sex that is not known. aVR has none."""
    if lead not in ("V2", "V3"):
        return criterion("st_elevation")
    if sex == "F":
        return criterion("st_elevation_v23_f")
    if sex == "M" and age_years is not None:
        return criterion("st_elevation_v23_m_young" if age_years < 40 else "st_elevation_v23_m")
    return None


def _st_elevation(m: Measurements, age_years: float | None, sex: str | None) -> list[Judgement]:
    """One judgement per lead that meets its limit beside a neighbour that does; wide QRS is named, not excluded."""
    level = {
        lead: item
        for lead in dict.fromkeys(lead for pair in CONTIGUOUS for lead in pair)
        if (item := m[f"st_j_mv_{lead}"]).value is not None and item.reliability >= _MIN_RELIABILITY
    }
    met, unknown = {}, {}
    for lead, item in level.items():
        value, rule = _as_printed(item), _st_limit(lead, age_years, sex)
        if rule is None:
            # Below the lowest limit nobody meets it; above the highest everybody does.
            if value >= 0.25:
                met[lead] = criterion("st_elevation_v23_m_young")
            elif value >= 0.15:
                unknown[lead] = criterion("st_elevation_v23_f")
        elif rule.low is not None and value >= rule.low:
            met[lead] = rule
    out = []
    wide = (m.value("qrs_ms") or 0) >= 120
    caution = " QRS is wide: ST levels follow from the conduction disorder too." if wide else ""
    paired = {lead for pair in contiguous(set(met)) for lead in pair}
    for lead in level:
        if lead in paired:
            rule, name = met[lead], f"st_j_mv_{lead}"
            out.append(
                Judgement(
                    name, rule.word, rule.severity, rule.id, f"{lead} {level[lead].text()}: {rule.text}{caution}", rule.citation
                )
            )
    possible = {lead for pair in contiguous(set(met) | set(unknown)) for lead in pair} - paired
    for lead in level:
        if lead in possible:
            rule = unknown.get(lead, met.get(lead, criterion("st_elevation")))
            reason = "the limit in V2 and V3 depends on age and sex, which are not both known; cannot exclude ST elevation."
            text = f"{lead} {level[lead].text()}: {reason}"
            out.append(_withheld(f"st_j_mv_{lead}", rule.id, text, rule.citation))
    return out
