"""Training of the heads for ECG-QA's convention.

``ecg-assistant train questions PTBXL_DIR --ecg-qa ECGQA_DIR --run RUN``: RUN holds the out-of-fold encodings
(``encoders.outoffold``). Folds 1-7 train, as unseen by the encoder; fold 8 stops the training, calibrates and fits the rule. A
few minutes on one core.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.ecgqa.asked import Asked
from assistant.ecgqa.benchmark import Item
from assistant.ecgqa.decide import Rule
from assistant.ecgqa.evaluate import answers_of, score
from assistant.ecgqa.heads import Heads, general, inputs_of, own_signs, save_heads
from assistant.ecgqa.known import known_of
from assistant.ecgqa.materials import items_of, signs_of, truths_of
from assistant.ecgqa.outputs import NUMERIC, OUTPUTS, labels_of
from assistant.ecgqa.sets import BASE, FIELDS, SCORES, SetTable, rows_of, written
from assistant.ecgqa.truth import Truth
from assistant.ecgqa.values import NOISES
from encoders.calibrate import fit_calibration
from encoders.encode import Encoder
from encoders.errors import ArtefactError
from encoders.fusion_fit import unseen_scores
from encoders.leadsets import ALL_LEADS
from encoders.metrics import auroc_per_statement, best_f1_thresholds
from encoders.outoffold import out_of_fold_file
from encoders.ptbxl import load_ptbxl
from encoders.table import measure_table
from encoders.vocabulary import CODES

__all__ = ["failures", "fit_rule", "train_heads"]

HIDDEN, DROPOUT, DECAY, RATE, BATCH, PATIENCE = 96, 0.35, 2e-3, 1.5e-3, 256, 6
HIDDEN_NUMERIC, EPOCHS_NUMERIC = 40, 60
HIDDEN_SETS, EPOCHS_SETS, DROPOUT_SETS = 192, 16, 0.5
CHOOSE_FOLD, REPORT_FOLD = 8, 9
#: Sets of leads an annotator wrote less often than this are not among the answers to "which leads".
_LEAST_PATTERN = 4
Floats = NDArray[np.float32]


def _platt(raw: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Slope and offset per output from the rows where its label is known."""
    slope, offset = np.ones(raw.shape[1], np.float32), np.zeros(raw.shape[1], np.float32)
    known = ~np.isnan(labels).any(axis=0)
    curves = fit_calibration(raw[:, known], labels[:, known].astype(np.uint8), "").curves[ALL_LEADS]
    slope[known], offset[known] = curves.slope, curves.offset
    for column in np.flatnonzero(~known):
        rows = ~np.isnan(labels[:, column])
        one = fit_calibration(raw[rows, column : column + 1], labels[rows, column : column + 1].astype(np.uint8), "")
        slope[column], offset[column] = one.curves[ALL_LEADS].slope[0], one.curves[ALL_LEADS].offset[0]
    return slope, offset


