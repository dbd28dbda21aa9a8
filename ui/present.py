"""The page's own HTML: header, messages, paper with its tools, the draft with its sentences, and the form to sign it.

Works on values and JSON documents; every text in them is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ui import texts
from ui.drafted import ACCEPTED, ADDED, CHANGED, REJECTED, SIGNED_SECTIONS
from ui.editing import DRAFTED, Row
from ui.panes import chips
from ui.paper import GAINS, SHOWN_S, SPEEDS, View
from ui.signing import BESIDE, MAX_LABEL, SignedReport, when

__all__ = [
    "document_html", "empty_html", "header_html", "hint_html", "message_html", "paper_html", "plain", "sign_html", "tools_html",
]  # fmt: skip

Document = Mapping[str, Any]
_STATE_WORDS = {
    DRAFTED: texts.AS_DRAFTED, ACCEPTED: texts.ACCEPTED, CHANGED: texts.CHANGED, REJECTED: texts.REJECTED, ADDED: texts.ADDED,
}  # fmt: skip
#: Beside words of the reader's own that the checker's grammar cannot read.
_UNREAD = "These words are signed as they stand, but no finding is read from them, so none is exported as a code."


def header_html(sign_out: bool = False) -> str:
    """The top of the page: name, and the intended use as a banner that never goes away. ``sign_out``: with a button for it."""
    button = f'<button class="ea-small" id="sign-out">{escape(texts.SIGN_OUT)}</button>'
    leave = f'<form method="post" action="sign-out" class="ea-leave">{button}</form>' if sign_out else ""
    return (
        f'<div class="ea-top"><h1 class="ea-title">{escape(texts.TITLE)}</h1>'
        f'<span class="ea-badge">{escape(texts.DRAFTS_ONLY)}</span><span class="ea-use">{escape(texts.INTENDED_USE)}</span>'
        f"{leave}</div>"
    )


def message_html(sentence: str) -> str:
    """One sentence on what was wrong, in an alert that screen readers speak; nothing for an empty one."""
    return f'<div class="ea-box ea-error" role="alert">{escape(sentence)}</div>' if sentence else ""


def empty_html(sentence: str) -> str:
    """What stands where nothing is shown yet."""
    return f'<div class="ea-empty">{escape(sentence)}</div>'


def hint_html(sentence: str) -> str:
    """A small remark."""
    return f'<p class="ea-note">{escape(sentence)}</p>'


def plain(text: str) -> str:
    """Text as text, for a place that shows HTML."""
    return escape(text)


# Paper -----------------------------------------------------------------------------------------------------------------


def _select(name: str, label: str, options: Iterable[tuple[str, str]], chosen: str) -> str:
    rows = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options
    )
    return f'<label>{escape(label)} <select data-view="{name}">{rows}</select></label>'


def tools_html(leads: Sequence[str], duration_s: float, view: View) -> str:
    """What the reader can choose about the paper: layout, speed, gain, leads, the ten seconds; zoom and calipers."""
    boxes = "".join(
        f'<label><input type="checkbox" data-lead-box value="{escape(lead)}"'
        f'{" checked" if not view.leads or lead in view.leads else ""}> {escape(lead)}</label>'
        for lead in leads
    )
    moments = [(f"{s:g}", f"{s:g} s") for s in range(0, max(1, int(duration_s)), int(SHOWN_S))]
    start = _select("start", texts.FROM, moments, f"{view.start_s:g}") if len(moments) > 1 else ""
    return (
        f'<div class="ea-tools" role="toolbar" aria-label="{escape(texts.PAPER_TOOLS)}">'
        + _select("layout", texts.LAYOUT, texts.LAYOUTS, view.layout)
        + _select("speed", texts.SPEED, [(f"{v:g}", f"{v:g} mm/s") for v in SPEEDS], f"{view.mm_per_s:g}")
        + _select("gain", texts.GAIN, [(f"{v:g}", f"{v:g} mm/mV") for v in GAINS], f"{view.mm_per_mv:g}")
        + start
        + f'<details class="ea-leads"><summary>{escape(texts.LEADS)}</summary>'
        f'<div role="group" aria-label="{escape(texts.LEADS)}">{boxes}<button type="button" class="ea-small" data-leads="all">'
        f"{escape(texts.ALL_LEADS)}</button></div></details>"
        f'<span class="ea-zoom" role="group" aria-label="{escape(texts.ZOOM)}">'
        f'<button type="button" class="ea-small" data-zoom="out" aria-label="{escape(texts.ZOOM_OUT)}">−</button>'
        f'<button type="button" class="ea-small" data-zoom="fit">{escape(texts.ZOOM_FIT)}</button>'
        f'<button type="button" class="ea-small" data-zoom="in" aria-label="{escape(texts.ZOOM_IN)}">+</button></span>'
        f'<button type="button" class="ea-small" data-calipers aria-pressed="false">{escape(texts.CALIPERS)}</button>'
        f'<output class="ea-caliper-out" aria-live="polite"></output></div>'
    )


def paper_html(sheets: Sequence[tuple[str, str]], note: str = "") -> str:
    """One recording on paper, or two side by side: (caption, SVG) each. ``note``: a sentence beneath."""
    figures = "".join(
        f'<figure class="ea-sheet"><figcaption>{escape(caption)}</figcaption>'
        f'<div class="ea-scroll" tabindex="0" role="group" aria-label="{escape(texts.PAPER_KEYS)}">{svg}</div></figure>'
        for caption, svg in sheets
    )
    below = f'<p class="ea-note">{escape(note)}</p>' if note else ""
    return f'<div class="ea-papers" data-count="{len(sheets)}">{figures}</div>{below}'


# Draft -----------------------------------------------------------------------------------------------------------------


def _plain(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _critical(document: Document) -> str:
    """Critical remarks: in front of everything, inside a referral, too."""
    remarks = document.get("critical") or []
    if not remarks:
        return ""
    rows = "".join(
        f'<li title="{escape(item["citation"])}">{escape(item["text"])} {chips(item["evidence"], document)}</li>'
        for item in remarks
    )
    return f'<div class="ea-box ea-critical"><b>{escape(texts.CRITICAL)}</b><ul>{rows}</ul></div>'


def _referral(document: Document) -> str:
    """The head of a referral, as a letter has it: whom it goes to, and why."""
    return (
        f'<section class="ea-box ea-referral" role="region" aria-label="{escape(texts.REFERRAL_LEAD)}">'
        f'<h3>{escape(texts.REFERRAL_LEAD)}</h3><dl><div><dt>{escape(texts.WHO_LOOKS)}</dt>'
        f'<dd>{escape(document["who_should_look"])}</dd></div><div><dt>{escape(texts.REASON)}</dt>'
        f'<dd>{_plain(document["reasons"])}</dd></div></dl></section>'
    )


def _tool(what: str, key: str, label: str, sign: str, text: str, *, pressed: bool | None = None) -> str:
    held = "" if pressed is None else f' aria-pressed="{"true" if pressed else "false"}"'
    return (
        f'<button type="button" id="s-{escape(key)}-{what}" data-edit="{what}" data-key="{escape(key)}"{held}'
        f' aria-label="{escape(label)}: {escape(text)}" title="{escape(label)}">{sign}</button>'
    )


def _row(row: Row, document: Document, closed: bool) -> str:
    """One sentence: its words (press them for the evidence), its evidence ids, and what can be done with it."""
    words = (
        f'<button type="button" class="ea-words" id="s-{escape(row.key)}-words" data-sentence="{escape(row.key)}">'
        f"{escape(row.text)}</button>"
    )
    was = ""
    if row.state == CHANGED:
        was = f'<span class="ea-was">{escape(texts.DRAFTED_AS)} <del>{escape(row.drafted)}</del></span>'
    if row.unread:
        was += f'<span class="ea-was">{escape(_UNREAD)}</span>'
    tools = ""
    if not closed:
        accept = _tool("accept", row.key, texts.ACCEPT, "✓", row.text, pressed=row.state == ACCEPTED)
        accept = "" if row.state == ADDED else accept
        reject = _tool("reject", row.key, texts.REJECT, "✕", row.text, pressed=row.state == REJECTED)
        tools = f'<span class="ea-tools-of">{accept}{_tool("change", row.key, texts.CHANGE, "✎", row.text)}{reject}</span>'
    state = _STATE_WORDS[row.state]
    state = texts.AS_IN.format(state=state, section=row.follows) if row.follows else state
    mark = "" if row.state == DRAFTED else f'<span class="ea-state">{escape(state)}</span>'
    return (
        f'<li class="ea-s" data-state="{row.state}" data-key="{escape(row.key)}">'
        f'<div class="ea-said">{words} {chips(row.evidence, document)}{mark}{was}</div>{tools}</li>'
    )


def _add_form() -> str:
    """A sentence of the reader's own."""
    sections = "".join(
        f'<option value="{escape(name)}">{escape(name[0].upper() + name[1:])}</option>' for name in SIGNED_SECTIONS
    )
    return (
        f'<div class="ea-add"><label for="add-text">{escape(texts.ADD_SENTENCE)}</label><div class="ea-line">'
        f'<input id="add-text" type="text" maxlength="1000" autocomplete="off"><select id="add-section"'
        f' aria-label="{escape(texts.INTO_SECTION)}">{sections}</select>'
        f'<button type="button" class="ea-small" id="add-go" data-edit="add" data-key="">{escape(texts.ADD)}</button></div></div>'
    )


