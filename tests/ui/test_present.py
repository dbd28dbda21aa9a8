"""Documents as HTML: escaped, sorted by urgency, referrals with what matters in front."""

from __future__ import annotations

import re
from typing import Any

from encoders.ecg import ECG
from ui.demo import demo
from ui.present import cases_html, document_html, error_html, findings_html, paper_html, vitals_html


def document(stub: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = stub.report(demo(name)).to_json()
    return found


def test_a_draft_says_that_it_is_one_and_cites_its_evidence(stub: Any) -> None:
    html = document_html(document(stub, "normal"))
    assert 'data-status="draft"' in html and "Unconfirmed draft" in html and ">F:AFIB<" in html
    assert "Atrial fibrillation &lt;i&gt;." in html and "<i>." not in html
    assert "QRS axis: " in html  # hovering an id shows the value behind it


def test_a_referral_puts_critical_remarks_and_reasons_in_front_and_says_them_once(stub: Any) -> None:
    made = document(stub, "noisy")
    html = document_html(made)
    order = [html.index(part) for part in ("Something critical.", "Handed over to a human", "What is known all the same")]
    assert order == sorted(order)
    assert all(html.count(reason) == 1 for reason in made["reasons"])


def test_findings_are_grouped_by_state_and_sorted_by_urgency(stub: Any) -> None:
    html = findings_html(document(stub, "normal"))
    assert html.index("F:AFIB") < html.index("F:NST_") < html.index("F:IMI") < html.index("F:NORM")
    assert "97 %" in html and "&lt; 1 %" in html and "A promise." in html
    assert html.count("<details") == 4


def test_missing_values_are_a_dash_and_never_zero(stub: Any) -> None:
    html = vitals_html(document(stub, "af"))
    assert "<span>PR</span><b>—</b>" in html and "<span>Rate</span><b>110/min</b>" in html
    assert re.search(r"<span>Beats with P</span><b>\d+ %</b>", html) and "M:st_j_mv_V2" in html


def test_cases_show_what_was_stated(stub: Any) -> None:
    html = cases_html(document(stub, "normal"))
    assert "C:17" in html and "0.91" in html and "AFIB" in html
    assert cases_html({"cases": []}) == ""


def test_paper_is_an_image_inside_the_page_and_text_is_escaped() -> None:
    ecg: ECG = demo("normal")
    assert 'src="data:image/png;base64,' in paper_html(ecg, "x") and "12 leads, 10 s" in paper_html(ecg)
    assert error_html("<script>") == '<div class="ea-box ea-error" role="alert">&lt;script&gt;</div>'
