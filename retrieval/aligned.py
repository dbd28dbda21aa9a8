"""ECG and text in one space: a linear map from ECG embeddings into the sentence model's space.

The map is the closed-form bilinear model of Romera-Paredes and Torr ("An embarrassingly simple approach to zero-shot
learning", ICML 2015): with embeddings X (n, 256), centred, labels Y (n, texts) of ±1 and text vectors S (texts, 384),
W = (XᵀX + γI)⁻¹ XᵀY D (SSᵀ + λC)⁻¹ S. A sentence scores an ECG by the cosine of xᵀW and its own vector. So any sentence can be
asked of any recording, also of one that nobody has labelled. Deviations from the paper: every name, criterion and wording of a
statement is a text of its own, under a ridge times their number (C); D scales every statement's score to the same spread over
the training recordings, so that the well recognised ones do not drown the others; the cosine takes the inner product's place.

``HELD_OUT`` statements take no part in this training: neither their names nor who has them. What the map makes of them is
its zero-shot score. (The encoder beneath was trained with all 71 statements; see the card.)

A good part of a zero-shot score is no reading of the sentence at all: most statements are more frequent in ECGs that look
abnormal, so `zero_shot_scores` gives beside it what one and the same sentence for every statement earns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.errors import ArtefactError
from encoders.files import file_sha256
from encoders.metrics import auroc_per_statement
from encoders.vocabulary import CODES, STATEMENTS, SUPERCLASSES, codes_in
from retrieval.phrases import PHRASES
from retrieval.text import TextEncoder

__all__ = [
    "HELD_OUT",
    "SUPERCLASS_TEXT",
    "AlignedSpace",
    "aligned_card",
    "fit_aligned",
    "statement_vectors",
    "superclass_labels",
    "train_aligned",
    "zero_shot_scores",
]

#: Drawn once, at random (numpy seed 11), from the 50 statements with at least 40 cases in folds 1-8 and 10 in fold 8.
HELD_OUT = ("NST_", "IMI", "LVH", "INJAS", "ISCIL", "INJAL", "ISCLA", "PVC", "STD_", "INVT")
#: Chosen on fold 8 (map fitted on folds 1-7): the 40 other statements with as many cases left out in turn, eight at a time,
#: in three random orders. Mean AUROC of those left out (of the trained ones):
#:   one vector a statement, inner product, γ 10, λ 10, without D 0.710 (0.845), with D 0.734, γ 30, λ 3 0.744 (0.858)
#:   the same with the cosine, λ 3 0.749 (0.864), λ 1 0.744 (0.895), λ 0.3 0.729 (0.912)
#:   every text for itself, cosine, λ 1 0.754 (0.875), λ 0.3 0.749 (0.902): the latter, as "normal" needs it (0.92 against 0.28)
#:   the same sentence for every statement 0.696
#: Tried without gain: words' vectors mixed in, a bag of words, wordings of groups as further texts, centred text vectors,
#: exponential kernels, low rank, out-of-fold embeddings, weights by frequency.
_GAMMA, _LAMBDA = 30.0, 0.3
MAP, CARD = "aligned.safetensors", "aligned.json"
#: The sentences by which the superclasses are asked for. Chosen among 2-7 wordings each on fold 8 (map fitted on folds 1-7): a
#: group's bare name says little to a sentence model ("conduction disturbance" 0.47, "hypertrophy" 0.79), its members say more.
SUPERCLASS_TEXT = {
    "NORM": "normal ECG", "MI": "myocardial infarction", "STTC": "ST-T changes, ischaemic or non-specific",
    "CD": "left or right bundle branch block, hemiblock, AV block, WPW",
    "HYP": "hypertrophy or enlargement of an atrium or a ventricle",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class AlignedSpace:
    """The fitted map: ``centre`` (256,), ``weights`` (256, 384)."""

    centre: NDArray[np.float32]
    weights: NDArray[np.float32]
    encoder_hash: str

    def project(self, embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
        """ECG embeddings (n, 256) → unit vectors in the sentence model's space (n, 384)."""
        moved = (np.asarray(embeddings, np.float32) - self.centre) @ self.weights
        unit: NDArray[np.float32] = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9)
        return unit

    def score(self, embeddings: NDArray[np.floating], text_vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """How well each sentence (m, 384; unit length) describes each ECG (n, 256): cosines (n, m), -1 to 1.

        They are uncalibrated, and comparable within a column only: between ECGs, not between sentences.
        """
        scores: NDArray[np.float32] = self.project(embeddings) @ np.asarray(text_vectors, np.float32).T
        return scores

    def save(self, folder: Path, card: dict[str, Any]) -> None:
        """Writes aligned.safetensors (half precision) and aligned.json, which names its SHA-256 and the encoder's hash."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({"centre": self.centre, "weights": self.weights.astype(np.float16)}, folder / MAP)
        digest = file_sha256(folder / MAP)
        whole = {**card, "encoder_hash": self.encoder_hash, "sha256": digest}
        (folder / CARD).write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, encoder_hash: str) -> AlignedSpace:
        """The map in ``folder``. Raises ArtefactError where it is missing, damaged or made for another encoder."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            data = (folder / MAP).read_bytes()
            sound = hashlib.sha256(data).hexdigest() == card["sha256"]
            arrays = load(data)
            found = cls(arrays["centre"].astype(np.float32), arrays["weights"].astype(np.float32), str(card["encoder_hash"]))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            what = "The map between ECG and text is missing or damaged"
            raise ArtefactError(f"{what}; run `ecg-assistant train library`.") from None
        if not sound:
            raise ArtefactError(f"The map between ECG and text ({MAP}) is not what its card names; restore it or train it again.")
        if found.encoder_hash != encoder_hash:
            raise ArtefactError(
                f"The map between ECG and text was made for encoder {found.encoder_hash[:12]}, these embeddings come from "
                f"{encoder_hash[:12]}; build them again, or run `ecg-assistant train library`."
            )
        return found

    @staticmethod
    def made_for(folder: Path) -> str | None:
        """Hash of the encoder that the map in ``folder`` was made for; None where there is no card that tells."""
        try:
            return str(json.loads((folder / CARD).read_text(encoding="utf-8"))["encoder_hash"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _texts(code: str) -> list[str]:
    """A statement's name, its criteria, and the wordings that stand for it alone."""
    own = STATEMENTS[CODES.index(code)]
    wordings = [p for p, meant in PHRASES.items() if meant == (code,) and " " in p and p != own.name.lower()]
    return [own.name, own.criteria, *wordings]


def statement_vectors(encoder: TextEncoder, codes: Sequence[str] = CODES) -> NDArray[np.float32]:
    """One unit vector per statement (n, 384): the mean over its name, its criteria and its own wordings."""
    out = np.stack([encoder.cached(tuple(_texts(code))).mean(axis=0) for code in codes])
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True), np.float32)


def fit_aligned(
    embeddings: NDArray[np.floating], labels: NDArray[np.uint8], vectors: NDArray[np.floating], owner: NDArray[np.integer],
    encoder_hash: str, *, gamma: float = _GAMMA, lam: float = _LAMBDA,
) -> AlignedSpace:  # fmt: skip
    """Fits the map from embeddings (n, 256), labels (n, m) and text vectors (r, 384), text i being of statement ``owner[i]``.

    Every statement counts the same, however rare (its cases and the others are weighted to the same sum) and however many
    texts it has.
    """
    x = np.asarray(embeddings, np.float64)
    centre = x.mean(axis=0)
    x = x - centre
    y = labels.astype(np.float64)
    share = np.clip(y.mean(axis=0), 1e-6, 1 - 1e-6)
    target = (y - share) / np.sqrt(share * (1 - share))
    spread = len(x) * x.var(axis=0).mean()
    each = np.linalg.solve(x.T @ x + gamma * spread * np.eye(x.shape[1]), x.T @ target)  # (256, m): one score a statement
    each /= np.maximum((x @ each).std(axis=0), 1e-12)
    s = np.asarray(vectors, np.float64)
    texts = np.bincount(owner, minlength=labels.shape[1])[owner]
    weights = each[:, owner] @ np.linalg.solve(s @ s.T + lam * np.diag(texts), s)
    return AlignedSpace(centre.astype(np.float32), weights.astype(np.float32), encoder_hash)


def train_aligned(
    embeddings: NDArray[np.floating], labels: NDArray[np.uint8], encoder_hash: str, encoder: TextEncoder
) -> AlignedSpace:
    """The map that ships: from embeddings (n, 256) and labels (n, 71), without the columns and the texts of `HELD_OUT`."""
    trained = [code for code in CODES if code not in HELD_OUT]
    texts = [_texts(code) for code in trained]
    owner = np.repeat(np.arange(len(trained)), [len(own) for own in texts])
    vectors = encoder.embed([text for own in texts for text in own])
    return fit_aligned(embeddings, labels[:, [CODES.index(code) for code in trained]], vectors, owner, encoder_hash)


def aligned_card(recordings: int) -> dict[str, Any]:
    """What stands in the card of the map that ships."""
    return {
        "what": "linear map (256 → 384) from ECG embeddings into the space of all-MiniLM-L6-v2",
        "data": f"PTB-XL 1.0.3, folds 1-8, {recordings} recordings, CC BY 4.0, doi:10.1038/s41597-020-0495-6",
        "command": "ecg-assistant train library PTBXL_DIR",
        "gamma": _GAMMA,
        "lambda": _LAMBDA,
        "held_out": list(HELD_OUT),
        "note": "The held-out statements took no part in this map; the encoder beneath it was trained with all 71.",
    }


def superclass_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (n, 71) → (n, 5): a superclass is there where any of its statements is."""
    out = np.stack([labels[:, [CODES.index(c) for c in codes_in(name)]].any(axis=1) for name in SUPERCLASSES], axis=1)
    return out.astype(np.uint8)


def zero_shot_scores(
    space: AlignedSpace, embeddings: NDArray[np.floating], labels: NDArray[np.uint8], encoder: TextEncoder
) -> dict[str, Any]:
    """AUROC from sentences alone: every held-out statement, their mean beside what one sentence for all of them earns
    ("one_sentence_mean"), the trained statements' mean, every superclass and their mean."""
    vectors = statement_vectors(encoder)
    held = np.array([CODES.index(code) for code in HELD_OUT])
    seen = np.setdiff1d(np.arange(len(CODES)), held)
    areas = auroc_per_statement(labels, space.score(embeddings, vectors))
    same = space.score(embeddings, vectors[seen].mean(axis=0, keepdims=True))
    by_text = space.score(embeddings, encoder.cached(tuple(SUPERCLASS_TEXT[name] for name in SUPERCLASSES)))
    classes = auroc_per_statement(superclass_labels(labels), by_text)
    return {
        "held_out": {CODES[i]: float(areas[i]) for i in held},
        "held_out_mean": float(np.nanmean(areas[held])),
        "one_sentence_mean": float(np.nanmean(auroc_per_statement(labels[:, held], np.repeat(same, len(held), axis=1)))),
        "trained_mean": float(np.nanmean(areas[seen])),
        "superclasses": dict(zip(SUPERCLASSES, classes.tolist(), strict=True)),
        "superclass_mean": float(np.nanmean(classes)),
    }
