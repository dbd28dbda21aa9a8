"""Measurements, findings, evidence, cases and the comparison as HTML; and the traces of cases that are at hand."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.serial import compare_evidence
from encoders.errors import QueryError, RecordingError
from encoders.measurements import Measurement
from encoders.patient import hash_patient
from retrieval.recordings import remember_folder
from ui import cli, looking, server
from ui.audit import Actor, AuditStore
from ui.demo import demo
from ui.desk import Desk
from ui.naming import number
from ui.panes import cases_html, comparison_html, evidence_html, findings_html, measurements_html, vitals_html
from ui.signing import SignedReport
from ui.takeaway import packed
from ui.visit import Choice, Entry, Visit, compare, drafted, forget, judged, read_choice, recorded, turned


def document(stub: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = stub.report(demo(name)).to_json()
    return found


def test_findings_are_grouped_by_state_and_sorted_by_urgency(stub: Any) -> None:
    html = findings_html(document(stub, "normal"))
    assert html.index("F:AFIB") < html.index("F:NST_") < html.index("F:IMI") < html.index("F:NORM")
    assert "97 %" in html and "&lt; 1 %" in html and "A promise." in html
    assert html.count("<details") == 4
    assert html.count("ea-doubt") == 1 and "similar cases speak against its absence" in html


def test_values_stand_with_their_range_and_missing_ones_are_a_dash(stub: Any) -> None:
    html = vitals_html(document(stub, "af"))
    assert '<span>PR</span><b>—</b><span class="ea-range">120–200</span>' in html
    assert 'data-look="M:rate_bpm" data-verdict="high"' in html and "110/min" in html
    table = measurements_html(document(stub, "af"))
    assert "ST at J, lead V2" in table and "QTc (Fridericia)" in table and "doi:10.1161" in table
    assert '<tr data-verdict="high"><th scope="row">Rate</th>' in table


def test_evidence_says_what_an_item_is_and_where_its_limits_stand(stub: Any) -> None:
    made = document(stub, "normal")
    html = evidence_html(("M:pr_ms", "F:AFIB", "C:17", "Q", "F:NONE"), made, "A <sentence>.")
    for part in ("A &lt;sentence&gt;.", "Normal: 120–200.", "doi:10.1161", "calibrated probability 97 %",
                 "The recording is usable", "is not among the evidence"):  # fmt: skip
        assert part in html, part
    assert "standing remark" in evidence_html((), made)
    # Beside a finding stands what similar cases list of it.
    doubted = evidence_html(("F:LAFB",), made)
    assert "20 of the 50 most similar cases list left anterior fascicular block (4.0 expected by chance)." in doubted
    assert doubted.count("N:LAFB") == evidence_html(("N:LAFB", "F:LAFB"), made).count("N:LAFB") == 1
    assert "N:IMI" not in evidence_html(("F:IMI",), made)


def test_cases_show_how_they_were_found_and_what_is_shared(stub: Any) -> None:
    made = document(stub, "normal")
    html = cases_html(made)
    assert "C:17" in html and "0.91" in html and "alike as a recording" in html and "age 70, M" in html
    assert "<dt>stated in both</dt><dd>atrial fibrillation</dd>" in html and "<dt>only here</dt>" in html
    near = {**made["cases"][0], "statements": {"NORM": 100.0, "IMI": 50.0}, "measurements": {"qrs_ms": 104.0}}
    other = cases_html({**made, "cases": [near]})
    assert "there, absent here</dt><dd>normal ECG" in other and "there, open here</dt><dd>inferior myocardial infarction" in other
    assert "QRS 104 ms (" in other
    assert "data-case" not in html and 'data-case="C:17"' in cases_html(made, ["C:17"])
    assert "No similar cases" in cases_html({"cases": []})


def test_cases_tell_who_was_left_out_and_what_the_nearest_list(stub: Any) -> None:
    made = document(stub, "normal")
    html = cases_html(made)
    assert "Left out: 2 of this patient&#x27;s own and 1 that is this very recording or one already shown." in html
    assert "What the 50 most similar cases list" in html and html.index("N:AFIB") < html.index("N:LAFB")
    row = html[html.index("left anterior fascicular block <button") :]
    assert '<td class="ea-num">20</td><td class="ea-num">4.0</td><td>undetermined; similar cases speak' in row
    bare = cases_html({**made, "neighbours": [], "left_out": {"own": 0, "duplicates": 0}})
    assert "Left out" not in bare and "most similar cases list" not in bare


def test_the_comparison_puts_changes_in_front(stub: Any) -> None:
    first, second = (reading.evidence for reading in stub.read([demo("normal"), demo("lbbb")]))
    html = comparison_html(compare_evidence(first, second).to_json(), document(stub, "lbbb"))
    assert html.index('data-changed="yes"') < html.index('data-changed="no"')
    assert "unchanged" in html and "atrial fibrillation" in html and "95 % of 300 repetitions" in html


def test_a_change_has_its_unit_a_proper_minus_and_no_sign_before_nothing(stub: Any) -> None:
    first, second = (reading.evidence for reading in stub.read([demo("normal"), demo("lbbb")]))
    compared = compare_evidence(first, second).to_json()
    cells: dict[str, tuple[str, ...]] = {}
    for one, before, after, difference in (
        ("axis_deg", "-49°", "-94°", -45.0), ("cornell_mv", "0.81 mV", "1.10 mV", 0.29), ("qt_ms", "400 ms", "400 ms", 0.0),
    ):  # fmt: skip
        known = next(item for item in compared["measurements"] if item["id"] == f"M:{one}")
        row = {**known, "before": before, "after": after, "difference": difference}
        html = comparison_html({**compared, "measurements": [row]}, document(stub, "lbbb"))
        cells[one] = tuple(re.findall(r'<td class="ea-num">([^<]*)</td>', html))[:3]
    assert cells["axis_deg"] == ("−49°", "−94°", "−45°")
    assert cells["cornell_mv"] == ("0.81 mV", "1.10 mV", "+0.29 mV") and cells["qt_ms"][2] == "0 ms"


def test_values_read_the_same_wherever_they_are_printed(stub: Any) -> None:
    """The Values tab and the PDF print the document's values, Compare and the sentences those measured."""
    for value in (1.10502, 1.1049, -0.0004, -0.235, 0.0):
        one = Measurement("cornell_mv", value, 10)
        kept = round(value, 3)
        assert number(kept, "mV") == one.text().replace("-", "−")
    assert number(-94.2, "°") == "−94°" and number(-0.2, "ms") == "0 ms" and number(None, "mV") == "—"


