"""A hit beside the recording that was asked about: what they share, where they differ, value beside value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from encoders.measurements import MEASUREMENT_NAMES
from retrieval.case import Case

__all__ = ["Contrast", "contrast"]


@dataclass(frozen=True)
class Contrast:
    """``shared``: present in the asked recording and listed by the case. ``only_asked``: present, not listed. ``only_case``:
    listed, and absent in the asked recording. ``open``: listed, and not decided in the asked recording.
    ``measurements``: name → (asked, case), where both are known, in the name's unit."""

    shared: tuple[str, ...]
    only_asked: tuple[str, ...]
    only_case: tuple[str, ...]
    open: tuple[str, ...]
    measurements: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        return {
            "shared": list(self.shared),
            "only_asked": list(self.only_asked),
            "only_case": list(self.only_case),
            "open": list(self.open),
            "measurements": {
                name: {"asked": round(asked, 3), "case": round(case, 3), "difference": round(case - asked, 3)}
                for name, (asked, case) in self.measurements.items()
            },
        }


def contrast(case: Case, states: Mapping[str, str], measurements: Mapping[str, float | None]) -> Contrast:
    """``case`` against a recording's evidence: code → "present", "absent" or another state, and name → value (None: missing).

    A case lists what a cardiologist wrote down, so what it does not list is taken as not there.
    """
    both = {
        name: (float(asked), float(known))
        for name in MEASUREMENT_NAMES
        if (asked := measurements.get(name)) is not None and (known := case.measurements.get(name)) is not None
    }
    listed = tuple(case.statements)
    return Contrast(
        shared=tuple(code for code in listed if states.get(code) == "present"),
        only_asked=tuple(code for code, state in states.items() if state == "present" and code not in case.statements),
        only_case=tuple(code for code in listed if states.get(code) == "absent"),
        open=tuple(code for code in listed if states.get(code) not in ("present", "absent")),
        measurements=both,
    )
