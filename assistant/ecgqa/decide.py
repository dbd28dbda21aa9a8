"""From a typed question and what is known to the answers most likely to match exactly.

Every candidate answer (yes, no, not sure; or a set of values) gets its probability, and a weight for how often such a question is
asked where that answer is the right one. ECG-QA draws questions so that answers are balanced; a rare finding is asked about far
more often than it occurs, so the weight is the inverse of the answer's share among recordings, to a power fitted on fold 8.
Lists go by whole sets of values and their trained probabilities (``assistant.ecgqa.sets``), of either recording where two are
compared. Where none was trained (statements of one lead), values are taken as independent, but for rhythms that never stand
together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.ecgqa.asked import Asked, Target
from assistant.ecgqa.heads import Heads
from assistant.ecgqa.known import Known
from assistant.ecgqa.sets import FIELDS
from assistant.ecgqa.values import (
    AXES,
    CODE_OF,
    DIAGNOSTIC,
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
    STAGE_UNKNOWN,
    STAGES,
    SUPERCLASS_NAMES,
)
from encoders.vocabulary import codes_in

__all__ = ["Decided", "Rule", "decide"]

_MOST = 7  # values that are tried in all combinations
_SETS = 60  # sets of values that are tried for each of two recordings
_ALL = 10_000  # and of one
_SINUS = frozenset(("SR", "SBRAD", "STACH", "AFIB", "AFLT", "PACE", "SVTAC"))
#: Scale in mV of the doubt about the sign of a lead's net QRS.
_AXIS_MV = 0.06


@dataclass(frozen=True)
class Rule:
    """Powers of the weights by kind of question, the weight of "not sure" against yes, and how far a choice goes by whole sets
    (``joint``, 0-1), the weight of "none" among leads (``no_lead``), and the fields whose values are taken apart after all
    (``apart``); fitted on fold 8."""

    verify: float = 0.9
    not_sure: float = 0.3
    choose: float = 0.8
    query: float = 0.8
    sets: float = 0.9
    compare: float = 0.8
    compare_numeric: float = 0.8
    joint: float = 0.5
    leads: float = 0.25
    no_lead: float = 0.15
    apart: tuple[str, ...] = ()

    @classmethod
    def of(cls, heads: Heads) -> Rule:
        """The rule that the heads' card holds, or the one above where it holds none."""
        held: dict[str, Any] = heads.card.get("rule", {})
        return cls(**{**held, "apart": tuple(held.get("apart", ()))})


@dataclass(frozen=True)
class Decided:
    """``values``: the answers; ``confidence`` 0-1: their share of the weighted probability of all candidates."""

    values: tuple[str, ...]
    confidence: float


@dataclass(frozen=True)
class _Value:
    """A value that may be in the answer: its probability here and its share among recordings."""

    name: str
    p: float
    prior: float


def decide(asked: Asked, known: Sequence[Known], heads: Heads, rule: Rule | None = None, allowed: Sequence[str] = ()) -> Decided:
    """The answers to a question about one recording, or about two (the earlier one first).

    ``allowed``: the answers that may be given, where the asker fixes them; others are never given.
    """
    rule = rule or Rule.of(heads)
    if asked.kind == "verify":
        return _verify(asked, known, heads, rule, allowed)
    if asked.wants == "leads":
        return _leads(asked, known[0], heads, rule)
    if asked.attribute == "heart_axis":
        return _axis(asked, known[0])
    if asked.attribute == "numeric_feature" and asked.wants == "range":
        return _range(asked, known[0], heads)
    values = _values(asked, known, heads)
    if allowed:
        values = [v for v in values if v.name in allowed] or values
    empty = STAGE_NONE if asked.attribute == "stage_of_infarction" and asked.kind == "query" else NONE
    field = _field_of(asked)
    field = "" if field in rule.apart else field
    if field and asked.relation:
        return _compared(asked, known, heads, rule, values, field)
    if field and asked.kind == "query":
        return _listed_set(known[0], heads, rule.sets, values, field, empty)
    power = rule.choose if asked.kind == "choose" else rule.compare_numeric if asked.relation else rule.query
    together = _together(known[0], heads, values, field) if field and asked.kind == "choose" and rule.joint else None
    return _set(values, empty, power, all_weights=asked.kind == "choose", together=together, joint=rule.joint)


