"""Figures of the language model on made-up recordings whose figures are known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from assistant.evaluate_language import _agreement, _values, cross_evidence
from assistant.evidence import PRESENT
from assistant.intents import Question
from encoders.measurements import LEAD_VALUES, MEASUREMENT_NAMES, MORE_NAMES
from encoders.metrics import best_f1_thresholds
from encoders.ptbxl import PtbXl
from encoders.table import MeasuredTable
from encoders.vocabulary import CODES


def test_the_best_f1_lies_between_cases_and_the_rest():
    p = np.zeros((8, 71), np.float32)
    labels = np.zeros((8, 71), np.uint8)
    p[:, 0] = (0.9, 0.8, 0.7, 0.6, 0.3, 0.2, 0.1, 0.05)
    labels[[0, 1, 3], 0] = 1
    cut = best_f1_thresholds(labels, p)
    assert cut[0] == np.float32(0.6) and (cut[1:] == 0.5).all()


def test_agreement_counts_common_statements_only_and_says_what_was_left_open():
    labels = np.zeros((200, 71), np.uint8)
    labels[:100, 3], labels[:20, 4] = 1, 1
    stated, decided = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    stated[:40, 3], stated[150:160, 3], stated[:, 4] = True, True, True
    decided[:120, 3] = True
    found = _agreement(stated, decided, labels > 0, labels)
    assert found["statements"] == 1
    assert found["reports"] == {"precision": 0.8, "recall": 0.4, "statements_stated": 1, "coverage": 0.6}
    assert found["f1_tuned"]["precision"] == found["f1_tuned"]["recall"] == 1.0


def test_evidence_of_one_half_follows_from_the_other(tmp_path):
    rng = np.random.default_rng(0)
    n = 400
    labels = (rng.random((n, 71)) < 0.2).astype(np.uint8)
    logits = np.where(labels > 0, rng.normal(4, 1, labels.shape), rng.normal(-4, 1, labels.shape)).astype(np.float32)
    table = pd.DataFrame({"ecg_id": range(1, n + 1), "patient_id": range(n), "age": 60.0, "sex": 1.0, "strat_fold": 9})
    table["filename_lr"] = "none"
    data = PtbXl(tmp_path, table.set_index("ecg_id"), labels, labels * 100.0)
    empty = {"values": len(MEASUREMENT_NAMES), "reliability": len(MEASUREMENT_NAMES), "more": len(MORE_NAMES)}
    shapes = {**empty, "more_reliability": len(MORE_NAMES), "lead_reliability": 12}
    parts = {name: np.full((n, width), np.nan, np.float32) for name, width in shapes.items()}
    parts["per_lead"] = np.full((n, 12, len(LEAD_VALUES)), np.nan, np.float32)
    made, tuned = cross_evidence(data, logits, MeasuredTable(usable=np.ones(n, bool), **parts), [()] * n)
    assert len(made) == n and tuned.shape == labels.shape
    said = np.array([[f.state == PRESENT for f in one.findings] for one in made])
    column = CODES.index("PVC")
    assert (labels[said[:, column], column] > 0).mean() > 0.9 and (tuned == (labels > 0)).mean() > 0.98


def test_what_was_not_assessed_is_no_no():
    asked = Question("", "verify", ("AFIB",))
    said = ("Yes, AF.", "No, no AF.", "None was found.", "Not assessed: AF.", "Cannot be judged: AF.")
    assert [_values(text, asked) for text in said] == ["yes", "no", "no", "?", "?"]
