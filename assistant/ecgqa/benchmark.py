"""Questions in ECG-QA's style made from PTB-XL's labels: yes and no balanced, every statement asked about, fixed by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.ecgqa.asked import Asked, Target
from assistant.ecgqa.templates import TEMPLATES, Template, read_wordings, worded
from assistant.ecgqa.truth import Truth
from assistant.ecgqa.values import (
    ABNORMAL,
    AXES,
    EXTRAS,
    FAMILIES,
    FEATURES,
    LEADS,
    NAME_OF,
    NOISES,
    NONE,
    NOT_SURE,
    RANGES,
    STAGE_NONE,
    STAGES,
    SUPERCLASS_NAMES,
)
from encoders.vocabulary import codes_in

__all__ = ["Item", "build", "expected"]

#: Per template at most this many questions.
PER_TEMPLATE = 120
_TRIES = 200


@dataclass(frozen=True)
class Item:
    """One question of the set: its wording and type, the recordings, and the right answers."""

    qid: str
    template: Template
    question: str
    asked: Asked
    ecg_ids: tuple[int, ...]
    answer: frozenset[str]


def _present(truth: Truth, codes: Sequence[str], doubt: str) -> bool:
    return bool((truth.sure if doubt == "exclude" else truth.listed) & set(codes))


def _codes_of(target: Target, family: str) -> tuple[str, ...]:
    if target.name == "abnormal":
        return ABNORMAL
    return FAMILIES[family] if target.name == "any" else target.codes


def expected(asked: Asked, truths: Sequence[Truth]) -> frozenset[str] | None:
    """The right answers by the labels; None where the labels do not tell (single leads of form statements, unknown intervals)."""
    if asked.relation:
        return _between(asked, *truths)
    truth = truths[0]
    if asked.attribute == "numeric_feature":
        return _numeric(asked, truth)
    if asked.attribute == "scp_code":
        return None if asked.lead is not None or asked.wants == "leads" else _statement(asked, truth)
    there = _there(asked, truth)
    if asked.wants == "leads":
        leads = {LEADS[i] for i in truth.noise.get(asked.targets[0].name, ())}
        return frozenset(leads or {NONE}) if leads or asked.targets[0].name not in truth.noise else None
    if asked.kind == "verify":
        name = asked.targets[0].name
        return frozenset({"yes" if (bool(there) if name == "any" else name in there) else "no"})
    if asked.kind == "choose":
        there &= {t.name for t in asked.targets}
    empty = STAGE_NONE if asked.attribute == "stage_of_infarction" and asked.kind == "query" else NONE
    return frozenset(there or {empty})


def _there(asked: Asked, truth: Truth) -> set[str]:
    if asked.attribute == "noise":
        return {kind for kind, leads in truth.noise.items() if asked.lead is None or asked.lead in leads}
    if asked.attribute == "heart_axis":
        return {truth.axis}
    return set(truth.stages if asked.attribute == "stage_of_infarction" else truth.extras)


def _statement(asked: Asked, truth: Truth) -> frozenset[str]:
    if asked.kind == "query":
        listed = [c for c in FAMILIES[asked.family] if _present(truth, (c,), asked.doubt)]
        return frozenset({NAME_OF[c] for c in listed} or {NONE})
    if asked.kind == "choose":
        return frozenset({t.name for t in asked.targets if _present(truth, t.codes, asked.doubt)} or {NONE})
    target = asked.targets[0]
    codes = _codes_of(target, asked.family)
    single = target.name not in ("any", "abnormal", "normal") and not asked.doubt
    if single and not truth.sure & set(codes) and truth.unsure & set(codes):
        return frozenset({NOT_SURE})
    return frozenset({"yes" if _present(truth, codes, asked.doubt) else "no"})


def _numeric(asked: Asked, truth: Truth) -> frozenset[str] | None:
    if asked.wants == "features":
        if len(truth.numbers) < len(FEATURES):
            return None
        return frozenset({f for f in FEATURES if truth.numbers[f] == asked.ranges[0]} or {NONE})
    value = truth.numbers.get(asked.targets[0].name)
    if value is None:
        return None
    if asked.kind == "verify":
        return frozenset({"yes" if value == asked.ranges[0] else "no"})
    return frozenset({value if asked.kind == "query" or value in asked.ranges else NONE})


def _related(before: bool, after: bool, relation: str) -> bool:
    states = {"resolved": (True, False), "new": (False, True), "still": (True, True), "absent": (False, False)}
    return (before, after) == states[relation]


def _between(asked: Asked, first: Truth, second: Truth) -> frozenset[str] | None:
    if asked.attribute == "numeric_feature":
        names = tuple(t.name for t in asked.targets) or FEATURES
        if any(name not in one.abnormal for name in names for one in (first, second)):
            return None
        found = {n for n in names if _related(first.abnormal[n], second.abnormal[n], asked.relation)}
    else:
        pairs = [(t.name, t.codes) for t in asked.targets] or [(NAME_OF[c], (c,)) for c in FAMILIES["all"]]
        found = {n for n, codes in pairs if _related(_present(first, codes, ""), _present(second, codes, ""), asked.relation)}
    if asked.kind == "verify":
        return frozenset({"yes" if found else "no"})
    return frozenset(found or {NONE})


def _fillings(template: Template, rng: random.Random) -> list[Asked]:
    """The template about everything that it can be about, in random order; pairs of things are drawn."""
    form = template.form
    names: list[Target]
    if template.over in ("statement",):
        names = [Target(NAME_OF[c], (c,)) for c in FAMILIES["all"]]
    elif template.over in ("diagnostic", "form", "rhythm"):
        names = [Target(NAME_OF[c], (c,)) for c in FAMILIES[template.over]]
    elif template.over == "superclass":
        names = [Target(name, codes_in(code)) for name, code in SUPERCLASS_NAMES.items()]
    else:
        pool = {"noise": NOISES, "axis": AXES, "stage": STAGES, "extra": EXTRAS, "feature": FEATURES}.get(template.over, ())
        names = [Target(name) for name in pool]
    leads = list(range(12)) if template.lead else [None]
    rng.shuffle(leads)
    forms: list[Asked] = []
    if form.attribute == "numeric_feature" and not form.relation:
        slots: list[tuple[Target, ...]] = [(name,) for name in names] or [()]
        for targets in slots:
            if template.number == 40:
                forms += [replace(form, targets=targets, ranges=tuple(rng.sample(RANGES, 2))) for _ in range(2)]
            elif template.number in (39, 42):
                forms += [replace(form, targets=targets, ranges=(one,)) for one in RANGES]
            else:
                forms.append(replace(form, targets=targets))
    elif form.kind == "choose":
        count = max(12, len(names))
        for _ in range(count):
            forms += [replace(form, targets=tuple(rng.sample(names, 2)), lead=lead) for lead in leads]
    elif names:
        forms += [replace(form, targets=(name,), lead=lead) for name in names for lead in leads]
    else:
        forms += [replace(form, lead=lead) for lead in leads]
    rng.shuffle(forms)
    return forms


def _pairs(
    ids: Sequence[int], truths: Mapping[int, Truth], patients: Mapping[int, int], times: Mapping[int, str], template: Template,
    rng: random.Random,
) -> Callable[[], tuple[int, ...]]:  # fmt: skip
    """Draws recordings for a template: one, two of one patient in order of time, or two of anybody."""
    usable = list(ids)
    if template.form.attribute == "numeric_feature":
        need = len(FEATURES) if template.form.wants == "features" else 1
        usable = [i for i in ids if len(truths[i].numbers if not template.form.relation else truths[i].abnormal) >= need]
    if not template.form.relation:
        return lambda: (rng.choice(usable),) if usable else ()
    if "irrelevant" in template.type:
        return lambda: tuple(rng.sample(usable, 2)) if len(usable) > 1 else ()
    own: dict[int, list[int]] = {}
    for i in usable:
        own.setdefault(patients[i], []).append(i)
    ordered = [sorted(group, key=lambda i: times[i]) for group in own.values() if len(group) > 1]
    couples = [(a, b) for group in ordered for a, b in zip(group, group[1:], strict=False)]
    return lambda: rng.choice(couples) if couples else ()


def build(
    ecgqa: str | Path, truths: Mapping[int, Truth], patients: Mapping[int, int], times: Mapping[int, str], *,
    per_template: int = PER_TEMPLATE, seed: int = 0,
) -> list[Item]:  # fmt: skip
    """The set: up to ``per_template`` questions of each template whose answers the labels tell.

    Verify and choose: every filling in turn, its answers equally often ("not sure" two thirds as often). Query: every value that
    may be in an answer equally often, with a recording drawn among those whose answer holds it. ``patients`` and ``times`` by
    ecg_id, for pairs of one patient.
    """
    wordings = read_wordings(ecgqa)
    ids = sorted(truths)
    items: list[Item] = []
    for template in TEMPLATES:
        rng = random.Random(f"{seed}-{template.number}")
        draw = _pairs(ids, truths, patients, times, template, rng)
        forms = _fillings(template, rng)
        seen: set[tuple[Asked, tuple[int, ...]]] = set()
        counts: dict[str, float] = {}
        at = 0
        misses = 0
        while len(seen) < per_template and misses < len(forms) + 20:
            form = forms[at % len(forms)]
            at += 1
            found = _draw(form, draw, truths, counts, rng)
            if found is None or (form, found[0]) in seen:
                misses += 1
                continue
            misses = 0
            seen.add((form, found[0]))
            for value in _counted(form, found[1]):
                counts[value] = counts.get(value, 0) + (1.5 if value == NOT_SURE else 1)
            lead = "" if form.lead is None else LEADS[form.lead]
            text = worded(template, wordings[template.number], [t.name for t in form.targets], lead, form.ranges)
            items.append(Item(f"{template.number}-{len(seen)}", template, text, form, found[0], found[1]))
    return items


def _counted(form: Asked, answer: frozenset[str]) -> tuple[str, ...]:
    """What is to be equally frequent: single values of a query, yes and no, none and both and either of two."""
    if form.kind == "query":
        return tuple(sorted(answer))
    if form.kind == "verify":
        return tuple(answer)
    named = [t.name for t in form.targets]
    if form.attribute == "numeric_feature":
        named = list(form.ranges)
    return ("".join(str(place) for place, name in enumerate(named) if name in answer),)


def _draw(
    form: Asked, draw: Callable[[], tuple[int, ...]], truths: Mapping[int, Truth], counts: dict[str, float], rng: random.Random
) -> tuple[tuple[int, ...], frozenset[str]] | None:
    """Recordings and their answer, the one that has been rarest so far among those drawn."""
    candidates: dict[str, tuple[tuple[int, ...], frozenset[str]]] = {}
    for _ in range(_TRIES):
        chosen = draw()
        if not chosen:
            return None
        answer = expected(form, [truths[i] for i in chosen])
        if answer is not None:
            for value in _counted(form, answer):
                candidates.setdefault(value, (chosen, answer))
        if form.kind != "query" and len(candidates) == 4:
            break
    if not candidates:
        return None
    return candidates[min(sorted(candidates), key=lambda value: (counts.get(value, 0), rng.random()))]
