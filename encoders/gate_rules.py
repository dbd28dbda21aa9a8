"""The gate's rules: what makes a recording or a lead unfit, stated in words a person can act on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, LIMB_LEADS
from encoders.gate_features import LEAD_FEATURES, LeadSigns
from encoders.quality import HIGH_PASS_HZ, LOW_PASS_HZ, limited_by_filters

__all__ = [
    "MIN_DURATION_S",
    "MIN_FS_HZ",
    "Notes",
    "amplitude",
    "clipping",
    "dead_leads",
    "filtered",
    "gain_of",
    "length_rate_leads",
    "listed",
    "noise",
]

#: The encoder was trained on 10 s; with less than 8 s too few beats remain for rhythm and averages.
MIN_DURATION_S = 8.0
#: Below about 90 Hz QRS boundaries are lost altogether (AHA/ACC/HRS 2007, part I asks for 500 Hz).
MIN_FS_HZ = 90.0
#: A QRS above 10 mV in the middle lead does not come from a heart; neither does one below 0.02 mV in every lead.
_MAX_QRS_MV, _MIN_QRS_MV = 10.0, 0.02
_LOW_QRS_MV = 0.1
#: Share of samples that sit on one and the same extreme value: more is a rail.
_RAIL_SHARE = 0.006
#: Beats less like each other than this are disturbed. ``coherence``: with the average; ``likeness``: with their best matches, so
#: that premature beats of a second shape do not read as noise.
_NOISY_COHERENCE, _NOISY_LIKENESS = 0.6, 0.75
#: Wander (RMS below 0.6 Hz) beyond this logarithm of its ratio to the beat's size leaves ST levels uncertain.
_WANDER_RATIO = 0.1
#: Muscle noise (RMS of 25-45 Hz between beats) from which P waves of usual size (0.1 mV) are covered, since that band holds a
#: part of it only; 3 in 1,000 leads of PTB-XL's fold 8 reach it.
_MUSCLE_MV = 0.04
#: Hum of this amplitude is as large as the smallest wave that counts, and is seen on paper (0.5 mm).
_MAINS_MV = 0.05

Floats = NDArray[np.float64]


@dataclass
class Notes:
    """What has been found so far; ``worst`` 0 usable, 1 limited, 2 unusable."""

    worst: int = 0
    reasons: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)

    def add(self, level: int, flag: str, reason: str, bad: tuple[str, ...] = ()) -> None:
        self.worst = max(self.worst, level)
        self.reasons.append(reason)
        if flag not in self.flags:
            self.flags.append(flag)
        self.bad |= set(bad)


def listed(names: list[str]) -> str:
    """Names as they stand in a sentence: "V1, V2 and V3"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def length_rate_leads(ecg: ECG, wanted: tuple[str, ...], notes: Notes) -> None:
    """Too short, sampled too slowly, or without a lead that is wanted. Two limb leads give the other four."""
    if ecg.duration_s < MIN_DURATION_S:
        notes.add(
            2, "too_short", f"The recording lasts {ecg.duration_s:.1f} s; at least 8 s are needed, 10 s are usual: record again."
        )
    if ecg.fs_hz < MIN_FS_HZ:
        notes.add(2, "low_rate", f"It was sampled at {ecg.fs_hz:.0f} Hz; at least 90 Hz are needed: export it at its full rate.")
    limb = len(set(LIMB_LEADS) & set(ecg.leads))
    missing = [name for name in wanted if name not in ecg.leads and not (name in LIMB_LEADS and limb >= 2)]
    if missing:
        one = len(missing) == 1
        needs = "the twelve standard leads" if len(wanted) == 12 else listed(list(wanted))
        notes.add(
            2,
            "missing_leads",
            f"{'Lead' if one else 'Leads'} {listed(missing)} {'is' if one else 'are'} not in the recording; a report needs "
            f"{needs}: give the full recording.",
        )


def filtered(ecg: ECG, notes: Notes) -> None:
    """Filters that the file states and that change what is measured."""
    limited, told = limited_by_filters(ecg.filters), ecg.filters
    if any(name.startswith("st_j") for name in limited):
        notes.add(
            1,
            "high_pass",
            f"The file states a high-pass filter of {told.high_pass_hz:g} Hz; above {HIGH_PASS_HZ:g} Hz ST levels may be "
            "shifted, unless its phase is linear: record with the diagnostic setting before relying on ST.",
        )
    if any(not name.startswith("st_j") for name in limited):
        notes.add(
            1,
            "low_pass",
            f"The file states a low-pass filter of {told.low_pass_hz:g} Hz; below {LOW_PASS_HZ:g} Hz the voltages of QRS read "
            "too small and fine notches are lost: record with the diagnostic setting before relying on voltages.",
        )


