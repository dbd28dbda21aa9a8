"""Which leads and times speak for a statement: integrated gradients of its logit over the network's input.

Integrated gradients (Sundararajan et al., ICML 2017) from a silent recording to the recording itself; the values add up to the
difference of the two logits, up to the number of steps. Silence is the recording all but scaled away, not 0 mV: a lead that is
0 mV throughout counts as missing, and then another part of the network answers.
A network of millivolts changes its mind mostly while the recording is still small, so the steps lie densest near silence
(shares u² of the recording, u evenly spaced); which steps, and what they cost and leave: tests/benchmarks/attribution.py.
What speaks for a statement is not its cause, and a clinician's criteria need not lie where the network looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from encoders.clean import MODEL_FS_HZ
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.encode import Encoder, prepare
from encoders.errors import QueryError
from encoders.vocabulary import CODES

if TYPE_CHECKING:
    from encoders.network import EncoderNetwork

__all__ = [
    "PATCH",
    "POWER",
    "SILENCE",
    "STEPS",
    "Attribution",
    "Span",
    "attribute",
    "attribute_array",
    "deletion_insertion",
    "faithfulness",
    "integrated",
    "path",
]

#: Points on the way from silence to the recording, and the power of u that they lie at. Chosen on fold 8: faithfulness
#: hardly depend on them, but 12 squares leave a median of 4 % of the sum unexplained, 8 of them 9 %, 12 even steps 14 %.
STEPS, POWER = 12, 2.0
#: What a recording is multiplied with to silence it: too little to be seen, and still there.
SILENCE = 1e-6
#: Patches that deletion and insertion take away or give back: 0.1 s of one lead.
PATCH = 10
_SMOOTH_S = 0.08
_CURVE_POINTS = 11


@dataclass(frozen=True)
class Span:
    """A stretch of one lead that speaks for a statement: ``start_s``, ``end_s``, and its ``share`` (0-1) of all that does."""

    lead: str
    start_s: float
    end_s: float
    share: float


@dataclass(frozen=True, eq=False)
class Attribution:
    """Values float32 (12, samples) at 100 Hz in logits: above 0 speaks for the statement, below 0 against it."""

    code: str
    values: NDArray[np.float32]
    logit: float

    def by_lead(self) -> dict[str, float]:
        """Share of what speaks for the statement, per lead; sums to 1 (all 0 where nothing does)."""
        positive = np.clip(self.values, 0, None).sum(1)
        total = float(positive.sum())
        return {lead: float(v) / total if total else 0.0 for lead, v in zip(STANDARD_LEADS, positive, strict=True)}

    def spans(self, n: int = 6) -> list[Span]:
        """The ``n`` stretches that speak most for it: runs above a third of the highest smoothed value of all leads."""
        width = max(1, int(_SMOOTH_S * MODEL_FS_HZ))
        kernel = np.ones(width) / width
        positive = np.clip(self.values, 0, None)
        total = float(positive.sum())
        found: list[Span] = []
        top = max(float(np.convolve(row, kernel, "same").max()) for row in positive)
        if total == 0 or top == 0:
            return []
        for lead, row in zip(STANDARD_LEADS, positive, strict=True):
            high = np.convolve(row, kernel, "same") > top / 3
            edges = np.flatnonzero(np.diff(np.concatenate([[0], high.astype(np.int8), [0]])))
            for start, end in zip(edges[::2], edges[1::2], strict=True):
                share = float(row[start:end].sum()) / total
                found.append(Span(lead, start / MODEL_FS_HZ, end / MODEL_FS_HZ, share))
        return sorted(found, key=lambda span: -span.share)[:n]


def attribute(encoder: Encoder, ecg: ECG, code: str, steps: int = STEPS) -> Attribution:
    """What speaks for ``code`` (one of the 71) in a recording of any calibrated set of leads.

    Raises RecordingError where the recording contains no calibrated set, QueryError for an unknown code.
    """
    if code not in CODES:
        raise QueryError(f"{code!r} is no code of the vocabulary; give one of its SCP codes, such as CLBBB, 1AVB or AFIB.")
    values, logit = attribute_array(encoder.network, prepare(ecg), CODES.index(code), steps)
    return Attribution(code, values, logit)


def attribute_array(
    network: EncoderNetwork, x_mv: NDArray[np.floating], column: int, steps: int = STEPS
) -> tuple[NDArray[np.float32], float]:
    """The same for a prepared array (12, samples) in mV and a column of the vocabulary; also the recording's logit."""
    import torch

    values = integrated(network, x_mv, column, *path(steps))
    with torch.inference_mode():
        logit = float(network.encode(torch.from_numpy(np.asarray(x_mv, dtype=np.float32))[None])[0][0, column])
    return values, logit


