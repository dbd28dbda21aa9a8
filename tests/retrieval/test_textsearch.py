"""What a text asks for beyond the plain cases of `test_library`: units, signs, sites, stages, and what no statement stands for.

The text model is real: it is what would take "ventricular fibrillation" for the atrial one.
"""

from __future__ import annotations

import pytest

from encoders.errors import QueryError
from encoders.vocabulary import CODES
from retrieval.phrases import OUTSIDE, PHRASES, at_site
from retrieval.text import TextEncoder
from retrieval.textsearch import understand


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder()


def written(text: str, encoder: TextEncoder) -> list[str]:
    return [condition for _, condition in understand(text, encoder).said]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("PR interval longer than 0.3 s", "pr_ms>300"),
        ("QRS 120ms", "qrs_ms>=110 and qrs_ms<=130"),
        ("QT 0,4 s", "qt_ms>=390 and qt_ms<=410"),
        ("QRS 0.14 s", "qrs_ms>=130 and qrs_ms<=150"),
        ("QTc 0.46 to 0.50 s", "qtc_ms>=460 and qtc_ms<=500"),
        ("QTc between 0.46 s and 0.50 seconds", "qtc_ms>=460 and qtc_ms<=500"),
        ("QRS < 0.12 sec", "qrs_ms<120"),
        ("QTc 460-500 ms", "qtc_ms>=460 and qtc_ms<=500"),
        ("PR over 200", "pr_ms>200"),
        ("axis below -30", "axis_deg<-30"),
        ("axis -60", "axis_deg>=-70 and axis_deg<=-50"),
        ("axis −60°", "axis_deg>=-70 and axis_deg<=-50"),
        ("axis between -60 and -90", "axis_deg>=-90 and axis_deg<=-60"),
        ("axis 30-60 degrees", "axis_deg>=30 and axis_deg<=60"),
        ("below 45 bpm", "rate_bpm<45"),
        ("at least 120 a minute", "rate_bpm>=120"),
        ("100 to 120/min", "rate_bpm>=100 and rate_bpm<=120"),
        ("45 bpm", "rate_bpm>=40 and rate_bpm<=50"),
    ],
)
def test_units_and_signs_of_values(encoder: TextEncoder, text: str, condition: str) -> None:
    assert written(text, encoder) == [condition]
    assert understand(text, encoder).ignored == ()


def test_a_value_and_an_age_stay_apart(encoder: TextEncoder) -> None:
    for text in ("QRS 130 ms and 60 years old", "QRS 130 and 60 years old"):
        assert written(text, encoder) == ["qrs_ms>=120 and qrs_ms<=140", "age>=58 and age<=62"]


def test_a_value_that_cannot_be_is_not_searched_for(encoder: TextEncoder) -> None:
    query = understand("LBBB, PR over 0.2", encoder)
    assert query.wanted == (("CLBBB",),) and query.condition is None and query.ignored == ("pr over 0.2",)
    for text in ("PR interval longer than 0.3", "QTc 0.46 to 0.50", "QRS 140 s", "2 per minute"):
        with pytest.raises(QueryError, match="out of range; check the number and its unit"):
            understand(text, encoder)


@pytest.mark.parametrize("text", ["ventricular fibrillation", "Ventricular tachycardia", "wandering pacemaker", "non-STEMI"])
def test_what_no_statement_stands_for_is_refused(encoder: TextEncoder, text: str) -> None:
    with pytest.raises(QueryError, match=f"No statement of the library stands for {text.lower().replace('-', ' ')};"):
        understand(text, encoder)
    with pytest.raises(QueryError):
        understand(text, encoder, keep_spoken=True)  # nor is it held against the signals


