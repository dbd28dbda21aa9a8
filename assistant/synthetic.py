"""Made-up evidence: plausible sets of statements with measurements, probabilities and cases that fit them.

For pretraining the language base without any recording. Never for scores.
"""

from __future__ import annotations

from random import Random

from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Evidence, Finding
from encoders.measurements import MEASUREMENT_NAMES, Measurement, Measurements
from encoders.quality import Quality
from encoders.vocabulary import CODES, codes_in
from retrieval.case import Case

__all__ = ["random_codes", "random_evidence"]

_RHYTHMS = ("SR", "AFIB", "STACH", "SBRAD", "SARRH", "AFLT", "SVTAC", "PSVT", "PACE", "SVARR", "BIGU", "TRIGU", "3AVB")
_RHYTHM_WEIGHTS = (50, 12, 7, 7, 6, 3, 3, 2, 4, 3, 2, 2, 2)
_BRANCH = ("CLBBB", "CRBBB", "ILBBB", "IRBBB", "IVCD", "WPW")
_MI = tuple(c for c in codes_in("MI") if not c.startswith("INJ"))
_ISCHAEMIA = tuple(c for c in CODES if c.startswith("ISC"))
_INJURY = tuple(c for c in CODES if c.startswith("INJ"))
_ST_T = ("NDT", "NST_", "DIG", "LNGQT", "ANEUR", "EL", "STD_", "STE_", "LOWT", "NT_", "INVT", "TAB_")
_CHAMBERS = ("LVH", "RVH", "LAO/LAE", "RAO/RAE", "SEHYP", "VCLVH", "HVOLT", "LVOLT")
_FORM = ("ABQRS", "QWAVE", "PVC", "PAC", "PRC(S)")
_NO_P = {"AFIB", "AFLT", "SVTAC", "PSVT", "SVARR"}
#: Statements that cannot both be written; the second of a pair gives way.
_EXCLUDE: dict[str, frozenset[str]] = {
    "AFIB": frozenset(("1AVB", "2AVB", "LPR", "PAC", "LAO/LAE", "RAO/RAE", "WPW")),
    "AFLT": frozenset(("1AVB", "2AVB", "LPR", "PAC", "LAO/LAE", "RAO/RAE", "WPW")),
    "SVTAC": frozenset(("1AVB", "2AVB", "LPR", "WPW")),
    "PSVT": frozenset(("1AVB", "2AVB", "LPR", "WPW")),
    "3AVB": frozenset(("1AVB", "2AVB", "LPR", "WPW")),
    "PACE": frozenset(("1AVB", "2AVB", "LPR", "WPW", "LVH", "VCLVH", *_BRANCH, *_MI, *_ISCHAEMIA, *_INJURY)),
    "CLBBB": frozenset(("LVH", "VCLVH", "LAFB", "LPFB", *_MI, *_ISCHAEMIA, *_INJURY)),
    "WPW": frozenset(("LVH", "1AVB", "LPR", "2AVB", "LAFB", "LPFB", *_MI, *_ISCHAEMIA, *_INJURY)),
    "LVOLT": frozenset(("HVOLT", "LVH", "VCLVH", "RVH")),
    "LAFB": frozenset(("LPFB",)),
}


