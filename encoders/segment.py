"""The network that tells P, QRS and T apart: a small 1-d U-Net with weights shared by all leads, leads pooled inside.

Every lead goes through the same layers (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28, in one dimension, as
Moskalenko et al. 2020, doi:10.1007/978-3-030-30425-6_29, used it on ECGs). After each stage the leads of a recording tell
each other what they see: their features are averaged, each lead weighted by a quality that it gives itself, and handed back
to every lead. Any number of leads in any order is therefore one network, a noisy lead follows the clean ones, and each lead
still has boundaries of its own. A lead that bears one of the twelve standard names says so, since a cardiologist sees P begin
later in aVL than in II and end earlier in V1; any other lead counts as unknown, and the network is trained for both.

The convolutions are two-dimensional with a height of one, features innermost in memory: twice as fast on a CPU as Conv1d.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import Tensor, nn

from encoders.ecg import STANDARD_LEADS
from encoders.errors import ArtefactError
from encoders.files import file_sha256
from encoders.waves import SEGMENT_FS_HZ

__all__ = [
    "CLASSES",
    "SegmentConfig",
    "SegmentNetwork",
    "UNKNOWN_LEAD",
    "lead_numbers",
    "load_segmenter",
    "prepared",
    "probabilities",
    "save_segmenter",
    "without_wander",
]

CLASSES = ("none", "P", "QRS", "T")
#: Number of a lead that bears no standard name.
UNKNOWN_LEAD = len(STANDARD_LEADS)
#: Stretches of 2 s on either side that settle the size of a lead in a long recording.
_AROUND = 15
_FILE, _CARD = "delineation.safetensors", "delineation.json"


@dataclass(frozen=True)
class SegmentConfig:
    """``widths``: channels at 125, 62.5, 31.25, 15.6 and 7.8 Hz; ``kernel``: taps of every convolution."""

    widths: tuple[int, ...] = (24, 32, 40, 48, 56)
    kernel: int = 5
    stem: int = 9


def lead_numbers(names: Sequence[str]) -> NDArray[np.int64]:
    """Place of each lead in the standard order, whatever its case, and ``UNKNOWN_LEAD`` for other names: (leads,)."""
    places = {name.upper(): k for k, name in enumerate(STANDARD_LEADS)}
    return np.array([places.get(name.upper(), UNKNOWN_LEAD) for name in names], np.int64)


def _conv(width_in: int, width: int, kernel: int, stride: int = 1, dilation: int = 1, bias: bool = False) -> nn.Conv2d:
    """A convolution over time, with as much padding as keeps the length."""
    padding = (0, dilation * (kernel // 2))
    return nn.Conv2d(width_in, width, (1, kernel), (1, stride), padding, dilation=(1, dilation), bias=bias)


class _Pool(nn.Module):
    """Leads to the weighted mean over leads and back: (recordings * leads, channels, 1, time), same shape out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.quality = _conv(width, 1, 1, bias=True)
        self.back = _conv(width, width, 1, bias=True)
        nn.init.zeros_(self.quality.weight)

    def forward(self, x: Tensor, leads: int) -> Tensor:
        """The mean over each ``leads`` neighbouring rows, added to each of them."""
        weight = (torch.sigmoid(self.quality(x)) + 1e-3).unflatten(0, (-1, leads))
        mean = (x.unflatten(0, (-1, leads)) * weight).sum(dim=1) / weight.sum(dim=1)
        added: Tensor = self.back(mean.contiguous(memory_format=torch.channels_last))
        out: Tensor = (x.unflatten(0, (-1, leads)) + added[:, None]).flatten(0, 1)
        return out


