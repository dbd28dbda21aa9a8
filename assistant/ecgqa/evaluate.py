"""Scores on questions made by ECG-QA's templates: exact match by type and attribute, beside three baselines.

``evaluate_ecgqa`` is what ``ecg-assistant evaluate PTBXL_DIR --folds 9 --ecg-qa DIR`` calls. An answer counts where the set of
its values equals the set of the right ones. Baselines: each template's most common answer on the same set (which knows the set),
always "no" or "none", and the encoder's probabilities with thresholds tuned for F1 on fold 8, which know of statements alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant.ecgqa.asked import Asked
from assistant.ecgqa.benchmark import Item, expected
from assistant.ecgqa.decide import Rule, decide
from assistant.ecgqa.heads import Heads
from assistant.ecgqa.known import Known
from assistant.ecgqa.parse import parse
from assistant.ecgqa.truth import Truth
from assistant.ecgqa.values import AXES, NONE, RANGES, STAGE_NONE

if TYPE_CHECKING:
    from retrieval.text import TextEncoder

__all__ = ["answers_of", "encoder_baseline", "evaluate_ecgqa", "format_ecgqa", "score", "understood"]

Answers = Sequence[frozenset[str]]


def encoder_baseline(items: Sequence[Item], listed: Mapping[int, frozenset[str]]) -> list[frozenset[str]]:
    """Answers from the statements above their threshold, by ecg_id, as if they were the labels; "no" or "none" beyond them."""
    out = []
    for item in items:
        truths = [Truth(sure=listed[i], unsure=frozenset()) for i in item.ecg_ids]
        answer = expected(item.asked, truths) if item.asked.attribute == "scp_code" else None
        out.append(answer if answer is not None else _nothing(item.asked))
    return out


def _nothing(asked: Asked) -> frozenset[str]:
    if asked.kind == "verify":
        return frozenset({"no"})
    if asked.attribute == "heart_axis" and asked.kind == "query":
        return frozenset({AXES[0]})
    if asked.wants == "range" and asked.kind == "query":
        return frozenset({RANGES[1]})
    return frozenset({STAGE_NONE if asked.attribute == "stage_of_infarction" and asked.kind == "query" else NONE})


def _majority(items: Sequence[Item]) -> list[frozenset[str]]:
    counts: dict[int, dict[frozenset[str], int]] = {}
    for item in items:
        here = counts.setdefault(item.template.number, {})
        here[item.answer] = here.get(item.answer, 0) + 1
    common = {number: max(here, key=lambda a: here[a]) for number, here in counts.items()}
    return [common[item.template.number] for item in items]


def score(items: Sequence[Item], answers: Answers) -> dict[str, float]:
    """Exact match overall, by kind, by attribute and by number of recordings; keys "verify", "verify/noise", "two/verify", …"""
    hits: dict[str, list[bool]] = {}
    for item, answer in zip(items, answers, strict=True):
        right, asked = answer == item.answer, item.asked
        keys = ["all", asked.kind, f"{asked.kind}/{asked.attribute}", f"{'two' if asked.relation else 'one'}/{asked.kind}"]
        if asked.relation:
            keys.append(f"two/{asked.kind}/{asked.attribute}")
        for key in (*keys, f"template/{item.template.number}"):
            hits.setdefault(key, []).append(right)
    return {key: float(np.mean(values)) for key, values in hits.items()}


def understood(
    pairs: Sequence[tuple[str, Asked, int]], encoder: TextEncoder | None = None
) -> tuple[float, list[tuple[str, Asked]]]:
    """Share of (question, what it asks, recordings) that ``parse`` recovers, and those it does not, as it read them."""
    wrong = []
    for text, asked, recordings in pairs:
        found = parse(text, recordings, None, encoder)
        if not found.same_as(asked):
            wrong.append((text, found))
    return 1 - len(wrong) / max(1, len(pairs)), wrong


def answers_of(
    items: Sequence[Item], known: Mapping[int, Known], heads: Heads, rule: Rule | None = None, *, by_words: bool = True,
    encoder: TextEncoder | None = None,
) -> list[frozenset[str]]:  # fmt: skip
    """The answers; ``by_words``: the question is understood from its wording, else what it asks is given."""
    out = []
    for item in items:
        asked = parse(item.question, len(item.ecg_ids), None, encoder) if by_words else item.asked
        out.append(frozenset(decide(asked, [known[i] for i in item.ecg_ids], heads, rule).values))
    return out


def evaluate_ecgqa(
    ptbxl: str | Path, ecgqa: str | Path, run: str | Path, folds: Sequence[int] = (9,), *, per_template: int = 120, seed: int = 0,
    heads: Heads | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Builds the set from the folds' labels and scores answers from the recordings' signals and the questions' wordings.

    ``run``: folder that keeps measurements and encodings between runs. Returns exact match of the system and of the baselines,
    the share of questions understood, and how many there were.
    """
    from assistant.ecgqa.materials import materials

    made = materials(ptbxl, ecgqa, run, folds, per_template=per_template, seed=seed, heads=heads)
    items = made.items
    pairs = [(item.question, item.asked, len(item.ecg_ids)) for item in items]
    share, wrong = understood(pairs)
    results: dict[str, Answers] = {
        "system": answers_of(items, made.known, made.heads),
        "majority": _majority(items),
        "always no": [_nothing(item.asked) if item.asked.kind == "verify" else frozenset({NONE}) for item in items],
        "encoder thresholds": encoder_baseline(items, made.listed),
    }
    scores = {name: score(items, answers) for name, answers in results.items()}
    failures = [
        {"question": item.question, "right": sorted(item.answer), "given": sorted(given)}
        for item, given in zip(items, results["system"], strict=True)
        if given != item.answer
    ]
    step = max(1, len(failures) // 20)
    return {
        "folds": list(folds), "questions": len(items), "understood": share, "not_understood": [text for text, _ in wrong[:20]],
        "scores": scores, "failures": failures[::step][:20],
    }  # fmt: skip


def format_ecgqa(result: dict[str, Any]) -> str:
    """The table of exact match: a row per type and attribute, a column per system."""
    names = list(result["scores"])
    keys = [key for key in result["scores"]["system"] if not key.startswith("template/")]
    keys.sort(key=lambda key: (key.count("/"), key))
    lines = [f"ECG-QA style, folds {result['folds']}: {result['questions']} questions, understood {result['understood']:.3f}"]
    lines.append(f"  {'exact match':<32}" + "".join(f"{name:>20}" for name in names))
    lines += [f"  {key:<32}" + "".join(f"{result['scores'][name][key]:>20.3f}" for name in names) for key in keys]
    return "\n".join(lines)
