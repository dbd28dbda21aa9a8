"""Trains the networks that judge electrode placement, on PTB-XL, and writes them into ``weights/gate.json``.

Command: ``python -c "from encoders.placement_fit import fit_placement; fit_placement('PTBXL_DIR')"``, after ``fit_gate``.
Recordings of folds 1-7 are taken as correctly recorded (a few are not); every exchange of ``encoders.placement`` is a wrong
version of them, and the network learns to give the right version the highest score, whether it is handed the recording as it
is or with electrodes exchanged. Thresholds are set on fold 8, at the share of false alarms in ``BUDGET``. Fold 9 is not read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.beats import beats_and_bands
from encoders.errors import ArtefactError
from encoders.placement import EXCHANGES, GROUPS, LIMB_EXCHANGES, Exchange, Model, log_odds
from encoders.placement_beat import ROWS, average_beat
from encoders.placement_signs import signs_under, waveforms
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.readers import read

__all__ = ["BUDGET", "Beats", "exchanged", "fit_placement", "gather"]

Floats = NDArray[np.float64]

#: False alarms accepted on fold 8, per group of exchanges; together below 1 %.
BUDGET = {"arm": 0.002, "heart": 0.001, "turn": 0.001, "left": 0.0015, "chest": 0.0025}
#: Recordings of folds 1-7 that are used, drawn at random.
TRAINING_RECORDINGS = 7000
#: Least log odds. One in 2,000 of fold 8 is a single recording, too few to set 26 thresholds for the chest by.
_LEAST = {"chest": 3.0}
_HIDDEN = {"full": (32, 16), "limb": (24, 12)}
_EPOCHS, _BATCH, _RATE, _DECAY, _DROPOUT = 9, 128, 4e-3, 2e-2, 0.15


@dataclass(frozen=True, eq=False)
class Beats:
    """What ``encoders.placement_signs.waveforms`` gives for n recordings: ``bins`` (n, 8, 20), ``products`` (n, 3, 8, 8),
    ``context`` (n, 6), ``ids`` (n,) PTB-XL's ecg_id; recordings without an averaged beat are left out."""

    bins: Floats
    products: Floats
    context: Floats
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bins)


def gather(data: PtbXl, ids: NDArray[np.int64], name: str, cache: Path | None, leads: tuple[str, ...] | None = None) -> Beats:
    """Averaged beats of these recordings of PTB-XL; ``leads``: read only these.

    Kept as ``placement-NAME-COUNT.npz`` in ``cache`` where given (safe to delete).
    """
    file = cache / f"placement-{name}-{len(ids)}.npz" if cache is not None else None
    if file is not None and file.exists():
        kept = np.load(file)
        return Beats(kept["bins"], kept["products"], kept["context"], kept["ids"])
    found, which = [], []
    for ecg_id in tqdm(ids, desc="averaging beats", unit="rec", disable=None):
        ecg = read(f"{data.path(int(ecg_id))}.hea")
        ecg = ecg if leads is None else ecg.select(leads)
        beat = average_beat(beats_and_bands(ecg), ecg.leads)
        if beat is not None:
            found.append(waveforms(beat))
            which.append(int(ecg_id))
    beats = Beats(
        np.stack([w.bins for w in found]),
        np.stack([w.products for w in found]),
        np.stack([w.context for w in found]),
        np.array(which),
    )
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, bins=beats.bins, products=beats.products, context=beats.context, ids=beats.ids)
    return beats


def exchanged(beats: Beats, matrix: Floats) -> Beats:
    """The same recordings as an exchange would have recorded them; ``matrix`` (8, 8) or one per recording (n, 8, 8)."""
    m = np.broadcast_to(matrix, (len(beats), 8, 8))
    products = np.einsum("nab,nsbc,ndc->nsad", m, beats.products, m, optimize=True)
    return Beats(np.einsum("nab,nbc->nac", m, beats.bins), products, beats.context, beats.ids)


def _undone_by(tried: tuple[Exchange, ...]) -> NDArray[np.int64]:
    """For every exchange the index (0: as recorded) of the one that undoes it."""
    matrices = [np.eye(8), *(e.matrix for e in tried)]
    return np.array([[np.allclose(a @ b, np.eye(8)) for a in matrices].index(True) for b in matrices])


def _signs(beats: Beats, tried: tuple[Exchange, ...], limb_only: bool) -> NDArray[np.float16]:
    matrices = np.stack([np.eye(8), *(e.matrix for e in tried)])
    parts = [slice(i, i + 200) for i in range(0, len(beats), 200)]
    return np.concatenate(
        [
            signs_under(beats.bins[s], beats.products[s], beats.context[s], matrices, limb_only=limb_only).astype(np.float16)
            for s in parts
        ]
    )


