"""What this assistant does not answer, why, and who does.

The intended use (drafts for a clinician to review, read off one resting ECG, no treatment advice) draws the line. Every
topic beyond it has one sentence that says what was asked, what can be had here, and who is the right person. A topic
is looked for in one clause at a time, so that "he takes amiodarone, is the QT long?" is answered and "is the QT long
enough to stop amiodarone?" is not.
"""

from __future__ import annotations

import re

__all__ = ["INTENDED_USE", "REASONS", "TOPICS", "reason_for", "topic_of"]

#: Attached wherever an acute infarction is asked about: silence of this assistant is never a rule-out.
INTENDED_USE = (
    "An acute infarction cannot be ruled out here: this is a draft for a clinician, so act on symptoms, serial ECGs and "
    "the local chest pain pathway, and ask the cardiologist on call when in doubt."
)

#: Topic → one sentence: what lies outside, what can be asked here, who is the right person.
REASONS: dict[str, str] = {
    "treatment": "Treatment, drugs and procedures are not decided here, only what this ECG shows; please ask the treating "
    "physician or the cardiologist on call (a pharmacist for interactions and doses).",
    "prognosis": "Prognosis and risk are not judged from this ECG alone; please ask the treating physician, who knows the "
    "history and the validated scores.",
    "other_test": "That comes from another examination, which this assistant has not seen; please look in the patient's "
    "record or ask the team that ordered the test.",
    "disposition": "Admission, discharge, monitoring and fitness for surgery, sport or driving are not decided here; please "
    "ask the physician responsible for the patient.",
    "other_disease": "That cannot be read from a resting ECG by this assistant, which states only ECG findings; please ask "
    "the treating physician, who can examine the patient.",
    "not_assessed": "That is not among the statements this assistant was trained to judge, so it is neither stated nor "
    "excluded; please have a cardiologist read the tracing.",
    "identity": "No name, date of birth or other identifier is kept with a recording, so this cannot be answered here; please "
    "look in the patient's record.",
    "other_patient": "Only the recording that was opened can be read; please open the other person's ECG, or ask the "
    "clinician who looks after that person.",
    "instructions": "Rules, thresholds and findings cannot be changed by a question; ask what this ECG shows, and let the "
    "clinician who signs the report edit it where it is wrong.",
    "off_topic": "That is not about this ECG; ask about its rhythm, intervals, conduction, infarction or ST-T findings, its "
    "quality or similar cases, and take other matters to a general source.",
}

TOPICS = tuple(REASONS)

# Drug classes and common names; a question that names one asks about treatment unless it asks for a drug's trace on the ECG.
_DRUGS = (
    r"(?:beta ?blockers?|ca(?:lcium)? (?:channel )?blockers?|amiodaron\w*|metoprolol|bisoprolol|atenolol|esmolol|propranolol|"
    r"carvedilol|nebivolol|verapamil|diltiazem|digoxin|digitoxin|digitalis|adenosine|flecainide?|propafenone|sotalol|"
    r"dronedarone|lidocaine|lignocaine|procainamide|ibutilide|vernakalant|atropine?|isoprenaline|adrenaline|epinephrine|"
    r"noradrenaline|dopamine|dobutamine|warfarin|apixaban|rivaroxaban|dabigatran|edoxaban|heparin|enoxaparin|lmwh|doacs?|noacs?|"
    r"aspirin|asa|clopidogrel|ticagrelor|prasugrel|dapt|gtn|nitro\w*|nitrates?|morphine|oxygen therapy|statins?|atorvastatin|"
    r"ace ?inhibitors?|ramipril|lisinopril|losartan|valsartan|furosemide|frusemide|lasix|diuretics?|spironolactone|"
    r"haloperidol|haldol|quetiapine|olanzapine|citalopram|escitalopram|methadone|ondansetron|domperidone|"
    r"clarithromycin|azithromycin|erythromycin|moxifloxacin|ciprofloxacin|levofloxacin|antibiotics?|antiarrhythmics?|"
    r"antipsychotics?|antidepressants?|anticoagulants?|blood thinners?|insulin|magnesium|mgso4|bicarb\w*|"
    r"calcium gluconate|kcl|paracetamol|ibuprofen|nsaids?|tenecteplase|alteplase|tpa|tnk|thrombolytics?|alcohol)"
)

_ECG_EFFECT = re.compile(r"\b(?:digoxin|digitalis|digitoxin|dig|drug|magnesium|potassium)(?: related| induced)? (?:effect|changes?|toxicity|imprint)")

