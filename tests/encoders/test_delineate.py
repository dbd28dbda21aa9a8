"""Waves: where they are on synthetic hearts, what does not change them, poor input, training, and LUDB."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from encoders.beats import without_steps
from encoders.delineate import Fiducials, delineate, fiducials, irregularity, without_fibrillation_p
from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import ArtefactError, RecordingError
from encoders.ludb import Annotated, LeadMarks, load_ludb
from encoders.waves import Event, find_events, peaks, place

Maker = Callable[..., ECG]


def _bumps(n: int, *spans: tuple[float, float]) -> np.ndarray:
    """A probability curve that is 1 within each span and crosses one half at its ends."""
    t = np.arange(n, dtype=float)
    out = np.zeros(n)
    for a, b in spans:
        out = np.maximum(out, np.minimum(np.clip((t - a) / 4 + 0.5, 0, 1), np.clip((b - t) / 4 + 0.5, 0, 1)))
    return out


Spans = tuple[tuple[float, float], ...]


def _curves(n: int, p: Spans, qrs: Spans, t: Spans) -> np.ndarray:
    rows = np.stack([_bumps(n, *p), _bumps(n, *qrs), _bumps(n, *t)])
    return np.concatenate([1 - rows.sum(axis=0, keepdims=True), rows])


def test_waves_go_to_their_beats() -> None:
    mean = _curves(
        1000,
        p=((60, 85), (300, 325), (420, 445)),  # leads to beat 0; stands alone; leads to beat 1
        qrs=((100, 125), (460, 485)),
        t=((10, 50), (170, 230), (530, 590)),  # of a beat before the recording; beat 0; beat 1
    )
    found = [(e.kind, e.beat) for e in find_events(mean)]
    assert found == [(3, None), (1, 0), (2, 0), (3, 0), (1, None), (1, 1), (2, 1), (3, 1)]


def test_a_flicker_is_no_wave_and_two_qrs_in_one_refractory_time_are_one() -> None:
    mean = _curves(1000, p=((60, 63),), qrs=((100, 125), (138, 150)), t=())
    assert [(e.kind, e.beat) for e in find_events(mean)] == [(2, 0)]


def test_boundaries_lie_between_samples_where_the_lead_crosses_its_share() -> None:
    leads = np.stack([_bumps(300, (100.3, 140.7)), _bumps(300, (95.5, 150.25)), np.zeros(300)])
    on, off, top = place(leads, Event(3, 98, 145, 1.0, 0))
    np.testing.assert_allclose(on[:2], (100.3, 95.5), atol=0.02)
    # P and QRS onsets are taken higher up and set back, to the same place within a ms.
    for kind in (1, 2):
        np.testing.assert_allclose(place(leads, Event(kind, 98, 145, 1.0, 0))[0][:2], (100.3, 95.5), atol=0.5)
    np.testing.assert_allclose(off[:2], (140.7, 150.25), atol=0.02)
    assert top[2] == 0


def test_the_peak_stands_furthest_from_the_level() -> None:
    t = np.arange(100.0)
    wave = 0.2 - 1.5 * np.exp(-0.5 * ((t - 47.3) / 6) ** 2)
    found = peaks(np.stack([wave, -wave]), np.array([20.0, 25.5]), np.array([70.0, 80.5]), 3)
    np.testing.assert_allclose(found, 47.3, atol=0.05)
    assert peaks(wave[None], np.array([60.2]), np.array([60.2]), 1)[0] == pytest.approx(60.2)


@pytest.mark.parametrize("fs", [100.0, 250.0, 500.0, 1000.0])
def test_each_lead_has_each_wave_of_each_beat_at_every_rate(fs: float, synthetic_ecg: Maker) -> None:
    found = delineate(synthetic_ecg(fs_hz=fs))
    assert found is not None
    # R peaks at 0.4, 1.4, …, 9.4 s.
    np.testing.assert_allclose(found.centres_s, 0.4 + np.arange(10), atol=0.02)
    for lead in STANDARD_LEADS:
        rows = [w for w in found.fiducials.waves if w.lead == lead]
        assert [w.beat for w in rows if w.wave == "QRS"] == list(range(10))
        assert sum(w.wave == "P" for w in rows) >= 9
        assert sum(w.wave == "T" for w in rows) >= 9
        for a, b in zip(rows[:-1], rows[1:], strict=True):
            assert a.onset <= a.peak <= a.offset
            assert a.onset < b.onset
        assert rows[0].onset >= 0 and rows[-1].offset <= 10 * fs
        assert all(0 <= w.reliability <= 1 for w in rows)
    middle = [w for w in found.fiducials.waves if w.lead == "II" and w.beat == 5]
    assert [w.peak / fs - 5.4 for w in middle] == pytest.approx([-0.15, 0.0, 0.27], abs=0.012)


def test_global_boundaries_enclose_most_of_the_leads(synthetic_ecg: Maker) -> None:
    found = delineate(synthetic_ecg(noise_mv=0.02))
    assert found is not None
    for wide in found.fiducials.overall:
        rows = [w for w in found.fiducials.waves if (w.wave, w.beat) == (wide.wave, wide.beat)]
        assert wide.lead == "global"
        assert np.mean([w.onset >= wide.onset - 1e-6 for w in rows]) >= 0.8
        assert np.mean([w.offset <= wide.offset + 1e-6 for w in rows]) >= 0.8


def test_neither_the_order_of_leads_nor_their_polarity_moves_a_beat(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    usual = delineate(ecg)
    turned = delineate(ECG(ecg.signal_mv[::-1], ecg.fs_hz, ecg.leads[::-1]))
    flipped = delineate(replace(ecg, signal_mv=-ecg.signal_mv))
    assert usual is not None and turned is not None and flipped is not None
    one = [w.onset for w in usual.fiducials.waves if w.lead == "II"]
    other = [w.onset for w in turned.fiducials.waves if w.lead == "II"]
    np.testing.assert_allclose(one, other, atol=0.1)
    np.testing.assert_allclose(usual.centres_s, flipped.centres_s, atol=0.02)


def test_leads_without_a_standard_name_have_their_waves_too(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    strange = delineate(ECG(ecg.signal_mv, ecg.fs_hz, tuple(f"X{k}" for k in range(12))))
    assert strange is not None
    middle = [w for w in strange.fiducials.waves if w.lead == "X1" and w.beat == 5]
    assert [w.peak / ecg.fs_hz - 5.4 for w in middle] == pytest.approx([-0.15, 0.0, 0.27], abs=0.012)


def test_a_pacing_spike_is_no_part_of_the_qrs(synthetic_ecg: Maker) -> None:
    ecg = synthetic_ecg()
    spiked = ecg.signal_mv.copy()
    for beat in range(10):
        spiked[:, int((beat + 0.4 - 0.075) * ecg.fs_hz)] += 1.0
    usual, paced = delineate(ecg), delineate(replace(ecg, signal_mv=spiked))
    assert usual is not None and paced is not None
    assert usual.waves.qrs_on_ms is not None and paced.waves.qrs_on_ms is not None
    assert len(paced.centres_s) == 10
    assert paced.waves.qrs_on_ms == pytest.approx(usual.waves.qrs_on_ms, abs=12)


@pytest.mark.parametrize("leads", [("II",), ("I", "V1"), ("I", "II", "III", "aVR", "aVL", "aVF")])
def test_any_number_of_leads(leads: tuple[str, ...], synthetic_ecg: Maker) -> None:
    found = delineate(synthetic_ecg().select(leads))
    assert found is not None
    assert found.leads == leads
    assert len(found.centres_s) == 10
    assert found.has_p[1:].mean() > 0.8


def test_no_p_where_there_is_none(synthetic_ecg: Maker) -> None:
    found = delineate(synthetic_ecg(p_wave=False, irregular=0.2))
    assert found is not None
    assert found.has_p.mean() < 0.3
    assert found.p_probability < 0.3


def test_a_long_recording_is_read_in_pieces_as_in_one(synthetic_ecg: Maker) -> None:
    long = delineate(synthetic_ecg(seconds=130.0, fs_hz=250.0).select(("II", "V1")))
    assert long is not None
    np.testing.assert_allclose(long.centres_s, 0.4 + np.arange(len(long.centres_s)), atol=0.02)
    assert len(long.centres_s) == 130


@pytest.mark.parametrize(
    "spoil",
    [lambda x: x * 0, lambda x: x * np.nan, lambda x: x[:, :1], lambda x: x[:, :260], lambda x: x * 1e6, lambda x: x[:, :0]],
)
def test_poor_input_gives_no_waves_or_sound_ones(spoil, synthetic_ecg: Maker) -> None:  # type: ignore[no-untyped-def]
    ecg = synthetic_ecg()
    found = fiducials(ECG(spoil(ecg.signal_mv), 500.0, STANDARD_LEADS))
    for wave in (*found.waves, *found.overall):
        assert np.isfinite((wave.onset, wave.peak, wave.offset, wave.reliability)).all()
        assert wave.onset <= wave.peak <= wave.offset


def _annotated(ecg: ECG, name: str) -> Annotated:
    """The synthetic heart with its true waves as marks, the first and last beat without."""
    beats = 0.4 + np.arange(1, 9)
    waves = {
        key: np.array([(b + a, b + (a + z) / 2, b + z) for b in beats]) * ecg.fs_hz
        for key, (a, z) in {"P": (-0.2, -0.1), "QRS": (-0.045, 0.045), "T": (0.17, 0.37)}.items()
    }
    marks = LeadMarks(waves, (float(waves["QRS"][0, 0]), float(waves["QRS"][-1, 2])))
    return Annotated(name, ecg.signal_mv, ecg.fs_hz, (marks,) * 12)


def test_training_saves_what_it_loads_and_refuses_what_was_changed(synthetic_ecg: Maker, tmp_path: Path) -> None:
    from encoders.segment import SegmentConfig, load_segmenter, prepared, probabilities, save_segmenter
    from encoders.segment_crops import CropConfig
    from encoders.segment_fit import FitConfig, fit_segmenter

    ecg = synthetic_ecg()
    small = SegmentConfig(widths=(4, 4, 4, 4, 4))
    config = FitConfig(steps=3, rows=12, crop=CropConfig(samples=512, paced=0.5))
    network = fit_segmenter([_annotated(ecg, "1")], None, config, small)
    again = fit_segmenter([_annotated(ecg, "1")], None, config, small)
    for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True):
        assert (a == b).all()
    save_segmenter(network, tmp_path, {"data": "test"})
    loaded = load_segmenter(tmp_path)
    x = prepared(ecg.signal_mv, ecg.fs_hz)
    one, two = (probabilities(n, [x], ecg.leads)[0] for n in (network, loaded))
    assert one.shape == (12, 4, 2500)
    np.testing.assert_allclose(one.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(one, two, atol=5e-3)
    card = json.loads((tmp_path / "delineation.json").read_text(encoding="utf-8"))
    (tmp_path / "delineation.json").write_text(json.dumps({**card, "sha256": "0" * 64}), encoding="utf-8")
    with pytest.raises(ArtefactError, match="sha256"):
        load_segmenter(tmp_path)
    (tmp_path / "delineation.safetensors").unlink()
    with pytest.raises(ArtefactError, match="missing"):
        load_segmenter(tmp_path)


def test_leads_are_known_by_name_in_any_case_and_others_are_unknown() -> None:
    from encoders.segment import UNKNOWN_LEAD, lead_numbers

    assert lead_numbers(("AVL", "v6", "I", "MLII")).tolist() == [4, 11, 0, UNKNOWN_LEAD]


def test_a_crop_keeps_signal_targets_and_names_in_step(synthetic_ecg: Maker) -> None:
    from encoders.segment import UNKNOWN_LEAD
    from encoders.segment_crops import CropConfig, annotated, crop

    marked = _annotated(synthetic_ecg(), "1")
    boxes = np.zeros_like(marked.signal_mv)
    for onset, _, offset in marked.marks[0].waves["QRS"]:
        boxes[:, int(onset) : int(offset)] = 1.0
    source = annotated(replace(marked, signal_mv=boxes))
    rng, numbers, alike = np.random.default_rng(5), [], []
    for _ in range(12):
        config = CropConfig(samples=1024, p_less=0.0, paced=0.0)
        x, target, mask, number = crop(source, np.array([1, 6, 10]), config, rng)
        assert x.shape == (3, 1024) and target.shape == (3, 4, 1024) and mask.shape == (3, 1024)
        np.testing.assert_allclose(target.sum(axis=1), 1, atol=1e-2)
        # The boxes stand where the targets say QRS, in the lead with the least noise and wander.
        size = x.std(axis=1) * target[:, 2].std(axis=1)
        shared = np.abs(((x - x.mean(axis=1, keepdims=True)) * target[:, 2]).mean(axis=1))
        alike.append((shared / np.maximum(size, 1e-9)).max())
        numbers += number.tolist()
    assert np.median(alike) > 0.8, alike
    assert {1, 6, 10, UNKNOWN_LEAD} == set(numbers)


def test_folds_share_no_recording_and_leave_none_out() -> None:
    from encoders.segment_fit import held_out

    names = [str(k) for k in range(1, 141)]
    parts = [held_out(names, fold, 3) for fold in range(3)]
    assert sorted((name for part in parts for name in part), key=int) == names
    assert sum(len(part) for part in parts) == 140


def test_a_folder_without_recordings_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="LUDB"):
        load_ludb(tmp_path)


def test_ludb_waves_are_found_where_the_cardiologists_mark_them(ecg_data: Path) -> None:
    """The shipped weights have seen these recordings: this guards the chain; figures are tests/benchmarks/ludb.py's."""
    from encoders.ludb import read_marks
    from encoders.readers import read

    hit = {"P": 0, "QRS": 0, "T": 0}
    total = dict(hit)
    onsets = []
    for header in sorted((ecg_data / "ludb" / "data").glob("*.hea"), key=lambda p: int(p.stem))[::20]:
        ecg = read(header)
        found = fiducials(ecg)
        truth = read_marks(header.with_suffix(""), "ii")
        for wave, marks in truth.waves.items():
            got = np.array([(w.onset, w.peak) for w in found.waves if w.lead == "II" and w.wave == wave]).reshape(-1, 2)
            for onset, peak, _ in marks:
                total[wave] += 1
                near = np.abs(got[:, 1] - peak) < 0.15 * ecg.fs_hz
                if near.any():
                    hit[wave] += 1
                    onsets.append((got[near][0, 0] - onset) * 1000 / ecg.fs_hz)
    for wave, share in (("P", 0.97), ("QRS", 0.99), ("T", 0.97)):
        assert hit[wave] >= share * total[wave], wave
    assert abs(np.nanmean(onsets)) < 6