def random_codes(rng: Random) -> list[str]:
    """A plausible set of present statements; every one of the 71 turns up."""
    rhythm = rng.choices(_RHYTHMS, _RHYTHM_WEIGHTS)[0]
    codes = [rhythm] if rng.random() < 0.96 else []
    if rhythm in ("SR", "SARRH", "SBRAD", "STACH") and rng.random() < 0.3:
        return [*codes, *(["NORM"] if rng.random() < 0.9 else []), *(["SARRH"] if rhythm == "SR" and rng.random() < 0.06 else [])]
    if rng.random() < 0.14:
        codes.append(rng.choice(("1AVB", "1AVB", "LPR", "2AVB")))
    if rng.random() < 0.32:
        codes.append(rng.choice(_BRANCH))
    if rng.random() < 0.18:
        codes.append(rng.choice(("LAFB", "LAFB", "LPFB")))
    if rng.random() < 0.3:
        codes.append(rng.choice(_CHAMBERS))
    if rng.random() < 0.1:
        codes.append(rng.choice(_CHAMBERS))
    if rng.random() < 0.32:
        codes.append(rng.choice(_MI))
    if rng.random() < 0.25:
        codes.append(rng.choice(_ISCHAEMIA))
    if rng.random() < 0.13:
        codes.append(rng.choice(_INJURY))
    for share in (0.4, 0.12):
        if rng.random() < share:
            codes.append(rng.choice(_ST_T))
    for share in (0.28, 0.06):
        if rng.random() < share:
            codes.append(rng.choice(_FORM))
    codes = list(dict.fromkeys(codes))
    for code in tuple(codes):
        if code in codes:
            codes = [c for c in codes if c not in _EXCLUDE.get(code, ())]
    return codes

#: How often a measurement has nothing to do with the findings.
_DECOUPLED = 0.2


def random_evidence(rng: Random, codes: list[str] | None = None, skipped: frozenset[str] | None = None) -> Evidence:
    """Evidence with these present statements (random ones by default); states, probabilities, measurements and cases fit.

    ``skipped``: statements that are not assessed, a few at random by default; the same for all recordings of one calibration.
    """
    present = set(random_codes(rng) if codes is None else codes)
    if rng.random() < 0.015:
        quality = Quality(
            "unusable", round(rng.uniform(0, 0.2), 2), ("Leads V1 and V2 were flat; please record again.",), ("flat",)
        )
    elif rng.random() < 0.06:
        quality = Quality(
            "limited", round(rng.uniform(0.3, 0.6), 2), ("Lead V3 is noisy; values from it are not reliable.",), ("noise",)
        )
    else:
        quality = Quality("usable", round(rng.uniform(0.7, 1.0), 2))
    open_share = rng.choice((0.0, 0.03, 0.06, 0.15))
    if skipped is None:
        skipped = frozenset(rng.sample(CODES, rng.randint(0, 10))) if rng.random() < 0.7 else frozenset()
    findings = []
    clash = _NO_P & present
    for code in CODES:
        if code in present and (codes is None or code not in skipped):
            probability = rng.uniform(0.8, 0.99) if rng.random() < 0.72 else rng.uniform(0.5, 0.8)
            findings.append(Finding(code, probability, PRESENT))
        elif code in skipped:
            findings.append(Finding(code, rng.random() * 0.1, NOT_ASSESSED))
        elif rng.random() < (0.3 if code == "NORM" and len(present) < 2 else open_share) and not (clash and code == "SR"):
            findings.append(Finding(code, rng.uniform(0.08, 0.5), UNDETERMINED))
        else:
            findings.append(Finding(code, rng.random() * 0.06, ABSENT))
    sex = rng.choice(("F", "M", "F", "M", None))
    age = None if rng.random() < 0.05 else float(rng.randint(18, 90))
    cases = _cases(rng, present) if rng.random() < 0.6 else ()
    return Evidence(quality, _measurements(rng, present), tuple(findings), cases, (), age, sex, "")


