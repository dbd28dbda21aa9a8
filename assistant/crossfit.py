"""What the thresholds do on patients they have not seen: fitted on one half, reported on the other, then swapped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from assistant.decide import STATES, Settled, refer_many, settle
from assistant.risk import NO_CASES, Cases, fit_risk
from assistant.rules import RULES, Measured
from encoders.calibrate import fit_calibration
from encoders.errors import QueryError
from encoders.evaluate import age_bands, patient_halves
from encoders.leadsets import ALL_LEADS
from encoders.metrics import auroc_per_statement, calibration_error
from encoders.vocabulary import CODES, STATEMENTS

__all__ = ["cross_fit_report"]


def cross_fit_report(
    labels: NDArray[np.uint8],
    scores: NDArray[np.floating],
    patients: NDArray[np.int64],
    measured: Measured,
    *,
    logits: bool,
    ages: NDArray[np.floating],
    usable: NDArray[np.bool_] | None = None,
    distances: NDArray[np.floating] | None = None,
    present_risk: float = 0.05,
    absent_risk: float = 0.05,
    critical_risk: float = 0.02,
    seed: int = 0,
    lead_set: str = ALL_LEADS,
    listed: NDArray[np.bool_] | None = None,
    unseen: Cases = NO_CASES,
) -> dict[str, Any]:
    """Referral, stated findings and missed cases, each half judged by what the other half taught; a JSON-like dict.

    ``labels`` uint8 (n, 71); ``scores`` (n, 71), logits where ``logits`` (the calibration curves are then fitted on each half,
    too) or else probabilities that are calibrated already; ``patients`` (n,); ``measured`` with sexes; ``ages`` (n,) in
    years, NaN where unknown; ``usable`` (n,) from the gate; ``distances`` (n,) to the nearest library case; ``lead_set``: name
    of the set of leads that scores, measurements and distances come from; ``listed`` bool (n, 71): statements whose absence
    similar cases speak against; ``unseen``: scores of rare statements' true cases in other recordings (``assistant.risk``), of
    the kind of ``scores``.
    """
    first = patient_halves(patients, seed)
    if not 0 < first.sum() < len(first):
        raise QueryError(f"There are {len(np.unique(patients))} patients; at least two are needed to split them in halves.")
    n = len(labels)
    probabilities = np.zeros((n, len(CODES)))
    states = np.zeros((n, len(CODES)), np.int8)
    present, doubted, heeded = (np.zeros((n, len(CODES)), bool) for _ in range(3))
    conflicts = np.zeros((n, len(RULES)), bool)
    assessed = np.zeros((n, len(CODES)), bool)
    kinds: dict[str, NDArray[np.bool_]] = {}
    risks = {"present_risk": present_risk, "absent_risk": absent_risk, "critical_risk": critical_risk}
    fits = []
    for fit, show in ((first, ~first), (~first, first)):
        curve = fit_calibration(scores[fit], labels[fit], "") if logits else None
        p_fit, p_show = (scores[fit], scores[show]) if curve is None else (curve.apply(scores[fit]), curve.apply(scores[show]))
        thresholds = fit_risk(
            labels[fit], p_fit, present_risk=present_risk, absent_risk=absent_risk, critical_risk=critical_risk,
            read_from=lead_set,
            unseen=unseen if curve is None else curve.curves[ALL_LEADS].each(unseen),
        )  # fmt: skip
        part = Measured(measured.values[show], measured.reliability[show], measured.female[show], measured.sex_known[show])
        settled = settle(p_show, part, thresholds, None if listed is None else listed[show])
        familiar = None
        if distances is not None:
            known = np.sort(distances[fit])
            familiar = 1 - np.searchsorted(known, distances[show], side="right") / len(known)
        reasons = refer_many(
            settled, p_show, thresholds, ages=ages[show], usable=None if usable is None else usable[show], familiarity=familiar
        )
        for kind, which in reasons.items():
            kinds.setdefault(kind, np.zeros(n, bool))[show] = which
        probabilities[show], states[show], present[show] = p_show, settled.states, settled.present
        conflicts[show], doubted[show], heeded[show] = settled.fired, settled.doubted, settled.heeded
        assessed[show] = np.array([basis not in ("not assessed", "leads") for basis in thresholds.absent_basis])
        fits.append(thresholds)
    settled = Settled(states, present, conflicts, doubted, heeded)
    referred = np.logical_or.reduce(list(kinds.values()))
    only_sinus = (states == 0).any(1) & ~np.delete(states == 0, CODES.index("SR"), axis=1).any(1)
    error = calibration_error(labels, probabilities.astype(np.float32))
    auroc = auroc_per_statement(labels, probabilities.astype(np.float32))
    critical = np.array([s.urgency == "critical" for s in STATEMENTS])
    everything = np.ones(n, bool)
    groups = age_bands(ages)
    groups |= {
        "age unknown": np.isnan(ages),
        "women": measured.female & measured.sex_known,
        "men": ~measured.female & measured.sex_known,
        "sex unknown": ~measured.sex_known,
    }
    return {
        "recordings": n,
        "lead_set": lead_set,
        "risks": risks,
        "macro_auroc": float(np.nanmean(auroc)),
        "calibration_error": {"mean": float(error.mean()), "worst": float(error.max()), "worst_code": CODES[int(error.argmax())]},
        "referred": {
            "share": float(referred.mean()),
            "by_reason": {kind: float(which.mean()) for kind, which in kinds.items()},
            "share_if_sinus_rhythm_alone_were_nothing": float((referred | only_sinus).mean()),
        },
        "stated": _stated(labels, settled, everything),
        "stated_in_drafts": _stated(labels, settled, ~referred),
        "absent": {
            **_missed(labels, states, assessed, ~critical, "other"),
            **_missed(labels, states, assessed, critical, "critical"),
        },
        "not_absent_for_similar_cases": {
            "findings": int(heeded.sum()), "listed": int((heeded & (labels > 0)).sum()),
            "recordings": int(heeded.any(1).sum()),
            "by_statement": {CODES[c]: int(heeded[:, c].sum()) for c in np.flatnonzero(heeded.any(0))},
        },
        "states_per_recording": {word: float((states == i).sum() / n) for i, word in enumerate(STATES)},
        "conflicts": {rule.id: int(conflicts[:, r].sum()) for r, rule in enumerate(RULES) if conflicts[:, r].any()},
        "by_group": {
            name: {"recordings": int(which.sum()), "referred": float(referred[which].mean()), **_stated(labels, settled, which)}
            for name, which in groups.items()
            if which.any()
        },
        "by_statement": {
            code: {
                "cases": int(labels[:, i].sum()),
                "auroc": None if np.isnan(auroc[i]) else float(auroc[i]),
                "calibration_error": float(error[i]),
                "stated": int((states[:, i] == 0).sum()),
                "stated_right": int(((states[:, i] == 0) & (labels[:, i] > 0)).sum()),
                "absent": int((states[:, i] == 1).sum()),
                "absent_but_listed": int(((states[:, i] == 1) & (labels[:, i] > 0)).sum()),
                "basis": [[t.present_basis[i], t.absent_basis[i]] for t in fits],
            }
            for i, code in enumerate(CODES)
        },
    }


def _stated(labels: NDArray[np.uint8], settled: Settled, which: NDArray[np.bool_]) -> dict[str, Any]:
    """Precision with its 95 % Clopper-Pearson interval, and recall, of the findings stated in some recordings."""
    said, true = settled.states[which] == 0, labels[which] > 0
    count, right = int(said.sum()), int((said & true).sum())
    low = float(betaincinv(right, count - right + 1, 0.025)) if right else 0.0
    high = float(betaincinv(right + 1, count - right, 0.975)) if right < count else 1.0
    return {
        "stated": count,
        "per_recording": count / max(1, int(which.sum())),
        "precision": right / count if count else None,
        "precision_95": [low, high] if count else None,
        "recall": right / int(true.sum()) if true.any() else None,
    }


def _missed(
    labels: NDArray[np.uint8], states: NDArray[np.int8], assessed: NDArray[np.bool_], columns: NDArray[np.bool_], name: str
) -> dict[str, Any]:
    """Of the true cases of assessed statements, how many were called absent."""
    true = (labels > 0) & assessed & columns
    missed = true & (states == 1)
    return {
        name: {
            "true_cases": int(true.sum()),
            "called_absent": int(missed.sum()),
            "share": float(missed.sum() / true.sum()) if true.any() else None,
            "cases_of_statements_not_assessed": int(((labels > 0) & ~assessed & columns).sum()),
        }
    }