def dead_leads(ecg: ECG, wanted: tuple[str, ...], notes: Notes) -> set[str]:
    """Leads that carry nothing over most of the recording."""
    known = np.isfinite(ecg.signal_mv)
    gaps = {name for name, row in zip(ecg.leads, known, strict=True) if row.mean() < 0.8}
    flat, zero = set(), set()
    width = max(2, round(0.5 * ecg.fs_hz))
    n = ecg.n_samples // width
    for name, values in zip(ecg.leads, ecg.signal_mv, strict=True):
        if name in gaps:
            continue
        parts = np.ptp(np.nan_to_num(values[: n * width].astype(np.float64)).reshape(n, width), axis=1)
        # A lead with gain 1/1000 moves by a microvolt; one that is off does not move at all, or drifts without a beat.
        if (parts < 1e-5).mean() > 0.5:
            flat.add(name)
            if not np.nan_to_num(values).any():
                zero.add(name)
    dead = gaps | flat
    everything = len(dead) == len(ecg.leads)
    if everything and zero == dead:
        notes.add(2, "flat", "Every sample is zero: nothing was recorded; connect the electrodes and record again.", tuple(dead))
        return dead
    if everything and flat:
        notes.add(2, "flat", "No lead shows any signal; connect the electrodes and record again.", tuple(dead))
        return dead
    for names, flag, single, several in (
        (flat, "lead_off", "shows a flat line", "show flat lines"),
        (gaps, "missing_samples", "lacks more than a fifth of its samples", "lack more than a fifth of their samples"),
    ):
        if names:
            named = listed([name for name in ecg.leads if name in names])
            many = len(names) > 1
            notes.add(
                2 if names & set(wanted) else 1,
                flag,
                f"{'Leads' if many else 'Lead'} {named} {several if many else single}; "
                "check the electrode and its cable and record again.",
                tuple(names),
            )
    return dead


def gain_of(ecg: ECG, dead: set[str]) -> float:
    """1, or the factor that brings a recording of quite another size to about 1 mV so that its shape can be looked at."""
    rows = [values for name, values in zip(ecg.leads, ecg.signal_mv, strict=True) if name not in dead]
    # Differences over 40 ms leave wander and offsets out.
    lag = max(1, round(0.04 * ecg.fs_hz))
    sizes = [float(np.nanpercentile(np.abs(row[lag:] - row[:-lag]), 98)) for row in rows]
    size = float(np.median([s for s in sizes if np.isfinite(s)] or [1.0]))
    return 1.0 if 0.004 < size < 12.0 or size <= 0 else 0.5 / size


def amplitude(signs: LeadSigns, gain: float, dead: set[str], ecg: ECG, notes: Notes) -> None:
    """QRS complexes of a size that no heart gives."""
    live = [i for i, name in enumerate(ecg.leads) if name not in dead]
    qrs = signs.qrs_mv[live] / gain
    if signs.beats < 3 or not qrs.any():
        if gain != 1.0:
            size = "far above" if gain < 1 else "far below"
            notes.add(2, "wrong_gain", f"Amplitudes are {size} those of a heart; check gain and unit, and the electrodes.")
        return
    middle, largest = float(np.median(qrs)), float(qrs.max())
    if middle > _MAX_QRS_MV:
        notes.add(
            2, "wrong_gain", f"QRS complexes measure {middle:.3g} mV, hearts give 0.2 to 5 mV: correct the gain or the unit."
        )
    elif largest < _MIN_QRS_MV:
        notes.add(
            2, "wrong_gain", f"QRS complexes measure {largest:.2g} mV, hearts give 0.2 to 5 mV: correct the gain or the unit."
        )
    elif largest < _LOW_QRS_MV:
        notes.add(
            1,
            "low_amplitude",
            f"QRS complexes measure at most {largest:.2f} mV in any lead; check the gain before relying on voltages.",
        )


