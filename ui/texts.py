"""Every sentence that the page and the service show of their own, in one place."""

from __future__ import annotations

__all__ = [
    "ACCEPT",
    "ACCEPTED",
    "ADD",
    "ADDED",
    "ADD_SENTENCE",
    "AGAINST",
    "AGE",
    "ALL_JUDGED",
    "ALL_LEADS",
    "ALL_TWELVE",
    "ANALYSE",
    "ASK",
    "ASK_FIRST",
    "ASK_PLACEHOLDER",
    "AS_DRAFTED",
    "AS_IN",
    "AS_RECORDED",
    "BANNER",
    "BEATS_SCALE",
    "CALIPERS",
    "CANNOT_BE_JUDGED",
    "CASES",
    "CASES_COLUMNS",
    "CASES_NOTE",
    "CASE_GONE",
    "CASE_OF",
    "CHANGE",
    "CHANGED",
    "CHAT_EMPTY",
    "CHAT_LABEL",
    "CHAT_READY",
    "CHOOSE",
    "CLEAR_MARKS",
    "COMPARED_COLUMNS",
    "COMPARED_WITH",
    "COMPARED_WITH_HASH",
    "COMPARE_CHOOSE",
    "COMPARE_EMPTY",
    "COMPARISON",
    "CONFIDENCE",
    "CONFIDENCE_NOTE",
    "CONFLICTS",
    "CRITICAL",
    "DEMO_LABEL",
    "DRAFTED_AS",
    "DRAFTS_ONLY",
    "DROP_LABEL",
    "EMPTY",
    "ENTRY",
    "ENTRY_AT",
    "EVIDENCE",
    "EVIDENCE_EMPTY",
    "EXPORT",
    "EXPORTS",
    "FINDINGS",
    "FINDINGS_HINT",
    "FINDING_GROUPS",
    "FOR_EXAMPLE",
    "FOUND_BY",
    "FROM",
    "GAIN",
    "GONE",
    "HIDE_TRACE",
    "INTENDED_USE",
    "INTO_SECTION",
    "KNOWN_ALL_THE_SAME",
    "LABEL_MISSING",
    "LABEL_NOTE",
    "LAYOUT",
    "LAYOUTS",
    "LEADS",
    "LEFT",
    "LESS_THAN_USUAL",
    "LIMITS",
    "MARKED",
    "MEASURED_COLUMNS",
    "MEASUREMENTS",
    "NEIGHBOURS",
    "NEIGHBOURS_NOTE",
    "NOISE_NOTE",
    "NONE_STATED",
    "NORMAL_IS",
    "NOTHING_STATED_IN_EITHER",
    "NOTHING_TO_SIGN",
    "NOT_ASSESSED",
    "NOT_KNOWN",
    "NOT_SHOWN_FOR",
    "NO_BEATS",
    "NO_CASES",
    "NO_EVIDENCE",
    "NO_PREVIOUS",
    "NO_STRETCH",
    "ONLY_HERE",
    "ONLY_THERE",
    "OPEN_HERE",
    "PAGE_OF",
    "PAPER_ALT",
    "PAPER_KEYS",
    "PAPER_TOOLS",
    "PATIENT",
    "PATIENT_LABEL",
    "PERSON",
    "PREVIOUS",
    "PREVIOUS_CAPTION",
    "PROBABILITY",
    "QUESTIONS",
    "RANGES_NOTE",
    "RATE",
    "REASON",
    "RECORDED",
    "RECORDINGS",
    "RECORDING_IS",
    "REFERRAL_LEAD",
    "REJECT",
    "REJECTED",
    "REPORT_TITLE",
    "RESEARCH",
    "SCORE",
    "SCRIPTED",
    "SERVICE_DESCRIPTION",
    "SEX",
    "SHARED",
    "SHOWN_CAPTION",
    "SHOW_TRACE",
    "SIGN",
    "SIGNED",
    "SIGNED_ALREADY",
    "SIGNED_BY",
    "SIGN_OFF",
    "SIGN_OUT",
    "SOME_READ",
    "SPEAKS",
    "SPEED",
    "STEPS",
    "STRETCHES",
    "SYNTHESISED",
    "TABLES",
    "TABS",
    "THINKING",
    "TITLE",
    "TO_REVIEW",
    "TYPED",
    "UNFORESEEN",
    "UNIT",
    "VALUES_THERE",
    "VERSIONS",
    "VITALS",
    "WEIGHED",
    "WHO_LOOKS",
    "YOUR_NAME",
    "ZOOM",
    "ZOOM_FIT",
    "ZOOM_IN",
    "ZOOM_OUT",
]

TITLE = "ECG assistant"
INTENDED_USE = (
    "For adults and resting 12-lead recordings; drafts for a clinician to review; no treatment advice. It never rules out an"
    " acute infarction."
)

