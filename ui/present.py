"""A draft or a referral as HTML for the page. Works on the JSON documents alone; every text in them is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from encoders.ecg import ECG
from encoders.measurements import UNITS
from ui import texts

__all__ = ["cases_html", "document_html", "error_html", "findings_html", "header_html", "paper_html", "vitals_html"]

Document = Mapping[str, Any]
_URGENCY_RANK = {"critical": 0, "urgent": 1, "routine": 2, "normal": 3}
#: The values that stand in the strip under the paper, as on the header of a cart's print.
_VITALS = (
    ("rate_bpm", "Rate"), ("pr_ms", "PR"), ("qrs_ms", "QRS"), ("qt_ms", "QT"), ("qtc_ms", "QTc (Fridericia)"),
    ("axis_deg", "QRS axis"), ("rr_irregularity", "RR irregularity"), ("p_wave_share", "Beats with P"),
)  # fmt: skip


def header_html() -> str:
    """The top of the page: name, and the intended use as a banner that never goes away."""
    return (
        f'<div class="ea-top"><span class="ea-title">{escape(texts.TITLE)}</span>'
        f'<span class="ea-badge">{escape(texts.BANNER)}</span><span class="ea-use">{escape(texts.INTENDED_USE)}</span></div>'
    )


def error_html(sentence: str) -> str:
    """A sentence on what was wrong with the input."""
    return f'<div class="ea-box ea-error" role="alert">{escape(sentence)}</div>'


def paper_html(ecg: ECG, title: str = "") -> str:
    """The 12 leads on ECG paper, as an image inside the page (no file of a recording is left for a cache)."""
    from ui.plot import to_png

    image = base64.b64encode(to_png(ecg, title=title, dpi=140)).decode()
    alt = f"{len(ecg.leads)} leads, {ecg.duration_s:.0f} s, 25 mm/s, 10 mm/mV"
    return f'<img class="ea-paper" alt="{escape(alt)}" src="data:image/png;base64,{image}">'


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "—"
    shown = f"{value:.0f}" if unit in ("/min", "ms", "°") else f"{value:.2f}"
    return f"{shown}{'' if unit in ('/min', '°', '') else ' '}{unit}"


def _vital(name: str, item: Document) -> str:
    value = item["value"]
    return f"{100 * value:.0f} %" if name == "p_wave_share" and value is not None else _number(value, item["unit"])


def _measured_title(item: Document) -> str:
    parts = [f"{item['beats']} beats" if item["beats"] else "", f"leads {', '.join(item['leads'])}" if item["leads"] else ""]
    if item["value"] is not None:
        parts.append(f"reliability {item['reliability']:.2f}")
    return "; ".join(part for part in (*parts, item["note"]) if part)


def vitals_html(document: Document) -> str:
    """The main measurements as a strip, all of them in a table that unfolds."""
    measured: Mapping[str, Document] = document.get("measurements") or {}
    if not measured:
        return ""
    boxes = "".join(
        f'<div class="ea-vital" title="{escape(_measured_title(measured[name]))}"><span>{escape(label)}</span>'
        f"<b>{escape(_vital(name, measured[name]))}</b></div>"
        for name, label in _VITALS
        if name in measured
    )
    rows = "".join(
        f"<tr><td><code>M:{escape(name)}</code></td><td>{escape(_label(name))}</td>"
        f'<td class="ea-num">{escape(_number(item["value"], item["unit"]))}</td><td>{escape(_measured_title(item))}</td></tr>'
        for name, item in measured.items()
    )
    table = f"<table class='ea-table'><tr><th>id</th><th>measurement</th><th>value</th><th>rests on</th></tr>{rows}</table>"
    return f'<div class="ea-vitals">{boxes}</div><details class="ea-more"><summary>All measurements</summary>{table}</details>'


def _label(name: str) -> str:
    words = name.split("_")
    if name in dict(_VITALS):
        return dict(_VITALS)[name]
    if name.startswith("st_j_mv_"):
        return f"ST at J, lead {words[-1]}"
    upper = {"pr", "qrs", "qt", "rr", "sd", "qtc"}
    plain = [w.upper().replace("QTC", "QTc") if w in upper else w for w in words if w not in UNITS]
    text = " ".join(plain)
    return text[0].upper() + text[1:]


def findings_html(document: Document) -> str:
    """Statements with their calibrated probability and state, most urgent first; what is absent is folded away."""
    findings = sorted(
        document.get("findings") or [], key=lambda f: (_URGENCY_RANK.get(f["urgency"], 9), -float(f["probability"]))
    )
    if not findings:
        return ""
    groups = (
        ("present", "Present", True),
        ("undetermined", "Cannot be judged", True),
        ("absent", "Absent", False),
        ("not assessed", "Not assessed (too few cases to know)", False),
    )
    out = []
    for state, heading, opened in groups:
        chosen = [f for f in findings if f["state"] == state]
        if not chosen and state != "present":
            continue
        body = "".join(_finding_row(f) for f in chosen) or '<div class="ea-none">None stated.</div>'
        out.append(
            f'<details class="ea-group ea-{state.replace(" ", "-")}"{" open" if opened else ""}>'
            f"<summary>{escape(heading)} <span class='ea-count'>{len(chosen)}</span></summary>{body}</details>"
        )
    note = f"{texts.CONFIDENCE_NOTE} {document.get('guarantee') or ''}".strip()
    return f'<h3>Findings</h3>{"".join(out)}<p class="ea-note">{escape(note)}</p>'


def _finding_row(finding: Document) -> str:
    percent = 100 * float(finding["probability"])
    about = " — ".join(part for part in (finding.get("criteria"), finding.get("citation"), finding.get("reason")) if part)
    shown = "&lt; 1 %" if percent < 1 else "&gt; 99 %" if percent > 99 else f"{percent:.0f} %"
    return (
        f'<div class="ea-finding ea-u-{escape(finding["urgency"])}" title="{escape(about)}">'
        f'<span class="ea-name">{escape(finding["name"])} <code>F:{escape(finding["code"])}</code></span>'
        f'<span class="ea-urgency">{escape(finding["urgency"])}</span>'
        f'<span class="ea-bar"><i style="width:{percent:.1f}%"></i></span><span class="ea-num">{shown}</span></div>'
    )


def _evidence(ids: Iterable[str], document: Document) -> str:
    return "".join(f'<span class="ea-ev" title="{escape(_explain(i, document))}">{escape(i)}</span>' for i in ids)


def _explain(evidence_id: str, document: Document) -> str:
    kind, _, name = evidence_id.partition(":")
    if kind == "M" and name in (document.get("measurements") or {}):
        item = document["measurements"][name]
        return f"{_label(name)}: {_number(item['value'], item['unit'])}; {_measured_title(item)}"
    if kind == "F":
        for finding in document.get("findings") or []:
            if finding["code"] == name:
                return f"{finding['name']}: {finding['state']}, probability {finding['probability']:.2f}"
    return evidence_id


def _lines(lines: Iterable[Document], document: Document) -> str:
    """Sentences with the ids that they rest on."""
    items = "".join(f"<li>{escape(line['text'])} {_evidence(line['evidence'], document)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _plain(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _critical(document: Document) -> str:
    """Critical remarks: in front of everything, inside a referral, too."""
    remarks = document.get("critical") or []
    if not remarks:
        return ""
    rows = "".join(
        f'<li title="{escape(item["citation"])}">{escape(item["text"])} {_evidence(item["evidence"], document)}</li>'
        for item in remarks
    )
    return f'<div class="ea-box ea-critical"><b>{escape(texts.CRITICAL)}</b><ul>{rows}</ul></div>'


def document_html(document: Document) -> str:
    """The draft, or the referral with critical remarks and its reasons in front of what is known all the same."""
    referral = document["status"] == "referral"
    quality = document["quality"]
    parts = [_critical(document)]
    if referral:
        who = f"<p>{escape(texts.WHO_LOOKS)} {escape(document['who_should_look'])}.</p>"
        reasons = _plain(document["reasons"])
        lead = escape(texts.REFERRAL_LEAD)
        parts.append(f'<div class="ea-box ea-referral" role="alert"><b>{lead}</b>{reasons}{who}</div>')
    else:
        parts.append(f'<div class="ea-box ea-draft"><b>{escape(texts.BANNER)}</b> {escape(texts.TO_REVIEW)}</div>')
    # A recording that is referred for its quality has said so already.
    remarks = [sentence for sentence in quality["reasons"] if sentence not in document["reasons"]]
    if remarks:
        verdict = escape(texts.RECORDING_IS.format(quality["verdict"]))
        parts.append(f'<div class="ea-box ea-quality"><b>{verdict}</b>{_plain(remarks)}</div>')
    impression = _lines(document["impression"], document)
    if impression:
        heading = texts.KNOWN_ALL_THE_SAME if referral else texts.IMPRESSION
        parts.append(f'<h3>{escape(heading)}</h3><div class="ea-impression">{impression}</div>')
    for name, lines in document["sections"].items():
        # Shown above already: the impression, and what the boxes say.
        if not lines or name in ("impression", "referral") or (name == "quality" and quality["reasons"]):
            continue
        body, heading = _lines(lines, document), escape(name[0].upper() + name[1:])
        if name == "not assessed":
            parts.append(f'<details class="ea-more"><summary>{heading} ({len(lines)})</summary>{body}</details>')
        else:
            parts.append(f"<h4>{heading}</h4>{body}")
    conflicts = document.get("conflicts") or []
    if conflicts:
        rows = "".join(
            f'<li title="{escape(c["citation"])}">{escape(c["text"])} {_evidence([c["id"], *c["items"]], document)}</li>'
            for c in conflicts
        )
        parts.append(f"<h4>{escape(texts.CONFLICTS)}</h4><ul>{rows}</ul>")
    if document.get("research"):
        parts.append(f"<h4>{escape(texts.RESEARCH)}</h4>{_plain(item['text'] for item in document['research'])}")
    if document.get("limits"):
        parts.append(f"<h4>{escape(texts.LIMITS)}</h4>{_plain(document['limits'])}")
    return f'<div class="ea-document" data-status="{escape(document["status"])}">{"".join(parts)}</div>'


def cases_html(document: Document) -> str:
    """Similar past cases with what was stated of them."""
    cases = document.get("cases") or []
    if not cases:
        return ""
    rows = "".join(_case_row(case) for case in cases)
    head = "<tr><th>case</th><th>alike</th><th>age</th><th>sex</th><th>stated then</th></tr>"
    return f'<h3>Similar past cases</h3><table class="ea-table">{head}{rows}</table>'


def _case_row(case: Document) -> str:
    age = "?" if case.get("age_years") is None else f"{case['age_years']:.0f}"
    codes = ", ".join(sorted(case.get("statements") or {}, key=lambda code: -float(case["statements"][code])))
    return (
        f'<tr title="{escape(str(case.get("where", "")))}"><td><code>{escape(case["id"])}</code></td>'
        f'<td class="ea-num">{case["similarity"]:.2f}</td><td class="ea-num">{age}</td><td>{escape(case.get("sex") or "?")}</td>'
        f"<td>{escape(codes)}</td></tr>"
    )