def _fit(
    train: tuple[Floats, Floats], stop: tuple[Floats, Floats], past: tuple[Floats, Floats] | None, hidden: int, epochs: int,
    seed: int,
) -> dict[str, Floats]:  # fmt: skip
    """One hidden layer; the epoch with the least loss on ``stop`` is kept.

    ``train``, ``stop``: inputs and labels (NaN where unknown). ``past``: log-odds of the statements for both, which the first
    outputs only correct.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    x, y = train
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-3
    first, second = nn.Linear(x.shape[1], hidden), nn.Linear(hidden, y.shape[1])
    skip = nn.Parameter(torch.ones(len(CODES)))
    nn.init.zeros_(second.weight)
    share = np.clip(np.nanmean(y, axis=0), 1e-4, 1 - 1e-4)
    bias = np.log(share / (1 - share))
    if past is not None:
        bias[: len(CODES)] = 0.0
    second.bias.data = torch.tensor(bias, dtype=torch.float32)
    parameters = [*first.parameters(), *second.parameters(), skip]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    # Every output counts alike: rare ones by the spread that their share allows.
    weight = torch.from_numpy((1 / np.sqrt(share * (1 - share))).astype(np.float32)).clamp(max=12.0)

    def tensors(a: Floats, b: Floats, statements: Floats | None) -> tuple[Any, ...]:
        z = torch.from_numpy(np.clip((a - mean) / scale, -5, 5))
        kept = torch.zeros(len(a), len(CODES)) if statements is None else torch.from_numpy(np.ascontiguousarray(statements))
        return z, kept, torch.from_numpy(np.nan_to_num(b)), torch.from_numpy((~np.isnan(b)).astype(np.float32))

    def loss(part: Sequence[Any], drop: float) -> Any:
        z, statements, t, m = part
        inner = nn.functional.silu(first(nn.functional.dropout(z, 0.1 if drop else 0.0)))
        logits = second(nn.functional.dropout(inner, drop))
        if past is not None:
            logits = torch.cat([logits[:, : len(CODES)] + skip * statements, logits[:, len(CODES) :]], dim=1)
        each = nn.functional.binary_cross_entropy_with_logits(logits, t, reduction="none")
        return (each * m * weight).sum() / m.sum()

    data = tensors(x, y, None if past is None else past[0])
    held = tensors(*stop, None if past is None else past[1])
    best, kept, since = np.inf, {}, 0
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            loss([part[rows] for part in data], DROPOUT).backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            reached = float(loss(held, 0.0))
        since += 1
        if reached < best:
            best, since = reached, 0
            kept = {
                "mean": mean, "scale": scale, "skip": skip.detach().numpy().copy(),
                "w1": first.weight.detach().numpy().copy(), "b1": first.bias.detach().numpy().copy(),
                "w2": second.weight.detach().numpy().copy(), "b2": second.bias.detach().numpy().copy(),
            }  # fmt: skip
        if since >= PATIENCE:
            break
    return kept


def _fit_sets(
    train: tuple[Floats, Sequence[Truth]], stop: tuple[Floats, Sequence[Truth]], seed: int
) -> tuple[dict[str, Floats], dict[str, SetTable]]:
    """The layer that scores values for whole sets, and the candidates with their biases; the epoch best on ``stop`` is kept.

    ``train``, ``stop``: what ``inputs_of`` gives, and the labels. One softmax per field over the sets written in ``train``.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    mean, scale = train[0].mean(axis=0), train[0].std(axis=0) + 1e-3
    members = {field: written(train[1], field) for field in FIELDS}
    columns = torch.from_numpy(np.maximum(BASE, 0) + 256)
    known = torch.from_numpy((BASE >= 0).astype(np.float32))
    first, second = nn.Linear(len(mean), HIDDEN_SETS), nn.Linear(HIDDEN_SETS, len(BASE))
    nn.init.zeros_(second.weight)
    nn.init.zeros_(second.bias)
    skip = nn.Parameter(torch.full((len(BASE),), 0.8))
    bias = nn.ParameterDict({f"b{k}": nn.Parameter(torch.zeros(len(members[field]))) for k, field in enumerate(FIELDS)})
    optimizer = torch.optim.AdamW(
        [
            {"params": [*first.parameters(), *second.parameters(), skip], "weight_decay": DECAY},
            {"params": list(bias.parameters()), "weight_decay": 1e-3, "lr": 3 * RATE},
        ],
        lr=RATE,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS_SETS)
    rows = {field: torch.from_numpy(members[field].T.astype(np.float32)) for field in FIELDS}

    def tensors(part: tuple[Floats, Sequence[Truth]]) -> tuple[Any, Any, dict[str, Any]]:
        x = torch.from_numpy(part[0])
        z = torch.from_numpy(np.clip((part[0] - mean) / scale, -5, 5))
        return z, x[:, columns] * known, {field: torch.from_numpy(rows_of(part[1], field, members[field])) for field in FIELDS}

    def loss(z: Any, base: Any, labels: Mapping[str, Any], drop: float) -> Any:
        inner = nn.functional.silu(first(nn.functional.dropout(z, 0.1 if drop else 0.0)))
        scores = second(nn.functional.dropout(inner, drop)) + skip * base
        total = torch.zeros(())
        for k, field in enumerate(FIELDS):
            told = labels[field] >= 0
            if told.any():
                logits = scores[:, SCORES[field]] @ rows[field] + bias[f"b{k}"]
                total = total + nn.functional.cross_entropy(logits[told], labels[field][told])
        return total

    z, base, labels = tensors(train)
    held = tensors(stop)
    best, kept = np.inf, {}
    for _ in range(EPOCHS_SETS):
        order = torch.randperm(len(z))
        for start in range(0, len(z), BATCH):
            batch = order[start : start + BATCH]
            optimizer.zero_grad()
            loss(z[batch], base[batch], {field: values[batch] for field, values in labels.items()}, DROPOUT_SETS).backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            reached = float(loss(*held, 0.0))
        if reached < best:
            best = reached
            kept = {
                "s_w1": first.weight.detach().numpy().copy(), "s_b1": first.bias.detach().numpy().copy(),
                "s_w2": second.weight.detach().numpy().copy(), "s_b2": second.bias.detach().numpy().copy(),
                "s_skip": skip.detach().numpy().copy(), "s_mean": mean, "s_scale": scale,
                **{f"b{k}": bias[f"b{k}"].detach().numpy().copy() for k in range(len(FIELDS))},
            }  # fmt: skip
    tables = {field: SetTable(members[field], kept.pop(f"b{k}")) for k, field in enumerate(FIELDS)}
    return kept, tables


