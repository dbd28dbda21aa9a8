"""The geometry of ECG paper, and the sheet as SVG: what stands where, in millimetres, for the screen, an image or a print.

Everything is placed in millimetres of paper, so that a print at 100 % can be measured with a ruler and a caliper on the screen
needs nothing but the scale that the SVG carries in its ``data-`` attributes. y runs downwards from the upper edge.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, LIMB_LEADS
from encoders.errors import QueryError

if TYPE_CHECKING:
    from encoders.attribution import Span
    from encoders.delineate import Delineation

__all__ = [
    "GAINS", "HEADER_MM", "LAYOUTS", "MARGIN_MM", "MM_PER_MV", "MM_PER_S", "PULSE_MM", "SHOWN_S", "SPEEDS", "Paper", "Placed",
    "Sheet", "Strip", "View", "beat_sheet", "layout", "sheet_of", "svg",
]  # fmt: skip

MM_PER_S = 25.0
MM_PER_MV = 10.0
SPEEDS, GAINS, LAYOUTS = (25.0, 50.0), (5.0, 10.0, 20.0), ("grid", "rows", "beats")
COLUMNS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))
RHYTHM_LEAD = "II"
SECONDS_PER_COLUMN = 2.5
SHOWN_S = 10.0
PULSE_MM = 5.0  # width of the calibration pulse, 1 mV high
MARGIN_MM = 5.0
HEADER_MM = 10.0
#: Points to a millimetre that are drawn at most: a screen shows fewer, and a print of 600 dpi not many more.
_POINTS_PER_MM = 20

#: What is shown of a median beat before P and after T, in s.
_BEFORE_P_S, _AFTER_T_S = 0.1, 0.12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Paper:
    """How the paper looks. ``row_mm`` height of a row; a trace is cut where it would leave its own and the next row."""

    row_mm: float = 25.0
    background: str = "#fffafa"
    fine: str = "#f7d9d9"
    coarse: str = "#eaa9a9"
    ink: str = "#12151c"
    shade: str = "#3d7edb"
    fine_grid: bool = True


@dataclass(frozen=True)
class View:
    """What a reader wants to see: ``layout`` of LAYOUTS, ``mm_per_s`` of SPEEDS, ``mm_per_mv`` of GAINS, ``leads`` (empty: all),
    ``start_s``: where the ten seconds begin. Raises QueryError for anything else."""

    layout: str = "grid"
    mm_per_s: float = MM_PER_S
    mm_per_mv: float = MM_PER_MV
    leads: tuple[str, ...] = ()
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS or self.mm_per_s not in SPEEDS or self.mm_per_mv not in GAINS:
            raise QueryError("This way of showing the leads is not known; choose a layout, 25 or 50 mm/s, and 5, 10 or 20 mm/mV.")
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise QueryError("The leads cannot be shown from there; choose 0 s or a later moment.")


@dataclass(frozen=True)
class Strip:
    """One lead between two moments on one row. ``x_mm`` where it begins, right of the calibration pulse."""

    lead: str
    row: int
    x_mm: float
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Placed:
    """A strip on its sheet: where it begins (``x_mm``), its zero line (``base_mm``), and its curve (points, 2) in mm; NaN where
    nothing was recorded or the trace would leave the sheet. ``empty``: there is no sample at all."""

    strip: Strip
    x_mm: float
    base_mm: float
    points: Floats
    empty: bool


@dataclass(frozen=True, eq=False)
class Sheet:
    """A sheet of paper: size in mm, its scale, the strips, and ``marks``: named upright lines (x in mm, row, name)."""

    width_mm: float
    height_mm: float
    mm_per_s: float
    mm_per_mv: float
    row_mm: float
    strips: tuple[Placed, ...]
    marks: tuple[tuple[float, int, str], ...] = ()

    @property
    def rows(self) -> int:
        return 1 + max(placed.strip.row for placed in self.strips)

    def base_mm(self, row: int) -> float:
        """Zero line of a row, from the upper edge."""
        return HEADER_MM + MARGIN_MM + (row + 0.55) * self.row_mm


def layout(
    leads: tuple[str, ...], duration_s: float, *, stacked: bool = False, mm_per_s: float = MM_PER_S, start_s: float = 0.0
) -> tuple[Strip, ...]:
    """Which lead stands where.

    With all twelve: 3 x 4 strips of 2.5 s that follow one another in time, and lead II beneath. With fewer, or ``stacked``:
    one row for each lead. Ten seconds are shown, from ``start_s`` on (or the last ten where fewer follow).
    """
    shown_s = min(duration_s, SHOWN_S)
    begin = min(start_s, max(0.0, duration_s - shown_s))
    if not stacked and all(name in leads for column in COLUMNS for name in column):
        column_s = min(SECONDS_PER_COLUMN, shown_s / 4)
        strips = [
            Strip(name, row, SECONDS_PER_COLUMN * mm_per_s * column, begin + column * column_s, begin + (column + 1) * column_s)
            for column, names in enumerate(COLUMNS)
            for row, name in enumerate(names)
        ]
        return (*strips, Strip(RHYTHM_LEAD, 3, 0.0, begin, begin + shown_s))
    return tuple(Strip(name, row, 0.0, begin, begin + shown_s) for row, name in enumerate(leads))


def _curve(lead_mv: Floats, fs_hz: float, t0_s: float, strip: Strip, mm_per_s: float) -> tuple[Floats, Floats]:
    """Times in mm from the strip's start and millivolts, both (points,); at most _POINTS_PER_MM, highest and lowest kept."""
    begin = max(0, int(round((strip.start_s - t0_s) * fs_hz, 6)))
    end = min(int(round((strip.end_s - t0_s) * fs_hz, 6)) + 1, lead_mv.size)
    mv = lead_mv[begin:end]
    x_mm = ((np.arange(begin, begin + mv.size) / fs_hz + t0_s) - strip.start_s) * mm_per_s
    group = int(2 * fs_hz / mm_per_s / _POINTS_PER_MM)
    if group <= 2 or mv.size < 2 * group:
        return x_mm, mv
    whole = mv.size // group * group
    cells = mv[:whole].reshape(-1, group)
    known = np.where(np.isfinite(cells), cells, 0.0)
    order = np.sort(np.stack([known.argmin(1), known.argmax(1)], axis=1), axis=1)
    at = (order + np.arange(len(cells))[:, None] * group).ravel()
    at = np.concatenate([at, np.arange(whole, mv.size)])
    return x_mm[at], mv[at]


