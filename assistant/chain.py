"""The chain that makes every shipped artefact from a PTB-XL folder: encoder → library → decision → language model.

Each step keeps its working files under ``run`` and can be resumed; what ships is written into the packages (or wherever
``Places`` points). Whoever changes the encoder runs the whole chain: everything after it names its hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from encoders.encode import WEIGHTS as ENCODER_WEIGHTS
from encoders.encode import Encoder, save_encoder
from encoders.evaluate import evaluate_encoder
from encoders.fusion import FUSED_READINGS, Fusion, joined, load_fusions, ptbxl_rows, save_fusions
from encoders.leadsets import ALL_LEADS, LEAD_SETS
from encoders.ptbxl import PtbXl, load_ptbxl
from encoders.table import measure_table

if TYPE_CHECKING:
    from encoders.raw import Raw

__all__ = [
    "Places",
    "train_all",
    "train_calibration",
    "train_decision",
    "train_encoder_step",
    "train_fusion",
    "train_language",
    "train_library",
    "train_questions",
]

#: What was tried on the way, with dates, negatives included; kept by hand, shipped in the encoder's card.
TRIED = ENCODER_WEIGHTS.parent / "tried.json"
TRAIN_FOLDS = (1, 2, 3, 4, 5, 6, 7, 8)
CALIBRATION_FOLD = 9


@dataclass(frozen=True)
class Places:
    """Where things are: the data, the working files, and the folders that the artefacts ship in."""

    ptbxl: Path
    run: Path
    encoder: Path = ENCODER_WEIGHTS
    library: Path = field(default_factory=lambda: Path(__file__).parent.parent / "retrieval" / "builtin")
    decision: Path = field(default_factory=lambda: Path(__file__).parent / "weights")
    language: Path = field(default_factory=lambda: Path(__file__).parent / "weights" / "language")

    @property
    def cache(self) -> Path:
        return self.run / "cache"


def train_encoder_step(places: Places, *, seed: int = 0, commit: str = "") -> Encoder:
    """Trains the encoder, calibrates it on fold 9, writes weights and card."""
    from encoders.network import EncoderConfig
    from encoders.train import TrainConfig, train_encoder

    data = load_ptbxl(places.ptbxl, TRAIN_FOLDS)
    config, network_config = TrainConfig(seed=seed), EncoderConfig()
    network = train_encoder(data, places.run / "encoder", config, network_config, places.cache)
    card: dict[str, Any] = {
        "what": "SE-ResNet on 2.5 s windows at 100 Hz, 71 SCP statements; a tower for complete recordings and one for any leads",
        "data": "PTB-XL 1.0.1 labels, folds 1-7 (fold 8 watched, fold 9 calibrated), CC BY 4.0, doi:10.1038/s41597-020-0495-6",
        "date": datetime.now(UTC).date().isoformat(),
        "command": "ecg-assistant train encoder PTBXL_DIR",
        "commit": commit,
        "cycles": [asdict(cycle) for cycle in config.cycles],
        "seed": seed,
        "tried": json.loads(TRIED.read_text(encoding="utf-8")),
    }
    save_encoder(network, places.encoder, card)
    # Scores are those of the half-precision file that ships, not of the network in memory.
    (places.encoder / "calibration.json").unlink(missing_ok=True)
    encoder = train_calibration(places)
    held = load_ptbxl(places.ptbxl, (CALIBRATION_FOLD,))
    read = held_out(places, encoder, held)
    card["metrics"] = {"fold9": evaluate_encoder(held, scores(places, encoder.fused(), held, read))}
    save_encoder(network, places.encoder, card)
    return Encoder.load(places.encoder)


def held_out(places: Places, encoder: Encoder, held: PtbXl) -> dict[str, Raw]:
    """Fold 9 as the encoder reads it from every set of leads, kept in ``run`` under the encoder's hash."""
    from encoders.raw import encode_lead_sets

    return encode_lead_sets(encoder.network, held.signals(places.cache), places.run / f"fold9-{encoder.hash[:12]}")


def scores(
    places: Places, fusions: Mapping[str, Fusion], held: PtbXl, read: Mapping[str, Raw]
) -> dict[str, NDArray[np.float32]]:
    """Scores of fold 9 by reading, joined with its measurements."""
    tables = {name: measure_table(held, places.run, read_from=name) for name in read}
    return joined(fusions, held, tables, {name: raw.logits for name, raw in read.items()})