# Other databases: monitors, tapes, two leads ---------------------------------------------------------------------------


def _tape(synthetic_ecg: Maker, seconds: float, names: tuple[str, str]) -> ECG:
    """Two leads at 250 Hz that bear other names than the standard ones; one beat a second from 0.4 s on."""
    made = synthetic_ecg(seconds=seconds, fs_hz=250.0).select(("II", "V5"))
    return ECG(made.signal_mv, 250.0, names)


@pytest.mark.parametrize("names", [("MLII", "V5"), ("ECG1", "ECG2"), ("signal 0", "signal 1")])
def test_two_leads_of_a_tape_have_every_beat(names: tuple[str, str], synthetic_ecg: Maker) -> None:
    found = fiducials(_tape(synthetic_ecg, 200.0, names))
    for name in names:
        for wave, at in (("P", 0.25), ("QRS", 0.4), ("T", 0.67)):
            peaks = np.array([w.peak for w in found.waves if (w.lead, w.wave) == (name, wave)]) / 250
            assert len(peaks) == pytest.approx(200, abs=1), (name, wave)
            assert np.abs(peaks % 1.0 - at).max() < 0.03


@pytest.mark.parametrize("factor", [0.05, -1.0, 20.0])
def test_gain_and_polarity_move_no_beat_of_a_tape(factor: float, synthetic_ecg: Maker) -> None:
    tape = _tape(synthetic_ecg, 30.0, ("MLII", "V5"))
    turned = delineate(replace(tape, signal_mv=tape.signal_mv * np.float32(factor)))
    assert turned is not None
    np.testing.assert_allclose(turned.centres_s, 0.4 + np.arange(30), atol=0.03)