# The desk ----------------------------------------------------------------------------------------------------------


def no_step(_: str) -> None:
    pass


def csv(path: Path, name: str) -> Path:
    ecg = demo(name)
    rows = [",".join(f"{lead}_mV" for lead in ecg.leads)]
    rows += [",".join(f"{v:.3f}" for v in row) for row in ecg.signal_mv.T]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_several_files_become_entries_and_a_bad_one_costs_only_itself(tmp_path: Path) -> None:
    files = (csv(tmp_path / "one.csv", "normal"), csv(tmp_path / "two.csv", "af"), tmp_path / "bad.hea")
    files[2].write_text("nonsense")
    entries, trouble = read_choice(Choice(files=tuple(map(str, (*files, files[0]))), rate="500", sex="F", age="60"))
    assert [entry.name for entry in entries] == ["one", "two"] and entries[0].ecg.age_years == 60
    assert trouble.startswith("Recordings read: 2 of 3. ") and "bad" in trouble and str(tmp_path) not in trouble
    assert [entry.typed for entry in entries] == [{"age", "sex"}] * 2
    assert all(file.exists() for file in files)  # they go when all went well, or when others are chosen
    forget(tuple(map(str, files)))
    assert not any(file.exists() for file in files)


def test_everything_that_could_not_be_read_is_told(tmp_path: Path) -> None:
    good = csv(tmp_path / "one.csv", "normal")
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear colleague,\nthank you for seeing this patient.\nKind regards\n")
    lone = tmp_path / "lone.hea"
    lone.write_text("lone 1 500 5000\nlone.dat 16 1000/mV 16 0 0 0 0 I\n")
    (entry,), trouble = read_choice(Choice(files=tuple(map(str, (good, letter, lone))), rate="500"))
    assert entry.name == "one" and entry.typed == frozenset()
    assert trouble.startswith("Recordings read: 1 of 3. letter.txt is no ECG table") and "lone" in trouble and "--" not in trouble
    with pytest.raises(RecordingError) as refused:
        read_choice(Choice(files=(str(letter), str(lone))))
    assert str(refused.value) == trouble.removeprefix("Recordings read: 1 of 3. ")


