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

from assistant.evidence import ABSENT
from encoders.encode import Encoder
from encoders.fusion import FUSED, FUSED_READINGS, READ_FROM, joined
from encoders.leadsets import ALL_LEADS, LEAD_SETS
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.studies import study_lines
from encoders.vocabulary import CODES
from retrieval.library import CaseLibrary
from retrieval.neighbours import NEIGHBOURS, Agreement, neighbours_say, says_doubt

__all__ = ["evaluate", "format_table", "retrieval_overlap"]

#: What is kept of the decisions on fewer than twelve leads.
_FEW_LEADS = ("referred", "stated", "stated_in_drafts", "absent", "states_per_recording", "by_group")


@dataclass(frozen=True, eq=False)
class _Read:
    data: PtbXl
    embeddings: NDArray[np.float32]
    tokens: NDArray[np.float32]


def evaluate(
    ptbxl: str | Path, folds: Sequence[int] = (9,), out: str | Path | None = None, *, run: str | Path | None = None,
    language: bool = False, sample: int = 300, ecgqa: str | Path | None = None, bootstraps: int = 200, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Scores of the shipped parts on PTB-XL folds; writes evaluation.json into the folder ``out`` where given.

    ``run``: folder for measurements of many recordings (kept; a temporary one where None). ``language``: also score
    the language model, its drafts on every recording and its answers on ``sample`` of them. ``ecgqa``: folder of ECG-QA, for
    questions by its templates.
    """
    import tempfile

    from assistant.crossfit import cross_fit_report
    from assistant.decide import Decision
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
    # No patient of these folds is in the library, so near-duplicates are strangers'.
    near = library.search_batch(raw.embeddings, NEIGHBOURS, exclude_near_duplicates=False)
    say = [neighbours_say(cases, library.prevalences(), library.count) for cases in near]
    listed = np.array([[code in doubted for code in CODES] for doubted in map(_absences_doubted, say)])
    scores = joined(encoder.fused(), data, tables, {name: one.logits for name, one in seen.items()})
    read = _Read(data, raw.embeddings, raw.tokens.astype(np.float32))
    sexes = data.table["sex"].to_numpy(float)
    known = Decision.load(None, encoder.hash).known
    decisions = {
        name: cross_fit_report(
            data.labels, scores[FUSED_READINGS[name]], data.patients,
            Measured(tables[name].values.astype(float), tables[name].reliability.astype(float), sexes == 1, ~np.isnan(sexes)),
            logits=True, ages=data.ages, usable=tables[name].usable,
            distances=np.ravel(library.nearest_distance(one.embeddings)), lead_set=name,
            listed=listed if name == ALL_LEADS else None,  # neighbours are heeded on twelve leads alone
            unseen=known[name].unseen_scores,
        )
        for name, one in seen.items()
    }  # fmt: skip
    result: dict[str, Any] = {
        "folds": list(folds),
        "encoder_hash": encoder.hash,
        "encoder": evaluate_encoder(data, scores, bootstraps=bootstraps),
        "decisions": decisions[ALL_LEADS],
        "decisions_by_lead_set": {
            name: {part: values for part, values in one.items() if part in _FEW_LEADS}
            for name, one in decisions.items() if name != ALL_LEADS
        },
        "retrieval": retrieval_overlap(read, library, seed),
    }  # fmt: skip
    if language:
        from assistant.evaluate_language import cross_evidence, question_table, report_quality
        from assistant.language.model import LanguageModel
        from assistant.training_set import truth_rows

        shown = library.search_batch(raw.embeddings, k=10)
        evidence, tuned = cross_evidence(data, scores[FUSED], table, shown, say, known[ALL_LEADS].unseen_scores)
        model, plain = LanguageModel.load(None, encoder.hash), LanguageModel.load(None, encoder.hash, adapters=False)
        rows = np.sort(np.random.default_rng(seed).permutation(len(data))[:sample])
        keep = np.zeros(len(data), bool)
        keep[rows] = True
        result["language"] = {
            "recordings": len(data),
            "reports": report_quality(model, evidence, read.tokens, data.labels, tuned),
            "question_recordings": len(rows),
            "questions": question_table(
                model, plain, truth_rows(data.take(keep), table.take(keep)), [evidence[row] for row in rows], read.tokens[keep],
                seed,
            ),
        }  # fmt: skip
    if ecgqa is not None:
        from assistant.ecgqa.evaluate import evaluate_ecgqa

        with tempfile.TemporaryDirectory() as scratch:
            result["ecg_qa"] = evaluate_ecgqa(ptbxl, ecgqa, run if run is not None else scratch, folds)
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


def _absences_doubted(said: Sequence[Agreement]) -> set[str]:
    return {one.code for one in said if says_doubt(one, ABSENT)}


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
    heeded = dec["not_absent_for_similar_cases"]
    lines.append(f"  not absent for cases   {heeded['findings']} findings in {heeded['recordings']} recordings, "
                 f"{heeded['listed']} of them listed")
    lines.append(f"  cases: overlap@10      {ret['overlap_at_10']:.3f}, at random {ret['overlap_at_10_random']:.3f}")
    if "language" in result:
        lang = result["language"]
        reports = {k: v for k, v in lang["reports"].items() if not isinstance(v, dict | list)}
        reports = {k: round(v, 4) if isinstance(v, float) else v for k, v in reports.items()}
        lines.append(f"  impressions            {reports}")
        for name, row in lang["reports"]["criteria"].items():
            lines.append(f"    {name:<34} " + " ".join(f"{kind} {value:.3f}" for kind, value in row.items()))
        agreement = lang["reports"]["agreement"]
        lines.append(f"  drafts against listed statements, macro over {agreement['statements']} with 50 cases or more:")
        for name in ("reports", "f1_tuned"):
            lines.append(f"    {name:<34} " + " ".join(f"{kind} {value:.3f}" for kind, value in agreement[name].items()))
        lines.append(f"  questions, exact match with the listed statements ({lang['questions']['questions']}):")
        for name, row in lang["questions"]["conditions"].items():
            lines.append(f"    {name:<34} " + " ".join(f"{kind} {value:.3f}" for kind, value in row.items()))
    if "ecg_qa" in result:
        from assistant.ecgqa.evaluate import format_ecgqa

        lines.append(format_ecgqa(result["ecg_qa"]))
    lines += study_lines()
    return "\n".join(lines)


def _lead_set_lines(
    scored: dict[str, Any], decided: dict[str, dict[str, Any]], full: dict[str, Any]
) -> list[str]:
    """A row per set of leads: macro AUROC with its interval, calibration error, and what would be stated and referred."""
    groups = ("all", "diagnostic", "form", "rhythm", "superclasses")
    lines = [f"  {'read from':<25} " + " ".join(f"{group:<22}" for group in groups) + " ECE     referred  stated  precision"]
    for name, row in scored.items():
        cells = []
        for group in groups:
            value = row["macro_auroc"][group]
            low, high = value.get("interval", (float("nan"),) * 2)
            cells.append(f"{value['value']:.4f} [{low:.3f}, {high:.3f}]")
        line = f"  {name:<25} " + " ".join(f"{cell:<22}" for cell in cells) + f" {row['calibration_error']['mean']:.4f}"
        # Nothing is decided without measurements.
        made = full if name == FUSED else decided.get(READ_FROM.get(name, ""))
        if made is not None:
            right = made["stated"]["precision"]
            told = "none" if right is None else f"{right:.3f}"
            line += f"  {made['referred']['share']:<8.3f}  {made['stated']['per_recording']:<6.2f}  {told}"
        lines.append(line)
    return lines
