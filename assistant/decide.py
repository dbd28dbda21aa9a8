"""From probabilities and measurements to what may be said: states, conflicts, and Draft or Referral.

One implementation works on arrays of recordings; a single report is n = 1. What ships is ``Decision``: a summary of the
calibration recordings from which the thresholds for any risk are computed on load, and their distances to the library,
for every set of leads that a recording may be read from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.evidence import ABSENT, NOT_ASSESSED, PRESENT, UNDETERMINED, Conflict, Evidence, Finding
from assistant.risk import NO_CASES, CalibrationSummary, Cases, Thresholds, parted_cases, summarise, thresholds_for
from assistant.rules import RELIABLE, RULES, Measured, conflicts_of, doubts, fired, tabulate
from assistant.visible import can_exclude, can_state, lead_reason
from encoders.errors import ArtefactError, QueryError
from encoders.leadsets import ALL_LEADS, LEAD_SETS, lead_set_of, unread_leads
from encoders.measurements import Measurements
from encoders.quality import PLACEMENT_FLAGS, Quality
from encoders.vocabulary import CODES, STATEMENTS
from retrieval.neighbours import Agreement, says_doubt

__all__ = [
    "ADULT_YEARS",
    "STATES",
    "SWAPPED",
    "SWAP_FLAGS",
    "UNFAMILIAR_SHARE",
    "Critical",
    "Decision",
    "Known",
    "Reason",
    "Settled",
    "capital",
    "critical_by_rule",
    "critical_remarks",
    "fit_decision",
    "heard",
    "refer_many",
    "referral_reasons",
    "settle",
    "states",
    "unread",
]

#: Words for the numbers in ``Settled.states``.
STATES = (PRESENT, ABSENT, UNDETERMINED, NOT_ASSESSED)
_P, _A, _U, _N = range(4)
#: Intended use: adults (DESIGN, rule 8).
ADULT_YEARS = 18
#: Share of the calibration recordings that the distance threshold calls unlike anything known.
UNFAMILIAR_SHARE = 0.01
#: From here on ST levels follow from the conduction disorder, too (AHA/ACCF/HRS 2009, parts III and IV).
_WIDE_QRS_MS = 120
#: What the gate says where leads may not be what their names say: chest leads out of order, or more than that.
_CHEST_FLAG = "precordial_swap_suspected"
SWAP_FLAGS = PLACEMENT_FLAGS - {_CHEST_FLAG}
SWAPPED = (
    "Limb leads seem swapped or mislabelled; only rhythm, rate and intervals can be read, so check the electrodes and record "
    "again."
)
_FORMAT = 3
_CRITICAL = np.array([s.urgency == "critical" for s in STATEMENTS])


@dataclass(frozen=True, eq=False)
class Settled:
    """Decided states of n recordings: ``states`` int8 (n, 71), indices of ``STATES``; ``present`` bool (n, 71), what the
    thresholds alone would state; ``fired`` bool (n, rules); ``doubted`` bool (n, 71), what the rules took back; ``heeded`` bool
    (n, 71), what is not called absent since similar cases speak against it."""

    states: NDArray[np.int8]
    present: NDArray[np.bool_]
    fired: NDArray[np.bool_]
    doubted: NDArray[np.bool_]
    heeded: NDArray[np.bool_]


def settle(
    probabilities: NDArray[np.floating], measured: Measured, thresholds: Thresholds, listed: NDArray[np.bool_] | None = None
) -> Settled:
    """States from calibrated probabilities (n, 71).

    Present from the upper threshold, absent below the lower one, undetermined between. Where too few cases are known to say
    absence, a statement below its alert level is "not assessed". Then the table of conflicts is applied.

    ``listed`` bool (n, 71): statements whose absence similar cases speak against (``retrieval.neighbours.says_doubt``); what
    would be absent is then undetermined. Nothing else changes, so fewer true cases are called absent than the thresholds
    promise, never more, and nothing is stated for it.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or p.shape[1] != len(CODES):
        raise QueryError(f"Probabilities are {p.shape}; they must be (recordings, {len(CODES)}).")
    present = p >= thresholds.present
    absent = ~present & (p < thresholds.absent)
    unsaid = np.array([basis == "not assessed" for basis in thresholds.absent_basis])
    unknown = ~present & unsaid & (p < thresholds.alert)
    out = np.where(present, _P, np.where(absent, _A, np.where(unknown, _N, _U))).astype(np.int8)
    which = fired(present, measured)
    doubted = doubts(present, absent, which)
    out[doubted] = _U
    heeded = np.zeros_like(doubted) if listed is None else (out == _A) & listed
    out[heeded] = _U
    return Settled(out, present, which, doubted, heeded)


