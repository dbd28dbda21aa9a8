"""Understanding of questions in ECG-QA's style: templates, the data set's paraphrases, and wordings of our own."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from assistant.ecgqa.asked import Asked, Target
from assistant.ecgqa.parse import parse
from assistant.ecgqa.templates import TEMPLATES, read_wordings, worded
from assistant.ecgqa.values import AXES, EXTRAS, FAMILIES, FEATURES, LEADS, NAME_OF, NOISES, STAGES, VALUES

WORDINGS = json.loads(Path(__file__).with_name("ecgqa_wordings.json").read_text("utf-8"))


@pytest.mark.parametrize("row", WORDINGS, ids=lambda row: row["question"][:60])
def test_a_wording_of_our_own_is_read_as_meant(row: dict) -> None:
    found = parse(row["question"], row.get("recordings", 1))
    assert (found.kind, found.attribute, found.relation, found.doubt) == (
        row["kind"], row["attribute"], row.get("relation", ""), row.get("doubt", ""),
    )  # fmt: skip
    assert {t.name for t in found.targets} == set(row.get("targets", []))
    assert found.lead == row.get("lead")
    assert set(found.ranges) == set(row.get("ranges", []))
    assert found.wants == row.get("wants", "values")
    if "family" in row:
        assert found.family == row["family"]


def test_every_template_is_read_back(ecg_data: Path) -> None:
    wordings = read_wordings(ecg_data / "ecg-qa")
    assert set(wordings) == {t.number for t in TEMPLATES} and len(TEMPLATES) == 70
    pools = {
        "statement": [NAME_OF[c] for c in FAMILIES["all"]], "diagnostic": [NAME_OF[c] for c in FAMILIES["diagnostic"]],
        "form": [NAME_OF[c] for c in FAMILIES["form"]], "rhythm": [NAME_OF[c] for c in FAMILIES["rhythm"]], "noise": NOISES,
        "axis": AXES, "stage": STAGES, "extra": EXTRAS, "feature": FEATURES,
        "superclass": ["hypertrophy", "conduction disturbance"],
        "form in lead": ["inverted t-waves", "q waves present"],
    }  # fmt: skip
    rng = random.Random(0)
    for template in TEMPLATES:
        for _ in range(4):
            pool = list(pools.get(template.over, ()))
            pair = template.form.kind == "choose" and template.form.wants != "range"
            names = rng.sample(pool, 2 if pair else 1) if pool else []
            lead = rng.randrange(12) if template.lead else None
            text = worded(template, wordings[template.number], names, "" if lead is None else LEADS[lead], template.form.ranges)
            found = parse(text, 2 if template.form.relation else 1)
            targets = tuple(Target(n) for n in names) or template.form.targets
            wanted = Asked(
                template.form.kind, template.form.attribute, targets, template.form.family, template.form.doubt, lead,
                template.form.relation, template.form.ranges, template.form.wants,
            )  # fmt: skip
            assert found.same_as(wanted), (text, found, wanted)


def test_the_data_sets_paraphrases_are_read_like_their_templates(ecg_data: Path) -> None:
    folder = ecg_data / "ecg-qa"
    pairs = {}
    for file in sorted((folder / "paraphrased").glob("*/*.json")):
        plain = json.loads((folder / "template" / file.parent.name / file.name).read_text("utf-8"))
        for one, other in zip(json.loads(file.read_text("utf-8")), plain, strict=True):
            pairs[one["question"], len(one["ecg_id"])] = other["question"]
    right = [parse(text, n).same_as(parse(template, n)) for (text, n), template in pairs.items()]
    assert len(right) > 300 and sum(right) / len(right) >= 0.99


def test_options_settle_what_words_leave_open() -> None:
    chosen = parse("What do you see here?", 1, ["baseline drift", "static noise", "burst noise", "electrodes problems", "none"])
    assert (chosen.kind, chosen.attribute) == ("query", "noise")
    assert parse("Extrasystoles, ventricular ones?", 1, ["yes", "no"]).kind == "verify"
    assert parse("Rhythm?", 1, ["atrial fibrillation", "sinus rhythm", "atrial flutter", "none"]).family == "rhythm"


@pytest.mark.parametrize("text", ["", "?", "a" * 5000, "lead", "or or or", "\x00\x01", "ΩΩ", "2nd", "((((", "in lead"])
def test_no_text_raises(text: str) -> None:
    for recordings in (1, 2):
        assert parse(text, recordings).kind in ("verify", "choose", "query")


def test_every_name_is_an_answer_of_the_data_set(ecg_data: Path) -> None:
    rows = (ecg_data / "ecg-qa" / "answers.csv").read_text("utf-8").splitlines()[1:]
    assert {row.split(",", 1)[1].strip('"') for row in rows} == VALUES