def test_a_tape_goes_through_the_command_line(tmp_path: Path, writers: ModuleType, synthetic_ecg: Maker) -> None:
    """Eleven minutes of two leads, longer than any recording that a report is made of."""
    from ui import cli

    tape = _tape(synthetic_ecg, 660.0, ("MLII", "V5"))
    header = writers.write_wfdb(tmp_path, tape.signal_mv, tape.fs_hz, tape.leads, name="tape", fmt="212")
    assert cli.main(["delineate", str(header), "--out", str(tmp_path / "out.csv")]) == 0
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1:]]
    for lead in ("MLII", "V5"):
        beats = np.array([int(row[4]) for row in rows if row[:3] == [str(header), lead, "QRS"]])
        assert len(beats) == 660 and np.abs(beats - 250 * (0.4 + np.arange(660))).max() < 8


def test_a_lead_that_shrinks_on_a_long_tape_keeps_its_beats(synthetic_ecg: Maker) -> None:
    tape = _tape(synthetic_ecg, 300.0, ("MLII", "V5"))
    size = np.where(np.arange(tape.n_samples) < 200 * 250, 1.0, 0.15).astype(np.float32)
    found = delineate(replace(tape, signal_mv=tape.signal_mv * size))
    assert found is not None and len(found.centres_s) == 300


