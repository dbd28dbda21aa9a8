"""PDF and FHIR: what must stand in them, and that they are what they claim to be."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from pypdf import PdfReader

from ui.cli import main
from ui.demo import demo
from ui.fhir import DRAFT_ID, MEASURED, RECORDED_AT, RECORDING, STATEMENTS, bundle
from ui.paper import Paper
from ui.pdf import _BODY, _SMALL, _Pages, _step, to_pdf
from ui.signing import BESIDE, Signed, SignedReport

SIGNED = Signed("Dr Ada Lovelace", "2025-03-02T09:15:00.123Z")


def report_of(stub: Any, name: str, recorded_at: str | None = None) -> SignedReport:
    return SignedReport.of(stub.report(demo(name)).to_json(), draft_id="7", recorded_at=recorded_at)


def parts(document: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    resources = [entry["resource"] for entry in document["entry"]]
    return resources[0], [one for one in resources if one["resourceType"] == "Observation"]


@pytest.mark.parametrize("name", ["normal", "af", "noisy"])
@pytest.mark.parametrize("signed", [None, SIGNED])
def test_every_bundle_is_valid_fhir_r4(stub: Any, name: str, signed: Signed | None) -> None:
    made = bundle(replace(report_of(stub, name, "2025-03-01T10:22:00"), signed=signed), "Bed 7" if signed else None)
    whole = Bundle.model_validate_json(json.dumps(made))
    assert isinstance(whole.entry[0].resource, DiagnosticReport) and isinstance(whole.entry[-1].resource, Device)
    assert all(isinstance(entry.resource, Observation) for entry in whole.entry[1:-1])
    top, observations = parts(made)
    assert top["status"] == ("preliminary" if signed is None else "final")
    assert {one["status"] for one in observations if "valueCodeableConcept" in one} <= {top["status"]}
    links = [one["reference"] for one in top["result"]]
    assert links == [entry["fullUrl"] for entry in made["entry"][1:-1]] and len(set(links)) == len(links)
    assert ("subject" in top) == (signed is not None)


def test_a_report_can_be_traced_to_its_draft_its_recording_and_its_versions(stub: Any) -> None:
    report = report_of(stub, "normal", "2025-03-01T10:22:00")
    made = bundle(report)
    top, observations = parts(made)
    assert {one["system"]: one["value"] for one in top["identifier"]} == {RECORDING: report.document["recording"], DRAFT_ID: "7"}
    assert top["extension"] == [{"url": RECORDED_AT, "valueString": "2025-03-01T10:22:00"}]
    assert "Recorded: 2025-03-01T10:22:00" in top["conclusion"].splitlines()
    device = made["entry"][-1]
    told = {one["type"]["text"]: one["value"] for one in device["resource"]["version"]}
    assert told == report.document["versions"] and told["schema"]
    assert {one["device"]["reference"] for one in observations} == {device["fullUrl"]}
    codes = [one["valueCodeableConcept"] for one in observations if "valueCodeableConcept" in one]
    assert top["conclusionCode"] == codes and codes[0]["coding"][0]["system"] == STATEMENTS
    assert codes[0]["coding"][0]["code"] == "AFIB" and made["identifier"] != bundle(replace(report, signed=SIGNED))["identifier"]


def test_a_final_report_holds_what_was_signed_first_and_the_rest_apart(stub: Any) -> None:
    report = report_of(stub, "noisy", "2025-03-01T10:22:00")
    edition = report.edition
    for n in range(len(edition.drafted)):
        edition = edition if edition._decided(n) else edition.reject(str(n))
    report = replace(report.edited(edition.add("Sinus bradycardia; early repolarisation.")), signed=SIGNED)
    top, observations = parts(bundle(report))
    signed, apart = top["conclusion"].split(f"{BESIDE}:")
    assert signed.splitlines() == [
        "Signed by Dr Ada Lovelace, 2025-03-02 09:15 UTC.", "Recorded: 2025-03-01T10:22:00",
        "Impression: Sinus bradycardia; early repolarisation.", "",
    ]  # fmt: skip
    for drafted in ("Something critical.", "to record it again", "A limit.", "A promise.", "The recording is unusable"):
        assert drafted in apart, drafted
    assert {one["status"] for one in observations} == {"preliminary"} and "conclusionCode" not in top
    assert all(one["note"][-1]["text"] == f"{BESIDE}." for one in observations)
    told = pages(to_pdf(report, demo("noisy")))
    with_drafted = [BESIDE in page for page in told]
    assert not with_drafted[0] and with_drafted == sorted(with_drafted)  # on pages of its own, each of which says so
    ours = " ".join(page for page, other in zip(told, with_drafted, strict=True) if not other)
    assert "early repolarisation" in ours and "critical" not in ours and "Referral" not in ours and "PR" not in ours
    assert "Something critical." in " ".join(told)


def test_measurements_of_sentences_that_were_signed_are_final(stub: Any) -> None:
    report = report_of(stub, "normal")
    rate = next(str(n) for n, s in enumerate(report.edition.drafted) if s.evidence == ("M:rate_bpm",))
    by_code = {
        one["code"].get("coding", [{}])[0].get("code"): one["status"]
        for one in parts(bundle(replace(report.edited(report.edition.change(rate, "Rate 61/min.")), signed=SIGNED)))[1]
    }
    assert by_code["8625-6"] == "final" and by_code["8867-4"] == by_code["8626-4"] == "preliminary"  # PR; rate, P axis


def test_the_conclusion_says_which_section_each_line_is_of_and_what_is_open(stub: Any) -> None:
    report = report_of(stub, "normal")
    lines = parts(bundle(report))[0]["conclusion"].splitlines()
    for start in ("Critical: ", "Impression: Atrial fibrillation <i>.", "Rhythm: ", "Rate and intervals: ", "Cannot be judged: ",
                  "Not assessed: ", "Limits: A limit.", "A promise."):  # fmt: skip
        assert any(line.startswith(start) for line in lines), start
    assert not any("No such finding was stated." in line or "No earlier recording" in line for line in lines)


def test_that_nothing_was_stated_goes_where_a_human_states_something(stub: Any) -> None:
    report = report_of(stub, "normal")
    empty = next(name for name, rows in report.said if [s.text for s in rows] == ["No such finding was stated."])
    fuller = report.edited(report.edition.add("Left ventricular hypertrophy.", empty))
    assert dict(fuller.said)[empty][0].text == "Left ventricular hypertrophy." and len(dict(fuller.said)[empty]) == 1
    assert fuller.to_json()["report"][empty] == ["Left ventricular hypertrophy."]


def test_an_otherwise_normal_ecg_is_no_normal_one_in_codes(stub: Any) -> None:
    report = report_of(stub, "normal")
    for words, coded in (("Otherwise normal ECG.", False), ("Normal ECG.", True)):
        top, observations = parts(bundle(report.edited(report.edition.reject("0").add(words))))
        normal = [one for one in observations if "normal ECG" in one.get("valueCodeableConcept", {}).get("text", "")]
        assert [one["note"][0]["text"] for one in normal] == [words] and ("coding" in normal[0]["valueCodeableConcept"]) == coded
        assert any(one["coding"][0]["code"] == "NORM" for one in top.get("conclusionCode", ())) == coded
        assert "component" not in normal[0] and "device" not in normal[0]  # a human's words, not the machine's


@pytest.mark.parametrize(
    ("quality", "judged"),
    [({"verdict": "unusable"}, ()), ({"limited": ["axis_deg", "p_axis_deg"]}, ("8867-4", "8625-6", "8633-0"))],
)
def test_what_the_report_does_not_judge_is_not_judged_beside_it(stub: Any, quality: Any, judged: tuple[str, ...]) -> None:
    document = stub.report(demo("normal")).to_json()
    document["quality"].update(quality)
    report = SignedReport.of(document)
    codes = {
        one["code"]["coding"][0]["code"] for one in parts(bundle(report))[1] if "interpretation" in one or "referenceRange" in one
    }
    assert "8632-2" not in codes and codes.issuperset(judged) and bool(codes) == bool(judged)
    told = " ".join(" ".join(pages(to_pdf(report, demo("normal")))).split())
    assert ("PR 1" in told) and ("normal 120–200" in told) == bool(judged) and "normal −30 to 90" not in told


def test_a_qtc_below_which_many_healthy_people_lie_is_not_flagged(stub: Any) -> None:
    for value, word in ((378.0, None), (338.0, "L"), (400.0, "N"), (480.0, "H")):
        document = stub.report(demo("normal")).to_json()
        document["measurements"]["qtc_ms"]["value"] = value
        qtc = next(one for one in parts(bundle(SignedReport.of(document)))[1] if one["code"]["text"].startswith("QTc"))
        assert ("low" in qtc["referenceRange"][0]) is False
        assert [one["coding"][0]["code"] for one in qtc.get("interpretation", ())] == ([word] if word else [])
        assert any("Many healthy people" in note["text"] for note in qtc["note"]) == (word is None)


def test_measurements_carry_code_unit_value_and_range(stub: Any) -> None:
    report = report_of(stub, "normal")
    _, observations = parts(bundle(report))
    by_code = {one["code"]["coding"][0]["code"]: one for one in observations if "coding" in one["code"]}
    assert set(by_code) == {code for code, _, _ in MEASURED.values()}
    rate, qtc = by_code["8867-4"], by_code["8636-3"]
    assert rate["valueQuantity"] == {
        "value": round(report.document["measurements"]["rate_bpm"]["value"]), "unit": "/min",
        "system": "http://unitsofmeasure.org", "code": "/min",
    }  # fmt: skip
    assert rate["referenceRange"][0]["low"]["value"] == 60 and rate["interpretation"][0]["coding"][0]["code"] == "N"
    assert qtc["code"]["text"] == "QTc (Fridericia)" and "doi" in qtc["referenceRange"][0]["text"]


def test_what_could_not_be_measured_is_left_out(stub: Any) -> None:
    _, observations = parts(bundle(report_of(stub, "af")))
    assert "8625-6" not in [one["code"].get("coding", [{}])[0].get("code") for one in observations]  # no PR without P waves


def test_only_what_stands_is_told_and_a_day_without_its_zone_stays_a_day(stub: Any) -> None:
    report = report_of(stub, "normal", "2025-03-01T10:22:00")
    gone = report.edited(report.edition.reject("0").add("Atrial flutter."))
    top, observations = parts(bundle(gone))
    stated = [one["valueCodeableConcept"]["text"] for one in observations if "valueCodeableConcept" in one]
    assert "atrial flutter (AFLT)" in stated and not any("AFIB" in text for text in stated)
    assert top["effectiveDateTime"] == "2025-03-01" and report.edition.drafted[0].text not in top["conclusion"].split("\n")
    assert top["conclusion"].startswith("Unconfirmed draft.") and "no treatment advice" in top["conclusion"]
    assert "effectiveDateTime" not in parts(bundle(report_of(stub, "normal", "yesterday")))[0]


def pages(data: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(data)).pages]


def test_every_page_of_the_pdf_says_what_it_is_and_whose(stub: Any) -> None:
    report = report_of(stub, "normal", "2025-03-01T10:22:00")
    told = pages(to_pdf(report, demo("normal"), "Bed 7 $x^2$"))
    assert len(told) >= 2
    for page in told:
        flat = " ".join(page.split())
        assert "Unconfirmed draft" in flat and "Bed 7 $x^2$" in flat and "no treatment advice" in flat
    whole = " ".join(" ".join(told).split())
    for part in ("aVR", "25 mm/s", "10 mm/mV", "Sokolow-Lyon", "normal 60–100", "A promise.", "A limit.", "Not assessed",
                 "Versions:", report.document["recording"], "Something critical.", "Recorded: 2025-03-01"):  # fmt: skip
        assert part in whole, part
    signed = " ".join(pages(to_pdf(replace(report, signed=SIGNED), demo("normal"))))
    assert "Signed by Dr Ada Lovelace, 2025-03-02 09:15 UTC" in signed and "Unconfirmed" not in signed
    assert "Patient:" not in signed


def test_the_paper_in_the_pdf_is_to_scale(stub: Any) -> None:
    first = PdfReader(BytesIO(to_pdf(report_of(stub, "normal"), demo("normal")))).pages[0]
    assert float(first.mediabox.width) == pytest.approx(297 / 25.4 * 72, abs=0.1)
    assert "printed at" not in first.extract_text()


@pytest.mark.parametrize("size", [_BODY, _SMALL])
def test_a_heading_stands_over_its_first_sentence_and_never_alone_at_the_foot(size: float) -> None:
    whole, half = _Pages(("Title", "Somebody"), Paper()), _Pages(("Title", "Somebody"), Paper())
    room = 1.6 + 2 * _step(size) + 0.01
    whole.y, half.y = 194.0 - room, 194.0 - room + 0.1  # 194 mm: where the foot begins
    for pages_of, turned in ((whole, False), (half, True)):
        pages_of.listed("Rhythm", ["Sinus rhythm.", "No atrial fibrillation."], size)
        written = [[text.get_text() for text in figure.axes[0].texts] for figure in pages_of.figures]
        assert len(written) == 2 and ("Rhythm" in written[1]) == turned == ("• Sinus rhythm." in written[1])
        assert "• No atrial fibrillation." in written[1]


@pytest.mark.parametrize(("at", "said"), [("2024-05-06T07:08:09", "of 2024-05-06T07:08:09."), (None, "ab12.")])
def test_the_print_names_the_recording_that_it_was_compared_with(stub: Any, at: str | None, said: str) -> None:
    document = {**stub.report(demo("af")).to_json(), "compared_with": {"recording": "ab12", "recorded_at": at}}
    told = " ".join(" ".join(pages(to_pdf(SignedReport.of(document), demo("af")))).split())
    assert f"Comparison • Compared with the recording {said}" in told
    assert "Compared with" not in " ".join(pages(to_pdf(report_of(stub, "af"), demo("af"))))


def test_a_referral_is_printed_as_one(stub: Any) -> None:
    whole = " ".join(pages(to_pdf(report_of(stub, "noisy"), demo("noisy"))))
    assert whole.index("Something critical.") < whole.index("Referral: handed over") and "to record it again" in whole


def test_the_command_writes_both_and_says_that_they_are_drafts(stubbed: Any, tmp_path: Path, capsys: Any) -> None:
    out, pdf = tmp_path / "out.json", tmp_path / "out.pdf"
    assert main(["report", "demo:af", "--fhir", str(out), "--pdf", str(pdf)]) == 0
    assert "ECG report" in capsys.readouterr().out
    assert json.loads(out.read_text("utf-8"))["entry"][0]["resource"]["status"] == "preliminary"
    assert "Unconfirmed draft" in pages(pdf.read_bytes())[0]
    assert main(["report", "demo:af", "--pdf", str(tmp_path / "x.doc")]) == 2
    assert "ends in .pdf" in capsys.readouterr().err
