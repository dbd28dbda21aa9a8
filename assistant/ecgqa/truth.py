"""What PTB-XL's own columns and ECG-QA's question files say of a recording: the truth that heads and the benchmark learn from.

Noise columns are free text in German and English ("alles", "I-AVF", "V5,6"); how they are read was checked against the 8,498
questions on noise at hand (all agree). Stages are Roman numerals; extra beats counts with SVES, VES or ES. Whether an
interval is normal follows from the questions that compare two recordings: each pins its features down, and what is left
open follows from what is already known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from assistant.ecgqa.values import AXES, EXTRAS, FEATURES, LEADS, NOISES, RANGES, STAGE_UNKNOWN, STAGES
from encoders.errors import QueryError
from encoders.vocabulary import CODES

__all__ = ["Truth", "axis_of", "interval_labels", "noisy_leads", "read_truth"]

_NAMES = tuple(name.removeprefix("lead ").upper() for name in LEADS)
_NOISE_COLUMNS = dict(zip(NOISES, ("baseline_drift", "static_noise", "burst_noise", "electrodes_problems"), strict=True))
_SPELLING = {"ALF": "AVF", "VL": "AVL", "VF": "AVF", "VR": "AVR"}
_LEAD = r"(?:V[1-6]|AV[RLF]|I{1,3})"
#: "leicht" (slight) and nothing else: ECG-QA counts no noise.
_SLIGHT = re.compile(r"[\s,]*leicht[\s,]*")
#: Ms between "below" and "above" where ECG-QA's questions call a feature abnormal, on our own measurements: P and QRS are
#: abnormal on the long side alone, PR from both (its questions turn at about 195 ms), RR, QT and QTc as usual.
_MIDDLE_MS = dict(zip(FEATURES, (800.0, 70.0, 195.0, 65.0, 375.0, 385.0), strict=True))
#: Templates that compare numeric features → state of the first and the second recording in the answer (True: abnormal).
_COMPARED = {
    54: (True, False), 55: (False, True), 56: (True, True), 68: (True, False), 69: (False, True), 70: (True, True),
}  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """One recording's labels.

    ``sure`` codes listed with likelihood 0 or 100, ``unsure`` with 15-80. ``noise``: kind → leads (indices 0-11), empty where no
    lead is named. ``extras`` and ``stages``: the answers' strings. ``axis``: one of AXES or "". ``abnormal``: numeric feature →
    True, False; missing where unknown. ``numbers``: feature → "below the normal range", … where known.
    """

    sure: frozenset[str]
    unsure: frozenset[str]
    noise: Mapping[str, frozenset[int]] = field(default_factory=dict)
    extras: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    axis: str = ""
    abnormal: Mapping[str, bool] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)

    @property
    def listed(self) -> frozenset[str]:
        """Codes listed at all, sure or not."""
        return self.sure | self.unsure


def noisy_leads(text: str) -> frozenset[int]:
    """Leads (0-11) that a remark on noise names: "I-AVF" the first six, "alles" all, "V5,6" two, "mittel" none."""
    words = re.sub(r"\bV (?=\d)", "V", text.upper().replace("?", " "))
    words = re.sub(r"(?<=[A-Z0-9])\.(?=[A-Z])", ",", words)
    for wrong, right in _SPELLING.items():
        words = re.sub(rf"\b{wrong}\b", right, words)
    if "ALLE" in words:
        return frozenset(range(12))
    found: set[int] = set()
    chest = False
    for word in re.split(r"[,;\s/+]+", re.sub(r"\s*-\s*", "-", words)):
        span = re.fullmatch(rf"({_LEAD})-({_LEAD}|[1-6])", word)
        if span:
            first, last = span.group(1), span.group(2)
            last = f"V{last}" if last.isdigit() else last
            low, high = sorted((_NAMES.index(first), _NAMES.index(last)))
            found.update(range(low, high + 1))
            chest = last.startswith("V")
        elif word in _NAMES:
            found.add(_NAMES.index(word))
            chest = word.startswith("V")
        elif re.fullmatch(r"[1-6]", word) and (chest or not found):
            found.add(_NAMES.index(f"V{word}"))
    return frozenset(found)


def _extras(text: str) -> frozenset[str]:
    kinds = set()
    words = text.upper().replace("ALLES", " ")
    if "SVES" in words:
        kinds.add(EXTRAS[2])
    if re.search(r"(?<!S)VES", words):
        kinds.add(EXTRAS[1])
    if not kinds or re.search(r"(?<!V)ES", words):
        kinds.add(EXTRAS[0])
    return frozenset(kinds)


def _stages(*texts: str) -> frozenset[str]:
    out = set()
    for text in texts:
        if text == "unknown":
            out.add(STAGE_UNKNOWN)
        elif text.startswith("Stadium"):
            out.update(STAGES[len(numeral) - 1] for numeral in text.removeprefix("Stadium ").split("-"))
    return frozenset(out)


def axis_of(lead_i: float, lead_avf: float) -> str:
    """The axis by quadrant from the net QRS in leads I and aVF."""
    return AXES[(lead_avf < 0) if lead_i >= 0 else (2 if lead_avf >= 0 else 3)]


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _numbers(abnormal: Mapping[str, bool], measured: Mapping[str, float]) -> dict[str, str]:
    """Which side of the normal range: what is abnormal lies on the side of the middle on which the measured value lies."""
    out = {}
    for feature, state in abnormal.items():
        value = measured.get(feature, float("nan"))
        if not state:
            out[feature] = RANGES[1]
        elif not np.isnan(value):
            out[feature] = RANGES[0] if value < _MIDDLE_MS[feature] else RANGES[2]
    return out


def read_truth(
    table: pd.DataFrame,
    likelihoods: NDArray[np.floating],
    abnormal: Mapping[int, Mapping[str, bool]] | None = None,
    measured: NDArray[np.floating] | None = None,
    signs: NDArray[np.floating] | None = None,
) -> dict[int, Truth]:
    """Truth by ecg_id from PTB-XL's table (index ecg_id) and its likelihoods (n, 71), NaN where a code is not listed.

    ``abnormal``: what ``interval_labels`` found. ``measured`` (n, 6): the FEATURES in ms, for the side of an abnormal one.
    ``signs`` (n, 2): net QRS in leads I and aVF, for the axis.
    """
    out = {}
    for row, (ecg_id, line) in enumerate(table.iterrows()):
        value = likelihoods[row]
        states = (abnormal or {}).get(int(str(ecg_id)), {})
        lengths = {} if measured is None else dict(zip(FEATURES, measured[row].tolist(), strict=True))
        codes = [(code, float(v)) for code, v in zip(CODES, value, strict=True) if not np.isnan(v)]
        out[int(str(ecg_id))] = Truth(
            sure=frozenset(c for c, v in codes if v in (0.0, 100.0)),
            unsure=frozenset(c for c, v in codes if v not in (0.0, 100.0)),
            noise={
                kind: noisy_leads(_text(line[column]))
                for kind, column in _NOISE_COLUMNS.items()
                if isinstance(line[column], str) and not _SLIGHT.fullmatch(line[column])
            },
            extras=_extras(_text(line["extra_beats"])) if _text(line["extra_beats"]) else frozenset(),
            stages=_stages(_text(line["infarction_stadium1"]), _text(line["infarction_stadium2"])),
            axis="" if signs is None else axis_of(float(signs[row, 0]), float(signs[row, 1])),
            abnormal=states,
            numbers=_numbers(states, lengths),
        )
    return out


def _questions(folder: Path) -> Iterable[dict[str, Any]]:
    files = sorted((folder / "template").glob("*/*.json"))
    if not files:
        raise QueryError("The folder of ECG-QA holds no question files (template/train/*.json); give the unpacked set.")
    for file in files:
        yield from json.loads(file.read_text(encoding="utf-8"))


def interval_labels(folder: str | Path) -> dict[int, dict[str, bool]]:
    """ecg_id → numeric feature → whether ECG-QA holds it for abnormal, from its questions that compare two recordings.

    A feature in an answer settles both recordings. One that is not in it rules one combination out, which settles a recording
    as soon as the other is settled.
    """
    known: dict[tuple[int, str], bool] = {}
    open_: list[tuple[int, int, str, tuple[bool, bool]]] = []
    for item in _questions(Path(folder)):
        states = _COMPARED.get(item["template_id"])
        if states is None:
            continue
        first, second = item["ecg_id"]
        for feature in FEATURES:
            if feature in item["answer"]:
                known[first, feature], known[second, feature] = states
            else:
                open_.append((first, second, feature, states))
    before = -1
    while len(known) > before:
        before = len(known)
        for first, second, feature, (a, b) in open_:
            if known.get((first, feature)) == a and (second, feature) not in known:
                known[second, feature] = not b
            elif known.get((second, feature)) == b and (first, feature) not in known:
                known[first, feature] = not a
    out: dict[int, dict[str, bool]] = {}
    for (ecg_id, feature), state in known.items():
        out.setdefault(ecg_id, {})[feature] = state
    return out
