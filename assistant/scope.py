"""What this assistant does not answer, why, and who does.

The intended use (drafts for a clinician to review, read off one resting ECG, no treatment advice) draws the line. Every
topic beyond it has one sentence that says what was asked, what can be had here, and who is the right person. A topic
is looked for in one clause at a time, so that "he takes amiodarone, is the QT long?" is answered and "is the QT long
enough to stop amiodarone?" is not.
"""

from __future__ import annotations

import re

__all__ = ["INTENDED_USE", "REASONS", "SCOPE_WORDS", "TOPICS", "reason_for", "topic_of", "without_drugs"]

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
#: Who can help, where it is not the treating physician.
_PERSONS = {
    "other_test": "the team that ordered the test", "not_assessed": "a cardiologist", "off_topic": "a general source",
    "identity": "whoever keeps the patient's record", "instructions": "the clinician who signs the report",
}  # fmt: skip

# Drug classes and common names; a question that names one asks about treatment unless it asks for a drug's trace on the ECG.
_DRUGS = (
    r"(?:beta ?blockers?|ca(?:lcium)? (?:channel )?blockers?|amiodaron\w*|metoprolol|bisoprolol|atenolol|esmolol|propranolol|"
    r"carvedilol|nebivolol|verapamil|diltiazem|digoxin|digitoxin|digitalis|adenosine|flecainide?|propafenone|sotalol|"
    r"dronedarone|lidocaine|lignocaine|procainamide|ibutilide|vernakalant|atropine?|isoprenaline|adrenaline|epinephrine|"
    r"noradrenaline|dopamine|dobutamine|warfarin|apixaban|rivaroxaban|dabigatran|edoxaban|heparin|enoxaparin|lmwh|doacs?"
    r"|noacs?|"
    r"aspirin|asa|clopidogrel|ticagrelor|prasugrel|dapt|gtn|nitro\w*|nitrates?|morphine|oxygen therapy|statins?|atorvastatin|"
    r"ace ?inhibitors?|ramipril|lisinopril|losartan|valsartan|furosemide|frusemide|lasix|diuretics?|spironolactone|"
    r"haloperidol|haldol|quetiapine|olanzapine|citalopram|escitalopram|methadone|ondansetron|domperidone|"
    r"clarithromycin|azithromycin|erythromycin|moxifloxacin|ciprofloxacin|levofloxacin|antibiotics?|antiarrhythmics?|"
    r"antipsychotics?|antidepressants?|anticoagulants?|blood thinners?|insulin|magnesium|mgso4|bicarb\w*|"
    r"calcium gluconate|kcl|paracetamol|ibuprofen|nsaids?|tenecteplase|alteplase|tpa|tnk|thrombolytics?|alcohol)"
)

_ECG_EFFECT = re.compile(
    r"\b(?:digoxin|digitalis|digitoxin|dig|drug|magnesium|potassium)(?: related| induced)? (?:effect|changes?|toxicity|imprint)"
)

