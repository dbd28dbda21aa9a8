"""Every sentence that the page and the service show of their own, in one place."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AGE",
    "ANALYSE",
    "ASK",
    "ASK_FIRST",
    "ASK_PLACEHOLDER",
    "AS_RECORDED",
    "BANNER",
    "CHAT_EMPTY",
    "CHAT_LABEL",
    "CONFIDENCE_NOTE",
    "CONFLICTS",
    "CRITICAL",
    "DEMO_LABEL",
    "DROP_LABEL",
    "EMPTY",
    "EXAMPLE_ANSWER",
    "EXAMPLE_CASES",
    "EXAMPLE_REPORT",
    "FOR_EXAMPLE",
    "IMPRESSION",
    "INTENDED_USE",
    "KNOWN_ALL_THE_SAME",
    "LIMITS",
    "QUESTIONS",
    "RATE",
    "RECORDING_IS",
    "REFERRAL_LEAD",
    "RESEARCH",
    "SERVICE_DESCRIPTION",
    "SEX",
    "TABLES",
    "TITLE",
    "TO_REVIEW",
    "UNFORESEEN",
    "UNIT",
    "WHO_LOOKS",
]

TITLE = "ECG assistant"
INTENDED_USE = (
    "For adults and resting 12-lead recordings; drafts for a clinician to review; no treatment advice. It never rules out an"
    " acute infarction."
)
BANNER = "Unconfirmed draft"
ANALYSE = "Analyse"
DROP_LABEL = "Own recording (WFDB, EDF, DICOM, MUSE, Philips, aECG, SCP, CSV, NumPy)"
EMPTY = "Pick a demo recording or drop one of your own, then press Analyse."
CHAT_EMPTY = "Analyse a recording, then ask about it: rate, rhythm, intervals, a finding and why, similar cases."
ASK_PLACEHOLDER = "Ask about this recording"
AGE = "Age"
SEX = "Sex"
AS_RECORDED = "as recorded"
DEMO_LABEL = "Demo recording (synthesised)"
TABLES = "For tables without rate or unit"
RATE = "Sampling rate in Hz (--fs)"
UNIT = "Unit (--unit)"
CHAT_LABEL = "Questions about this recording"
ASK = "Ask"
FOR_EXAMPLE = "For example"
ASK_FIRST = "Analyse a recording first; questions are answered about that recording only."
QUESTIONS = ("What is the rhythm?", "How long is the QRS complex?", "Is there ischemia?", "What is not assessed?")
REFERRAL_LEAD = "Handed over to a human"
WHO_LOOKS = "To look at it:"
TO_REVIEW = "for a clinician to review."
RECORDING_IS = "The recording is {}"
CRITICAL = "Critical: stated, or cannot be excluded"
IMPRESSION = "Impression"
KNOWN_ALL_THE_SAME = "What is known all the same"
CONFLICTS = "Conflicts"
LIMITS = "Limits"
RESEARCH = "Research only, not for clinical decisions"
CONFIDENCE_NOTE = (
    "Probabilities are calibrated on patients that no training saw. “Cannot be judged” is neither present nor absent."
)
UNFORESEEN = "Something went wrong on the server's side; the recording was not judged."
SERVICE_DESCRIPTION = (
    "Reads a resting 12-lead electrocardiogram of an adult, drafts a report for a clinician to review, answers questions"
    " about it and finds similar past cases. A referral is an answer, too: it says why nothing was stated, and what is known"
    " all the same. Errors are `{\"error\": one sentence}`. Uploads are removed as soon as they are read. "
) + INTENDED_USE

EXAMPLE_REPORT: dict[str, Any] = {
    "status": "draft",
    "reasons": [],
    "quality": {"verdict": "usable", "score": 0.97, "reasons": [], "flags": [], "bad_leads": []},
    "measurements": {
        "rate_bpm": {"value": 104.0, "unit": "/min", "beats": 17, "leads": ["II"], "reliability": 0.98, "note": ""}
    },
    "findings": [
        {"code": "AFIB", "name": "atrial fibrillation", "probability": 0.97, "state": "present", "urgency": "urgent"}
    ],
    "sections": {"rhythm": [{"text": "Atrial fibrillation.", "evidence": ["F:AFIB"], "source": "renderer"}]},
    "impression": [
        {"text": "Atrial fibrillation at 104/min.", "evidence": ["F:AFIB", "M:rate_bpm"], "source": "language model"}
    ],
    "cases": [{"id": "C:12345", "similarity": 0.93, "age_years": 71, "sex": "M", "statements": {"AFIB": 0.0}}],
    "critical": [],
    "limits": [],
    "unconfirmed": True,
    "versions": {"schema": "1.0"},
}
EXAMPLE_ANSWER: dict[str, Any] = {
    "status": "answer",
    "text": "The QRS complex lasts 142 ms [M:qrs_ms].",
    "values": ["142 ms"],
    "confidence": 0.95,
    "evidence": ["M:qrs_ms"],
    "reasons": [],
}
EXAMPLE_CASES: dict[str, Any] = {
    "cases": [{"id": "C:12345", "similarity": 0.93, "age_years": 71, "sex": "F", "statements": {"CLBBB": 100.0}}],
    "k": 10,
    "where": "age>60 and sex=F",
}
