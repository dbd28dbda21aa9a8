"""Examples of what the service answers, for its description."""

from __future__ import annotations

from typing import Any

__all__ = [
    "EXAMPLE_AUDIT",
    "EXAMPLE_BUNDLE",
    "EXAMPLE_DRAFTED",
    "EXAMPLE_HEALTH",
    "EXAMPLE_MEASUREMENTS",
    "EXAMPLE_RATES",
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

EXAMPLE_DRAFTED: dict[str, Any] = {"draft_id": _ID, "state": "unconfirmed draft", "to_sign": [{"sentence": 0, **_SENTENCE}]}
EXAMPLE_STATE: dict[str, Any] = {
    **EXAMPLE_DRAFTED,
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
    "quality": {"verdict": "usable", "score": 0.97, "reasons": [], "flags": [], "bad_leads": []},
    "measurements": {
        "qrs_ms": {"value": 98.3, "unit": "ms", "beats": 16, "leads": ["I", "II"], "reliability": 0.96, "note": ""}
    },
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
}