def test_a_patient_key_ties_recordings_and_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    file = str(csv(tmp_path / "one.csv", "normal"))
    (dropped,), _ = read_choice(Choice(files=(file,), rate="500", patient=" ward-7 / 4711 "))
    (shown,), _ = read_choice(Choice(demo="demo:af", patient="ward-7 / 4711"))
    assert dropped.ecg.patient == shown.ecg.patient == hash_patient("ward-7 / 4711") and "4711" not in repr(dropped)
    assert read_choice(Choice(demo="demo:af", patient="another"))[0][0].ecg.patient not in (None, shown.ecg.patient)
    assert read_choice(Choice(demo="demo:af", patient="  "))[0][0].ecg.patient is None


@pytest.mark.parametrize("choice", [Choice(), Choice(demo="demo:normal", age="old"), Choice(demo="demo:normal", rate="-1")])
def test_a_choice_that_is_none_gets_one_sentence(choice: Choice) -> None:
    with pytest.raises(QueryError, match=r"^[A-Z][^.]*\.$"):
        read_choice(choice)


def test_a_previous_recording_makes_a_comparison_and_keeps_decisions(stub: Any) -> None:
    entries = (
        Entry("later", replace(demo("normal"), recorded_at="2025-01-01T00:00:00")),
        Entry("earlier", replace(demo("lbbb"), recorded_at="2024-01-01T00:00:00")),
    )
    visit = drafted(stub, judged(stub, Visit(entries, shown=1), no_step), no_step)
    assert compare(visit) is None and visit.entries[0].reading is None  # read when it is chosen
    visit = visit.with_report(visit.report.edited(visit.report.edition.reject("0").add("Mine.")))
    visit = drafted(stub, judged(stub, replace(visit, previous=0), no_step), no_step)
    told = compare(visit)
    assert told is not None and "first recording was made after the second" in told["caution"][0]
    assert {row.state for _, rows in visit.report.edition.rows() for row in rows} >= {"rejected", "added"}
    assert len(stub.seen) == 2 and visit.chat is not None and len(visit.chat.readings) == 2
    again = drafted(stub, judged(stub, visit, no_step), no_step)
    assert again.report is visit.report and len(stub.seen) == 2


def test_a_signed_report_stays_signed_when_another_recording_is_looked_at(stub: Any) -> None:
    store = AuditStore(None)
    actor = Actor("a", "local")
    desk = Desk(stub, audit=store)
    visit = Visit((Entry("one", demo("normal")), Entry("two", demo("af"))), shown=1, previous=0)
    visit = recorded(desk, actor, drafted(stub, judged(stub, visit, no_step), no_step))
    signed = visit.report.edited(visit.report.edition.reject("0").add("Mine.")).sign(store, actor, "Dr Ada Lovelace", "Bed 7")
    visit = visit.with_report(signed)
    for shown, previous in ((0, None), (1, None), (0, 1), (1, 0)):  # to the other one and back, with and without comparison
        visit = replace(visit, shown=shown, previous=previous)
        visit = recorded(desk, actor, drafted(stub, judged(stub, visit, no_step), no_step))
        if shown == 1:
            assert visit.report is signed
    assert [entry.action for entry in store.entries()].count("sign") == 1
    assert next(store.entries()).body["recordings"] == [entry.ecg.content_hash() for entry in visit.entries]
    # As the page turns: every report brings what it was compared with; without one, the previous recording stays if it can.
    assert turned(replace(visit, shown=0, previous=None), 1).previous == 0 and turned(visit, 0).previous == 1
    fresh = Visit((*visit.entries, Entry("three", demo("normal"))), shown=2)
    assert turned(replace(fresh, shown=1, previous=0), 2).previous == 0 and turned(replace(fresh, previous=2), 2).previous is None
    one = visit.entries[0].ecg
    assert signed.document["compared_with"] == {"recording": one.content_hash(), "recorded_at": one.recorded_at}
    assert json.loads(packed("json", visit.report, visit.entry.ecg, "Bed 7").content)["signed_by"] == "Dr Ada Lovelace"