# One thing ------------------------------------------------------------------------------------------------------------


def _chance(asked: Asked, target: Target, share: Callable[[str], float]) -> float:
    """Probability of one thing by the name of its output; ``share``: an output's probability, or its share of recordings."""
    name = target.name
    if asked.attribute == "noise":
        at = "" if asked.lead is None else f"@{asked.lead}"
        return share(f"noise:{name}{at}")
    if asked.attribute == "extra_systole":
        return share(f"extra:{name}")
    if asked.attribute == "stage_of_infarction":
        return share(f"stage:{name}")
    if asked.attribute == "numeric_feature":
        return _interval(name, asked.ranges[0] if asked.ranges else RANGES[1], share)
    if name == "abnormal":
        return share("any:abnormal")
    if name == "any":
        which = asked.family if asked.family in ("form", "rhythm") else "diagnostic"
        return share("certain:diagnostic" if which == "diagnostic" and asked.doubt == "exclude" else f"any:{which}")
    if name in SUPERCLASS_NAMES:
        return share(f"any:{name}")
    return _any_of([_listed(code, asked.doubt, share) for code in target.codes or (CODE_OF.get(name, "NORM"),)])


def _any_of(chances: Sequence[float]) -> float:
    return 1 - math.prod(1 - min(c, 0.999) for c in chances)


def _listed(code: str, doubt: str, share: Callable[[str], float]) -> float:
    sure = share(f"sure:{code}")
    return sure if doubt == "exclude" or code not in codes_in("diagnostic") else min(0.999, sure + share(f"unsure:{code}"))


def _interval(feature: str, which: str, share: Callable[[str], float]) -> float:
    abnormal = share(f"abnormal:{feature}")
    below = min(share(f"below:{feature}"), abnormal)
    return {RANGES[0]: below, RANGES[1]: 1 - abnormal, RANGES[2]: abnormal - below}.get(which, abnormal)


def _related(before: float, after: float, relation: str) -> float:
    return {
        "resolved": before * (1 - after), "new": (1 - before) * after, "still": before * after,
        "absent": (1 - before) * (1 - after),
    }[relation]  # fmt: skip


def _verify(asked: Asked, known: Sequence[Known], heads: Heads, rule: Rule, allowed: Sequence[str]) -> Decided:
    prior_of: Mapping[str, float] = heads.prior
    target = asked.targets[0] if asked.targets else Target("abnormal")
    if asked.relation:
        plain = Asked(asked.kind, asked.attribute, asked.targets, doubt=asked.doubt, ranges=("abnormal",))
        p = _related(_chance(plain, target, known[0].p), _chance(plain, target, known[1].p), asked.relation)
        q = _chance(plain, target, prior_of.__getitem__)
        prior = _related(q, q, asked.relation)
    elif asked.attribute == "heart_axis":
        p, prior = dict(_axes(known[0]))[target.name], 0.0
    else:
        p, prior = _chance(asked, target, known[0].p), _chance(asked, target, prior_of.__getitem__)
        if asked.attribute == "scp_code" and asked.lead is not None and target.codes:
            p *= max(known[0].in_lead(code, asked.lead) for code in target.codes)
            prior *= 0.4
    prior = min(max(prior, 1e-4), 1 - 1e-4) if asked.attribute != "heart_axis" else 0.5
    scores = {"yes": p * prior**-rule.verify, "no": (1 - p) * (1 - prior) ** -rule.verify}
    single = asked.attribute == "scp_code" and not asked.relation and asked.lead is None and len(target.codes) == 1
    if single and not asked.doubt and f"unsure:{target.codes[0]}" in prior_of and (not allowed or NOT_SURE in allowed):
        code = target.codes[0]
        sure, unsure = known[0].p(f"sure:{code}"), known[0].p(f"unsure:{code}")
        q_sure, q_unsure = prior_of[f"sure:{code}"], prior_of[f"unsure:{code}"]
        if q_unsure > 1e-4:
            scores = {
                "yes": sure * max(q_sure, 1e-4) ** -rule.verify,
                NOT_SURE: rule.not_sure * unsure * q_unsure**-rule.verify,
                "no": max(1 - sure - unsure, 1e-6) * max(1 - q_sure - q_unsure, 1e-4) ** -rule.verify,
            }
    best = max(scores, key=lambda name: scores[name])
    return Decided((best,), scores[best] / max(sum(scores.values()), 1e-12))


