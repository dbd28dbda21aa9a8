"""A small trained judge of questions: in scope (and with which intent), out of scope (and on which topic), or unclear.

The rules of ``assistant.scope`` know words; wordings nobody wrote a pattern for are judged here. The embeddings of the text, as
it stands and with its findings, measurements and drugs replaced by those words, its word pairs, what the rules found and an
embedding tuned for this judgement (``assistant.scope_text``) go through one hidden layer into a softmax over intents and topics.
``assistant.scope_fit`` trains it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.asking import JUDGED_CODES
from assistant.intents import INTENTS
from assistant.lexicon import longest_match
from assistant.lexicon import words as lexicon_words
from assistant.plain_words import clauses
from assistant.scope import TOPICS, without_drugs
from assistant.scope_text import SCALE, TunedTextEncoder
from encoders.errors import ArtefactError
from retrieval.text import TEXT_DIM, TextEncoder

__all__ = [
    "ACUTE", "CARD", "CLASSES", "FEATURES", "RULED", "TRAITS", "WEIGHTS", "Judgement", "ScopeModel", "features", "frame",
    "scope_model",
]  # fmt: skip

Floats = NDArray[np.float32]

WEIGHTS = Path(__file__).with_name("weights") / "scope.safetensors"
CARD = WEIGHTS.with_suffix(".json")

#: Outcomes of the softmax: every intent but "out_of_scope", which is split by topic.
CLASSES: tuple[str, ...] = (*(i for i in INTENTS if i != "out_of_scope"), *(f"out:{topic}" for topic in TOPICS))
#: Numbers per question that the rules contribute, see ``assistant.understanding.traits``.
TRAITS = len(TOPICS) + len(INTENTS) + 8
#: Places that word pairs are hashed to (CRC-32, so that they are the same everywhere).
HASHED = 1024
FEATURES = 2 * TEXT_DIM + TRAITS + HASHED
#: Before the names of the low-rank weights in the file of weights.
_LOW_RANK = "low_rank."
#: Where the rules' numbers lie among the features.
RULED = slice(TEXT_DIM, TEXT_DIM + TRAITS)

#: The one name among the lexicon's unassessed ones that the rules read as a finding.
ACUTE = "acute myocardial infarction"
_NAMED = {
    "statement": "finding", "group": "finding", "measurement": "measurement", "value": "measurement", "unassessed": "disease"
}  # fmt: skip
_KINDS = (*_NAMED, "normal")


@dataclass(frozen=True)
class Judgement:
    """Probabilities, 0-1: ``out`` of scope in all, ``inside`` the scope in all; what is left is "unclear".

    ``topic`` is the likeliest of TOPICS, ``intent`` the likeliest intent in scope with its own share ``intent_p`` of ``inside``.
    """

    out: float
    inside: float
    topic: str
    intent: str
    intent_p: float


def frame(text: str) -> str:
    """The text's plain clauses with every finding, measurement and drug it names replaced by just these words."""
    out = []
    for clause, mark in clauses(text):
        found, at = list(lexicon_words(without_drugs(clause, "medicine"))), 0
        words: list[str] = []
        while at < len(found):
            match = longest_match(found, at, _KINDS)
            if match is None or match.phrase.kind == "normal":
                words.append("finding" if found[at] in JUDGED_CODES and found[at] != "conduction" else found[at])
                at += 1
            else:  # an acute infarction is answered, with its caution; other unassessed diseases are not
                words.append("finding" if match.phrase.value == ACUTE else _NAMED[match.phrase.kind])
                at = match.end
        out.append(" ".join(words) + (" ?" if mark else " ."))
    return " ".join(out) or "."


def _hashed(framed: str) -> Floats:
    words = framed.split()
    found = {*words, *(f"{a} {b}" for a, b in zip(words, words[1:], strict=False)), "^ " + " ".join(words[:2]), "^ " + words[0]}
    row = np.zeros(HASHED, np.float32)
    for item in found:
        row[zlib.crc32(item.encode()) % HASHED] = 1.0
    return row * np.float32(3.0 / np.sqrt(len(found)))


