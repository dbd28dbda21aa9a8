"""Training of the encoder on PTB-XL: supervised, on random 2.5 s crops, each tower on its own; resumable and seeded.

Recipe: AdamW, one cycle, binary cross-entropy on "the code is listed", bf16 autocast, amplitude scaling, dropout of single
leads and, for a share of the crops, of all but a few. Fold 8 is watched, fold 9 is never read here. The loop runs under
`accelerate launch` unchanged: on one CPU, one GPU, or several, each process taking its share of every batch.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.ecg import STANDARD_LEADS
from encoders.files import load_state, save_state
from encoders.leadsets import LEAD_SETS
from encoders.metrics import macro_auroc
from encoders.network import WINDOW, EncoderConfig, EncoderNetwork
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.raw import encode_all

__all__ = ["Cycle", "TrainConfig", "crops", "random_windows", "train_encoder"]


@dataclass(frozen=True)
class Cycle:
    """One one-cycle schedule: epochs, highest learning rate, and the share of crops cut down to few leads.

    Half of these to one of ``LEAD_SETS``, half to any choice; only for towers that read incomplete recordings.
    """

    epochs: int
    lr: float
    subsets: float = 0.2


@dataclass(frozen=True)
class TrainConfig:
    """One dial per choice; ``folds`` train, ``watch`` is scored at the end.

    A later one of ``cycles`` starts from the weights of the one before (a warm restart). ``lead_dropout`` silences single
    leads.
    """

    folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    watch: int = 8
    cycles: tuple[Cycle, ...] = (Cycle(24, 5e-3),)
    batch: int = 128
    weight_decay: float = 0.05
    lead_dropout: float = 0.05
    seed: int = 0


_FEW = LEAD_SETS[1:]


def random_windows(signals: Tensor, rows: NDArray[np.int64], rng: np.random.Generator, low: float, high: float) -> Tensor:
    """A 2.5 s window from anywhere in each of the rows, times a random factor between ``low`` and ``high``: (B, leads, 250)."""
    starts = torch.from_numpy(rng.integers(0, signals.shape[-1] - WINDOW + 1, len(rows)))
    index = starts[:, None, None] + torch.arange(WINDOW)
    cut = signals[torch.from_numpy(rows)].gather(-1, index.expand(-1, signals.shape[1], -1)).float()
    return cut * torch.from_numpy(rng.uniform(low, high, (len(rows), 1, 1)).astype(np.float32))


def crops(
    signals: Tensor, rows: NDArray[np.int64], rng: np.random.Generator, lead_dropout: float, subsets: float = 0.0
) -> Tensor:
    """Random 2.5 s crops of the rows, scaled by up to ±20 %, some leads silenced: (B, 12, 250) in mV.

    ``lead_dropout``: the share of leads silenced one by one; ``subsets``: the share of crops cut down to few leads.
    """
    cut = random_windows(signals, rows, rng, 0.8, 1.2)
    keep = rng.random((len(rows), signals.shape[1], 1)) >= lead_dropout
    few = np.flatnonzero(rng.random(len(rows)) < subsets) if subsets else ()
    for row in few:
        if rng.random() < 0.5:
            left = list(_FEW[int(rng.integers(len(_FEW)))].rows)
        else:
            left = list(rng.permutation(len(STANDARD_LEADS))[: rng.integers(1, len(STANDARD_LEADS))])
        keep[row] &= np.isin(np.arange(keep.shape[1]), left)[:, None]
    return cut * torch.from_numpy(keep.astype(np.float32))


def train_encoder(
    data: PtbXl, out: Path, config: TrainConfig, network_config: EncoderConfig, cache: Path | None = None
) -> EncoderNetwork:
    """Trains every tower in turn, with a checkpoint per tower and cycle under ``out`` (a working file, never shipped).

    A killed run goes on from the last finished epoch. Returns the trained network in eval mode.
    """
    from accelerate import Accelerator

    out.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision="bf16")
    signals = torch.from_numpy(np.array(data.signals(cache)))
    train_rows = np.flatnonzero(np.isin(data.folds, config.folds))
    watch_rows = np.flatnonzero(data.folds == config.watch)
    labels = torch.from_numpy(data.labels.astype(np.float32))
    torch.manual_seed(config.seed)
    network = EncoderNetwork(network_config).to(accelerator.device)
    network.fit_lead_scale(signals, train_rows)
    for number in range(len(network.towers)):
        for cycle in range(len(config.cycles)):
            _train_tower(network, number, cycle, signals, labels, train_rows, config, out, accelerator)
    logits = encode_all(network, signals[torch.from_numpy(watch_rows)].numpy()).logits
    score = macro_auroc(data.labels[watch_rows], logits)
    summary = {
        "watch_fold": config.watch, "macro_auroc": score, "train": asdict(config), "network": asdict(network_config),
    }  # fmt: skip
    if accelerator.is_main_process:
        (out / "summary.json").write_text(json.dumps(summary, indent=1))
        print(f"fold {config.watch}: macro AUROC {score:.4f}", flush=True)
    return network.eval()


def _train_tower(
    network: EncoderNetwork,
    number: int,
    cycle: int,
    signals: Tensor,
    labels: Tensor,
    train_rows: NDArray[np.int64],
    config: TrainConfig,
    out: Path,
    accelerator: Any,
) -> None:
    tower, epochs, lr = network.towers[number], config.cycles[cycle].epochs, config.cycles[cycle].lr
    subsets = 0.0 if network.config.complete_only[number] else config.cycles[cycle].subsets
    done = sum(earlier.epochs for earlier in config.cycles[:cycle])
    steps = len(train_rows) // config.batch
    decay = [p for p in tower.parameters() if p.ndim > 1]
    rest = [p for p in tower.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}], lr=lr
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * steps, pct_start=0.25)
    checkpoint = out / f"tower{number}-cycle{cycle}.ckpt"
    first = load_state(checkpoint, {"tower": tower, "optimizer": optimizer, "schedule": schedule})
    if first >= epochs:
        return
    prepared, optimizer = accelerator.prepare(tower, optimizer)
    part, parts = accelerator.process_index, accelerator.num_processes
    scale = network.lead_scale_mv[:, None]
    for epoch in range(first, epochs):
        network.train()
        rng = np.random.default_rng([config.seed, number, done + epoch])
        torch.manual_seed(hash((config.seed, number, done + epoch)) % 2**31)
        order, losses, began = rng.permutation(train_rows), [], time.monotonic()
        for step in range(steps):
            rows = order[step * config.batch : (step + 1) * config.batch]
            x_BLS = crops(signals, rows, rng, config.lead_dropout, subsets)[part::parts].to(accelerator.device)
            target = labels[torch.from_numpy(rows)][part::parts].to(accelerator.device)
            with accelerator.autocast():
                logits = prepared(x_BLS / scale)[1]
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(prepared.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        if not accelerator.is_main_process:
            continue
        took = time.monotonic() - began
        print(f"tower {number} cycle {cycle + 1} epoch {epoch + 1}/{epochs} loss {np.mean(losses):.4f} {took:.0f} s", flush=True)
        save_state(checkpoint, epoch + 1, {"tower": tower, "optimizer": optimizer, "schedule": schedule})
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)  # takes the autocast off the tower again


def main() -> None:
    """`python -m encoders.train PTBXL_DIR --out RUN_DIR`: for runs by hand; the command line calls train_encoder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", default="1,2,3,4,5,6,7")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    config = TrainConfig(folds=tuple(int(f) for f in args.folds.split(",")), seed=args.seed)
    train_encoder(load_ptbxl(args.ptbxl, (1, 2, 3, 4, 5, 6, 7, 8)), args.out, config, EncoderConfig(), args.cache)


if __name__ == "__main__":
    main()