def train_fusion(places: Places, encoder: Encoder) -> dict[str, Fusion]:
    """Joins network and measurements of every set of leads on folds 1-8, by what networks say that had not seen them; kept in
    ``places.encoder``."""
    from encoders.calibrate import log_odds
    from encoders.fusion_fit import FEW_LEADS, HELD_OUT, SETTINGS, fit_fusion, left_out_table
    from encoders.outoffold import probabilities_key

    data = load_ptbxl(places.ptbxl, TRAIN_FOLDS)
    unseen = out_of_fold_step(places, data, encoder)
    fusions, left_out = {}, {}
    for one in LEAD_SETS:
        logits = log_odds(unseen[probabilities_key(one.name)])
        rows = ptbxl_rows(data, measure_table(data, places.run, gate=False, read_from=one.name))
        settings = SETTINGS if one.name == ALL_LEADS else FEW_LEADS
        fusions[one.name] = fit_fusion(logits, rows, data.labels, encoder.hash, settings)
        left_out[one.name] = left_out_table(logits, rows, data.labels, data.folds, HELD_OUT, settings)
    save_fusions(fusions, places.encoder, {
        "what": "macro AUROC of the network alone and joined with measurements, on folds of 1-7 that the fit left out",
        "data": "PTB-XL 1.0.1 labels, folds 1-8, out of fold, CC BY 4.0, doi:10.1038/s41597-020-0495-6",
        "date": datetime.now(UTC).date().isoformat(),
        "command": "ecg-assistant train calibration PTBXL_DIR",
        "settings": asdict(SETTINGS),
        "units, fewer leads": FEW_LEADS.units,
        "left out": left_out,
    })  # fmt: skip
    return load_fusions(places.encoder, encoder.hash)


def train_calibration(places: Places) -> Encoder:
    """Joins the encoder in ``places.encoder`` with measurements (folds 1-8), calibrates all readings on fold 9, returns it."""
    from encoders.calibrate import fit_calibration

    held = load_ptbxl(places.ptbxl, (CALIBRATION_FOLD,))
    bare = Encoder.load(places.encoder, calibrated=False)
    found = scores(places, train_fusion(places, bare), held, held_out(places, bare, held))
    note: dict[str, object] = {"data": "PTB-XL fold 9, all patients", "recordings": len(held)}
    fit_calibration(found, held.labels, bare.hash).save(places.encoder / "calibration.json", note)
    return Encoder.load(places.encoder)


def out_of_fold_step(places: Places, data: PtbXl, encoder: Encoder) -> dict[str, NDArray[Any]]:
    """Out-of-fold probabilities, embeddings and tokens of folds 1-8, kept in ``run`` under the encoder's hash."""
    from safetensors.numpy import load_file, save_file

    from encoders.network import EncoderConfig
    from encoders.outoffold import out_of_fold, out_of_fold_file, probabilities_key, train_halves
    from encoders.train import TrainConfig

    file = out_of_fold_file(places.run, encoder.hash)
    if not file.exists():
        halves = train_halves(data, places.run, TrainConfig(), EncoderConfig(), places.cache)
        found = out_of_fold(data, encoder.network, halves, data.signals(places.cache))
        arrays = {probabilities_key(name): values for name, values in found.probabilities.items()}
        save_file({**arrays, "embeddings": found.embeddings, "tokens": found.tokens}, file)
        (places.run / "outoffold.json").write_text(json.dumps(found.report, indent=1))
        print(json.dumps(found.report, indent=1))
    return dict(load_file(file))


def unseen_joined(places: Places, data: PtbXl, encoder: Encoder, name: str = ALL_LEADS) -> NDArray[np.float32]:
    """Scores (n, 71) of folds 1-8 from one set of leads, network and measurements joined, neither fitted on the recording."""
    from encoders.fusion_fit import FEW_LEADS, SETTINGS, unseen_scores
    from encoders.outoffold import probabilities_key

    found = out_of_fold_step(places, data, encoder)[probabilities_key(name)]
    table = measure_table(data, places.run, gate=False, read_from=name)
    return unseen_scores(data, found, table, SETTINGS if name == ALL_LEADS else FEW_LEADS)


def train_library(places: Places, encoder: Encoder) -> None:
    """The built-in case library, folds 1-8 as the shipped encoder sees them, and beside it the map between ECG and text."""
    from encoders.raw import encode_all
    from retrieval.aligned import aligned_card, train_aligned
    from retrieval.build import build_from_ptbxl
    from retrieval.text import TextEncoder

    data = load_ptbxl(places.ptbxl, TRAIN_FOLDS)
    measured = measure_table(data, places.run, gate=False)
    raw = encode_all(encoder.network, data.signals(places.cache))
    build_from_ptbxl(data, raw.embeddings, measured.columns(), places.library, encoder.hash)
    space = train_aligned(raw.embeddings, data.labels, encoder.hash, TextEncoder())
    space.save(places.library, aligned_card(len(data)))


