"""Examples of what the service answers, for its description."""

from __future__ import annotations

from typing import Any

from ui.texts import INTENDED_USE

__all__ = [
    "EXAMPLE_ANSWER",
    "EXAMPLE_AUDIT",
    "EXAMPLE_BUNDLE",
    "EXAMPLE_CASES",
    "EXAMPLE_HEALTH",
    "EXAMPLE_MEASUREMENTS",
    "EXAMPLE_RATES",
    "EXAMPLE_REPORT",
    "EXAMPLE_SIGNED",
    "EXAMPLE_STATE",
]

_ID = "80514daca98797d5ef77a342bb3096fb"
_RECORDING = "5ea524abab3c7a4fada440f7c625366d142ea8ae92be253eec19c3d3f8005b71"
_SENTENCE: dict[str, Any] = {
    "text": "Atrial fibrillation at 104/min.", "section": "impression", "evidence": ["F:AFIB", "M:rate_bpm"],
    "codes": ["AFIB"], "source": "language model",
}  # fmt: skip
_VERSIONS = {"schema": "1.0", "ecg-assistant": "0.1.0", "encoder": "098ae24a…"}
_QUALITY: dict[str, Any] = {
    "verdict": "usable", "score": 0.97, "p_unacceptable": 0.03, "reasons": [], "flags": [], "bad_leads": [],
    "lead_noise_mv": {"II": 0.008}, "lead_noise_kinds": {}, "limited": [], "placement": "as expected", "exchange": None,
    "exchange_probability": 0.01, "filters": {"high_pass_hz": 0.05, "low_pass_hz": 150.0, "notch_hz": None},
}  # fmt: skip
_CASE: dict[str, Any] = {
    "id": "C:12345", "similarity": 0.93, "age_years": 71, "sex": "F", "statements": {"CLBBB": 100.0},
    "measurements": {"qrs_ms": 152.0}, "where": "PTB-XL 1.0.3 records100/12000/12345_lr", "found_by": "recording",
}  # fmt: skip
_NEIGHBOUR: dict[str, Any] = {
    "id": "N:CLBBB", "text": "31 of the 50 most similar cases list complete left bundle branch block (1.2 expected by chance).",
    "listed": 31, "asked": 50, "expected": 1.2, "share": 0.64, "effective_n": 38.0, "prevalence": 0.024, "corrected": 0.61,
    "lift": 25.4,
}  # fmt: skip
_CHECKER = {"sentences": 1, "dropped": 0}
_LINE: dict[str, Any] = {name: _SENTENCE[name] for name in ("text", "evidence", "source")}
_DRAFTED: dict[str, Any] = {"draft_id": _ID, "state": "unconfirmed draft", "to_sign": [{"sentence": 0, **_SENTENCE}]}