def states(
    probabilities: NDArray[np.floating],
    measurements: Measurements,
    thresholds: Thresholds,
    age: float | None,
    sex: str | None,
    quality: Quality,
    familiarity: float = 1.0,
    neighbours: Sequence[Agreement] = (),
) -> tuple[tuple[Finding, ...], tuple[Conflict, ...]]:
    """Findings (71, in the order of CODES) and conflicts of one recording from its probabilities (71,).

    ``age`` in years and ``sex`` ("F", "M") may be None: limits that depend on sex then take the value that starts fewer
    conflicts; no rule of the table depends on age. ``thresholds`` are those of the set of leads that was read.
    On an unusable recording nothing is assessed. With swapped limb leads suspected only rhythm is read, since every
    other statement depends on the direction of the leads (AHA/ACC/HRS 2007, part I); with chest leads out of order only
    what the limb leads can show. A child's ECG is not called normal. On one that is unlike anything known
    (``familiarity`` below UNFAMILIAR_SHARE) no promise holds, so nothing is settled.

    ``neighbours``: what the nearest cases say of each statement; they are not heeded where leads seem out of place or the
    recording is unlike anything known. Where they speak against an absence, the statement is undetermined: 31 % of such
    absences were wrong. Where they speak against a present finding, it stays present and is marked (``Finding.against``, and a
    sentence of the report): of 83 such findings 73 were right, so taking them back would lose seven right ones for each wrong
    one. Both figures are of fold 9, on which the bounds were chosen.
    """
    p = np.asarray(probabilities, np.float64)
    if not quality.usable:
        reason = "the recording is not usable"
        return tuple(Finding(code, float(v), NOT_ASSESSED, reason) for code, v in zip(CODES, p, strict=True)), ()
    child = age is not None and age < ADULT_YEARS
    swapped, strange = not SWAP_FLAGS.isdisjoint(quality.flags), familiarity < UNFAMILIAR_SHARE
    # With leads out of place, or nothing known nearby, the nearest cases are near to something else.
    asked = not (swapped or strange or _CHEST_FLAG in quality.flags)
    said = {one.code: one for one in neighbours} if asked else {}
    listed = np.array([[code in said and says_doubt(said[code], ABSENT) for code in CODES]])
    settled = settle(p[None], tabulate([measurements], [sex]), thresholds, listed)
    conflicts = conflicts_of(settled.present[0], settled.fired[0], measurements)
    limb = (can_state("limb"), can_exclude("limb"))
    findings = []
    for i, (code, value) in enumerate(zip(CODES, p, strict=True)):
        state = STATES[settled.states[0, i]]
        reason = _reason(i, float(value), state, thresholds)
        if settled.doubted[0, i]:
            named = [c.id for c in conflicts if f"F:{code}" in c.items]
            reason = f"in conflict ({', '.join(named)})" if named else _masked_by(i, settled.present[0])
        elif strange and state in (PRESENT, ABSENT):
            state, reason = UNDETERMINED, "the recording is unlike anything known"
        elif swapped and "rhythm" not in STATEMENTS[i].categories and state in (PRESENT, ABSENT):
            state, reason = UNDETERMINED, "wrongly placed limb leads are suspected"
        elif _CHEST_FLAG in quality.flags and (state == PRESENT and not limb[0][i] or state == ABSENT and not limb[1][i]):
            state, reason = UNDETERMINED, "the chest leads seem to be out of order"
        elif child and code == "NORM" and state == PRESENT:
            state, reason = UNDETERMINED, f"what is normal was learned from adults, from {ADULT_YEARS} years"
        against: tuple[str, ...] = ()
        if settled.heeded[0, i] or (state == PRESENT and code in said and says_doubt(said[code], PRESENT)):
            against = (said[code].id,)
            doubt = said[code].doubt(PRESENT if state == PRESENT else ABSENT)
            reason = f"{reason}. {doubt}" if state == PRESENT else doubt
        findings.append(Finding(code, float(value), state, reason, against))
    return tuple(findings), conflicts