# Sets of values -------------------------------------------------------------------------------------------------------


def _values(asked: Asked, known: Sequence[Known], heads: Heads) -> list[_Value]:
    """What may be in the answer. For a choice: the two that are named."""
    named = list(asked.targets)
    if not named:
        names = {
            "noise": NOISES, "extra_systole": EXTRAS, "stage_of_infarction": (*STAGES, STAGE_UNKNOWN),
            "numeric_feature": FEATURES,
        }.get(asked.attribute)  # fmt: skip
        named = [Target(n) for n in names] if names else [Target(NAME_OF[c], (c,)) for c in FAMILIES[asked.family]]
    out = []
    plain = asked
    if asked.relation and asked.attribute == "numeric_feature":
        plain = Asked(asked.kind, asked.attribute, ranges=("abnormal",))
    for target in named:
        chances = [_chance(plain, target, one.p) for one in known[: 2 if asked.relation else 1]]
        prior = _chance(plain, target, heads.prior.__getitem__)
        if asked.relation:
            p = _related(chances[0], chances[1], asked.relation)
            out.append(_Value(target.name, p, _related(prior, prior, asked.relation)))
            continue
        p = chances[0]
        if asked.attribute == "scp_code" and asked.lead is not None:
            p *= max(known[0].in_lead(code, asked.lead) for code in target.codes)
        out.append(_Value(target.name, p, prior))
    return out


def _set(
    values: Sequence[_Value], empty: str, power: float, all_weights: bool, together: Mapping[frozenset[str], float] | None = None,
    joint: float = 0.0,
) -> Decided:
    """The set with the highest weighted probability, of which ``together`` gives the share ``joint``.

    A set's weight is the mean over its values of their inverse shares, since a question is drawn for one of its answers. For a
    choice between two it is the set's own inverse share.
    """
    if not values:
        return Decided((empty,), 0.0)
    ranked = sorted(values, key=lambda v: -v.p * max(v.prior, 1e-4) ** -power)[:_MOST]
    rest = math.prod(1 - min(v.p, 0.5) for v in values if v not in ranked)
    nothing = max(math.prod(1 - min(v.prior, 0.999) for v in values), 1e-3)
    p, prior = (np.array([getattr(v, name) for v in ranked]) for name in ("p", "prior"))
    inside = _subsets(len(ranked))
    rhythms = inside[:, [CODE_OF.get(v.name, "") in _SINUS for v in ranked]].sum(axis=1)
    chance = rest * np.where(inside, p, 1 - p).prod(axis=1) * (rhythms < 2)
    if together is not None:
        names_in = [frozenset(v.name for v, take in zip(ranked, row, strict=True) if take) for row in inside]
        chance = (1 - joint) * chance / max(chance.sum(), 1e-12) + joint * np.array([together.get(n, 0.0) for n in names_in])
    if all_weights:
        weight = np.maximum(np.where(inside, prior, 1 - prior).prod(axis=1), 1e-5) ** -power
    else:
        weight = (inside * np.maximum(prior, 1e-3) ** -power).sum(axis=1)
        weight[~inside.any(axis=1)] = nothing**-power
    score = chance * weight
    best = int(score.argmax())
    names = tuple(v.name for v, take in zip(ranked, inside[best], strict=True) if take)
    return Decided(names or (empty,), float(score[best] / max(score.sum(), 1e-12)))


