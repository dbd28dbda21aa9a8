"""A report as FHIR R4: a Bundle with one DiagnosticReport and its Observations. Plain dictionaries; nothing is sent anywhere.

The report is ``preliminary`` until a named human has signed it, then ``final`` (FHIR R4, DiagnosticReport.status). A final report
begins with what was signed; what the machine drafted beside it stands under a heading of its own, and measurements that no signed
sentence tells stay ``preliminary``. No patient identifier goes in; where a clinician typed a label for this one download, it
stands as the display of ``subject`` and nowhere else.

LOINC codes of study, PR, QRS, QT, QTc and axes were compared with public HL7 v2 and FHIR examples; the code of heart rate is that
of the FHIR R4 vital-signs profile. The LOINC table itself was not at hand: displays are our own plain words where they might
differ from it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any

from assistant.frames import FIXED
from encoders.vocabulary import CODES, statement
from ui import texts
from ui.drafted import HUMAN, Sentence, outright
from ui.naming import name_of
from ui.ranges import verdict
from ui.signing import BESIDE, Part, SignedReport, checked_label, further, pressing, quality_remarks

__all__ = ["DRAFT_ID", "MEASURED", "RECORDING", "RECORDED_AT", "STATEMENTS", "STUDY", "bundle"]

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
#: Systems of our own, which nobody registered: the SCP-ECG codes of statements (EN 1064 / ISO 11073-91064), the draft in the
#: audit store, the hash of the recording, and the recording's time of day as its file tells it, without a zone.
STATEMENTS = "urn:ecg-assistant:scp-ecg-statement"
DRAFT_ID = "urn:ecg-assistant:draft-id"
RECORDING = "urn:ecg-assistant:recording-sha256"
RECORDED_AT = "urn:ecg-assistant:recorded-at-local-time"
_INTERPRETED = {"low": ("L", "Low"), "high": ("H", "High"), "normal": ("N", "Normal")}
#: Sections of a report that say nothing else are left out: that no finding was stated there, that nothing was compared.
_NOTHING = (*FIXED["no such finding"], *FIXED["no earlier"])
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


def _observation(report: SignedReport, subject: dict[str, str] | None, final: bool, body: dict[str, Any]) -> dict[str, Any]:
    effective = _effective(report.recorded_at)
    return {
        "resourceType": "Observation",
        "status": "final" if final else "preliminary",
        "category": [{"coding": [{"system": _CATEGORY, "code": "procedure", "display": "Procedure"}]}],
        **({"subject": subject} if subject else {}),
        **({"effectiveDateTime": effective} if effective else {}),
        **body,
    }


def _device(report: SignedReport) -> dict[str, Any]:
    """The program with the versions of all that the draft was made with."""
    versions = report.document["versions"].items()
    return {
        "resourceType": "Device",
        "deviceName": [{"name": texts.TITLE, "type": "user-friendly-name"}],
        "version": [{"type": {"text": name}, "value": value} for name, value in versions],
    }


def _measured(name: str, report: SignedReport, subject: dict[str, str] | None) -> dict[str, Any] | None:
    """One measurement with its normal range; None where it could not be measured."""
    document = report.document
    item = document["measurements"].get(name)
    if item is None or item["value"] is None:
        return None
    code, words, unit = MEASURED[name]
    word, limits = verdict(name, document)
    # What a human rejected, reworded or was never asked about is the machine's alone.
    told = any(f"M:{name}" in s.evidence and s.source != HUMAN for _, rows in report.said for s in rows)
    final = report.signed is not None and told
    notes = [f"Reliability {item['reliability']:.2f}, {item['beats']} beats. {item['note']}".strip()]
    if document["quality"]["verdict"] == "unusable":
        notes.append(f"{texts.RECORDING_IS.format('unusable')}.")
    if report.signed is not None and not told:
        notes.append(f"{BESIDE}.")

    def quantity(value: float) -> dict[str, Any]:
        return {"value": round(value), "unit": item["unit"], "system": UCUM, "code": unit}

    body: dict[str, Any] = {
        "code": {"coding": [{"system": LOINC, "code": code, "display": words}], "text": name_of(name)},
        "valueQuantity": quantity(item["value"]),
        "device": {"reference": _url(report, "device")},
        "note": [{"text": text} for text in notes],
    }
    if limits is not None:
        # A receiver may mark by the range itself: a limit that marks nothing here stands in the text alone.
        low = {} if limits.low is None or limits.soft else {"low": quantity(limits.low)}
        high = {} if limits.high is None else {"high": quantity(limits.high)}
        body["referenceRange"] = [{**low, **high, "text": f"{limits.text} {limits.citation}"}]
    if limits is not None and limits.soft and not word:
        body["note"].append({"text": "Many healthy people lie below the lower limit."})
    if word:
        coded = dict(zip(("code", "display"), _INTERPRETED[word], strict=True))
        body["interpretation"] = [{"coding": [{"system": _INTERPRETATION, **coded}]}]
    return _observation(report, subject, final, body)


def _stated(report: SignedReport) -> dict[str, list[Sentence]]:
    """Codes that the report as it stands states as present, each with the sentences that do."""
    found: dict[str, list[Sentence]] = {}
    for _, rows in report.said:
        for sentence in rows:
            for code in sentence.codes:
                if code in CODES:
                    found.setdefault(code, []).append(sentence)
    return found


def _concept(code: str, sentences: list[Sentence]) -> dict[str, Any]:
    """A statement as a code. An ECG that is normal only but for something else is none: the code alone would say more."""
    name = statement(code).name
    if not any(code in outright(sentence) for sentence in sentences):
        return {"text": f"otherwise {name}"}
    return {"coding": [{"system": STATEMENTS, "code": code, "display": name}], "text": f"{name} ({code})"}


def _finding(code: str, sentences: list[Sentence], report: SignedReport, subject: dict[str, str] | None) -> dict[str, Any]:
    """A statement that stands in the report, with the sentences that state it; the machine's probability where it drafted one."""
    body: dict[str, Any] = {
        "code": {"text": "ECG statement (SCP-ECG, EN 1064 / ISO 11073-91064)"},
        "valueCodeableConcept": _concept(code, sentences),
        "note": [{"text": text} for text in dict.fromkeys(s.text for s in sentences)],
    }
    probability = {f["code"]: float(f["probability"]) for f in report.document["findings"]}
    if code in probability and any(s.source != HUMAN for s in sentences):
        body["device"] = {"reference": _url(report, "device")}
        body["component"] = [{
            "code": {"text": "Calibrated probability of the machine's reading"},
            "valueQuantity": {"value": round(probability[code], 4), "unit": "1", "system": UCUM, "code": "1"},
        }]  # fmt: skip
    return _observation(report, subject, report.signed is not None, body)