def heard(neighbours: Sequence[Agreement], findings: Sequence[Finding]) -> tuple[Agreement, ...]:
    """What of the neighbours' words is evidence: on statements that one of them lists, or that are stated here."""
    stated = {f.code for f in findings if f.state == PRESENT}
    return tuple(one for one in neighbours if one.asked and (one.listed or one.code in stated))


def unread(leads: tuple[str, ...]) -> tuple[Finding, ...]:
    """Findings (71) of a recording whose leads the network was never calibrated for: all undetermined, probability 0."""
    reason = f"cannot be judged from {', '.join(leads)}"
    return tuple(Finding(code, 0.0, UNDETERMINED, reason) for code in CODES)


def _reason(i: int, p: float, state: str, thresholds: Thresholds) -> str:
    if state == PRESENT:
        basis = thresholds.present_basis[i]
        return f"calibrated probability {p:.2f}, stated from {thresholds.present[i]:.2f} ({basis} guarantee)"
    if state == ABSENT:
        basis = "other patients'" if thresholds.absent_basis[i] == "out of fold" else thresholds.absent_basis[i]
        return f"calibrated probability {p:.4f}, absent below {thresholds.absent[i]:.4f} ({basis} guarantee)"
    if state == NOT_ASSESSED:
        return f"only {thresholds.cases[i]} known cases to calibrate on"
    if "leads" in (thresholds.present_basis[i], thresholds.absent_basis[i]):
        return lead_reason(CODES[i], thresholds.lead_set)
    return f"calibrated probability {p:.2f} settles it neither way"


def _masked_by(i: int, present: NDArray[np.bool_]) -> str:
    for rule in RULES:
        if rule.one_sided and CODES[i] in rule.codes:
            for code in rule.against:
                if present[CODES.index(code)]:
                    return f"cannot be judged beside {STATEMENTS[CODES.index(code)].name}"
    return "in conflict"


@dataclass(frozen=True)
class Reason:
    """Why a recording goes to a human: ``kind`` is one of "unusable", "unfamiliar", "intended use", "critical", "nothing"."""

    kind: str
    text: str


def refer_many(
    settled: Settled,
    probabilities: NDArray[np.floating],
    thresholds: Thresholds,
    *,
    ages: NDArray[np.floating] | None = None,
    usable: NDArray[np.bool_] | None = None,
    familiarity: NDArray[np.floating] | None = None,
) -> dict[str, NDArray[np.bool_]]:
    """Which recordings are referred, by kind of reason: bool (n,) each; a recording may have several.

    ``ages`` in years, NaN where unknown (no reason by itself).
    A critical statement cannot be judged where it is undetermined and its probability reaches the alert level, or similar cases
    speak against its absence: the chance of missing it would exceed the risk accepted for critical statements.
    """
    n = len(settled.states)
    nothing = np.zeros(n, bool)
    likely = (np.asarray(probabilities) >= thresholds.alert) | settled.heeded
    undecided = (settled.states == _U) & likely & _CRITICAL
    return {
        "unusable": nothing if usable is None else ~usable,
        "unfamiliar": nothing if familiarity is None else np.asarray(familiarity) < UNFAMILIAR_SHARE,
        "intended use": nothing if ages is None else np.nan_to_num(ages, nan=ADULT_YEARS) < ADULT_YEARS,
        "critical": undecided.any(1),
        "nothing": ~(settled.states == _P).any(1),
    }