@pytest.mark.parametrize(
    ("text", "wanted", "ignored"),
    [
        ("AFIB or ventricular fibrillation", [("AFIB",)], ("ventricular fibrillation",)),
        ("LBBB without ventricular tachycardia", [("CLBBB",)], ("ventricular tachycardia",)),
        ("LBBB and polymorphic ventricular tachycardia", [("CLBBB",)], ("ventricular tachycardia",)),
        ("supra-ventricular tachycardia", [("SVTAC",)], ()),
        ("idioventricular rhythm, LVH", [("LVH",)], ("idioventricular rhythm",)),
    ],
)
def test_what_no_statement_stands_for_is_named(
    encoder: TextEncoder, text: str, wanted: list[tuple[str, ...]], ignored: tuple[str, ...]
) -> None:
    query = understand(text, encoder)
    assert (list(query.wanted), query.unwanted, query.ignored) == (wanted, (), ignored)


def test_nothing_is_both_known_and_outside() -> None:
    assert {name.lower() for name in OUTSIDE}.isdisjoint(PHRASES)
    assert len({name.lower() for name in OUTSIDE}) == len(OUTSIDE)


@pytest.mark.parametrize(
    ("text", "wanted", "ignored"),
    [
        ("anterior STEMI", {"INJAS", "INJAL", "AMI", "ASMI", "ALMI"}, ()),
        ("inferior STEMI", {"INJIN", "INJIL", "IMI", "ILMI", "IPMI", "IPLMI"}, ()),
        ("posterior STEMI", {"PMI", "IPMI", "IPLMI"}, ()),
        ("heart attack of the inferolateral wall", {"ILMI", "IPLMI"}, ()),
        ("ST elevation in the inferior leads", {"INJIN", "INJIL"}, ()),
        ("anterolateral ischaemia", {"ISCAL"}, ()),
        ("posterior ischaemia", {c for c in CODES if c.startswith("ISC")}, ("posterior",)),
        ("anterior T wave inversion", {"INVT"}, ("anterior",)),
        ("acute inferior infarction", {"IMI", "ILMI", "IPMI", "IPLMI"}, ("acute",)),
        ("old inferior infarction", {"IMI", "ILMI", "IPMI", "IPLMI"}, ("old",)),
        ("old infarction", set(PHRASES["infarction"]), ("old",)),
        ("acute MI", set(PHRASES["stemi"]), ()),
        ("new LBBB", {"CLBBB"}, ("new",)),
        ("show new recordings of LBBB", {"CLBBB"}, ()),
    ],
)
def test_site_and_stage_are_heeded_or_named(
    encoder: TextEncoder, text: str, wanted: set[str], ignored: tuple[str, ...]
) -> None:
    query = understand(text, encoder)
    assert len(query.wanted) == 1
    assert (set(query.wanted[0]), query.ignored) == (wanted, ignored)


def test_a_site_leaves_the_codes_that_name_it() -> None:
    assert at_site(("IMI", "ILMI", "AMI"), "inferior") == ("IMI", "ILMI")
    assert at_site(("IMI", "ILMI", "AMI"), "inferolateral") == ("ILMI",)
    assert at_site(("LAFB", "LPFB"), "posterior") == ("LPFB",)
    assert at_site(("INVT", "STE_"), "lateral") == ()


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("ST elevation above 2 mm", ("above 2 mm",)),
        ("bradycardia 45", ("45",)),
        ("LVH over 0.3 s", ("over 0.3 s",)),
        ("12-lead ECG with LBBB", ()),
        ("RBBB with ST depression in V1 to V3", ()),
    ],
)
def test_numbers_that_no_rule_took_are_named(encoder: TextEncoder, text: str, ignored: tuple[str, ...]) -> None:
    query = understand(text, encoder)
    assert query.condition is None and query.ignored == ignored


def test_a_rate_without_its_word_and_pacing_ruled_out(encoder: TextEncoder) -> None:
    query = understand("bradycardia below 45 bpm without pacing", encoder)
    assert (query.wanted, query.unwanted, query.ignored) == ((("SBRAD",),), ("PACE",), ())
    assert written(query.text, encoder) == ["rate_bpm<45"]