def document_html(report: SignedReport) -> str:
    """The draft or the referral with its state: critical remarks in front, and every sentence open to judgement. Once it is
    signed, what was signed is in front, and what the machine drafted beside it apart."""
    document = report.document
    referral, closed = document["status"] == "referral", report.signed is not None
    state = "signed" if closed else "unconfirmed"
    head = f'<div class="ea-box ea-draft" data-state="{state}"><b>{escape(report.state)}</b> {escape(_remaining(report))}</div>'
    if closed:
        parts = [head, _sentences(report), f"<h3>{escape(BESIDE)}</h3>", _pressing(document)]
    else:
        known = f"<h3>{escape(texts.KNOWN_ALL_THE_SAME)}</h3>" if referral else ""
        parts = [head, _pressing(document), known, _sentences(report), _add_form()]
    parts.append(_not_judged(document))
    conflicts = document.get("conflicts") or []
    if conflicts:
        rows_of = "".join(
            f'<li title="{escape(c["citation"])}">{escape(c["text"])} {chips([c["id"], *c["items"]], document)}</li>'
            for c in conflicts
        )
        parts.append(f"<h4>{escape(texts.CONFLICTS)}</h4><ul>{rows_of}</ul>")
    if document.get("research"):
        parts.append(f"<h4>{escape(texts.RESEARCH)}</h4>{_plain(item['text'] for item in document['research'])}")
    if document.get("limits"):
        parts.append(f"<h4>{escape(texts.LIMITS)}</h4>{_plain(document['limits'])}")
    status = escape(document["status"])
    return f'<div class="ea-document" data-status="{status}" data-signed="{str(closed).lower()}">{"".join(parts)}</div>'


