"""What a visitor looks at: the paper as chosen, the stretches that speak for a finding, and the traces of similar cases."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import EcgAssistantError, QueryError
from encoders.leadsets import with_limb_leads
from retrieval.recordings import local_file
from retrieval.store import CaseRow
from ui import texts
from ui.naming import weighed
from ui.paper import Paper, View, beat_sheet, sheet_of, svg
from ui.plot import scale_text
from ui.present import paper_html
from ui.visit import Entry, Visit

if TYPE_CHECKING:
    from assistant import Assistant
    from encoders.attribution import Span
    from encoders.explanation import Explanation

__all__ = [
    "RECORDINGS", "at_hand", "case_paper", "explained", "leads_of", "paper_of", "recording_folders", "spoken_html", "view_of",
    "view_shown", "viewed",
]  # fmt: skip

#: Environment variable with the folders (as in PATH) in which recordings of similar cases are looked for.
RECORDINGS = "ECG_ASSISTANT_RECORDINGS"
#: Rows of a sheet with every lead under the other, so that all twelve fit the screen; and of a case's small sheet.
_COMPACT_MM, _SMALL_MM = 12.5, 15.0
#: Stretches that the text names, and that the paper shades.
_NAMED, _SHADED = 6, 200


def view_of(data: Mapping[str, Any]) -> View:
    """The view that the page's tools ask for. Raises QueryError for anything that is none."""
    try:
        return View(
            layout=str(data.get("layout", "grid")), mm_per_s=float(data.get("speed", 25)), mm_per_mv=float(data.get("gain", 10)),
            leads=tuple(str(lead)[:20] for lead in list(data.get("leads") or ())[:40]), start_s=float(data.get("start") or 0),
        )  # fmt: skip
    except (TypeError, ValueError):
        raise QueryError("This way of showing the leads is not known; choose one of those offered.") from None


def view_shown(visit: Visit) -> View:
    """The view as it is drawn: where stretches are marked, every lead has its own row, so that all of them are seen."""
    return visit.view if visit.marked is None else replace(visit.view, layout="rows")


def viewed(visit: Visit, asked: View) -> Visit:
    """The visit in the view that the tools ask for. Another layout than the one drawn takes the marks away; else they stay, and
    the layout from before them comes back when they go."""
    if visit.marked is not None and asked.layout == view_shown(visit).layout:
        return replace(visit, view=replace(asked, layout=visit.view.layout))
    return replace(visit, view=asked, marked=None)


def _svg(entry: Entry, view: View, marked: Explanation | None, key: str) -> tuple[str, str]:
    """The sheet of one recording, and a note on what it cannot show."""
    ecg = with_limb_leads(entry.ecg)
    alt = texts.PAPER_ALT.format(leads=len(ecg.leads), seconds=ecg.duration_s, scale=scale_text(ecg, view))
    if view.layout == "beats":
        from encoders.delineate import delineate

        found = delineate(ecg)
        if found is not None:
            with_p = entry.reading.evidence.measurements.value("pr_ms") is not None
            sheet = beat_sheet(found, view, with_p=with_p)
            return svg(sheet, scale=f"{texts.BEATS_SCALE}   {scale_text(ecg, view)}", key=key, label=alt), ""
        return svg(sheet_of(ecg, replace(view, layout="grid")), scale=scale_text(ecg, view), key=key, label=alt), texts.NO_BEATS
    title, paper = "", Paper(row_mm=_COMPACT_MM) if view.layout == "rows" else Paper()
    spans: tuple[Span, ...] = ()
    if marked is not None:
        from encoders.vocabulary import statement

        title = texts.MARKED.format(name=statement(marked.attribution.code).name)
        spans = tuple(marked.attribution.spans(_SHADED))
    sheet = sheet_of(ecg, view, paper)
    return svg(sheet, title=title, scale=scale_text(ecg, view), paper=paper, shaded=spans, key=key, label=alt), ""


def paper_of(visit: Visit) -> str:
    """The paper as the visitor chose it, captioned with whose recording it is; the previous one beside it where there is one."""
    view = view_shown(visit)
    shown, note = _svg(visit.entry, view, visit.marked, "now")
    if visit.previous is None:
        return paper_html([(_caption(visit.entry), shown)], note)
    before = visit.entries[visit.previous]
    sheet, other_note = _svg(before, view, None, "before")
    captions = [f"{texts.PREVIOUS_CAPTION}: {_caption(before)}", f"{texts.SHOWN_CAPTION}: {_caption(visit.entry)}"]
    return paper_html([(captions[0], sheet), (captions[1], shown)], note or other_note)