def train_decision(places: Places, encoder: Encoder) -> None:
    """Thresholds for presence, absence and familiarity from fold 9, for every set of leads, joined with measurements; of the
    absence of rare statements from folds 1-8, as networks and joins see them that had not learned from them."""
    from assistant.decide import fit_decision
    from assistant.risk import rare_cases
    from retrieval.library import CaseLibrary

    held = load_ptbxl(places.ptbxl, (CALIBRATION_FOLD,))
    read = held_out(places, encoder, held)
    library = CaseLibrary.open(places.library, encoder.hash)
    distances = {name: np.ravel(library.nearest_distance(raw.embeddings)) for name, raw in read.items()}
    found = scores(places, encoder.fused(), held, read)
    probabilities = {name: encoder.calibration.apply(found[FUSED_READINGS[name]], FUSED_READINGS[name]) for name in read}
    data = load_ptbxl(places.ptbxl, TRAIN_FOLDS)
    unseen = {}
    for name in read:
        cases = rare_cases(data.labels, unseen_joined(places, data, encoder, name))
        unseen[name] = (cases, encoder.calibration.curves[FUSED_READINGS[name]].each(cases))
    fit_decision(held.labels, probabilities, held.patients, distances, encoder.hash, places.decision, unseen=unseen)


def train_language(
    places: Places, encoder: Encoder, *, base: str | None = None, base_steps: int = 1250, projector_steps: int = 60,
    lora_steps: int = 700, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Base (unless one is named), projector and LoRA; writes what ships into ``places.language``."""
    import shutil

    from assistant.language.align import AlignConfig, align
    from assistant.language.base import pretrain
    from assistant.training_set import alignment_set

    work = places.run / "language"
    if base is None and not (work / "base.json").exists():
        pretrain(work, steps=base_steps, seed=seed)
    data = load_ptbxl(places.ptbxl, TRAIN_FOLDS)
    measured, unseen = measure_table(data, places.run, gate=False), out_of_fold_step(places, data, encoder)
    # The evidence that it learns to put into words is what it will be given: network and measurements together.
    unseen["probabilities"] = expit(unseen_joined(places, data, encoder)).astype(np.float32)
    examples = alignment_set(data, unseen, measured, places.library, encoder.hash)
    config = AlignConfig(projector_steps=projector_steps, lora_steps=lora_steps, seed=seed)
    # Checkpoints belong to one encoder: with another, a finished run would otherwise be taken up as if it were this one.
    aligned = work / f"aligned-{encoder.hash[:12]}"
    source = Path(base) if base is not None else work / "base"
    summary = align(examples, base or source, aligned, encoder.hash, config, base_name=None if base else "base")
    places.language.mkdir(parents=True, exist_ok=True)
    working = shutil.ignore_patterns("*.ckpt", "summary.json")
    shutil.copytree(aligned, places.language, dirs_exist_ok=True, ignore=working)
    if base is None:
        shutil.copytree(source, places.language / "base", dirs_exist_ok=True)
    into_card(places.language / "language.json", {
        "data": "generated text; PTB-XL folds 1-8 out of fold, CC BY 4.0, doi:10.1038/s41597-020-0495-6",
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"ecg-assistant train align PTBXL_DIR --steps {lora_steps}" + (f" --base {base}" if base else ""),
    })  # fmt: skip
    return summary


def into_card(card: Path, fields: dict[str, Any]) -> None:
    """Adds fields to a JSON card, or replaces them."""
    kept = json.loads(card.read_text(encoding="utf-8"))
    card.write_text(json.dumps({**kept, **fields}, indent=1) + "\n", encoding="utf-8")


def train_questions(places: Places, encoder: Encoder, ecgqa: Path, *, seed: int = 0) -> None:
    """Heads for questions in ECG-QA's convention, from its folder; they lie beside the decision."""
    from assistant.ecgqa.train import train_heads

    out_of_fold_step(places, load_ptbxl(places.ptbxl, TRAIN_FOLDS), encoder)
    train_heads(places.ptbxl, ecgqa, places.run, places.decision, seed=seed, encoder=encoder)


def train_all(places: Places, *, seed: int = 0, ecgqa: Path | None = None) -> None:
    """Everything, in order; the heads for ECG-QA's questions only where its folder is given."""
    encoder = train_encoder_step(places, seed=seed)
    train_library(places, encoder)
    train_decision(places, encoder)
    train_language(places, encoder, seed=seed)
    if ecgqa is not None:
        train_questions(places, encoder, ecgqa, seed=seed)