# Recordings
DRAFTS_ONLY = "Drafts to review"
RECORDINGS = "Recordings"
DEMO_LABEL = "Demo recording (synthesised)"
DROP_LABEL = "Own recordings, one or more (WFDB, EDF, DICOM, MUSE, Philips, aECG, SCP, CSV, NumPy)"
AGE = "Age"
SEX = "Sex"
AS_RECORDED = "as recorded"
PATIENT_KEY = "Patient key"
PATIENT_KEY_HINT = "leaves out the patient's own cases; kept as a hash"
TABLES = "For tables without rate or unit"
RATE = "Sampling rate in Hz"
UNIT = "Unit"
ANALYSE = "Analyse"
EMPTY = "Pick a demo recording or drop recordings of your own, then press Analyse."
CHOOSE = "Recording shown"
PREVIOUS = "Previous recording of the same patient"
NO_PREVIOUS = "none"
SYNTHESISED = "{} (synthesised)"
ENTRY = "{n}. {name}"
ENTRY_AT = "{n}. {name}, {at}"
SHOWN_CAPTION = "This recording"
PREVIOUS_CAPTION = "Previous recording"
UNFORESEEN = "Something went wrong on the server's side; the recording was not judged."
SOME_READ = "Recordings read: {read} of {of}. {why}"
STEPS = {
    "read": "Reading the files",
    "load": "Waiting for the assistant (the first time it loads its models)",
    "judge": "Measuring, reading the leads, looking for similar cases",
    "write": "Writing and checking the draft",
    "draw": "Drawing the paper",
}

# Paper
PAPER_TOOLS = "Paper"
LAYOUT = "Layout"
LAYOUTS = (("grid", "3 × 4 and rhythm"), ("rows", "One row per lead"), ("beats", "Median beats"))
SPEED = "Speed"
GAIN = "Gain"
FROM = "From"
LEADS = "Leads"
ALL_LEADS = "All leads"
ZOOM = "Zoom"
ZOOM_OUT = "Zoom out"
ZOOM_IN = "Zoom in"
ZOOM_FIT = "Fit"
CALIPERS = "Calipers"
#: What the page's scripts say themselves.
SCRIPTED = {
    "first": "Click two points",
    "second": "Second point?",
    "rate": "rate",
    "own": "Sentence in your words",
    "save": "Save",
    "cancel": "Cancel",
}
PAPER_KEYS = (
    "ECG on paper. Plus and minus zoom, 0 fits. C starts the calipers: arrow keys move the point, with Shift in larger steps,"
    " Enter sets it, Escape ends."
)
PAPER_ALT = "{leads} leads, {seconds:.0f} s, {scale}"
NO_BEATS = "No two beats could be told apart in this recording, so there is no median beat to show."
BEATS_SCALE = "median beats"
MARKED = "What speaks for {name}"
SPEAKS = "Leads that speak for {name}: {leads}."
STRETCHES = "Stretches: {spans}."
WEIGHED = "Measurements that moved the probability most, and by how much (log odds): {values}."
NO_STRETCH = "No stretch speaks for {name}."
CLEAR_MARKS = "Clear the marks"
NOT_SHOWN_FOR = "The leads behind a finding can be shown for recordings that the network reads."

# Measurements, findings, evidence
VITALS = "Main measurements"
MEASUREMENTS = "Measurements"
ALL_TWELVE = "all 12 leads"
MEASURED_COLUMNS = ("Measurement", "Value", "Normal", "Rests on")
RANGES_NOTE = (
    "Normal ranges of adults, from the table of criteria of this program (cited below, from knowledge of the sources). Where none"
    " stands, the table has none, or it needs an age or sex that is not known."
)
NORMAL_IS = "Normal: {}."
FINDINGS = "Findings"
FINDINGS_HINT = "Press a finding to see on the paper what speaks for it."
FINDING_GROUPS = (
    ("present", "Present", True),
    ("undetermined", "Cannot be judged", True),
    ("absent", "Absent", False),
    ("not assessed", "Not assessed (too few cases to know)", False),
)
NONE_STATED = "none stated"
CONFIDENCE_NOTE = (
    "Probabilities are calibrated on patients that no training saw. “Cannot be judged” is neither present nor absent."
)
PROBABILITY = "calibrated probability"
EVIDENCE = "Evidence"
EVIDENCE_EMPTY = "Press a sentence, a value or a finding to see what it rests on."
NO_EVIDENCE = "This sentence rests on no single item: it is a standing remark, or a human added it."
GONE = "is not among the evidence of this recording"
SCORE = "score"

