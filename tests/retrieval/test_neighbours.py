"""What neighbours say, when they speak against the network, and a case beside the recording."""

from __future__ import annotations

import json

import numpy as np
import pytest

from encoders.vocabulary import CODES
from retrieval.case import Case
from retrieval.contrast import contrast
from retrieval.hybrid import blended, reciprocal_ranks
from retrieval.neighbours import Agreement, neighbour_agreement, neighbours_say, prevalences, says_doubt


def near(listing: list[bool], similarity: list[float] | None = None, code: str = "AFIB") -> list[Case]:
    alike = similarity or [0.9] * len(listing)
    lists = [{code: 0.0} if has else {"SR": 0.0} for has in listing]
    return [Case(str(i), s, statements=one) for i, (one, s) in enumerate(zip(lists, alike, strict=True))]


def test_equal_neighbours_count_equally() -> None:
    said = neighbour_agreement(near([True] * 3 + [False] * 7), "AFIB", 0.1)
    assert (said.listed, said.asked, said.share) == (3, 10, pytest.approx(0.3)) and said.effective_n == pytest.approx(10)
    assert said.corrected == pytest.approx((3 + 2 * 0.1) / 12) and said.lift == pytest.approx(said.corrected / 0.1)


def test_the_nearer_count_more_and_are_fewer() -> None:
    said = neighbour_agreement(near([True, False, False], [0.95, 0.90, 0.85]), "AFIB", 0.05)
    weights = np.exp([0, -1, -2])
    assert said.share == pytest.approx(weights[0] / weights.sum()) and said.nearest == 0.95
    assert said.effective_n == pytest.approx(weights.sum() ** 2 / (weights**2).sum()) and 1 < said.effective_n < 3


def test_few_neighbours_claim_little() -> None:
    one, many = (neighbour_agreement(near([True] * n), "AFIB", 0.01).corrected for n in (1, 50))
    assert one < 0.4 < 0.9 < many


def test_cases_that_nobody_has_read_are_not_asked() -> None:
    said = neighbour_agreement([*near([True, True]), Case("bare", 0.99)], "AFIB", 0.1)
    assert (said.listed, said.asked) == (2, 2)
    nobody = neighbour_agreement([Case("bare", 0.99)], "AFIB", 0.1)
    assert nobody.corrected == pytest.approx(0.1) and nobody.effective_n == 0
    assert not says_doubt(nobody, "present")
    assert neighbour_agreement((), "AFIB").lift is None


def test_doubt() -> None:
    none, most = (neighbour_agreement(near([i < n for i in range(20)]), "AFIB", 0.07) for n in (0, 18))
    assert says_doubt(none, "present") and not says_doubt(none, "absent")
    assert says_doubt(most, "absent") and not says_doubt(most, "present")
    assert not says_doubt(none, "undetermined") and not says_doubt(most, "not assessed")
    few = neighbour_agreement(near([False] * 3), "AFIB", 0.07)
    far = neighbour_agreement(near([False] * 20, [0.5] * 20), "AFIB", 0.07)
    assert not says_doubt(few, "present") and not says_doubt(far, "present")
    rare, common = (neighbour_agreement(near([False] * 20), "AFIB", 0.01, known) for known in (3, 300))
    assert not says_doubt(rare, "present") and says_doubt(common, "present")


def test_what_is_said_can_be_read_and_cited() -> None:
    said = neighbour_agreement(near([True] * 3 + [False] * 7), "AFIB", 0.04)
    assert said.id == "N:AFIB" and said.to_json()["id"] == "N:AFIB" and said.to_json()["expected"] == 0.4
    assert said.text == "3 of the 10 most similar cases list atrial fibrillation (0.4 expected by chance)."
    assert said.doubt("absent").startswith("Similar cases leave the absence of atrial fibrillation in doubt: 3 of the 10")
    assert "bear out atrial fibrillation less than usual" in said.doubt("present")


def test_every_statement_is_said_of() -> None:
    said = neighbours_say(near([True, True, False]), {"AFIB": 0.1, "SR": 0.8})
    assert {one.code for one in said} == set(CODES) and said[0].code in ("AFIB", "SR")
    assert [one.corrected for one in said] == sorted((one.corrected for one in said), reverse=True)
    assert json.loads(json.dumps(said[0].to_json()))["asked"] == 3
    assert isinstance(said[0], Agreement)


def test_prevalence_is_counted_among_cases_that_were_read() -> None:
    found = prevalences([(("AFIB",), 1), (("SR", "AFIB"), 1), ((), 5), (("SR", "OWN"), 1)])
    assert found["AFIB"] == pytest.approx(2 / 3) and found["SR"] == pytest.approx(2 / 3) and found["LVH"] == 0
    assert set(found) == set(CODES) and set(prevalences([]).values()) == {0.0}


def test_a_case_beside_the_recording() -> None:
    case = Case("7", 0.9, statements={"AFIB": 0.0, "LVH": 80.0, "IMI": 50.0}, measurements={"qrs_ms": 130.0, "pr_ms": None})
    states = {"AFIB": "present", "CLBBB": "present", "LVH": "absent", "IMI": "undetermined", "SR": "absent"}
    one = contrast(case, states, {"qrs_ms": 96.0, "pr_ms": 180.0, "qt_ms": None})
    assert (one.shared, one.only_asked, one.only_case, one.open) == (("AFIB",), ("CLBBB",), ("LVH",), ("IMI",))
    assert one.measurements == {"qrs_ms": (96.0, 130.0)}
    assert one.to_json()["measurements"]["qrs_ms"] == {"asked": 96.0, "case": 130.0, "difference": 34.0}


def test_two_orders_become_one() -> None:
    cosine, share = np.array([0.9, 0.5, 0.8, 0.1]), np.array([0.0, 1.0, 0.5, 1.0])
    assert blended(cosine, share, 0.7) == pytest.approx([0.9, 1.2, 1.15, 0.8])
    ranks = reciprocal_ranks(cosine, share)
    assert ranks == pytest.approx([1 / 61 + 1 / 64, 1 / 63 + 1 / 61, 1 / 62 + 1 / 63, 1 / 64 + 1 / 61])
