"""A report as FHIR R4: a Bundle with one DiagnosticReport and its Observations. Plain dictionaries; nothing is sent anywhere.

The report is ``preliminary`` until a named human has signed it, then ``final`` (FHIR R4, DiagnosticReport.status). No patient
identifier goes in; where a clinician typed a label for this one download, it stands as the display of ``subject`` and nowhere
else. LOINC codes of study, PR, QRS, QT, QTc and axes were compared with public HL7 v2 and FHIR examples; the code of heart rate
is that of the FHIR R4 vital-signs profile. The LOINC table itself was not at hand: displays are our own plain words where they
might differ from it.
"""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from encoders.vocabulary import CODES
from ui import texts
from ui.naming import name_of
from ui.ranges import judged, normal_range
from ui.signing import SignedReport, checked_label

__all__ = ["MEASURED", "STUDY", "bundle"]

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
#: LOINC 11524-6 "EKG study".
STUDY = ("11524-6", "EKG study")
#: Measurement → LOINC code, what it is called, UCUM unit.
MEASURED: dict[str, tuple[str, str, str]] = {
    "rate_bpm": ("8867-4", "Heart rate", "/min"),
    "pr_ms": ("8625-6", "P-R interval", "ms"),
    "qrs_ms": ("8633-0", "QRS duration", "ms"),
    "qt_ms": ("8634-8", "Q-T interval", "ms"),
    "qtc_ms": ("8636-3", "Q-T interval corrected", "ms"),
    "p_axis_deg": ("8626-4", "P wave axis", "deg"),
    "axis_deg": ("8632-2", "QRS axis", "deg"),
    "t_axis_deg": ("8638-9", "T wave axis", "deg"),
}
#: Names in ids are random to nobody: the same report gives the same bundle.
_SPACE = uuid.UUID("6f1d6a0e-5d2c-5a43-9f0b-1f2f6c1a7c11")


def _url(report: SignedReport, part: str) -> str:
    name = "|".join((report.document["recording"], report.draft_id, part))
    return f"urn:uuid:{uuid.uuid5(_SPACE, name)}"


def _effective(recorded_at: str | None) -> str | None:
    """The day of the recording. Files tell no time zone, and a FHIR time of day needs one (R4, dateTime)."""
    try:
        return date.fromisoformat((recorded_at or "")[:10]).isoformat()
    except ValueError:
        return None


def _observation(report: SignedReport, subject: dict[str, str] | None, body: dict[str, Any]) -> dict[str, Any]:
    effective = _effective(report.recorded_at)
    return {
        "resourceType": "Observation",
        "status": "preliminary" if report.signed is None else "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": "procedure", "display": "Procedure"}]}],
        **({"subject": subject} if subject else {}),
        **({"effectiveDateTime": effective} if effective else {}),
        **body,
    }


def _measured(name: str, report: SignedReport, subject: dict[str, str] | None) -> dict[str, Any] | None:
    """One measurement with its normal range; None where it could not be measured."""
    document = report.document
    item = document["measurements"].get(name)
    if item is None or item["value"] is None:
        return None
    code, words, unit = MEASURED[name]
    limits = normal_range(name, document.get("age_years"), document.get("sex"))

    def quantity(value: float) -> dict[str, Any]:
        return {"value": round(value), "unit": item["unit"], "system": UCUM, "code": unit}

    body: dict[str, Any] = {
        "code": {"coding": [{"system": LOINC, "code": code, "display": words}], "text": name_of(name)},
        "valueQuantity": quantity(item["value"]),
        "note": [{"text": f"Reliability {item['reliability']:.2f}, {item['beats']} beats. {item['note']}".strip()}],
    }
    if limits is not None:
        low = {} if limits.low is None else {"low": quantity(limits.low)}
        high = {} if limits.high is None else {"high": quantity(limits.high)}
        body["referenceRange"] = [{**low, **high, "text": f"{limits.text} {limits.citation}"}]
        verdict = {"low": ("L", "Low"), "high": ("H", "High"), "": ("N", "Normal")}[judged(item["value"], name, limits)]
        body["interpretation"] = [{"coding": [{"system": _INTERPRETATION, "code": verdict[0], "display": verdict[1]}]}]
    return _observation(report, subject, body)


def _stated(report: SignedReport) -> list[tuple[str, float]]:
    """Codes that the report as it stands states as present, with the machine's probability (of those it drafted or not)."""
    probability = {f["code"]: float(f["probability"]) for f in report.document["findings"]}
    codes = dict.fromkeys(code for _, rows in report.edition.standing() for s in rows for code in s.codes)
    return [(code, probability.get(code, 0.0)) for code in codes if code in CODES]


def _finding(code: str, probability: float, report: SignedReport, subject: dict[str, str] | None) -> dict[str, Any]:
    """A statement that stands in the report. SCP-ECG has no code system of its own in FHIR: the code stands as text."""
    from encoders.vocabulary import statement

    one = statement(code)
    return _observation(report, subject, {
        "code": {"text": "ECG statement (SCP-ECG, EN 1064 / ISO 11073-91064)"},
        "valueCodeableConcept": {"text": f"{one.name} ({code})"},
        "component": [{
            "code": {"text": "Calibrated probability of the machine's reading"},
            "valueQuantity": {"value": round(probability, 4), "unit": "1", "system": UCUM, "code": "1"},
        }],
    })  # fmt: skip


def bundle(report: SignedReport, label: str | None = None) -> dict[str, Any]:
    """The report as a Bundle of type "collection": DiagnosticReport first, then its Observations.

    ``label``: the patient's, for this copy only. Values that could not be measured are left out.
    """
    document, signed = report.document, report.signed
    subject = {"display": checked_label(label)} if label else None
    observations = [(f"M:{name}", _measured(name, report, subject)) for name in MEASURED]
    observations += [(f"F:{code}", _finding(code, p, report, subject)) for code, p in _stated(report)]
    entries = [{"fullUrl": _url(report, part), "resource": one} for part, one in observations if one is not None]
    effective = _effective(report.recorded_at)
    said = [s.text for _, rows in report.edition.standing() for s in rows]
    critical = [item["text"] for item in document.get("critical") or ()]
    reasons = [f"{texts.REASON}: {text}" for text in document.get("reasons") or ()]
    who = [f"{texts.WHO_LOOKS}: {document['who_should_look']}"] if document["status"] == "referral" else []
    lines = [f"{report.state}.", *(f"{texts.CRITICAL}: {text}" for text in critical), *who, *reasons, *said, texts.INTENDED_USE]
    top: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary" if signed is None else "final",
        "category": [{"coding": [{"system": _SECTION, "code": "EC", "display": "Electrocardiac (e.g., EKG, EEC, Holter)"}]}],
        "code": {"coding": [{"system": LOINC, "code": STUDY[0], "display": STUDY[1]}], "text": texts.REPORT_TITLE},
        **({"subject": subject} if subject else {}),
        **({"effectiveDateTime": effective} if effective else {}),
        **({} if signed is None else {"issued": signed.at, "resultsInterpreter": [{"display": signed.name}]}),
        "result": [{"reference": entry["fullUrl"]} for entry in entries],
        "conclusion": "\n".join(lines),
    }
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": _url(report, "bundle")},
        **({} if signed is None else {"timestamp": signed.at}),
        "entry": [{"fullUrl": _url(report, "report"), "resource": top}, *entries],
    }
