"""The report as PDF: the leads on paper to scale, then measurements, sentences and everything that must stand beside them.

A4, landscape; a print at 100 % has 25 mm to the second and 10 mm to the millivolt. Text is text, so that it can be searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

from encoders.ecg import ECG
from encoders.leadsets import with_limb_leads
from ui import texts
from ui.drafted import COMPARISON
from ui.naming import name_of, number
from ui.paper import Paper, sheet_of
from ui.plot import MM_PER_INCH, draw_sheet, scale_text
from ui.ranges import verdict
from ui.signing import BESIDE, SignedReport, checked_label, further, pressing, quality_remarks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["to_pdf"]

_WIDTH_MM, _HEIGHT_MM, _EDGE_MM = 297.0, 210.0, 13.5
_TOP_MM, _BOTTOM_MM = 24.0, 16.0
_MM_PER_POINT = MM_PER_INCH / 72
_BODY, _SMALL, _HEAD = 9.0, 7.0, 11.0
_LEADING = 1.38
#: Free above a heading.
_ABOVE_MM = 1.6
_SHOWN = (
    "rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "axis_deg", "p_axis_deg", "t_axis_deg", "sokolow_lyon_mv", "cornell_mv",
)  # fmt: skip


def _width_mm(text: str, size: float, bold: bool) -> float:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(size, 72)
    font.set_text(text, 0.0)
    return float(font.get_width_height()[0]) / 64 * _MM_PER_POINT


def _wrapped(text: str, size: float, width_mm: float, bold: bool) -> Iterator[str]:
    """Lines that fit; a word that is too long for a line stands alone."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and _width_mm(longer, size, bold) > width_mm:
            yield line
            line = word
        else:
            line = longer
    if line:
        yield line


def _step(size: float) -> float:
    """From one line to the next, in mm."""
    return size * _MM_PER_POINT * _LEADING


