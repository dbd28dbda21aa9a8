"""The names of what the heads for ECG-QA say, one probability each, and the labels they learn from.

A name is a kind and what it is about: ``sure:AFIB`` (listed with likelihood 0 or 100), ``unsure:LVH`` (15-80), ``any:form``,
``noise:static noise``, ``noise:static noise@3`` (in the fourth lead), ``stage:…``, ``extra:…``, ``abnormal:qrs duration``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assistant.ecgqa.truth import Truth
from assistant.ecgqa.values import (
    ABNORMAL,
    DIAGNOSTIC,
    EXTRAS,
    FEATURES,
    FORM,
    NOISES,
    RANGES,
    RHYTHM,
    STAGE_UNKNOWN,
    STAGES,
    SUPERCLASS_NAMES,
)
from encoders.vocabulary import CODES, codes_in

__all__ = ["NUMERIC", "OUTPUTS", "labels_of"]

_ANY = {
    "any:abnormal": ABNORMAL,
    "any:diagnostic": DIAGNOSTIC,
    "any:form": FORM,
    "any:rhythm": RHYTHM,
    **{f"any:{name}": codes_in(code) for name, code in SUPERCLASS_NAMES.items()},
}
_CERTAIN = {"certain:diagnostic": DIAGNOSTIC}
OUTPUTS: tuple[str, ...] = (
    *(f"sure:{code}" for code in CODES),
    *(f"unsure:{code}" for code in codes_in("diagnostic")),
    *_ANY,
    *_CERTAIN,
    *(f"noise:{kind}" for kind in NOISES),
    "noise:any",
    *(f"noise:{kind}@{lead}" for kind in NOISES for lead in range(12)),
    *(f"noise:any@{lead}" for lead in range(12)),
    *(f"stage:{stage}" for stage in (*STAGES, STAGE_UNKNOWN)),
    "stage:any",
    *(f"extra:{kind}" for kind in EXTRAS),
    "extra:any",
    *(f"abnormal:{name}" for name in FEATURES),
    *(f"below:{name}" for name in FEATURES),
)


#: The last ones, on intervals: a layer of their own says them.
NUMERIC = 2 * len(FEATURES)


def _one(truth: Truth) -> dict[str, float]:
    out: dict[str, float] = {}
    out |= {f"sure:{code}": 1.0 for code in truth.sure}
    out |= {f"unsure:{code}": 1.0 for code in truth.unsure}
    out |= {name: 1.0 for name, codes in _ANY.items() if truth.listed & set(codes)}
    out |= {name: 1.0 for name, codes in _CERTAIN.items() if truth.sure & set(codes)}
    for kind, leads in truth.noise.items():
        out |= {f"noise:{kind}": 1.0, "noise:any": 1.0}
        for lead in leads:
            out |= {f"noise:{kind}@{lead}": 1.0, f"noise:any@{lead}": 1.0}
    out |= {f"stage:{stage}": 1.0 for stage in truth.stages} | ({"stage:any": 1.0} if truth.stages else {})
    out |= {f"extra:{kind}": 1.0 for kind in truth.extras} | ({"extra:any": 1.0} if truth.extras else {})
    out |= {f"abnormal:{name}": float(truth.abnormal[name]) if name in truth.abnormal else np.nan for name in FEATURES}
    out |= {f"below:{n}": float(truth.numbers[n] == RANGES[0]) if n in truth.numbers else np.nan for n in FEATURES}
    return out


def labels_of(truths: Sequence[Truth]) -> NDArray[np.float32]:
    """Labels float32 (n, outputs): 1, 0, or NaN where unknown."""
    column = {name: i for i, name in enumerate(OUTPUTS)}
    out = np.zeros((len(truths), len(OUTPUTS)), np.float32)
    for row, truth in enumerate(truths):
        for name, value in _one(truth).items():
            if name in column:
                out[row, column[name]] = value
    return out
