"""Figures of the language model: what it writes, and what it reads, each beside what does without it."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from assistant.answers import answer
from assistant.check import Checked, check
from assistant.claims import FindingClaim
from assistant.compose import renderer
from assistant.corpus import HELD_OUT, prompt, questions
from assistant.evidence import ABSENT, PRESENT, Evidence
from assistant.filling import fill
from assistant.grammar import parse
from assistant.intents import Question
from assistant.phrasing import View
from assistant.risk import NO_CASES, Cases, fit_risk
from assistant.training_set import evidence_rows
from assistant.writing import urgency_rank, write_report
from encoders.calibrate import fit_calibration
from encoders.evaluate import patient_halves
from encoders.leadsets import ALL_LEADS
from encoders.metrics import best_f1_thresholds
from encoders.ptbxl import PtbXl
from encoders.table import MeasuredTable
from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.neighbours import Agreement

__all__ = ["cross_evidence", "question_table", "report_quality"]

#: Kinds of question that a recording's own statements answer; weights as in the corpus.
_KINDS = {"verify": 4, "choose": 2, "query": 2}
_BATCH = 32
#: Least number of recordings that list a statement, for its precision and recall to count.
_CASES = 50


def cross_evidence(
    data: PtbXl, logits: NDArray[np.float32], measured: MeasuredTable, cases: Sequence[tuple[Case, ...]],
    neighbours: Sequence[tuple[Agreement, ...]] | None = None, unseen: Cases = NO_CASES,
) -> tuple[list[Evidence], NDArray[np.bool_]]:
    """Evidence of every recording by calibration and thresholds of the other half of the patients (and ``unseen``, scores of rare
    statements' true cases elsewhere), with its similar cases and what neighbours say of it; and, as a baseline, what
    thresholds tuned there for the best F1 would state, bool (n, 71)."""
    first = patient_halves(data.patients)
    evidence: list[Evidence | None] = [None] * len(data)
    tuned = np.zeros(data.labels.shape, bool)
    for fit, show in ((first, ~first), (~first, first)):
        curve = fit_calibration(logits[fit], data.labels[fit], "")
        known, seen = curve.apply(logits[fit]), curve.apply(logits[show])
        rows = np.flatnonzero(show).tolist()
        thresholds = fit_risk(data.labels[fit], known, unseen=curve.curves[ALL_LEADS].each(unseen))
        made = evidence_rows(
            data.take(show), seen, measured.take(show), thresholds, [cases[row] for row in rows],
            None if neighbours is None else [neighbours[row] for row in rows],
        )
        for row, one in zip(rows, made, strict=True):
            evidence[row] = one
        tuned[show] = seen >= best_f1_thresholds(data.labels[fit], known)
    return [one for one in evidence if one is not None], tuned


def report_quality(
    model: Any, evidence: Sequence[Evidence], tokens: NDArray[np.float32], labels: NDArray[np.uint8], tuned: NDArray[np.bool_]
) -> dict[str, Any]:
    """What the checker dropped, how much of the impressions is the model's own, whether the findings said are the present
    ones, and how they agree with the listed statements beside ``tuned`` (bool (n, 71), `cross_evidence`)."""
    sentences = dropped = own = printed = again = unsupported = extra = said_total = present_total = 0
    stated = np.zeros(labels.shape, bool)
    criteria: dict[str, list[_Criteria]] = {"drafts": [], "renderer": []}
    examples: list[str] = []
    for start in tqdm(range(0, len(evidence), _BATCH), desc="reports", disable=None):
        batch = evidence[start : start + _BATCH]
        for row, (one, written) in enumerate(
            zip(batch, write_report(model, batch, list(tokens[start : start + _BATCH])), strict=True), start
        ):
            sentences += written.sentences
            dropped += written.dropped
            again += written.again
            printed += len(written.lines)
            own += sum(line.source == "language model" for line in written.lines)
            checked = [check(line.text, one) for line in written.lines]
            unsupported += sum(not c.supported for c in checked)
            criteria["drafts"].append(_Criteria.of(checked, one))
            criteria["renderer"].append(_Criteria.of([check(fill(s.text, one), one) for s in renderer(one)], one))
            present = {f.id for f in one.in_state(PRESENT)}
            said = {i for line in written.lines for i in line.evidence if i.startswith("F:")}
            named = {i for i in said if one.finding(i[2:]).state == PRESENT}
            stated[row, [CODES.index(i[2:]) for i in named]] = True
            extra += len(named - present)
            said_total += len(present & said)
            present_total += len(present)
            if len(examples) < 5:
                examples.append(" ".join(line.text for line in written.lines))
    n = max(1, len(evidence))
    decided = np.array([[f.state in (PRESENT, ABSENT) for f in one.findings] for one in evidence])
    return {
        "raw_sentences": sentences,
        "share_dropped": dropped / max(1, sentences),
        "written_again": again / n,
        "share_own": own / max(1, printed),
        "printed_sentences": printed,
        "unsupported_after_checking": unsupported,
        "present_findings_said": said_total / max(1, present_total),
        "findings_beyond_present": extra,
        "criteria": {name: _summary(rows) for name, rows in criteria.items()},
        "agreement": _agreement(stated, decided, tuned, labels),
        "examples": examples,
    }


@dataclass(frozen=True)
class _Criteria:
    """What a draft is judged by: every present finding in it, the urgent first, "probable" where the probability says so.

    ``hedged`` of ``hedges``: findings said with the right certainty, of all that are said as present.
    """

    complete: bool
    ordered: bool
    hedged: int
    hedges: int

    @classmethod
    def of(cls, lines: Sequence[Checked], evidence: Evidence) -> _Criteria:
        view = View.of(evidence)
        said = [
            (claim.polarity == "probable") == view.doubtful(code)
            for line in lines for claim in line.claims
            if isinstance(claim, FindingClaim) and claim.polarity in ("present", "probable")
            for code in claim.codes if evidence.finding(code).state == PRESENT
        ]  # fmt: skip
        ranks = [urgency_rank(line.evidence_ids) for line in lines]
        present = {f.id for f in evidence.in_state(PRESENT)}
        return cls(present <= {i for line in lines for i in line.evidence_ids}, ranks == sorted(ranks), sum(said), len(said))


def _summary(rows: Sequence[_Criteria]) -> dict[str, float]:
    n = max(1, len(rows))
    return {
        "complete": sum(row.complete for row in rows) / n,
        "ordered_by_urgency": sum(row.ordered for row in rows) / n,
        "hedged_rightly": sum(row.hedged for row in rows) / max(1, sum(row.hedges for row in rows)),
    }


def _agreement(
    stated: NDArray[np.bool_], decided: NDArray[np.bool_], tuned: NDArray[np.bool_], labels: NDArray[np.uint8]
) -> dict[str, Any]:
    """Precision and recall of what reports state, macro over statements with enough cases, and the share of those statements
    that is decided at all; the same for the F1-tuned thresholds, which decide everything."""
    often = np.flatnonzero(labels.sum(axis=0) >= _CASES)

    def scores(said: NDArray[np.bool_]) -> dict[str, float | int]:
        right = [(said[:, c] & (labels[:, c] > 0)).sum() for c in often]
        made = [said[:, c].sum() for c in often]
        return {
            "precision": float(np.mean([r / m for r, m in zip(right, made, strict=True) if m])),
            "recall": float(np.mean([r / labels[:, c].sum() for r, c in zip(right, often, strict=True)])),
            "statements_stated": int(np.count_nonzero(made)),
        }

    return {
        "statements": len(often),
        "reports": {**scores(stated), "coverage": float(decided[:, often].mean())},
        "f1_tuned": {**scores(tuned), "coverage": 1.0},
    }


def question_table(
    model: Any, unadapted: Any, truth: Sequence[Evidence], evidence: Sequence[Evidence], tokens: NDArray[np.float32],
    seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Exact match with the listed statements, by what the model is given to read; every fifth question in a wording no
    training saw.

    ``unadapted``: the same projector on the base without LoRA. ``truth``: what is listed; ``evidence``: what the assistant
    knows, which leaves open what it cannot judge, so there an open answer counts as wrong; ``tokens``: (n, 16, 256).
    The control reads another recording's tokens. What a question names comes from the question parser in every condition.
    """
    from assistant.understanding import understand

    rng = random.Random(seed)
    asked: list[tuple[int, Question]] = []
    for row, one in enumerate(truth):
        asked += [(row, q) for q in questions(one, rng, 4, kinds=_KINDS)]
        asked += [(row, q) for q in questions(one, rng, 1, templates=HELD_OUT, kinds=_KINDS)]
    heard = [understand(q.text) for _, q in asked]
    rows = [row for row, _ in asked]
    other = np.random.default_rng(seed).permutation(len(truth))
    mine, others = list(tokens), list(tokens[other])
    answers = {
        "tokens": _answers(model, heard, rows, mine, None, "tokens"),
        "another recording's tokens": _answers(model, heard, rows, others, None, "tokens"),
        "tokens, projector without LoRA": _answers(unadapted, heard, rows, mine, None, "tokens"),
        "evidence": _answers(model, heard, rows, None, evidence, "evidence"),
        "tokens and evidence": _answers(model, heard, rows, mine, evidence, "both"),
        "tokens, evidence and cases": _answers(model, heard, rows, mine, evidence, "both+cases"),
        "rules and renderer": [
            " ".join(s.text for s in answer(evidence[row], q, None)) for row, q in zip(rows, heard, strict=True)
        ],
    }
    right = {
        name: np.array([_values(text, q) == _expected(truth[row], q) for (row, q), text in zip(asked, texts, strict=True)])
        for name, texts in answers.items()
    }
    right["always no or none"] = np.array(
        [_expected(truth[row], q) == ("no" if q.intent == "verify" else frozenset()) for row, q in asked]
    )
    kinds = np.array([q.intent for _, q in asked])
    held = np.arange(len(asked)) % 5 == 4
    table = {
        name: {"all": float(hits.mean())}
        | {kind: float(hits[kinds == kind].mean()) for kind in sorted(set(kinds.tolist()))}
        | {"held_out_wordings": float(hits[held].mean())}
        for name, hits in right.items()
    }
    understood = [h.intent == q.intent and set(h.codes) == set(q.codes) for h, (_, q) in zip(heard, asked, strict=True)]
    return {"questions": len(asked), "understood": float(np.mean(understood)), "conditions": table}


def _answers(
    model: Any, heard: Sequence[Question], rows: Sequence[int], tokens: Sequence[NDArray[np.float32]] | None,
    evidence: Sequence[Evidence] | None, mode: str,
) -> list[str]:  # fmt: skip
    texts: list[str] = []
    for start in tqdm(range(0, len(heard), _BATCH), desc=f"questions, {mode}", disable=None):
        part = list(zip(heard, rows, strict=True))[start : start + _BATCH]
        prompts = [prompt(None if evidence is None else evidence[row], q, mode) for q, row in part]
        texts += [m.text for m in model.generate(prompts, [[] if tokens is None else [tokens[row]] for _, row in part], 48)]
    return texts


def _expected(truth: Evidence, question: Question) -> str | frozenset[str]:
    present = {f.code for f in truth.in_state(PRESENT)} & set(question.codes)
    return ("yes" if present else "no") if question.intent == "verify" else frozenset(present)


def _values(text: str, question: Question) -> str | frozenset[str]:
    """The bare answer in a raw text: yes or no, or the asked statements it says are present."""
    if question.intent == "verify":
        head = re.match(r"\W*(yes|no|none)\b", text.lower())  # and not "not assessed"
        return "?" if head is None else "yes" if head[1] == "yes" else "no"
    from assistant.check import split_sentences

    stated: set[str] = set()
    for sentence in split_sentences(text):
        for claim in parse(sentence) or ():
            if getattr(claim, "polarity", "") in ("present", "probable") and hasattr(claim, "codes"):
                stated |= set(claim.codes)
    return frozenset(stated & set(question.codes))


