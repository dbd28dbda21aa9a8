"""What can be shown of a statement: the leads and stretches that speak for it, and the parts of the beats they fall on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.attribution import Attribution, Span, attribute
from encoders.clean import MODEL_FS_HZ
from encoders.ecg import ECG
from encoders.fusion import Weighed, measured_row
from encoders.leadsets import needed_set

if TYPE_CHECKING:
    from encoders.delineate import Delineation
    from encoders.encode import Encoder
    from encoders.measurements import Measurements

__all__ = ["NOTE", "OUTSIDE", "PARTS", "Explanation", "Touched", "beat_parts", "explain", "share_by_part"]

NOTE = (
    "This shows where the network looked, not why the patient has the finding; a clinician's criteria need not lie there."
)
#: Parts of a beat, in order of time: from P onset to QRS onset, the QRS complex, from QRS offset to T offset.
PARTS = ("P-PR", "QRS", "ST-T")
OUTSIDE = "outside"
#: A stretch is said to fall on a part of a beat that holds at least this share of what speaks in it.
_TOUCHES = 0.1

Parts = tuple[NDArray[np.int8], NDArray[np.int16]]


@dataclass(frozen=True)
class Touched:
    """A part of a beat under a stretch: ``beat`` counts from 1, None for waves that belong to no beat; ``share`` 0-1 of what
    speaks for the statement in the stretch."""

    beat: int | None
    part: str
    share: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """One statement in one recording.

    ``by_lead``: share of what speaks for the statement (0-1, sums to 1), of the leads that were read. ``spans``: the
    stretches that speak most, each with the parts of the beats it falls on. ``by_part``: the same share by part of the beat
    and outside of any, and ``time``: the share of the recording that these parts take, which an indifferent attribution would
    give. Both are empty where no beats could be told. ``measured``: the measurements that moved the probability most, beside what
    the network saw; empty where none were given.
    """

    attribution: Attribution
    by_lead: dict[str, float]
    spans: tuple[tuple[Span, tuple[Touched, ...]], ...]
    by_part: dict[str, float]
    time: dict[str, float]
    measured: tuple[Weighed, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Shares to four decimals, times in s from the start of the recording."""
        return {
            "code": self.attribution.code,
            "logit": round(self.attribution.logit, 4),
            "leads": {lead: round(share, 4) for lead, share in self.by_lead.items()},
            "spans": [
                {
                    "lead": span.lead,
                    "start_s": round(span.start_s, 3),
                    "end_s": round(span.end_s, 3),
                    "share": round(span.share, 4),
                    "falls_on": [{"beat": t.beat, "part": t.part, "share": round(t.share, 4)} for t in touched],
                }
                for span, touched in self.spans
            ],
            "parts": {
                name: {"share": round(share, 4), "time": round(self.time[name], 4)} for name, share in self.by_part.items()
            },
            "measured": [{"name": w.name, "value": w.value, "log_odds": round(w.log_odds, 3)} for w in self.measured],
        }


def beat_parts(found: Delineation | None, fs_hz: float, n_samples: int) -> Parts:
    """Which part of which beat every sample at 100 Hz belongs to: index into PARTS (-1: none), and beat from 0 (-1: none).

    ``fs_hz``: rate of the recording that was delineated. Boundaries of each beat are medians over the good leads, the same for
    every lead. P-PR ends with the QRS complex it leads to, ST-T begins with the end of its QRS; a P wave that leads to none and a
    T wave whose QRS is not recorded stand for themselves, from their own onset to their own offset.
    """
    part, beat = np.full(n_samples, -1, np.int8), np.full(n_samples, -1, np.int16)
    if found is None:
        return part, beat
    events = found.fiducials.overall
    good = {lead for lead, ok in zip(found.leads, found.good, strict=True) if ok}
    marks = np.array([(w.onset, w.offset) for w in found.fiducials.waves if w.lead in good], np.float64)
    # Every lead has the same waves in the same order as all leads together.
    onset, offset = np.median(marks.reshape(len(good), len(events), 2), axis=0).T * MODEL_FS_HZ / fs_hz
    qrs = {event.beat: i for i, event in enumerate(events) if event.wave == "QRS"}
    # QRS last: where two parts meet, it goes before its neighbours.
    for kind in ("T", "P", "QRS"):
        for i, event in enumerate(events):
            if event.wave != kind:
                continue
            own = qrs.get(event.beat) if event.beat is not None else None
            first = offset[own] if kind == "T" and own is not None else onset[i]
            last = onset[own] if kind == "P" and own is not None else offset[i]
            stretch = slice(max(0, round(first)), max(0, round(last)))
            part[stretch] = {"P": 0, "QRS": 1, "T": 2}[kind]
            beat[stretch] = -1 if event.beat is None else event.beat
    return part, beat