def _caption(entry: Entry) -> str:
    """Which recording this is, and the age and sex it was judged with: those typed overrule the file's, so they say so."""
    ecg = entry.ecg
    about = {"age": None if ecg.age_years is None else f"{ecg.age_years:.3g}", "sex": ecg.sex}
    shown = {
        name: texts.NOT_KNOWN if value is None else texts.TYPED.format(value) if name in entry.typed else value
        for name, value in about.items()
    }
    when = f", {ecg.recorded_at.replace('T', ' ')}" if ecg.recorded_at else ""
    return f"{entry.name}{when}. {texts.PERSON.format(**shown)}"


def leads_of(entry: Entry) -> tuple[str, ...]:
    """Leads that the paper can show: those recorded, and limb leads that follow from them."""
    return with_limb_leads(entry.ecg).leads


def explained(assistant: Assistant, entry: Entry, code: str) -> Explanation | None:
    """The leads and stretches that speak for a finding; None where the network did not read the recording."""
    from encoders.delineate import delineate
    from encoders.explanation import explain
    from encoders.leadsets import lead_set_of

    if lead_set_of(entry.ecg.leads) is None:
        return None
    measured = entry.reading.evidence.measurements
    return explain(assistant.encoder, entry.ecg, code, delineate(entry.ecg), measurements=measured, n=_NAMED)


def spoken_html(explanation: Explanation | None) -> str:
    """The same in words, with what it does not mean."""
    from encoders.explanation import NOTE
    from encoders.vocabulary import statement

    if explanation is None:
        return f'<p class="ea-note">{escape(texts.NOT_SHOWN_FOR)}</p>'
    name = statement(explanation.attribution.code).name
    ranked = sorted(explanation.by_lead.items(), key=lambda item: -item[1])[:_NAMED]
    leads = ", ".join(f"{lead} {100 * share:.0f} %" for lead, share in ranked)
    said = [texts.SPEAKS.format(name=name, leads=leads)]
    spans = "; ".join(
        f"{span.lead} {span.start_s:.2f}–{span.end_s:.2f} s"
        + (f" ({', '.join(t.part + (f' of beat {t.beat}' if t.beat is not None else '') for t in touched)})" if touched else "")
        for span, touched in explanation.spans
    )
    said.append(texts.STRETCHES.format(spans=spans) if spans else texts.NO_STRETCH.format(name=name))
    if explanation.measured:
        said.append(texts.WEIGHED.format(values=", ".join(weighed(one) for one in explanation.measured)))
    words = "".join(f"<p>{escape(sentence)}</p>" for sentence in said)
    button = f'<button type="button" class="ea-small" data-look="clear">{escape(texts.CLEAR_MARKS)}</button>'
    return f'{words}<p class="ea-note">{escape(NOTE)}</p>{button}'


# Cases -----------------------------------------------------------------------------------------------------------------


def recording_folders(given: Iterable[str | Path] = ()) -> tuple[Path, ...]:
    """Folders in which recordings of similar cases are looked for: those given, and those of ECG_ASSISTANT_RECORDINGS.

    Raises QueryError where one that is given is not there.
    """
    folders = [Path(folder) for folder in given]
    for folder in folders:
        if not folder.is_dir():
            raise QueryError(f"There is no folder {folder.name!r}; give --recordings a folder that holds recordings.")
    named = [Path(part) for part in os.environ.get(RECORDINGS, "").split(os.pathsep) if part]
    return tuple(dict.fromkeys(folder.resolve() for folder in (*folders, *named)))


def _file_of(case: Mapping[str, Any], folders: Sequence[Path]) -> Path | None:
    return local_file(CaseRow(str(case["id"]), where=str(case.get("where") or "")), folders)


def at_hand(document: Mapping[str, Any], folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """Ids of the similar cases whose recording can be read here: in ``folders``, or in one that a library was built from."""
    return tuple(case["id"] for case in document.get("cases") or () if _file_of(case, folders) is not None)


def case_paper(visit: Visit, case_id: str, folders: Sequence[Path] = ()) -> str:
    """A similar case on paper. Raises QueryError where its recording is not here, or cannot be read; no path is told."""
    case = next((c for c in visit.report.document.get("cases") or () if c["id"] == case_id), None)
    file = None if case is None else _file_of(case, folders)
    if file is None:
        raise QueryError(texts.CASE_GONE)
    from encoders.readers import read

    try:
        ecg = with_limb_leads(read(file))
    except EcgAssistantError:
        raise QueryError(texts.CASE_GONE) from None
    paper = Paper(row_mm=_SMALL_MM)
    key = "case" + "".join(c if c.isalnum() else "-" for c in case_id)
    sheet = svg(sheet_of(ecg, View(), paper), scale=scale_text(ecg), paper=paper, key=key, label=case_id)
    return paper_html([("", sheet)])
