"""From numbers to words: ``judge`` applies the table of ``encoders.criteria_table`` to one recording's measurements."""

from __future__ import annotations

from encoders.criteria_table import (
    ADULT_YEARS,
    CONTIGUOUS,
    CRITERIA,
    LVH_ST_SHARE,
    PART_III,
    WIDE_QRS_MS,
    WIDE_ST_SHARE,
    Criterion,
    Judgement,
    criterion,
)
from encoders.measurements import Measurement, Measurements

__all__ = ["CONTIGUOUS", "CRITERIA", "Criterion", "Judgement", "contiguous", "criterion", "judge"]

_WITHHELD = "withheld"
#: ST level that counts only where the lead is trusted and at least half of its beats agree on it.
_MIN_RELIABILITY = 0.5
#: Rules on several measurements at once; the others judge one value each.
_COMBINED = frozenset(("wide_tachycardia", "high_grade_block", "pre_excited_af"))
#: P waves to a QRS, atrial rates (/min) and the ventricular rate below which even P waves suggest high-grade block; faster atria
#: are flutter or tachycardia. Of this project, conservative: block at 2 to 1 and beyond, in bradycardia.
_BLOCK_RATIO, _ATRIAL_BPM, _BLOCK_BPM = 1.8, (50.0, 150.0), 60.0
#: Shortest RR (ms), rate (/min) and irregularity (RMSSD over mean RR) that make a wide irregular rhythm look pre-excited. An RR
#: of 250 ms or less marks the danger (2015 guideline); 300 ms leaves room for 100 Hz input and a recording of 10 s.
_PRE_EXCITED_RR, _PRE_EXCITED_BPM, _PRE_EXCITED_IRREGULAR = 300.0, 120.0, 0.12