def _patterns(truths: Sequence[Truth]) -> dict[str, list[tuple[list[int], int]]]:
    """Per kind of noise the sets of leads that annotators wrote, with how often."""
    out = {}
    for kind in NOISES:
        counts = Counter(tuple(sorted(t.noise[kind])) for t in truths if t.noise.get(kind))
        out[kind] = [(list(leads), n) for leads, n in counts.most_common(60) if n >= _LEAST_PATTERN or kind == NOISES[-1]]
    return out


def fit_rule(items: Sequence[Any], known: Mapping[int, Any], heads: Heads) -> Rule:
    """The powers with the most exact matches on a set of questions (fold 8's), one after the other."""
    def best(tried: Sequence[Rule], part: Sequence[Any]) -> Rule:
        if not part:
            return tried[0]
        return max(tried, key=lambda one: score(part, answers_of(part, known, heads, one, by_words=False))["all"])

    rule = Rule()
    grids: dict[str, tuple[Any, ...]] = {
        "verify": (0.8, 0.9, 1.0, 1.1), "not_sure": (0.3, 0.5, 0.7, 1.0, 1.4), "choose": (0.4, 0.6, 0.8, 1.0),
        "joint": (0.0, 0.3, 0.5, 0.7, 0.9, 1.0), "query": (0.35, 0.65, 1.0), "sets": (0.6, 0.75, 0.9, 1.05, 1.2),
        "no_lead": (0.07, 0.15, 0.3, 0.6), "compare": (0.4, 0.6, 0.8, 1.0, 1.2),
        "compare_numeric": (0.3, 0.5, 0.65, 0.8, 1.0, 1.2),
        "leads": (0.25, 0.5, 0.75, 1.0),
    }  # fmt: skip
    about: dict[str, Callable[[Asked], object]] = {
        "verify": lambda a: a.kind == "verify", "not_sure": lambda a: a.kind == "verify" and not a.relation,
        "choose": lambda a: a.kind == "choose", "joint": lambda a: a.kind == "choose" and a.attribute != "numeric_feature",
        "query": lambda a: a.kind == "query" and not a.relation, "sets": lambda a: a.kind == "query" and not a.relation,
        "compare": lambda a: a.kind == "query" and a.relation and a.attribute == "scp_code",
        "compare_numeric": lambda a: a.kind == "query" and a.relation and a.attribute == "numeric_feature",
        "leads": lambda a: a.wants == "leads", "no_lead": lambda a: a.wants == "leads",
    }  # fmt: skip
    for name, grid in grids.items():
        part = [item for item in items if about[name](item.asked)]
        rule = best([replace(rule, **{name: value}) for value in grid], part)
    for field in ("noise", "stage_of_infarction", "extra_systole", "numeric_feature"):
        part = [item for item in items if item.asked.attribute == field and item.asked.kind != "verify"]
        rule = best([rule, replace(rule, apart=(*rule.apart, field))], part)
    return rule