def path(steps: int, power: float = POWER) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shares of the recording (steps,) at which the gradient is taken, and their weights (steps,), which add up to about 1.

    Midpoints of even steps of u, the share being u ** ``power``: 1 gives the plain rule.
    """
    u = (np.arange(steps) + 0.5) / steps
    return (u**power).astype(np.float32), (power * u ** (power - 1) / steps).astype(np.float32)


def integrated(
    network: EncoderNetwork,
    x_mv: NDArray[np.floating],
    column: int,
    shares: NDArray[np.floating],
    weights: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Input times the weighted sum of the gradients of one logit at these shares of the input: (12, samples), in logits."""
    import torch

    x = torch.from_numpy(np.asarray(x_mv, dtype=np.float32))
    batch = (torch.from_numpy(np.asarray(shares, np.float32))[:, None, None] * x).requires_grad_(True)
    logits = network.encode(batch)[0][:, column]
    (gradient,) = torch.autograd.grad(logits.sum(), batch)
    mean = torch.einsum("n,nls->ls", torch.from_numpy(np.asarray(weights, np.float32)), gradient)
    values: NDArray[np.float32] = (mean * x).numpy()
    return values


def faithfulness(
    network: EncoderNetwork, x_mv: NDArray[np.floating], column: int, values: NDArray[np.floating], rng: np.random.Generator
) -> dict[str, float]:
    """Deletion and insertion (Petsiuk et al., 2018) against patches in random order.

    Patches of 0.1 s of one lead are silenced in the order of their attribution (deletion), or given back to a silent
    recording (insertion); each figure is the mean over the curve of the share (logit - silent) / (full - silent). A faithful
    attribution has low deletion and high insertion. Keys: deletion, insertion, random_deletion, random_insertion.
    """
    named = {"": values, "random_": rng.random(np.shape(values))}
    out = {}
    for name, each in named.items():
        out[f"{name}deletion"], out[f"{name}insertion"] = deletion_insertion(network, x_mv, column, each)
    return out


def deletion_insertion(
    network: EncoderNetwork, x_mv: NDArray[np.floating], column: int, values: NDArray[np.floating]
) -> tuple[float, float]:
    """The two figures of ``faithfulness`` for one attribution (12, samples)."""
    import torch

    leads, samples = x_mv.shape
    n_patches = samples // PATCH
    order = np.argsort(-values[:, : n_patches * PATCH].reshape(leads, n_patches, PATCH).sum(-1).ravel(), kind="stable")
    counts = np.linspace(0, order.size, _CURVE_POINTS).round().astype(int)
    masks = []
    for count in counts:
        gone = np.zeros(order.size, bool)
        gone[order[:count]] = True
        wide = np.repeat(gone.reshape(leads, n_patches), PATCH, axis=1)
        masks.append(np.pad(wide, [(0, 0), (0, samples - wide.shape[1])], mode="edge"))
    given = np.stack(masks)
    # Both curves have the same ends, the recording and silence.
    kept = np.where(np.concatenate([~given, given[1:-1]]), 1.0, SILENCE)
    x = torch.from_numpy((np.asarray(x_mv, dtype=np.float32) * kept).astype(np.float32))
    with torch.inference_mode():
        logits = network.encode(x)[0][:, column].double().numpy()
    full, silent = logits[0], logits[_CURVE_POINTS - 1]
    share = (logits - silent) / (full - silent)
    deletion, insertion = share[:_CURVE_POINTS], np.concatenate([[0.0], share[_CURVE_POINTS:], [1.0]])
    return float(deletion.mean()), float(insertion.mean())