def share_by_part(weights: NDArray[np.floating], part: NDArray[np.int8]) -> dict[str, float]:
    """Share of non-negative weights (..., samples) on each of PARTS and outside; sums to 1 (all 0 where the weights are)."""
    per_sample = np.asarray(weights, np.float64).reshape(-1, len(part)).sum(0)
    total = float(per_sample.sum())
    sums = {name: float(per_sample[part == i].sum()) for name, i in zip((*PARTS, OUTSIDE), (0, 1, 2, -1), strict=True)}
    return {name: value / total if total else 0.0 for name, value in sums.items()}


def explain(
    encoder: Encoder, ecg: ECG, code: str, found: Delineation | None, *, measurements: Measurements | None = None, n: int = 6
) -> Explanation:
    """The leads and the ``n`` stretches that speak most for ``code`` in the first 10 s of a recording.

    ``found``: what ``encoders.delineate`` makes of the same recording; ``measurements``: those that its probabilities rest on,
    None to leave out what they add. Raises RecordingError where the recording contains no
    calibrated set of leads and QueryError for an unknown code.
    """
    attribution = attribute(encoder, ecg, code)
    samples = attribution.values.shape[1]
    part, beat = beat_parts(found, ecg.fs_hz, samples)
    positive = np.clip(attribution.values, 0, None)
    read = needed_set(ecg.leads)
    rows = dict(zip(read.leads, read.rows, strict=True))
    spans = tuple((span, _touched(span, positive[rows[span.lead]], part, beat)) for span in attribution.spans(n))
    recorded = np.arange(samples) < round(ecg.duration_s * MODEL_FS_HZ)
    known = found is not None
    return Explanation(
        attribution,
        {lead: share for lead, share in attribution.by_lead().items() if lead in rows},
        spans,
        share_by_part(positive, part) if known else {},
        share_by_part(recorded.astype(np.float64), part) if known else {},
        () if measurements is None else _weighed(encoder, ecg, code, measurements),
    )  # fmt: skip


def _weighed(encoder: Encoder, ecg: ECG, code: str, measurements: Measurements) -> tuple[Weighed, ...]:
    encoding = encoder.encode([ecg])[0]
    return encoder.fused()[encoding.lead_set].weighed(code, encoding.logits, measured_row(measurements, ecg.age_years, ecg.sex))


def _touched(span: Span, row: NDArray[np.float32], part: NDArray[np.int8], beat: NDArray[np.int16]) -> tuple[Touched, ...]:
    """Parts of beats under one stretch in order of time; ``row``: what speaks in its lead, (samples,)."""
    inside = range(round(span.start_s * MODEL_FS_HZ), round(span.end_s * MODEL_FS_HZ))
    sums: dict[tuple[int, int], float] = {}
    for i in inside:
        if part[i] >= 0:
            key = (int(beat[i]), int(part[i]))
            sums[key] = sums.get(key, 0.0) + float(row[i])
    total = float(row[inside.start : inside.stop].sum())
    return tuple(
        Touched(None if b < 0 else b + 1, PARTS[p], value / total) for (b, p), value in sums.items() if value >= _TOUCHES * total
    )
