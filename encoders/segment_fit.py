"""Training of the delineation network on LUDB, with unlabelled PTB-XL in the second half.

``python -m encoders.segment_fit LUDB_DIR --ptbxl PTBXL_DIR --out FOLDER [--fold K/N]``. With ``--fold 0/3`` every third
recording is left out and named in the card, for out-of-fold figures (``tests/benchmarks/ludb.py``).

Recipe: crops of 8 s, one to twelve leads of a recording together, AdamW, one cycle, exponential averaging. Crops are
stretched in time (the rests between waves more than the waves), lose P waves, are band-limited as by a lower rate, flipped,
scaled, and get wander, hum, muscle noise, and single bad leads. Samples outside the annotated span do not count. From half
way, crops of PTB-XL (folds 1-8) join, with the averaged network's own sure probabilities on all twelve clean leads as target
(Xie et al. 2020, doi:10.1109/CVPR42600.2020.01070), except that recordings with atrial fibrillation or flutter have no P
wave: their P probability goes to "none".
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter, resample_poly

from encoders.ludb import Annotated, load_ludb
from encoders.segment import (
    CLASSES,
    SegmentConfig,
    SegmentNetwork,
    prepared,
    probabilities,
    save_segmenter,
)
from encoders.waves import SEGMENT_FS_HZ

__all__ = ["FitConfig", "fit_segmenter", "held_out", "train_delineation"]

Floats = NDArray[np.float64]
_SOURCE_FS_HZ = 500.0
#: Probability from which the averaged network's own word counts as a target.
_SURE = 0.9
_LEAD_COUNTS, _LEAD_SHARES = (1, 2, 3, 6, 12), (0.20, 0.30, 0.15, 0.20, 0.15)


@dataclass(frozen=True)
class FitConfig:
    """One dial per choice; ``rows`` leads per batch, ``samples`` per crop at 250 Hz."""

    steps: int = 800
    rows: int = 96
    samples: int = 2048
    lr: float = 5e-3
    weight_decay: float = 0.02
    average: float = 0.98
    stretch: float = 0.25
    p_less: float = 0.12
    unlabelled: int = 320
    unlabelled_share: float = 0.25
    join: float = 0.5
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Source:
    """A recording at 500 Hz: signal (leads, samples), targets float16 (leads, 4, samples / 2), mask (leads, samples / 2), where
    the heart rests: int8 (samples / 2,), 1 from T to the next wave, 2 from P to QRS, 0 elsewhere, and the spans of P waves with
    a little room, in samples at 250 Hz."""

    signal: NDArray[np.float32]
    target: NDArray[np.float16]
    mask: NDArray[np.bool_]
    rest: NDArray[np.int8]
    p_spans: list[tuple[int, int]]


def _rests(target: NDArray[np.float16]) -> tuple[NDArray[np.int8], list[tuple[int, int]]]:
    """``_Source.rest`` and ``_Source.p_spans`` from the targets of all leads."""
    wave = np.argmax(target.astype(np.float32).mean(axis=0), axis=0)
    out, spans = np.zeros(len(wave), np.int8), []
    edges = np.concatenate([[0], np.flatnonzero(np.diff(wave)) + 1, [len(wave)]])
    for a, b in itertools.pairwise(edges):
        before, after = (wave[a - 1] if a else 0), (wave[b] if b < len(wave) else 0)
        if wave[a] == 0 and before == 3 and after in (1, 2):
            out[a:b] = 1
        elif wave[a] == 0 and before == 1 and after == 2:
            out[a:b] = 2
        elif wave[a] == 1 and a > 8 and b < len(wave) - 8:
            room = next((k for k in range(8) if wave[b + k] > 1), 8)
            spans.append((int(a) - 8, int(b) + room))
    return out, spans


def held_out(names: list[str], fold: int, folds: int) -> list[str]:
    """The recordings that fold ``fold`` of ``folds`` leaves out: every ``folds``-th of a fixed shuffle."""
    order = np.random.default_rng(20).permutation(len(names))
    return sorted((names[i] for i in order[fold::folds]), key=int)


def _source(recording: Annotated) -> _Source:
    """Soft targets: the share of each 4 ms sample that lies within a wave."""
    x = recording.signal_mv.astype(np.float64)
    step = recording.fs_hz / SEGMENT_FS_HZ
    n = int(x.shape[1] / step)
    centre = np.arange(n, dtype=float)
    target = np.zeros((len(x), len(CLASSES), n), np.float16)
    mask = np.zeros((len(x), n), bool)
    for row, marks in enumerate(recording.marks):
        first, last = marks.span[0] / step, marks.span[1] / step
        mask[row] = (centre > first - 3) & (centre < last + 3)
        for k, name in enumerate(CLASSES[1:], start=1):
            for on, peak, off in marks.waves[name] / step:
                if np.isfinite(on) and np.isfinite(off):
                    inside = np.minimum(np.clip(centre - on + 0.5, 0, 1), np.clip(off - centre + 0.5, 0, 1))
                    target[row, k] = np.maximum(target[row, k], inside)
                else:
                    mask[row] &= np.abs(centre - peak) > 40
        total = target[row, 1:].sum(axis=0)
        target[row, 1:] /= np.maximum(total, 1)
        target[row, 0] = 1 - np.minimum(total, 1)
    return _Source(x.astype(np.float32), target, mask, *_rests(target))


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


def _taught(network: SegmentNetwork, signals: list[NDArray[np.float32]], no_p: list[bool]) -> list[_Source]:
    """The network's own probabilities as targets; P goes to none where there is none."""
    out = []
    for signal, without in zip(signals, no_p, strict=True):
        p = probabilities(network, [prepared(signal, _SOURCE_FS_HZ)])[0]
        if without:
            p[:, 0] += p[:, 1]
            p[:, 1] = 0
        # Where it is unsure (at boundaries, above all) only the cardiologists teach.
        out.append(_Source(signal, p.astype(np.float16), np.asarray(p.max(axis=1) > _SURE), *_rests(p.astype(np.float16))))
    return out


