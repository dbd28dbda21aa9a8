"""``ecg-assistant explain``: its fields, its picture, and what it says of recordings and codes that it cannot take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from encoders.calibrate import Calibration
from encoders.delineate import delineate
from encoders.ecg import STANDARD_LEADS
from encoders.encode import Encoder
from encoders.errors import QueryError
from encoders.explanation import OUTSIDE, PARTS, beat_parts, explain, share_by_part
from encoders.fusion import COLUMNS, FUSED_READINGS, Columns, Fusion, row_names
from encoders.vocabulary import CODES
from ui import cli
from ui.demo import demo
from ui.plot import draw

HASH = "0" * 64


class LooksAt(nn.Module):
    """A network whose every logit is the size of some leads, in mV: what speaks for it is known."""

    def __init__(self, *leads: str) -> None:
        super().__init__()
        self.rows = [STANDARD_LEADS.index(lead) for lead in leads]

    def encode(self, x_BLS: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        size_B = x_BLS[:, self.rows].abs().sum((1, 2))
        return size_B[:, None].expand(-1, len(CODES)), torch.ones(len(x_BLS), 256), torch.ones(len(x_BLS), 16, 256)


def rate_alone() -> Fusion:
    """Of all that is measured only the rate counts, and only for atrial fibrillation: 0.01 to the log odds per beat a minute."""
    one, of_each = np.ones(COLUMNS), np.ones(len(CODES))
    columns = Columns(one * -1e6, one * 1e6, one * 0, one)
    weights = np.zeros((columns(np.zeros((1, COLUMNS))).shape[1], len(CODES)))
    weights[row_names().index("rate_bpm"), CODES.index("AFIB")] = 0.01
    none, deep = np.zeros((len(CODES), len(CODES))), np.zeros((len(CODES) + len(weights), 1))
    return Fusion(
        columns, of_each, of_each * 0, none, weights, 1.0, inner=deep, inner_offset=np.zeros(1), outer=np.zeros((1, len(CODES))),
        logit_centre=of_each * 0, logit_spread=of_each, encoder_hash=HASH,
    )  # fmt: skip


def encoder_of(*leads: str) -> Encoder:
    return Encoder(LooksAt(*leads), Calibration.identity(HASH), HASH, dict.fromkeys(FUSED_READINGS, rate_alone()))  # type: ignore[arg-type]


@pytest.fixture
def stubbed(stubbed: Any) -> Any:
    """The stand-in assistant (AFIB and NST_ are present, all else is not) with a network that looks at V1 and I."""
    stubbed.encoder = encoder_of("V1", "I")
    stubbed.analyse = lambda ecg, k: stubbed.report(ecg).report.evidence
    return stubbed


def test_findings_that_are_present_are_explained(stubbed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "demo:normal", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["record"] == "demo:normal" and document["encoder"] == HASH and "not why the patient" in document["note"]
    assert [(f["code"], f["state"], f["probability"]) for f in document["findings"]] == [
        ("AFIB", "present", 0.97), ("NST_", "present", 0.6),
    ]  # fmt: skip
    finding = document["findings"][0]
    assert list(finding["leads"]) == list(STANDARD_LEADS) and sum(finding["leads"].values()) == pytest.approx(1, abs=1e-3)
    assert {lead for lead, share in finding["leads"].items() if share > 0} == {"I", "V1"}
    rate = next(m.value for m in stubbed.analyse(demo("normal"), 0).measurements.items if m.name == "rate_bpm")
    assert finding["measured"] == [{"name": "rate_bpm", "value": rate, "log_odds": pytest.approx(rate / 100, abs=1e-3)}]
    assert document["findings"][1]["measured"] == []
    assert list(finding["parts"]) == [*PARTS, OUTSIDE]
    assert sum(part["share"] for part in finding["parts"].values()) == pytest.approx(1, abs=1e-3)
    shares = [span["share"] for span in finding["spans"]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1
    for span in finding["spans"]:
        assert span["lead"] in ("I", "V1") and 0 <= span["start_s"] < span["end_s"] <= 10
        # What the network looks at is the size of the signal, and that is largest in the QRS complexes.
        assert "QRS" in {on["part"] for on in span["falls_on"]} and all(on["beat"] >= 1 for on in span["falls_on"])


def test_text_names_leads_stretches_and_the_note(stubbed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "demo:normal", "imi", "AFIB"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("inferior myocardial infarction (IMI): undetermined, probability 0.30\n  leads: ")
    assert "atrial fibrillation (AFIB): present" in out and "QRS of beat" in out and " s " in out
    assert out.rstrip().endswith("a clinician's criteria need not lie there.") and "chatters" not in out


def test_one_lead_alone_is_explained_by_itself(stubbed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "demo:normal", "AFIB", "--leads", "I", "--json"]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["leads"] == {"I": 1.0} and {span["lead"] for span in finding["spans"]} == {"I"}


def test_nothing_present_is_said(stubbed: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    read = stubbed.analyse(demo("normal"), 0)

    class Nothing:
        quality, measurements = read.quality, read.measurements

        def in_state(self, state: str) -> tuple[()]:
            return ()

    stubbed.analyse = lambda ecg, k: Nothing()
    assert cli.main(["explain", "demo:normal"]) == 0
    assert capsys.readouterr().out == "No finding is stated present; name the codes to look at.\n"
    assert cli.main(["explain", "demo:normal", "--plot", str(tmp_path / "x.png")]) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["paper.png", "paper.svg"])
def test_the_picture_has_every_lead_and_its_stretches(
    name: str, stubbed: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["explain", "demo:normal", "--plot", str(tmp_path / name)]) == 0
    assert f"{name} shows AFIB." in capsys.readouterr().out
    image = (tmp_path / name).read_bytes()
    assert image.startswith(b"\x89PNG") if name.endswith("png") else b">V6<" in image and b"(AFIB)" in image
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["demo:normal", "NOSUCH"], "'NOSUCH' is no code of the vocabulary"),
        (["demo:normal", "--plot", "x.pdf"], ".png or .svg"),
        (["demo:normal", "--leads", "V3"], "record one of these"),
        (["demo:xyz"], "There is no demo recording 'xyz'"),
    ],
)
def test_what_cannot_be_explained_is_one_sentence_and_exit_code_2(
    argv: list[str], said: str, stubbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explain", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and said in err


def test_help_names_the_codes_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["explain", "--help"])
    out = capsys.readouterr().out
    assert left.value.code == 0 and "CODE" in out and "ecg-assistant explain demo:lbbb" in out


def test_an_unknown_code_is_a_query_error() -> None:
    with pytest.raises(QueryError, match="'LBBB' is no code"):
        explain(encoder_of("I"), demo("normal"), "LBBB", None)


def test_attribution_adds_up_and_silent_leads_say_nothing() -> None:
    encoder, ecg = encoder_of("II", "V5"), demo("normal")
    attribution = explain(encoder, ecg, "SR", None).attribution
    assert attribution.values.sum() == pytest.approx(attribution.logit, rel=1e-3)  # the logit of silence is 0 here
    few = explain(encoder, ecg.select(("I", "II")), "SR", None)
    assert few.by_lead["II"] == pytest.approx(1) and not few.attribution.values[6:].any()
    assert few.by_part == {} and all(touched == () for _, touched in few.spans)


def test_parts_of_the_beats_follow_the_waves() -> None:
    ecg = demo("normal")
    found = delineate(ecg)
    assert found is not None
    part, beat = beat_parts(found, ecg.fs_hz, 1000)
    centres = np.rint(found.centres_s * 100).astype(int)
    inside = centres[centres < 1000]
    assert (part[inside] == 1).all() and (beat[inside] == np.arange(len(inside))).all()
    # Between the first and the last QRS the parts of a sinus beat come in their order: P-PR, QRS, ST-T, nothing.
    runs = part[inside[0] : inside[-1]]
    runs = runs[np.r_[True, np.diff(runs) != 0]]
    assert set(zip(runs[:-1].tolist(), runs[1:].tolist(), strict=True)) == {(1, 2), (2, -1), (-1, 0), (0, 1)}
    shares = share_by_part(np.ones((12, 1000)), part)
    assert sum(shares.values()) == pytest.approx(1) and 0.05 < shares["QRS"] < 0.2 and shares["ST-T"] > shares["P-PR"] > 0.05
    assert set(share_by_part(np.zeros(1000), part).values()) == {0.0}
    assert (beat_parts(None, 500.0, 1000)[0] == -1).all()


def test_only_the_leads_own_strip_is_shaded() -> None:
    from encoders.attribution import Span

    ecg = demo("normal")
    spans = [Span("V1", 1.0, 1.2, 0.5), Span("V1", 6.0, 6.4, 0.2)]
    stacked, paper = draw(ecg, shaded=spans, stacked=True), draw(ecg, shaded=spans)
    assert [round(patch.get_width(), 3) for patch in stacked.axes[0].patches] == [5.0, 10.0]
    assert [round(patch.get_width(), 3) for patch in paper.axes[0].patches] == [10.0]  # V1 stands from 5 to 7.5 s there
    assert len(draw(ecg).axes[0].patches) == 0