def test_a_step_of_the_baseline_on_a_tape_is_no_beat(synthetic_ecg: Maker) -> None:
    tape = _tape(synthetic_ecg, 100.0, ("MLII", "V5"))
    signal = tape.signal_mv.copy()
    for k, at_s in enumerate((10.9, 31.8, 55.15, 80.9)):
        signal[:, int(at_s * 250) :] += (-1.5) ** k
    found = delineate(replace(tape, signal_mv=signal))
    assert found is not None
    np.testing.assert_allclose(found.centres_s, 0.4 + np.arange(100), atol=0.03)


def test_only_steps_are_taken_off(synthetic_ecg: Maker) -> None:
    x = synthetic_ecg(seconds=20.0).signal_mv.astype(np.float64)
    assert without_steps(x, 500.0) is x
    spiked = x.copy()
    spiked[:, 3000:3003] += 4.0  # a pacing spike comes back
    assert without_steps(spiked, 500.0) is spiked
    stepped = x.copy()
    stepped[4, 4321:] += 2.0
    mended = without_steps(stepped, 500.0)
    assert np.abs(mended - x).max() < 0.1 and np.array_equal(np.delete(mended, 4, 0), np.delete(x, 4, 0))
    assert without_steps(x[:, :900], 500.0).shape == (12, 900)


def test_no_p_is_handed_out_in_fibrillation(synthetic_ecg: Maker) -> None:
    """Single waves that look like P stay out of the table where the rhythm is irregular and most beats have none."""
    found = delineate(synthetic_ecg(p_wave=False, irregular=0.2, seconds=20.0))
    assert found is not None and irregularity(found) > 0.1
    some = np.zeros_like(found.has_p)
    some[::4] = True
    p = replace(found.fiducials.waves[0], wave="P", beat=0)
    marked = replace(found, has_p=some, fiducials=Fiducials((*found.fiducials.waves, p), (*found.fiducials.overall, p)))
    told = without_fibrillation_p(marked)
    assert not [w for w in (*told.waves, *told.overall) if w.wave == "P"]
    assert len([w for w in told.waves if w.wave == "QRS"]) == len([w for w in marked.fiducials.waves if w.wave == "QRS"])
    # Extrasystoles make a rhythm irregular too, but P stands before most beats.
    kept = replace(marked, has_p=np.ones_like(some))
    assert without_fibrillation_p(kept) == kept.fiducials