def _measurements(rng: Random, codes: set[str]) -> Measurements:
    gauss = rng.gauss
    rate = gauss(72, 9)
    if codes & {"STACH", "SVTAC", "PSVT"}:
        rate = rng.uniform(102, 180)
    elif "SBRAD" in codes or "3AVB" in codes:
        rate = rng.uniform(34, 58)
    elif codes & {"AFIB", "AFLT"}:
        rate = gauss(92, 24)
    rate = min(max(rate, 28.0), 220.0)
    qrs = gauss(94, 8)
    if codes & {"CLBBB", "CRBBB", "PACE"}:
        qrs = rng.uniform(122, 180)
    elif codes & {"IVCD", "WPW", "3AVB"}:
        qrs = rng.uniform(112, 150)
    elif codes & {"ILBBB", "IRBBB"}:
        qrs = rng.uniform(108, 120)
    pr: float | None = gauss(160, 18)
    if codes & {"1AVB", "LPR"}:
        pr = rng.uniform(203, 300)
    elif "WPW" in codes:
        pr = rng.uniform(85, 119)
    elif codes & (_NO_P | {"3AVB"}) or ("PACE" in codes and rng.random() < 0.6):
        pr = None
    qtc = rng.uniform(462, 540) if "LNGQT" in codes else gauss(418, 18) + max(0.0, qrs - 100) * 0.4
    axis = gauss(35, 28)
    if "LAFB" in codes:
        axis = rng.uniform(-85, -46)
    elif "LPFB" in codes or ("RVH" in codes and rng.random() < 0.7):
        axis = rng.uniform(95, 150)
    elif "NORM" in codes:
        axis = min(max(axis, -28.0), 88.0)
    elif rng.random() < 0.12:
        axis = rng.choice((rng.uniform(-88, -31), rng.uniform(-88, -31), rng.uniform(92, 178), rng.uniform(-179, -91)))
    # What was measured has to be read and not guessed from the findings: now and then it is anything.
    rate, qrs, qtc, axis = (
        rng.uniform(*span) if rng.random() < _DECOUPLED else value
        for value, span in ((rate, (40.0, 140.0)), (qrs, (80.0, 160.0)), (qtc, (360.0, 520.0)), (axis, (-179.0, 179.0)))
    )
    if pr is not None and rng.random() < _DECOUPLED:
        pr = rng.uniform(100.0, 300.0)
    rr = 60000.0 / rate
    irregular = rng.uniform(0.12, 0.35) if codes & {"AFIB", "SVARR", "SARRH", "PVC", "PAC", "2AVB"} else rng.uniform(0.005, 0.06)
    high = codes & {"LVH", "VCLVH", "HVOLT"}
    known: dict[str, float | None] = {
        "rate_bpm": rate,
        "rr_ms": rr,
        "rr_sd_ms": rr * irregular * 0.8,
        "rr_irregularity": irregular,
        "p_wave_share": 0.0 if codes & {"AFIB", "AFLT"} else 1.0,
        "pr_ms": pr,
        "qrs_ms": qrs,
        "qt_ms": qtc * (rr / 1000) ** (1 / 3),
        "qtc_ms": qtc,
        "qtc_bazett_ms": qtc * (rr / 1000) ** (-1 / 6),
        "axis_deg": axis,
        "sokolow_lyon_mv": rng.uniform(3.6, 5.0) if high else rng.uniform(1.2, 3.3),
        "cornell_mv": rng.uniform(2.1, 3.5) if high else rng.uniform(0.6, 1.9),
    }
    lost = {n for n in MEASUREMENT_NAMES if rng.random() < 0.03}
    items = []
    for name in MEASUREMENT_NAMES:
        value = None if name in lost else known[name] if name in known else gauss(0.02, 0.03)
        items.append(Measurement(name, value, 8, ("II",), 0.9) if value is not None else Measurement(name, None))
    return Measurements(tuple(items))


def _cases(rng: Random, codes: set[str]) -> tuple[Case, ...]:
    """Ten or so neighbours that share most statements and add some of their own."""
    kept = tuple(sorted(codes))  # a set has another order in every process
    shares = [rng.uniform(0.2, 1.0) for _ in kept]
    cases = []
    for _ in range(rng.choice((5, 10, 10, 20))):
        listed = {c: 100.0 for c, share in zip(kept, shares, strict=True) if rng.random() < share}
        if rng.random() < 0.3:
            listed[rng.choice(CODES)] = 80.0
        cases.append(Case(str(rng.randint(1, 21837)), round(rng.uniform(0.5, 0.95), 3), statements=listed))
    return tuple(cases)