def _placed(
    signal_mv: Floats, fs_hz: float, t0_s: float, leads: Sequence[str], strips: Sequence[Strip], view: View, paper: Paper,
    *, about_median: bool, marks: tuple[tuple[float, int, str], ...] = (),
) -> Sheet:  # fmt: skip
    row_mm = paper.row_mm * max(1.0, view.mm_per_mv / 12.5)
    left_mm = MARGIN_MM + PULSE_MM + 5.0
    rows = 1 + max(strip.row for strip in strips)
    ends = [strip.x_mm + (strip.end_s - strip.start_s) * view.mm_per_s for strip in strips]
    width_mm = left_mm + max(SHOWN_S * view.mm_per_s if t0_s == 0 else 0.0, *ends) + MARGIN_MM
    height_mm = math.ceil((HEADER_MM + rows * row_mm + 2 * MARGIN_MM) / 5) * 5.0
    blank = Sheet(width_mm, height_mm, view.mm_per_s, view.mm_per_mv, row_mm, ())
    out = []
    for strip in strips:
        lead = signal_mv[leads.index(strip.lead)]
        known = lead[np.isfinite(lead)]
        middle = float(np.median(known)) if about_median and known.size else 0.0
        x_mm, mv = _curve(lead, fs_hz, t0_s, strip, view.mm_per_s)
        base_mm = blank.base_mm(strip.row)
        high = (mv - middle) * view.mm_per_mv
        # A trace that leaves its own and the next row is cut, or one bad lead would bury all the others.
        y_mm = base_mm - np.where(np.abs(high) > 1.2 * row_mm, np.nan, high)
        points = np.stack([left_mm + strip.x_mm + x_mm, y_mm], axis=1)
        out.append(Placed(strip, left_mm + strip.x_mm, base_mm, points, not np.isfinite(mv).any()))
    return Sheet(width_mm, height_mm, view.mm_per_s, view.mm_per_mv, row_mm, tuple(out), marks)


def sheet_of(ecg: ECG, view: View | None = None, paper: Paper | None = None) -> Sheet:
    """The recording on paper: any leads, any duration from one sample up. Layout "beats" is ``beat_sheet``'s.

    Leads asked for that the recording lacks are left out; where none remains, all are shown.
    """
    view, paper = view or View(), paper or Paper()
    chosen = tuple(name for name in ecg.leads if name in view.leads) or ecg.leads
    strips = layout(chosen, ecg.duration_s, stacked=view.layout != "grid", mm_per_s=view.mm_per_s, start_s=view.start_s)
    return _placed(ecg.signal_mv.astype(np.float64), ecg.fs_hz, 0.0, ecg.leads, strips, view, paper, about_median=True)


