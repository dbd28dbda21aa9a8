"""What is known of one recording for questions in ECG-QA's convention: probabilities, the axis, the average beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assistant.ecgqa.features import FS_HZ, N_SAMPLES, axis_signs, signal_features
from assistant.ecgqa.heads import Heads, inputs_of
from assistant.ecgqa.outputs import OUTPUTS
from assistant.ecgqa.sets import FIELDS, SCORES
from assistant.ecgqa.values import CODE_OF
from encoders.calibrate import log_odds
from encoders.ecg import ECG, STANDARD_LEADS

if TYPE_CHECKING:
    from encoders.encode import Encoder

__all__ = ["Known", "know", "known_of"]

_COLUMN = {name: i for i, name in enumerate(OUTPUTS)}
_AT_R = 40  # sample of the average beat at which R stands


@dataclass(frozen=True, eq=False)
class Known:
    """``probability`` float64 (outputs,), calibrated; ``axis`` net QRS in leads I and aVF in mV; ``beat`` (12, 100) in mV.

    ``scores`` float32: what ``Heads.set_scores`` says; where None, whole sets go by the probabilities of their values.
    """

    probability: NDArray[np.float64]
    axis: tuple[float, float]
    beat: NDArray[np.float64]
    scores: NDArray[np.float32] | None = None

    def p(self, name: str) -> float:
        """Probability of an output of ``assistant.ecgqa.outputs`` by its name; KeyError for another."""
        return float(self.probability[_COLUMN[name]])

    def listed(self, code: str) -> float:
        """Probability that a statement is listed, sure or not."""
        unsure = f"unsure:{code}"
        return min(0.999, self.p(f"sure:{code}") + (self.p(unsure) if unsure in _COLUMN else 0.0))

    def scores_of(self, field: str) -> NDArray[np.float64]:
        """Scores of the values of a field of ``assistant.ecgqa.sets``, float64 (values,)."""
        if self.scores is not None:
            return np.asarray(self.scores[SCORES[field]], np.float64)
        kinds = {"noise": "noise", "stage_of_infarction": "stage", "extra_systole": "extra", "numeric_feature": "abnormal"}
        kind = kinds.get(field)
        sure = field == "diagnostic, sure"
        p = [
            self.p(f"{kind}:{name}") if kind else self.p(f"sure:{CODE_OF[name]}") if sure else self.listed(CODE_OF[name])
            for name in FIELDS[field]
        ]
        return log_odds(np.array(p))

    def in_lead(self, code: str, lead: int) -> float:
        """How far the average beat of one lead bears out a statement on the form of QRS, ST or T, 0-1.

        T from 0.16 to 0.45 s after R, ST at 0.12 s, against the level before QRS. The limits are usual ones: ST 0.05 mV below or
        0.1 above, T below 0 or under a tenth of R, Q of 0.1 mV in front of R, QRS under 0.5 mV (limb) or 1 mV (chest).
        """
        beat = self.beat[lead] - np.median(self.beat[lead, _AT_R - 10 : _AT_R - 6])
        qrs, t = beat[_AT_R - 6 : _AT_R + 8], beat[_AT_R + 16 : _AT_R + 45]
        st, height = float(beat[_AT_R + 12]), float(np.ptp(qrs))
        wave = float(t.max() if t.max() > -t.min() else t.min())
        low = 0.5 if lead < 6 else 1.0

        def soft(margin: float, width: float) -> float:
            return float(1 / (1 + np.exp(-np.clip(margin / width, -30, 30))))

        flat, down = soft(0.1 * max(qrs.max(), 0.2) - abs(wave), 0.03), soft(-wave - 0.05, 0.03)
        q = -float(qrs[:6].min())
        said = {
            "STD_": soft(-st - 0.05, 0.02), "STE_": soft(st - 0.1, 0.02), "NST_": soft(abs(st) - 0.05, 0.02),
            "INVT": down if STANDARD_LEADS[lead] != "aVR" else 0.05, "LOWT": flat, "QWAVE": soft(q - 0.1, 0.05),
            "LVOLT": soft(low - height, 0.1), "HVOLT": soft(height - 2.5, 0.3), "VCLVH": soft(height - 2.5, 0.3),
        }  # fmt: skip
        return said.get(code, max(flat, down) if code in ("NDT", "NT_", "TAB_", "DIG") else 0.5)


def _at_100_hz(ecg: ECG) -> NDArray[np.float64]:
    """The twelve leads as recorded, (12, 1000) at 100 Hz in mV; leads that are not there stay silent."""
    from math import gcd

    from scipy.signal import resample_poly

    out = np.zeros((len(STANDARD_LEADS), N_SAMPLES))
    signal = np.nan_to_num(ecg.signal_mv.astype(np.float64))
    if ecg.fs_hz != FS_HZ:
        up, down = round(FS_HZ), max(1, round(ecg.fs_hz))
        shared = gcd(up, down)
        signal = resample_poly(signal, up // shared, down // shared, axis=1, padtype="line")
    length = min(N_SAMPLES, signal.shape[1])
    for row, name in enumerate(ecg.leads):
        if name in STANDARD_LEADS:
            out[STANDARD_LEADS.index(name), :length] = signal[row, :length]
    return out


def known_of(
    heads: Heads, embeddings: NDArray[np.floating], scores: NDArray[np.floating], features: NDArray[np.floating],
    beats: NDArray[np.floating],
) -> list[Known]:  # fmt: skip
    """The same from what encoder, measurements and ``signal_features`` gave: embeddings (n, 256), joined scores of the statements
    (n, 71; ``encoders.fusion``), signs and beats (n, 12, 100)."""
    odds = heads.log_odds(embeddings, scores, features).astype(np.float64)
    p = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
    sets = heads.set_scores(inputs_of(embeddings, heads.base(scores), features))
    return [Known(p[i], axis_signs(beat), beat, sets[i]) for i, beat in enumerate(np.asarray(beats, np.float64))]


def know(ecgs: Sequence[ECG], encoder: Encoder, heads: Heads) -> list[Known]:
    """What is known of each recording, in order, in one batch of the encoder. RecordingError where leads do not suffice."""
    from encoders.measure import measure

    if not ecgs:
        return []
    seen = encoder.encode(list(ecgs))
    scores = [encoder.joined_scores(one, measure(ecg), ecg.age_years, ecg.sex) for one, ecg in zip(seen, ecgs, strict=True)]
    signs = [signal_features(_at_100_hz(ecg)) for ecg in ecgs]
    return known_of(
        heads, np.stack([e.embedding for e in seen]), np.stack(scores),
        np.stack([features for features, _ in signs]), np.stack([beat for _, beat in signs]),
    )  # fmt: skip
