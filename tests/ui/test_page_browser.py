"""The page in a real browser: a clinician's round, quiet, within a laptop's screen, for a keyboard, and to no other host."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from encoders.ecg import ECG
from encoders.errors import ArtefactError
from encoders.patient import hash_patient
from ui.demo import demo

LABEL = "Bed 7 Zzyzx-4711"


def wfdb_files(ecg: ECG, folder: Path, name: str, day: str) -> tuple[Path, Path]:
    """The recording as a WFDB record of two files, as a cart's export would bring it."""
    from datetime import datetime

    import wfdb

    folder.mkdir(exist_ok=True)
    when = datetime.fromisoformat(day)
    wfdb.wrsamp(
        name, fs=int(ecg.fs_hz), units=["mV"] * 12, sig_name=list(ecg.leads), p_signal=ecg.signal_mv.T.astype(float),
        fmt=["16"] * 12, write_dir=str(folder), base_date=when.date(), base_time=when.time(),
        comments=["Age: 74", "Sex: M"],
    )  # fmt: skip
    return folder / f"{name}.hea", folder / f"{name}.dat"


def held_by_files(root: Path, word: str) -> list[str]:
    """Files under a folder that hold a word, in UTF-8 or UTF-16."""
    needles = (word.encode(), word.encode("utf-16-le"))
    files = [path for path in root.rglob("*") if path.is_file()]
    return [path.name for path in files if any(needle in path.read_bytes() for needle in needles)]