class _Block(nn.Module):
    """Two convolutions with a shortcut, then the exchange between leads."""

    def __init__(self, width_in: int, width: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.first = _conv(width_in, width, kernel, stride)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = _conv(width, width, kernel, dilation=dilation)
        self.second_norm = nn.BatchNorm2d(width)
        self.pool = _Pool(width)

    def forward(self, x: Tensor, leads: int) -> Tensor:
        """(rows, width_in, 1, time) to (rows, width, 1, time / stride)."""
        y = torch.relu(self.first_norm(self.first(x)))
        y = torch.relu(y + self.second_norm(self.second(y)))
        out: Tensor = self.pool(y, leads)
        return out


class SegmentNetwork(nn.Module):
    """Logits of none, P, QRS, T for each sample at 250 Hz of each lead."""

    def __init__(self, config: SegmentConfig) -> None:
        super().__init__()
        self.config = config
        w, k = config.widths, config.kernel
        self.stem, self.stem_norm = _conv(1, w[0], config.stem, 2), nn.BatchNorm2d(w[0])
        self.lead = nn.Embedding(UNKNOWN_LEAD + 1, w[0])
        nn.init.normal_(self.lead.weight, std=0.1)
        self.down = nn.ModuleList(
            [_Block(w[0], w[0], k)] + [_Block(a, b, k, stride=2) for a, b in zip(w[:-1], w[1:], strict=True)]
        )
        self.deep = nn.ModuleList([_Block(w[-1], w[-1], k, dilation=d) for d in (2, 4)])
        self.up = nn.ModuleList([_Block(a + b, a, k) for a, b in zip(w[-2::-1], w[:0:-1], strict=True)])
        # Each step at 125 Hz gives two samples at 250 Hz.
        self.head = _conv(w[0], 2 * len(CLASSES), k, bias=True)

    @property
    def multiple(self) -> int:
        """The number of samples must be a multiple of this."""
        return int(2 ** len(self.config.widths))

    def forward(self, x: Tensor, leads: int, numbers: Tensor) -> Tensor:
        """(recordings * leads, samples), leads of a recording side by side, and the ``lead_numbers`` (recordings * leads,), to
        logits (recordings * leads, 4, samples)."""
        y = torch.relu(self.stem_norm(self.stem(x[:, None, None])))
        y = (y + self.lead(numbers)[:, :, None, None]).contiguous(memory_format=torch.channels_last)
        kept = []
        for block in self.down:
            y = block(y, leads)
            kept.append(y)
        for block in self.deep:
            y = y + block(y, leads)
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            y = block(torch.cat([skip, nn.functional.interpolate(y, scale_factor=(1, 2))], dim=1), leads)
        z = self.head(y)
        rows, steps = len(z), z.shape[3]
        logits: Tensor = z.reshape(rows, len(CLASSES), 2, steps).transpose(2, 3).reshape(rows, len(CLASSES), 2 * steps)
        return logits


def prepared(signal_mv: NDArray[np.floating], fs_hz: float) -> NDArray[np.float32]:
    """What the network sees: (leads, samples) in mV without gaps, to 250 Hz, wander off, scaled by the lead's own size.

    The size is the median over 2 s stretches of the largest deflection, at least 0.05 mV: one artefact does not shrink a
    lead, and noise of a flat lead is not blown up. Beyond a minute it is that of the half minute on either side, since a
    lead's size changes as people turn over.
    """
    x = np.asarray(signal_mv, np.float64)
    if fs_hz != SEGMENT_FS_HZ:
        ratio = Fraction(SEGMENT_FS_HZ / fs_hz).limit_denominator(2000)
        x = resample_poly(x, ratio.numerator, ratio.denominator, axis=1, padtype="line")
    x = without_wander(x)
    n = x.shape[1]
    span = int(2 * SEGMENT_FS_HZ)
    starts = range(0, max(n - span // 2, 1), span)
    each = np.array([np.abs(x[:, s : s + span]).max(axis=1) for s in starts])
    size = np.median(each, axis=0)[:, None]
    if len(each) > 2 * _AROUND + 1:
        local = [np.median(each[max(0, i - _AROUND) : i + _AROUND + 1], axis=0) for i in range(len(each))]
        middle = np.arange(len(each)) * span + span / 2
        size = np.stack([np.interp(np.arange(n), middle, row) for row in np.transpose(local)])
    scaled: NDArray[np.float32] = np.clip(x / np.maximum(size, 0.05), -4.0, 4.0).astype(np.float32)
    return scaled


def without_wander(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(leads, samples) at 250 Hz without what lies below 0.2-0.6 Hz (raised cosine, no phase)."""
    n = x.shape[1]
    pad = min(int(SEGMENT_FS_HZ), n - 1)
    padded = np.pad(x, ((0, 0), (pad, pad)), mode="reflect", reflect_type="odd")
    freqs = np.fft.rfftfreq(padded.shape[1], 1 / SEGMENT_FS_HZ)
    keep = 0.5 - 0.5 * np.cos(np.pi * np.clip((freqs - 0.2) / 0.4, 0, 1))
    out: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(padded, axis=1) * keep, n=padded.shape[1], axis=1)[:, pad : pad + n]
    return out


def save_segmenter(network: SegmentNetwork, folder: Path, card: dict[str, object]) -> str:
    """Writes delineation.safetensors (half precision) and delineation.json beside it; returns the SHA-256."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {n: (t.half() if t.is_floating_point() else t).contiguous() for n, t in network.state_dict().items()}
    save_file(tensors, folder / _FILE)
    digest = file_sha256(folder / _FILE)
    text = json.dumps({"sha256": digest, "network": asdict(network.config), **card}, indent=1)
    (folder / _CARD).write_text(text + "\n", encoding="utf-8")
    return digest


def load_segmenter(folder: Path) -> SegmentNetwork:
    """The network in ``folder``, ready to run. Raises ArtefactError where file and card do not fit."""
    from safetensors.torch import load_file

    file = folder / _FILE
    if not file.exists():
        raise ArtefactError(f"The delineation weights are missing ({_FILE}); reinstall or run `python -m encoders.segment_fit`.")
    card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    if card["sha256"] != file_sha256(file):
        raise ArtefactError("The delineation weights differ from their card (sha256); reinstall or train again.")
    network = SegmentNetwork(SegmentConfig(**{**card["network"], "widths": tuple(card["network"]["widths"])}))
    network.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in load_file(file).items()})
    return _fused(network.eval())


def _fused(network: SegmentNetwork) -> SegmentNetwork:
    """The same function with every normalisation folded into the convolution before it: less to compute, only for inference."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    pairs: list[tuple[nn.Module, str, str]] = [(network, "stem", "stem_norm")]
    for block in (*network.down, *network.deep, *network.up):
        pairs += [(block, "first", "first_norm"), (block, "second", "second_norm")]
    for owner, conv, norm in pairs:
        setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
        setattr(owner, norm, nn.Identity())
    return network


def probabilities(
    network: SegmentNetwork, signals: Sequence[NDArray[np.float32]], names: Sequence[str]
) -> list[NDArray[np.float32]]:
    """Class probabilities (leads, 4, samples) of each prepared recording (leads, samples); all have the leads ``names``."""
    out = []
    numbers = torch.from_numpy(lead_numbers(names))
    with torch.inference_mode():
        for signal in signals:
            leads, n = signal.shape
            fill = -n % network.multiple
            x = torch.from_numpy(np.pad(signal, ((0, 0), (0, fill))))
            out.append(torch.softmax(network(x, leads, numbers)[..., :n], dim=1).numpy())
    return out
