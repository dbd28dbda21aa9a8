"""Training of the encoder on PTB-XL: supervised, on random 2.5 s crops, each tower on its own; resumable and seeded.

Recipe: AdamW, one cycle, binary cross-entropy on "the code is listed", bf16 autocast, amplitude scaling, whole-lead
dropout, a share of mixed recordings. Fold 8 is watched, fold 9 is never read here.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.metrics import macro_auroc
from encoders.network import WINDOW, EncoderConfig, EncoderNetwork
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.raw import encode_all

__all__ = ["TrainConfig", "train_encoder"]


@dataclass(frozen=True)
class TrainConfig:
    """One dial per choice; ``folds`` train, ``watch`` is scored at the end."""

    folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    watch: int = 8
    epochs: int = 24
    batch: int = 128
    lr: float = 5e-3
    weight_decay: float = 0.05
    lead_dropout: float = 0.05
    mixup: float = 0.0
    seed: int = 0


def _crops(signals: Tensor, rows: NDArray[np.int64], rng: np.random.Generator, config: TrainConfig) -> Tensor:
    """Random 2.5 s crops of the rows, scaled by up to ±20 %, some leads silenced: (B, 12, 250) in mV."""
    starts = torch.from_numpy(rng.integers(0, signals.shape[-1] - WINDOW + 1, len(rows)))
    index = starts[:, None, None] + torch.arange(WINDOW)
    crops = signals[torch.from_numpy(rows)].gather(-1, index.expand(-1, signals.shape[1], -1)).float()
    crops *= torch.from_numpy(rng.uniform(0.8, 1.2, (len(rows), 1, 1)).astype(np.float32))
    keep = rng.random((len(rows), signals.shape[1], 1)) >= config.lead_dropout
    return crops * torch.from_numpy(keep.astype(np.float32))


def train_encoder(
    data: PtbXl, out: Path, config: TrainConfig, network_config: EncoderConfig, cache: Path | None = None
) -> EncoderNetwork:
    """Trains every tower in turn, with a checkpoint per tower under ``out`` (a working file, never shipped).

    A killed run goes on from the last finished epoch. Returns the trained network in eval mode.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    signals = torch.from_numpy(np.array(data.signals(cache)))
    train_rows = np.flatnonzero(np.isin(data.folds, config.folds))
    watch_rows = np.flatnonzero(data.folds == config.watch)
    labels = torch.from_numpy(data.labels.astype(np.float32))
    torch.manual_seed(config.seed)
    network = EncoderNetwork(network_config).to(device)
    network.lead_scale_mv.copy_(signals[train_rows[:: max(1, len(train_rows) // 2000)]].float().std(dim=(0, 2)))
    for number, tower in enumerate(network.towers):
        _train_tower(network, number, tower, signals, labels, train_rows, config, out, device)
    logits = encode_all(network, signals[torch.from_numpy(watch_rows)].numpy()).logits
    score = macro_auroc(data.labels[watch_rows], logits)
    summary = {"watch_fold": config.watch, "macro_auroc": score, "train": asdict(config), "network": asdict(network_config)}
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    print(f"fold {config.watch}: macro AUROC {score:.4f}", flush=True)
    return network.eval()


def _train_tower(
    network: EncoderNetwork,
    number: int,
    tower: nn.Module,
    signals: Tensor,
    labels: Tensor,
    train_rows: NDArray[np.int64],
    config: TrainConfig,
    out: Path,
    device: torch.device,
) -> None:
    steps = len(train_rows) // config.batch
    decay = [p for p in tower.parameters() if p.ndim > 1]
    rest = [p for p in tower.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}], lr=config.lr
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.epochs * steps, pct_start=0.25)
    checkpoint, first = out / f"tower{number}.ckpt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        tower.load_state_dict(state["tower"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = int(state["epoch"])
    for epoch in range(first, config.epochs):
        network.train()
        rng = np.random.default_rng([config.seed, number, epoch])
        torch.manual_seed(hash((config.seed, number, epoch)) % 2**31)
        order, losses, began = rng.permutation(train_rows), [], time.monotonic()
        for step in range(steps):
            rows = order[step * config.batch : (step + 1) * config.batch]
            crops, target = _crops(signals, rows, rng, config).to(device), labels[torch.from_numpy(rows)].to(device)
            if config.mixup and rng.random() < config.mixup:
                share, shuffle = float(rng.beta(0.4, 0.4)), torch.from_numpy(rng.permutation(len(rows))).to(device)
                crops, target = share * crops + (1 - share) * crops[shuffle], share * target + (1 - share) * target[shuffle]
            with torch.autocast(device.type, torch.bfloat16):
                logits = tower(crops / network.lead_scale_mv[:, None])[1]
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(tower.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        took = time.monotonic() - began
        print(f"tower {number} epoch {epoch + 1}/{config.epochs} loss {np.mean(losses):.4f} {took:.0f} s", flush=True)
        state = {
            "tower": tower.state_dict(), "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(), "epoch": epoch + 1,
        }  # fmt: skip
        torch.save(state, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").rename(checkpoint)


def main() -> None:
    """`python -m encoders.train PTBXL_DIR --out RUN_DIR`: for runs by hand; the command line calls train_encoder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", default="1,2,3,4,5,6,7")
    parser.add_argument("--towers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mixup", type=float, default=0.0)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(2)
    config = TrainConfig(
        folds=tuple(int(f) for f in args.folds.split(",")), epochs=args.epochs, lr=args.lr, seed=args.seed, mixup=args.mixup
    )
    network_config = EncoderConfig(towers=args.towers, widths=(48, 96, 160, 208), kernel=9)
    data = load_ptbxl(args.ptbxl, (1, 2, 3, 4, 5, 6, 7, 8))
    train_encoder(data, args.out, config, network_config, args.cache)


if __name__ == "__main__":
    main()