def referral_reasons(evidence: Evidence, thresholds: Thresholds, *, leads: tuple[str, ...]) -> tuple[Reason, ...]:
    """The same decision for one recording's evidence; empty means Draft. ``leads``: the names recorded."""
    out = []
    if not evidence.quality.usable:
        said = " ".join(evidence.quality.reasons) or "The signal cannot be relied on."
        out.append(Reason("unusable", f"The recording is not usable: {said}"))
    if evidence.findings and evidence.quality.usable and evidence.familiarity < UNFAMILIAR_SHARE:
        out.append(Reason("unfamiliar", (
            "The recording is unlike anything known: fewer than "
            f"{100 * UNFAMILIAR_SHARE:g} % of the calibration recordings lie as far from the case library."
        )))  # fmt: skip
    if evidence.age_years is not None and evidence.age_years < ADULT_YEARS:
        out.append(Reason("intended use", (
            f"The patient is {evidence.age_years:g} years old; the assistant is meant for adults from {ADULT_YEARS} years."
        )))  # fmt: skip
    if lead_set_of(leads) is None:
        out.append(Reason("intended use", unread_leads(leads)))
    if evidence.quality.usable and not SWAP_FLAGS.isdisjoint(evidence.quality.flags):
        out.append(Reason("intended use", SWAPPED))
    if evidence.quality.usable and evidence.findings:
        for finding in evidence.in_state(UNDETERMINED):
            i = CODES.index(finding.code)
            if _CRITICAL[i] and (finding.against or finding.probability >= thresholds.alert[i]):
                out.append(Reason("critical", (
                    f"{capital(STATEMENTS[i].name)} is critical and cannot be excluded "
                    f"(calibrated probability {finding.probability:.2f})."
                )))  # fmt: skip
        if not evidence.in_state(PRESENT) and lead_set_of(leads) is not None:
            out.append(Reason("nothing", "Neither a normal reading nor any finding is certain enough to be stated."))
    if out:  # whatever else it is referred for, what a rule calls critical decides who should look
        told = {reason.text for reason in out}
        found = [one.text for one in critical_by_rule(evidence) if one.state == PRESENT]
        out += [Reason("critical", text) for text in found if text not in told]
    return tuple(out)


@dataclass(frozen=True)
class Critical:
    """A critical remark. ``by``: "network" or "rule"; ``state``: "present" or "cannot exclude"."""

    by: str
    state: str
    text: str
    evidence: tuple[str, ...]
    citation: str

    def to_json(self) -> dict[str, Any]:
        return {
            "by": self.by, "state": self.state, "text": self.text, "evidence": list(self.evidence), "citation": self.citation,
        }  # fmt: skip


def critical_remarks(evidence: Evidence, thresholds: Thresholds) -> tuple[Critical, ...]:
    """Critical findings by network and by rule, shown even inside a referral; none on an unusable recording.

    By network: critical statements that are present, or open with a probability at or above their alert level, or open since
    similar cases speak against their absence ("cannot exclude"). By rule: what ``encoders.criteria`` calls critical of the
    measurements (extreme rates, QTc of 500 ms and more, ST elevation after the Fourth Universal Definition, wide-complex
    tachycardia).
    """
    if not evidence.quality.usable:
        return ()
    out = []
    for finding in evidence.findings:
        i = CODES.index(finding.code)
        s = STATEMENTS[i]
        if s.urgency != "critical":
            continue
        if finding.state == PRESENT:
            out.append(Critical("network", "present", f"{capital(s.name)} is stated.", (finding.id,), s.citation))
        elif finding.against or finding.probability >= thresholds.alert[i]:
            text = f"{capital(s.name)} cannot be excluded (calibrated probability {finding.probability:.2f})."
            out.append(Critical("network", "cannot exclude", text, (finding.id, *finding.against), s.citation))
    return (*out, *critical_by_rule(evidence))