def train_heads(
    ptbxl: str | Path, ecgqa: str | Path, run: str | Path, out: str | Path | None = None, *, epochs: int = 40, seed: int = 0,
    encoder: Encoder | None = None, report: bool = True,
) -> dict[str, float]:  # fmt: skip
    """Trains and writes the heads (to the package's own weights where ``out`` is None); returns fold 8's AUROC by output.

    ``report``: the card gets fold 9's exact match and failures too.
    """
    from safetensors.numpy import load_file

    from assistant.ecgqa.materials import encoded, materials

    run, encoder = Path(run), encoder or Encoder.load()
    data = load_ptbxl(ptbxl, tuple(range(1, 9)))
    seen = out_of_fold_file(run, encoder.hash)
    if not seen.exists():
        raise ArtefactError("The out-of-fold encodings of this encoder are missing; run `ecg-assistant train align` first.")
    found = load_file(seen)
    table = measure_table(data, run, gate=False)
    truths = truths_of(data, ecgqa, table)
    labels = labels_of([truths[int(i)] for i in data.ids])
    signs = signs_of(data, run)
    choose = data.folds == CHOOSE_FOLD
    part = data.take(choose)
    # Fold 8 is read by the shipped network; what joins it with measurements has not seen folds 7 and 8 either.
    unseen = unseen_scores(data, found["probabilities"], table)
    scores, embeddings = unseen[choose], encoded(part, run, encoder)[1]
    curves = fit_calibration(scores, part.labels, encoder.hash).curves[ALL_LEADS]
    x = inputs_of(found["embeddings"], unseen, signs.features)
    most = len(OUTPUTS) - NUMERIC
    base = x[:, 256 : 256 + len(CODES)]
    arrays = _fit(
        (general(x)[~choose], labels[~choose, :most]), (general(x)[choose], labels[choose, :most]),
        (base[~choose], base[choose]), HIDDEN, epochs, seed,
    )  # fmt: skip
    told = ~np.isnan(labels[:, most:]).all(axis=1)
    rows, held = told & ~choose, told & choose
    numeric = _fit(
        (own_signs(x)[rows], labels[rows, most:]), (own_signs(x)[held], labels[held, most:]), None, HIDDEN_NUMERIC,
        EPOCHS_NUMERIC, seed,
    )  # fmt: skip
    arrays |= {f"n_{name}": array for name, array in numeric.items() if name != "skip"} | {
        "curve_slope": curves.slope.astype(np.float32), "curve_offset": curves.offset.astype(np.float32)
    }  # fmt: skip
    labelled = [truths[int(i)] for i in data.ids]
    whole, tables = _fit_sets(
        (x[~choose], [t for t, out in zip(labelled, choose, strict=True) if not out]),
        (x[choose], [t for t, inside in zip(labelled, choose, strict=True) if inside]), seed,
    )  # fmt: skip
    arrays |= whole
    # Calibrate what will run: 16 bit weights on the shipped encoder's own output.
    half = {name: array.astype(np.float16).astype(np.float32) for name, array in arrays.items()}
    bare = Heads(half, {}, {}, tables)
    raw = bare.raw(inputs_of(embeddings, bare.base(scores), signs.features[choose]))
    arrays["slope"], arrays["offset"] = _platt(raw, labels[choose])
    known = ~np.isnan(labels)
    prior = np.where(known, labels, 0).sum(axis=0) / known.sum(axis=0)
    here, there = labels[choose], known[choose]
    aurocs = {}
    for c, name in enumerate(OUTPUTS):
        y = here[there[:, c], c]
        if 5 <= y.sum() <= len(y) - 5:
            one = auroc_per_statement(y[:, None].astype(np.uint8), raw[there[:, c], c : c + 1])[0]
            aurocs[name] = round(float(one), 4)
    card: dict[str, Any] = {
        "what": "heads for the attributes and the certainty that ECG-QA asks about",
        "encoder": encoder.hash, "data": "PTB-XL folds 1-7 out of fold, stopped and calibrated on fold 8; ECG-QA's questions",
        "date": datetime.now(UTC).date().isoformat(), "python": platform.python_version(),
        "command": "ecg-assistant train questions PTBXL_DIR --ecg-qa DIR",
        "hidden": [HIDDEN, HIDDEN_NUMERIC, HIDDEN_SETS], "seed": seed, "auroc_fold8": aurocs,
        "prior": [round(float(v), 6) for v in prior],
        "patterns": _patterns([truths[int(i)] for i in data.ids[~choose]]),
        "f1_thresholds": [round(float(v), 4) for v in best_f1_thresholds(part.labels, curves.apply(scores))],
    }  # fmt: skip
    place = Path(out) if out is not None else Path(__file__).parents[1] / "weights"
    save_heads(arrays, card, tables, place)
    heads = Heads.load(encoder.hash, place)
    fold = {int(i): truths[int(i)] for i in part.ids}
    items = items_of(part, ecgqa, fold, 120, seed + 1)
    seen_by = dict(
        zip(part.ids.tolist(), known_of(heads, embeddings, scores, signs.features[choose], signs.beats[choose]), strict=True)
    )
    rule = fit_rule(items, seen_by, heads)
    card["rule"] = asdict(rule)
    chosen = answers_of(items, seen_by, heads, rule, by_words=False)
    card["exact_match"] = {"fold 8, chosen on": _rounded(score(items, chosen))}
    if report:
        heads = replace(heads, card=card)
        made = materials(ptbxl, ecgqa, run, (REPORT_FOLD,), per_template=120, seed=seed, heads=heads, encoder=encoder)
        answers = answers_of(made.items, made.known, heads)
        card["exact_match"]["fold 9, reported"] = _rounded(score(made.items, answers))
        card["failures_fold9"] = failures(made.items, answers)
    save_heads(arrays, card, tables, place)
    return aurocs


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 4) for key, value in sorted(scores.items()) if not key.startswith("template/")}