_PATTERNS: tuple[tuple[str, str], ...] = (
    (
        "instructions",
        r"\bignore (?:all|any|that|this|it|them|what)\b|^(?:disable|deactivate|turn off|switch off|bypass|override)\b"
        r"|\b(?:ignore|disregard|forget|override|bypass|skip|switch off|turn off|disable|drop"
        r"|remove)\b.*\b(?:instructions?|rules?|"
        r"checks?|limits?|restrictions?|guidelines|gate|safety|filters?|prompt|policy|above|everything|thresholds?"
        r"|training|warnings?|ecgs?|recordings?|data|evidence|tracing|report|messages?|prior|told)\b"
        r"|\b(?:system|hidden|initial) prompt|\byour (?:\w+ )?(?:instructions|prompt|rules|guidelines|configuration"
        r"|weights|source code)\b"
        r"|\b(?:pretend|act as|act like|role ?play|you are now|from now on|behave as|jailbreak|developer mode|dan mode"
        r"|god mode|sudo)\b"
        r"|\b(?:change|set|lower|raise|adjust|increase|reduce|move) (?:the |your |its )?(?:\w+ )?(?:threshold|cut ?off"
        r"|limit|confidence|probabilit\w+|"
        r"rules?|settings?|calibration|diagnosis|findings?|report)\b"
        r"|^(?:now |please |just )*(?:say|answer|reply|respond|write|output|print|state|report|put|declare|call)(?: that)? "
        r"(?:(?:it|this|that|the ecg|the tracing|everything|there) (?:is|as|has|shows|normal)\b|(?:yes|no|normal|sinus rhythm)$"
        r"|only (?:with|the word|yes|no|normal)\b|with (?:only )?(?:yes|no|normal|the word)\b|the word\b)"
        r"|\b(?:say|state|report|write|claim) that .+ is (?:absent|present|normal)\b|\brepeat (?:the text|your|everything"
        r"|all|after)\b"
        r"|^(?:please |just )?(?:set|make|treat|consider|assume|force|flag|count|call|classify) .+ (?:to|as|be"
        r"|is) (?:an? )?(?:absent|present|normal|negative|positive|true|false)\b"
        r"|^you (?:must|have to|need to|will|shall|are allowed|are not allowed|may not|can not|do not)\b|^(?:do not|never"
        r"|stop) (?:declin\w+|refus\w+|refer\w*)\b"
        r"|^you are (?:a|an|my|no longer)\b|\btalk like\b|\banswer (?:every|all|each|any)\b|\bfrom (?:this moment|here on"
        r"|today on)\b|\bhenceforth\b"
        r"|^(?:please )?(?:put|write|insert|type) .+ (?:in|into|on) the (?:report|impression|conclusion|summary|record)\b"
        r"|\b(?:tell me|say) (?:that )?(?:it is|its|this is|it s|everything is) (?:normal|fine|ok|nothing|sinus)"
        r"|^(?:please )?(?:mark|label|sign|edit|delete|overwrite|hide|remove|add)\b.*\b(?:as|from|off|report|findings?"
        r"|diagnosis|record)\b"
        r"|\b(?:always|must|only) (?:call|say|answer|reply|respond|report|state)\b|^(?:print|copy|output"
        r"|echo) (?:everything|all|the|your)\b|\bpretend\b|^forget (?:that )?you\b|\breport (?:it )?anyway\b"
        r"|\bunrestricted\b"
        r"|\b(?:without|no) (?:any )?(?:restrictions|filters)\b|\bnew (?:rule|instruction|policy)s?\b|\bevery answer\b"
        r"|\breveal\b.*\b(?:hidden|instructions?|prompt)\b",
    ),
    (
        "identity",
        r"\b(?:patient|pt|his|her|their|person)s?(?: s)? (?:full |first |last |family )?(?:name|address|phone|dob"
        r"|birthday|id\b|identity|insurance)"
        r"|\bdate of birth\b|\bdob\b|\bmrn\b|\b(?:hospital|record|medical record|social security|nhs|insurance) (?:number|no)\b"
        r"|\bwho (?:is|was) (?:this|he|she|that|the (?:patient|pt|person|man|woman|technician|doctor))\b"
        r"|\bwhose (?:ecg|ekg|tracing|recording|heart|is)\b"
        r"|\b(?:which|what) (?:hospital|clinic|city|country|doctor|technician)\b|\bwho (?:recorded|took|made"
        r"|signed) (?:this|the|it)\b"
        r"|\b(?:is|was) (?:he|she|the patient) (?:over|under|older|younger|above|male|female|a man|a woman)\b"
        r"|\bhow old is (?:the (?:patient|pt|person|man|woman)|he|she|this (?:patient|person|man|woman))\b"
        r"|\b(?:patient|pt|his|her)s?(?: s)? (?:age|sex|gender|race|ethnicity)\b|\bmale or female\b"
        r"|\bman or (?:a )?woman\b|\bwhat is the name\b|\bsurname\b|\bwhere (?:was|were) (?:this|it|the \w+) (?:taken"
        r"|recorded|made|done)\b",
    ),
    (
        "other_patient",
        r"\bnext door\b|\b(?:garmin|fitbit|smart ?watch|apple watch|wristband)\b|"
        r"\bmy own (?:resting|pulse|heart|ecg)\b|\b(?:bed|room) \d+\b|"
        r"\bmy (?:\w+ )?(?:mother|mum|mom|father|dad|wife|husband|son|daughter|brother|sister|neighbou?r|friend|uncle"
        r"|aunt|grand\w+|"
        r"partner|colleague|dog|cat|baby|child|watch|smart ?watch|kardia|boyfriend|girlfriend|boss)(?! s (?:ecg|ekg))\b"
        r"|\bbed (?:\d+|next|number)\b|\b(?:mr|mrs|ms|miss)\b \w+|\b(?:the )?(?:other|next|previous|another) patient\b"
        r"|\bmy own (?:ecg|heart|pulse|rhythm|tracing)\b|\bpatient (?:in (?:room|bed)|next door)|\bapple watch\b"
        r"|\bsomeone else\b|\broom \d+\b",
    ),
    (
        "treatment",
        r"\bcandidates? for\b|\bcalls? for (?:an?|any|immediate)\b|\bshockable\b|\bnow what$|\bguidelines?\b|"
        r"\bfirst ?line\b|\btaper\w*|\btitrat\w+|\btablets?\b|\binfus\w+|\binject\w+|\bjoules?\b|\breprogram\w*|"
        r"\bprogramm(?:ed|ing)\b|\bmagnet\b|\bpacing mode\b|\bdevice (?:settings?|therap\w+)\b|\bcompressions\b|"
        r"\bintubat\w+|\bantidote\b|\bsupplements?\b|\bhome remed\w+|\bdiet\b|\bcoffee\b|\bside effects?\b|"
        r"\b(?:nice|esc|aha|acc) (?:say|says|recommend\w*)\b|"
        r"\bagainst (?:the|this|my|her|his) (?:fast|slow|irregular|racing|extra)\b|"
        r"^(?:the )?plan$|\bfirst line\b|^(?:give|start|administer|infuse|inject|load) (?!me\b|us\b|the\b|an?\b|your\b"
        r"|all\b|it\b|short\b|brief\b|one\b|this\b|with\b|by\b|more\b)\w+|\bwould an? \w+(?: \w+)? (?:help|work|be \w+"
        r"|make sense)\b|\bwhat is the plan\b|\b(?:cath|stemi|code|crash|catheter\w*) team\b|\bput (?:him|her|them"
        r"|the patient) on\b|\btreat(?:ed|ing|s)?\b|\btreatments?\b|\btherap(?:y|ies|eutic)\b|\bmanage(?:d|ment)?\b"
        r"|\bdos(?:e|es|age|ing)\b|\bmedic(?:ine|ines|ation|ations|ate)\b"
        r"|\bdrugs?\b|\bprescri\w+|\bmeds?\b|\bpills?\b|\banti ?coagula\w+|\bcardiover\w+|\bdefibrillat\w+|\bshock (?:him"
        r"|her|the|this|it)\b|\bablat\w+"
        r"|\bthrombolys\w+|\blys(?:e|is)\b|\bcath ?lab\b|\b(?:p?pci|cabg|icds?|crt|tavi)\b|\bstent\w*|\bcathet\w+"
        r"|\bangioplast\w+|\brevasculari\w+"
        r"|\bbypass (?:surgery|operation)\b|\breperfus\w+|\bpace (?:him|her|the patient|this)\b|\b(?:needs?|require[sd]?"
        r"|indications?|indicated|implant\w*|insert) "
        r"(?:\w+ ){0,4}(?:pacemaker|icd|pacing|device|pacer)\b|\b(?:pacemaker|icd|pacing|pacer) (?:needed|indicated"
        r"|required|necessary)\b"
        r"|\b(?:next steps?|what next|action plan|care plan)\b|\bwhat (?:should|shall|do|can|must|would) (?:i|we"
        r"|you) (?:do|give|start)\b"
        r"|\bwhat (?:is|s) to be done\b|\bneeds? (?:doing|to be done)\b|\bwhat (?:would|do|should) you (?:recommend"
        r"|suggest|advise|do)\b"
        r"|\brecommend(?:ed|ations?|s)?\b|\badvi[cs]e\b|\b(?:can|should|shall|may|must|could|do) (?:i|we|he|she|they|one) "
        r"(?:give|start|stop|continue|take|use|withhold|hold|increase|reduce|switch|inject|infuse|call the stemi|pace"
        r"|activate)\b"
        r"|\b(?:safe|ok|okay|fine|contraindicated) to (?:give|start|take|use|continue|prescribe)\b|\bcontraindicat\w+"
        r"|\b\d+ ?mg\b|\brate control\b"
        r"|\brhythm control\b|\bvagal\b|\bvalsalva\b|\bcarotid (?:sinus )?massage\b|\bcpr\b|\bresuscitat\w+"
        r"|\boperate on\b|\binterventions?\b|\bsurgery\b|\boperation\b|\blong term plan\b|\b" + _DRUGS + r"\b",
    ),
    (
        "prognosis",
        r"\bharm(?:ful|less)\b|\bcomplications?\b|\bgo wrong with\b|\bbad sign\b|\bcur(?:ed|able)\b|"
        r"\b(?:be|should i be|is it) (?:afraid|scared)\b|\bturns? into\b|\bprospects?\b|\bgrow old\b|"
        r"\bget(?:s|ting)? better by (?:it|him|her)self\b|\bticking bomb\b|\bdeath sentence\b|"
        r"\bleft (?:alone|untreated)\b|\b(?:five|ten|twenty|\d+) years? from now\b|"
        r"\bprogno\w+|\bterminal\b|\bkill\w*|\bdying\b|\b(?:annual|yearly) \w+ rate\b|\b(?:is|are) (?!there\b|anything\b"
        r"|any\b)\w+(?: \w+)* (?:dangerous|serious|life threatening|harmful|bad for)\b|\bgoing to make it\b|\b(?:his|her"
        r"|the|their) future\b|\b(?:stroke|bleeding|sudden death|cardiac|arrest) risk\b|\bhow many (?:more )?(?:years"
        r"|months|days)\b|\b(?:another|future|further|next) (?:heart attack|infarct\w*|mi|event|stroke|episode)\b"
        r"|\blikely to\b|\bcardiovascular risk\b|\byear risk\b|\bhow (?:serious|severe|bad) is (?:his|her"
        r"|the) (?:condition|state|disease|illness)\b|\bsurviv\w+|\bmortality\b|\blife expectancy\b|\bhow long (?:will"
        r"|does|has|do) (?:he|she|the patient|they|i) (?:live|have|got|last|to live)\b"
        r"|\b(?:will|would|is|might|could) (?:he|she|the patient|they|i|this patient|it)(?: going to)? (?:die|survive"
        r"|live|recover|get worse|deteriorate|come back|recur|kill)\b"
        r"|\bdie\b|\bdeath\b|\bfatal\b|\blethal\b|\blife threatening\b|\b(?:risks?|chances?|odds|danger) (?:of|for|to"
        r"|that|factors?|score|stratif\w+|profile)\b"
        r"|\b(?:high|low|at|his|her|the) risk\b|\bhow risky\b|\bscore2?\b|\bcha ?2?ds ?2?\w*|\bcha2ds2\b|\bhas ?bled\b"
        r"|\bgrace\b|\btimi\b|^(?!.*\b(?:qtc?|hodges|fridericia|bazett|corrected|formula)\b).*\bframingham\b|\bheart score\b"
        r"|\b(?:will|does|could|would) (?:the |this )?\w+ (?:come back|recur|progress|go away|resolve by itself|get worse"
        r"|worsen)\b|\boutlook\b|\boutcome\b"
        r"|\bhow (?:likely|probable) (?:is|are|it is) (?:he|she|the patient|they|it that (?:he|she))\b.*\b(?:to|arrests?"
        r"|dies?|will)\b"
        r"|\b(?:going to|will) (?:arrest|have a (?:stroke|heart attack)|become|develop|progress)\b|\bin the (?:next|long"
        r"|coming) (?:\w+ )?(?:years?|months?|run|days?|weeks?|hours?)\b"
        r"|\bhow dangerous\b|\bis (?:it|this|that) dangerous\b|\brecover(?:y|s)?\b|\blive with\b",
    ),
    (
        "other_test",
        r"\b(?:another|which|other|further|additional|extra) (?:test|tests|examination|investigation)s?\b|"
        r"\bimaging\b|\binvestigations?\b|\bwork ?up\b|\bmurmurs?\b|\b(?:he|she|patient) breath(?:es|ing)\b|"
        r"\bpulse generator\b|\bscintigra\w+|\btilt (?:table|test)\b|\bloop recorder\b|\bevent recorder\b|"
        r"\bchest film\b|\bradiograph\w*|\bauscult\w+|\bweigh(?:s|ed)?\b|\burine\b|"
        r"\bpump(?:s|ing)?\b|\bpump function\b|\b(?:lv|rv|ventricular|cardiac|heart|systolic|diastolic|kidney|liver"
        r"|lung) function\b|\bcontractility\b|\bsqueez\w+|\bwall motion\b|\becho(?:cardio\w*|s)?\b|\b(?:tte|toe|tee)\b"
        r"|\bejection fraction\b|\bl?v?ef\b|\btrop(?:onin\w*|s)?\b|\bck ?mb\b|\b(?:nt ?pro ?)?bnp\b|\bd ?dimers?\b"
        r"|\b(?:cardiac )?mri?\b|\bcmr\b|\bct(?:pa|ca)?\b|\bcat scan\b|\bx ?rays?\b|\bcxr\b|\bultrasound\b|\bscans?\b"
        r"|\bangiogra\w+|\bangio\b|\bcoronar(?:y|ies) (?:calcium|anatomy)\b"
        r"|\bblood (?:tests?|pressure|gas|sugar|results?|count|works?|values?)\b|\bbloods\b|\blabs?\b|\blab (?:values?"
        r"|results?)\b|\b(?:potassium|sodium|calcium|magnesium|tsh|glucose|lactate|k\+?) "
        r"(?:level|value|result|concentration)s?\b|\bwhat (?:is|s) (?:the|his|her) (?:potassium|sodium|calcium|tsh"
        r"|glucose|sugar|lactate|magnesium)\b"
        r"|\bcreatinine\b|\begfr\b|\bha?emoglobin\b|\bhb\b|\bcrp\b|\bwcc\b|\binr\b|\bcholesterol\b|\bldl\b|\b(?:systolic"
        r"|diastolic) pressure\b|\b(?:bp|rr sys)\b"
        r"|\bsats?\b|\bspo2\b|\boxygen saturation\b|\bo2\b|\btemperature\b|\brespiratory rate\b|\bholter\b"
        r"|\bstress test\b|\bexercise (?:test|ecg)\b"
        r"|\btreadmill\b|\bep study\b|\belectrophysiolog\w+ study\b|\bgenetic test\w*|\bbiopsy\b|\bfurther tests?\b"
        r"|\bother tests?\b|\border (?:a|an|any|more)\b|\bspirometry\b|\bcalcium score\b",
    ),
    (
        "disposition",
        r"\b(?:fly|flies|flying|flight)\b|\bclear (?:him|her|them|the patient|this patient) for\b|\b(?:home|ward) or\b"
        r"|\bor (?:home|ward)\b|\ban[ae]?esthe\w+|\bleave (?:the )?(?:hospital|ward|clinic|bed)\b"
        r"|\bdischarge[ds]?\b(?! (?:letter|summary|note|report))|\badmi(?:t|ts|tted|ssion)\b|\b(?:go|goes|going|send|sent"
        r"|sending|allowed) (?:(?:him|her|them|me|the patient) )?(?:back )?home\b"
        r"|\bhospitali[sz]\w+|\b(?:icu|itu|ccu|hdu|intensive care|coronary care|telemetry)\b|\bfit(?:ness)? (?:for|to)\b"
        r"|\b(?:clear(?:ed|ance)?|ok|okay|safe|ready|allowed) (?:for|to) "
        r"(?:\w+ )?(?:surgery|theatre|theater|operation|an[ae]?esthe\w+|sports?|fly|drive|work|travel|exercise|discharge"
        r"|leave|dive|transfer)\b|\bpre ?op(?:erative)? (?:clearance|assessment)\b"
        r"|\b(?:can|may|should|is) (?:he|she|they|the patient|i) (?:fly|drive|exercise|play|work|travel|run|dive|swim"
        r"|have surgery|undergo|be operated|leave|transfer)\b|\bsports?\b"
        r"|\brefer(?:ral|red|ring)? (?:to|him|her|needed|them)\b|\b(?:call|ring|phone|page|consult|involve|inform"
        r"|wake) (?:the |a )?(?:cardiolog\w+|consultant|registrar|cardio|ambulance|doctor|911|999|112)\b"
        r"|\b(?:cardiology|specialist|expert) (?:consult\w*|review|opinion|referral)\b|\b(?:which|what) ward\b"
        r"|\bfollow ?ups?\b|\b(?:repeat|redo) (?:the |an |this )?(?:ecg|ekg)\b|\brepeated\b|\bmonitoring\b"
        r"|\bemergency (?:room|department)\b|\bgo to (?:the )?(?:hospital|er|ed|a&e)\b|\btransfer(?:red)?\b"
        r"|\bhow urgent\b(?! is (?:this|the|that) (?:ecg|ekg|trac|strip|recording|finding))"
        r"|\bsee a (?:doctor|cardiologist)\b|\bambulance\b|\btriage\b|\bovernight\b|\bmarathon\b"
        r"|\bcardiologist\b.*\b(?:see|review|look|call\w*)\b",
    ),
    (
        "not_assessed",
        r"\bv ?tach\b|\b(?:nsvt|vt|vf|vfib|aivr|avnrt|avrt|wct|pjrt|mat|pea)\b|\bv fib\b|\bventricular (?:tachy\w*|fib\w*"
        r"|flutter|escape|standstill)\b|\bpolymorphic\b"
        r"|\bbrugada\b|\bpericardi\w+|\bmyocarditis\b|\bearly repol\w*|\bbenign repol\w*|\btorsades?\b|\basystol\w*"
        r"|\bdextrocardia\b|\bs1 ?q3\w*|\bepsilon\b|\bosborn\b|\bj waves?\b|\bu waves?\b"
        r"|\bwellens\b|\bde winter\b|\bsgarbossa\b|\barvc\b|\bhocm\b|\bhcm\b|\bcardiomyopath\w+|\bjunctional\b"
        r"|\bidioventricular\b|\bectopic atrial\b|\bwandering\b(?! baseline)|\bmultifocal\b|\balternans\b"
        r"|\bsick sinus\b|\bsinus (?:arrest|node dys\w+)\b|\bsino ?atrial\b|\bsa (?:exit )?block\b"
        r"|\bescape (?:beats?|rhythm)\b|\bshort qt\b|\bbi ?fascicular\b|\btri ?fascicular\b|\blate potentials?\b"
        r"|\b(?:pacemaker|pacing) (?:malfunction|failure|capture)\b|\bfailure to (?:capture|sense)\b|\bhypothermi\w+"
        r"|\btakotsubo\b|\bspodick\b|\br on t\b|\blown?[ -]ganong\b|\bfragmented\b|\bcatecholaminergic\b|\bcpvt\b",
    ),
    (
        "other_disease",
        r"\bbrings? (?:it |this )?on\b|\bunderlying (?:disease|cause|illness|condition)\b|"
        r"\bhow (?:common|frequent|rare) is\b|\bhow many people\b|\bheredit\w+|\binherit\w*|\bgenes?\b|"
        r"\bcongenital or acquired\b|\baetiolog\w+|\betiolog\w+|\bcommon(?:est)? (?:reasons?|causes?)\b|"
        r"\bcauses? of\b|\bwhat causes\b|\bprevalence\b|"
        r"\b(?!diagn|progn|necr|pericard|myocard)\w+(?:itis|osis|oma)\b|\bdiabet\w+|\bpanic\b|\bpneumothorax\b|\bseptic\b"
        r"|\bexplains? (?:his|her|the|their|this"
        r"|these) (?:\w+ )?(?:symptoms?|pain|breathless\w*|dyspn\w+|syncope|collapse|dizz\w+|faint\w*|palpitations?|fall"
        r"|cough|fatigue)\b|\bpneumoni\w+|\bpulmonary embol\w+|\bpe\b|\bcancer\b|\btumou?r\b|\bvalv\w+|\b(?:aortic|mitral"
        r"|tricuspid|pulmonary) (?:stenosis|regurg\w*|insufficiency|valve|dissection|hypertension)\b"
        r"|\bdissection\b|\bheart failure\b|\bhf\b|\bhfref\b|\bhfpef\b|\bpregnan\w+|\banxi\w+|\bstroke\b|\btia\b"
        r"|\bstressed\b|\b(?:he|she|patient) (?:is )?depress(?:ed|ive)\b|\bhypertension\b|\bhypertensive\b(?! heart)"
        r"|\bcopd\b|\basthma\b|\bsepsis\b"
        r"|\binfection\b|\bcovid\w*|\w*thyro\w+|\bana?emi\w+|\bcoronary (?:artery )?(?:disease|stenosis|occlusion"
        r"|blockage)\b|\bcad\b|\bchd\b|\bblocked arter\w+|\bendocarditis\b|\bamyloid\w*"
        r"|\bsarcoid\w*|\bcongenital\b|\bpfo\b|\basd\b|\bvsd\b|\bsmok\w+|\bobes\w+|\boverweight\b|\bsleep apn\w+"
        r"|\bkidney\b|\brenal\b|\bliver\b|\bseizures?\b|\bepilep\w+|\bdement\w+|\bculprit\b"
        r"|\b(?:why|what) (?:does|did|is|causes?|caused|explains?) (?:he|she|his|her|the patient|the"
        r"|this) (?:\w+ )?(?:chest pain|pain|palpitations?|syncope|collapse|dizz\w+|faint\w*|short of breath"
        r"|breathless\w*|dyspn\w+|symptoms)\b"
        r"|\b(?:why|what)\b.*\b(?:has|have|had|having) (?:chest pain|palpitations|syncope|dizziness|symptoms)\b|\b(?:lad"
        r"|rca|lcx|circumflex|left main)\b (?:\w+ )?(?:occlu\w+|open|blocked|narrow\w*|stenosis|lesion|disease"
        r"|territory)\b"
        r"|\blupus\b|\barthritis\b|\ballerg\w+|\bdehydrated\b|\binflamm\w+|\bhepatitis\b|\bhiv\b"
        r"|(?<!wolff[ -])\bparkinson\w*(?![ -]white)"
        r"|\balzheimer\w*|\bmigraine\w*|\bdrunk\b|\bintoxicat\w+|\bcocaine\b|\bhealthy (?:person|lifestyle)\b|\bgastr\w+"
        r"|\breflux\b|\bcostochondr\w+|\bmusculo\w+",
    ),
    (
        "off_topic",
        r"^(?:hi|hello|hey|good (?:morning|evening|afternoon|day)|greetings)(?: there| doctor)?$|\bweather\b|\ba story\b"
        r"|\b(?:poem|song|joke|haiku|limerick|lyrics|essay|novel)s?\b|\bcapital of\b|\b(?:python|javascript|java|sql"
        r"|c\+\+|html|source code|script|regex)\b"
        r"|\b(?:world cup|football|soccer|movie|film|restaurant|recipe|cook\w*|pizza|hotel|holiday|vacation|bitcoin|stock"
        r"|shares|election|president|prime minister|king|queen|politic\w*)\b"
        r"|\btranslate\b|\bfavou?rite\b|\bwho (?:wrote|made|built|created|trained|are) you\b|\bare you (?:human|real"
        r"|chatgpt|gpt\w*|an? (?:ai|robot|human|doctor))\b|\bwhat(?: is|s)? (?:your name|the time|the date|day is)\b"
        r"|\bwhat time is it\b|\bsquare root\b|\b\d+ ?(?:[-+*x/]|plus|times|minus) ?\d+\b|\bmeaning of life\b"
        r"|\bhow are you\b|\bmarry me\b|\bi love you\b|\b(?:email|letter to)\b"
        r"|\bwho (?:won|invented|discovered|is the best)\b|\bwhat (?:model|language model) are you\b|\bnews\b|\bmusic\b"
        r"|\bhomework\b|\b(?:smartphone|laptop|computer|internet|god|religion|book me|tickets?|jazz|taxes|lunch|dinner"
        r"|breakfast)\b|\bsolve\b",
    ),
)
# Last, when nothing more telling fits: a modal verb about the patient or the asker asks for a decision or a forecast.
_MODAL: tuple[tuple[str, str], ...] = (
    (
        "treatment",
        r"^(?:and |so |then |or |ok )*(?:should|shall|must|need) (?:i|we|he|she|they|one|anyone|somebody|the \w+"
        r"|this (?:patient|man|woman|lady))\b"
        r"(?! (?:be )?(?:worr\w+|alarmed|trust|rely|believe|read|interpret|see|look|know|concerned|ignore|assume|call (?:this|it)"
        r"|consider (?:this|it)|expect))",
    ),
    (
        "treatment",
        r"\b(?:does|do|would|will|did) (?:he|she|they|the patient|this patient|this lady|this man|this woman) (?:need"
        r"|require|benefit|qualify)\b",
    ),
    ("prognosis", r"^(?:and |so |then |or )*will (?!you\b)"),
    (
        "disposition",
        r"^(?:and |so |then |or )*(?:can|may|could) (?:he|she|they|i|we|the patient|this patient|this (?:man|woman|lady))\b"
        r"(?! (?:see|trust|believe|depend|rule|rely|exclude|say|read|assume|be sure|tell|have|call|conclude|interpret|get"
        r"|compare|know"
        r"|ask|be in|be having|confirm|find|measure|use this))",
    ),
)
_TOPIC_REGEX = tuple((name, re.compile(pattern)) for name, pattern in (*_PATTERNS, *_MODAL))