def critical_by_rule(evidence: Evidence) -> tuple[Critical, ...]:
    """What ``encoders.criteria`` calls critical of the measurements, as remarks, all leads of an ST elevation in one; none on an
    unusable recording.

    A weak measurement, an ST level beside a wide QRS, and an ST limit that needs an unknown age or sex are worth a look,
    not a statement: they cannot be excluded.
    """
    from encoders.criteria import judge

    if not evidence.quality.usable:
        return ()
    out, st = [], []
    for judged in judge(evidence.measurements, age_years=evidence.age_years, sex=evidence.sex):
        if judged.criterion_id.startswith("st_elevation"):
            st.append(judged)
        elif judged.severity == "critical":
            sure = evidence.measurements[judged.measurement].reliability >= RELIABLE
            text = judged.text if sure else f"{judged.text} The measurement is uncertain."
            out.append(
                Critical("rule", "present" if sure else "cannot exclude", text, (f"M:{judged.measurement}",), judged.citation)
            )
    if st:
        met = [j for j in st if j.severity == "critical"]
        trusted = all(evidence.measurements[j.measurement].reliability >= RELIABLE for j in met)
        narrow = (evidence.measurements.value("qrs_ms") or 0) < _WIDE_QRS_MS
        state = "present" if met and trusted and narrow else "cannot exclude"
        text = " ".join(dict.fromkeys(j.text for j in met or st))
        out.append(Critical("rule", state, text, tuple(f"M:{j.measurement}" for j in met or st), st[0].citation))
    return tuple(out)


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


@dataclass(frozen=True, eq=False)
class Known:
    """Calibration recordings as one set of leads shows them: summary, and sorted distances to the nearest library case, (n,).

    ``unseen_scores``: of the true cases in ``summary.unseen`` the scores before calibration, for who calibrates anew.
    """

    summary: CalibrationSummary
    distances: NDArray[np.float64]
    unseen_scores: Cases = NO_CASES


