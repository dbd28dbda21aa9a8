"""The twelve leads on ECG paper: 25 mm/s, 10 mm/mV, three rows of four leads and a rhythm strip.

Everything is drawn in millimetres of paper, so that a print at 100 % can be measured with a ruler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from encoders.attribution import Span

__all__ = ["Paper", "Strip", "draw", "layout", "to_png", "to_svg"]

MM_PER_S = 25.0
MM_PER_MV = 10.0
MM_PER_INCH = 25.4
COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
RHYTHM_LEAD = "II"
SECONDS_PER_COLUMN = 2.5
PULSE_MM = 5.0  # 0.2 s of calibration pulse, 1 mV high
MARGIN_MM = 5.0
HEADER_MM = 10.0


@dataclass(frozen=True)
class Paper:
    """How the paper looks. ``row_mm`` height of a row; a trace is cut where it would leave the sheet."""

    row_mm: float = 25.0
    background: str = "#fffafa"
    fine: str = "#f7d9d9"
    coarse: str = "#eaa9a9"
    ink: str = "#12151c"
    shade: str = "#3d7edb"
    fine_grid: bool = True


@dataclass(frozen=True)
class Strip:
    """One lead between two moments on one row. ``x_mm`` where it begins, right of the calibration pulse."""

    lead: str
    row: int
    x_mm: float
    start_s: float
    end_s: float


def layout(leads: tuple[str, ...], duration_s: float, *, stacked: bool = False) -> tuple[Strip, ...]:
    """Which lead stands where.

    With all twelve: 3 x 4 strips of 2.5 s that follow one another in time, and lead II beneath. With fewer, or ``stacked``:
    one row for each lead, up to 10 s. Recordings longer than 10 s show their first 10 s.
    """
    shown_s = min(duration_s, 10.0)
    if not stacked and all(name in leads for column in COLUMNS for name in column):
        column_s = min(SECONDS_PER_COLUMN, shown_s / 4)
        strips = [
            Strip(name, row, SECONDS_PER_COLUMN * MM_PER_S * column, column * column_s, (column + 1) * column_s)
            for column, names in enumerate(COLUMNS)
            for row, name in enumerate(names)
        ]
        return (*strips, Strip(RHYTHM_LEAD, 3, 0.0, 0.0, shown_s))
    return tuple(Strip(name, row, 0.0, 0.0, shown_s) for row, name in enumerate(leads))


def _grid(axes: Any, width_mm: float, height_mm: float, paper: Paper) -> None:
    from matplotlib.collections import LineCollection

    for step, colour, line in ((1, paper.fine, 0.35), (5, paper.coarse, 0.6)):
        if step == 1 and not paper.fine_grid:
            continue
        xs = np.arange(0, width_mm + 0.01, step)
        ys = np.arange(0, height_mm + 0.01, step)
        lines = [[(x, 0), (x, height_mm)] for x in xs] + [[(0, y), (width_mm, y)] for y in ys]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=line, zorder=step / 10))


def _trace(ecg: ECG, strip: Strip) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in mm from the strip's start and millivolts about the lead's median, both (samples,)."""
    begin, end = int(strip.start_s * ecg.fs_hz), min(int(strip.end_s * ecg.fs_hz) + 1, ecg.n_samples)
    lead = ecg.lead(strip.lead).astype(np.float64)
    known = lead[np.isfinite(lead)]
    middle = float(np.median(known)) if known.size else 0.0
    x_mm = (np.arange(begin, end) / ecg.fs_hz - strip.start_s) * MM_PER_S
    return x_mm, lead[begin:end] - middle


def _shade(axes: Any, strip: Strip, spans: Sequence[Span], left_mm: float, base_mm: float, paper: Paper) -> None:
    """Marks stretches on their strip, the darker the larger their share."""
    from matplotlib.patches import Rectangle

    most = max((span.share for span in spans), default=0.0)
    for span in spans:
        start_s, end_s = max(span.start_s, strip.start_s), min(span.end_s, strip.end_s)
        if span.lead == strip.lead and start_s < end_s:
            corner = (left_mm + strip.x_mm + (start_s - strip.start_s) * MM_PER_S, base_mm - 0.4 * paper.row_mm)
            strength = 0.15 + 0.35 * span.share / most
            size = ((end_s - start_s) * MM_PER_S, 0.8 * paper.row_mm)
            axes.add_patch(Rectangle(corner, *size, color=paper.shade, alpha=strength, linewidth=0, zorder=1))