#: Words the patterns spell out; they are known words, not typing errors of others.
SCOPE_WORDS = frozenset(
    word for _, pattern in _PATTERNS for word in re.findall(r"[a-z]{5,}", re.sub(r"\\[a-z]", " ", pattern)) if len(word) >= 5
)
_DRUG = re.compile(r"\b" + _DRUGS + r"\b")
# What merely describes the patient ("on amiodarone", "with known heart failure") does not ask for anything.
_BACKGROUND = re.compile(
    r"\b(?:on|taking|takes|took|under|despite|after|because of|due to|with|has|had|known|history of|hx of|post|from|by|for)"
    r"(?: (?:an?|the|his|her|known|severe|mild|chronic|old|previous|long|term|history|of|high|dose|oral|iv|and|low"
    r"|suspected|possible|\d+))*$"
)

_ASKED_AFTER = re.compile(
    r"\b(?:any|is there|are there|is this|is it|do you see|does (?:it|this|he|she)|has (?:he|she)|shows?)\b"
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
            if has_content and (drug or name == "other_disease") and _BACKGROUND.search(text[: found.start()].strip()):
                continue
            if has_content and name == "other_disease" and _ASKED_AFTER.search(text[found.end() :]):
                continue
            return name
    return None


def reason_for(topic: str) -> str:
    """The sentence that declines a topic and names who to ask; KeyError where TOPICS does not hold it."""
    return REASONS[topic]


def person_for(reason: str) -> str:
    """Who can help with what a reason of REASONS declines."""
    topic = next((name for name, text in REASONS.items() if text == reason), "")
    return _PERSONS.get(topic, "the treating physician")


def without_drugs(clause: str, word: str) -> str:
    """The clause with every drug it names replaced by ``word``."""
    return _DRUG.sub(word, clause)
