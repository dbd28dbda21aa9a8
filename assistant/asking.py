"""How people ask: one pattern per intent, over plain clauses (see ``plain_words.clauses``). Data of ``assistant.question``."""

from __future__ import annotations

import re

__all__ = [
    "ABOUT_ECG",
    "ABOUT_PERSON",
    "AGE",
    "ALL_INTERVALS",
    "ALL_LEADS",
    "ALL_MEASURES",
    "ASKING",
    "BROKEN",
    "CASES",
    "CERTAINTY",
    "COMPARE",
    "COMPARE_TWO",
    "DEFINE",
    "EITHER",
    "EXPLAIN",
    "JUDGED",
    "JUDGED_CODES",
    "JUDGES_IT",
    "LEFT_OPEN",
    "LONG",
    "NARROW_OR_BROAD",
    "NORMAL",
    "QUALITY",
    "QUERY",
    "RHYTHM_TOO",
    "SIDES",
    "SIGNAL",
    "SUMMARY",
    "SURELY_ECG",
    "TRUST",
    "URGENT",
    "WAVE_SIZE",
    "WHICH_LEADS",
]

ASKING = re.compile(
    r"^(?:and |or |so |but |then |hi |hello |hey |doctor |dear \w+ |ok |if so |also )*(?:is|are|was|were|does|do|did|has"
    r"|have|any|can|could|would|should"
    r"|shall|will|may|what|which|who|where|when|why|how|show|tell|give|list|name|describe|explain|summari\w+|interpret"
    r"|compare|define|report|grade|classify"
    r"|measure|check|look|find|read|see|confirm|rule|exclude|comment|estimate|calculate|quantify|enumerate|not|no|about"
    r"|anything|i want|i need|i would like)\b"
)

