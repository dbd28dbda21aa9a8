"""The one table of thresholds that turn a number into words, each with its citation.

Sources
-------
- Surawicz et al. 2009, AHA/ACC/HRS recommendations part III, intraventricular conduction: QRS duration and axis in adults.
- Rautaharju et al. 2009, AHA/ACC/HRS recommendations part IV, ST segment, T and U waves, QT interval.
- Hancock et al. 2009, AHA/ACC/HRS recommendations part V, chamber hypertrophy: Sokolow-Lyon and Cornell voltages.
- Kusumoto et al. 2019, ACC/AHA/HRS bradycardia guideline; Thygesen et al. 2018, Fourth Universal Definition of MI.

The guidelines were not at hand while this was written: limits and citations are from knowledge of them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ADULT_YEARS",
    "CONTIGUOUS",
    "CRITERIA",
    "LVH_ST_SHARE",
    "PART_III",
    "WIDE_QRS_MS",
    "WIDE_ST_SHARE",
    "Criterion",
    "Judgement",
    "criterion",
]

PART_III = "Surawicz et al. 2009, AHA/ACC/HRS part III, doi:10.1161/CIRCULATIONAHA.108.191095"
_PART_IV = "Rautaharju et al. 2009, AHA/ACC/HRS part IV, doi:10.1161/CIRCULATIONAHA.108.191096"
_PART_V = "Hancock et al. 2009, AHA/ACC/HRS part V, doi:10.1161/CIRCULATIONAHA.108.191097"
_BRADY = "Kusumoto et al. 2019, ACC/AHA/HRS bradycardia guideline, doi:10.1161/CIR.0000000000000628"
_SVT = "Page et al. 2015, ACC/AHA/HRS supraventricular tachycardia guideline, doi:10.1161/CIR.0000000000000311"
_UDMI = "Thygesen et al. 2018, Fourth Universal Definition of Myocardial Infarction, doi:10.1161/CIR.0000000000000617"
_HOUSE = "Alert threshold of this project for extreme rates; no guideline sets one number"
_TORSADES = "Drew et al. 2010, AHA/ACCF torsade de pointes statement, doi:10.1161/CIRCULATIONAHA.109.192704"
_VENTRICULAR = "Al-Khatib et al. 2017, AHA/ACC/HRS ventricular arrhythmia guideline, doi:10.1161/CIR.0000000000000549"
_UDMI_LVH = f"{_UDMI}; Armstrong et al. 2012, doi:10.1016/j.amjcard.2012.05.032"
_UDMI_WIDE = f"{_UDMI} (bundle branch block, pacing); Smith et al. 2012, doi:10.1016/j.annemergmed.2012.07.119"
_HOUSE_PAUSE = "Limit of this project: the guidelines give none for 2 to 3 s"

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
    """What a rule says of one measurement. ``word`` "withheld": it cannot be applied to this person; ``text`` says why."""

    measurement: str
    word: str
    severity: str
    criterion_id: str
    text: str
    citation: str


def _c(
    id_: str, name: str, word: str, low: float | None, high: float | None, severity: str, text: str, cite: str,
    sex: str | None = None, min_age: float | None = None, max_age: float | None = None,
) -> Criterion:  # fmt: skip
    return Criterion(id_, name, word, low, high, severity, text, cite, sex, min_age, max_age)


#: ST rules also need the limit to be met 60 ms after J (``st_j60_mv``). The Universal Definition measures at J and asks for no
#: more; a level that has gone 60 ms later is the end of QRS (J point placed early, or the slur of early repolarisation), not an
#: ST segment. Chosen on PTB-XL fold 8: a third fewer recordings fire, none of them with an acute infarction.
#:
#: Ranges are half open, so "above 100" begins at the next printed value: values are rounded as printed before judging.
CRITERIA: tuple[Criterion, ...] = (
    _c("rate_extreme_low", "rate_bpm", "extreme bradycardia", None, 40, "critical",
       "A ventricular rate below 40/min is an extreme bradycardia.", _HOUSE),
    _c("rate_low", "rate_bpm", "bradycardia", 40, 60, "abnormal",
       "A ventricular rate below 60/min is bradycardia (the guideline asks for attention to sinus rates below 50/min).", _BRADY),
    _c("rate_normal", "rate_bpm", "normal", 60, 101, "normal",
       "A ventricular rate of 60 to 100/min is normal.", _SVT),
    _c("rate_high", "rate_bpm", "tachycardia", 101, 151, "abnormal",
       "A ventricular rate above 100/min is tachycardia.", _SVT),
    _c("rate_extreme_high", "rate_bpm", "extreme tachycardia", 151, None, "critical",
       "A ventricular rate above 150/min is an extreme tachycardia.", _HOUSE),
    _c("pr_short", "pr_ms", "short", None, 120, "abnormal",
       "A PR interval below 120 ms is short in adults.", PART_III),
    _c("pr_normal", "pr_ms", "normal", 120, 201, "normal",
       "A PR interval of 120 to 200 ms is normal in adults.", _BRADY),
    _c("pr_long", "pr_ms", "prolonged", 201, None, "abnormal",
       "A PR interval above 200 ms is prolonged (first-degree AV block where every P is conducted).", _BRADY),
    _c("qrs_normal", "qrs_ms", "normal", None, 110, "normal",
       "A QRS duration below 110 ms is normal in adults.", PART_III),
    _c("qrs_slight", "qrs_ms", "slightly prolonged", 110, 120, "abnormal",
       "A QRS duration of 110 to 119 ms is slightly prolonged in adults.", PART_III),
    _c("qrs_wide", "qrs_ms", "wide", 120, None, "abnormal",
       "A QRS duration of 120 ms or more is wide in adults.", PART_III),
    _c("qtc_short", "qtc_ms", "short", None, 391, "abnormal",
       "A corrected QT interval of 390 ms or less is short in adults.", _PART_IV),
    _c("qtc_normal_m", "qtc_ms", "normal", 391, 450, "normal",
       "A corrected QT interval above 390 and below 450 ms is normal in men.", _PART_IV, sex="M"),
    _c("qtc_long_m", "qtc_ms", "prolonged", 450, 500, "abnormal",
       "A corrected QT interval of 450 ms or more is prolonged in men.", _PART_IV, sex="M"),
    _c("qtc_normal_f", "qtc_ms", "normal", 391, 460, "normal",
       "A corrected QT interval above 390 and below 460 ms is normal in women.", _PART_IV, sex="F"),
    _c("qtc_long_f", "qtc_ms", "prolonged", 460, 500, "abnormal",
       "A corrected QT interval of 460 ms or more is prolonged in women.", _PART_IV, sex="F"),
    _c("qtc_critical", "qtc_ms", "markedly prolonged", 500, None, "critical",
       "A corrected QT interval of 500 ms or more is markedly prolonged and goes with torsades de pointes.", _TORSADES),
    _c("axis_extreme", "axis_deg", "extreme", -181, -90, "abnormal",
       "A frontal QRS axis between -90 and 180 degrees (the upper right quarter) is extreme.", PART_III),
    _c("axis_left", "axis_deg", "left", -90, -30, "abnormal",
       "A frontal QRS axis of -31 to -90 degrees is a left axis deviation.", PART_III),
    _c("axis_normal", "axis_deg", "normal", -30, 91, "normal",
       "A frontal QRS axis of -30 to 90 degrees is normal in adults.", PART_III),
    _c("axis_right", "axis_deg", "right", 91, 181, "abnormal",
       "A frontal QRS axis above 90 degrees is a right axis deviation in adults.", PART_III),
    _c("sokolow_normal", "sokolow_lyon_mv", "normal", None, 3.5, "normal",
       "S in V1 plus the larger R of V5 and V6 below 3.5 mV does not meet the Sokolow-Lyon voltage.", _PART_V),
    _c("sokolow_high", "sokolow_lyon_mv", "high", 3.5, None, "abnormal",
       "S in V1 plus the larger R of V5 and V6 of 3.5 mV or more meets the Sokolow-Lyon voltage.", _PART_V),
    _c("cornell_normal_m", "cornell_mv", "normal", None, 2.81, "normal",
       "R in aVL plus S in V3 of up to 2.8 mV does not meet the Cornell voltage in men.", _PART_V, sex="M"),
    _c("cornell_high_m", "cornell_mv", "high", 2.81, None, "abnormal",
       "R in aVL plus S in V3 above 2.8 mV meets the Cornell voltage in men.", _PART_V, sex="M"),
    _c("cornell_normal_f", "cornell_mv", "normal", None, 2.01, "normal",
       "R in aVL plus S in V3 of up to 2.0 mV does not meet the Cornell voltage in women.", _PART_V, sex="F"),
    _c("cornell_high_f", "cornell_mv", "high", 2.01, None, "abnormal",
       "R in aVL plus S in V3 above 2.0 mV meets the Cornell voltage in women.", _PART_V, sex="F"),
    _c("wide_tachycardia", "rate_bpm", "wide-complex tachycardia", None, None, "critical",
       "A rate above 100/min with a QRS of 120 ms or more is a wide-complex tachycardia, ventricular until shown "
       "otherwise.", _VENTRICULAR),
    _c("st_elevation", "st_j_mv", "elevated", 0.1, None, "critical",
       "J-point elevation of 0.1 mV or more in two contiguous leads other than V2 and V3 meets the ST criterion.", _UDMI),
    _c("st_elevation_v23_m_young", "st_j_mv", "elevated", 0.25, None, "critical",
       "J-point elevation of 0.25 mV or more in V2 or V3 meets the ST criterion in men under 40.", _UDMI, sex="M", max_age=40),
    _c("st_elevation_v23_m", "st_j_mv", "elevated", 0.2, None, "critical",
       "J-point elevation of 0.2 mV or more in V2 or V3 meets the ST criterion in men of 40 and over.", _UDMI,
       sex="M", min_age=40),
    _c("st_elevation_v23_f", "st_j_mv", "elevated", 0.15, None, "critical",
       "J-point elevation of 0.15 mV or more in V2 or V3 meets the ST criterion in women.", _UDMI, sex="F"),
    _c("st_elevation_voltage", "st_j_mv", "withheld", None, None, "normal",
       "The Universal Definition's ST criterion asks for the absence of left ventricular hypertrophy; where the voltage "
       "criterion is met, elevation below a quarter of a deep S counts as secondary.", _UDMI_LVH),
    _c("secondary_st", "st_j_mv", "withheld", None, None, "normal",
       "In a QRS of 120 ms or more, elevation against a mainly negative QRS counts as secondary below a quarter of the S"
       " depth.", _UDMI_WIDE),
    _c("pause", "rr_max_ms", "pause", 2000, 3000, "abnormal",
       "An RR interval of 2 to 3 s is a pause.", _HOUSE_PAUSE),
    _c("pause_long", "rr_max_ms", "long pause", 3000, None, "critical",
       "An RR interval of 3 s or more is a long pause (sinus arrest or block, or atrioventricular block).", _BRADY),
    _c("high_grade_block", "atrial_rate_bpm", "possible high-grade AV block", None, None, "critical",
       "Even P waves at 50 to 150/min, nearly two or more to each QRS, with a ventricular rate below 60/min, suggest "
       "high-grade or complete AV block.", _BRADY),
    _c("pre_excited_af", "rr_min_ms", "possible pre-excited atrial fibrillation", None, None, "critical",
       "A fast and grossly irregular rhythm with a QRS of 120 ms or more, no P waves, and RR intervals down to 300 ms or"
       " less suggests pre-excited atrial fibrillation.", _SVT),
)  # fmt: skip

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

#: From this QRS duration ST-T follows the conduction disorder, ms.
WIDE_QRS_MS = 120.0
#: Share of the S depth from which discordant elevation is more than secondary: in a wide QRS (Smith et al. 2012, derived for left
#: bundle branch block, used for pacing too) and where the voltage criterion of hypertrophy is met (Armstrong et al. 2012).
WIDE_ST_SHARE = LVH_ST_SHARE = 0.25


def criterion(id_: str) -> Criterion:
    """The rule with this id; KeyError where there is none."""
    for rule in CRITERIA:
        if rule.id == id_:
            return rule
    raise KeyError(id_)
