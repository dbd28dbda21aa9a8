"""Files that wait for the page: fetched once, by whom they were made for, and gone after a while."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from ui.audit import Actor
from ui.parcels import Parcels
from ui.service import create_app
from ui.takeaway import Made

ADA, BEN = Actor("ada", "clinician"), Actor("ben", "clinician")


def made(name: str) -> Made:
    return Made(name, "text/plain", name.encode())


def test_a_parcel_is_taken_once_and_only_by_whom_it_was_made_for() -> None:
    parcels = Parcels()
    (first,) = parcels.keep(made("a"), ADA, "page 1")
    again, second = parcels.keep(made("b"), ADA, "page 1")
    assert again == first and len({first, second}) == 2 and len(first) >= 43  # 256 bits in base64
    assert len(parcels.keep(made("c"), ADA, "page 2")) == 1 == len(parcels.keep(made("d"), BEN, "page 1"))
    assert parcels.take(second, BEN) is None and parcels.take("x", ADA) is None
    assert parcels.take(second, ADA) == made("b") and parcels.take(second, ADA) is None
    assert parcels.keep(made("e"), ADA, "page 1")[0] == first  # what was missed is named again


def test_parcels_do_not_stay() -> None:
    clock = [0.0]
    parcels = Parcels(lasts_s=10.0, now=lambda: clock[0])
    (early,) = parcels.keep(made("a"), ADA, "1")
    clock[0] = 9.9
    _, late = parcels.keep(made("b"), ADA, "1")
    clock[0] = 10.0
    assert parcels.take(early, ADA) is None and parcels.take(late, ADA) == made("b")
    many = [parcels.keep(made(str(n)), ADA, "1")[-1] for n in range(70)]
    assert parcels.take(many[0], ADA) is None and parcels.take(many[-1], ADA) == made("69")


@pytest.mark.parametrize("token", ["nothing", "%2e%2e/secret", "a" * 300])
def test_an_unknown_parcel_is_not_there(stub: Any, token: str) -> None:
    client = TestClient(create_app(stub))
    answer = client.get(f"/parcels/{token}")
    assert answer.status_code == 404 and "secret" not in answer.text