def clipping(ecg: ECG, dead: set[str], notes: Notes) -> None:
    """Leads that stay at one extreme value for longer than a heart does."""
    clipped = []
    for name, values in zip(ecg.leads, ecg.signal_mv, strict=True):
        x = values[np.isfinite(values)]
        if name in dead or len(x) < 100:
            continue
        middle = float(np.median(x))
        usual = float(np.median(np.abs(x - middle)))
        for end in (float(x.max()), float(x.min())):
            share = float(np.mean(np.abs(x - end) <= 1e-6 * max(1.0, abs(end))))
            if share > _RAIL_SHARE and abs(end - middle) > max(3 * usual, 1e-4):
                clipped.append(name)
                break
            if share > 0.1 and abs(end - middle) > 1e-4 and len(np.unique(x)) > 2:
                clipped.append(name)
                break
    if clipped:
        one = len(clipped) == 1
        notes.add(
            1 if one and len(ecg.leads) > 1 else 2,
            "clipped",
            f"{'Lead' if one else 'Leads'} {listed(clipped)} {'is' if one else 'are'} cut off at a fixed level (the amplifier "
            "or the export saturated); widen the range and record again.",
            tuple(clipped),
        )


def noise(
    signs: LeadSigns, score: float, unusable_below: float, dead: set[str], ecg: ECG, notes: Notes
) -> dict[str, tuple[str, ...]]:
    """Noise per lead with its kind; gives lead → kinds out of "movement", "wander", "muscle", "mains"."""
    if signs.beats < 3:
        notes.add(2, "no_beats", "No heartbeats can be told from the signal; check the electrodes and record again.")
        return {}
    column = {name: signs.table[:, i] for i, name in enumerate(LEAD_FEATURES)}
    live = [i for i, name in enumerate(ecg.leads) if name not in dead]

    def where(mask: NDArray[np.bool_]) -> list[str]:
        return [ecg.leads[i] for i in live if mask[i]]

    unlike = (column["coherence"] < _NOISY_COHERENCE) & (signs.likeness < _NOISY_LIKENESS)
    wander = column["log_wander_ratio"] > _WANDER_RATIO
    muscle = signs.hf_mv > _MUSCLE_MV
    mains = signs.mains_mv > np.maximum(_MAINS_MV, 0.05 * signs.qrs_mv)
    kinds = {"wander": wander, "muscle": muscle, "mains": mains, "movement": unlike & ~muscle & ~mains}
    noisy, drifting = where(unlike), where(wander & ~unlike)
    if noisy:
        few = len(noisy) <= len(ecg.leads) // 2 if len(ecg.leads) > 1 else False
        place = f"lead{'s' if len(noisy) > 1 else ''} {listed(noisy)}" if few else f"{len(noisy)} of {len(ecg.leads)} leads"
        named = [word for kind, word in _CAUSES.items() if any(kinds[kind][ecg.leads.index(n)] for n in noisy)]
        notes.add(
            1 if few else 2,
            "noise",
            f"Beats do not resemble each other in {place} ({listed(named)}); record again at rest, or do not rely on what these "
            "leads show.",
            tuple(noisy),
        )
    if drifting:
        notes.add(
            1,
            "wander",
            f"The baseline wanders by more than the beats' size in {listed(drifting)}; ST levels there are uncertain: clean the "
            "skin, let the patient breathe calmly, and record again.",
            tuple(drifting),
        )
    for kind, mask, saw, act in (
        ("muscle", muscle & ~unlike, "Muscle noise covers small waves", "warm and relax the patient"),
        ("mains", mains & ~unlike, "Mains hum lies over the signal", "check electrode contact, cables and nearby devices"),
    ):
        names = where(mask)
        if names:
            place = listed(names) if len(names) < len(live) or len(live) == 1 else "every lead"
            reason = f"{saw} in {place}; P waves and ST levels there are uncertain: {act}, and record again."
            notes.add(1, kind, reason, tuple(names))
    if score < unusable_below and notes.worst < 2:
        notes.add(
            2,
            "noise",
            "Noise, movement or loose electrodes disturb the recording too much to be read; check the electrodes and record "
            "again at rest.",
        )
    found = {ecg.leads[i]: tuple(kind for kind, mask in kinds.items() if mask[i]) for i in live}
    return {name: which for name, which in found.items() if which}


_CAUSES = {
    "movement": "movement or a loose electrode",
    "muscle": "muscle noise",
    "mains": "mains hum",
    "wander": "baseline wander",
}