def features(texts: Sequence[str], traits: Floats, encoder: TextEncoder) -> Floats:
    """What the judge sees of each text, float32 (n, FEATURES). ``traits`` (n, TRAITS): see ``assistant.understanding.traits``."""
    framed = [frame(text) for text in texts]
    once = sorted({*framed, *texts})
    place = {text: i for i, text in enumerate(once)}
    embedded = encoder.embed(once) * SCALE
    reduced, plain = (embedded[[place[text] for text in some]] for some in (framed, texts))
    return np.concatenate([reduced, traits, np.stack([_hashed(text) for text in framed]), plain], axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ScopeModel:
    """Weights: ``hidden`` (FEATURES + 384, h), ``hidden_bias`` (h,), ``out`` (h, classes), ``out_bias`` (classes,), and
    ``low_rank``, the low-rank weights of the text model, by name."""

    hidden: Floats
    hidden_bias: Floats
    out: Floats
    out_bias: Floats
    low_rank: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @cached_property
    def _tuned(self) -> TextEncoder:
        return TunedTextEncoder(self.low_rank)

    def probabilities(self, x: Floats, texts: Sequence[str]) -> Floats:
        """Softmax over CLASSES, float32 (n, classes), of texts with their features (n, FEATURES)."""
        read = self._tuned.embed(texts) * SCALE
        h = np.maximum(np.concatenate([x, read], axis=1) @ self.hidden + self.hidden_bias, 0)
        z = h @ self.out + self.out_bias
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True), np.float32)

    def judge(self, texts: Sequence[str], traits: Floats, encoder: TextEncoder) -> tuple[Judgement, ...]:
        """One judgement per text."""
        return tuple(map(judgement, self.probabilities(features(texts, traits, encoder), texts)))

    @staticmethod
    def load(path: Path = WEIGHTS) -> ScopeModel:
        """Raises ArtefactError where the weights are missing or of another shape."""
        from safetensors.numpy import load_file

        try:
            held = {name: value.astype(np.float32) for name, value in load_file(path).items()}
            low_rank = {name.removeprefix(_LOW_RANK): value for name, value in held.items() if name.startswith(_LOW_RANK)}
            classes = tuple(json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["classes"])
            made = ScopeModel(held["hidden"], held["hidden_bias"], held["out"], held["out_bias"], low_rank)
        except (OSError, KeyError, ValueError) as error:
            raise ArtefactError(
                f"The weights that judge questions ({path.name}) cannot be read; reinstall, or run python -m assistant.scope_fit."
            ) from error
        if classes != CLASSES or made.hidden.shape[0] != FEATURES + TEXT_DIM or made.out.shape[1] != len(CLASSES):
            raise ArtefactError(
                f"The weights that judge questions hold {len(classes)} classes on {made.hidden.shape[0]} features where "
                f"{len(CLASSES)} on {FEATURES + TEXT_DIM} are read; run python -m assistant.scope_fit."
            )
        return made

    def save(self, path: Path) -> None:
        """Writes the weights in half precision."""
        from safetensors.numpy import save_file

        parts = {"hidden": self.hidden, "hidden_bias": self.hidden_bias, "out": self.out, "out_bias": self.out_bias}
        parts |= {_LOW_RANK + name: value for name, value in self.low_rank.items()}
        save_file({name: np.ascontiguousarray(value.astype(np.float16)) for name, value in parts.items()}, path)
        path.chmod(0o644)


_OUT = np.array([name.startswith("out:") for name in CLASSES])
_INSIDE = np.array([not name.startswith("out:") and name != "unclear" for name in CLASSES])


def judgement(p: Floats) -> Judgement:
    """The judgement that a softmax (classes,) over CLASSES amounts to."""
    inside = float(p[_INSIDE].sum())
    best = int(np.where(_INSIDE, p, -1).argmax())
    return Judgement(
        out=float(p[_OUT].sum()),
        inside=inside,
        topic=CLASSES[int(np.where(_OUT, p, -1).argmax())].removeprefix("out:"),
        intent=CLASSES[best],
        intent_p=float(p[best]) / max(inside, 1e-9),
    )


@cache
def scope_model() -> ScopeModel:
    """The shipped weights, read once."""
    return ScopeModel.load()
