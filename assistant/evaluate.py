"""Every figure of the assistant on folds that no training saw, as one JSON document and a printed table."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from assistant.corpus import HELD_OUT, prompt, questions
from assistant.evidence import PRESENT, Evidence
from assistant.grammar import parse
from assistant.intents import Question
from encoders.encode import Encoder
from encoders.leadsets import ALL_LEADS, LEAD_SETS
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.studies import study_lines
from encoders.vocabulary import CODES
from retrieval.library import CaseLibrary

__all__ = ["evaluate", "format_table", "questions_with_tokens", "report_quality", "retrieval_overlap"]

#: Kinds of question that a recording's own statements answer; weights as in the corpus.
_KINDS = {"verify": 4, "choose": 2, "query": 2}
_BATCH = 32
#: What is kept of the decisions on fewer than twelve leads.
_FEW_LEADS = ("referred", "stated", "stated_in_drafts", "absent", "states_per_recording", "by_group")


@dataclass(frozen=True, eq=False)
class _Read:
    data: PtbXl
    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    tokens: NDArray[np.float32]


def evaluate(
    ptbxl: str | Path, folds: Sequence[int] = (9,), out: str | Path | None = None, *, run: str | Path | None = None,
    language: bool = True, sample: int = 300, bootstraps: int = 200, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Scores of the shipped parts on PTB-XL folds; writes evaluation.json into the folder ``out`` where given.

    ``run``: folder for measurements of many recordings (kept; a temporary one where None). ``language``: also score
    the language model, on ``sample`` recordings.
    """
    import tempfile

    from assistant.crossfit import cross_fit_report
    from assistant.rules import Measured
    from encoders.evaluate import evaluate_encoder
    from encoders.raw import encode_lead_sets
    from encoders.table import measure_table

    data = load_ptbxl(ptbxl, tuple(folds))
    encoder = Encoder.load()
    library = CaseLibrary.open(None, encoder.hash)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(run) if run is not None else Path(scratch)
        tables = {one.name: measure_table(data, work, read_from=one.name) for one in LEAD_SETS}
        kept = work / f"fold{'-'.join(str(fold) for fold in folds)}-{encoder.hash[:12]}"
        seen = encode_lead_sets(encoder.network, data.signals(work / "cache" if run is not None else None), kept)
    table, raw = tables[ALL_LEADS], seen[ALL_LEADS]
    read = _Read(data, raw.logits, raw.embeddings, raw.tokens.astype(np.float32))
    sexes = data.table["sex"].to_numpy(float)
    ages = data.table["age"].to_numpy(float)
    decisions = {
        name: cross_fit_report(
            data.labels, one.logits, data.patients,
            Measured(tables[name].values.astype(float), tables[name].reliability.astype(float), sexes == 1, ~np.isnan(sexes)),
            logits=True, ages=np.where(ages > 130, 90, ages), usable=tables[name].usable,
            distances=np.ravel(library.nearest_distance(one.embeddings)), lead_set=name,
        )
        for name, one in seen.items()
    }  # fmt: skip
    result: dict[str, Any] = {
        "folds": list(folds),
        "encoder_hash": encoder.hash,
        "encoder": evaluate_encoder(data, {name: one.logits for name, one in seen.items()}, bootstraps=bootstraps),
        "decisions": decisions[ALL_LEADS],
        "decisions_by_lead_set": {
            name: {part: values for part, values in one.items() if part in _FEW_LEADS}
            for name, one in decisions.items() if name != ALL_LEADS
        },
        "retrieval": retrieval_overlap(read, library, seed),
    }  # fmt: skip
    if language:
        from assistant.decide import Decision
        from assistant.language.model import LanguageModel
        from assistant.training_set import evidence_rows, truth_rows

        rows = np.sort(np.random.default_rng(seed).permutation(len(data))[:sample])
        keep = np.zeros(len(data), bool)
        keep[rows] = True
        part = data.take(keep)
        few = table.take(keep)
        cases = library.search_batch(raw.embeddings[keep], k=10)
        thresholds = Decision.load(None, encoder.hash).thresholds()
        evidence = evidence_rows(part, encoder.calibration.apply(raw.logits[keep]), few, thresholds, cases)
        model = LanguageModel.load(None, encoder.hash)
        result["language"] = {
            "recordings": len(part),
            "reports": report_quality(model, evidence, read.tokens[keep]),
            "questions": questions_with_tokens(model, truth_rows(part, few), read.tokens[keep], seed),
        }
    result = _plain(result)
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        (Path(out) / "evaluation.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return result


def _plain(value: Any) -> Any:
    """The same without NaN, which JSON does not know: None instead."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _listed(labels: NDArray[np.uint8]) -> list[set[str]]:
    return [{CODES[c] for c in np.flatnonzero(row)} for row in labels]


def retrieval_overlap(read: _Read, library: CaseLibrary, seed: int = 0) -> dict[str, float]:
    """Mean Jaccard overlap of statements between each recording and its ten nearest cases, and ten drawn at random."""
    listed = _listed(read.data.labels)
    found = library.search_batch(read.embeddings, k=10, exclude_patients=[str(p) for p in read.data.patients])
    own = [np.mean([_jaccard(asked, set(case.statements)) for case in cases]) for asked, cases in zip(listed, found, strict=True)]
    pool = [set(case.statements) for cases in found for case in cases]
    ids = sorted({case.case_id for cases in found for case in cases})
    rows = library.get(ids)
    everyone = [set(rows[i].statements) for i in ids] if rows else pool
    rng = random.Random(seed)
    by_chance = [np.mean([_jaccard(asked, everyone[rng.randrange(len(everyone))]) for _ in range(10)]) for asked in listed]
    return {"overlap_at_10": float(np.mean(own)), "overlap_at_10_random": float(np.mean(by_chance))}


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0


def report_quality(model: Any, evidence: Sequence[Evidence], tokens: NDArray[np.float32]) -> dict[str, float]:
    """What the checker dropped, how much of the impressions is the model's own, and whether the findings are the present ones."""
    from assistant.check import check
    from assistant.writing import write_report

    sentences = dropped = own = printed = unsupported = complete = extra = said_total = present_total = 0
    examples: list[str] = []
    for start in tqdm(range(0, len(evidence), _BATCH), desc="reports", disable=None):
        batch = evidence[start : start + _BATCH]
        for one, written in zip(batch, write_report(model, batch, list(tokens[start : start + _BATCH])), strict=True):
            sentences += written.sentences
            dropped += written.dropped
            printed += len(written.lines)
            own += sum(line.source == "language model" for line in written.lines)
            checked = [check(line.text, one) for line in written.lines if line.source == "language model"]
            unsupported += sum(not c.supported for c in checked)
            present = {f.id for f in one.in_state(PRESENT)}
            said = {i for line in written.lines for i in line.evidence if i.startswith("F:")}
            stated = {i for i in said if one.finding(i[2:]).state == PRESENT}
            complete += present <= said
            extra += len(stated - present)
            said_total += len(present & said)
            present_total += len(present)
            if len(examples) < 5:
                examples.append(" ".join(line.text for line in written.lines))
    return {
        "raw_sentences": sentences,
        "share_dropped": dropped / max(1, sentences),
        "share_own": own / max(1, printed),
        "unsupported_after_checking": unsupported,
        "present_findings_said": said_total / max(1, present_total),
        "reports_complete": complete / max(1, len(evidence)),
        "findings_beyond_present": extra,
        "examples": examples,  # type: ignore[dict-item]
    }


def questions_with_tokens(model: Any, truth: Sequence[Evidence], tokens: NDArray[np.float32], seed: int = 0) -> dict[str, Any]:
    """Exact match from ECG tokens alone, with the recording's own tokens and with another recording's (the control)."""
    rng = random.Random(seed)
    asked: list[tuple[int, Question]] = []
    for row, one in enumerate(truth):
        asked += [(row, q) for q in questions(one, rng, 4, kinds=_KINDS)]
        asked += [(row, q) for q in questions(one, rng, 1, templates=HELD_OUT, kinds=_KINDS)]
    held_out = [i % 5 == 4 for i in range(len(asked))]
    other = np.random.default_rng(seed).permutation(len(truth))
    answers = {
        "own": _answers(model, asked, tokens),
        "random": _answers(model, asked, tokens[other]),
    }
    right = {
        name: np.array([_values(text, q) == _expected(truth[row], q) for (row, q), text in zip(asked, texts, strict=True)])
        for name, texts in answers.items()
    }
    kinds = np.array([q.intent for _, q in asked])
    held = np.array(held_out)
    out: dict[str, Any] = {"questions": len(asked)}
    for name, hits in right.items():
        out[name] = {"all": float(hits.mean())}
        out[name] |= {kind: float(hits[kinds == kind].mean()) for kind in sorted(set(kinds.tolist()))}
        out[name]["held_out_wordings"] = float(hits[held].mean())
    majority = [_expected(truth[row], q) == ("no" if q.intent == "verify" else frozenset()) for row, q in asked]
    out["always_no_or_none"] = float(np.mean(majority))
    return out


def _answers(model: Any, asked: Sequence[tuple[int, Question]], tokens: NDArray[np.float32]) -> list[str]:
    texts: list[str] = []
    for start in tqdm(range(0, len(asked), _BATCH), desc="questions", disable=None):
        batch = asked[start : start + _BATCH]
        made = model.generate([prompt(None, q, "tokens") for _, q in batch], [[tokens[row]] for row, _ in batch], 48)
        texts += [m.text for m in made]
    return texts


def _expected(truth: Evidence, question: Question) -> str | frozenset[str]:
    present = {f.code for f in truth.in_state(PRESENT)} & set(question.codes)
    return ("yes" if present else "no") if question.intent == "verify" else frozenset(present)


def _values(text: str, question: Question) -> str | frozenset[str]:
    """The bare answer in a raw text: yes or no, or the asked statements it says are present."""
    if question.intent == "verify":
        head = text.strip().lower()
        return "yes" if head.startswith("yes") else "no" if head.startswith("no") else "?"
    from assistant.check import split_sentences

    stated: set[str] = set()
    for sentence in split_sentences(text):
        for claim in parse(sentence) or ():
            if getattr(claim, "polarity", "") in ("present", "probable") and hasattr(claim, "codes"):
                stated |= set(claim.codes)
    return frozenset(stated & set(question.codes))


def format_table(result: dict[str, Any]) -> str:
    """The figures a reader wants first, one per line."""
    enc, dec, ret = result["encoder"], result["decisions"], result["retrieval"]
    lines = [f"folds {result['folds']}: {enc['recordings']} recordings"]
    for name, value in enc["macro_auroc"].items():
        low, high = value.get("interval", (float("nan"),) * 2)
        lines.append(f"  macro AUROC {name:<11} {value['value']:.4f}  [{low:.4f}, {high:.4f}]")
    low, high = enc["superclasses"].get("interval", (float("nan"),) * 2)
    lines.append(f"  macro AUROC superclass  {enc['superclasses']['macro_auroc']:.4f}  [{low:.4f}, {high:.4f}]")
    lines += _lead_set_lines(enc["lead_sets"], result["decisions_by_lead_set"], dec)
    ece = dec["calibration_error"]
    lines.append(f"  calibration error      mean {ece['mean']:.4f}, worst {ece['worst']:.4f} ({ece['worst_code']})")
    lines.append(f"  referred               {dec['referred']['share']:.3f}  {dec['referred']['by_reason']}")
    for name, group in dec["by_group"].items():
        lines.append(f"    {name:<12} n={group['recordings']:<5} referred {group['referred']:.3f}")
    stated = {k: v for k, v in dec["stated"].items() if not isinstance(v, dict)}
    lines.append(f"  stated findings        {stated}")
    lines.append(f"  cases: overlap@10      {ret['overlap_at_10']:.3f}, at random {ret['overlap_at_10_random']:.3f}")
    if "language" in result:
        lang = result["language"]
        reports = {k: (round(v, 4) if isinstance(v, float) else v) for k, v in lang["reports"].items() if k != "examples"}
        lines.append(f"  impressions            {reports}")
        for name in ("own", "random"):
            lines.append(f"  questions, {name} tokens: {lang['questions'][name]}")
        lines.append(f"  questions, always no or none: {lang['questions']['always_no_or_none']:.3f}")
    lines += study_lines()
    return "\n".join(lines)


def _lead_set_lines(
    scored: dict[str, Any], decided: dict[str, dict[str, Any]], full: dict[str, Any]
) -> list[str]:
    """A row per set of leads: macro AUROC with its interval, calibration error, and what would be stated and referred."""
    groups = ("all", "diagnostic", "form", "rhythm", "superclasses")
    lines = [f"  {'read from':<8} " + " ".join(f"{group:<22}" for group in groups) + " ECE     referred  stated  precision"]
    for name, row in scored.items():
        cells = []
        for group in groups:
            value = row["macro_auroc"][group]
            low, high = value.get("interval", (float("nan"),) * 2)
            cells.append(f"{value['value']:.4f} [{low:.3f}, {high:.3f}]")
        made = full if name == ALL_LEADS else decided[name]
        right = made["stated"]["precision"]
        lines.append(
            f"  {name:<8} " + " ".join(f"{cell:<22}" for cell in cells)
            + f" {row['calibration_error']['mean']:.4f}  {made['referred']['share']:<8.3f}  "
            + f"{made['stated']['per_recording']:<6.2f}  {'none' if right is None else f'{right:.3f}'}"
        )
    return lines