def _noisy(x: Floats, rng: np.random.Generator) -> Floats:
    """(leads, samples) at 250 Hz with wander, hum and muscle noise, sized against each lead's own range."""
    leads, n = x.shape
    t = np.arange(n) / SEGMENT_FS_HZ
    size = np.maximum(np.percentile(np.abs(x), 99, axis=1, keepdims=True), 0.05)
    common = np.zeros((leads, n))
    if rng.random() < 0.7:
        for _ in range(3):
            hz, phase = rng.uniform(0.05, 0.7), rng.uniform(0, 6.28)
            common += rng.uniform(-0.5, 0.5, (leads, 1)) * np.sin(6.2832 * hz * t + phase)
    if rng.random() < 0.3:
        common += 10 ** rng.uniform(-2.5, -0.8) * np.sin(6.2832 * rng.choice([50.0, 60.0]) * rng.uniform(0.98, 1.02) * t)
    if rng.random() < 0.7:
        level = 10 ** rng.uniform(-2.5, -0.9, (leads, 1))
        bad = rng.random((leads, 1)) < 0.05
        level = np.where(bad, rng.uniform(0.2, 1.0), level)
        pole = rng.uniform(0.0, 0.9)
        noise = lfilter([1.0], [1.0, -pole], rng.standard_normal((leads, n)), axis=1)
        common += level * noise * np.sqrt(1 - pole**2)
    return np.asarray(x + size * common)


def _without_p(x: Floats, target: Floats, spans: list[tuple[int, int]], rng: np.random.Generator) -> None:
    """Takes P waves out, some or all, in place: a straight line in all leads and "none". Else P is what comes before a QRS."""
    some = rng.choice([0.4, 1.0])
    for a, b in spans:
        if rng.random() < some:
            first, last = max(3, 2 * a), 2 * b
            ends = x[:, first - 3 : first + 4].mean(axis=1), x[:, last - 3 : last + 4].mean(axis=1)
            rough = x[:, first:last] - uniform_filter1d(x[:, first:last], 5, axis=1)
            x[:, first:last] = np.linspace(*ends, last - first, axis=1) + rough
            target[:, 0, a:b] += target[:, 1, a:b]
            target[:, 1, a:b] = 0.0