def test_a_cases_trace_is_drawn_where_its_file_is_at_hand_and_no_path_is_told(
    stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wfdb

    ecg = demo("af")
    wfdb.wrsamp("case", fs=500, units=["mV"] * 12, sig_name=list(ecg.leads), p_signal=ecg.signal_mv.T.astype(float),
                fmt=["16"] * 12, write_dir=str(tmp_path))  # fmt: skip
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    path = tmp_path / "case"
    np.save(tmp_path / "damaged.npy", np.zeros(3))
    top = tmp_path.name
    wheres = {"C:1": f"{top}/case.hea", "C:2": "PTB-XL 1.0.3 case", "C:3": "ward/gone", "C:4": f"{top}/damaged.npy",
              "C:5": str(path), "C:6": "../case", "C:7": ""}  # fmt: skip
    made = document(stub, "normal")
    made["cases"] = [{**made["cases"][0], "id": i, "where": where} for i, where in wheres.items()]
    visit = Visit((Entry("x", demo("normal"), report=SignedReport.of(made)),))
    assert looking.at_hand(made) == () and looking.at_hand(made, [tmp_path / "home"]) == ()
    # What a library calls "folder/file" is found in the folder, or in the one it lies in; a public set's record in the set.
    assert looking.at_hand(made, [tmp_path]) == ("C:1", "C:2", "C:4")
    assert looking.at_hand(made, [tmp_path.parent]) == ("C:1", "C:4")
    for case in ("C:3", "C:4", "C:5", "C:6", "C:7", "C:9"):
        with pytest.raises(QueryError) as refused:
            looking.case_paper(visit, case, [tmp_path])
        assert str(tmp_path) not in str(refused.value)
    assert "<svg" in looking.case_paper(visit, "C:2", [tmp_path])
    # A library built from a folder of this machine needs no word.
    remember_folder(tmp_path)
    assert looking.at_hand(made) == ("C:1", "C:2", "C:4")
    html = cases_html(made, looking.at_hand(made), {"C:1": looking.case_paper(visit, "C:1")})
    assert "<svg" in html and str(tmp_path) not in html and "Hide trace" in html


def test_folders_of_recordings_come_from_the_option_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(looking.RECORDINGS, os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "gone")]))
    found = looking.recording_folders([tmp_path / "two", str(tmp_path / "one")])
    assert found == (tmp_path / "two", tmp_path / "one", tmp_path / "gone")
    with pytest.raises(QueryError, match="no folder 'gone'") as refused:
        looking.recording_folders([tmp_path / "gone"])
    assert str(tmp_path) not in str(refused.value)
    # The service is given them, and does not start where one is missing.
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path / "home"))
    given: dict[str, Any] = {}
    monkeypatch.setattr(server, "serve", lambda door, **options: given.update(options))
    asked = ["serve", "--no-browser", "--audit", str(tmp_path / "audit.sqlite")]
    assert cli.main([*asked, "--recordings", str(tmp_path / "two"), "--recordings", str(tmp_path / "one")]) == 0
    assert given["recordings"] == found
    assert cli.main([*asked, "--recordings", str(tmp_path / "gone")]) == 2
    assert "no folder 'gone'" in capsys.readouterr().err
