"""What is known of a recording as HTML: measurements, findings, cases, the comparison, and the evidence behind a sentence.

Works on the JSON documents alone; every text in them is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from encoders.ecg import STANDARD_LEADS
from retrieval.case import Case, left_out_words
from retrieval.contrast import contrast
from ui import texts
from ui.naming import VITALS, name_of, number, percent, value_of
from ui.ranges import Range, normal_range, verdict

__all__ = [
    "cases_html", "chips", "comparison_html", "evidence_html", "findings_html", "measurements_html", "vitals_html",
]  # fmt: skip

Document = Mapping[str, Any]
URGENCY = {"critical": 0, "urgent": 1, "routine": 2, "normal": 3}
#: What is set beside a case's own values.
_BESIDE = ("rate_bpm", "pr_ms", "qrs_ms", "qtc_ms", "axis_deg")
#: Statements that are told of the neighbours.
_SAID = 8
_VERDICTS = {"low": "↓", "high": "↑", "": ""}


def _range(name: str, document: Document) -> Range | None:
    return normal_range(name, document.get("age_years"), document.get("sex"))


def _value(name: str, item: Document) -> str:
    return value_of(name, item["value"], item["unit"])


def _rests_on(item: Document) -> str:
    leads = item["leads"]
    where = texts.ALL_TWELVE if tuple(leads) == STANDARD_LEADS else f"lead{'s' if len(leads) > 1 else ''} {', '.join(leads)}"
    parts = [f"{item['beats']} beats" if item["beats"] else "", where if leads else ""]
    if item["value"] is not None:
        parts.append(f"reliability {item['reliability']:.2f}")
    return "; ".join(part for part in (*parts, item["note"]) if part)


def _verdict(name: str, item: Document, document: Document) -> tuple[str, str]:
    """ "low", "high" or "", and the normal range in words."""
    mark, limits = verdict(name, document)
    return mark if mark in _VERDICTS else "", limits.words(item["unit"]) if limits is not None else ""


def vitals_html(document: Document) -> str:
    """The main measurements as a strip, each with its normal range, marked where it lies outside."""
    measured: Mapping[str, Document] = document.get("measurements") or {}
    boxes = []
    for name, label in VITALS:
        if name not in measured:
            continue
        item = measured[name]
        word, limits = _verdict(name, item, document)
        mark = f'<i class="ea-out" aria-label="{word}">{_VERDICTS[word]}</i>' if word else ""
        below = f'<span class="ea-range">{escape(limits)}</span>' if limits else '<span class="ea-range">&nbsp;</span>'
        boxes.append(
            f'<button type="button" class="ea-vital" data-look="M:{escape(name)}" data-verdict="{word}">'
            f"<span>{escape(label)}</span><b>{escape(_value(name, item))}{mark}</b>{below}</button>"
        )
    return f'<div class="ea-vitals" role="group" aria-label="{escape(texts.VITALS)}">{"".join(boxes)}</div>' if boxes else ""


def measurements_html(document: Document) -> str:
    """All measurements with their normal ranges, what they rest on, and where the limits stand."""
    measured: Mapping[str, Document] = document.get("measurements") or {}
    if not measured:
        return ""
    sources: dict[str, int] = {}
    rows = []
    for name, item in measured.items():
        mark, words = _verdict(name, item, document)
        limits = _range(name, document)
        note = ""
        if limits is not None:
            note = f'<sup title="{escape(limits.citation)}">{sources.setdefault(limits.citation, len(sources) + 1)}</sup>'
        rows.append(
            f'<tr data-verdict="{mark}"><th scope="row">{escape(name_of(name))}</th>'
            f'<td class="ea-num">{escape(_value(name, item))} {_VERDICTS[mark]}</td>'
            f'<td class="ea-num">{escape(words)}{note}</td><td>{escape(_rests_on(item))}</td></tr>'
        )
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in texts.MEASURED_COLUMNS)
    cited = "".join(f"<li>{escape(text)}</li>" for text in sources)
    return (
        f"<h3>{escape(texts.MEASUREMENTS)}</h3><table class='ea-table'><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><p class='ea-note'>{escape(texts.RANGES_NOTE)}</p>"
        f"<ol class='ea-note ea-sources'>{cited}</ol>"
    )


# Findings --------------------------------------------------------------------------------------------------------------


def findings_html(document: Document) -> str:
    """Statements by state, most urgent first, each with its calibrated probability; what is absent is folded away."""
    findings = sorted(document.get("findings") or [], key=lambda f: (URGENCY.get(f["urgency"], 9), -float(f["probability"])))
    if not findings:
        return ""
    out = []
    for state, heading, opened in texts.FINDING_GROUPS:
        chosen = [f for f in findings if f["state"] == state]
        if not chosen and state != "present":
            continue
        body = "".join(_finding(f) for f in chosen) or f'<p class="ea-none">{escape(texts.NONE_STATED)}</p>'
        out.append(
            f'<details class="ea-group ea-{state.replace(" ", "-")}"{" open" if opened else ""}>'
            f'<summary>{escape(heading)} <span class="ea-count">{len(chosen)}</span></summary>{body}</details>'
        )
    note = f"{texts.CONFIDENCE_NOTE} {document.get('guarantee') or ''}".strip()
    hint = f'<p class="ea-note">{escape(texts.FINDINGS_HINT)}</p>'
    return f'<h3>{escape(texts.FINDINGS)}</h3>{hint}{"".join(out)}<p class="ea-note">{escape(note)}</p>'


def _finding(finding: Document) -> str:
    probability = float(finding["probability"])
    doubt = f' <span class="ea-doubt">{escape(_against(finding))}</span>' if finding.get("against") else ""
    return (
        f'<button type="button" class="ea-finding ea-u-{escape(finding["urgency"])}" data-look="F:{escape(finding["code"])}"'
        f' data-show="1"><span class="ea-name">{escape(finding["name"])} <code>F:{escape(finding["code"])}</code>{doubt}</span>'
        f'<span class="ea-urgency">{escape(finding["urgency"])}</span>'
        f'<span class="ea-bar" aria-hidden="true"><i style="width:{100 * probability:.1f}%"></i></span>'
        f'<span class="ea-num">{escape(percent(probability))}</span></button>'
    )


def _against(finding: Document) -> str:
    """What similar cases do to a finding, in a few words."""
    return texts.LESS_THAN_USUAL if finding["state"] == "present" else texts.AGAINST


# Evidence --------------------------------------------------------------------------------------------------------------


def chips(ids: Iterable[str], document: Document) -> str:
    """Evidence ids as buttons; pressing one shows what is behind it."""
    return "".join(
        f'<button type="button" class="ea-ev" data-look="{escape(i)}" title="{escape(_short(i, document))}">{escape(i)}</button>'
        for i in ids
    )


def _found(evidence_id: str, document: Document) -> tuple[str, Any]:
    """Kind of evidence and the item of the document, None where it is not there."""
    kind, _, name = evidence_id.partition(":")
    if kind == "M":
        return kind, (document.get("measurements") or {}).get(name)
    if kind == "F":
        return kind, next((f for f in document.get("findings") or () if f["code"] == name), None)
    if kind == "C":
        return kind, next((c for c in document.get("cases") or () if c["id"] == evidence_id), None)
    if kind == "N":
        return kind, next((n for n in document.get("neighbours") or () if n["id"] == evidence_id), None)
    if kind == "Q":
        return kind, document.get("quality")
    return kind, next((c for c in document.get("conflicts") or () if c["id"] == evidence_id), None)


def _short(evidence_id: str, document: Document) -> str:
    kind, item = _found(evidence_id, document)
    name = evidence_id.partition(":")[2]
    if item is None:
        return evidence_id
    if kind == "M":
        return f"{name_of(name)}: {_value(name, item)}"
    if kind == "F":
        return f"{item['name']}: {item['state']}, {percent(float(item['probability']))}"
    if kind == "Q":
        return texts.RECORDING_IS.format(item["verdict"])
    return str(item["text"]) if "text" in item else evidence_id


def evidence_html(ids: Sequence[str], document: Document, sentence: str = "", more: str = "") -> str:
    """What a sentence rests on, item by item; ``more``: HTML behind it (the leads and stretches that speak for a finding)."""
    # Beside a finding stands what similar cases say of it.
    rows = [one for i in ids for one in ((i, f"N:{i[2:]}") if i.startswith("F:") else (i,))]
    shown = [i for i in dict.fromkeys(rows) if i in ids or _found(i, document)[1] is not None]
    items = "".join(f"<li>{_told(i, document)}</li>" for i in shown)
    said = f'<p class="ea-quoted">{escape(sentence)}</p>' if sentence else ""
    body = f"<ul>{items}</ul>" if items else f'<p class="ea-none">{escape(texts.NO_EVIDENCE)}</p>'
    return f"<h3>{escape(texts.EVIDENCE)}</h3>{said}{body}{more}"


def _told(evidence_id: str, document: Document) -> str:
    kind, item = _found(evidence_id, document)
    name, head = evidence_id.partition(":")[2], f"<code>{escape(evidence_id)}</code> "
    if item is None:
        return f"{head}{escape(texts.GONE)}"
    if kind == "M":
        limits = _range(name, document)
        normal = ""
        if limits is not None:
            normal = f" {texts.NORMAL_IS.format(limits.words(item['unit']))} {limits.text} {limits.citation}."
        return f"{head}<b>{escape(name_of(name))} {escape(_value(name, item))}</b>; {escape(_rests_on(item))}.{escape(normal)}"
    if kind == "F":
        parts = (str(item.get(name) or "").rstrip(".") for name in ("criteria", "citation", "reason"))
        about = " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts if part)
        state = f"{item['state']}, {texts.PROBABILITY} {percent(float(item['probability']))}"
        return f"{head}<b>{escape(item['name'])}</b>: {escape(state)}. {escape(about)}"
    if kind == "N":
        return f"{head}{escape(item['text'])}"
    if kind == "C":
        return f"{head}{_case_words(item)}"
    if kind == "Q":
        reasons = " ".join(item["reasons"])
        return f"{head}{escape(texts.RECORDING_IS.format(item['verdict']))}, {texts.SCORE} {item['score']:.2f}. {escape(reasons)}"
    return f"{head}{escape(item['text'])} {escape(item['citation'])}"


# Cases and comparison --------------------------------------------------------------------------------------------------


def _case_words(case: Document) -> str:
    age = "?" if case.get("age_years") is None else f"{case['age_years']:.0f}"
    codes = ", ".join(sorted(case.get("statements") or {}, key=lambda code: -float(case["statements"][code])))
    return escape(f"{age}, {case.get('sex') or '?'}; {codes or texts.NONE_STATED}; {case['similarity']:.2f}")


def cases_html(document: Document, at_hand: Iterable[str] = (), opened: Mapping[str, str] | None = None) -> str:
    """Similar past cases: how they were found, what was stated then, and what that shares with this recording.

    ``at_hand``: ids of cases whose recording lies on this machine; ``opened``: id → paper of those that were opened.
    """
    cases = document.get("cases") or []
    left_out = document.get("left_out") or {}
    passed = left_out_words(left_out.get("own", 0), left_out.get("duplicates", 0))
    said = f'<p class="ea-note">{escape(passed)}</p>' if passed else ""
    if not cases:
        return f'<p class="ea-none">{escape(texts.NO_CASES)}</p>{said}'
    near, shown = set(at_hand), dict(opened or {})
    items = "".join(_case(case, document, case["id"] in near, shown.get(case["id"], "")) for case in cases)
    note = f'<p class="ea-note">{escape(texts.CASES_NOTE)}</p>{said}'
    return f'{_neighbours(document)}<h3>{escape(texts.CASES)}</h3>{note}<ol class="ea-cases">{items}</ol>'


def _neighbours(document: Document) -> str:
    """What the nearest cases list, the most said first, and whatever they speak against."""
    neighbours = document.get("neighbours") or []
    if not neighbours:
        return ""
    known = {f["code"]: f for f in document.get("findings") or ()}
    rows = []
    for n, one in enumerate(neighbours):
        finding = known.get(one["id"][2:], {})
        if n >= _SAID and not finding.get("against"):
            continue
        here = str(finding.get("state", "")) + (f"; {_against(finding)}" if finding.get("against") else "")
        rows.append(
            f'<tr data-changed="{"yes" if finding.get("against") else "no"}"><th scope="row">'
            f'{escape(str(finding.get("name", one["id"][2:])))} {chips([one["id"]], document)}</th>'
            f'<td class="ea-num">{one["listed"]}</td><td class="ea-num">{one["expected"]:.1f}</td><td>{escape(here)}</td></tr>'
        )
    asked = neighbours[0]["asked"]
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in texts.CASES_COLUMNS)
    return (
        f"<h3>{escape(texts.NEIGHBOURS.format(asked))}</h3><table class='ea-table'><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table><p class='ea-note'>{escape(texts.NEIGHBOURS_NOTE.format(asked))}</p>"
    )


def _case(case: Document, document: Document, at_hand: bool, paper: str) -> str:
    age = "?" if case.get("age_years") is None else f"{case['age_years']:.0f}"
    found_by = texts.FOUND_BY.get(str(case.get("found_by")), str(case.get("found_by")))
    findings, measured = document.get("findings") or (), document.get("measurements") or {}
    found = contrast(
        Case(case["id"][2:], float(case["similarity"]), statements=case["statements"], measurements=case["measurements"]),
        {f["code"]: f["state"] for f in findings},
        {name: item["value"] for name, item in measured.items()},
    )
    names = {f["code"]: f["name"] for f in findings}
    lines = [
        (title, ", ".join(names.get(code, code) for code in codes))
        for title, codes in (
            (texts.SHARED, found.shared), (texts.ONLY_THERE, found.only_case), (texts.OPEN_HERE, found.open),
            (texts.ONLY_HERE, found.only_asked),
        )
    ]  # fmt: skip
    beside = [
        f"{name_of(name)} {number(pair[1], unit)} ({number(pair[0], unit)})"
        for name, pair in found.measurements.items()
        if name in _BESIDE and (unit := measured[name]["unit"])
    ]
    lines.append((texts.VALUES_THERE, "; ".join(beside)))
    rows = "".join(f"<div><dt>{escape(title)}</dt><dd>{escape(body)}</dd></div>" for title, body in lines if body)
    button = ""
    if at_hand or paper:
        words = texts.HIDE_TRACE if paper else texts.SHOW_TRACE
        button = f'<button type="button" class="ea-small" data-case="{escape(case["id"])}">{escape(words)}</button>'
    who = texts.CASE_OF.format(age, case.get("sex") or "?")
    return (
        f'<li id="case-{escape(case["id"])}"><b>{escape(case["id"])}</b> {escape(who)},'
        f" {escape(found_by)} <b>{case['similarity']:.2f}</b> {button}<dl>{rows}</dl>{paper}</li>"
    )


def comparison_html(compared: Document, document: Document) -> str:
    """What changed since the previous recording: findings, values beyond the noise of a repetition, and the rest."""
    caution = "".join(f'<p class="ea-box ea-quality">{escape(text)}</p>' for text in compared["caution"])
    findings = "".join(
        f'<li data-change="{escape(f["change"])}"><b>{escape(f["change"])}</b> {escape(f["name"])}'
        f" {chips([f['id']], document)}</li>"
        for f in compared["findings"]
    )
    said = f"<ul>{findings}</ul>" if findings else f'<p class="ea-none">{escape(texts.NOTHING_STATED_IN_EITHER)}</p>'
    order = {"higher": 0, "lower": 0, "within noise": 1}
    rows = "".join(
        f'<tr data-changed="{"yes" if v["change"] in ("higher", "lower") else "no"}">'
        f'<th scope="row">{escape(name_of(v["id"][2:]))}</th><td class="ea-num">{escape(_proper(v["before"]))}</td>'
        f'<td class="ea-num">{escape(_proper(v["after"]))}</td><td class="ea-num">{escape(_step(v))}</td>'
        f'<td class="ea-num">{escape(number(v["noise_limit"], v["unit"]))}</td><td>{escape(v["change"])}</td></tr>'
        for v in sorted(compared["measurements"], key=lambda v: order.get(v["change"], 2))
    )
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in texts.COMPARED_COLUMNS)
    sources = dict.fromkeys(v["source"] for v in compared["measurements"])
    note = "".join(f'<p class="ea-note">{escape(texts.NOISE_NOTE)} {escape(text)}.</p>' for text in sources)
    table = f"<table class='ea-table'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    return f"<h3>{escape(texts.COMPARISON)}</h3>{caution}{said}{table}{note}"


def _proper(text: str) -> str:
    """A printed value with a proper minus."""
    return text.replace("-", "−")


def _step(change: Document) -> str:
    """A difference with its sign and unit; none before nothing."""
    difference = change["difference"]
    return f"{'+' if (difference or 0) > 0 else ''}{number(difference, change['unit'])}"
