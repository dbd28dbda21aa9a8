"""Whether the electrodes are where their leads' names say: exchanged limb electrodes, chest electrodes, or a heart on the right.

An exchange of electrodes is a matrix on the eight independent leads (Kligfield et al. 2007, AHA/ACC/HRS part I, describes what
the commonest do). A small network, trained on PTB-XL recordings taken as correctly recorded (``encoders.placement_fit``),
scores how usual an averaged beat is; every exchange is tried, and where one makes the recording far more usual than it
stands, that exchange is suspected. With chest leads lost, the limb leads are judged by a second network of their own. An
exchange with the right leg leaves one limb lead nearly flat, and that is a rule.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import LIMB_LEADS, PRECORDIAL_LEADS
from encoders.errors import ArtefactError
from encoders.placement_beat import BEAT_BEFORE, PlacementBeat
from encoders.placement_signs import Waveforms, signs_under, waveforms

__all__ = [
    "EXCHANGES",
    "GROUPS",
    "LIMB_EXCHANGES",
    "Exchange",
    "Model",
    "Placement",
    "judge_placement",
    "load_models",
    "log_odds",
    "settle",
]

Floats = NDArray[np.float64]

#: Groups of exchanges that share a budget of false alarms: "arm" (right and left arm), "heart" (a heart on the right), "turn"
#: (right arm and left leg, and both rotations of the limb electrodes), "left" (left arm and left leg, which change little),
#: "chest".
GROUPS = ("arm", "heart", "turn", "left", "chest")
#: Flat limb lead: its size over the largest of I, II, III below this, and P, QRS and T of the other two alike.
_FLAT_RATIO = 0.07
#: Odds from which an exchange of the arms is not excluded, though not suspected either.
_OPEN_LOG_ODDS = -3.0
#: Log of how much commoner an exchange of the arms is than any other single one (Kligfield et al. 2007: the commonest limb
#: exchange; the figure is a judgement). It decides only between exchanges that are suspected anyway.
_ARMS_COMMONER = 2.0


@dataclass(frozen=True, eq=False)
class Exchange:
    """``matrix`` (8, 8) on I, II, V1-V6 turns what was recorded into what would have been, and back; rotations come in pairs.
    ``leads``: those that it changes; ``words``: the electrodes as named in a sentence."""

    kind: str
    group: str
    leads: tuple[str, ...]
    words: str
    matrix: Floats


#: Dower's matrix from X, Y, Z to I, II, V1-V6 (Dower et al. 1980, J Electrocardiol 13:109; recalled, the text was not at hand).
_DOWER = np.array(
    [
        (0.632, -0.235, 0.059),
        (0.235, 1.066, -0.132),
        (-0.515, 0.157, -0.917),
        (0.044, 0.164, -1.387),
        (0.882, 0.098, -1.277),
        (1.213, 0.127, -0.601),
        (1.125, 0.127, -0.086),
        (0.831, 0.076, 0.230),
    ]
)


def _exchanges() -> tuple[Exchange, ...]:
    def limb(kind: str, group: str, same: str, words: str, rows: tuple[tuple[int, int], tuple[int, int]]) -> Exchange:
        matrix = np.eye(8)
        matrix[:2, :2] = rows
        return Exchange(kind, group, tuple(n for n in LIMB_LEADS if n != same), words, matrix)

    def chest(kind: str, order: list[int], words: str = "") -> Exchange:
        matrix = np.eye(8)
        matrix[2:, 2:] = np.eye(6)[order]
        moved = tuple(name for i, name in enumerate(PRECORDIAL_LEADS) if order[i] != i)
        return Exchange(kind, "chest", moved, words or " and ".join(moved), matrix)

    out = [
        limb("RA-LA", "arm", "aVF", "right arm and left arm", ((-1, 0), (-1, 1))),
        limb("RA-LL", "turn", "aVL", "right arm and left leg", ((1, -1), (0, -1))),
        limb("LA-LL", "left", "aVR", "left arm and left leg", ((0, 1), (1, 0))),
        limb("RA-LA-LL", "turn", "", "right arm, left arm and left leg", ((-1, 1), (-1, 0))),
        limb("RA-LL-LA", "turn", "", "right arm, left leg and left arm", ((0, -1), (1, -1))),
    ]
    for i in range(6):
        for j in range(i + 1, 6):
            order = list(range(6))
            order[i], order[j] = j, i
            out.append(chest(f"V{i + 1}-V{j + 1}", order))
    out.append(chest("V6..V1", [5, 4, 3, 2, 1, 0], "V1 to V6"))
    for i in range(4):
        for a, b, c in ((1, 2, 0), (2, 0, 1)):
            order = [*range(i), i + a, i + b, i + c, *range(i + 3, 6)]
            out.append(chest("-".join(f"V{k + 1}" for k in order[i : i + 3]), order, f"V{i + 1}, V{i + 2} and V{i + 3}"))
    out.append(chest("V2..V6-V1", [1, 2, 3, 4, 5, 0], "V1 to V6"))
    out.append(chest("V6-V1..V5", [5, 0, 1, 2, 3, 4], "V1 to V6"))
    # The heart mirrored: the part of the leads that X explains changes its sign, the rest stays, so that twice is nothing.
    mirror = np.eye(8) - 2 * np.outer(_DOWER[:, 0], np.linalg.pinv(_DOWER)[0])
    out.append(Exchange("dextrocardia", "heart", (*LIMB_LEADS, *PRECORDIAL_LEADS), "heart on the right", mirror))
    return tuple(out)


EXCHANGES = _exchanges()
LIMB_EXCHANGES = EXCHANGES[:5]


@dataclass(frozen=True, eq=False)
class Model:
    """How usual signs are: standardised and clipped at 5, then dense layers with GELU between. ``thresholds`` per kind of
    exchange: log odds against "as recorded" from which it is suspected."""

    mean: Floats
    scale: Floats
    layers: tuple[tuple[Floats, Floats], ...]
    thresholds: dict[str, float]

    def score(self, signs: Floats) -> Floats:
        """(…, signs) → (…,)."""
        x = np.clip((signs - self.mean) / self.scale, -5, 5)
        for i, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            if i < len(self.layers) - 1:
                # GELU by its tanh form, within 0.001 of the exact one.
                x = 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))
        return np.asarray(x[..., 0])


@cache
def load_models() -> dict[str, Model]:
    """The shipped networks: "full" for limb and chest leads together, "limb" for limb leads alone."""
    file = Path(__file__).with_name("weights") / "gate.json"
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))["placement"]
        return {
            name: Model(
                np.array(raw[name]["mean"]),
                np.array(raw[name]["scale"]),
                tuple((np.array(layer["weight"]), np.array(layer["bias"])) for layer in raw[name]["layers"]),
                {kind: float(value) for kind, value in raw[name]["thresholds"].items()},
            )
            for name in ("full", "limb")
        }
    except (OSError, ValueError, KeyError) as error:
        raise ArtefactError(
            "The quality gate's weights (gate.json) are missing or damaged; install the package again."
        ) from error


def log_odds(model: Model, bins: Floats, products: Floats, context: Floats, *, limb_only: bool = False) -> Floats:
    """Log odds of every exchange against "as recorded", (n, 31) in the order of EXCHANGES or (n, 5) of LIMB_EXCHANGES."""
    tried = LIMB_EXCHANGES if limb_only else EXCHANGES
    matrices = np.stack([np.eye(8), *(e.matrix for e in tried)])
    score = model.score(signs_under(bins, products, context, matrices, limb_only=limb_only))
    return np.asarray(score[:, 1:] - score[:, :1])


@dataclass(frozen=True)
class Placement:
    """``state``: "as expected", "doubted", "cannot be told" or "not examined"; ``kind`` and ``group`` of the likeliest exchange
    where doubted; ``probability`` of all exchanges together, each as likely as none beforehand; ``leads`` that are not what
    their names say, ``flag`` and ``reason`` (one sentence) where doubted."""

    state: str
    kind: str | None = None
    group: str | None = None
    probability: float = 0.0
    leads: tuple[str, ...] = ()
    flag: str = ""
    reason: str = ""


def judge_placement(beat: PlacementBeat | None, fit: frozenset[str]) -> Placement:
    """Placement from an averaged beat. ``fit``: leads that can be read at all; a lead that is not in it is not relied on.

    Needs I and II (or III with one of them); chest electrodes are judged only where V1-V6 are all fit.
    """
    if beat is None or np.isnan(beat.average_mv[:2]).any() or len({"I", "II", "III"} & fit) < 2:
        return Placement("not examined" if beat is None or np.isnan(beat.average_mv[:2]).any() else "cannot be told")
    flat = _flat_limb_lead(beat)
    if flat is not None:
        return flat
    limb_only = bool(set(PRECORDIAL_LEADS) - fit)
    w: Waveforms = waveforms(beat)
    model = load_models()["limb" if limb_only else "full"]
    odds = log_odds(model, w.bins[None], w.products[None], w.context[None], limb_only=limb_only)[0]
    tried = LIMB_EXCHANGES if limb_only else EXCHANGES
    state, best = settle(odds, tried, model.thresholds)
    ratio = float(np.exp(np.clip(odds, -50, 50)).sum())
    probability = ratio / (1 + ratio)
    if best is None:
        return Placement(state, probability=probability)
    found = tried[best]
    flag, reason = _said(found)
    return Placement(state, found.kind, found.group, probability, found.leads, flag, reason)


def settle(odds: Floats, tried: tuple[Exchange, ...], thresholds: dict[str, float]) -> tuple[str, int | None]:
    """State of one recording from its log odds, and which exchange is suspected where it is "doubted".

    Of the exchanges whose odds pass their own threshold the likeliest is taken. Where none does, but an exchange of the
    arms (or a mirrored heart) is likelier than 1 in 20, the placement "cannot be told".
    """
    passed = [i for i, e in enumerate(tried) if odds[i] > thresholds[e.kind]]
    if passed:
        return "doubted", max(passed, key=lambda i: float(odds[i]) + _ARMS_COMMONER * (tried[i].group == "arm"))
    unsure = max(float(o) for o, e in zip(odds, tried, strict=True) if e.group in ("arm", "heart"))
    return ("cannot be told" if unsure > _OPEN_LOG_ODDS else "as expected"), None


def _said(found: Exchange) -> tuple[str, str]:
    act = "check the electrodes and record again"
    if found.group == "arm":
        return "arm_swap_suspected", (
            "Lead I looks upside down while the chest leads run as usual: the arm electrodes look swapped, or else the heart "
            f"lies on the right (dextrocardia); {act}."
        )
    if found.group == "heart":
        return "dextrocardia_suspected", (
            "Lead I looks upside down and the chest leads shrink towards V6: the heart may lie on the right (dextrocardia), or "
            "arm and chest electrodes are swapped; check the electrodes and record V3R to V6R as well."
        )
    if found.group == "chest":
        what = {
            "V6..V1": "The chest leads look as if V1 to V6 were connected in reverse order",
            "V2..V6-V1": "The chest leads look as if V1 to V6 were each connected one place further on",
            "V6-V1..V5": "The chest leads look as if V1 to V6 were each connected one place further on",
        }.get(found.kind, f"The chest leads look as if the electrodes of {found.words} were swapped")
        return "precordial_swap_suspected", f"{what}; {act}."
    return "limb_swap_suspected", (
        f"The limb leads look as if the electrodes of {found.words} were swapped: axis and limb leads cannot be relied on; {act}."
    )


#: Lead that goes flat with the right leg's electrode on a limb: right arm, left arm, or both arms and legs exchanged.
_LEG_WORDS = {
    "II": ("RA-RL", "right arm and right leg"),
    "III": ("LA-RL", "left arm and right leg"),
    "I": ("arms-legs", "both arms and both legs"),
}


def _flat_limb_lead(beat: PlacementBeat) -> Placement | None:
    """The right leg's electrode on an arm: a lead between the two legs, whose potentials hardly differ, is nearly flat."""
    span = slice(BEAT_BEFORE - 100, BEAT_BEFORE + 200)
    one, two = beat.average_mv[0, span], beat.average_mv[1, span]
    rows = {"I": one, "II": two, "III": two - one}
    sizes = {name: float(np.std(row)) for name, row in rows.items()}
    least = min(sizes, key=lambda name: sizes[name])
    if max(sizes.values()) < 0.03 or sizes[least] > _FLAT_RATIO * max(sizes.values()):
        return None
    kind, words = _LEG_WORDS[least]
    return Placement(
        "doubted",
        kind,
        "leg",
        0.5,
        LIMB_LEADS,
        "limb_swap_suspected",
        f"Lead {least} is nearly flat while the other limb leads are not: the electrodes of {words} look swapped, or the signal "
        f"of lead {least} is lost; check the electrodes and record again.",
    )