_PATTERNS: tuple[tuple[str, str], ...] = (
    (
        "instructions",
        r"\b(?:ignore|disregard|forget|override|bypass|skip|switch off|turn off|disable|drop|remove)\b.*\b(?:instructions?|rules?|"
        r"checks?|limits?|restrictions?|guidelines|gate|safety|filters?|prompt|policy|above|everything|thresholds?|training|warnings?)\b"
        r"|\b(?:system|hidden|initial) prompt|\byour (?:instructions|prompt|rules|guidelines|configuration|weights|source code)\b"
        r"|\b(?:pretend|act as|act like|role ?play|you are now|from now on|behave as|jailbreak|developer mode|dan mode|god mode|sudo)\b"
        r"|\b(?:change|set|lower|raise|adjust|increase|reduce|move) (?:the |your |its )?(?:\w+ )?(?:threshold|cut ?off|limit|confidence|probabilit\w+|"
        r"rules?|settings?|calibration|diagnosis|findings?|report)\b"
        r"|^(?:now )?(?:please )?(?:just )?(?:say|answer|reply|respond|write|output|print|state|repeat|confirm|report|put|declare)(?: that)? "
        r"(?:it|this|that it|that this|the ecg|the word|yes|no|normal|only|with|everything|there is|sinus rhythm)\b"
        r"(?!.*\b(?:shows?|if|whether)\b)"
        r"|\b(?:tell me|say) (?:that )?(?:it is|its|this is|it s|everything is) (?:normal|fine|ok|nothing|sinus)"
        r"|^(?:please )?(?:mark|label|sign|edit|delete|overwrite|hide|remove|add)\b.*\b(?:as|from|off|report|findings?|diagnosis|record)\b"
        r"|\b(?:always|must|only) (?:call|say|answer|report|state)\b|\breport (?:it )?anyway\b|\bunrestricted\b"
        r"|\b(?:without|no) (?:any )?(?:restrictions|filters)\b",
    ),
    (
        "identity",
        r"\b(?:patient|pt|his|her|their|person)s?(?: s)? (?:full |first |last |family )?(?:name|address|phone|dob|birthday|id\b|identity|insurance)"
        r"|\bdate of birth\b|\bdob\b|\bmrn\b|\b(?:hospital|record|medical record|social security|nhs|insurance) (?:number|no)\b"
        r"|\bwho (?:is|was) (?:this|he|she|that|the (?:patient|pt|person|man|woman|technician|doctor))\b"
        r"|\bwhose (?:ecg|ekg|tracing|recording|heart|is)\b"
        r"|\b(?:which|what) (?:hospital|clinic|ward|city|country|doctor|technician)\b|\bwho (?:recorded|took|made|signed) (?:this|the|it)\b"
        r"|\bhow old is (?:the (?:patient|pt|person|man|woman)|he|she|this (?:patient|person|man|woman))\b"
        r"|\b(?:patient|pt|his|her)s?(?: s)? (?:age|sex|gender|race|ethnicity)\b|\bmale or female\b|\bman or (?:a )?woman\b|\bwhat is the name\b",
    ),
    (
        "other_patient",
        r"\bmy (?:\w+ )?(?:mother|mum|mom|father|dad|wife|husband|son|daughter|brother|sister|neighbou?r|friend|uncle|aunt|grand\w+|"
        r"partner|colleague|dog|cat|baby|child|watch|smart ?watch|kardia|boyfriend|girlfriend|boss)(?! s (?:ecg|ekg))\b"
        r"|\bbed (?:\d+|next|number)\b|\b(?:mr|mrs|ms|miss)\b \w+|\b(?:the )?(?:other|next|previous|another) patient\b"
        r"|\bpatient (?:in (?:room|bed)|next door)|\bapple watch\b|\bsomeone else\b|\broom \d+\b",
    ),
    (
        "treatment",
        r"\btreat(?:ed|ing|s)?\b|\btreatments?\b|\btherap(?:y|ies|eutic)\b|\bmanage(?:d|ment)?\b|\bdos(?:e|es|age|ing)\b|\bmedic(?:ine|ines|ation|ations|ate)\b"
        r"|\bdrugs?\b|\bprescri\w+|\bmeds?\b|\bpills?\b|\banti ?coagula\w+|\bcardiover\w+|\bdefibrillat\w+|\bshock (?:him|her|the|this|it)\b|\bablat\w+"
        r"|\bthrombolys\w+|\blys(?:e|is)\b|\bcath ?lab\b|\b(?:p?pci|cabg|icds?|crt|tavi)\b|\bstent\w*|\bcathet\w+|\bangioplast\w+|\brevasculari\w+"
        r"|\bbypass (?:surgery|operation)\b|\breperfus\w+|\bpace (?:him|her|the patient|this)\b|\b(?:needs?|require[sd]?|indications?|indicated|implant\w*|insert) "
        r"(?:\w+ ){0,4}(?:pacemaker|icd|pacing|device|pacer)\b|\b(?:pacemaker|icd|pacing|pacer) (?:needed|indicated|required|necessary)\b"
        r"|\b(?:next steps?|what next|action plan|care plan)\b|\bwhat (?:should|shall|do|can|must|would) (?:i|we|you) (?:do|give|start)\b"
        r"|\bwhat (?:is|s) to be done\b|\bneeds? (?:doing|to be done)\b|\bwhat (?:would|do|should) you (?:recommend|suggest|advise|do)\b"
        r"|\brecommend(?:ed|ations?|s)?\b|\badvi[cs]e\b|\b(?:can|should|shall|may|must|could|do) (?:i|we|he|she|they|one) "
        r"(?:give|start|stop|continue|take|use|withhold|hold|increase|reduce|switch|inject|infuse|call the stemi|pace|activate)\b"
        r"|\b(?:safe|ok|okay|fine|contraindicated) to (?:give|start|take|use|continue|prescribe)\b|\bcontraindicat\w+|\b\d+ ?mg\b|\brate control\b"
        r"|\brhythm control\b|\bvagal\b|\bvalsalva\b|\bcarotid (?:sinus )?massage\b|\bcpr\b|\bresuscitat\w+|\boperate on\b|\blong term plan\b|\b" + _DRUGS + r"\b",
    ),
    (
        "prognosis",
        r"\bprogno\w+|\bsurviv\w+|\bmortality\b|\blife expectancy\b|\bhow long (?:will|does|has|do) (?:he|she|the patient|they|i) (?:live|have|got|last|to live)\b"
        r"|\b(?:will|would|is|might|could) (?:he|she|the patient|they|i|this patient|it)(?: going to)? (?:die|survive|live|recover|get worse|deteriorate|come back|recur|kill)\b"
        r"|\bdie\b|\bdeath\b|\bfatal\b|\blethal\b|\blife threatening\b|\b(?:risks?|chances?|odds|danger) (?:of|for|to|that|factors?|score|stratif\w+|profile)\b"
        r"|\b(?:high|low|at|his|her|the) risk\b|\bhow risky\b|\bscore2?\b|\bcha ?2?ds ?2?\w*|\bcha2ds2\b|\bhas ?bled\b|\bgrace\b|\btimi\b|\bframingham\b|\bheart score\b"
        r"|\b(?:will|does|could|would) (?:the |this )?\w+ (?:come back|recur|progress|go away|resolve by itself|get worse|worsen)\b|\boutlook\b|\boutcome\b"
        r"|\bhow (?:likely|probable) (?:is|are|it is) (?:he|she|the patient|they|it that (?:he|she))\b.*\b(?:to|arrests?|dies?|will)\b"
        r"|\b(?:going to|will) (?:arrest|have a (?:stroke|heart attack)|become|develop|progress)\b|\bin the (?:next|long|coming) (?:\w+ )?(?:years?|months?|run|days?|weeks?|hours?)\b"
        r"|\bhow dangerous\b|\bis (?:it|this|that) dangerous\b|\brecover(?:y|s)?\b|\blive with\b",
    ),
    (
        "other_test",
        r"\becho(?:cardio\w*|s)?\b|\b(?:tte|toe|tee)\b|\bejection fraction\b|\bl?v?ef\b|\btrop(?:onin\w*|s)?\b|\bck ?mb\b|\b(?:nt ?pro ?)?bnp\b|\bd ?dimers?\b"
        r"|\b(?:cardiac )?mri?\b|\bcmr\b|\bct(?:pa|ca)?\b|\bcat scan\b|\bx ?rays?\b|\bcxr\b|\bultrasound\b|\bscans?\b|\bangiogra\w+|\bangio\b|\bcoronar(?:y|ies) (?:calcium|anatomy)\b"
        r"|\bblood (?:tests?|pressure|gas|sugar|results?|count|works?|values?)\b|\bbloods\b|\blabs?\b|\blab (?:values?|results?)\b|\b(?:potassium|sodium|calcium|magnesium|tsh|glucose|lactate|k\+?) "
        r"(?:level|value|result|concentration)s?\b|\bwhat (?:is|s) (?:the|his|her) (?:potassium|sodium|calcium|tsh|glucose|sugar|lactate|magnesium)\b"
        r"|\bcreatinine\b|\begfr\b|\bha?emoglobin\b|\bhb\b|\bcrp\b|\bwcc\b|\binr\b|\bcholesterol\b|\bldl\b|\b(?:systolic|diastolic) pressure\b|\b(?:bp|rr sys)\b"
        r"|\bsats?\b|\bspo2\b|\boxygen saturation\b|\bo2\b|\btemperature\b|\brespiratory rate\b|\bholter\b|\bstress test\b|\bexercise (?:test|ecg)\b"
        r"|\btreadmill\b|\bep study\b|\belectrophysiolog\w+ study\b|\bgenetic test\w*|\bbiopsy\b|\bfurther tests?\b|\bother tests?\b|\border (?:a|an|any|more)\b|\bspirometry\b|\bcalcium score\b",
    ),
    (
        "disposition",
        r"\bdischarge[ds]?\b(?! (?:letter|summary|note|report))|\badmi(?:t|ts|tted|ssion)\b|\b(?:go|goes|going|send|sent|sending|allowed) (?:(?:him|her|them|me|the patient) )?(?:back )?home\b"
        r"|\bhospitali[sz]\w+|\b(?:icu|itu|ccu|hdu|intensive care|coronary care|telemetry)\b|\bfit(?:ness)? (?:for|to)\b|\b(?:clear(?:ed|ance)?|ok|okay|safe|ready|allowed) (?:for|to) "
        r"(?:\w+ )?(?:surgery|theatre|theater|operation|an[ae]?esthe\w+|sports?|fly|drive|work|travel|exercise|discharge|leave|dive|transfer)\b|\bpre ?op(?:erative)? (?:clearance|assessment)\b"
        r"|\b(?:can|may|should|is) (?:he|she|they|the patient|i) (?:fly|drive|exercise|play|work|travel|run|dive|swim|have surgery|undergo|be operated|leave|transfer)\b|\bsports?\b"
        r"|\brefer(?:ral|red|ring)? (?:to|him|her|needed|them)\b|\b(?:call|ring|phone|page|consult|involve|inform|wake) (?:the |a )?(?:cardiolog\w+|consultant|registrar|cardio|ambulance|doctor|911|999|112)\b"
        r"|\bfollow ?ups?\b|\b(?:repeat|redo) (?:the |an |this )?(?:ecg|ekg)\b|\brepeated\b|\bmonitoring\b|\bemergency (?:room|department)\b|\bgo to (?:the )?(?:hospital|er|ed|a&e)\b|\btransfer(?:red)?\b"
        r"|\bhow urgent\b|\bsee a (?:doctor|cardiologist)\b|\bambulance\b|\btriage\b",
    ),
    (
        "not_assessed",
        r"\bv ?tach\b|\b(?:nsvt|vt|vf|vfib|aivr|avnrt|avrt|wct|pjrt|mat|pea)\b|\bv fib\b|\bventricular (?:tachy\w*|fib\w*|flutter|escape|standstill)\b|\bpolymorphic\b"
        r"|\bbrugada\b|\bpericardi\w+|\bmyocarditis\b|\bearly repol\w*|\bbenign repol\w*|\btorsades?\b|\basystol\w*|\bpauses?\b|\bdextrocardia\b|\bs1 ?q3\w*|\bepsilon\b|\bosborn\b|\bj waves?\b|\bu waves?\b"
        r"|\bwellens\b|\bde winter\b|\bsgarbossa\b|\barvc\b|\bhocm\b|\bhcm\b|\bcardiomyopath\w+|\bjunctional\b|\bidioventricular\b|\bectopic atrial\b|\bwandering\b|\bmultifocal\b|\balternans\b"
        r"|\bsick sinus\b|\bsinus (?:arrest|pause|node dys\w+)\b|\bsino ?atrial\b|\bsa (?:exit )?block\b|\bescape (?:beats?|rhythm)\b|\bshort qt\b|\bbi ?fascicular\b|\btri ?fascicular\b|\blate potentials?\b"
        r"|\b(?:pacemaker|pacing) (?:malfunction|failure|capture)\b|\bfailure to (?:capture|sense)\b|\bhypothermi\w+|\btakotsubo\b|\bspodick\b|\br on t\b|\blown?[ -]ganong\b|\bfragmented\b|\bcatecholaminergic\b|\bcpvt\b",
    ),
    (
        "other_disease",
        r"\bdiabet\w+|\bpneumoni\w+|\bpulmonary embol\w+|\bpe\b|\bcancer\b|\btumou?r\b|\bvalv\w+|\b(?:aortic|mitral|tricuspid|pulmonary) (?:stenosis|regurg\w*|insufficiency|valve|dissection|hypertension)\b"
        r"|\bdissection\b|\bheart failure\b|\bhf\b|\bhfref\b|\bhfpef\b|\bpregnan\w+|\banxi\w+|\bstroke\b|\btia\b|\bstressed\b|\bdepress(?:ed|ive)\b|\bhypertension\b|\bhypertensive\b(?! heart)|\bcopd\b|\basthma\b|\bsepsis\b"
        r"|\binfection\b|\bcovid\w*|\bthyro\w+|\bana?emi\w+|\bcoronary (?:artery )?(?:disease|stenosis|occlusion|blockage)\b|\bcad\b|\bchd\b|\bblocked arter\w+|\bendocarditis\b|\bamyloid\w*"
        r"|\bsarcoid\w*|\bcongenital\b|\bpfo\b|\basd\b|\bvsd\b|\bsmok\w+|\bobes\w+|\boverweight\b|\bsleep apn\w+|\bkidney\b|\brenal\b|\bliver\b|\bseizures?\b|\bepilep\w+|\bdement\w+|\bculprit\b"
        r"|\b(?:why|what) (?:does|did|is|causes?|caused|explains?) (?:he|she|his|her|the patient|the|this) (?:\w+ )?(?:chest pain|pain|palpitations?|syncope|collapse|dizz\w+|faint\w*|short of breath|breathless\w*|dyspn\w+|symptoms)\b"
        r"|\b(?:why|what)\b.*\b(?:has|have|had|having) (?:chest pain|palpitations|syncope|dizziness|symptoms)\b|\b(?:lad|rca|lcx|circumflex|left main)\b (?:occlu\w+|stenosis|lesion|disease|territory)\b"
        r"|\bdrunk\b|\bintoxicat\w+|\bcocaine\b|\bhealthy (?:person|lifestyle)\b|\bgastr\w+|\breflux\b|\bcostochondr\w+|\bmusculo\w+",
    ),
    (
        "off_topic",
        r"\bweather\b|\b(?:poem|song|joke|story|haiku|limerick|lyrics|essay|novel)s?\b|\bcapital of\b|\b(?:python|javascript|java|sql|c\+\+|html|code|script|program|regex)\b"
        r"|\b(?:world cup|football|soccer|movie|film|restaurant|recipe|cook\w*|pizza|hotel|holiday|vacation|bitcoin|stock|shares|election|president|prime minister|king|queen|politic\w*)\b"
        r"|\btranslate\b|\bfavou?rite\b|\bwho (?:wrote|made|built|created|trained|are) you\b|\bare you (?:human|real|chatgpt|gpt\w*|an? (?:ai|robot|human|doctor))\b|\bwhat(?: is|s)? (?:your name|the time|the date|day is)\b"
        r"|\bwhat time is it\b|\bsquare root\b|\b\d+ ?(?:[-+*x/]|plus|times|minus) ?\d+\b|\bmeaning of life\b|\bhow are you\b|\bmarry me\b|\bi love you\b|\b(?:email|letter to)\b"
        r"|\bwho (?:won|invented|discovered|is the best)\b|\bwhat (?:model|language model) are you\b|\bnews\b|\bmusic\b|\bhomework\b",
    ),
)
_TOPIC_REGEX = tuple((name, re.compile(pattern)) for name, pattern in _PATTERNS)