def _lines(parts: Iterable[Part]) -> list[str]:
    """A line for each part that says something, its heading first."""
    return [f"{heading[0].upper()}{heading[1:]}: {' '.join(said)}" for heading, said in parts if said]


def _conclusion(report: SignedReport) -> str:
    """The report as text. Once it is signed, what was signed comes first, and all that the machine drafted beside it apart."""
    document = report.document
    said = _lines((name, [s.text for s in rows if s.text not in _NOTHING]) for name, rows in report.said)
    recorded = [texts.RECORDED.format(report.recorded_at)] if report.recorded_at else []
    drafted = _lines(pressing(document))
    beside = _lines((quality_remarks(document), *further(document)))
    promise = [str(document["guarantee"])] if document.get("guarantee") else []
    first = [*drafted, *said] if report.signed is None else [*said, "", f"{BESIDE}:", *drafted]
    return "\n".join((f"{report.state}.", *recorded, *first, *beside, *promise, texts.INTENDED_USE))


def bundle(report: SignedReport, label: str | None = None) -> dict[str, Any]:
    """The report as a Bundle of type "collection": DiagnosticReport first, then its Observations and the program as a Device.

    ``label``: the patient's, for this copy only. Values that could not be measured are left out.
    """
    signed = report.signed
    status = "preliminary" if signed is None else "final"
    subject = {"display": checked_label(label)} if label else None
    stated = _stated(report)
    observations = [(f"M:{name}", _measured(name, report, subject)) for name in MEASURED]
    observations += [(f"F:{code}", _finding(code, rows, report, subject)) for code, rows in stated.items()]
    entries = [{"fullUrl": _url(report, part), "resource": one} for part, one in observations if one is not None]
    concepts = [_concept(code, rows) for code, rows in stated.items()]
    coded = [concept for concept in concepts if "coding" in concept]
    effective = _effective(report.recorded_at)
    ids = [(RECORDING, report.document["recording"]), *([(DRAFT_ID, report.draft_id)] if report.draft_id else [])]
    top: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        **({"extension": [{"url": RECORDED_AT, "valueString": report.recorded_at}]} if report.recorded_at else {}),
        "identifier": [{"system": system, "value": value} for system, value in ids],
        "status": status,
        "category": [{"coding": [{"system": _SECTION, "code": "EC", "display": "Electrocardiac (e.g., EKG, EEC, Holter)"}]}],
        "code": {"coding": [{"system": LOINC, "code": STUDY[0], "display": STUDY[1]}], "text": texts.REPORT_TITLE},
        **({"subject": subject} if subject else {}),
        **({"effectiveDateTime": effective} if effective else {}),
        **({} if signed is None else {"issued": signed.at, "resultsInterpreter": [{"display": signed.name}]}),
        "result": [{"reference": entry["fullUrl"]} for entry in entries],
        "conclusion": _conclusion(report),
        **({"conclusionCode": coded} if coded else {}),
    }
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": _url(report, f"bundle, {status}")},
        **({} if signed is None else {"timestamp": signed.at}),
        "entry": [
            {"fullUrl": _url(report, "report"), "resource": top}, *entries,
            {"fullUrl": _url(report, "device"), "resource": _device(report)},
        ],
    }  # fmt: skip
