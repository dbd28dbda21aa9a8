"""Training of the delineation network on LUDB, with unlabelled PTB-XL in the second half.

``python -m encoders.segment_fit LUDB_DIR --ptbxl PTBXL_DIR --out FOLDER [--fold K/N]``. With ``--fold 0/3`` every third
recording is left out and named in the card, for out-of-fold figures (``tests/benchmarks/ludb.py``).

Recipe: crops of 8 s (``encoders.segment_crops``), one to twelve leads of a recording together, AdamW, one cycle, exponential
averaging. From half way, crops of PTB-XL (folds 1-8) join, with the averaged network's own sure probabilities on all twelve
clean leads as target (Xie et al. 2020, doi:10.1109/CVPR42600.2020.01070), except that recordings with atrial fibrillation or
flutter have no P wave: their P probability goes to "none".
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly

from encoders.ecg import STANDARD_LEADS
from encoders.ludb import Annotated, load_ludb
from encoders.segment import SegmentConfig, SegmentNetwork, prepared, probabilities, save_segmenter
from encoders.segment_crops import SOURCE_FS_HZ, CropConfig, Source, annotated, crop, taught

__all__ = ["FitConfig", "fit_segmenter", "held_out", "train_delineation"]

_LEAD_COUNTS, _LEAD_SHARES = (1, 2, 3, 6, 12), (0.20, 0.30, 0.15, 0.20, 0.15)


@dataclass(frozen=True)
class FitConfig:
    """One dial per choice; ``rows`` leads per batch, ``average``: what the averaged network keeps at each step, ``join``: share
    of the steps after which ``unlabelled`` recordings make up ``unlabelled_share`` of the crops."""

    steps: int = 1200
    rows: int = 48
    lr: float = 5e-3
    weight_decay: float = 0.02
    average: float = 0.985
    unlabelled: int = 320
    unlabelled_share: float = 0.25
    join: float = 0.5
    seed: int = 0
    crop: CropConfig = field(default_factory=CropConfig)


def held_out(names: list[str], fold: int, folds: int) -> list[str]:
    """The recordings that fold ``fold`` of ``folds`` leaves out: every ``folds``-th of a fixed shuffle."""
    order = np.random.default_rng(20).permutation(len(names))
    return sorted((names[i] for i in order[fold::folds]), key=int)


def _unlabelled(folder: Path, count: int, rng: np.random.Generator) -> tuple[list[NDArray[np.float32]], list[bool]]:
    """``count`` recordings of PTB-XL folds 1-8 at 500 Hz, and which of them fibrillate or flutter (a quarter); the
    others are in sinus rhythm at an ordinary rate, where the averaged network can be trusted with P waves."""
    import wfdb

    from encoders.ptbxl import load_ptbxl
    from encoders.vocabulary import CODES

    data = load_ptbxl(folder, folds=tuple(range(1, 9)))
    no_p, sinus = (
        np.asarray(data.labels[:, [CODES.index(code) for code in codes]].max(axis=1) > 0)
        for codes in (("AFIB", "AFLT"), ("SR", "SBRAD", "SARRH"))
    )
    chosen = np.concatenate(
        [
            rng.choice(np.flatnonzero(no_p), count // 4, replace=False),
            rng.choice(np.flatnonzero(sinus & ~no_p), count - count // 4, replace=False),
        ]
    )
    signals = []
    for row in chosen:
        x = wfdb.rdsamp(str(data.path(int(data.ids[row]))))[0].T
        signals.append(resample_poly(np.nan_to_num(x), 5, 1, axis=1, padtype="line").astype(np.float32))
    return signals, [bool(no_p[row]) for row in chosen]


def _batch(
    labelled: list[Source], unlabelled: list[Source], config: FitConfig, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int]:
    leads = int(rng.choice(_LEAD_COUNTS, p=_LEAD_SHARES))
    parts = []
    for _ in range(config.rows // leads):
        pool = unlabelled if unlabelled and rng.random() < config.unlabelled_share else labelled
        source = pool[int(rng.integers(len(pool)))]
        parts.append(crop(source, rng.choice(len(source.signal), leads, replace=False), config.crop, rng))
    *rows, numbers = (np.concatenate(p) for p in zip(*parts, strict=True))
    x, target, mask = (torch.from_numpy(p.astype(np.float32)) for p in rows)
    return x, target, mask, torch.from_numpy(numbers.astype(np.int64)), leads


def fit_segmenter(
    recordings: list[Annotated], ptbxl: Path | None, config: FitConfig, network: SegmentConfig | None = None
) -> SegmentNetwork:
    """The averaged network after ``config.steps`` steps; without ``ptbxl`` only LUDB is used."""
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    labelled = [annotated(r) for r in recordings]
    signals, no_p = _unlabelled(ptbxl, config.unlabelled, rng) if ptbxl is not None else ([], [])
    unlabelled: list[Source] = []
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = SegmentNetwork(network or SegmentConfig()).to(device)
    averaged = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.lr, total_steps=config.steps, pct_start=0.1)
    started, running = time.time(), 0.0
    for step in range(config.steps):
        if signals and step == int(config.join * config.steps):
            averaged.cpu()
            for signal, without_p in zip(signals, no_p, strict=True):
                p = probabilities(averaged, [prepared(signal, SOURCE_FS_HZ)], STANDARD_LEADS)[0]
                unlabelled.append(taught(signal, p, without_p))
            averaged.to(device)
        *tensors, leads = _batch(labelled, unlabelled, config, rng)
        x, target, mask, numbers = (t.to(device) for t in tensors)
        model.train()
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(x, leads, numbers)
        loss = -((torch.log_softmax(logits.float(), dim=1) * target).sum(dim=1) * mask).sum() / mask.sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        cycle.step()
        keep = min(config.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, now in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
                if kept.is_floating_point():
                    kept.lerp_(now, 1 - keep)
        running = 0.98 * running + 0.02 * loss.item() if step else loss.item()
        if step % 50 == 49:
            print(f"step {step + 1}/{config.steps}  loss {running:.4f}  {time.time() - started:.0f} s", flush=True)
    return averaged.cpu()


def train_delineation(
    ludb: Path, ptbxl: Path | None, out: Path, *, config: FitConfig | None = None, fold: str = "", commit: str = ""
) -> str:
    """Trains on all of LUDB, or without part ``fold`` ("K/N"), and writes weights and card to ``out``; returns the SHA-256."""
    config = config or FitConfig()
    recordings = load_ludb(ludb)
    left_out: list[str] = []
    if fold:
        part, parts = (int(number) for number in fold.split("/"))
        left_out = held_out([r.name for r in recordings], part, parts)
    network = fit_segmenter([r for r in recordings if r.name not in left_out], ptbxl, config)
    card: dict[str, object] = {
        "what": "1-d U-Net with leads pooled inside: none, P, QRS, T per sample at 250 Hz and lead",
        "data": f"LUDB 1.0.1, {len(recordings) - len(left_out)} recordings, ODC-By 1.0, doi:10.1109/ACCESS.2020.3029211"
        + ("; without boundaries: PTB-XL 1.0.1, folds 1-8, CC BY 4.0, doi:10.1038/s41597-020-0495-6" if ptbxl else ""),
        "held_out": left_out,
        "date": date.today().isoformat(),
        "command": f"python -m encoders.segment_fit LUDB_DIR{' --ptbxl PTBXL_DIR' if ptbxl else ''} --out FOLDER"
        + (f" --fold {fold}" if fold else "")
        + f" --steps {config.steps} --seed {config.seed}",
        "commit": commit,
        "recipe": asdict(config),
    }
    return save_segmenter(network, out, card)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m encoders.segment_fit", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("ludb", type=Path, help="folder of an unpacked LUDB")
    parser.add_argument("--ptbxl", type=Path, help="folder of an unpacked PTB-XL, whose recordings join without boundaries")
    parser.add_argument("--out", type=Path, required=True, help="folder for delineation.safetensors and delineation.json")
    parser.add_argument("--fold", default="", help="K/N: leave out the K-th of N parts")
    parser.add_argument("--steps", type=int, default=FitConfig.steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commit", default="", help="commit of the code, for the card")
    args = parser.parse_args()
    config = FitConfig(steps=args.steps, seed=args.seed)
    print(train_delineation(args.ludb, args.ptbxl, args.out, config=config, fold=args.fold, commit=args.commit))


if __name__ == "__main__":
    main()
