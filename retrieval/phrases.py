"""How people name the statements: wordings by which a text query is understood, each with the codes it stands for.

The names of the vocabulary itself are always understood and are not repeated here. A group ("bundle branch block") stands
for all its codes: a case with any of them answers it.
"""

from __future__ import annotations

from encoders.vocabulary import CODES, STATEMENTS, SUPERCLASSES, codes_in, statement

__all__ = ["LIMITS", "OUTSIDE", "PHRASES", "at_site"]

#: What loose words are taken for, as help and results print it.
LIMITS = """\
elderly, geriatric, an old man or woman: 65 years and over; very old: 80 and over; middle-aged: 40 to 64; young: under 40;
child, teenager: under 18; "in her 70s", septuagenarian: the ten years; "70 years old": 68 to 72; tachycardic, rapid
ventricular response: rate over 100/min; bradycardic, slow ventricular response: under 60/min; normal rate: 60 to 100/min;
wide QRS: 120 ms and more; left axis: beyond -30 degrees, right axis: beyond 90; "rate 80": 75 to 85/min;
"45 bpm": 40 to 50; "QRS 130 ms": 120 to 140.
"""

_ISCHAEMIA = tuple(c for c in CODES if c.startswith("ISC"))
_INJURY = tuple(c for c in CODES if c.startswith("INJ"))
_INFARCTION = tuple(c for c in codes_in("MI") if c not in _INJURY)
_LATERAL_MI = ("LMI", "ALMI", "ILMI", "IPLMI")
_POSTERIOR_MI = ("PMI", "IPMI", "IPLMI")

