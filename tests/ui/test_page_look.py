"""The page's look in a real browser: calipers, the leads shown, a fast paper, a phone, and colours that can be told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ui import texts

FIRST, SECOND = texts.SCRIPTED["first"], texts.SCRIPTED["second"]
OUT = ".ea-caliper-out"
#: Contrast of what a selector names, its colour (or another property) against the first opaque background beneath it.
CONTRAST = """([selector, property, pseudo]) => {
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const one = document.querySelector(selector), ink = parts(getComputedStyle(one, pseudo)[property]);
  let ground = one;
  const solid = (e) => { const p = parts(getComputedStyle(e).backgroundColor); return p.length < 4 || p[3] > .99; };
  while (ground.parentElement && !solid(ground)) ground = ground.parentElement;
  const [a, b] = [light(ink.slice(0, 3)), light(parts(getComputedStyle(ground).backgroundColor).slice(0, 3))];
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
}"""


def click_on_paper(page: Any, *places: tuple[float, float]) -> None:
    """Clicks places of the paper, given as shares of its visible width and height."""
    box = page.locator("#paper .ea-scroll").bounding_box()
    for x, y in places:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def nothing_is_measured(page: Any) -> bool:
    """The calipers are on and wait for a first point; no line stands on the paper."""
    page.wait_for_function("([at, words]) => document.querySelector(at).textContent === words", arg=[OUT, FIRST])
    pressed = page.get_attribute("[data-calipers]", "aria-pressed") == "true"
    return pressed and page.locator(".ea-calipers > *").count() == 0


def test_a_measurement_goes_with_the_drawing_it_was_made_on(visit: Any, stub: Any) -> None:
    visitor = visit(stub)
    page = visitor.page
    visitor.analyse("Atrial fibrillation")
    page.click("[data-calipers]")
    click_on_paper(page, (0.3, 0.5), (0.4, 0.4))
    assert "ms, " in page.inner_text(OUT) and page.locator(".ea-calipers rect").count() == 1
    # Another patient, in the same layout.
    visitor.analyse("Normal sinus rhythm")
    assert nothing_is_measured(page)
    # One point, then another speed or gain: the second point begins anew, on the new scale.
    for tool, value in (("speed", "50"), ("gain", "20"), ("layout", "rows")):
        click_on_paper(page, (0.3, 0.5))
        assert page.inner_text(OUT) == SECOND
        drawn = page.get_attribute("#paper .ea-svg", "data-drawn")
        page.select_option(f"[data-view={tool}]", value)
        page.wait_for_function("old => document.querySelector('#paper .ea-svg').dataset.drawn !== old", arg=drawn)
        assert nothing_is_measured(page)
    # What the server does not draw anew keeps what was measured.
    click_on_paper(page, (0.3, 0.5), (0.4, 0.5))
    measured = page.inner_text(OUT)
    page.click("#s-0-accept")
    page.wait_for_selector(".ea-s[data-key='0'][data-state=accepted]")
    assert page.inner_text(OUT) == measured != FIRST and page.locator(".ea-calipers rect").count() == 1
    visitor.quiet()


def test_calipers_by_keyboard_from_the_button_and_one_measurement_after_the_other(visit: Any, stub: Any) -> None:
    visitor = visit(stub)
    page = visitor.page
    visitor.analyse("Normal sinus rhythm")
    page.focus("[data-calipers]")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className").startswith("ea-scroll")
    assert page.locator(".ea-calipers line").count() == 2  # the point that the keys move
    for keys, words in (
        (["Enter", *["Shift+ArrowRight"] * 4, "Enter"], "800 ms, 0.00 mV, rate 75/min"),
        (["ArrowDown", "Enter", *["Shift+ArrowUp"] * 2, "Enter"], "0 ms, 1.00 mV"),
    ):
        for key in keys:
            page.keyboard.press(key)
        assert page.inner_text(OUT) == words and page.locator(".ea-calipers rect").count() == 1
    # A drawing that is new under the keys: the point stands on it, and C is not needed.
    page.select_option("[data-view=speed]", "50")
    page.wait_for_selector("#paper .ea-svg[data-mm-per-s='50']")
    page.focus("#paper .ea-scroll")
    for key in ("ArrowRight", "Enter", *["Shift+ArrowRight"] * 4, "Enter"):
        page.keyboard.press(key)
    assert page.inner_text(OUT) == "400 ms, 0.00 mV, rate 150/min"
    page.keyboard.press("Escape")
    assert page.get_attribute("[data-calipers]", "aria-pressed") == "false" and page.locator(".ea-calipers").count() == 0
    visitor.quiet()


def test_the_last_lead_stays(visit: Any, stub: Any) -> None:
    visitor = visit(stub)
    page = visitor.page
    visitor.analyse("Normal sinus rhythm")
    page.click(".ea-leads summary")
    boxes = page.locator("[data-lead-box]")
    for n in range(11):
        boxes.nth(n).uncheck()
    page.wait_for_function("document.querySelectorAll('#paper .ea-strip').length === 1")
    boxes.nth(11).click()
    assert boxes.nth(11).is_checked()
    boxes.nth(0).check()
    page.wait_for_function("document.querySelectorAll('#paper .ea-strip').length === 2")
    assert [one.get_attribute("data-lead") for one in page.locator("#paper .ea-strip").all()] == ["I", "V6"]
    visitor.quiet()


def test_a_fast_paper_keeps_its_scale_and_names_stay_readable(visit: Any, stub: Any, tmp_path: Path) -> None:
    visitor = visit(stub)
    page = visitor.page
    visitor.analyse("Normal sinus rhythm")
    pixels = "() => document.querySelector('#paper .ea-svg').getScreenCTM().a"
    before = page.evaluate(pixels)
    page.select_option("[data-view=speed]", "50")
    page.wait_for_selector("#paper .ea-svg[data-mm-per-s='50']")
    assert page.evaluate(pixels) == pytest.approx(before, rel=0.02)
    scroll = page.locator("#paper .ea-scroll")
    assert scroll.evaluate("one => one.scrollWidth / one.clientWidth") > 1.8
    page.screenshot(path=tmp_path / "fast.png")
    page.select_option("[data-view=speed]", "25")
    page.wait_for_selector("#paper .ea-svg[data-mm-per-s='25']")
    page.set_viewport_size({"width": 390, "height": 844})
    size = "() => parseFloat(getComputedStyle(document.querySelector('.ea-lead')).fontSize)"
    page.wait_for_function(f"({size})() * ({pixels})() > 8.5")
    assert page.evaluate(size) > 3.4
    visitor.quiet()


def test_the_page_on_a_phone(visit: Any, stub: Any, tmp_path: Path) -> None:
    visitor = visit(stub)
    page = visitor.page
    page.set_viewport_size({"width": 390, "height": 844})
    visitor.analyse("Atrial fibrillation")
    left, right = (page.locator(at).bounding_box() for at in ("#left", "#right"))
    assert left["width"] > 350 and right["width"] > 350 and right["y"] >= left["y"] + left["height"]
    assert left["x"] + left["width"] <= 390 and right["x"] + right["width"] <= 390
    tops = {round(one.bounding_box()["y"]) for one in page.locator(".ea-vital").all()}
    assert len(tops) == 2
    visitor.fits()
    # No value and no sentence reaches into its neighbour or under its buttons.
    over = page.evaluate("""() => {
      const right = (one) => one.getBoundingClientRect().right, left = (one) => one.getBoundingClientRect().left;
      const values = [...document.querySelectorAll('.ea-vital')].filter((one) => right(one.querySelector('b')) > right(one));
      const sentences = [...document.querySelectorAll('.ea-s')]
        .filter((one) => right(one.querySelector('.ea-words')) > left(one.querySelector('.ea-tools-of')));
      return values.length + sentences.length;
    }""")
    assert over == 0
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    visitor.quiet()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_chosen_or_hinted_at_can_be_told(visit: Any, stub: Any, theme: str) -> None:
    visitor = visit(stub)
    page = visitor.page
    page.goto(f"{visitor.address}/?__theme={theme}")
    page.wait_for_selector("#analyse")

    def contrast(selector: str, which: str = "color", pseudo: str | None = None) -> float:
        return float(page.evaluate(CONTRAST, [selector, which, pseudo]))

    chosen, other = contrast("[role=tab][aria-selected=true]"), contrast("[role=tab][aria-selected=false]")
    assert chosen > other > 4.5
    assert contrast("#patient-key textarea, #patient-key input", pseudo="::placeholder") > 4.5
    assert contrast("#demo label:not(.selected) input", "borderTopColor") > 3
    # Labels stand in their own line, over neither the drop area nor the talk.
    page.set_viewport_size({"width": 1440, "height": 900})
    label, words = (page.locator(at).bounding_box() for at in ("#files label", "#files [data-testid=upload-text]"))
    assert label["y"] + label["height"] <= words["y"]
    visitor.tab("Ask")
    label, log = (page.locator(at).bounding_box() for at in ("#talk label", "#talk [role=log]"))
    assert label["y"] + label["height"] <= log["y"] + 1
    visitor.quiet()
