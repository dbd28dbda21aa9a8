"""The sheet of paper: scale, layouts, what is kept of a dense trace, and the SVG that the calipers read."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from encoders.attribution import Span
from encoders.delineate import delineate
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import QueryError
from ui.demo import demo
from ui.looking import paper_of
from ui.paper import Paper, View, beat_sheet, sheet_of, svg
from ui.visit import Entry, Visit, judged

SVG = "{http://www.w3.org/2000/svg}"


def test_speed_and_gain_scale_the_curve() -> None:
    t = np.arange(5000) / 500
    step = ECG(np.where(t % 2 < 1, 0.0, 1.0).astype(np.float32)[None], 500.0, ("II",))
    for mm_per_s in (25.0, 50.0):
        for mm_per_mv in (5.0, 10.0, 20.0):
            (placed,) = sheet_of(step, View(mm_per_s=mm_per_s, mm_per_mv=mm_per_mv)).strips
            y = placed.points[:, 1]
            assert np.nanmax(y) - np.nanmin(y) == pytest.approx(mm_per_mv)
            x = placed.points[:, 0]
            jumps = x[1:][np.abs(np.diff(y)) > mm_per_mv / 2]
            assert np.diff(jumps) == pytest.approx(mm_per_s, abs=0.1)


def test_chosen_leads_get_a_row_each_and_unknown_ones_are_left_out() -> None:
    sheet = sheet_of(demo("normal"), View(leads=("V2", "II", "V9")))
    assert [p.strip.lead for p in sheet.strips] == ["II", "V2"] and sheet.rows == 2
    assert len(sheet_of(demo("normal"), View(layout="rows")).strips) == 12
    assert len(sheet_of(demo("normal"), View(leads=("V9",))).strips) == 13


def test_a_later_stretch_of_a_long_recording() -> None:
    ecg = demo("normal")
    long = replace(ecg, signal_mv=np.tile(ecg.signal_mv, (1, 3)))
    strip = sheet_of(long, View(layout="rows", start_s=20)).strips[0].strip
    assert (strip.start_s, strip.end_s) == (20, 30)
    beyond = sheet_of(long, View(layout="rows", start_s=99)).strips[0].strip
    assert (beyond.start_s, beyond.end_s) == (20, 30)


def test_a_dense_trace_keeps_its_peaks() -> None:
    rng = np.random.default_rng(3)
    signal = rng.normal(0, 0.2, 40_000).astype(np.float32)
    signal[12_345] = 2.0
    (placed,) = sheet_of(ECG(signal[None], 4000.0, ("II",))).strips
    assert len(placed.points) < 11_000
    lift = placed.base_mm - np.nanmin(placed.points[:, 1])
    assert lift == pytest.approx(10 * (2.0 - np.median(signal)), abs=0.01)


@pytest.mark.parametrize("wrong", [{"layout": "x"}, {"mm_per_s": 30.0}, {"mm_per_mv": 0.0}, {"start_s": float("nan")}])
def test_a_view_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(QueryError, match="choose"):
        View(**wrong)  # type: ignore[arg-type]


def test_median_beats_stand_limb_above_chest_leads_with_their_boundaries() -> None:
    found = delineate(demo("normal"))
    assert found is not None
    sheet = beat_sheet(found)
    assert [p.strip.lead for p in sheet.strips[:4]] == ["I", "II", "III", "aVR"] and sheet.rows == 2
    assert {p.strip.row for p in sheet.strips if p.strip.lead.startswith("V")} == {1}
    on = next(x for x, row, name in sheet.marks if name == "QRS" and row == 0)
    first = sheet.strips[0]
    assert found.overall.qrs_on_ms is not None
    seconds = (on - first.x_mm) / 25 + first.strip.start_s
    assert seconds == pytest.approx(found.overall.qrs_on_ms / 1000, abs=1e-6)


def test_no_p_boundary_stands_where_the_pr_interval_is_not_measurable(stub: Any) -> None:
    found = delineate(demo("af"))
    assert found is not None and found.overall.p_on_ms is not None  # a few beats look as if a P wave led to them
    assert {name for _, row, name in beat_sheet(found).marks if row == 0} == {"P", "QRS", "J", "T"}
    assert {name for _, row, name in beat_sheet(found, with_p=False).marks if row == 0} == {"QRS", "J", "T"}

    def named(name: str) -> list[str]:
        """Boundaries that the page's median beats name."""
        entries = (Entry(name, demo(name)),)
        visit = judged(stub, replace(Visit(entries), view=View(layout="beats")), lambda _: None)
        return re.findall(r'text-anchor="middle"[^>]*>(\w+)<', paper_of(visit))

    assert "P" not in named("af") and "QRS" in named("af") and "P" in named("normal")


def test_every_drawing_has_its_own_mark_and_the_same_one_the_same() -> None:
    def mark(name: str, view: View | None = None) -> str:
        return ET.fromstring(svg(sheet_of(demo(name), view))).get("data-drawn", "")

    assert mark("normal") == mark("normal") and mark("normal")
    assert len({mark("normal"), mark("af"), mark("normal", View(mm_per_s=50.0)), mark("normal", View(mm_per_mv=20.0))}) == 4


def test_the_leads_names_stand_over_all_traces_with_a_seam_of_paper() -> None:
    drawn = svg(sheet_of(demo("af")), paper=Paper(background="#fafafa"))
    labels = [e for e in ET.fromstring(drawn).iter(f"{SVG}text") if e.get("class") == "ea-lead"]
    assert [e.text for e in labels][:3] == ["I", "II", "III"] and len(labels) == 13
    assert {(e.get("stroke"), e.get("paint-order")) for e in labels} == {("#fafafa", "stroke")}
    assert drawn.rindex("scale(.01)") < drawn.index('class="ea-lead"')


def test_the_svg_carries_its_scale_and_says_where_every_strip_lies() -> None:
    ecg = demo("normal")
    drawn = svg(sheet_of(ecg), title="A <b>", label="12 leads", shaded=[Span("V2", 6.0, 6.5, 1.0)], key="x")
    root = ET.fromstring(drawn)
    assert root.get("data-mm-per-s") == "25" and root.get("data-mm-per-mv") == "10" and root.get("aria-label") == "12 leads"
    width, height = (float(v) for v in root.get("viewBox", "").split()[2:])
    assert root.get("width") == f"{width:g}mm" and root.get("height") == f"{height:g}mm"
    strips = {g.get("data-lead"): g for g in root.iter(f"{SVG}g")}
    assert set(strips) == set(STANDARD_LEADS)
    shade = strips["V2"].find(f"{SVG}rect")
    assert shade is not None
    begin = float(strips["V2"].get("data-x", "")) + (6.0 - float(strips["V2"].get("data-start", ""))) * 25
    assert float(shade.get("x", "")) == pytest.approx(begin, abs=0.01) and shade.get("width") == "12.50"
    assert "A &lt;b&gt;" in drawn and not re.search(r"(?:href|src)=", drawn) and 'id="x-grid"' in drawn


def test_gaps_stay_gaps_and_an_empty_lead_says_so() -> None:
    signal = np.zeros((2, 1000), np.float32)
    signal[0, 300:600] = np.nan
    signal[1] = np.nan
    drawn = svg(sheet_of(ECG(signal, 100.0, ("I", "V9"))), paper=Paper(fine_grid=False))
    paths = re.findall(r'scale\(.01\)" d="([^"]*)"', drawn)
    assert paths[0].count("M") == 2 and paths[1] == "" and "V9 (no samples)" in drawn
