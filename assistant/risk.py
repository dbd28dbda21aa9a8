"""Thresholds per statement from a stated risk, out of patients that no training saw.

Two promises, both for recordings like the calibration ones (DESIGN, rule 3):

* **present**: of the findings stated, at most ``present_risk`` are wrong. All statements share one cut on calibrated
  probability, the laxest for which the Clopper-Pearson upper bound (confidence ``CONFIDENCE``) of the wrong share is at most
  the risk. Cuts are tried in a fixed order, strict to lax, until the first that fails (fixed-sequence testing: Angelopoulos
  et al. 2021, "Learn then test", arXiv:2110.01052). A statement known to be wrong too often on its own goes no further with
  the pool; where it has cases enough it earns a cut of its own in the same way.
* **absent**: of the recordings that have the statement, at most ``absent_risk`` (``critical_risk`` for critical ones) are
  called absent. The threshold is an order statistic of the true cases' probabilities, as in split conformal prediction
  (Vovk et al. 2005): with n cases the k-th smallest keeps the promise for k <= risk * (n + 1).

Which promise holds for a statement is kept with it: "alone" where its own cases show it, else "pooled". The pool for
absence holds the statements with too few cases for an order statistic of their own, on the scale of the share of recordings
that look less like the statement.

Below ``MIN_CASES`` true cases the calibration recordings say nothing of absence. True cases of folds 1-8 stand in, as networks of
the same kind saw them that had learned from other patients: the order statistic is theirs, "out of fold", alone or pooled. On
the 38 statements that fold 9 has cases enough of, such thresholds called 5.0 % of 5,837 true cases absent where 5 % are allowed.
Where too few recordings would fall below the threshold (``USEFUL``), or these cases are too few as well, absence is never said:
the statement is "not assessed".

With fewer than twelve leads the same is done on what network and measurements say of those leads, over the statements that
they can bear out at all (``assistant.visible``); the others are neither stated nor excluded, on the basis "leads".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from assistant.visible import can_exclude, can_state
from encoders.errors import ArtefactError, QueryError
from encoders.leadsets import ALL_LEADS, lead_set
from encoders.vocabulary import CODES, STATEMENTS

__all__ = [
    "CONFIDENCE", "MIN_CASES", "NO_CASES", "RARE", "USEFUL", "CalibrationSummary", "Cases", "Thresholds", "fit_risk",
    "parted_cases", "rare_cases", "summarise", "thresholds_for",
]  # fmt: skip

#: One array per statement: what its true cases got, in rising order; empty for statements that need none.
Cases = tuple[NDArray[np.float64], ...]
NO_CASES: Cases = (np.zeros(0),) * len(CODES)

#: Confidence of the bound on the share of wrong findings.
CONFIDENCE = 0.9
#: True cases below which a statement is not assessed.
MIN_CASES = 10
#: Statements with at most so many true cases in folds 1-8 may need these.
RARE = 200
#: Share of the calibration recordings that a threshold "out of fold" must settle as absent to be worth having.
USEFUL = 0.5
#: Findings per recording that the first step of the pooled fixed sequence states.
_START = 0.25
#: Each step of the fixed sequence states this many more findings than the step before.
_STEP = 1.15
#: Cuts that the pool tries, from strict to lax.
_LEVELS = np.arange(0.98, 0.5, -0.01)
_LOGIT_SPAN = 12.0


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Cut-offs on calibrated probability, each array float64 (71,).

    ``present``: stated from here up; above 1 where it is never stated. ``absent``: called absent below it; 0 where absence
    is never said. ``alert``: from here up a statement that is not settled counts as one that cannot be judged.
    ``present_basis`` ("alone", "pooled", "never", "leads"), ``absent_basis`` ("alone", "pooled", "out of fold", "not assessed",
    "leads") say which promise holds; "leads": the leads read cannot bear it out. ``cases``: true cases among the calibration
    recordings. ``present_risk``,
    ``absent_risk``, ``critical_risk``: the risks asked for. ``lead_set``: what was read (``encoders.leadsets``).
    """

    present: NDArray[np.float64]
    absent: NDArray[np.float64]
    alert: NDArray[np.float64]
    present_basis: tuple[str, ...]
    absent_basis: tuple[str, ...]
    cases: tuple[int, ...]
    present_risk: float
    absent_risk: float
    critical_risk: float
    recordings: int
    lead_set: str = ALL_LEADS

    def guarantee(self) -> str:
        """The promise in one sentence, as it is printed beside every finding that rests on it."""
        read = "" if self.lead_set == ALL_LEADS else f", read from {lead_set(self.lead_set).words}"
        return (
            f"At most {100 * self.present_risk:g} % of stated findings wrong and at most {100 * self.absent_risk:g} % of true "
            f"cases called absent ({100 * self.critical_risk:g} % for critical statements), for recordings like the "
            f"{self.recordings} it was calibrated on{read}; pooled over statements where single ones have too few cases, and for "
            "the absence of rare ones shown on other patients."
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "risks": {"present": self.present_risk, "absent": self.absent_risk, "critical": self.critical_risk},
            "recordings": self.recordings,
            "lead_set": self.lead_set,
            "guarantee": self.guarantee(),
            "statements": {
                code: {
                    "present": round(float(self.present[i]), 6),
                    "absent": round(float(self.absent[i]), 6),
                    "alert": round(float(self.alert[i]), 6),
                    "present_basis": self.present_basis[i],
                    "absent_basis": self.absent_basis[i],
                    "cases": self.cases[i],
                }
                for i, code in enumerate(CODES)
            },
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Thresholds:
        """The inverse of ``to_json`` (to six decimals); ArtefactError where a statement is missing."""
        try:
            rows = [data["statements"][code] for code in CODES]
            risks = data["risks"]
            return cls(
                np.array([row["present"] for row in rows], np.float64),
                np.array([row["absent"] for row in rows], np.float64),
                np.array([row["alert"] for row in rows], np.float64),
                tuple(row["present_basis"] for row in rows),
                tuple(row["absent_basis"] for row in rows),
                tuple(int(row["cases"]) for row in rows),
                risks["present"], risks["absent"], risks["critical"], int(data["recordings"]),
                data["lead_set"],
            )  # fmt: skip
        except KeyError as error:
            raise ArtefactError(f"The thresholds lack {error}; they must cover all 71 statements, so fit them again.") from error


@dataclass(frozen=True, eq=False)
class CalibrationSummary:
    """All that thresholds for any risk need: per statement, probabilities in falling order with their labels.

    ``probabilities`` float64 (n, 71), ``labels`` bool (n, 71), each column sorted on its own, so no recording can be put
    together again from them. ``recordings`` = n. ``unseen``: calibrated probabilities of rare statements' true cases in
    other recordings, none of which their networks had learned from.
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.bool_]
    unseen: Cases = NO_CASES

    @property
    def recordings(self) -> int:
        return len(self.probabilities)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Quantised for a file: logits as uint16 over ±12 (steps of 0.0004) and labels as bits."""
        # Files hold C order; the transposes are copied into it.
        return {
            "logits": np.ascontiguousarray(_quantised(self.probabilities).T),
            "labels": np.ascontiguousarray(np.packbits(self.labels.T, axis=1)),
            "unseen": _quantised(np.concatenate(self.unseen)),
            "unseen_counts": np.array([len(one) for one in self.unseen], np.uint16),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> CalibrationSummary:
        p = _restored(arrays["logits"].T)
        labels = np.unpackbits(arrays["labels"], axis=1, count=len(p)).T.astype(bool)
        return cls(p, labels, parted_cases(_restored(arrays["unseen"]), arrays["unseen_counts"]))


def _quantised(probabilities: NDArray[np.float64]) -> NDArray[np.uint16]:
    p = np.clip(probabilities, 1e-9, 1 - 1e-9)
    logits = np.clip(np.log(p / (1 - p)), -_LOGIT_SPAN, _LOGIT_SPAN)
    return np.asarray(np.round((logits + _LOGIT_SPAN) / (2 * _LOGIT_SPAN) * 65535).astype(np.uint16))


def _restored(quantised: NDArray[np.uint16]) -> NDArray[np.float64]:
    logits = quantised.astype(np.float64) / 65535 * 2 * _LOGIT_SPAN - _LOGIT_SPAN
    return np.asarray(1 / (1 + np.exp(-logits)))


def parted_cases(values: NDArray[Any], counts: NDArray[Any]) -> Cases:
    """Values of all statements in a row, as files hold them, and how many each has → one array per statement."""
    return tuple(np.split(values.astype(np.float64), np.cumsum(counts.astype(int))[:-1]))


def rare_cases(labels: NDArray[np.uint8], values: NDArray[np.floating]) -> Cases:
    """Of labels (n, 71) and values (n, 71): what the true cases of statements with at most RARE of them got."""
    true = labels > 0
    few = true.sum(axis=0) <= RARE
    return tuple(np.sort(np.asarray(values[true[:, c], c], np.float64)) if few[c] else np.zeros(0) for c in range(len(CODES)))


def summarise(
    labels: NDArray[np.uint8], probabilities: NDArray[np.floating], unseen: Cases = NO_CASES
) -> CalibrationSummary:
    """Sorts each statement's column; labels (n, 71) and calibrated probabilities (n, 71) of calibration recordings; ``unseen``:
    probabilities of true cases elsewhere."""
    if labels.shape != probabilities.shape or labels.ndim != 2 or labels.shape[1] != len(CODES):
        raise QueryError(
            f"Labels are {labels.shape} and probabilities {probabilities.shape}; both must be (recordings, {len(CODES)})."
        )
    order = np.argsort(-probabilities, axis=0, kind="stable")
    sorted_p = np.take_along_axis(np.asarray(probabilities, np.float64), order, 0)
    return CalibrationSummary(sorted_p, np.take_along_axis(labels > 0, order, 0), unseen)


def fit_risk(
    labels: NDArray[np.uint8],
    probabilities: NDArray[np.floating],
    *,
    present_risk: float = 0.05,
    absent_risk: float = 0.05,
    critical_risk: float = 0.02,
    min_cases: int = MIN_CASES,
    read_from: str = ALL_LEADS,
    unseen: Cases = NO_CASES,
) -> Thresholds:
    """Thresholds from calibration recordings: labels (n, 71) and calibrated probabilities (n, 71); risks in (0, 0.5].

    ``read_from``: name of the set of leads that the probabilities come from; ``unseen``: see ``CalibrationSummary``.
    """
    return thresholds_for(
        summarise(labels, probabilities, unseen),
        present_risk=present_risk, absent_risk=absent_risk, critical_risk=critical_risk, min_cases=min_cases,
        read_from=read_from,
    )  # fmt: skip


def thresholds_for(
    summary: CalibrationSummary,
    *,
    present_risk: float = 0.05,
    absent_risk: float = 0.05,
    critical_risk: float = 0.02,
    min_cases: int = MIN_CASES,
    read_from: str = ALL_LEADS,
) -> Thresholds:
    """Thresholds for these risks, each in (0, 0.5], and for what one set of leads can bear out; QueryError outside."""
    for name, risk in (("present_risk", present_risk), ("absent_risk", absent_risk), ("critical_risk", critical_risk)):
        if not 0 < risk <= 0.5:
            raise QueryError(f"{name} is {risk}; it must lie above 0 and at most 0.5, so give for example 0.05.")
    cases = summary.labels.sum(0)
    risks = np.array([critical_risk if s.urgency == "critical" else absent_risk for s in STATEMENTS])
    present, present_basis = _present(summary, present_risk, can_state(read_from))
    absent, absent_basis = _absent(summary, risks, cases, min_cases, can_exclude(read_from))
    # Where the two regions overlap both promises hold at any cut between; the one nearest to even odds is taken.
    overlap = absent > present
    cut = np.clip(0.5, present, np.maximum(absent, present))
    present, absent = np.where(overlap, cut, present), np.where(overlap, cut, absent)
    return Thresholds(
        present, absent, np.maximum(absent, risks), present_basis, absent_basis, tuple(int(c) for c in cases),
        present_risk, absent_risk, critical_risk, summary.recordings, read_from,
    )  # fmt: skip


def _shown(wrong: NDArray[np.int64] | int, stated: NDArray[np.int64] | int, risk: float) -> bool:
    """True where the upper Clopper-Pearson bound of wrong / stated is at most ``risk``."""
    return bool(bdtr(wrong, stated, risk) <= 1 - CONFIDENCE)


def _known_bad(wrong: int, stated: int, risk: float) -> bool:
    """True where the lower Clopper-Pearson bound of wrong / stated is above ``risk``.

    One wrong label says nothing, even among the two surest findings: it takes two.
    """
    return bool(wrong >= 2 and 1 - bdtr(wrong - 1, stated, risk) <= 1 - CONFIDENCE)


def _present(
    summary: CalibrationSummary, risk: float, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    p_NS, n = summary.probabilities, summary.recordings
    wrong_NS = np.cumsum(~summary.labels, axis=0)
    needed = int(np.ceil(np.log(1 - CONFIDENCE) / np.log(1 - risk)))  # the fewest findings that can show the risk
    # The sequence starts where the test has power: with the fewest findings a single wrong label among the surest would
    # end it. A count of findings does not look at labels, so the promise stays.
    start = max(needed, int(np.ceil(_START * n)))
    threshold, basis = np.full(p_NS.shape[1], 2.0), ["never" if may else "leads" for may in allowed]
    # One cut on calibrated probability for the pool of all statements. A statement that is known to be wrong too
    # often on its own leaves the pool and keeps the last cut that was shown, so that easy ones cannot carry it along.
    pool = [s for s in range(p_NS.shape[1]) if allowed[s]]
    for level in _LEVELS:
        stated_S = (p_NS >= level).sum(0)
        wrong_S = np.where(stated_S > 0, np.take_along_axis(wrong_NS, np.maximum(stated_S - 1, 0)[None], 0)[0], 0)
        pool = [s for s in pool if not _known_bad(int(wrong_S[s]), int(stated_S[s]), risk)]
        if stated_S[pool].sum() < start:
            continue
        if not _shown(int(wrong_S[pool].sum()), int(stated_S[pool].sum()), risk):
            break
        for s in pool:
            threshold[s], basis[s] = float(level), "pooled"
            if stated_S[s] >= needed and _shown(int(wrong_S[s]), int(stated_S[s]), risk):
                basis[s] = "alone"
    # Those that left try a cut of their own, from half of the cases expected (a count that does not look at labels).
    for s in sorted(set(np.flatnonzero(allowed).tolist()) - set(pool)):
        stated = max(needed, int(np.ceil(0.5 * p_NS[:, s].sum())))
        while stated <= n:
            tied = int(np.searchsorted(-p_NS[:, s], -p_NS[stated - 1, s], side="right"))
            if not _shown(int(wrong_NS[tied - 1, s]), tied, risk):
                break
            threshold[s], basis[s] = p_NS[stated - 1, s], "alone"
            stated = max(tied + 1, int(np.ceil(_STEP * tied)))
    return threshold, tuple(basis)


def _absent(
    summary: CalibrationSummary, risks: NDArray[np.float64], cases: NDArray[np.int64], min_cases: int, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    p_NS, n = summary.probabilities, summary.recordings
    threshold, basis = np.zeros(p_NS.shape[1]), ["not assessed" if may else "leads" for may in allowed]
    for s in np.flatnonzero(allowed).tolist():
        k = int(np.floor(risks[s] * (cases[s] + 1)))
        if cases[s] >= min_cases and k >= 1:
            true_cases = p_NS[summary.labels[:, s], s][::-1]  # rising
            threshold[s], basis[s] = true_cases[k - 1], "alone"
    for risk in np.unique(risks):
        pool = [s for s in range(p_NS.shape[1]) if basis[s] == "not assessed" and cases[s] >= min_cases and risks[s] == risk]
        if not pool:
            continue
        # Share of calibration recordings that look less like the statement than each true case does.
        below = np.sort(np.concatenate([1 - (np.flatnonzero(summary.labels[:, s]) + 1) / n for s in pool]))
        k = int(np.floor(risk * (len(below) + 1)))
        if k < 1:
            continue
        for s in pool:
            row = min(n - 1, int(round((1 - below[k - 1]) * n)) - 1)
            threshold[s], basis[s] = p_NS[row, s], "pooled"
    for s, value in _out_of_fold(summary, risks, [s for s, word in enumerate(basis) if word == "not assessed"]).items():
        if (p_NS[:, s] < value).mean() >= USEFUL:
            threshold[s], basis[s] = value, "out of fold"
    return threshold, tuple(basis)


def _out_of_fold(summary: CalibrationSummary, risks: NDArray[np.float64], wanted: list[int]) -> dict[int, float]:
    """Thresholds of absence from true cases elsewhere: of the statement's own where they suffice, else pooled by risk."""
    p_NS, n = summary.probabilities, summary.recordings
    found: dict[int, float] = {}
    for s in wanted:
        k = int(np.floor(risks[s] * (len(summary.unseen[s]) + 1)))
        if k >= 1:
            found[s] = float(summary.unseen[s][k - 1])
    for risk in np.unique(risks[wanted]):
        pool = [s for s in wanted if s not in found and len(summary.unseen[s]) >= MIN_CASES and risks[s] == risk]
        # Share of calibration recordings that look less like the statement than each true case does.
        below = np.sort(np.concatenate([(p_NS[:, [s]] < summary.unseen[s]).mean(axis=0) for s in pool])) if pool else np.zeros(0)
        k = int(np.floor(risk * (len(below) + 1)))
        if k >= 1:
            row = min(n - 1, max(0, int(np.ceil((1 - below[k - 1]) * n))))
            found |= {s: float(p_NS[row, s]) for s in pool}
    return found