def test_a_clinicians_whole_round(
    visit: Any, stub: Any, explained: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from fhir.resources.R4B.bundle import Bundle
    from pypdf import PdfReader

    from ui.audit import AuditStore

    store = AuditStore(tmp_path / "kept" / "audit.sqlite")
    visitor = visit(stub, audit=store)
    page = visitor.page
    # Drop and read.
    visitor.drop(*wfdb_files(demo("af"), tmp_path / "own", "ward7", "2025-03-01T10:22:00"))
    draft = visitor.go().inner_text()
    assert "Unconfirmed draft" in draft and "F:AFIB" in draft and "Something critical." in draft
    assert page.inner_text(".ea-badge") == "Unconfirmed draft"
    assert stub.seen[0].source == "wfdb" and "110/min" in page.inner_text("#vitals") and "60–100" in page.inner_text("#vitals")
    visitor.fits()
    page.screenshot(path=tmp_path / "read.png")
    # A finding: what speaks for it stands on the paper, and the evidence in words.
    visitor.tab("Findings")
    page.locator(".ea-finding", has_text="F:AFIB").click()
    page.wait_for_selector("#paper .ea-shade")
    shade = page.locator("#paper .ea-shade").first
    strip = page.locator("#paper .ea-strip[data-lead=V2]").first
    assert shade.locator("xpath=..").get_attribute("data-lead") == "V2"
    x = (2.0 - float(strip.get_attribute("data-start"))) * 25 + float(strip.get_attribute("data-x"))
    assert float(shade.get_attribute("x")) == pytest.approx(x, abs=2.6)  # spans are smoothed over 0.08 s
    assert "V2 100 %" in page.inner_text("#evidence") and "calibrated probability 97 %" in page.inner_text("#evidence")
    visitor.fits()
    visitor.accessible()
    page.screenshot(path=tmp_path / "finding.png")
    # Ask; the reply's evidence can be pressed.
    visitor.tab("Ask")
    assert "Answer 1 to <b>What is the rate?</b>" in visitor.ask("What is the rate?")
    page.locator("#talk .ea-ev").first.click()
    page.wait_for_function("document.querySelector('#evidence').innerText.includes('M:rate_bpm')")
    # Accept, change, reject, add.
    visitor.tab("Draft")
    page.click("#s-1-accept")
    page.wait_for_selector(".ea-s[data-key='1'][data-state=accepted]")
    page.click("#s-0-change")
    page.fill(".ea-editor textarea", "Atrial fibrillation, known.")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ea-s[data-key='0'][data-state=changed]")
    rejected = page.inner_text(".ea-s[data-key='2'] .ea-words")
    page.click("#s-2-reject")
    page.wait_for_selector(".ea-s[data-key='2'][data-state=rejected]")
    page.fill("#add-text", "Rate control under way.")
    page.keyboard.press("Enter")
    page.wait_for_selector(".ea-s[data-state=added]")
    # An export before the signature says that it is a draft.
    early = json.loads(visitor.take("json"))
    assert early["unconfirmed"] is True and early["state"] == "Unconfirmed draft" and "patient_label" not in early
    assert json.loads(visitor.take("fhir"))["entry"][0]["resource"]["status"] == "preliminary"
    # Sign: not without a label.
    page.fill("#signer", "Dr Ada Lovelace")
    page.click("#sign")
    page.wait_for_selector("#message .ea-error")
    assert "label" in page.inner_text("#message")
    page.fill("#label", LABEL)
    page.click("#sign")
    page.wait_for_selector("#draft [data-signed=true]")
    page.wait_for_function("document.querySelector('#sign').disabled")
    assert "Signed by Dr Ada Lovelace" in page.inner_text("#draft") and page.input_value("#label") == LABEL
    assert "Signed by" in page.inner_text(".ea-badge") and page.locator("[data-edit]").count() == 0
    page.screenshot(path=tmp_path / "signed.png", full_page=True)
    # Take away.
    text = "\n".join(one.extract_text() for one in PdfReader(BytesIO(visitor.take("pdf"))).pages)
    kept = json.loads(visitor.take("json"))
    bundle = json.loads(visitor.take("fhir"))
    for part in (LABEL, "Signed by Dr Ada Lovelace", "Atrial fibrillation, known.", "Rate control under way.", "aVR", "25 mm/s"):
        assert part in text
    assert "no treatment advice" in text.replace("\n", " ") and "Unconfirmed" not in text and rejected not in text
    assert kept["patient_label"] == LABEL and kept["signed_by"] == "Dr Ada Lovelace" and kept["unconfirmed"] is False
    assert rejected not in json.dumps(kept["report"]) and "Rate control under way." in kept["report"]["impression"]
    Bundle.model_validate(bundle)
    report = bundle["entry"][0]["resource"]
    assert report["status"] == "final" and report["subject"] == {"display": LABEL} and report["effectiveDateTime"] == "2025-03-01"
    # On record: who signed and what was changed; nowhere: the label. A recording dropped does not stay either.
    signed = next(entry for entry in store.entries() if entry.action == "sign")
    assert signed.body["signer"] == "Dr Ada Lovelace" and {e["kind"] for e in signed.body["edits"]} == {
        "accepted", "changed", "rejected", "added",
    }  # fmt: skip
    assert [e.action for e in store.entries()].count("export") == 5
    store.close()
    assert held_by_files(tmp_path, "Zzyzx") == [] and "Zzyzx" not in caplog.text
    left = [path for path in (tmp_path / "gradio").rglob("*") if path.is_file() and path.stat().st_size]
    assert left == []
    visitor.quiet()


def test_two_recordings_side_by_side_and_one_that_cannot_be_read(
    visit: Any, stub: Any, tmp_path: Path
) -> None:
    visitor = visit(stub)
    page = visitor.page
    broken = tmp_path / "broken.hea"
    broken.write_text("nonsense", encoding="utf-8")
    visitor.drop(broken)
    visitor.go()
    sentence = page.inner_text("#message .ea-error")
    assert "broken" in sentence and "/" not in sentence and stub.seen == []
    first = wfdb_files(demo("normal"), tmp_path / "a", "before", "2024-01-05T08:00:00")
    second = wfdb_files(demo("lbbb"), tmp_path / "b", "after", "2025-03-01T10:22:00")
    visitor.drop(*second, *first, broken)
    visitor.go()
    page.wait_for_selector("#draft .ea-document")
    assert "Recordings read: 2 of 3." in page.inner_text("#message")  # the bad one costs only itself
    # The latest is shown; the other is offered as the previous one.
    assert "after" in page.input_value("#shown input")
    page.get_by_label("Previous recording of the same patient").click()
    page.get_by_role("option", name="before").click()
    page.wait_for_selector("#paper [data-count='2']")
    assert page.locator("#paper .ea-svg").count() == 2 and "Previous recording: before" in page.inner_text("#paper")
    visitor.tab("Compare")
    told = page.inner_text("#compared")
    assert "QRS" in told and "within noise" in told and "unchanged" in told
    assert page.locator("#compared tr[data-changed=yes]").count() >= 1
    visitor.fits()
    page.screenshot(path=tmp_path / "compared.png")
    # Something wrong costs nothing of what is on the page.
    if not page.locator("#analyse").is_visible():
        page.get_by_role("button", name="Recordings").click()
    page.fill("#age textarea, #age input", "old")
    visitor.go()
    assert "age is not accepted" in page.inner_text("#message") and page.locator("#paper .ea-svg").count() == 2
    visitor.quiet()


def test_the_paper_answers_to_mouse_and_keyboard(visit: Any, stub: Any, tmp_path: Path) -> None:
    visitor = visit(stub)
    page = visitor.page
    visitor.analyse("Normal sinus rhythm")
    # Calipers: 20 mm apart at 25 mm/s are 800 ms, and 10 mm are 1 mV.
    page.click("[data-calipers]")
    box = page.locator("#paper .ea-svg").bounding_box()
    mm = box["width"] / float(page.locator("#paper .ea-svg").get_attribute("viewBox").split()[2])
    page.mouse.click(box["x"] + 50 * mm, box["y"] + 60 * mm)
    page.mouse.click(box["x"] + 70 * mm, box["y"] + 50 * mm)
    ms, mv, rate = page.inner_text(".ea-caliper-out").split(", ")
    assert abs(int(ms.split()[0]) - 800) <= 12 and abs(float(mv.split()[0]) - 1.0) <= 0.04
    assert rate in ("rate 74/min", "rate 75/min", "rate 76/min")
    page.screenshot(path=tmp_path / "calipers.png")
    page.keyboard.press("Escape")
    assert page.get_attribute("[data-calipers]", "aria-pressed") == "false"
    # The same by keyboard: C, arrows, Enter, arrows, Enter; plus zooms.
    page.focus("#paper .ea-scroll")
    for key in ("c", "Enter", *["Shift+ArrowRight"] * 3, "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.inner_text(".ea-caliper-out").startswith("620 ms, 0.00 mV")
    page.keyboard.press("+")
    assert page.locator("#paper .ea-svg").evaluate("one => one.style.width") == "125%"
    page.keyboard.press("0")
    # Speed, gain, layout, leads.
    page.select_option("[data-view=speed]", "50")
    page.wait_for_selector("#paper .ea-svg[data-mm-per-s='50']")
    page.select_option("[data-view=gain]", "20")
    page.wait_for_selector("#paper .ea-svg[data-mm-per-mv='20']")
    page.select_option("[data-view=layout]", "beats")
    page.wait_for_function("document.querySelectorAll('#paper .ea-strip').length === 12")
    page.select_option("[data-view=layout]", "rows")
    page.click(".ea-leads summary")
    page.uncheck("[data-lead-box][value=I]")
    page.wait_for_function("document.querySelectorAll('#paper .ea-strip').length === 11")
    page.select_option("[data-view=speed]", "25")  # at 50 mm/s the paper is wider than its place, and scrolled
    page.wait_for_selector("#paper .ea-svg[data-mm-per-s='25']")
    visitor.fits()
    # Decisions that come fast are all taken.
    page.evaluate("['s-0-accept', 's-1-reject', 's-2-accept', 's-3-reject'].forEach(id => document.getElementById(id).click())")
    page.wait_for_function("document.querySelectorAll('.ea-s[data-state=accepted], .ea-s[data-state=rejected]').length === 4")
    # Tab reaches sentence, tools and the form in order; what has the focus shows it.
    page.focus("#s-0-words")
    seen = []
    for _ in range(6):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.look"))
    assert seen[:4] == ["F:AFIB", "s-0-accept", "s-0-change", "s-0-reject"]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Shift+Tab")
    visitor.quiet()


def test_a_referral_looks_like_one(visit: Any, stub: Any, tmp_path: Path) -> None:
    visitor = visit(stub)
    page = visitor.page
    visitor.accessible()
    referral = visitor.analyse("Electrodes off, muscle noise").inner_text()
    assert "Referral: handed over to a human" in referral and "flat line" in referral and "to record it again" in referral
    assert referral.index("Something critical.") < referral.index("Referral: handed over") < referral.index("What is known")
    visitor.fits()
    for name in ("Values", "Compare", "Cases", "Ask", "Draft"):
        visitor.tab(name)
        visitor.accessible()
    page.screenshot(path=tmp_path / "referred.png")
    page.set_viewport_size({"width": 1920, "height": 1080})
    visitor.fits()
    visitor.quiet()


def test_a_patient_key_goes_with_its_recordings_and_leaves_the_page(
    visit: Any, stub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ECG_ASSISTANT_HOME", str(tmp_path))
    visitor = visit(stub)
    field = visitor.page.locator("#patient-key input, #patient-key textarea")
    read: list[str | None] = []
    original = type(stub).read
    monkeypatch.setattr(
        type(stub), "read", lambda self, ecgs, **more: (read.extend(e.patient for e in ecgs), original(self, ecgs, **more))[1]
    )
    field.fill("ward-7 / 4711")
    visitor.analyse("Atrial fibrillation")
    visitor.until(lambda: field.input_value() == "")
    assert read == [hash_patient("ward-7 / 4711")] and "4711" not in visitor.page.content()
    visitor.quiet()


def test_what_is_lost_on_the_way_is_sent_again_and_what_comes_twice_is_done_once(
    visit: Any, stub: Any
) -> None:
    visitor = visit(stub)
    page = visitor.page
    visitor.analyse("Atrial fibrillation")
    # The first message of each event is lost, the second one comes twice.
    page.evaluate(
        "() => { const real = window.eaSend, seen = new Set();"
        " window.eaSend = (name, data) => {"
        " if (seen.has(data.n)) { real(name, data); setTimeout(() => real(name, data), 50); } seen.add(data.n); } }"
    )
    page.fill("#add-text", "Seen once.")
    page.evaluate("document.querySelector('[data-edit=add]').click(); document.getElementById('s-0-accept').click()")
    page.wait_for_selector(".ea-s[data-state=accepted]")
    page.evaluate("document.getElementById('s-2-reject').click()")
    page.wait_for_selector(".ea-s[data-state=rejected]")
    assert page.locator("#draft .ea-s", has_text="Seen once.").count() == 1
    assert page.locator(".ea-s[data-state=accepted]").count() == 1
    visitor.quiet()


def test_exports_and_signature_pressed_fast_are_each_done_once(visit: Any, stub: Any) -> None:
    visitor = visit(stub)
    page, taken = visitor.page, []
    page.on("download", lambda one: taken.append(one.suggested_filename))
    visitor.analyse("Atrial fibrillation")
    page.evaluate("['json', 'fhir', 'pdf', 'json'].forEach(kind => document.getElementById('export-' + kind).click())")
    visitor.until(lambda: len(taken) >= 4)
    assert sorted(name.split("-unconfirmed.")[1] for name in taken) == ["fhir.json", "json", "json", "pdf"]
    page.fill("#signer", "Dr Ada Lovelace")
    page.fill("#label", LABEL)
    page.evaluate("[1, 2].forEach(() => document.getElementById('sign').click())")
    page.wait_for_selector("#draft [data-signed=true]")
    page.click("#export-json")
    visitor.until(lambda: len(taken) >= 5)
    assert len(taken) == 5 and "unconfirmed" not in taken[-1] and page.locator("#message .ea-error").count() == 0
    visitor.quiet()


def test_a_label_stays_with_its_recording_and_a_signature_with_its_report(
    visit: Any, stub: Any, tmp_path: Path
) -> None:
    visitor = visit(stub)
    page = visitor.page

    def show(n: int) -> None:
        """Chooses a recording and waits for its report."""
        page.evaluate("document.querySelector('#draft .ea-document').dataset.old = '1'")
        page.click("#shown input")
        page.locator("#shown [role=option]").nth(n).click()
        page.wait_for_selector("#draft .ea-document:not([data-old])")

    own = tmp_path / "own"
    first = wfdb_files(demo("normal"), own, "one", "2024-03-01T10:22:00")
    visitor.drop(*first, *wfdb_files(demo("af"), own, "two", "2025-03-01T10:22:00"))
    visitor.go()
    page.fill("#signer", "Dr Ada Lovelace")
    page.fill("#label", LABEL)
    page.click("#s-0-reject")
    page.wait_for_selector(".ea-s[data-key='0'][data-state=rejected]")
    page.click("#sign")
    page.wait_for_selector("#draft [data-signed=true]")
    # The other recording may be of another patient.
    show(0)
    page.wait_for_function("document.querySelector('#label').value === ''")
    assert page.locator("#draft [data-signed=true]").count() == 0 and not page.is_disabled("#sign")
    show(1)
    page.wait_for_selector("#draft [data-signed=true]")
    page.wait_for_function("document.querySelector('#sign').disabled")
    assert page.locator(".ea-s[data-key='0'][data-state=rejected]").count() == 1 and "Signed by" in page.inner_text(".ea-badge")
    assert page.input_value("#label") == "" and json.loads(visitor.take("json"))["signed_by"] == "Dr Ada Lovelace"
    visitor.quiet()


def test_who_signed_in_can_sign_out(visit: Any, stub: Any, tmp_path: Path) -> None:
    from ui.keys import KeyFile

    keys = KeyFile(tmp_path / "keys.sqlite")
    visitor = visit(stub, keys=keys, key=keys.add("Ward 3", "clinician"))
    page = visitor.page
    visitor.analyse("Atrial fibrillation")
    json.loads(visitor.take("json"))
    visitor.fits()
    page.click("#sign-out")
    page.wait_for_selector("#key")
    page.goto(visitor.address)
    assert page.locator("#key").count() == 1 and page.locator("#analyse").count() == 0


def test_the_real_assistant_on_the_page(visit: Any, tmp_path: Path) -> None:
    from assistant import Assistant

    try:
        assistant = Assistant.load()
        assert assistant.language is not None
    except ArtefactError as error:
        pytest.skip(f"an artefact is not in this tree: {error}")
    visitor = visit(assistant)
    draft = visitor.analyse("Atrial fibrillation").inner_text().lower()
    assert "atrial fibrillation" in draft
    visitor.tab("Findings")
    visitor.page.locator(".ea-finding", has_text="F:AFIB").click()
    visitor.page.wait_for_selector("#paper .ea-shade")
    assert "Leads that speak for atrial fibrillation" in visitor.page.inner_text("#evidence")
    visitor.tab("Ask")
    assert "ms" in visitor.ask("How long is the QRS complex?")
    visitor.fits()
    visitor.page.screenshot(path=tmp_path / "real-af.png", full_page=True)
    visitor.analyse("Electrodes off, muscle noise")
    assert "Referral" in visitor.page.inner_text("#draft")
    assert visitor.page.locator("#talk .message").count() == 0  # a new recording, a new conversation
    visitor.quiet()