def beat_sheet(found: Delineation, view: View | None = None, paper: Paper | None = None, *, with_p: bool = True) -> Sheet:
    """The averaged beat of every lead, limb leads above chest leads, with the median boundaries over all leads as upright lines.

    The level just before QRS onset is the zero line; times count from the QRS centre. ``with_p``: False where the PR interval
    is not measurable; the few beats that look as if a P wave led to them do not make a boundary then.
    """
    from encoders.beats import WORK_FS_HZ

    view, paper = view or View(layout="beats"), paper or Paper(row_mm=40.0)
    chosen = [name for name in found.leads if name in view.leads] or list(found.leads)
    first_s, last_s = -found.centre / WORK_FS_HZ, (found.average_mv.shape[1] - 1 - found.centre) / WORK_FS_HZ
    # Past the end of T the average blurs: there the beats that follow come at different times.
    end_ms = found.overall.t_off_ms
    end_s = last_s if end_ms is None else min(last_s, end_ms / 1000 + _AFTER_T_S)
    start_ms = found.overall.p_on_ms if found.overall.p_on_ms is not None else found.overall.qrs_on_ms
    t0_s = first_s if start_ms is None else max(first_s, start_ms / 1000 - _BEFORE_P_S)
    step_mm = math.ceil((end_s - t0_s) * view.mm_per_s / 5) * 5.0 + 10.0
    limb = [name for name in chosen if name in LIMB_LEADS]
    kept = [row for row in (limb, [name for name in chosen if name not in limb]) if row]
    strips = [Strip(name, n, step_mm * i, t0_s, end_s) for n, row in enumerate(kept) for i, name in enumerate(row)]
    left_mm = MARGIN_MM + PULSE_MM + 5.0
    bounds = (
        (found.overall.p_on_ms if with_p else None, "P"), (found.overall.qrs_on_ms, "QRS"), (found.overall.qrs_off_ms, "J"),
        (found.overall.t_off_ms, "T"),
    )  # fmt: skip
    marks = tuple(
        (left_mm + strip.x_mm + (at_ms / 1000 - t0_s) * view.mm_per_s, strip.row, name if strip.row == 0 else "")
        for strip in strips
        for at_ms, name in bounds
        if at_ms is not None and t0_s <= at_ms / 1000 <= end_s
    )
    signal = np.asarray(found.average_mv, np.float64)
    return _placed(signal, WORK_FS_HZ, first_s, list(found.leads), strips, view, paper, about_median=False, marks=marks)


# SVG -------------------------------------------------------------------------------------------------------------------


def _path(points: Floats) -> str:
    """A curve as path data in hundredths of a millimetre; gaps where points are not finite."""
    whole: NDArray[np.bool_] = np.isfinite(points[:, 0]) & np.isfinite(points[:, 1])
    at = np.rint(np.where(whole[:, None], points, 0.0) * 100).astype(np.int64)
    parts, drawing, last = [], False, (0, 0)
    for (x, y), ok in zip(at.tolist(), whole.tolist(), strict=True):
        if not ok:
            drawing = False
            continue
        parts.append(f"l{x - last[0]} {y - last[1]}" if drawing else f"M{x} {y}")
        drawing, last = True, (x, y)
    return "".join(parts)


def _grid(sheet: Sheet, paper: Paper, key: str) -> str:
    fine = f'<path d="M1 0V5M2 0V5M3 0V5M4 0V5M0 1H5M0 2H5M0 3H5M0 4H5" stroke="{paper.fine}" stroke-width=".14"/>'
    # Half of each coarse line belongs to the neighbouring tile.
    coarse = f'<path d="M0 0H5V5H0Z" fill="none" stroke="{paper.coarse}" stroke-width=".26"/>'
    return (
        f'<defs><pattern id="{key}-grid" width="5" height="5" patternUnits="userSpaceOnUse">'
        f"{fine if paper.fine_grid else ''}{coarse}</pattern></defs>"
        f'<rect width="{sheet.width_mm:g}" height="{sheet.height_mm:g}" fill="{paper.background}"/>'
        f'<rect width="{sheet.width_mm:g}" height="{sheet.height_mm:g}" fill="url(#{key}-grid)"/>'
    )


def _shades(placed: Placed, sheet: Sheet, spans: Sequence[Span], paper: Paper) -> str:
    """Stretches of one strip, the darker the larger their share."""
    most, strip, out = max((span.share for span in spans), default=0.0), placed.strip, []
    for span in spans:
        start_s, end_s = max(span.start_s, strip.start_s), min(span.end_s, strip.end_s)
        if span.lead == strip.lead and start_s < end_s and most > 0:
            x = placed.x_mm + (start_s - strip.start_s) * sheet.mm_per_s
            out.append(
                f'<rect class="ea-shade" x="{x:.2f}" y="{placed.base_mm - 0.4 * sheet.row_mm:.2f}"'
                f' width="{(end_s - start_s) * sheet.mm_per_s:.2f}" height="{0.8 * sheet.row_mm:.2f}" fill="{paper.shade}"'
                f' fill-opacity="{0.15 + 0.35 * span.share / most:.2f}"/>'
            )
    return "".join(out)


