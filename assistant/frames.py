"""The sentence frames of the assistant: all that stands around statement and measurement phrases in written text.

The writer fills these, the checker may build its grammar from them: outside the slots no other word is ever written.
Slots: ``{x}`` a list of statements, ``{be}``/``{have}`` the verb that agrees with it, ``{g}`` a group, ``{m}`` a measurement,
``{w}`` a judging word, ``{v}`` a placeholder such as ``[qrs_ms]``. The first frame of each list is the renderer's.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ABSENT_FRAMES",
    "ANSWERS",
    "CASES_FRAMES",
    "CLOSINGS",
    "FIXED",
    "HEDGED_FRAMES",
    "JUDGED_FRAMES",
    "NO_VALUE_FRAMES",
    "RATE_FRAMES",
    "STATED_FRAMES",
    "UNASSESSED_FRAMES",
    "UNDETERMINED_FRAMES",
    "URGENT_UNDETERMINED_FRAMES",
    "VALUE_FRAMES",
    "Sentence",
]


@dataclass(frozen=True)
class Sentence:
    """One sentence with the ids of the evidence it rests on, e.g. ("F:CLBBB", "M:qrs_ms"); empty for fixed sentences."""

    text: str
    claims: tuple[str, ...] = ()


#: ``{x}`` may hold items with "probable" in front: "Atrial fibrillation and probable left ventricular hypertrophy."
STATED_FRAMES = (
    "{x}.",
    "{x} {be} present.",
    "{x} {be} seen.",
    "There {be} {x}.",
    "The ECG shows {x}.",
    "The recording shows {x}.",
    "The tracing shows {x}.",
    "Findings: {x}.",
    "Stated: {x}.",
    "{x} {be} found.",
    "This ECG has {x}.",
)
HEDGED_FRAMES = (
    "Probable {x}.",
    "{x} {be} probable.",
    "{x} {be} likely.",
    "There {be} probably {x}.",
    "Likely {x}.",
    "{x} {be} probably present.",
    "The recording probably shows {x}.",
)
UNDETERMINED_FRAMES = (
    "{x} cannot be judged.",
    "{x} {be} undetermined.",
    "{x} {be} left open.",
    "Whether {x} {be} present cannot be judged.",
    "Undetermined: {x}.",
    "Cannot be judged: {x}.",
    "{x} can be neither stated nor excluded.",
)
#: For critical and urgent statements.
URGENT_UNDETERMINED_FRAMES = (
    "{x} cannot be excluded.",
    "{x} cannot be ruled out.",
    "Not excluded: {x}.",
    "It cannot be excluded that {x} {be} present.",
)
ABSENT_FRAMES = (
    "No {x}.",
    "There {be} no {x}.",
    "No {x} {be} found.",
    "No {x} {be} seen.",
    "{x} {be} absent.",
    "{x} {be} not present.",
    "{x} {be} not seen.",
    "No sign of {x}.",
)
UNASSESSED_FRAMES = (
    "{x} {was} not assessed.",
    "Not assessed: {x}.",
    "{x} {be} not assessed by this assistant.",
)
#: Rate behind a rhythm: "Sinus rhythm at 72/min."
RATE_FRAMES = (
    "{x} at {v}",
    "{x} with a ventricular rate of {v}",
    "{x}, rate {v}",
    "{x} with a rate of {v}",
    "{x}, ventricular rate {v}",
    "{x}, {v}",
)
VALUE_FRAMES = (
    "{m} {v}.",
    "The {m} is {v}.",
    "{m}: {v}.",
    "The {m} measures {v}.",
    "{m} of {v}.",
    "The {m} was measured at {v}.",
)
JUDGED_FRAMES = (
    "{m} {v}, {w}.",
    "The {m} is {w} at {v}.",
    "{m}: {v}, {w}.",
    "The {m} is {v}, which is {w}.",
    "{m} {w} at {v}.",
    "The {m} is {w} ({v}).",
    "With {v}, the {m} is {w}.",
)
NO_VALUE_FRAMES = (
    "The {m} is not measurable.",
    "{m} not measurable.",
    "The {m} cannot be measured.",
    "The {m} could not be measured.",
    "{m}: not measurable.",
)
#: Counts over similar cases; one statement each, so that [k_cases] is clear.
CASES_FRAMES = (
    "Of [n_cases] similar cases, [k_cases] had {x}.",
    "{x} {was} stated in [k_cases] of [n_cases] similar cases.",
    "[k_cases] of [n_cases] similar cases had {x}.",
    "Among [n_cases] similar cases, [k_cases] had {x}.",
)
#: Last sentences; the urgent ones only where a critical or urgent statement is present or cannot be excluded.
CLOSINGS: dict[str, tuple[str, ...]] = {
    "routine": (
        "Clinical review is needed.",
        "Review by a clinician is needed.",
        "A clinician should review this draft.",
        "To be confirmed by a clinician.",
    ),
    "urgent": (
        "Urgent clinical review is needed.",
        "Prompt review by a clinician is needed.",
        "A clinician should review this without delay.",
    ),
}
#: Whole sentences by what they say. Nothing in them is filled but placeholders.
FIXED: dict[str, tuple[str, ...]] = {
    "normal": (
        "Normal ECG.",
        "The ECG is normal.",
        "This is a normal ECG.",
        "The recording is normal.",
        "ECG within normal limits.",
    ),
    "probably normal": ("Probable normal ECG.", "The ECG is probably normal.", "Probably a normal ECG."),
    "otherwise normal": ("Otherwise normal ECG.", "The ECG is otherwise normal."),
    "normal undetermined": (
        "Normal ECG cannot be judged.",
        "Whether the ECG is normal cannot be judged.",
        "A normal ECG cannot be confirmed.",
    ),
    "not normal": ("The ECG is not normal.", "This is not a normal ECG.", "The recording is not normal."),
    "nothing stated": ("No abnormal finding was stated.", "No abnormality was stated.", "No abnormal statement was made."),
    "no such finding": ("No such finding was stated.", "None was stated."),
    "no rhythm": ("The rhythm cannot be judged.", "The rhythm is undetermined.", "No rhythm was stated."),
    "limited": ("The recording is of limited quality.", "Signal quality is limited."),
    "usable": ("The recording is usable.", "Signal quality is good.", "The recording can be read."),
    "unusable": ("The recording is not usable.", "The recording cannot be read."),
    "reasons": ("[quality_reasons].",),
    "criteria": ("[criteria].",),
    "citation": ("Source: [citation].",),
    "no cases": ("No similar cases were searched.", "Similar cases were not searched."),
    "no limit": ("No limit was applied.",),
    "no change": (
        "The stated findings have not changed.",
        "No change in the stated findings.",
        "The same findings are stated in both.",
    ),
    "no earlier": ("No earlier recording was given.",),
    "acute": ("A recording alone cannot exclude an acute infarction.",),
    "out of scope": (
        "Out of scope: this assistant answers only questions about this ECG.",
        "Out of scope: that cannot be answered from this ECG.",
        "Out of scope: a clinician should decide on that.",
    ),
    "unclear": (
        "Unclear: please name a finding or a measurement.",
        "Unclear: the question was not understood.",
        "Unclear: please ask about a finding or a measurement of this ECG.",
    ),
}
#: Answers by what they say; the first words carry the bare answer. ``{l}`` is "Yes" or "No",
#: ``{a}`` "", "probably " or "otherwise ".
ANSWERS: dict[str, tuple[str, ...]] = {
    "yes": (
        "Yes, {x} {be} present.",
        "Yes, {x}.",
        "Yes. {x}.",
        "Yes, there {be} {x}.",
        "Yes: {x}.",
        "Yes, the ECG shows {x}.",
        "Yes, {x} {be} seen.",
    ),
    "present": ("{x} {be} present.", "{x} {be} seen.", "{x}."),
    "no": (
        "No, {x} {be} not present.",
        "No, no {x}.",
        "No {x}.",
        "No, there {be} no {x}.",
        "No, {x} {be} absent.",
        "No. No {x}.",
        "No, no {x} {be} seen.",
        "No: {x} {be} not seen.",
    ),
    "absent": ("{x} {be} absent.", "{x} {be} not present.", "No {x} {be} seen."),
    "undetermined": (
        "Cannot be judged: {x} {be} undetermined.",
        "Cannot be judged: {x} cannot be stated or excluded.",
        "Cannot be judged: {x} {be} left open.",
        "Undetermined: {x} cannot be judged.",
        "Cannot be judged: {x} cannot be excluded.",
    ),
    "not assessed": ("Not assessed: {x}.", "Not assessed: {x} {was} not assessed."),
    "not known": ("Not assessed: that is not among the statements of this assistant.",),
    "each": ("{x} {be} present", "{x} {be} undetermined", "{x} {be} absent", "{x} {was} not assessed"),
    "one": ("{x}.", "{x} {be} present.", "It is {x}."),
    "both": ("Both: {x}.", "Both {x} {be} present."),
    "several": ("{x}.", "{x} {be} present."),
    "neither": ("Neither: no {x}.", "Neither: {x} {be} absent."),
    "none of them": ("None: no {x}.", "None: {x} {be} absent."),
    "stated": ("{x}.", "{x} {be} present.", "{x} {be} stated.", "Stated: {x}."),
    "none": ("None: no {x} {was} found.", "None: no {x} {be} seen.", "None: no {x}."),
    "judged": (
        "{l}, the {m} is {w} at {v}.",
        "{l}, the {m} is {v}, {w}.",
        "{l}: {m} {v}, {w}.",
        "{l}, {m} {w} at {v}.",
        "{l}, the {m} is {w} ({v}).",
    ),
    "no value": (
        "Cannot be judged: the {m} is not measurable.",
        "Cannot be judged: the {m} could not be measured.",
        "Cannot be judged: {m} not measurable.",
    ),
    "value without limit": ("Cannot be judged: the {m} is {v}.",),
    "normal": ("{l}the ECG is {a}normal.", "{l}{a}normal ECG.", "{l}the recording is {a}normal."),
    "not normal": ("{l}the ECG is not normal.", "{l}this is not a normal ECG.", "{l}not a normal ECG."),
    "normal undetermined": (
        "Cannot be judged: whether the ECG is normal is undetermined.",
        "Cannot be judged: a normal ECG cannot be confirmed.",
        "Cannot be judged: normal ECG is undetermined.",
    ),
    "certainty": (
        "{x} {s}: probability [probability].",
        "{x} {s}, with a probability of [probability].",
        "Probability [probability]: {x} {s}.",
    ),
    "new": ("New: {x}.", "{x} {be} new.", "{x} {be} newly stated."),
    "gone": ("No longer present: {x}.", "{x} {be} no longer present.", "{x} {be} no longer stated."),
    "open": ("Change cannot be judged: {x}.", "Whether {x} changed cannot be judged."),
    "kept": ("Unchanged: {x}.", "{x} {be} unchanged.", "Still present: {x}.", "{x} {be} still present."),
}