def _field_of(asked: Asked) -> str:
    """The field of whole sets that a question lists or chooses from, "" where none was trained for it."""
    if asked.attribute == "scp_code":
        if asked.lead is not None or asked.wants == "leads":
            return ""
        if asked.kind == "choose":
            families = [f for f in ("diagnostic", "form", "rhythm") if all(t.name in FIELDS[f] for t in asked.targets)]
            family = families[0] if families else ""
        else:
            family = "all" if asked.relation else asked.family
        return "diagnostic, sure" if family == "diagnostic" and asked.doubt == "exclude" else family
    if asked.attribute == "numeric_feature":
        return "numeric_feature" if asked.relation else ""
    return asked.attribute if asked.attribute in FIELDS and asked.lead is None else ""


def _weights(members: NDArray[np.bool_], prior: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """How often a question is asked where a set is its answer: the mean of its values' inverse shares, to a power."""
    weight = np.asarray((members * np.maximum(prior, 1e-3) ** -power).sum(axis=1))
    weight[~members.any(axis=1)] = max(float(np.prod(1 - np.minimum(prior, 0.999))), 1e-3) ** -power
    return weight


def _merged(members: NDArray[np.bool_], p: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """The distinct rows with the sums of their probabilities."""
    place = members @ (np.uint64(1) << np.arange(members.shape[1], dtype=np.uint64))  # at most 57 values: one number a row
    _, first, at = np.unique(place, return_index=True, return_inverse=True)
    return members[first], np.asarray(np.bincount(at.ravel(), p), np.float64)


def _best(
    members: NDArray[np.bool_], p: NDArray[np.float64], values: Sequence[_Value], power: float, empty: str
) -> Decided:
    """The set (a row of ``members``, a column per value) with the highest weighted probability."""
    members, p = _merged(members, p)
    score = p * _weights(members, np.array([v.prior for v in values]), power)
    best = int(score.argmax())
    names = tuple(v.name for v, take in zip(values, members[best], strict=True) if take)
    return Decided(names or (empty,), float(score[best] / max(score.sum(), 1e-12)))


def _columns(values: Sequence[_Value], field: str) -> list[int]:
    return [FIELDS[field].index(v.name) for v in values]


def _listed_set(known: Known, heads: Heads, power: float, values: Sequence[_Value], field: str, empty: str) -> Decided:
    """The list of what one recording has."""
    values = [v for v in values if v.name in FIELDS[field]]
    likely = heads.tables[field].likely(known.scores_of(field), _ALL)
    return _best(likely.sets[:, _columns(values, field)], likely.p, values, power, empty)


def _together(known: Known, heads: Heads, values: Sequence[_Value], field: str) -> dict[frozenset[str], float]:
    """Probability of every combination of the named values, by whole sets."""
    likely = heads.tables[field].likely(known.scores_of(field), _ALL)
    members, p = _merged(likely.sets[:, _columns(values, field)], likely.p)
    named = [frozenset(v.name for v, take in zip(values, row, strict=True) if take) for row in members]
    return dict(zip(named, p.tolist(), strict=True))


def _compared(
    asked: Asked, known: Sequence[Known], heads: Heads, rule: Rule, values: Sequence[_Value], field: str
) -> Decided:
    """What came, went or stayed, by the whole sets that either recording may have."""
    values = [v for v in values if v.name in FIELDS[field]]
    first, second = (heads.tables[field].likely(one.scores_of(field), _SETS) for one in known[:2])
    columns = _columns(values, field)
    before, after = first.sets[:, None, columns], second.sets[None, :, columns]
    wanted = {"resolved": (True, False), "new": (False, True), "still": (True, True), "absent": (False, False)}[asked.relation]
    kept = (before == wanted[0]) & (after == wanted[1])
    chance = first.p[:, None] * second.p[None, :]
    power = rule.compare_numeric if field == "numeric_feature" else rule.compare
    return _best(kept.reshape(-1, len(columns)), chance.ravel(), values, power, NONE)


@cache
def _subsets(n: int) -> NDArray[np.bool_]:
    """All subsets of n things, bool (2**n, n)."""
    return np.asarray((np.arange(2**n)[:, None] >> np.arange(n)) & 1 == 1)


# Kinds with rules of their own ----------------------------------------------------------------------------------------


def _axes(known: Known) -> list[tuple[str, float]]:
    first, second = (1 / (1 + math.exp(-max(-30.0, min(30.0, v / _AXIS_MV)))) for v in known.axis)
    chances = (first * second, first * (1 - second), (1 - first) * second, (1 - first) * (1 - second))
    return list(zip(AXES, chances, strict=True))


def _axis(asked: Asked, known: Known) -> Decided:
    chances = dict(_axes(known))
    if asked.kind == "choose":
        named = [t.name for t in asked.targets]
        left = {name: chances[name] for name in named} | {NONE: 1 - sum(chances[name] for name in named)}
    else:
        left = chances
    best = max(left, key=lambda name: left[name])
    return Decided((best,), left[best])


def _range(asked: Asked, known: Known, heads: Heads) -> Decided:
    feature = asked.targets[0].name
    scores = {}
    for which in RANGES:
        prior = max(_interval(feature, which, heads.prior.__getitem__), 0.02)
        scores[which] = _interval(feature, which, known.p) / prior
    if asked.kind == "choose":
        other = [which for which in RANGES if which not in asked.ranges]
        scores = {which: scores[which] for which in asked.ranges} | {NONE: sum(scores[which] for which in other)}
    best = max(scores, key=lambda name: scores[name])
    return Decided((best,), scores[best] / max(sum(scores.values()), 1e-12))


def _leads(asked: Asked, known: Known, heads: Heads, rule: Rule) -> Decided:
    """Leads of a noise: the set, out of those that annotators wrote, that the leads' odds speak for. Of a form: each lead."""
    target = asked.targets[0] if asked.targets else Target(NOISES[0])
    if asked.attribute != "noise":
        codes = target.codes or DIAGNOSTIC[:1]
        there = _any_of([known.listed(code) for code in codes])
        found = [LEADS[i] for i in range(12) if max(known.in_lead(code, i) for code in codes) >= 0.5]
        chosen = tuple(found) if found and there >= 0.5 * _any_of([heads.prior[f"sure:{c}"] for c in codes]) else (NONE,)
        return Decided(chosen, max(there, 1 - there) * 0.5)
    p, prior = known.p(f"noise:{target.name}"), max(heads.prior[f"noise:{target.name}"], 1e-3)
    patterns = [(tuple(leads), float(count)) for leads, count in heads.card.get("patterns", {}).get(target.name, [])]
    lead_p = np.clip([known.p(f"noise:{target.name}@{i}") for i in range(12)], 1e-4, 1 - 1e-4)
    lead_q = np.clip([heads.prior[f"noise:{target.name}@{i}"] for i in range(12)], 1e-3, 1 - 1e-3)
    odds = np.log(lead_p / (1 - lead_p)) - np.log(lead_q / (1 - lead_q))
    scores: dict[tuple[str, ...], float] = {}
    for leads, count in patterns:
        inside = float(odds[list(leads)].mean()) - float(np.delete(odds, list(leads)).mean() if len(leads) < 12 else 0.0)
        scores[tuple(LEADS[i] for i in leads)] = math.exp(rule.leads * 2 * inside) * count**rule.leads
    total = sum(scores.values())
    yes, no = p * prior**-rule.verify, (1 - p) * (1 - prior) ** -rule.verify
    no *= rule.no_lead  # "none" is one answer of thirteen or so, not half of them
    if not total or no > yes:
        return Decided((NONE,), no / (yes + no))
    best = max(scores, key=lambda leads: scores[leads])
    return Decided(best, yes / (yes + no) * scores[best] / total)