EXAMPLE_REPORT: dict[str, Any] = {
    "schema_version": "1.0",
    "status": "draft",
    "reasons": [],
    "reason_kinds": [],
    "unconfirmed": True,
    "intended_use": INTENDED_USE,
    "critical": [],
    "quality": _QUALITY,
    "measurements": {
        "rate_bpm": {"value": 104.0, "unit": "/min", "beats": 17, "leads": ["II"], "reliability": 0.98, "note": ""}
    },
    "findings": [
        {
            "id": "F:AFIB", "code": "AFIB", "name": "atrial fibrillation", "probability": 0.97, "state": "present",
            "urgency": "urgent", "reason": "", "against": [], "criteria": "Irregular RR intervals without P waves.",
            "citation": "ESC 2024",
        }
    ],
    "conflicts": [],
    "sections": {"impression": [_LINE]},
    "impression": [_LINE],
    "cases": [_CASE],
    "left_out": {"own": 0, "duplicates": 0},
    "neighbours": [_NEIGHBOUR],
    "age_years": 74.0,
    "sex": "F",
    "recording": _RECORDING,
    "compared_with": None,
    "caution": [],
    "familiarity": 0.83,
    "lead_set": "12",
    "limits": [],
    "guarantee": "At most 5 % of the findings that are stated are wrong, on recordings like those of the calibration.",
    "research": [],
    "checker": _CHECKER,
    "versions": _VERSIONS,
    **_DRAFTED,
}  # fmt: skip
EXAMPLE_ANSWER: dict[str, Any] = {
    "schema_version": "1.0",
    "status": "answer",
    "text": "The QRS complex lasts 142 ms.",
    "values": ["142 ms"],
    "confidence": 0.95,
    "evidence": ["M:qrs_ms"],
    "reasons": [],
    "intent": "measurement",
    "sentences": [{"text": "The QRS complex lasts 142 ms.", "evidence": ["M:qrs_ms"], "source": "language model"}],
    "checker": _CHECKER,
    "unconfirmed": True,
    "intended_use": INTENDED_USE,
    "recordings": [_RECORDING],
    "caution": [],
    "versions": _VERSIONS,
    "audit_id": _ID,
}
EXAMPLE_CASES: dict[str, Any] = {
    "cases": [_CASE],
    "left_out": {"own": 1, "duplicates": 0},
    "understood": None,
    "neighbours": [_NEIGHBOUR],
    "quality": _QUALITY,
    "remark": "",
    "k": 10,
    "where": "age>60 and sex=F",
    "recording": _RECORDING,
    "versions": _VERSIONS,
    "audit_id": _ID,
}
EXAMPLE_STATE: dict[str, Any] = {
    **_DRAFTED,
    "state": "signed",
    "drafted_at": "2026-11-21T09:14:03.255Z",
    "status": "draft",
    "recordings": [_RECORDING],
    "reasons": [],
    "versions": _VERSIONS,
    "signature": {
        "signer": "Dr Ann Reader",
        "signed_at": "2026-11-21T09:15:41.012Z",
        "decisions": [{"kind": "accepted", "sentence": 0, "text": "", "codes": None, "section": "impression"}],
        "sentences": [_SENTENCE],
    },
}
EXAMPLE_SIGNED: dict[str, Any] = {
    "recording": _RECORDING,
    "status": "signed",
    "signed_by": "Dr Ann Reader",
    "signed_at": "2026-11-21T09:15:41.012Z",
    "unconfirmed": False,
    "report": {"impression": [_SENTENCE["text"]]},
}
EXAMPLE_BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "type": "collection",
    "timestamp": "2026-11-21T09:15:41.012Z",
    "entry": [
        {
            "fullUrl": "urn:uuid:db4c3300-b2be-55c5-8e8d-d9ca0016b87f",
            "resource": {
                "resourceType": "DiagnosticReport", "status": "final", "conclusion": _SENTENCE["text"],
                "code": {"coding": [{"system": "LOINC", "code": "11524-6"}]},
            },
        }
    ],
}  # fmt: skip
EXAMPLE_MEASUREMENTS: dict[str, Any] = {
    "recording": _RECORDING,
    "quality": _QUALITY,
    "measurements": {
        "qrs_ms": {"value": 98.3, "unit": "ms", "beats": 16, "leads": ["I", "II"], "reliability": 0.96, "note": ""}
    },
    "versions": _VERSIONS,
    "audit_id": _ID,
}
EXAMPLE_AUDIT = (
    '{"seq": 1, "id": "80514daca98797d5ef77a342bb3096fb", "at": "2026-11-21T09:14:03.255Z", "actor": "ward 3", '
    '"role": "clinician", "action": "report", "about": null, "asked": "", "kind": "draft", …}\n'
)
EXAMPLE_RATES: dict[str, Any] = {
    "drafts": 240,
    "signed": 180,
    "findings": [
        {
            "code": "AFIB", "name": "atrial fibrillation", "drafted": 31, "accepted": 28, "changed": 2, "rejected": 1, "added": 3,
            "edit_rate": 0.097, "edit_low": 0.034, "edit_high": 0.249,
            "disagreement_rate": 0.118, "disagreement_low": 0.047, "disagreement_high": 0.266,
        }
    ],
}  # fmt: skip
EXAMPLE_HEALTH: dict[str, Any] = {
    "status": "ok",
    "version": "0.1.0",
    "python": "3.11.7",
    "packages": {"torch": "2.13.0"},
    "artefacts": {"encoder": "2f1d…"},
    "loaded": True,
    "intended_use": INTENDED_USE,
}