def draw(
    ecg: ECG, *, title: str = "", paper: Paper | None = None, shaded: Sequence[Span] = (), stacked: bool = False
) -> Figure:
    """The recording on paper, as a matplotlib figure (1 mm of paper is 1 mm of figure).

    Works for any leads and durations from one sample up; missing samples (NaN) leave gaps, and a lead without any
    sample is labelled so. ``title`` stands in the header; no identifier is added here. ``shaded``: stretches to mark;
    ``stacked``: one row for each lead, so that every stretch is seen.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    paper = paper or Paper()
    strips = layout(ecg.leads, ecg.duration_s, stacked=stacked)
    rows = 1 + max(strip.row for strip in strips)
    left_mm = MARGIN_MM + PULSE_MM + 5.0
    width_mm = left_mm + 10.0 * MM_PER_S + MARGIN_MM
    height_mm = np.ceil((HEADER_MM + rows * paper.row_mm + 2 * MARGIN_MM) / 5) * 5
    figure = Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), facecolor=paper.background)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width_mm)
    axes.set_ylim(0, height_mm)
    axes.axis("off")
    _grid(axes, width_mm, float(height_mm), paper)

    for row in range(rows):
        base_mm = height_mm - HEADER_MM - MARGIN_MM - (row + 0.55) * paper.row_mm
        pulse_x = MARGIN_MM + np.array([0, 1, 1, 1 + PULSE_MM, 1 + PULSE_MM, 2 + PULSE_MM])
        axes.plot(pulse_x, base_mm + MM_PER_MV * np.array([0, 0, 1, 1, 0, 0]), color=paper.ink, linewidth=0.8, zorder=3)
    for strip in strips:
        base_mm = height_mm - HEADER_MM - MARGIN_MM - (strip.row + 0.55) * paper.row_mm
        x_mm, mv = _trace(ecg, strip)
        x_mm = x_mm + left_mm + strip.x_mm
        # A trace that leaves its own and the next row is cut, or one bad lead would bury all the others.
        y_mm = base_mm + np.where(np.abs(mv) * MM_PER_MV > 1.2 * paper.row_mm, np.nan, mv * MM_PER_MV)
        axes.plot(x_mm, y_mm, color=paper.ink, linewidth=0.8, solid_joinstyle="round", zorder=3)
        _shade(axes, strip, shaded, left_mm, base_mm, paper)
        if strip.x_mm > 0:
            tick_x = left_mm + strip.x_mm
            axes.plot([tick_x, tick_x], [base_mm - 2, base_mm + 2], color=paper.ink, linewidth=0.8, zorder=3)
        label = strip.lead if np.isfinite(mv).any() else f"{strip.lead} (no samples)"
        axes.text(
            left_mm + strip.x_mm + 1.2, base_mm + 0.36 * paper.row_mm, label, fontsize=9, fontweight="bold", color=paper.ink,
            va="center", zorder=2,
        )  # fmt: skip
    header: dict[str, Any] = {"fontsize": 8.5, "color": paper.ink, "va": "center", "zorder": 4}
    axes.text(MARGIN_MM, height_mm - 6.5, title, **header)
    scale = f"{MM_PER_S:g} mm/s   {MM_PER_MV:g} mm/mV   {ecg.fs_hz:g} Hz   {ecg.duration_s:.1f} s"
    axes.text(width_mm - MARGIN_MM, height_mm - 6.5, scale, ha="right", **header)
    return figure


def to_png(
    ecg: ECG,
    *,
    title: str = "",
    paper: Paper | None = None,
    dpi: int = 110,
    shaded: Sequence[Span] = (),
    stacked: bool = False,
) -> bytes:
    """The paper as PNG bytes; 110 dpi makes it about 1200 pixels wide. Other options as in ``draw``."""
    buffer = BytesIO()
    draw(ecg, title=title, paper=paper, shaded=shaded, stacked=stacked).savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def to_svg(
    ecg: ECG, *, title: str = "", paper: Paper | None = None, shaded: Sequence[Span] = (), stacked: bool = False
) -> str:
    """The paper as one SVG document: text stays text, nothing is fetched from elsewhere. Options as in ``draw``."""
    import matplotlib

    buffer = BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ecg"}):
        draw(ecg, title=title, paper=paper, shaded=shaded, stacked=stacked).savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().decode("utf-8")