def _train(beats: Beats, *, limb_only: bool, seed: int = 0) -> Model:
    """One network, without thresholds; each recording comes as it is and with an exchange drawn at random."""
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tried = LIMB_EXCHANGES if limb_only else EXCHANGES
    matrices = np.stack([np.eye(8), *(e.matrix for e in tried)])
    drawn = rng.integers(1, len(matrices), len(beats))
    x = np.concatenate([_signs(b, tried, limb_only) for b in (beats, exchanged(beats, matrices[drawn]))])
    right = np.concatenate([np.zeros(len(beats), np.int64), _undone_by(tried)[drawn]])
    some = x[::20].astype(np.float64).reshape(-1, x.shape[2])
    mean, scale = some.mean(axis=0), some.std(axis=0) + 1e-3
    first, second = _HIDDEN["limb" if limb_only else "full"]
    network = torch.nn.Sequential(
        torch.nn.Linear(x.shape[2], first),
        torch.nn.GELU(approximate="tanh"),
        torch.nn.Dropout(_DROPOUT),
        torch.nn.Linear(first, second),
        torch.nn.GELU(approximate="tanh"),
        torch.nn.Linear(second, 1),
    )
    steps = _EPOCHS * (len(x) // _BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    for _ in tqdm(range(_EPOCHS), desc="learning where electrodes belong", disable=None):
        order = rng.permutation(len(x))
        for i in range(0, len(x) - _BATCH + 1, _BATCH):
            rows = np.sort(order[i : i + _BATCH])
            z = np.clip((x[rows].astype(np.float32) - mean) / scale, -5, 5).astype(np.float32)
            loss = torch.nn.functional.cross_entropy(network(torch.from_numpy(z))[..., 0], torch.from_numpy(right[rows]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    layers = tuple(
        (layer.weight.detach().numpy().astype(np.float64), layer.bias.detach().numpy().astype(np.float64))
        for layer in network
        if isinstance(layer, torch.nn.Linear)
    )
    return Model(mean, scale, layers, {})


def _odds(model: Model, beats: Beats, limb_only: bool) -> Floats:
    parts = [slice(i, i + 200) for i in range(0, len(beats), 200)]
    return np.concatenate(
        [log_odds(model, beats.bins[s], beats.products[s], beats.context[s], limb_only=limb_only) for s in parts]
    )


def _thresholds(odds: Floats, tried: tuple[Exchange, ...]) -> dict[str, float]:
    """Per exchange the log odds from which it is suspected, never below 1 (or ``_LEAST``).

    All exchanges of a group are exceeded by the same share of the recordings, taken as correctly recorded, so that a pair that
    is hard to tell (V5 and V6) does not cost the others; the share is the largest at which the group keeps its budget.
    """
    out: dict[str, float] = {}
    for group in GROUPS:
        columns = [i for i, e in enumerate(tried) if e.group == group]
        if not columns:
            continue
        own = odds[:, columns]
        for share in np.geomspace(BUDGET[group], BUDGET[group] / 30, 40):
            limits = np.maximum(_LEAST.get(group, 1.0), np.quantile(own, 1 - share, axis=0))
            if (own > limits).any(axis=1).mean() <= BUDGET[group]:
                break
        out |= {tried[i].kind: round(float(limit), 3) for i, limit in zip(columns, limits, strict=True)}
    return out


def _numbers(values: Floats) -> Any:
    return [_numbers(v) for v in values] if values.ndim > 1 else [float(f"{v:.4g}") for v in values]


def fit_placement(folder: str | Path, out: str | Path | None = None, cache: str | Path | None = None) -> dict[str, Any]:
    """Trains both networks, sets their thresholds and writes them, with their card, into gate.json, beside what ``fit_gate``
    wrote there. Gives the card.

    ``folder``: PTB-XL. Takes about 4 minutes for reading and 2 for training on one core.
    """
    file = Path(out) if out is not None else Path(__file__).with_name("weights") / "gate.json"
    if not file.exists():
        raise ArtefactError(f"There is no {file.name} to add to; run encoders.gate_fit.fit_gate first.")
    kept = Path(cache) if cache is not None else None
    data = load_ptbxl(folder, (1, 2, 3, 4, 5, 6, 7))
    drawn = data.ids[np.random.default_rng(0).permutation(len(data))][:TRAINING_RECORDINGS]
    training = gather(data, drawn, "1-7", kept, ROWS)
    choosing = load_ptbxl(folder, (8,))
    eighth = gather(choosing, choosing.ids, "8", kept)
    section: dict[str, Any] = {
        "card": {
            "data": f"PTB-XL folds 1-7 ({len(training)} recordings drawn at random), thresholds on fold 8 ({len(eighth)})",
            "model": "score of an averaged beat under each exchange: two hidden layers, trained to prefer the right version",
            "command": "encoders.placement_fit.fit_placement(folder)",
            "false_alarm_budget_on_fold_8": BUDGET,
        }
    }
    for name in ("full", "limb"):
        limb_only = name == "limb"
        tried = LIMB_EXCHANGES if limb_only else EXCHANGES
        model = _train(training, limb_only=limb_only)
        section[name] = {
            "thresholds": _thresholds(_odds(model, eighth, limb_only), tried),
            "mean": _numbers(model.mean),
            "scale": _numbers(model.scale),
            "layers": [{"weight": _numbers(w), "bias": _numbers(b)} for w, b in model.layers],
        }
    whole = json.loads(file.read_text(encoding="utf-8"))
    whole["placement"] = section
    file.write_text(json.dumps(whole, separators=(",", ":")) + "\n", encoding="utf-8")
    return dict(section["card"])