def contiguous(leads: set[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of neighbouring leads that are both in ``leads``."""
    return tuple(pair for pair in CONTIGUOUS if set(pair) <= leads)


def judge(measurements: Measurements, age_years: float | None = None, sex: str | None = None) -> tuple[Judgement, ...]:
    """What the table says of the measurements of an adult.

    One ``Judgement`` per measurement that has a rule and a value, in the table's order, then the rules on several measurements
    (wide-complex tachycardia, high-grade block, pre-excited atrial fibrillation) and ST elevation. Values are judged as they
    are printed (whole ms, /min and degrees), so that text and word agree. Word "withheld" (severity "normal") stands where a
    rule needs a sex or age that is None, where ST cannot be judged beside a wide QRS or the voltage of hypertrophy, and for
    every measurement of a person under 18, whose limits differ by age; ``text`` says why. Measurements that are None give no
    judgement.
    """
    if age_years is not None and age_years < ADULT_YEARS:
        names = dict.fromkeys(rule.measurement for rule in CRITERIA if rule.measurement != "st_j_mv")
        known = [name for name in names if measurements.value(name) is not None]
        return tuple(
            _withheld(name, "adult_only", "Limits are for adults; under 18 years this criterion is withheld.", PART_III)
            for name in known
        )
    out = []
    for name in dict.fromkeys(rule.measurement for rule in CRITERIA):
        if name != "st_j_mv" and (item := measurements[name]).value is not None:
            found = _one(item, sex)
            if found is not None:
                out.append(found)
    out += _wide_tachycardia(measurements)
    out += _high_grade_block(measurements)
    out += _pre_excited_af(measurements)
    out += _st_elevation(measurements, age_years, sex)
    return tuple(out)


def _withheld(name: str, id_: str, text: str, citation: str) -> Judgement:
    return Judgement(name, _WITHHELD, "normal", id_, text, citation)


def _said(name: str, rule: Criterion, seen: str) -> Judgement:
    return Judgement(name, rule.word, rule.severity, rule.id, f"{seen}: {rule.text}", rule.citation)


def _as_printed(item: Measurement) -> float:
    """The value rounded as ``Measurement.text`` prints it."""
    value = float(item.value if item.value is not None else float("nan"))
    return float(f"{value:.0f}") if item.unit in ("ms", "/min", "°") else float(f"{value:.2f}")


def _one(item: Measurement, sex: str | None) -> Judgement | None:
    value = _as_printed(item)
    rules = [r for r in CRITERIA if r.measurement == item.name and r.covers(value) and r.id not in _COMBINED]
    for rule in rules:
        if rule.sex is None or rule.sex == sex:
            return _said(item.name, rule, item.text())
    if rules and sex is None:
        # Men and women may share the word: then no sex is needed.
        if len({r.word for r in rules}) == 1:
            return _said(item.name, rules[0], item.text())
        why = f"{item.text()}: the limit differs between women and men and sex is not known."
        return _withheld(item.name, rules[0].id, why, rules[0].citation)
    return None


def _wide_tachycardia(m: Measurements) -> list[Judgement]:
    rate, qrs = m["rate_bpm"], m["qrs_ms"]
    if rate.value is None or qrs.value is None or _as_printed(rate) <= 100 or _as_printed(qrs) < WIDE_QRS_MS:
        return []
    return [_said("rate_bpm", criterion("wide_tachycardia"), f"{rate.text()} and QRS {qrs.text()}")]


def _high_grade_block(m: Measurements) -> list[Judgement]:
    rate, atrial = m["rate_bpm"], m["atrial_rate_bpm"]
    if rate.value is None or atrial.value is None or _as_printed(rate) >= _BLOCK_BPM:
        return []
    if not _ATRIAL_BPM[0] <= atrial.value <= _ATRIAL_BPM[1] or atrial.value < _BLOCK_RATIO * rate.value:
        return []
    return [_said("atrial_rate_bpm", criterion("high_grade_block"), f"Atria {atrial.text()}, ventricles {rate.text()}")]


def _pre_excited_af(m: Measurements) -> list[Judgement]:
    rate, qrs, shortest, uneven = m["rate_bpm"], m["qrs_ms"], m["rr_min_ms"], m.value("rr_irregularity")
    if rate.value is None or qrs.value is None or shortest.value is None or uneven is None or m.value("pr_ms") is not None:
        return []
    fast = _as_printed(rate) >= _PRE_EXCITED_BPM and _as_printed(shortest) <= _PRE_EXCITED_RR
    if not fast or _as_printed(qrs) < WIDE_QRS_MS or uneven < _PRE_EXCITED_IRREGULAR:
        return []
    seen = f"{rate.text()}, shortest RR {shortest.text()}, QRS {qrs.text()}"
    return [_said("rr_min_ms", criterion("pre_excited_af"), seen)]


# ST elevation ---------------------------------------------------------------------------------------------------------


def _st_limit(lead: str, age_years: float | None, sex: str | None) -> Criterion | None:
    """The ST rule for this lead and person; None where it needs an age or sex that is not known. aVR has none."""
    if lead not in ("V2", "V3"):
        return criterion("st_elevation")
    if sex == "F":
        return criterion("st_elevation_v23_f")
    if sex == "M" and age_years is not None:
        return criterion("st_elevation_v23_m_young" if age_years < 40 else "st_elevation_v23_m")
    return None


def _hypertrophy_voltage(m: Measurements, sex: str | None) -> bool:
    """Whether a voltage criterion is met; not by the QS in V3 of an anterior infarct, which only looks like a deep S."""
    high = {j.measurement for name in ("sokolow_lyon_mv", "cornell_mv")
            if m.value(name) is not None and (j := _one(m[name], sex)) is not None and j.word == "high"}  # fmt: skip
    return "sokolow_lyon_mv" in high or ("cornell_mv" in high and m.lead("V3").r_mv != 0.0)


def _confounder(m: Measurements, lead: str, value: float, wide: bool, voltage: bool) -> Criterion | None:
    """The rule that makes this elevation secondary: it stands against a mainly negative QRS of which it is a small part."""
    seen = m.lead(lead)
    if not (wide or voltage):
        return None
    rule = criterion("secondary_st" if wide else "st_elevation_voltage")
    if seen.qrs_area_mvms is None:
        return rule
    deepest = max(seen.s_mv or 0.0, seen.q_mv or 0.0)
    share = WIDE_ST_SHARE if wide else LVH_ST_SHARE
    return rule if seen.qrs_area_mvms < 0 and value < share * deepest else None


def _st_elevation(m: Measurements, age_years: float | None, sex: str | None) -> list[Judgement]:
    """One judgement per lead that meets its limit beside a neighbour that does.

    Elevation counts where the lead is trusted and its beats agree, where it still meets the limit 60 ms after J, and where
    neither a wide QRS nor the voltage of hypertrophy explains it (see the table). What only voltage explains is withheld
    with "cannot exclude"; what a wide QRS explains is withheld.
    """
    wide = (m.value("qrs_ms") or 0) >= WIDE_QRS_MS
    voltage = not wide and _hypertrophy_voltage(m, sex)
    met: dict[str, Criterion] = {}
    unknown: dict[str, Criterion] = {}
    explained: dict[str, Criterion] = {}
    items = {lead: m[f"st_j_mv_{lead}"] for lead in dict.fromkeys(lead for pair in CONTIGUOUS for lead in pair)}
    for lead, item in items.items():
        if item.value is None or item.reliability < _MIN_RELIABILITY:
            continue
        value, rule = _as_printed(item), _st_limit(lead, age_years, sex)
        place = met
        if rule is None:
            # Below the lowest limit nobody meets it; at the highest everybody does.
            rule = criterion("st_elevation_v23_m_young" if value >= 0.25 else "st_elevation_v23_f")
            place = met if value >= 0.25 else unknown
        later = m.lead(lead).st_j60_mv
        low = rule.low if rule.low is not None else 0.0
        if value < low or (later is not None and later < low):
            continue
        cause = _confounder(m, lead, value, wide, voltage)
        if cause is None:
            place[lead] = rule
        else:
            explained[lead] = cause
    out = []
    paired = {lead for pair in contiguous(set(met)) for lead in pair}
    for lead in (lead for lead in items if lead in paired):
        out.append(_said(f"st_j_mv_{lead}", met[lead], f"{lead} {items[lead].text()}"))
    open_ = {lead for pair in contiguous(set(met) | set(unknown)) for lead in pair} - paired
    reason = "the limit in V2 and V3 depends on age and sex, which are not both known; cannot exclude ST elevation."
    for lead in (lead for lead in items if lead in open_):
        rule = unknown.get(lead, met.get(lead, criterion("st_elevation")))
        out.append(_withheld(f"st_j_mv_{lead}", rule.id, f"{lead} {items[lead].text()}: {reason}", rule.citation))
    masked = {lead for pair in contiguous(set(met) | set(unknown) | set(explained)) for lead in pair} & set(explained)
    for lead in (lead for lead in items if lead in masked):
        cause = explained[lead]
        end = " Cannot exclude ST elevation." if cause.id == "st_elevation_voltage" else ""
        out.append(_withheld(f"st_j_mv_{lead}", cause.id, f"{lead} {items[lead].text()}: {cause.text}{end}", cause.citation))
    return out
