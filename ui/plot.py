"""The leads on ECG paper as an image, a figure or a file: 25 mm/s, 10 mm/mV, three rows of four leads and a rhythm strip.

``ui.paper`` says what stands where; here it is drawn, in millimetres of paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.ecg import ECG
from ui.paper import MARGIN_MM, PULSE_MM, Paper, Placed, Sheet, View, sheet_of, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from encoders.attribution import Span

__all__ = ["MM_PER_INCH", "draw", "draw_sheet", "scale_text", "to_png", "to_svg"]

MM_PER_INCH = 25.4


def scale_text(ecg: ECG, view: View | None = None) -> str:
    """Speed, gain, rate and duration, as they stand in the header of the paper."""
    view = view or View()
    return f"{view.mm_per_s:g} mm/s   {view.mm_per_mv:g} mm/mV   {ecg.fs_hz:g} Hz   {ecg.duration_s:.1f} s"


def _grid(axes: Axes, sheet: Sheet, paper: Paper) -> None:
    from matplotlib.collections import LineCollection

    width_mm, height_mm = sheet.width_mm, sheet.height_mm
    for step, colour, line in ((1, paper.fine, 0.35), (5, paper.coarse, 0.6)):
        if step == 1 and not paper.fine_grid:
            continue
        xs = np.arange(0, width_mm + 0.01, step)
        ys = np.arange(0, height_mm + 0.01, step)
        lines = [[(x, 0), (x, height_mm)] for x in xs] + [[(0, y), (width_mm, y)] for y in ys]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=line, zorder=step / 10))


def _shade(axes: Axes, placed: Placed, sheet: Sheet, spans: Sequence[Span], paper: Paper) -> None:
    """Marks stretches on their strip, the darker the larger their share."""
    from matplotlib.patches import Rectangle

    most, strip = max((span.share for span in spans), default=0.0), placed.strip
    for span in spans:
        start_s, end_s = max(span.start_s, strip.start_s), min(span.end_s, strip.end_s)
        if span.lead == strip.lead and start_s < end_s and most > 0:
            corner = (placed.x_mm + (start_s - strip.start_s) * sheet.mm_per_s, placed.base_mm - 0.4 * sheet.row_mm)
            strength = 0.15 + 0.35 * span.share / most
            size = ((end_s - start_s) * sheet.mm_per_s, 0.8 * sheet.row_mm)
            axes.add_patch(Rectangle(corner, *size, color=paper.shade, alpha=strength, linewidth=0, zorder=1))


def draw_sheet(
    axes: Axes, sheet: Sheet, *, title: str = "", scale: str = "", paper: Paper | None = None, shaded: Sequence[Span] = ()
) -> None:
    """A sheet on axes whose data unit becomes a millimetre of paper; y runs downwards."""
    paper = paper or Paper()
    axes.set_xlim(0, sheet.width_mm)
    axes.set_ylim(sheet.height_mm, 0)
    axes.axis("off")
    _grid(axes, sheet, paper)
    for row in range(sheet.rows):
        pulse_x = MARGIN_MM + np.array([0, 1, 1, 1 + PULSE_MM, 1 + PULSE_MM, 2 + PULSE_MM])
        pulse_y = sheet.base_mm(row) - sheet.mm_per_mv * np.array([0, 0, 1, 1, 0, 0])
        axes.plot(pulse_x, pulse_y, color=paper.ink, linewidth=0.8, zorder=3)
    for placed in sheet.strips:
        x, base_mm = placed.x_mm, placed.base_mm
        axes.plot(*placed.points.T, color=paper.ink, linewidth=0.8, solid_joinstyle="round", zorder=3)
        _shade(axes, placed, sheet, shaded, paper)
        if placed.strip.x_mm > 0:
            axes.plot([x, x], [base_mm - 2, base_mm + 2], color=paper.ink, linewidth=0.8, zorder=3)
        label = f"{placed.strip.lead} (no samples)" if placed.empty else placed.strip.lead
        axes.text(
            x + 1.2, base_mm - 0.36 * sheet.row_mm, label, fontsize=9, fontweight="bold", color=paper.ink, va="center", zorder=2
        )
    header: dict[str, Any] = {"fontsize": 8.5, "color": paper.ink, "va": "center", "zorder": 4}
    axes.text(MARGIN_MM, 6.5, title, **header)
    axes.text(sheet.width_mm - MARGIN_MM, 6.5, scale, ha="right", **header)


def _sheet(ecg: ECG, paper: Paper | None, stacked: bool) -> Sheet:
    return sheet_of(ecg, View(layout="rows" if stacked else "grid"), paper)


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
    sheet = _sheet(ecg, paper, stacked)
    size = (sheet.width_mm / MM_PER_INCH, sheet.height_mm / MM_PER_INCH)
    figure = Figure(figsize=size, facecolor=paper.background)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_sheet(axes, sheet, title=title, scale=scale_text(ecg), paper=paper, shaded=shaded)
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
    """The paper as one SVG document. Options as in ``draw``."""
    sheet = _sheet(ecg, paper, stacked)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + svg(sheet, title=title, scale=scale_text(ecg), paper=paper, shaded=shaded)