_WORDINGS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    # rhythm
    (("AFIB",), ("AF", "a-fib", "afib", "irregularly irregular rhythm", "fibrillating atria")),
    (("AFLT",), ("flutter", "sawtooth flutter waves")),
    (("AFIB", "AFLT"), ("atrial fibrillation or flutter",)),
    (("SR",), ("normal rhythm", "regular sinus rhythm")),
    (("STACH",), ("fast sinus rhythm", "fast heart rate")),
    (("STACH", "SVTAC", "PSVT"), ("tachycardia", "rapid heart beat")),
    (("SBRAD",), ("bradycardia", "slow heart rate", "slow sinus rhythm")),
    (("SARRH",), ("respiratory arrhythmia", "irregular sinus rhythm")),
    (("SVTAC", "PSVT"), ("SVT", "supraventricular tachycardias", "narrow complex tachycardia")),
    (("SVARR",), ("supraventricular rhythm disturbance",)),
    (
        ("SVARR", "AFIB", "AFLT", "SARRH", "SVTAC", "PSVT", "BIGU", "TRIGU", "PVC", "PAC", "PRC(S)"),
        ("arrhythmia", "irregular rhythm"),
    ),
    (("PACE",), ("pacemaker", "paced rhythm", "ventricular pacing", "pacing spikes", "paced", "pacing")),
    (("BIGU",), ("bigeminy",)),
    (("TRIGU",), ("trigeminy",)),
    # ectopy
    (
        ("PVC",),
        (
            "PVCs",
            "ventricular extrasystole",
            "ventricular extrasystoles",
            "VES",
            "ventricular ectopic beats",
            "premature ventricular contraction",
            "premature ventricular contractions",
            "premature ventricular complexes",
        ),
    ),
    (
        ("PAC",),
        (
            "PACs",
            "atrial extrasystole",
            "supraventricular extrasystoles",
            "atrial ectopic beats",
            "premature atrial contraction",
            "premature atrial contractions",
            "premature atrial complexes",
        ),
    ),
    (("PVC", "PAC", "PRC(S)"), ("extrasystoles", "ectopic beats", "extra beats", "premature beats", "ectopy", "skipped beats")),
    # conduction
    (("CLBBB",), ("LBBB", "left bundle branch block")),
    (("CRBBB",), ("RBBB", "right bundle branch block")),
    (("CLBBB", "CRBBB", "ILBBB", "IRBBB"), ("bundle branch block", "BBB")),
    (("IRBBB",), ("incomplete RBBB", "rsr' pattern in V1")),
    (("ILBBB",), ("incomplete LBBB",)),
    (("IVCD",), ("intraventricular conduction delay", "intraventricular block")),
    (("LAFB",), ("left anterior hemiblock", "LAHB", "anterior fascicular block")),
    (("LPFB",), ("left posterior hemiblock", "LPHB", "posterior fascicular block")),
    (("LAFB", "LPFB"), ("fascicular block", "hemiblock")),
    (
        ("1AVB", "LPR"),
        (
            "first-degree AV block",
            "1st degree AV block",
            "first degree heart block",
            "AV block I",
            "long PR interval",
            "prolonged PR",
            "long PR",
        ),
    ),
    (
        ("2AVB",),
        ("second-degree AV block", "2nd degree AV block", "second degree heart block", "Wenckebach", "Mobitz", "AV block II"),
    ),
    (
        ("3AVB",),
        (
            "third-degree AV block",
            "3rd degree AV block",
            "complete heart block",
            "complete AV block",
            "AV block III",
            "atrioventricular dissociation",
            "third degree heart block",
        ),
    ),
    (("1AVB", "2AVB", "3AVB"), ("AV block", "atrioventricular block", "heart block")),
    (("2AVB", "3AVB"), ("high-grade AV block", "high grade heart block", "advanced AV block")),
    (("WPW",), ("Wolff-Parkinson-White", "pre-excitation", "preexcitation", "delta wave", "delta waves", "accessory pathway")),
    # infarction
    (_INFARCTION, ("MI", "myocardial infarction", "heart attack", "infarct", "infarction", "infarct scar")),
    (("IMI", "ILMI", "IPMI", "IPLMI"), ("inferior MI", "inferior infarct", "inferior infarction", "inferior wall infarction")),
    (
        ("AMI", "ASMI", "ALMI"),
        ("anterior MI", "anterior infarct", "anterior infarction", "anterior wall infarction", "LAD infarction"),
    ),
    (("ASMI",), ("anteroseptal MI", "anteroseptal infarct", "anteroseptal infarction", "septal infarction", "septal MI")),
    (("ALMI",), ("anterolateral MI", "anterolateral infarct", "anterolateral infarction")),
    (_LATERAL_MI, ("lateral MI", "lateral infarct", "lateral infarction", "lateral wall infarction")),
    (("ILMI", "IPLMI"), ("inferolateral MI", "inferolateral infarction")),
    # acute, as these say, is injury or an infarction of any stage: the library holds none
    (("INJAS", "INJAL", "AMI", "ASMI", "ALMI"), ("anterior STEMI", "anterior wall STEMI")),
    (("INJAS", "ASMI"), ("anteroseptal STEMI", "septal STEMI")),
    (("INJAL", "ALMI"), ("anterolateral STEMI",)),
    (("INJIN", "INJIL", "IMI", "ILMI", "IPMI", "IPLMI"), ("inferior STEMI", "inferior wall STEMI")),
    (("INJIL", "ILMI", "IPLMI"), ("inferolateral STEMI",)),
    (("INJLA", "INJAL", "INJIL", *_LATERAL_MI), ("lateral STEMI", "lateral wall STEMI")),
    (_POSTERIOR_MI, ("posterior STEMI", "posterior wall STEMI")),
    (_POSTERIOR_MI, ("posterior MI", "posterior infarct", "posterior infarction", "posterior wall infarction")),
    (("QWAVE",), ("Q waves", "pathological Q waves", "Q wave")),
    (_INJURY, ("subendocardial injury", "myocardial injury", "injury current")),
    # ST and T
    (
        ("STE_", *_INJURY),
        ("ST elevation", "elevated ST segment", "ST segment elevation", "STEMI", "acute infarction", "acute MI"),
    ),
    (("STE_",), ("unspecific ST elevation",)),
    (("STD_", *_ISCHAEMIA), ("ST depression", "depressed ST segment", "ST segment depression")),
    (
        _ISCHAEMIA,
        (
            "ischaemia",
            "ischemia",
            "ischemic changes",
            "myocardial ischemia",
            "myocardial ischaemia",
            "ischaemic changes",
            "coronary ischemia",
        ),
    ),
    (("ISCAL", "ISCAN", "ISCAS"), ("anterior ischemia", "anterior ischaemia")),
    (("ISCIN", "ISCIL"), ("inferior ischemia", "inferior ischaemia")),
    (("ISCLA", "ISCAL", "ISCIL"), ("lateral ischemia", "lateral ischaemia")),
    (("INVT",), ("T wave inversion", "inverted T wave", "negative T waves", "T inversion")),
    (("NDT", "NT_", "LOWT", "INVT", "TAB_"), ("T wave changes", "T wave abnormalities", "abnormal T waves")),
    (("LOWT",), ("flat T waves", "T wave flattening")),
    (
        ("NST_", "STD_", "STE_", "NDT", "NT_"),
        ("ST-T changes", "repolarisation abnormality", "repolarization abnormality", "nonspecific ST-T changes"),
    ),
    (("NST_", "STD_", "STE_"), ("ST changes", "ST segment changes")),
    (("LNGQT",), ("long QT", "long QT syndrome", "prolonged QT", "QT prolongation", "prolonged QTc", "long QTc")),
    (("DIG",), ("digoxin effect", "digitalis", "digoxin", "scooped ST segments")),
    (("EL",), ("electrolyte disturbance", "hyperkalaemia", "hyperkalemia", "hypokalaemia", "hypokalemia", "drug effect")),
    (("ANEUR",), ("ventricular aneurysm", "persistent ST elevation after infarction")),
    # chambers and voltage
    (
        ("LVH", "VCLVH"),
        (
            "left ventricular enlargement",
            "thick left ventricle",
            "thickened heart muscle",
            "hypertensive heart",
            "left heart hypertrophy",
        ),
    ),
    (("RVH",), ("right ventricular enlargement", "right heart strain", "cor pulmonale")),
    (("LVH", "RVH", "SEHYP", "VCLVH"), ("hypertrophy", "ventricular hypertrophy", "hypertrophic cardiomyopathy")),
    (("LAO/LAE",), ("left atrial enlargement", "left atrial overload", "P mitrale", "left atrial abnormality")),
    (("RAO/RAE",), ("right atrial enlargement", "right atrial overload", "P pulmonale")),
    (("LAO/LAE", "RAO/RAE"), ("atrial enlargement", "enlarged atria")),
    (("VCLVH", "HVOLT"), ("high voltage", "tall R waves")),
    (("LVOLT",), ("low voltage", "low QRS voltage", "small QRS complexes")),
    (("ABQRS",), ("abnormal QRS complex", "QRS abnormality")),
    # superclasses
    (
        ("NORM",),
        (
            "normal",
            "healthy",
            "healthy heart",
            "no abnormality",
            "unremarkable ECG",
            "normal electrocardiogram",
            "normal tracing",
        ),
    ),
    (codes_in("CD"), ("conduction disturbance", "conduction disorder", "conduction defect", "conduction block")),
    (codes_in("STTC"), ("ST/T changes",)),
)


