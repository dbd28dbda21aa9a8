"""measure, delineate, check and compare from the command line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.answers import compare
from assistant.evidence import ABSENT, Evidence
from assistant.serial import compare_evidence
from encoders.compare import NEW, UNCHANGED
from encoders.ecg import ECG, STANDARD_LEADS, Filters
from encoders.gate import check
from encoders.measurements import LEAD_VALUES, MEASUREMENT_NAMES, MORE_NAMES
from ui import cli
from ui.commands import options
from ui.commands.signals import measure_columns, measure_row
from ui.demo import demo


def table(file: Path) -> list[dict[str, str]]:
    with open(file, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """The normal demo as a CSV of its own spelling of the leads, 10 s at 250 Hz."""
    file = tmp_path / "mine.csv"
    x = demo("normal").signal_mv[:, ::2]
    header = ",".join(f"{lead.lower()}_mV" for lead in STANDARD_LEADS)
    np.savetxt(file, x.T, fmt="%.4f", delimiter=",", header=header, comments="")
    return file


def test_measure_gives_values_leads_reliability_and_beats_and_survives_a_bad_file(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_text("nothing", encoding="utf-8")
    out = tmp_path / "table.csv"
    files = [str(recording), str(tmp_path / "broken.csv"), "demo:af"]
    assert cli.main(["measure", *files, "--fs", "250", "--out", str(out)]) == 0
    good, broken, af = table(out)
    for name in (*MEASUREMENT_NAMES, *MORE_NAMES):
        assert {name, f"reliability_{name}", f"n_beats_{name}"} <= set(good)
    assert {f"{v}_{lead}" for v in LEAD_VALUES for lead in STANDARD_LEADS} <= set(good)
    assert 60 <= float(good["rate_bpm"]) <= 75 and float(good["r_mv_V5"]) > 0.5 and good["error"] == ""
    assert int(good["n_beats_qrs_ms"]) >= 8 and 0 < float(good["reliability_qrs_ms"]) <= 1
    assert broken["error"] and broken["usable"] == "false" and broken["rate_bpm"] == broken["verdict"] == ""
    assert (good["usable"], good["verdict"], good["reasons"]) == ("true", "usable", "")
    assert af["pr_ms"] == "" and af["p_mv_II"] == "" and float(af["rr_irregularity"]) > 0.1


def test_measure_says_of_every_value_what_check_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ecg = demo("normal")
    ecgs = {
        "filtered": replace(ecg, filters=Filters(high_pass_hz=0.5, low_pass_hz=40.0)),
        "lead": replace(ecg, signal_mv=np.where(np.array(ecg.leads)[:, None] == "V3", np.float32(0), ecg.signal_mv)),
        "short": replace(ecg, signal_mv=ecg.signal_mv[:, :2500]),
        "slow": replace(ecg, signal_mv=ecg.signal_mv[:, ::10], fs_hz=ecg.fs_hz / 10),
        "plain": ecg,
    }
    columns = measure_columns()
    assert columns[-5:] == ["usable", "verdict", "reasons", "limited", "error"]
    rows = {}
    for name, one in ecgs.items():
        quality = check(one)
        cells = measure_row(name, one, quality, "")
        assert len(cells) == len(columns)
        rows[name] = row = dict(zip(columns, cells, strict=True))
        assert (row["verdict"], row["reasons"]) == (quality.verdict, " ".join(quality.reasons))
        limited = row["limited"].split(";") if row["limited"] else []
        assert set(quality.limited) <= set(limited) <= set(columns) and len(set(limited)) == len(limited)
        for item in (*MEASUREMENT_NAMES, *MORE_NAMES):
            assert float(row[f"reliability_{item}"]) == 0 or (quality.usable and item not in limited)
    plain, filtered, slow = rows["plain"], rows["filtered"], rows["slow"]
    assert plain["limited"] == "" and min(float(plain[f"reliability_{n}"]) for n in ("st_j_mv_V3", "cornell_mv")) > 0.5
    # The values stay; what the filters changed is named, with what they changed beside it in every lead.
    assert filtered["verdict"] == "limited" and filtered["usable"] == "true" and filtered["st_j_mv_V3"] == plain["st_j_mv_V3"]
    named = filtered["limited"].split(";")
    assert {"st_j_mv_V3", "st_j60_mv_V3", "st_j80_mv_aVF", "cornell_mv", "r_mv_V5", "s_mv_V1"} <= set(named)
    assert not {"qrs_ms", "rate_bpm", "t_mv_V3", "q_ms_I"} & set(named) and float(filtered["reliability_qrs_ms"]) > 0.5
    assert {"st_j_mv_V3", "r_mv_V3", "t_mv_V3"} <= set(rows["lead"]["limited"].split(";"))
    assert slow["verdict"] == "unusable" and "at least 90 Hz" in slow["reasons"] and float(slow["reliability_rate_bpm"]) == 0
    assert slow["rate_bpm"] and "lasts 5.0 s" in rows["short"]["reasons"]


def test_measure_of_nothing_readable_is_no_success(tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    assert cli.main(["measure", str(tmp_path / "gone.hea"), "--out", str(out)]) == 2
    assert [row["usable"] for row in table(out)] == ["false"]


def test_measure_on_several_processes_gives_the_same_table(tmp_path: Path) -> None:
    names, tables = ["demo:normal", "demo:lbbb"], []
    for jobs in ("1", "2"):
        out = tmp_path / f"{jobs}.csv"
        assert cli.main(["measure", *names, "--jobs", jobs, "--out", str(out)]) == 0
        tables.append(out.read_text(encoding="utf-8"))
    assert tables[0] == tables[1]


def test_delineate_names_leads_as_the_file_does_and_counts_in_its_samples(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "fiducials.csv"
    assert cli.main(["delineate", str(recording), "--fs", "250", "--out", str(out)]) == 0
    rows = table(out)
    assert list(rows[0]) == ["record", "lead", "wave", "onset", "peak", "offset"]
    assert {row["record"] for row in rows} == {str(recording)}  # as in the table of measure: the two can be joined
    assert {row["lead"] for row in rows} == {lead.lower() for lead in STANDARD_LEADS}
    assert {row["wave"] for row in rows} == {"P", "QRS", "T"}
    for row in rows:
        points = [int(row[key]) for key in ("onset", "peak", "offset") if row[key]]
        assert points == sorted(points) and points[0] >= 0 and points[-1] < 2500
    beats = [int(row["peak"]) for row in rows if row["wave"] == "QRS" and row["lead"] == "ii"]
    assert 9 <= len(beats) <= 12 and np.median(np.diff(beats)) == pytest.approx(250 * 60 / 66, rel=0.03)


def test_delineate_names_what_it_could_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.csv").write_text("nothing", encoding="utf-8")
    out = tmp_path / "fiducials.csv"
    assert cli.main(["delineate", "demo:normal", str(tmp_path / "broken.csv"), "--out", str(out)]) == 0
    assert "broken.csv" in capsys.readouterr().err and {row["record"] for row in table(out)} == {"demo:normal"}
    assert cli.main(["delineate", str(tmp_path / "broken.csv"), "--out", str(tmp_path / "none.csv")]) == 2
    assert not (tmp_path / "none.csv").exists()


def test_check_gives_verdict_score_and_reasons(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["check", "demo:normal", "demo:noisy", "--json"]) == 0
    good, bad = json.loads(capsys.readouterr().out)
    assert good["record"] == "demo:normal" and good["verdict"] == "usable" and good["score"] > bad["score"]
    assert bad["verdict"] != "usable" and bad["reasons"]
    assert cli.main(["check", "demo:noisy"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("demo:noisy: ") and "score" in printed and bad["reasons"][0] in printed
    assert cli.main(["check", str(tmp_path / "gone.hea")]) == 2


@pytest.fixture
def evidence_of(stub: Any) -> Callable[[ECG], Evidence]:
    """Evidence of a recording: measured for real, always with the same findings."""

    def analysed(ecg: ECG) -> Evidence:
        evidence: Evidence = stub.report(ecg).report.evidence
        return evidence

    return analysed


def test_compare_prints_what_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], evidence_of: Callable[[ECG], Evidence]
) -> None:
    class Analyst:
        def analyse_many(self, ecgs: list[ECG], *, k: int) -> list[Evidence]:
            return [evidence_of(ecg) for ecg in ecgs]

    monkeypatch.setattr(options, "load_assistant", lambda args: Analyst())
    assert cli.main(["compare", "demo:normal", "demo:lbbb", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    changes = {item["id"]: item for item in document["measurements"]}
    assert changes["M:qrs_ms"]["change"] == "higher" and changes["M:qrs_ms"]["difference"] > 40
    assert changes["M:rate_bpm"]["change"] == "within noise" and changes["M:rate_bpm"]["source"]
    assert {item["id"]: item["change"] for item in document["findings"]} == {"F:AFIB": UNCHANGED, "F:NST_": UNCHANGED}
    assert cli.main(["compare", "demo:normal", "demo:lbbb"]) == 0
    printed = capsys.readouterr().out
    assert "QRS duration" in printed and "Within noise" in printed and "limit" in printed
    assert cli.main(["compare", "demo:normal", "demo:normal"]) == 2
    assert cli.main(["compare", "demo:normal", "demo:af"]) == 0
    assert "The recordings state different sexes (F and M)" in capsys.readouterr().out


def test_an_unusable_recording_is_compared_in_nothing(evidence_of: Callable[[ECG], Evidence]) -> None:
    ecg = demo("normal")
    flat = replace(ecg, signal_mv=np.zeros_like(ecg.signal_mv))
    result = compare_evidence(evidence_of(ecg), evidence_of(flat))
    assert result.values == () and result.findings == () and "second recording is not usable" in result.to_text()


def test_the_comparison_of_questions_is_the_comparison_of_the_command(evidence_of: Callable[[ECG], Evidence]) -> None:
    first = evidence_of(demo("normal"))
    before = replace(first, findings=tuple(replace(f, state=ABSENT) if f.code == "AFIB" else f for f in first.findings))
    assert {f.code: f.change for f in compare_evidence(before, first).findings}["AFIB"] == NEW
    assert any("F:AFIB" in s.claims for s in compare(before, first, None))


@pytest.mark.parametrize("command", ["measure", "delineate", "check", "compare"])
def test_every_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0 and f"ecg-assistant {command}" in capsys.readouterr().out.split("examples:")[1]
