"""Studies that the encoder's card holds beside its scores: pretraining, zero-shot, attribution, cleaning, adapting.

Each is the JSON that a benchmark wrote, with the command that gives it; a study made with another encoder is refused, and
training an encoder anew leaves them out until they are made again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from encoders.encode import WEIGHTS
from encoders.errors import ArtefactError, QueryError

__all__ = ["STUDIES", "add_study", "study_lines"]

#: Name of each study, and the command that gives its JSON.
STUDIES = {
    "pretraining": "ecg-assistant train pretraining PTBXL_DIR --run RUN",
    "zero_shot": "python tests/benchmarks/zero_shot.py PTBXL_DIR --out FILE",
    "attribution": "python tests/benchmarks/attribution.py PTBXL_DIR --out FILE",
    "cleaning": "python tests/benchmarks/cleaning.py PTBXL_DIR --out FILE",
    "adapt": "python tests/benchmarks/adapt.py PTBXL_DIR --run RUN --out FILE",
}


def add_study(name: str, file: Path, date: str, weights: Path = WEIGHTS) -> None:
    """Puts a study's JSON into the card in ``weights``, with its command and ``date`` (ISO).

    Raises QueryError for a name that is not in ``STUDIES`` or a file that is no JSON, ArtefactError where the study names
    another encoder than the card's.
    """
    if name not in STUDIES:
        raise QueryError(f"{name!r} is no study; there are {', '.join(STUDIES)}.")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise QueryError(f"{file.name} is no JSON file; give what the benchmark wrote.") from error
    path = weights / "encoder.json"
    card = json.loads(path.read_text(encoding="utf-8"))
    made_with = found.get("encoder") if isinstance(found, dict) else None
    if made_with is not None and not str(card["sha256"]).startswith(str(made_with)[:12]):
        raise ArtefactError(f"{file.name} was made with another encoder; run its benchmark again.")
    studies = {**card.get("studies", {}), name: {"command": STUDIES[name], "date": date, "figures": found}}
    path.write_text(json.dumps({**card, "studies": studies}, indent=1) + "\n", encoding="utf-8")


def study_lines(weights: Path = WEIGHTS) -> list[str]:
    """What the card holds, a line per figure, for printing under a table of scores; empty where it holds no study."""
    card = json.loads((weights / "encoder.json").read_text(encoding="utf-8"))
    lines: list[str] = []
    for name, study in card.get("studies", {}).items():
        lines.append(f"  {name} (from the card, {study['date']}: {study['command']})")
        lines += _flat(study["figures"], "    ")
    return lines


def _flat(value: Any, indent: str) -> list[str]:
    """Nested figures as indented lines; a mapping of plain values stands on one line, and so does the head of each in a list."""
    if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
        return [line for part in value for line in _flat(part, indent)]
    if not isinstance(value, dict):
        return [f"{indent}{_short(value)}"]
    nested = {k: v for k, v in value.items() if _holds_more(v)}
    plain = {k: v for k, v in value.items() if k not in nested}
    lines = [indent + "  ".join(f"{k} {_short(v)}" for k, v in plain.items())] if plain else []
    for key, part in value.items():
        if key in nested:
            lines += [f"{indent}{key}", *_flat(part, indent + "  ")]
    return lines


def _holds_more(value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds_more(part) for part in value)
    return isinstance(value, dict) and "value" not in value


def _short(value: Any) -> str:
    if isinstance(value, dict):  # one figure with its interval
        return f"{_short(value['value'])} {_short(value['interval'])}" if "interval" in value else _short(value["value"])
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return str(value)