_DRUG = re.compile(r"\b" + _DRUGS + r"\b")
# What merely describes the patient ("on amiodarone", "with known heart failure") does not ask for anything.
_BACKGROUND = re.compile(
    r"\b(?:on|taking|takes|took|under|despite|after|because of|due to|with|has|had|known|history of|hx of|post|from|by|for)"
    r"(?: (?:an?|the|his|her|known|severe|mild|chronic|old|previous|long|term|history|of|high|dose|oral|iv|and|low|suspected|possible|\d+))*$"
)


def topic_of(clause: str, *, has_content: bool = False) -> str | None:
    """The topic of TOPICS that a plain clause (see ``plain_words.clauses``) asks about, or None where it is in scope.

    ``has_content``: the clause also names something the ECG answers; then a drug or a disease that only describes the
    patient ("is the QT long on amiodarone") is passed over.
    """
    text = _ECG_EFFECT.sub(" ", clause)
    for name, pattern in _TOPIC_REGEX:
        for found in pattern.finditer(text):
            drug = name == "treatment" and _DRUG.fullmatch(found.group()) is not None
            if has_content and (drug or name in ("other_disease", "other_test")) and _BACKGROUND.search(text[: found.start()].strip()):
                continue
            return name
    return None


def reason_for(topic: str) -> str:
    """The sentence that declines a topic and names who to ask; KeyError where TOPICS does not hold it."""
    return REASONS[topic]