COMPARE = re.compile(
    r"\bcompar\w+|\b(?:previous|prior|last|earlier|older|first|second|other|old|recent|baseline|former"
    r"|yesterday s?) (?:ecgs?|tracings?|recordings?|ones?|"
    r"traces?|study|exam\w*|visit|time|strip)\b|\b(?:what|anything|has|have|is|did|are)\b.*\bchanged?\b"
    r"|\bchanges? (?:since|from|between|over|to the)\b|\bnewly\b"
    r"|\b(?:is|are|was) (?:this|that|it|the|these|those)\b.*\bnew\b|\bold or new\b|\bnew or old\b|^(?:any )?new (?!to\b)"
    r"|\bwhat is new\b|\banything new\b|\bde ?novo\b"
    r"|\bdifferen(?:ce|ces|t)\b(?! (?:between|from) an?\b)|\bresolved?\b|\bprogressed\b|(?<!\br )(?<!\bwave )\bprogression\b"
    r"|\bthan (?:before|last"
    r"|the (?:first|previous|last|earlier|old))\b"
    r"|\b(?:both|two) (?:ecgs?|recordings?|tracings?)\b|\bserial\b|\bevol(?:ved|ution|ving)\b|\bover time\b"
    r"|\bsince (?:the|last|yesterday|then)\b"
    r"|\b(?:was|were)\b.*\bthen\b.*\bnow\b|\bthen (?:and |or |to |against )?now\b|\bnow (?:and |or |against )?then$"
    r"|\b(?:before|earlier|previously) (?:and|or) (?:now|after|later)\b"
)
COMPARE_TWO = re.compile(
    r"\bstill\b|\bagain\b|\bgot(?:ten)?\b|\bbecome\b|\bworse\b|\bbetter\b|\blonger\b|\bshorter\b|\bfaster\b|\bslower\b"
    r"|\b(?:higher|lower)\b(?! (?:degree|grade))|\b(?:wider|narrower|deeper)\b|\bmore .*\bnow\b"
    r"|\bincreased?\b|\bdecreased?\b|\bgone\b"
    r"|\bdisappeared\b|\bappeared\b|\bnew\b|\bunchanged\b|\bsame\b|\bstable\b|\bpersist\w*|\bprogress\w*|\bbefore\b"
    r"|\bchanges?\b|\bimprov\w+|\bnormali[sz]\w+|\bshorten\w*|\blengthen\w*|\bwiden\w*|\bslowed\b|\bdid\b"
)
DEFINE = re.compile(
    r"\bwhat (?:exactly |actually )?(?:is|are) (?:exactly |actually )?an? \w+|\bwhat (?:do|does) .+ (?:mean|stand for"
    r"|signify)\b|\b(?:what is|what is the|whats) (?:meant by|the (?:meaning|definition) of)\b|\bmeaning of\b"
    r"|\bdefin(?:e|ed|ition|ing)\b|\bexplain (?:to me )?what .+ (?:is|are|means)$"
    r"|\b(?:what are )?(?:the )?criteria (?:for|of|to)\b(?!.*\b(?:met|fulfilled|satisfied|present|positive)\b)"
    r"|\bhow (?:is|are|do you|does one) .+ "
    r"(?:defined|diagnosed|recogni[sz]ed?|diagnose)\b|\bnormal (?:range|values?|limits?) (?:for|of)\b|\bwhat (?:is"
    r"|are) (?:the )?normal\b"
    r"|^(?:the )?normal (?:\w+ ){1,3}(?:range|values?|limits?)$"
    r"|^(?!.*\b(?:in|within|above|below|outside|over|under|the)\b)(?:\w+ ){1,2}(?:normal|reference) range$"
)
CERTAINTY = re.compile(
    r"\bhow (?:sure|certain|confident|reliable|likely|probable|trustworthy|accurate|convinced|definite)\b"
    r"|\bare you (?:really |absolutely |quite |that |very )?(?:sure|certain|confident|positive|convinced)\b"
    r"|\bprobabilit\w+|\blikelihood\b|\b(?:your )?confidence\b|\bcertainty\b|\b(?:could|can|might|may) (?:you|this|it"
    r"|that) be (?:wrong|mistaken|a mistake|incorrect|false|an? error)\b"
    r"|\bhow much (?:can|do|should) i trust\b|\bcan i (?:trust|rely)\b|\bfalse (?:positive|alarm|negative)\b|\b(?:any"
    r"|no) doubt\b|\bin doubt\b|\bwhat are the odds\b|\b100 sure\b|\bsure about\b|^(?:really|sure|seriously|honestly"
    r"|truly|is that so|is it really)$"
    r"|\bhow well (?:can|could) you tell\b|\bdefinite(?:ly)? or\b|\bborderline or\b"
)
CASES = re.compile(
    r"\b(?:similar|comparable|alike|resembling|matching) (?:\w+ )?(?:cases?|ecgs?|patients?|recordings?|tracings?"
    r"|examples?|ones?|people)\b|\bcases? like\b|\b(?:ecgs?|patients?|tracings?|recordings?|one) like (?:this|that|these"
    r"|him|her)\b"
    r"|\b(?:other|past|previous|old) (?:cases|patients with|examples)\b|\b(?:nearest|closest) (?:\w+ )?(?:cases?"
    r"|neighbou?rs?|match\w*)\b|\b(?:past|previous|other|older|stored|library) (?:\w+ )?(?:recordings?|ecgs?|cases"
    r"|tracings?|patients) (?:\w+ ){0,3}(?:like|similar|resembl\w+)\b|\bresembl\w+|\bneighbou?rs\b|\blibrary\b"
    r"|\bdatabase\b|\blook ?alikes?\b|\bsimilar(?:ity)?$|\bmore examples\b|^(?:show|find|list)?(?: me)? ?(?:the )?cases$"
)
QUALITY = re.compile(
    r"\bnois(?:e|es|y)\b|\bart[ei]fact(?:s|ual)?\b|\bbaseline (?:drift|wander\w*|shift|sway)\b|\b(?:drift"
    r"|wander\w*)\b(?! pacemaker)|\bquality\b|\b(?:un)?readable\b|\blegible\b|\b(?:un)?interpretable\b"
    r"|\b(?:leads?|electrodes?|arms?|limbs?|cables?)\b.*\b(?:off|misplac\w+|swap\w*|revers\w+|switched|mix\w*|loose"
    r"|detached|missing|wrong\w*|correct\w*|disconnected|fell|attached|placed|contact)\b"
    r"|\b(?:swapped|misplaced|reversed|loose|missing) (?:\w+ )?(?:leads?|electrodes?|cables?)\b|\b(?:arm"
    r"|limb) (?:lead )?(?:swap|reversal|reversed|swapped)\b|\belectrodes?\b|\bgood enough\b|\bclipp(?:ed|ing)\b"
    r"|\bflat ?line\b"
    r"|\b(?:mains|hum|interference|tremor|static|bursts?)\b|\b(?:50|60) ?hz\b|\busable\b|\bunusable\b|\b(?:poor|bad"
    r"|clean) (?:tracing|trace|recording|signal|contact)\b|\b(?:calibration|gain|paper speed|sampling rate)\b"
    r"|\btechnical(?:ly)?\b|\b(?:bad|dead|unreliable|broken|faulty|disturbed) (?:leads?|channels?|traces?)\b"
    r"|\b(?:reliable|decent|proper|valid|adequate|sufficient) (?:traces?|tracings?|recordings?|signals?)\b|\b(?:ra|la|rl"
    r"|ll)\b.*\b(?:revers|swap|switch)\w*|\bdistort\w*|\bdisturbances? in the signal\b|\b(?:recorded|placed|attached"
    r"|connected) (?:properly|correctly|well|right)\b"
    r"|\b(?:tracing|recording|signal|trace) (?:clean|ok|good|adequate|sufficient|long enough)\b"
)
#: "Could the signal be trusted in V3?", "is aVL reliable?": whether a lead or the trace can be relied on.
TRUST = re.compile(
    r"\b(?:dis)?trust(?:ed|worth\w+)?\b|\brel(?:y|ied)\b|\b(?:un)?reliable\b|\bbelieve[ds]?\b|\bdependable\b"
)
SIGNAL = re.compile(r"\b(?:signals?|trac(?:e|es|ing|ings)|recordings?|curves?|leads?|channels?|electrodes?)\b")
#: Behind a finding or a question on the signal: "which leads?", "where exactly?", "which ones are swapped?".
WHICH_LEADS = re.compile(
    r"^(?:and |but |so |ok )*(?:(?:in )?(?:which|what) (?:leads?|ones?|electrodes?)(?: exactly)?"
    r"(?: (?:is|are|was|were|show|shows) (?:it|that|this|they)(?: in)?| (?:(?:is|are|was|were) )?(?:swap\w*|revers\w+"
    r"|misplac\w+|switched|mixed up|wrong|loose|bad))?|where(?: exactly| is (?:it|that|this)| are they)?)$"
)
#: A word on the value that was asked for before: "is that prolonged?", "and is it ok?". Who judges the ECG names it.
JUDGES_IT = re.compile(
    r"^(?:and |but |so |ok |then )*(?:is|was|are|were) (?:it|that|this|they|these|those|the value)(?: not)?\b"
    r"(?!.*\b(?:ecg|trac(?:e|ing)|recording|strip|rhythm|heart)\b)"
)
#: The ST levels of all leads at once; "in every lead", or none named: "ST levels?".
ALL_LEADS = re.compile(
    r"\bst(?: segments?| levels?| values?| deviations?)? (?:in|of|at|for|across) (?:all|every|each|the (?:12|twelve))\b"
    r"|\bst(?: segment)? levels\b"
)
#: "T in V3", "R wave amplitude": sizes of single waves, which no value of this assistant tells.
WAVE_SIZE = re.compile(
    r"\b(?:[pqrst]|qrs)(?: waves?)? (?:amplitudes?|heights?|depths?|sizes?|voltages?)\b"
    r"|\b(?:amplitudes?|heights?|depths?|sizes?|voltages?) of (?:the )?(?:[pqrst]|qrs)\b"
    r"|\bhow (?:tall|high|deep|big|large) (?:is|are|was|were) (?:the |his |her )?(?:[pqrst]|qrs)\b"
    r"|^(?:and |the |what is |how is |show |show me |give me )*[rst](?: waves?)? (?:in |at |of )?(?:the )?(?:lead )?"
    r"(?:v ?[1-6]|i{1,3}|av[rlf])$"
)
NARROW_OR_BROAD = re.compile(
    r"\b(narrow|broad|wide)(?: qrs)?(?: complex)?(?: tachy\w*)? or (?:an? )?(?!\1)(?:narrow|broad|wide)\b.*\btachy"
)
_NOUN = r"(?:ecgs?|ekgs?|tracings?|traces?|recordings?|strips?|curves?|readings?|findings?|results?|abnormalit(?:y|ies)|changes?)"
_IT = rf"(?:it|(?:this|that|these|those)(?: {_NOUN})?|(?:the|my|his|her) {_NOUN})"
_HERE = rf"(?: (?:here|at all|present|(?:on|in|about|with) (?:(?:this|the|my|his|her|that) )?(?:{_NOUN}|it|this|here)))?"
_ANYTHING = rf"(?:(?:any|some|no)thing(?: else)?|any of (?:this|it|(?:these|the) {_NOUN}|these))"
_WHEN = (
    r"(?: (?:now|today|tonight|urgently|quickly|immediately|at once|right (?:away|now)|straight away|soon|first"
    r"|as soon as possible|asap|without delay|by \w+|(?:this )?(?:morning|afternoon|evening)))"
)
_SO = r"(?:(?:\w+ly|very|so|quite|even|still) )?"
_PRESSING = r"(?:urgent|pressing|critical|time (?:critical|sensitive)|an? (?:\w+ )?emergency|emergent|alarming)"
_DANGER = r"(?:dangerous|life threatening|threatening|serious)"
_LOOK = r"(?:see|seen|look at|looked at|review|reviewed|read|check|checked|act on|acted on|act upon|acted upon)"
_MUST = r"(?:must|should|has to|have to|needs to|need to)"
_NEEDS = (
    r"(?:needs?|requires?|calls? for|warrants?|demands?|deserves?) (?:an? )?(?:"
    r"(?:\w+ )?(?:urgent|immediate|prompt|quick|rapid|emergency) (?:\w+ )?(?:attention|review|look|reading|assessment|action)"
    rf"|(?:attention|review|action){_WHEN}"
    rf"|(?:\w+ )?(?:doctor|clinician|physician|cardiologist)(?: to {_LOOK} (?:it|this|that))?{_WHEN}|to be {_LOOK}{_WHEN})"
)
_WAIT = r"wait(?: (?:until|till|for) .+| a (?:day|while|week|bit)| over night| (?:any )?longer)?"
_OPENS = (
    r"(?:(?:is|are) there|(?:does|do) (?:it|this|(?:this|the|my|his|her) \w+) (?:\w+ )?(?:show|have|contain)"
    r"|(?:do|can|did) you see|have you (?:found|seen)) "
)
#: Whole clauses that ask whether the ECG is urgent or what it shows dangerous, of nothing else: "is it urgent to operate" is
#: about treatment, "how soon should he be seen?" about the patient, "is AF dangerous?" about an illness.
URGENT = re.compile(
    rf"(?:and |so |but |ok |then )*(?:how urgent (?:is|are) {_IT}|how {_DANGER} (?:is|are) (?:this|the|my|his|her|these) {_NOUN}"
    rf"|(?:is|are|was|were|could|would|might) (?:{_IT}|{_ANYTHING}){_HERE}(?: be)? {_SO}{_PRESSING}{_HERE}"
    rf"|(?:is|are|could|would|might) (?:(?:this|the|my|his|her|these) {_NOUN}|{_ANYTHING}){_HERE}(?: be)?"
    rf" {_SO}{_DANGER}{_HERE}"
    rf"|(?:{_OPENS})?(?:{_ANYTHING}){_HERE} (?:(?:that|which) (?:is|looks|could be|may be|might be) )?{_SO}"
    rf"(?:{_PRESSING}|{_DANGER}){_HERE}"
    rf"|(?:{_OPENS}|any |an? )+{_SO}(?:{_PRESSING}|{_DANGER}|acute|immediate) (?:\w+ )??"
    rf"(?:{_NOUN}|signs?|rhythms?|arrhythmias?|rhythm disturbances?|problems?|danger|threat){_HERE}"
    rf"|(?:{_OPENS})?(?:any |an? )?(?:immediate )?(?:dangers?|emergency|emergencies|threats?){_HERE}"
    rf"|(?:{_OPENS})?(?:{_ANYTHING}|an? {_NOUN}|any {_NOUN}){_HERE} (?:that |which )?"
    rf"(?:can not {_WAIT}|{_NEEDS}|{_MUST} be {_LOOK}{_WHEN}|(?:i|we|you|anyone|someone|somebody) {_MUST} {_LOOK}{_WHEN})"
    rf"|(?:what|which)(?: of)?(?: the| these)?(?: {_NOUN})? (?:is|are|looks?) {_SO}(?:{_PRESSING}|{_DANGER}){_HERE}"
    rf"|(?:can|could|may) {_IT} {_WAIT}|(?:does|do|would) (?:{_IT}|{_ANYTHING}){_HERE} (?:really )?{_NEEDS}"
    rf"|(?:does|do|should|must|would) (?:anyone|anybody|someone|somebody)(?: need to| have to)? {_LOOK} {_IT}{_WHEN}?"
    rf"|(?:does|must|should) {_IT}(?: need to| have to)? be {_LOOK}{_WHEN}?|who {_MUST} {_LOOK} {_IT}{_WHEN}?)(?: then)?"
)
#: Between two findings of which one is asked for: "AF or flutter", "AF and not flutter".
EITHER = re.compile(r"\bor\b|\b(?:and|but) not\b")
#: Sides of the heart in plain words: asked for with "or", they ask where an infarction is.
SIDES = re.compile(r"\b(?:front|back|side|bottom|underside|top)\b.*\bor\b.*\b(?:front|back|side|bottom|underside|top)\b")
_OLD = r"(?:old|older|new|newer|recent|fresh|acute|chronic|healed|past|subacute)"
#: How old an infarction is: no pattern tells that, so that a plain "yes" to it would mislead.
AGE = re.compile(
    r"\bhow (?:old|recent|fresh|new|long ago|long has)\b|\bsince when\b|\b(?:age|date) of\b|^(?:and )?when (?:did|was)\b"
    rf"|\b{_OLD}(?: \w+){{0,2}}? or (?:an? |is it )?(?:\w+ )?{_OLD}\b"
    rf"|\b(?:is|was|are) (?:the|this|that|his|her|my) (?:\w+ )?(?:infarct\w*|mi|heart attack|scar) (?:\w+ )?{_OLD}$"
)
#: "What was not assessed?", "which findings stay open?"
LEFT_OPEN = re.compile(
    r"\bnot (?:been )?assess\w*|\bunassessed\b|\bundetermined\b|\bundecided\b|\bnot look(?:ed)? at\b"
    r"|\b(?:can|could) (?:you |i |one )?not (?:be )?(?:\w+ )?(?:judged?|assess(?:ed)?|say|tell|decided?)\b"
    r"|\b(?:stay|stays|left|leave|leaves|remain|remains)\b.*\bopen\b"
)
EXPLAIN = re.compile(
    r"^(?:and |but |ok |so )?why\b|\bhow come\b|\bwhat (?:makes|tells) (?:you|it|this)\b|\b(?:on )?(?:what|which) (?:basis"
    r"|grounds)\b|\bbased on (?:what|which)\b|\bhow (?:did|do|can|could) you (?:know|work|get|come|arrive|conclude|decide"
    r"|reach|tell|see|determine|measure|find)\b"
    r"|\b(?:show|what is|give|list|where is|explain)(?: me)? (?:the |your )?(?:evidence|reason\w*|basis|justification"
    r"|proof|argument\w*)\b|\breason(?:s|ing)?\b|\bjustify\b|\brationale\b|\b(?:which|what) criteria\b(?! for)"
    r"|\bwhat (?:speaks|argues|points|counts|supports|suggests|indicates)\b"
    r"|^what (?:in|on|about) (?:\w+ ){1,4}?(?:suggests?|indicates?|supports?|points)\b|^what hints\b|^what is your evidence\b"
    r"|^what evidence\b.*\bfor\b|\bwhat (?:features|signs) (?:support|suggest|point|indicate|make)\b"
    r"|^because$|^explain\b(?! what)|\bexplain (?:the"
    r"|this|that|your|it|why|how)\b|\b(?:made|make|makes|led|leads) you\b|\bhow so\b|\bwhat do you base\b"
)
NORMAL = re.compile(
    r"\b(?:ab)?normal\b|\bnormality\b|\bnormali[sz]\w+|\bunremarkable\b|\b(?:is|are|look|looks|looking|it|this|ecg|all"
    r"|everything) (?:\w+ )?(?:ok|okay|fine|good|healthy|clean|alright|all right)(?=$| (?:with|here|on|in|overall|then|or"
    r"|to you)\b)|\bwnl\b|\bwithin (?:normal )?limits\b"
    r"|\bpatholog(?:y|ical|ic)\b|\b(?:any|some)thing (?:abnormal|wrong|unusual|pathological|off|suspicious|concerning"
    r"|worrying|to worry|of concern|not right)\b|\b(?:should i|do i need to|need to) (?:be )?(?:worr(?:y|ied)|alarmed)\b"
    r"|\babnormalit(?:y|ies)\b|\bproblems?\b|^(?:all good|nad)$|\bhealthy\b|\banything (?:\w+ ){0,5}(?:concern\w*"
    r"|urgent|critical|serious|alarming"
    r"|worr\w*)|\b(?:anything|something) (?:\w+ ){0,2}(?:off|odd|strange|weird|funny|not right)\b"
)
BROKEN = re.compile(
    r"\b(?:looks?|anything|something) (?:\w+ )?off\b|\b(?:odd|strange|weird|funny)\b|\babnormal\w*|\bpatholog\w+"
    r"|\bwrong\b|\bunusual\b|\bsuspicious\b|\bconcern\w*|\bworr\w+|\bproblems?\b|\bnot (?:\w+ )?(?:normal|ok|okay|fine"
    r"|right|healthy)\b|\banything off\b"
)
QUERY = re.compile(
    r"\b(?:what|which) (?:\w+ )?(?:kinds?|types?|sorts?|form|degree|part|wall|territory|region|location|stage|leads?"
    r"|rhythm|abnormalit\w+|findings?|else|patholog\w+|changes)\b|\bin (?:which|what) leads?\b|\bwhere\b|\b(?:list|name"
    r"|enumerate|give me)\b.*\b(?:findings?|abnormalit\w+|"
    r"diagnos\w+|statements?|everything|all|symptoms?|problems?)\b|\b(?:all|main|key|critical|urgent|important|relevant"
    r"|abnormal|other|positive|pathological) (?:\w+ )?(?:findings?|abnormalit\w+|diagnos\w+)\b|\bwhat (?:do|can"
    r"|did) you (?:see|find|notice|detect|observe)\b|\bwhat is (?:wrong|abnormal|the (?:matter|problem|diagnosis"
    r"|finding))\b"
    r"|\bwhat (?:is|are) (?:there|present|going on|seen|to be seen|visible)\b|^(?:any )?findings$|^diagnos\w+$"
    r"|\bwhat stands out\b|\banything else\b|\bwhat else\b|\bpick up\b|\bwhat (?:do|does) (?:he|she|the patient|they"
    r"|it) have\b|\bdifferentials?\b|\bddx?\b"
)
SUMMARY = re.compile(
    r"\bsummar\w+|\byour reading\b|\bsum (?:it |this |that )?(?:all )?up\b|\binterpret\w*|\breport\b|\bimpression\b"
    r"|\bconclusions?\b|\boverview\b|\bdescri(?:be|ption)\b|\btl ?dr\b|\boverall\b|\bgist\b|\bin (?:a few|one|two|three"
    r"|\d) (?:words|sentences?)\b|\bread (?:this|the|it|my|these)\b|\b(?:tell|talk) (?:me )?(?:\w+ )?about (?:this|the"
    r"|it)(?: ecg| tracing| recording|$)"
    r"|\bwhat (?:does|do|would|is) (?:this|it|the|these)(?: \w+){0,2} (?:show|say|tell|mean|reveal|demonstrate"
    r"|look like)$|\b(?:your |any )?(?:thoughts|opinion|take on|assessment|verdict|view)\b|\banaly[sz]e\b|\bevaluat\w+"
    r"|\bwhat is (?:on|in|to be seen on) (?:this|the|my|his|her|that) (?:ecg|tracing|trace|strip|recording)\b"
    r"|\bassess\b|\bbottom line\b|\bwhat is (?:this|it)$|\b(?:walk|take|talk|run|guide) (?:me|us) through\b|\bmake of\b"
    r"|\bgo through\b|\bin short\b|^read$|\b(?:quick|fast|short|brief) (?:read|look)\b|\bread it\b|\bwhat can you (?:tell"
    r"|say)\b"
)
ALL_INTERVALS = re.compile(r"^(?:all |the |and )*intervals\b|\b(?:and|all|with) (?:all |the )*intervals\b")
ALL_MEASURES = re.compile(
    r"\bintervals\b|\bmeasurements?\b|\bnumeric (?:features?|values?)\b|\ball (?:the )?(?:numbers|values|times)\b|\bnumbers\b"
)
LONG = re.compile(r"\b(?:prolong\w*|long|lengthened|too long|extended|delayed)\b")
ABOUT_ECG = re.compile(
    r"\b(?:ecgs?|traces?|tracings?|recordings?|signals?|strips?|curves?|leads?|waves?|beats?|beating|heart|complex\w*"
    r"|segments?|intervals?|finding\w*|report\w*|library"
    r"|v[1-6]|av[rlf]|st|qrs|rr|this|that|it|these|here|two|other)\b"
)
SURELY_ECG = re.compile(
    r"\b(?:ecgs?|traces?|tracings?|recordings?|strips?|findings?|abnormal\w*|report|summar\w+|interpret\w*|normal)\b"
)
#: The rhythm is asked for beside its rate, and not as what has it: "what is the rhythm and the rate?".
RHYTHM_TOO = re.compile(
    r"\brhythm (?:and|with|plus)\b|\b(?:and|plus) (?:\w+ )?rhythm\b"
    r"|\b(?:what|which) (?:is the |kind of |type of )?(?:\w+ )?rhythm\b"
)
ABOUT_PERSON = re.compile(r"\b(?:he|she|him|her|his|patients?|pt|man|woman|lady|gentleman|they)\b")
JUDGED = {
    **dict.fromkeys(
        ("regular", "irregular", "regularly", "irregularly", "evenly", "uneven", "unevenly", "erratic", "erratically", "chaotic",
         "steady", "steadily", "equidistant"),
        "rr_irregularity",
    ),
    "broad": "qrs_ms", "wide": "qrs_ms", "narrow": "qrs_ms", "lad": "axis_deg", "rad": "axis_deg",
    "deviated": "axis_deg", "deviation": "axis_deg",
    **dict.fromkeys(("rate", "fast", "slow", "pulse", "faster", "slower"), "rate_bpm"),
}  # fmt: skip
JUDGED_CODES = {
    "conduction": "conduction disturbance",
    "tachycardic": "tachycardia",
    "bradycardic": "bradycardia",
    "tachy": "tachycardia",
    "brady": "bradycardia",
}
