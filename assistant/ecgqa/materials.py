"""What training and benchmark rest on, per fold: truth, what is known of the recordings, and the questions made from both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from assistant.ecgqa.benchmark import Item, build
from assistant.ecgqa.features import FEATURE_COUNT, N_SAMPLES, signal_features
from assistant.ecgqa.heads import Heads
from assistant.ecgqa.known import Known, known_of
from assistant.ecgqa.truth import Truth, interval_labels, read_truth
from encoders.encode import Encoder
from encoders.fusion import ptbxl_rows
from encoders.leadsets import ALL_LEADS
from encoders.measurements import LEAD_VALUES, MORE_NAMES
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.table import MeasuredTable, measure_table
from encoders.vocabulary import CODES

__all__ = ["Materials", "Signs", "encoded", "intervals_and_axis", "items_of", "materials", "signs_of", "truths_of"]

_AREA = LEAD_VALUES.index("qrs_area_mvms")
_AXIS_LEADS = (0, 5)


@dataclass(frozen=True, eq=False)
class Signs:
    """``signal_features`` of n recordings: ``features`` float32 (n, FEATURE_COUNT), ``beats`` float16 (n, 12, 100)."""

    features: NDArray[np.float32]
    beats: NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Materials:
    """``items`` the questions; ``known`` by ecg_id; ``listed`` the statements above their F1 threshold by ecg_id."""

    items: list[Item]
    known: dict[int, Known]
    listed: dict[int, frozenset[str]]
    heads: Heads


def signs_of(data: PtbXl, run: Path) -> Signs:
    """Signs of every recording, kept in ``run`` and read from there next time."""
    import wfdb
    from safetensors.numpy import load_file, save_file

    file = run / f"ecgqa-signs{FEATURE_COUNT}-{len(data)}-{int(data.ids.sum())}.safetensors"
    if file.exists():
        found = load_file(file)
        return Signs(found["features"], found["beats"])
    features = np.zeros((len(data), FEATURE_COUNT), np.float32)
    beats = np.zeros((len(data), 12, 100), np.float16)
    for row, ecg_id in enumerate(tqdm(data.ids, desc="signs", unit="rec", disable=None)):
        signal, _ = wfdb.rdsamp(str(data.path(int(ecg_id))))
        features[row], beats[row] = signal_features(signal.T[:, :N_SAMPLES])
    run.mkdir(parents=True, exist_ok=True)
    save_file({"features": features, "beats": beats}, file.with_suffix(".part"))
    file.with_suffix(".part").rename(file)
    return Signs(features, beats)


def intervals_and_axis(table: MeasuredTable) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The six numeric features in ms (n, 6) and the net QRS area in leads I and aVF (n, 2), NaN where not measurable.

    The delineation measures them, not what answers the questions: truth and answer come about in different ways.
    """
    columns = table.columns()
    p_ms = table.more[:, MORE_NAMES.index("p_ms")]
    lengths = np.column_stack([columns["rr_ms"], p_ms, *(columns[n] for n in ("pr_ms", "qrs_ms", "qt_ms", "qtc_ms"))])
    return lengths, table.per_lead[:, _AXIS_LEADS, _AREA]


def truths_of(data: PtbXl, ecgqa: str | Path, table: MeasuredTable) -> dict[int, Truth]:
    """Truth by ecg_id from PTB-XL's columns, ECG-QA's question files and measurements."""
    lengths, areas = intervals_and_axis(table)
    return read_truth(data.table, data.likelihoods, interval_labels(ecgqa), lengths, np.nan_to_num(areas))


def items_of(data: PtbXl, ecgqa: str | Path, truths: Mapping[int, Truth], per_template: int, seed: int) -> list[Item]:
    """The questions on one set of recordings."""
    patients = dict(zip(data.ids.tolist(), data.patients.tolist(), strict=True))
    times = {int(str(i)): str(t) for i, t in data.table["recording_date"].items()}
    return build(ecgqa, truths, patients, times, per_template=per_template, seed=seed)


def encoded(data: PtbXl, run: Path, encoder: Encoder) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits (n, 71) and embeddings (n, 256) of the encoder's network, kept in ``run``."""
    from safetensors.numpy import load_file, save_file

    from encoders.raw import encode_all

    file = run / f"ecgqa-seen-{encoder.hash[:12]}-{len(data)}-{int(data.ids.sum())}.safetensors"
    if not file.exists():
        raw = encode_all(encoder.network, data.signals(run / "cache"))
        run.mkdir(parents=True, exist_ok=True)
        save_file({"logits": raw.logits, "embeddings": raw.embeddings}, file)
    found = load_file(file)
    return found["logits"], found["embeddings"]


def materials(
    ptbxl: str | Path, ecgqa: str | Path, run: str | Path, folds: Sequence[int], *, per_template: int, seed: int,
    heads: Heads | None = None, encoder: Encoder | None = None,
) -> Materials:  # fmt: skip
    """Reads and encodes the folds (kept in ``run``) and makes the questions; ``heads``, ``encoder``: the built-in where None."""
    work, encoder = Path(run), encoder or Encoder.load()
    heads = heads or Heads.load(encoder.hash)
    data = load_ptbxl(ptbxl, tuple(folds))
    table = measure_table(data, work)
    truths = truths_of(data, ecgqa, table)
    items = items_of(data, ecgqa, truths, per_template, seed)
    logits, embeddings = encoded(data, work, encoder)
    scores = encoder.fused()[ALL_LEADS].apply(logits, ptbxl_rows(data, table))
    signs = signs_of(data, work)
    known = dict(zip(data.ids.tolist(), known_of(heads, embeddings, scores, signs.features, signs.beats), strict=True))
    above = 1 / (1 + np.exp(-heads.base(scores))) >= np.asarray(heads.card["f1_thresholds"])
    listed = {int(i): frozenset(CODES[c] for c in np.flatnonzero(above[row])) for row, i in enumerate(data.ids)}
    return Materials(items, known, listed, heads)