# Draft and sign-off
BANNER = "Unconfirmed draft"
TO_REVIEW = "for a clinician to review."
LEFT = "Sentences not judged yet: {}."
ALL_JUDGED = "Every sentence has been judged."
REFERRAL_LEAD = "Referral: handed over to a human"
WHO_LOOKS = "To"
REASON = "Reason"
RECORDING_IS = "The recording is {}"
CRITICAL = "Critical: stated, or cannot be excluded"
KNOWN_ALL_THE_SAME = "What is known all the same"
CANNOT_BE_JUDGED = "Cannot be judged"
NOT_ASSESSED = "Not assessed"
CONFLICTS = "Conflicts"
LIMITS = "Limits"
RESEARCH = "Research only, not for clinical decisions"
AS_DRAFTED = "as drafted"
#: What follows from a decision about the same finding elsewhere.
AS_IN = "{state}, as in {section}"
ACCEPTED = "accepted"
CHANGED = "changed"
REJECTED = "rejected"
ADDED = "added"
ACCEPT = "Accept"
CHANGE = "Change"
REJECT = "Reject"
DRAFTED_AS = "drafted:"
ADD_SENTENCE = "Add a sentence of your own"
INTO_SECTION = "Section of the added sentence"
ADD = "Add"
SIGN_OFF = "Sign-off and export"
YOUR_NAME = "Your name"
PATIENT_LABEL = "Patient's label"
SIGN = "Sign"
LABEL_NOTE = (
    "The label is printed on what you take away and kept nowhere. Your signature accepts every sentence that you left as drafted."
)
LABEL_MISSING = "The report needs the patient's label before it can be signed; type up to {} characters, printed and not kept."
SIGNED = "Signed"
SIGNED_BY = "Signed by {name}, {at}"
SIGN_OUT = "Sign out"
SIGNED_ALREADY = "The report is signed; analyse the recording again to correct it."
EXPORT = "Take away"
EXPORTS = (("pdf", "PDF"), ("json", "JSON"), ("fhir", "FHIR R4"))
NOTHING_TO_SIGN = "There is no draft yet; analyse a recording first."

# Comparison and cases
COMPARISON = "Since the previous recording"
COMPARED_COLUMNS = ("Measurement", "Before", "Now", "Change", "Noise", "Verdict")
NOTHING_STATED_IN_EITHER = "Nothing is stated in either recording."
NOISE_NOTE = "Noise:"
COMPARE_CHOOSE = "Choose the previous recording of the same patient above to see what changed."
COMPARE_EMPTY = "Drop two or more recordings and choose the previous one above to see what changed."
CASES = "Similar past cases"
CASES_NOTE = "What was stated of past recordings that resemble this one; it is no finding in this recording."
NEIGHBOURS = "What the {} most similar cases list"
NEIGHBOURS_NOTE = (
    "Of the library that the assistant was calibrated with. “By chance”: as many of any {} of its cases list it. Where similar"
    " cases speak against an absence, the finding cannot be judged; a present one that they bear out less than usual is marked."
)
CASES_COLUMNS = ("Statement", "Cases", "By chance", "Here")
AGAINST = "similar cases speak against its absence"
LESS_THAN_USUAL = "similar cases bear it out less than usual"
NO_CASES = "No similar cases were looked up for this recording."
CASE_OF = "age {}, {}"
FOUND_BY = {
    "recording": "alike as a recording",
    "statements": "by its statements",
    "condition": "by age, sex or measurements",
    "signal": "by the sentence against the signal",
}
SHARED = "stated in both"
ONLY_THERE = "there, absent here"
OPEN_HERE = "there, open here"
ONLY_HERE = "only here"
VALUES_THERE = "there (here)"
SHOW_TRACE = "Show trace"
HIDE_TRACE = "Hide trace"
CASE_GONE = "That case's recording cannot be read here any more; it may have been moved or removed."

# Chat
TABS = ("Draft", "Findings", "Values", "Compare", "Cases", "Ask")
CHAT_LABEL = "Questions about this recording"
CHAT_EMPTY = "Analyse a recording, then ask about it: rate, rhythm, intervals, a finding and why, similar cases."
CHAT_READY = "Ask about this recording: rate, rhythm, intervals, a finding and why, similar cases."
ASK_PLACEHOLDER = "Ask about this recording"
ASK = "Ask"
THINKING = "…"
CONFIDENCE = "Confidence {}; to be checked by a clinician."
FOR_EXAMPLE = "For example"
ASK_FIRST = "Analyse a recording first; questions are answered about that recording only."
QUESTIONS = ("What is the rhythm?", "How long is the QRS complex?", "Is there ischemia?", "What is not assessed?")

# Prints
REPORT_TITLE = "ECG report"
PATIENT = "Patient: {}"
RECORDED = "Recorded: {}"
COMPARED_WITH = "Compared with the recording of {}."
COMPARED_WITH_HASH = "Compared with the recording {}."
PERSON = "Age {age}, sex {sex}"
TYPED = "{} (typed)"
NOT_KNOWN = "not known"
VERSIONS = "Versions: {}"
PAGE_OF = "Page {} of {}"
SERVICE_DESCRIPTION = (
    "Reads a resting 12-lead electrocardiogram of an adult, drafts a report for a clinician to review, answers questions"
    " about it and finds similar past cases. A referral is an answer, too: it says why nothing was stated, and what is known"
    " all the same. Errors are `{\"error\": one sentence}`. Uploads are removed as soon as they are read. "
) + INTENDED_USE