def _labels(sheet: Sheet, paper: Paper, words: str) -> str:
    """The leads' names, over all traces: a QRS of the row below reaches up here. A seam of paper keeps them readable."""
    seam = f'stroke="{paper.background}" stroke-width="1" stroke-linejoin="round" paint-order="stroke"'
    return "".join(
        f'<text class="ea-lead" x="{placed.x_mm + 1.2:.2f}" y="{placed.base_mm - 0.36 * sheet.row_mm:.2f}" font-size="3.4"'
        f' font-weight="bold" {seam} {words}>{escape(placed.strip.lead + (" (no samples)" if placed.empty else ""))}</text>'
        for placed in sheet.strips
    )


def svg(
    sheet: Sheet, *, title: str = "", scale: str = "", paper: Paper | None = None, shaded: Sequence[Span] = (),
    key: str = "ea", label: str = "",
) -> str:  # fmt: skip
    """The sheet as one SVG element. Nothing is fetched from elsewhere, and text stays text.

    ``title`` and ``scale`` stand in the header; ``shaded``: stretches to mark; ``key``: makes ids unique where several sheets
    stand on one page; ``label``: what a screen reader says. ``data-mm-per-s`` and ``data-mm-per-mv`` carry the scale, and every
    strip its lead, its start in s and in mm, and its zero line in mm. ``data-drawn`` tells one drawing from another: a page that
    changes the element in place has no other sign that what was measured on it is gone.
    """
    paper = paper or Paper()
    words = f'font-family="sans-serif" fill="{paper.ink}"'
    out = [_grid(sheet, paper, key)]
    for row in range(sheet.rows):
        pulse = f"M{MARGIN_MM:g} {sheet.base_mm(row):.2f}h1v{-sheet.mm_per_mv:g}h{PULSE_MM:g}v{sheet.mm_per_mv:g}h1"
        out.append(f'<path d="{pulse}" fill="none" stroke="{paper.ink}" stroke-width=".28"/>')
    for i, (x, row, name) in enumerate(sheet.marks):
        y = sheet.base_mm(row)
        line = f"M{x:.2f} {y - 0.45 * sheet.row_mm:.2f}V{y + 0.4 * sheet.row_mm:.2f}"
        out.append(f'<path d="{line}" stroke="{paper.shade}" stroke-width=".2" stroke-dasharray="1 .8"/>')
        if name:
            # Neighbours stand close together: every other name is set lower.
            at = f'x="{x:.2f}" y="{y + 0.45 * sheet.row_mm + 2.4 * (i % 2):.2f}"'
            out.append(f'<text {at} font-size="2.2" text-anchor="middle" {words}>{escape(name)}</text>')
    for placed in sheet.strips:
        strip = placed.strip
        out.append(
            f'<g class="ea-strip" data-lead="{escape(strip.lead)}" data-x="{placed.x_mm:.3f}" data-base="{placed.base_mm:.3f}"'
            f' data-start="{strip.start_s:g}" data-end="{strip.end_s:g}">{_shades(placed, sheet, shaded, paper)}'
        )
        if strip.x_mm > 0:
            out.append(f'<path d="M{placed.x_mm:g} {placed.base_mm - 2:g}v4" stroke="{paper.ink}" stroke-width=".28"/>')
        out.append(
            f'<path transform="scale(.01)" d="{_path(placed.points)}" fill="none" stroke="{paper.ink}" stroke-width="28"'
            f' stroke-linejoin="round"/></g>'
        )
    out.append(_labels(sheet, paper, words))
    header = f'font-size="3" {words}'
    out.append(f'<text x="{MARGIN_MM:g}" y="7.2" {header}>{escape(title)}</text>')
    out.append(f'<text x="{sheet.width_mm - MARGIN_MM:g}" y="7.2" text-anchor="end" {header}>{escape(scale)}</text>')
    drawn = "".join(out)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ea-svg" viewBox="0 0 {sheet.width_mm:g} {sheet.height_mm:g}"'
        f' width="{sheet.width_mm:g}mm" height="{sheet.height_mm:g}mm" data-mm-per-s="{sheet.mm_per_s:g}"'
        f' data-mm-per-mv="{sheet.mm_per_mv:g}" data-drawn="{zlib.crc32(drawn.encode()):08x}" role="img"'
        f' aria-label="{escape(label or title or "ECG")}">{drawn}</svg>'
    )
