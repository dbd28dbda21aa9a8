"""What pretraining is worth: random weights, supervised, self-supervised and guided networks, probed and fine-tuned.

Each start is measured by a linear probe on frozen features and by fine-tuning the whole tower, with 1 %, 10 % and 100 % of
the labelled patients of folds 1-7; figures are macro AUROC on fold 9. A statement without one positive case among the
labelled patients counts 0.5, since nothing can be known of it.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.metrics import macro_auroc
from encoders.network import EncoderConfig, EncoderNetwork, Tower, windows
from encoders.pretrain import PretrainConfig, pretrain
from encoders.ptbxl import load_ptbxl
from encoders.train import TrainConfig, crops

__all__ = ["SHARES", "STARTS", "fine_tune", "linear_probe", "pretraining_table", "some_patients", "tower_features"]

SHARES = (0.01, 0.1, 1.0)
STARTS = ("random", "self-supervised", "guided", "supervised")
#: Passes over the labelled recordings: few recordings are seen more often.
_EPOCHS = {0.01: 60, 0.1: 24, 1.0: 10}
_PENALTIES = (1e-4, 1e-3, 1e-2)


def some_patients(patients: NDArray[np.int64], rows: NDArray[np.int64], share: float, seed: int = 0) -> NDArray[np.int64]:
    """Those of ``rows`` that belong to a random ``share`` of the patients (nested: 1 % lies within 10 %)."""
    everyone = np.random.default_rng(seed).permutation(np.unique(patients[rows]))
    chosen = everyone[: max(1, round(share * len(everyone)))]
    return rows[np.isin(patients[rows], chosen)]


def tower_features(network: EncoderNetwork, signals: NDArray[np.float16], batch: int = 64) -> NDArray[np.float32]:
    """Frozen features (n, 2·256) of a one-tower network: pooled tokens, averaged over the windows of a recording."""
    out = []
    network.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(signals), batch):
            views = windows(torch.from_numpy(np.array(signals[start : start + batch], dtype=np.float32)))
            x = (views / network.lead_scale_mv[:, None]).flatten(0, 1)
            pooled = cast(Tower, network.towers[0]).pooled(x)[1]
            out.append(pooled.float().unflatten(0, views.shape[:2]).mean(1).numpy())
    return np.concatenate(out)


def linear_probe(
    features: NDArray[np.float32], labels: NDArray[np.uint8], watch: tuple[NDArray[np.float32], NDArray[np.uint8]],
    test: NDArray[np.float32],
) -> NDArray[np.float32]:  # fmt: skip
    """Logits on ``test`` of a ridge-penalised logistic model; of three penalties the one that scores best on ``watch``."""
    mean, scale = features.mean(0), features.std(0) + 1e-6
    x, y = torch.from_numpy((features - mean) / scale), torch.from_numpy(labels.astype(np.float32))
    best, found = -1.0, np.zeros((len(test), labels.shape[1]), np.float32)
    for penalty in _PENALTIES:
        model = nn.Linear(x.shape[1], y.shape[1])
        nn.init.zeros_(model.weight)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=120, line_search_fn="strong_wolfe")

        def closure(model: nn.Linear = model, penalty: float = penalty, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(x), y) + penalty * model.weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.inference_mode():
            seen = model(torch.from_numpy((watch[0] - mean) / scale)).numpy()
            score = macro_auroc(watch[1], seen)
            if score > best:
                best, found = score, model(torch.from_numpy((test - mean) / scale)).numpy()
    return found


def fine_tune(
    network: EncoderNetwork, signals: Tensor, labels: NDArray[np.uint8], rows: NDArray[np.int64], epochs: int, seed: int = 0
) -> EncoderNetwork:
    """A copy of the one-tower network, trained on ``rows`` as the encoder itself is, in smaller batches where there are few."""
    network = copy.deepcopy(network)
    tower, config = network.towers[0], TrainConfig(batch=128 if len(rows) > 5000 else 32, seed=seed)
    target = torch.from_numpy(labels.astype(np.float32))
    lr = config.cycles[0].lr * (0.5 if len(rows) > 5000 else 0.2)
    steps = max(1, len(rows) // config.batch)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * steps, pct_start=0.25)
    torch.manual_seed(seed)
    for epoch in range(epochs):
        network.train()
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(rows)
        for step in range(steps):
            here = order[step * config.batch : (step + 1) * config.batch]
            with torch.autocast("cpu", torch.bfloat16):
                logits = tower(crops(signals, here, rng, config.lead_dropout) / network.lead_scale_mv[:, None])[1]
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), target[torch.from_numpy(here)])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network.eval()


def _logits(network: EncoderNetwork, signals: NDArray[np.float16], batch: int = 64) -> NDArray[np.float32]:
    out = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(signals), batch):
            views = windows(torch.from_numpy(np.array(signals[start : start + batch], dtype=np.float32)))
            logits = network(views.flatten(0, 1))[:, 0].float()
            out.append(logits.unflatten(0, views.shape[:2]).mean(1).numpy())
    return np.concatenate(out)


def _score(labels: NDArray[np.uint8], logits: NDArray[np.float32], known: NDArray[np.bool_]) -> float:
    """Macro AUROC; statements without a positive case in training count 0.5."""
    return macro_auroc(labels, np.where(known, logits, 0.0).astype(np.float32))


def pretraining_table(
    ptbxl: Path, run: Path, starts: tuple[str, ...], *, cache: Path | None = None, epochs: int = 10
) -> dict[str, Any]:
    """Figures by start, way and share; kept in ``run/pretraining.json`` after every cell, so that a killed run goes on.

    ``starts``: of "random", "self-supervised", "guided", "supervised" (the supervised tower is trained here, on all labels).
    """
    shape = EncoderConfig(complete_only=(False,))
    train, held = load_ptbxl(ptbxl, tuple(range(1, 9))), load_ptbxl(ptbxl, (9,))
    signals, test = torch.from_numpy(np.array(train.signals(cache))), np.array(held.signals(cache))
    rows, watch = np.flatnonzero(train.folds < 8), np.flatnonzero(train.folds == 8)
    run.mkdir(parents=True, exist_ok=True)
    for start in starts:
        file = run / f"pretraining-{start}.json"
        cells: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
        if start in ("self-supervised", "guided"):
            config = PretrainConfig(guided=start == "guided", epochs=epochs)
            network = pretrain(train, run / start, config, shape, cache)
        else:
            torch.manual_seed(0)
            network = EncoderNetwork(shape)
            network.fit_lead_scale(signals, rows)
            if start == "supervised":
                kept = run / "supervised.ckpt"
                if not kept.exists():
                    torch.save(fine_tune(network, signals, train.labels, rows, _EPOCHS[1.0]).state_dict(), kept)
                network.load_state_dict(torch.load(kept, weights_only=True))
        frozen = tower_features(network, signals.numpy()), tower_features(network, test)
        for share in SHARES:
            some = some_patients(train.patients, rows, share)
            known = np.asarray(train.labels[some].any(0))
            for way in ("linear", "fine-tuned"):
                name = f"{way} {share:g}"
                if name in cells:
                    continue
                if way == "linear":
                    beside = (frozen[0][watch], train.labels[watch])
                    logits = linear_probe(frozen[0][some], train.labels[some], beside, frozen[1])
                else:
                    tuned = fine_tune(network, signals, train.labels, some, _EPOCHS[share])
                    logits = _logits(tuned, test)
                cells[name] = round(_score(held.labels, logits, known), 4)
                print(start, name, len(some), "recordings", cells[name], flush=True)
                file.write_text(json.dumps(cells, indent=1))
    table = {s: json.loads((run / f"pretraining-{s}.json").read_text()) for s in starts}
    (run / "pretraining.json").write_text(json.dumps(table, indent=1))
    return table


def main() -> None:
    """`python -m encoders.probe PTBXL_DIR --run RUN`: the same as `ecg-assistant train pretraining`, start by start if wanted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--starts", default=",".join(STARTS))
    parser.add_argument("--epochs", type=int, default=10, help="epochs of pretraining")
    args = parser.parse_args()
    pretraining_table(args.ptbxl, args.run, tuple(args.starts.split(",")), cache=args.cache, epochs=args.epochs)


if __name__ == "__main__":
    main()