def _pressing(document: Document) -> str:
    """What stands in front of a draft: critical remarks, whom a referral goes to and why, what is wrong with the recording."""
    quality = document["quality"]
    referral = _referral(document) if document["status"] == "referral" else ""
    # A recording that is referred for its quality has said so already.
    remarks = [sentence for sentence in quality["reasons"] if sentence not in document["reasons"]]
    verdict = escape(texts.RECORDING_IS.format(quality["verdict"]))
    said = f'<div class="ea-box ea-quality"><b>{verdict}.</b>{_plain(remarks)}</div>' if remarks else ""
    return f"{_critical(document)}{referral}{said}"


def _sentences(report: SignedReport) -> str:
    """All sentences, rejected ones too, section by section."""
    document, closed = report.document, report.signed is not None
    referral = document["status"] == "referral"
    parts = []
    for name, rows in report.edition.rows():
        heading = escape(name[0].upper() + name[1:])
        level = "h3" if name == "impression" and (closed or not referral) else "h4"
        items = "".join(_row(row, document, closed) for row in rows)
        kind = "ea-sentences ea-impression" if name == "impression" else "ea-sentences"
        parts.append(f'<{level}>{heading}</{level}><ul class="{kind}">{items}</ul>')
    return "".join(parts)


def _remaining(report: SignedReport) -> str:
    if report.signed is not None:
        return ""
    left = report.edition.open
    return f"{texts.TO_REVIEW} {texts.LEFT.format(left) if left else texts.ALL_JUDGED}"


def _not_judged(document: Document) -> str:
    """What could not be judged and what was not assessed, by name: silence is no absence."""
    out = []
    for state, heading in (("undetermined", texts.CANNOT_BE_JUDGED), ("not assessed", texts.NOT_ASSESSED)):
        names = [f["name"] for f in document.get("findings") or () if f["state"] == state]
        if names:
            summary = f"<summary>{escape(heading)} ({len(names)})</summary>"
            out.append(f'<details class="ea-more">{summary}<p>{escape(", ".join(names))}.</p></details>')
    return "".join(out)


def sign_html(report: SignedReport) -> str:
    """The form to sign and to take the report away. The label's field lives in the browser alone: it is sent with a signature or
    an export, printed, and kept by nobody."""
    signed = report.signed
    done = "" if signed is None else texts.SIGNED_BY.format(name=signed.name, at=when(signed.at))
    return (
        f'<section class="ea-sign" aria-label="{escape(texts.SIGN_OFF)}"'
        f' data-recording="{escape(str(report.document["recording"]))}">'
        f"<h3>{escape(texts.SIGN_OFF)}</h3><div class='ea-line'>"
        f'<label>{escape(texts.YOUR_NAME)}<input id="signer" type="text" maxlength="100" autocomplete="name"></label>'
        f'<label>{escape(texts.PATIENT_LABEL)}<input id="label" type="text" maxlength="{MAX_LABEL}" autocomplete="off"'
        f' aria-describedby="label-note"></label>'
        f'<button type="button" class="ea-primary" id="sign" data-hand="sign">{escape(texts.SIGN)}</button></div>'
        f'<p class="ea-note" id="label-note">{escape(texts.LABEL_NOTE)}</p>'
        f'<div class="ea-line" role="group" aria-label="{escape(texts.EXPORT)}"><span>{escape(texts.EXPORT)}</span>'
        + "".join(
            f'<button type="button" class="ea-small" data-hand="{kind}" id="export-{kind}">{escape(words)}</button>'
            for kind, words in texts.EXPORTS
        )
        + f"</div><p class='ea-note' id='signed-note' role='status'>{escape(done)}</p></section>"
    )
