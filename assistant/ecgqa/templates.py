"""ECG-QA's templates as typed questions: what each asks, and how a question is worded from it.

The wording is read from the data set's ``templates.csv``; the thing its example names is what other things take the place of.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.ecgqa.asked import Asked, Target
from assistant.ecgqa.values import RANGES
from encoders.errors import QueryError

__all__ = ["TEMPLATES", "Template", "read_wordings", "worded"]


@dataclass(frozen=True)
class Template:
    """``over``: what stands in its slot: "statement", "superclass", "diagnostic", "form", "rhythm", "noise", "axis", "stage",
    "extra", "feature" or "" where it has none. ``lead``: it names a lead. ``type``: ECG-QA's question type.
    """

    number: int
    type: str
    form: Asked
    over: str = ""
    lead: bool = False


def _single(number: int, form: Asked, over: str = "", lead: bool = False) -> Template:
    return Template(number, f"single-{form.kind}", form, over, lead)


def _scp(kind: str, **more: object) -> Asked:
    return Asked(kind, "scp_code", **more)  # type: ignore[arg-type]


def _compared() -> list[Template]:
    out = []
    for first, second, sort in ((43, 50, "comparison_consecutive"), (57, 64, "comparison_irrelevant")):
        relations = ("resolved", "new", "still", "absent")
        for k, relation in enumerate(relations):
            out.append(Template(first + k, f"{sort}-verify", _scp("verify", relation=relation), "statement"))
            numeric = Asked("verify", "numeric_feature", relation=relation)
            out.append(Template(second + k, f"{sort}-verify", numeric, "feature"))
        for k, relation in enumerate(relations[:3]):
            out.append(Template(first + 4 + k, f"{sort}-query", _scp("query", relation=relation)))
            numeric = Asked("query", "numeric_feature", relation=relation, wants="features")
            out.append(Template(second + 4 + k, f"{sort}-query", numeric))
    return out


_ANY = (Target("any"),)
TEMPLATES: tuple[Template, ...] = (
    _single(1, _scp("verify"), "statement"),
    _single(2, _scp("verify", targets=(Target("normal", ("NORM",)),))),
    _single(3, _scp("choose"), "superclass"),
    _single(4, _scp("choose", family="diagnostic", doubt="include"), "diagnostic"),
    _single(5, _scp("choose", family="diagnostic", doubt="exclude"), "diagnostic"),
    _single(6, _scp("choose", family="form"), "form"),
    _single(7, _scp("choose", family="rhythm"), "rhythm"),
    _single(8, _scp("query", family="diagnostic", doubt="include")),
    _single(9, _scp("query", family="diagnostic", doubt="exclude")),
    _single(10, _scp("query", family="rhythm")),
    _single(11, _scp("query", family="form")),
    _single(12, _scp("verify", targets=(Target("abnormal"),))),
    _single(13, _scp("verify", targets=_ANY, family="diagnostic", doubt="include")),
    _single(14, _scp("verify", targets=_ANY, family="diagnostic", doubt="exclude")),
    _single(15, _scp("verify", targets=_ANY, family="form")),
    _single(16, _scp("verify", targets=_ANY, family="rhythm")),
    _single(17, _scp("verify"), "form in lead", True),
    _single(18, _scp("query", family="form"), "", True),
    _single(19, _scp("query", wants="leads"), "form in lead"),
    _single(20, Asked("verify", "heart_axis"), "axis"),
    _single(21, Asked("choose", "heart_axis"), "axis"),
    _single(22, Asked("query", "heart_axis")),
    _single(23, Asked("verify", "stage_of_infarction"), "stage"),
    _single(24, Asked("choose", "stage_of_infarction"), "stage"),
    _single(25, Asked("query", "stage_of_infarction")),
    _single(26, Asked("verify", "noise"), "noise", True),
    _single(27, Asked("verify", "noise"), "noise"),
    _single(28, Asked("verify", "noise", targets=_ANY), "", True),
    _single(29, Asked("verify", "noise", targets=_ANY)),
    _single(30, Asked("choose", "noise"), "noise"),
    _single(31, Asked("choose", "noise"), "noise", True),
    _single(32, Asked("query", "noise")),
    _single(33, Asked("query", "noise"), "", True),
    _single(34, Asked("query", "noise", wants="leads"), "noise"),
    _single(35, Asked("verify", "extra_systole", targets=_ANY)),
    _single(36, Asked("verify", "extra_systole"), "extra"),
    _single(37, Asked("choose", "extra_systole"), "extra"),
    _single(38, Asked("query", "extra_systole")),
    _single(39, Asked("verify", "numeric_feature", ranges=RANGES[:1]), "feature"),
    _single(40, Asked("choose", "numeric_feature", ranges=RANGES[:2], wants="range"), "feature"),
    _single(41, Asked("query", "numeric_feature", wants="range"), "feature"),
    _single(42, Asked("query", "numeric_feature", ranges=RANGES[1:2], wants="features")),
    *sorted(_compared(), key=lambda t: t.number),
)

#: What the examples of the templates name, per template: each is one slot.
_SLOTS: dict[int, tuple[str, ...]] = {
    3: ("myocardial infarction", "st/t change"),
    5: ("right atrial overload/enlargement", "ischemic in inferolateral leads"),
    7: ("atrial fibrillation", "sinus rhythm"),
    19: ("low qrs voltages in the frontal and horizontal leads",),
    20: ("left axis deviation",),
    21: ("right axis deviation", "left axis deviation"),
    23: ("early stage of myocardial infarction",),
    24: ("middle stage of myocardial infarction", "early stage of myocardial infarction"),
    26: ("baseline drift",), 27: ("baseline drift",), 34: ("baseline drift",),
    30: ("static noise", "baseline drift"), 31: ("static noise", "baseline drift"),
    36: ("extrasystoles",), 37: ("ventricular ventricular extrasystoles", "ventricular extrasystoles"),
    **dict.fromkeys((4, 6), ("non-specific st changes", "non-diagnostic t abnormalities")),
    **dict.fromkeys((1, 17, *range(43, 47), *range(57, 61)), ("non-diagnostic t abnormalities",)),
    **dict.fromkeys((39, 40, 41, *range(50, 54), *range(64, 68)), ("rr interval",)),
}  # fmt: skip


def read_wordings(folder: str | Path) -> dict[int, str]:
    """Template number → its question, from ``templates.csv`` in the folder of ECG-QA. Raises QueryError where it is missing."""
    file = Path(folder) / "templates.csv"
    if not file.exists():
        raise QueryError("The folder of ECG-QA holds no templates.csv; give the unpacked set.")
    with open(file, encoding="utf-8", newline="") as handle:
        return {int(row["template_id"]): row["question"] for row in csv.DictReader(handle)}


def worded(template: Template, wording: str, names: Sequence[str], lead: str = "", ranges: Sequence[str] = ()) -> str:
    """The template's question about other things: ``names`` in place of what its example names, ``lead`` e.g. "lead V3"."""
    text = wording
    slots = _SLOTS.get(template.number, ())
    for at, (slot, _) in enumerate(zip(slots, names, strict=False)):
        text = text.replace(slot, f"<{at}>", 1)
    for at, name in enumerate(names):
        text = text.replace(f"<{at}>", name)
    if lead:
        text = text.replace("lead I", lead)
    if ranges:
        example = template.form.ranges
        for at, one in enumerate(example):
            text = text.replace(one, f"<{at}>").replace(f"fall {one}", f"fall <{at}>")
        for at, one in enumerate(ranges):
            text = text.replace(f"<{at}>", one)
    return text
