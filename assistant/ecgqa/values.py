"""The answers of ECG-QA (Oh et al. 2023) as it writes them, and what each stands for.

Every string that leaves here under ``--convention ecg-qa`` is one of its ``answers.csv``. Statements are named there by
PTB-XL's descriptions with small differences; the axis, noise, stages, extra systoles and numeric features have names of
their own.
"""

from __future__ import annotations

from encoders.vocabulary import CODES, STATEMENTS, codes_in

__all__ = [
    "ABNORMAL",
    "AXES",
    "CODE_OF",
    "DIAGNOSTIC",
    "EXTRAS",
    "FAMILIES",
    "FEATURES",
    "FORM",
    "LEADS",
    "NAME_OF",
    "NOISES",
    "NONE",
    "NOT_SURE",
    "RANGES",
    "RHYTHM",
    "STAGES",
    "STAGE_NONE",
    "STAGE_UNKNOWN",
    "SUPERCLASS_NAMES",
    "VALUES",
]

NONE, NOT_SURE = "none", "not sure"
NOISES = ("baseline drift", "static noise", "burst noise", "electrodes problems")
LEADS = tuple(f"lead {name}" for name in ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"))
AXES = ("normal heart axis", "left axis deviation", "right axis deviation", "extreme axis deviation")
STAGES = tuple(f"{age} stage of myocardial infarction" for age in ("early", "middle", "old"))
STAGE_UNKNOWN = "unknown stage of myocardial infarction"
STAGE_NONE = "none of myocardial infarction"
EXTRAS = ("extrasystoles", "ventricular extrasystoles", "supraventricular extrasystoles")
RANGES = ("below the normal range", "within the normal range", "above the normal range")
FEATURES = ("rr interval", "p duration", "pr interval", "qrs duration", "qt interval", "qt corrected")
SUPERCLASS_NAMES = {
    "conduction disturbance": "CD",
    "hypertrophy": "HYP",
    "myocardial infarction": "MI",
    "st/t change": "STTC",
}

#: SCP code → the name that ECG-QA gives the statement.
NAME_OF: dict[str, str] = {
    "NDT": "non-diagnostic t abnormalities", "NST_": "non-specific st changes", "DIG": "digitalis effect",
    "LNGQT": "long qt-interval", "NORM": "normal ecg", "IMI": "myocardial infarction in inferior leads",
    "ASMI": "myocardial infarction in anteroseptal leads", "LVH": "left ventricular hypertrophy",
    "LAFB": "left anterior fascicular block", "ISC_": "non-specific ischemic", "IRBBB": "incomplete right bundle branch block",
    "1AVB": "first degree av block", "IVCD": "non-specific intraventricular conduction disturbance (block)",
    "ISCAL": "ischemic in anterolateral leads", "CRBBB": "complete right bundle branch block",
    "CLBBB": "complete left bundle branch block", "ILMI": "myocardial infarction in inferolateral leads",
    "LAO/LAE": "left atrial overload/enlargement", "AMI": "myocardial infarction in anterior leads",
    "ALMI": "myocardial infarction in anterolateral leads", "ISCIN": "ischemic in inferior leads",
    "INJAS": "subendocardial injury in anteroseptal leads", "LMI": "myocardial infarction in lateral leads",
    "ISCIL": "ischemic in inferolateral leads", "LPFB": "left posterior fascicular block",
    "ISCAS": "ischemic in anteroseptal leads", "INJAL": "subendocardial injury in anterolateral leads",
    "ISCLA": "ischemic in lateral leads", "RVH": "right ventricular hypertrophy",
    "ANEUR": "st-t changes compatible with ventricular aneurysm", "RAO/RAE": "right atrial overload/enlargement",
    "EL": "electrolytic disturbance or drug (former edis)", "WPW": "wolf-parkinson-white syndrome",
    "ILBBB": "incomplete left bundle branch block", "IPLMI": "myocardial infarction in inferoposterolateral leads",
    "ISCAN": "ischemic in anterior leads", "IPMI": "myocardial infarction in inferoposterior leads",
    "SEHYP": "septal hypertrophy", "INJIN": "subendocardial injury in inferior leads",
    "INJLA": "subendocardial injury in lateral leads", "PMI": "myocardial infarction in posterior leads",
    "3AVB": "third degree av block", "INJIL": "subendocardial injury in inferolateral leads", "2AVB": "second degree av block",
    "ABQRS": "abnormal qrs", "PVC": "ventricular premature complex", "STD_": "non-specific st depression",
    "VCLVH": "voltage criteria (qrs) for left ventricular hypertrophy", "QWAVE": "q waves present",
    "LOWT": "low amplitude t-wave", "NT_": "non-specific t-wave changes", "PAC": "atrial premature complex",
    "LPR": "prolonged pr interval", "INVT": "inverted t-waves",
    "LVOLT": "low qrs voltages in the frontal and horizontal leads", "HVOLT": "high qrs voltage",
    "TAB_": "t-wave abnormality", "STE_": "non-specific st elevation", "PRC(S)": "premature complex(es)", "SR": "sinus rhythm",
    "AFIB": "atrial fibrillation", "STACH": "sinus tachycardia", "SARRH": "sinus arrhythmia", "SBRAD": "sinus bradycardia",
    "PACE": "normal functioning artificial pacemaker", "SVARR": "supraventricular arrhythmia",
    "BIGU": "bigeminal pattern (unknown origin, supraventricular, or ventricular)", "AFLT": "atrial flutter",
    "SVTAC": "supraventricular tachycardia", "PSVT": "paroxysmal supraventricular tachycardia",
    "TRIGU": "trigeminal pattern (unknown origin, supraventricular, or ventricular)",
}  # fmt: skip
#: The names back to their codes.
CODE_OF = {name: code for code, name in NAME_OF.items()}

#: Statements that are never an answer of a list there: too few of them, or not a symptom.
_UNLISTED = frozenset(
    ("NORM", "RVH", "ANEUR", "EL", "WPW", "SEHYP", "3AVB", "2AVB", "PRC(S)", "SVARR", "PSVT", "TRIGU")
)
_LISTED = tuple(code for code in CODES if code not in _UNLISTED)
DIAGNOSTIC = tuple(c for c in codes_in("diagnostic") if c in _LISTED)
FORM = tuple(c for c in codes_in("form") if c in _LISTED)
RHYTHM = tuple(c for c in codes_in("rhythm") if c in _LISTED)
#: Families a question can ask about, by name, as the codes that may be answered.
FAMILIES: dict[str, tuple[str, ...]] = {"diagnostic": DIAGNOSTIC, "form": FORM, "rhythm": RHYTHM, "all": _LISTED}
#: What "any abnormal symptom" counts: everything but a normal ECG and plain sinus rhythm.
ABNORMAL = tuple(s.code for s in STATEMENTS if s.code not in ("NORM", "SR"))

#: Every answer that may be given.
VALUES = frozenset(
    (
        "yes", "no", NOT_SURE, NONE, STAGE_NONE, STAGE_UNKNOWN,
        *NOISES, *LEADS, *AXES, *STAGES, *EXTRAS, *RANGES, *FEATURES, *SUPERCLASS_NAMES, *(NAME_OF[c] for c in _LISTED),
    )
)  # fmt: skip