@dataclass(frozen=True, eq=False)
class Decision:
    """What declining rests on: the calibration recordings by name of the set of leads (``encoders.leadsets``)."""

    known: Mapping[str, Known]
    encoder_hash: str

    def thresholds(
        self,
        lead_set: str = ALL_LEADS,
        *,
        present_risk: float = 0.05,
        absent_risk: float = 0.05,
        critical_risk: float = 0.02,
    ) -> Thresholds:
        """Thresholds for these risks, each in (0, 0.5], of recordings read from one set of leads."""
        return thresholds_for(
            self.known[lead_set].summary, present_risk=present_risk, absent_risk=absent_risk, critical_risk=critical_risk,
            read_from=lead_set,
        )  # fmt: skip

    def familiarity(self, distance: float, lead_set: str = ALL_LEADS) -> float:
        """Share of the calibration recordings that lie farther from the library than ``distance`` (1 - cosine).

        All were read from the same set of leads: with fewer leads everything lies farther from the library, which is of 12.
        """
        distances = self.known[lead_set].distances
        farther = len(distances) - int(np.searchsorted(distances, distance, side="right"))
        return farther / max(1, len(distances))

    @classmethod
    def load(cls, path: str | Path | None, encoder_hash: str) -> Decision:
        """From the folder with decision.json and decision.safetensors (built-in where None).

        Raises ArtefactError where a file is missing or damaged, lacks a set of leads or belongs to another encoder.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(path) if path is not None else Path(__file__).with_name("weights")
        try:
            card = json.loads((folder / "decision.json").read_text(encoding="utf-8"))
            made_with, version = card["encoder"], card["format"]
            if made_with != encoder_hash:
                raise ArtefactError("The decision thresholds belong to another encoder; run `ecg-assistant train all`.")
            if version != _FORMAT:
                raise ArtefactError(
                    f"The decision thresholds have format {version}; this version reads {_FORMAT}, so fit them again."
                )
            arrays = load_file(folder / "decision.safetensors")
            known = {
                one.name: Known(
                    CalibrationSummary.from_arrays(
                        {part: arrays[f"{one.name}/{part}"] for part in ("logits", "labels", "unseen", "unseen_counts")}
                    ),
                    arrays[f"{one.name}/distances"].astype(np.float64),
                    parted_cases(arrays[f"{one.name}/unseen_scores"], arrays[f"{one.name}/unseen_counts"]),
                )
                for one in LEAD_SETS
            }
        except FileNotFoundError as error:
            name = Path(str(error.filename)).name
            raise ArtefactError(
                f"The decision thresholds are missing ({name}); reinstall or run `ecg-assistant train all`."
            ) from error
        except (KeyError, ValueError, SafetensorError) as error:
            raise ArtefactError("The decision thresholds are damaged; reinstall or run `ecg-assistant train all`.") from error
        return cls(known, encoder_hash)


def fit_decision(
    labels: NDArray[np.uint8],
    probabilities: NDArray[np.floating] | Mapping[str, NDArray[np.floating]],
    patients: NDArray[np.int64],
    distances: NDArray[np.floating] | Mapping[str, NDArray[np.floating]],
    encoder_hash: str,
    out: str | Path | None = None,
    note: dict[str, object] | None = None,
    unseen: Mapping[str, tuple[Cases, Cases]] | None = None,
) -> Decision:
    """Decision from calibration recordings that no training saw; written to the folder ``out`` where given.

    ``labels`` uint8 (n, 71), ``probabilities`` (n, 71) calibrated, ``patients`` (n,), ``distances`` (n,) to the nearest
    library case (1 - cosine), none of the same patient. Probabilities and distances by name of the set of leads they were
    read from, or one array each, read from all twelve (a file that is shipped needs every set). ``unseen``: scores and calibrated
    probabilities of rare statements' true cases in other recordings (``assistant.risk``). The card written last names the
    encoder.
    """
    by_set = probabilities if isinstance(probabilities, Mapping) else {ALL_LEADS: probabilities}
    far = distances if isinstance(distances, Mapping) else {ALL_LEADS: distances}
    known = {}
    for name, p in by_set.items():
        scored, probable = (unseen or {}).get(name, (NO_CASES, NO_CASES))
        summary, apart = summarise(labels, p, probable), np.asarray(far[name], np.float64)
        if len(apart) != summary.recordings or not np.isfinite(apart).all():
            raise QueryError(
                f"There are {len(apart)} distances for {summary.recordings} recordings; one finite value each is needed."
            )
        known[name] = Known(summary, np.sort(apart), scored)
    decision = Decision(known, encoder_hash)
    if out is not None:
        from safetensors.numpy import save_file

        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {}
        for name, one in known.items():
            told = {"distances": one.distances, "unseen_scores": np.concatenate(one.unseen_scores)}
            parts = {**one.summary.to_arrays(), **{part: values.astype(np.float32) for part, values in told.items()}}
            arrays |= {f"{name}/{part}": values for part, values in parts.items()}
        save_file(arrays, folder / "decision.safetensors")
        card = {
            "format": _FORMAT, "encoder": encoder_hash, "recordings": len(labels),
            "patients": len(np.unique(patients)), "unfamiliar_share": UNFAMILIAR_SHARE, **(note or {}),
            "defaults": {name: decision.thresholds(name).to_json() for name in known},
        }  # fmt: skip
        (folder / "decision.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return decision
