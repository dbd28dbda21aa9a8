"""The page's HTML: escaped, the state said, referrals with what matters in front, every control with a name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ui.demo import demo
from ui.paper import View
from ui.present import document_html, message_html, paper_html, sign_html, tools_html
from ui.signing import BESIDE, Signed, SignedReport


def report(stub: Any, name: str) -> SignedReport:
    return SignedReport.of(stub.report(demo(name)).to_json(), draft_id="7")


def test_a_draft_says_that_it_is_one_and_cites_its_evidence(stub: Any) -> None:
    html = document_html(report(stub, "normal"))
    assert 'data-status="draft"' in html and "Unconfirmed draft" in html and ">F:AFIB<" in html
    assert "Atrial fibrillation &lt;i&gt;." in html and "<i>." not in html
    assert "QRS axis: " in html  # hovering an id shows the value behind it
    assert "Cannot be judged (2)" in html and "Not assessed (3)" in html


def test_a_referral_puts_critical_remarks_whom_and_why_in_front_and_says_them_once(stub: Any) -> None:
    made = report(stub, "noisy")
    html = document_html(made)
    order = [html.index(part) for part in ("Something critical.", "Referral: handed over", "to record it again",
                                           made.document["reasons"][0], "What is known all the same")]  # fmt: skip
    assert order == sorted(order)
    assert all(html.count(reason) == 1 for reason in made.document["reasons"])


def test_every_sentence_has_its_tools_until_it_is_signed(stub: Any) -> None:
    drafted = report(stub, "normal")
    changed = drafted.edited(drafted.edition.change("0", "Mine <b>.").reject("1").accept("2").add("More."))
    html = document_html(changed)
    assert html.count('data-edit="accept"') == len(drafted.edition.drafted)
    assert "Mine &lt;b&gt;." in html and "<del>Atrial fibrillation &lt;i&gt;.</del>" in html
    assert re.search(r'id="s-2-accept"[^>]* aria-pressed="true"', html) and 'data-state="added"' in html
    # Symbols alone are no names.
    buttons = re.findall(r"<button([^>]*)>(.*?)</button>", html)
    assert all("aria-label=" in attributes or re.search(r"\w", body) for attributes, body in buttons)
    signed = document_html(replace(changed, signed=Signed("Dr <A>", "2025-03-02T09:15:00Z")))
    assert "Signed by Dr &lt;A&gt;, 2025-03-02 09:15 UTC" in signed
    assert "data-edit" not in signed and 'data-signed="true"' in signed


def test_once_signed_what_was_signed_is_in_front_and_the_machines_remarks_apart(stub: Any) -> None:
    made = report(stub, "noisy")
    html = document_html(replace(made, signed=Signed("Dr A", "2025-03-02T09:15:00Z")))
    order = [html.index(part) for part in ("Signed by Dr A", "Atrial fibrillation &lt;i&gt;.", BESIDE, "Something critical.",
                                           "Referral: handed over")]  # fmt: skip
    assert order == sorted(order) and BESIDE not in document_html(made)


def test_words_that_no_finding_is_read_from_are_shown_as_such(stub: Any) -> None:
    made = report(stub, "normal")
    for words, unread in (("Not atrial fibrillation.", True), ("Atrial flutter.", False)):
        changed = document_html(made.edited(made.edition.change("0", words).add(words)))
        assert ("no finding is read from them" in changed) == unread


def test_the_form_never_holds_a_label(stub: Any) -> None:
    html = sign_html(report(stub, "normal"))
    assert re.search(r'<input id="label"[^>]*autocomplete="off"', html) and "value=" not in html
    assert [kind for kind in ("pdf", "json", "fhir") if f'data-hand="{kind}"' in html] == ["pdf", "json", "fhir"]


def test_the_papers_tools_say_what_is_chosen_and_offer_later_moments_of_long_recordings() -> None:
    html = tools_html(("I", "V2"), 10.0, View(mm_per_s=50.0, leads=("I",)))
    assert '<option value="50" selected>' in html and 'value="I" checked' in html and 'value="V2">' in html
    assert 'data-view="start"' not in html and '<option value="20">20 s</option>' in tools_html(("I",), 30.0, View())


def test_two_papers_stand_side_by_side_and_text_is_escaped() -> None:
    html = paper_html([("Before <1>", "<svg/>"), ("Now", "<svg/>")], "A & B")
    assert 'data-count="2"' in html and "Before &lt;1&gt;" in html and "A &amp; B" in html and html.count('tabindex="0"') == 2
    assert message_html("<script>") == '<div class="ea-box ea-error" role="alert">&lt;script&gt;</div>' and message_html("") == ""