def failures(items: Sequence[Item], answers: Sequence[frozenset[str]], each: int = 3) -> dict[str, Any]:
    """Where answers fail: per kind and attribute how many are wrong, what is missed and added most, and examples by id."""
    groups: dict[str, list[tuple[Item, frozenset[str]]]] = {}
    totals: Counter[str] = Counter()
    for item, given in zip(items, answers, strict=True):
        key = f"{'two' if item.asked.relation else 'one'}/{item.asked.kind}/{item.asked.attribute}"
        totals[key] += 1
        if given != item.answer:
            groups.setdefault(key, []).append((item, given))
    out = {}
    for key, wrong in sorted(groups.items()):
        missed, added = Counter[str](), Counter[str]()
        for item, given in wrong:
            missed.update(item.answer - given)
            added.update(given - item.answer)
        step = max(1, len(wrong) // each)
        out[key] = {
            "wrong": len(wrong), "of": totals[key], "missed_most": missed.most_common(5), "added_most": added.most_common(5),
            "examples": [
                {
                    "template": item.template.number, "ecg_ids": list(item.ecg_ids), "right": sorted(item.answer),
                    "given": sorted(given), "about": [t.name for t in item.asked.targets],
                }
                for item, given in wrong[::step][:each]
            ],
        }  # fmt: skip
    return out