class _Pages:
    """Pages that fill from the top; ``y`` is where the next line begins, in mm from the upper edge."""

    def __init__(self, head: tuple[str, str], paper: Paper) -> None:
        self.figures: list[Figure] = []
        self.head, self.paper = head, paper
        self.axes: Axes
        self.y = 0.0
        self.turn()

    def turn(self) -> None:
        """A new page with the report's title, state and whose it is."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(_WIDTH_MM / MM_PER_INCH, _HEIGHT_MM / MM_PER_INCH))
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(0, _WIDTH_MM)
        self.axes.set_ylim(_HEIGHT_MM, 0)
        self.axes.axis("off")
        self.figures.append(figure)
        left, right = self.head
        self._put(_EDGE_MM, 11.0, left, _HEAD, bold=True)
        self._put(_EDGE_MM, 17.0, right, _BODY)
        self.y = _TOP_MM

    def _put(self, x: float, y: float, text: str, size: float, *, bold: bool = False, ha: str = "left") -> None:
        # A dollar sign would begin mathematics.
        self.axes.text(
            x, y, text, fontsize=size, fontweight="bold" if bold else "normal", ha=ha, va="baseline", color=self.paper.ink,
            family="DejaVu Sans", parse_math=False,
        )  # fmt: skip

    def say(self, text: str, size: float = _BODY, *, bold: bool = False, indent_mm: float = 0.0, above_mm: float = 0.0) -> None:
        """A paragraph, wrapped; on a new page where this one is full."""
        step, width = _step(size), _WIDTH_MM - 2 * _EDGE_MM - indent_mm
        self.y += above_mm
        for line in _wrapped(text, size, width, bold):
            if self.y + step > _HEIGHT_MM - _BOTTOM_MM:
                self.turn()
            self.y += step
            self._put(_EDGE_MM + indent_mm, self.y, line, size, bold=bold)

    def listed(self, heading: str, sentences: Iterable[str], size: float = _BODY) -> None:
        """A heading with sentences beneath; nothing where there are none."""
        rows = [sentence for sentence in sentences if sentence]
        if rows:
            # A heading is never the last line of a page.
            if self.y + _ABOVE_MM + 2 * _step(size) > _HEIGHT_MM - _BOTTOM_MM:
                self.turn()
            self.say(heading, size, bold=True, above_mm=_ABOVE_MM)
        for sentence in rows:
            self.say(f"• {sentence}", size, indent_mm=3.0)

    def finish(self, foot: str) -> None:
        """The foot of every page."""
        for n, figure in enumerate(self.figures):
            self.axes = figure.axes[0]
            lines = list(_wrapped(foot, _SMALL, _WIDTH_MM - 2 * _EDGE_MM - 30, False))
            for i, line in enumerate(lines):
                self._put(_EDGE_MM, _HEIGHT_MM - 10 + i * 3.4, line, _SMALL)
            page = texts.PAGE_OF.format(n + 1, len(self.figures))
            self._put(_WIDTH_MM - _EDGE_MM, _HEIGHT_MM - 10, page, _SMALL, ha="right")


def _measurements(document: dict[str, Any]) -> Iterator[str]:
    for name in _SHOWN:
        item = document["measurements"].get(name)
        if item is None:
            continue
        word, limits = verdict(name, document)
        mark = f" ({word})" if word in ("low", "high") else ""
        normal = "" if limits is None else f", normal {limits.words(item['unit'])}"
        yield f"{name_of(name)} {number(item['value'], item['unit'])}{mark}{normal}"


def _person(report: SignedReport, label: str | None) -> str:
    age, sex = report.document.get("age_years"), report.document.get("sex")
    about = texts.PERSON.format(age="?" if age is None else f"{age:.0f}", sex=sex or "?")
    parts = [texts.PATIENT.format(checked_label(label)) if label else "", about]
    parts.append(texts.RECORDED.format(report.recorded_at) if report.recorded_at else "")
    return "    ".join(part for part in parts if part)


def _compared_with(document: dict[str, Any]) -> str:
    """Which recording the changes are since, by its time or else its hash; "" where there is none."""
    earlier = document.get("compared_with")
    if earlier is None:
        return ""
    at = earlier["recorded_at"]
    return texts.COMPARED_WITH.format(at) if at else texts.COMPARED_WITH_HASH.format(earlier["recording"])


def to_pdf(report: SignedReport, ecg: ECG, label: str | None = None) -> bytes:
    """The report as PDF bytes. ``label``: the patient's, printed at the top of every page and kept nowhere else.

    The state (unconfirmed draft, or who signed when), the intended use and the page stand on every page.
    """
    import matplotlib
    from matplotlib.backends.backend_pdf import PdfPages

    paper = Paper()
    buffer = BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42, "pdf.compression": 6, "font.family": "DejaVu Sans"}):
        pages = _Pages((f"{texts.REPORT_TITLE} — {report.state}", _person(report, label)), paper)
        whole = with_limb_leads(ecg)
        sheet = sheet_of(whole, None, paper)
        # The sheet keeps its scale: it takes as many mm of the page as it has mm of paper, as far as the page reaches.
        height = min(sheet.height_mm, _HEIGHT_MM - _TOP_MM - _BOTTOM_MM)
        shrink = height / sheet.height_mm
        width = sheet.width_mm * shrink
        figure = pages.figures[0]
        box = (_EDGE_MM / _WIDTH_MM, 1 - (_TOP_MM + height) / _HEIGHT_MM, width / _WIDTH_MM, height / _HEIGHT_MM)
        scale = scale_text(whole) if shrink == 1 else f"{scale_text(whole)}   printed at {100 * shrink:.0f} %"
        draw_sheet(figure.add_axes(box), sheet, scale=scale, paper=paper)
        pages.y = _TOP_MM + height + 2.0
        _write(pages, report)
        pages.finish(f"{report.state}. {texts.INTENDED_USE}")
        with PdfPages(buffer, metadata={"Title": texts.REPORT_TITLE, "Subject": texts.INTENDED_USE, "CreationDate": None}) as out:
            for figure in pages.figures:
                out.savefig(figure)
    return buffer.getvalue()


def _write(pages: _Pages, report: SignedReport) -> None:
    """Everything but the paper, critical findings first. Once it is signed, what was signed comes first, and all else stands on
    pages of its own that say so."""
    document, signed = report.document, report.signed is not None
    if signed:
        _write_said(pages, report)
        pages.head = (f"{texts.REPORT_TITLE} — {BESIDE}", pages.head[1])
        pages.turn()
    for heading, sentences in pressing(document):
        pages.listed(heading, sentences)
    pages.listed(texts.MEASUREMENTS, ["; ".join(_measurements(document))])
    pages.listed(*quality_remarks(document))
    if not signed:
        _write_said(pages, report)
    for heading, sentences in further(document):
        pages.listed(heading, sentences, _SMALL)
    if document.get("guarantee"):
        pages.say(str(document["guarantee"]), _SMALL, above_mm=1.6)
    versions = ", ".join(f"{name} {value}" for name, value in document["versions"].items())
    ids = f"recording {document['recording']}" + (f"; draft {report.draft_id}" if report.draft_id else "")
    pages.say(texts.VERSIONS.format(f"{versions}; {ids}"), _SMALL, above_mm=1.0)


def _write_said(pages: _Pages, report: SignedReport) -> None:
    """The sentences that stand, section by section."""
    for name, rows in report.said:
        earlier = _compared_with(report.document) if name == COMPARISON else ""
        pages.listed(name[0].upper() + name[1:], [earlier, *(s.text for s in rows)])