def _all() -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for known in STATEMENTS:
        out[known.name.lower()] = (known.code,)
        if known.code not in ("EL", "SR", "MI"):  # too short to be meant where they stand
            out[known.code.lower()] = (known.code,)
    out["sr"] = ("SR",)
    for codes, wordings in _WORDINGS:
        for wording in wordings:
            out[wording.lower()] = codes
    for name in SUPERCLASSES:
        out.setdefault(name.lower(), codes_in(name))
    return out


#: Wording in lower case → the codes it stands for, all in the vocabulary.
PHRASES: dict[str, tuple[str, ...]] = _all()

#: What no statement stands for, though some wording of another lies near: named as not understood, never searched for.
OUTSIDE = (
    # rhythm
    "ventricular fibrillation", "ventricular flutter", "VF", "V fib", "ventricular tachycardia", "ventricular tachycardias",
    "ventricular tachyarrhythmia", "VT", "V tach", "torsades de pointes", "torsade de pointes", "torsades", "asystole",
    "cardiac arrest", "sinus arrest", "sinus pause", "sinus pauses", "SA block", "sinoatrial block", "sick sinus syndrome",
    "sick sinus", "junctional rhythm", "junctional escape rhythm", "junctional tachycardia", "nodal rhythm", "AV nodal rhythm",
    "escape rhythm", "idioventricular rhythm", "ectopic atrial rhythm", "wandering pacemaker", "electrical alternans",
    # ischaemia
    "NSTEMI", "non STEMI", "non ST elevation infarction", "non ST elevation MI", "non ST elevation myocardial infarction",
    "acute coronary syndrome", "coronary occlusion", "coronary artery disease", "coronary heart disease",
    "right ventricular infarction", "right ventricular infarct", "right ventricular MI", "RV infarction", "RV infarct", "RV MI",
    # muscle, pericardium, lungs
    "cardiomyopathy", "dilated cardiomyopathy", "takotsubo", "heart failure", "myocarditis",
    "pericarditis", "pericardial effusion", "tamponade", "pulmonary embolism", "lung embolism", "valve disease",
    "aortic stenosis", "dextrocardia",
    # form
    "early repolarisation", "early repolarization", "J wave", "J waves", "U wave", "U waves", "epsilon wave", "epsilon waves",
    "Osborn wave", "Osborn waves", "fragmented QRS", "short QT", "short QT interval", "short QT syndrome", "short QTc",
    "Brugada", "Brugada pattern", "Brugada syndrome", "hypercalcaemia", "hypercalcemia", "hypocalcaemia", "hypocalcemia",
    # technique
    "lead reversal", "lead misplacement", "arm lead reversal", "swapped leads", "reversed leads", "electrode swap",
)  # fmt: skip

_STEMS = ("anter", "infer", "later", "poster", "sept", "apic", "basal")


def at_site(codes: tuple[str, ...], site: str) -> tuple[str, ...]:
    """Those of ``codes`` whose names hold all that ``site`` says: of the infarctions, "inferolateral" leaves ILMI and IPLMI."""
    stems = [stem for stem in _STEMS if stem in site]
    return tuple(code for code in codes if all(stem in statement(code).name for stem in stems))
