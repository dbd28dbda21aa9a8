"""The ECG paper: scale, layout and odd recordings."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from encoders.ecg import ECG, STANDARD_LEADS
from ui.demo import demo
from ui.paper import MARGIN_MM, MM_PER_MV, MM_PER_S, Paper, layout
from ui.plot import MM_PER_INCH, draw, to_png, to_svg


def test_layout_is_three_by_four_and_a_rhythm_strip_in_one_line_of_time() -> None:
    strips = layout(STANDARD_LEADS, 10.0)
    assert [s.lead for s in strips] == [
        "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6", "II",
    ]  # fmt: skip
    assert [s.row for s in strips] == [0, 1, 2] * 4 + [3]
    assert {(s.start_s, s.end_s) for s in strips[9:12]} == {(7.5, 10.0)}
    for s in strips[:12]:
        assert s.x_mm == pytest.approx(s.start_s * MM_PER_S)
    assert (strips[12].start_s, strips[12].end_s) == (0.0, 10.0)


def test_fewer_leads_get_a_row_each() -> None:
    strips = layout(("II", "V5"), 30.0)
    assert [(s.lead, s.row, s.end_s) for s in strips] == [("II", 0, 10.0), ("V5", 1, 10.0)]


def _lines(figure: object) -> list[tuple[np.ndarray, np.ndarray]]:
    axes = figure.axes[0]  # type: ignore[attr-defined]
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.lines]


def test_one_millivolt_is_ten_millimetres_and_a_second_is_twenty_five() -> None:
    t = np.arange(5000) / 500
    step = np.where(t % 2 < 1, 0.0, 1.0).astype(np.float32)  # 1 mV up for every other second
    figure = draw(ECG(step[None], 500.0, ("II",)))
    pulse, trace = _lines(figure)
    assert np.ptp(pulse[1]) == pytest.approx(MM_PER_MV) and np.ptp(trace[1]) == pytest.approx(MM_PER_MV)
    jumps = trace[0][1:][np.abs(np.diff(trace[1])) > 5]
    assert np.diff(jumps) == pytest.approx(MM_PER_S)
    width_mm = figure.get_size_inches()[0] * MM_PER_INCH
    assert figure.axes[0].get_xlim() == pytest.approx((0, width_mm))  # a data unit is a millimetre of paper


def test_image_is_png_or_svg_and_depends_on_the_recording() -> None:
    normal, lbbb = to_png(demo("normal")), to_png(demo("lbbb"))
    assert normal.startswith(b"\x89PNG\r\n") and normal != lbbb
    assert to_png(demo("normal")) == normal
    svg = to_svg(demo("normal"), title="A & B")
    assert svg.lstrip().startswith("<?xml") and "A &amp; B" in svg and ">aVR<" in svg
    assert not re.search(r"(href|src)=\"https?://", svg)


ODD = (np.full((2, 1000), np.nan), np.zeros((2, 1000)), np.full((2, 1), 0.1), np.full((2, 1000), 900.0))


@pytest.mark.parametrize("signal", ODD)
def test_odd_signals_are_drawn_all_the_same(signal: np.ndarray) -> None:
    assert to_png(ECG(signal.astype(np.float32), 100.0, ("I", "V9")), dpi=40).startswith(b"\x89PNG")


def test_a_lead_without_samples_says_so_and_far_traces_leave_their_neighbours_alone() -> None:
    ecg = demo("normal")
    signal = ecg.signal_mv.copy()
    signal[6] = np.nan
    signal[0, ::50] = 80.0
    paper = Paper()
    figure = draw(replace(ecg, signal_mv=signal), paper=paper)
    words = {text.get_text() for text in figure.axes[0].texts}
    assert "V1 (no samples)" in words and "V2" in words
    bottom = figure.axes[0].get_ylim()[0]  # y runs downwards
    for _, y in _lines(figure):
        known = y[np.isfinite(y)]
        assert known.size == 0 or (known.max() < bottom + MARGIN_MM and known.min() > -2 * paper.row_mm)