def _crop(source: _Source, leads: NDArray[np.int64], config: FitConfig, rng: np.random.Generator) -> tuple[Floats, ...]:
    """One augmented crop: network input (leads, n), targets (leads, 4, n), mask (leads, n)."""
    x, target = source.signal[leads].astype(np.float64), source.target[leads].astype(np.float64)
    if rng.random() < config.p_less:
        _without_p(x, target, source.p_spans, rng)
    if rng.random() < 0.5:
        # What a lower rate lets through; 100 Hz recordings are the most frequent of these.
        rate = rng.choice([100.0, 100.0, 125.0, 180.0, 250.0])
        freqs = np.fft.rfftfreq(x.shape[1], 1 / _SOURCE_FS_HZ)
        keep = np.clip((0.49 * rate - freqs) / (0.06 * rate), 0, 1)
        x = np.fft.irfft(np.fft.rfft(x, axis=1) * keep, n=x.shape[1], axis=1)
    # A faster heart rests less between T and P, a first-degree block rests longer between P and QRS; waves keep their length.
    pace = np.full(len(source.rest), float(np.exp(rng.uniform(-config.stretch, config.stretch))))
    pace[source.rest == 1] *= np.exp(rng.uniform(-2.5, 0.4)) if rng.random() < 0.5 else 1.0
    pace[source.rest == 2] *= np.exp(rng.uniform(-0.5, 1.6)) if rng.random() < 0.3 else 1.0
    clock = np.concatenate([[0.0], np.cumsum(pace)[:-1]])
    start = rng.uniform(min(0.0, clock[-1] - config.samples), max(0.0, clock[-1] - config.samples))
    wanted = start + np.arange(config.samples)
    inside = (wanted >= 0) & (wanted < clock[-1])
    at = np.interp(wanted, clock, np.arange(len(clock), dtype=float))
    fine = np.clip(at * _SOURCE_FS_HZ / SEGMENT_FS_HZ, 0, x.shape[1] - 1.001)
    low, share = fine.astype(int), fine - fine.astype(int)
    x = x[:, low] * (1 - share) + x[:, low + 1] * share
    coarse = np.clip(at, 0, source.mask.shape[1] - 1.001)
    low, share = coarse.astype(int), coarse - coarse.astype(int)
    target = target[:, :, low] * (1 - share) + target[:, :, low + 1] * share
    mask = source.mask[leads][:, low] & source.mask[leads][:, low + 1] & inside
    if rng.random() < 0.15:
        # A cart's own high-pass of the first order (0.05-0.5 Hz).
        pole = float(np.exp(-6.2832 * rng.uniform(0.05, 0.5) / SEGMENT_FS_HZ))
        x = lfilter([1.0, -1.0], [1.0, -pole], x - x[:, :1], axis=1)
    x = _noisy(x, rng)
    x *= np.where(rng.random((len(leads), 1)) < 0.3, -1.0, 1.0)
    x = np.exp(rng.uniform(-0.35, 0.35, (len(leads), 1))) * prepared(x, SEGMENT_FS_HZ)
    if len(leads) > 2:
        x[rng.random(len(leads)) < 0.03] = 0.0
    return x, target, mask.astype(np.float64)


def _batch(
    labelled: list[_Source], taught: list[_Source], config: FitConfig, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    leads = int(rng.choice(_LEAD_COUNTS, p=_LEAD_SHARES))
    parts = []
    for _ in range(config.rows // leads):
        pool = taught if taught and rng.random() < config.unlabelled_share else labelled
        source = pool[int(rng.integers(len(pool)))]
        parts.append(_crop(source, rng.choice(len(source.signal), leads, replace=False), config, rng))
    x, target, mask = (torch.from_numpy(np.concatenate(p).astype(np.float32)) for p in zip(*parts, strict=True))
    return x, target, mask, leads


def fit_segmenter(
    recordings: list[Annotated], ptbxl: Path | None, config: FitConfig, network: SegmentConfig | None = None
) -> SegmentNetwork:
    """The averaged network after ``config.steps`` steps; without ``ptbxl`` only LUDB is used."""
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    labelled = [_source(r) for r in recordings]
    signals, no_p = _unlabelled(ptbxl, config.unlabelled, rng) if ptbxl is not None else ([], [])
    taught: list[_Source] = []
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = SegmentNetwork(network or SegmentConfig()).to(device)
    averaged = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.lr, total_steps=config.steps, pct_start=0.1)
    started, running = time.time(), 0.0
    for step in range(config.steps):
        if signals and step == int(config.join * config.steps):
            taught = _taught(averaged.cpu(), signals, no_p)
            averaged.to(device)
        *tensors, leads = _batch(labelled, taught, config, rng)
        x, target, mask = (t.to(device) for t in tensors)
        model.train()
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(x, leads)
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
