"""From typed text to plain words: contractions, abbreviations, typing errors, clauses, and the leads a text names.

Nothing here knows what a question means; ``assistant.question`` does. Words are mended only towards words this project
knows, only where they are not ordinary English, and only by one edit (two from ten letters on).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from assistant.lexicon import PHRASES
from assistant.scope import SCOPE_WORDS
from encoders.ecg import STANDARD_LEADS

__all__ = ["KNOWN", "clauses", "leads_named", "mend"]

_REPLACE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), by)
    for pattern, by in (
        (r"[‘’´`]", "'"),
        (r"[‐‑‒–—−]", "-"),
        (r"\b1 ?[°º]", "1st degree "),
        (r"\b2 ?[°º]", "2nd degree "),
        (r"\b3 ?[°º]", "3rd degree "),
        (r"\b(?:y ?/ ?n|yes or no|yes/no)\b", " "),
        (r"\bw/o\b", "without"),
        (r"\bw/", "with "),
        (r"\b(?:vs|versus)\b\.?|\b(?:rather|more likely|likelier) than\b|\binstead of\b|\bas (?:opposed to|against)\b", " or "),
        (r"\band/or\b", "or"),
        (r"&", " and "),
        (r"\bcannot\b|\bcan't\b", "can not"),
        (r"\b(is|are|was|were|does|do|did|has|have|had|would|should|could|must)n'?t\b", r"\1 not"),
        (r"\b(what|who|where|how|there|it|that|he|she|here|when|why)'?s\b(?!-)", r"\1 is"),
        (r"\bi'm\b", "i am"),
        (r"\b(you|we|they)'re\b", r"\1 are"),
        (r"\b(i|you|we|they)'ve\b", r"\1 have"),
        (r"'s\b", " s"),
        (r"\ba[ -]?fib\b|\ba\.fib\b", "afib"),
        (r"\bekg\b|\belectrocardiograms?\b|\bcardiogram\b", "ecg"),
        (r"\bpls\b|\bplz\b|\bthx\b|\bthanks?\b|\bty\b|\bplease\b|\bkindly\b|\bcheers\b", " "),
        (r"\btl ?;? ?dr\b", "summary"),
        (r"\bt waves? (?:\w+ )?(inverted|negative|flipped|flat|flattened|abnormal)\b", r"\1 t waves"),
        (r"\bst(?: segments?)? (?:is |are )?(?:\w+ )?(?:elevated|raised|up)\b", "st elevation"),
        (r"\bst(?: segments?)? (?:is |are )?(?:\w+ )?(?:depressed|lowered|down)\b", "st depression"),
        (r"\bt(?:[ -]waves?)? amplitudes? (?:is |are )?(?:\w+ )?(?:low|small|reduced)\b", "low amplitude t waves"),
        (r"\bst elev\b\.?", "st elevation"),
        (r"\bst dep(?:r|ress)?\b\.?", "st depression"),
        (
            r"\b(left|right) ventric(?:le|les)(?: (?:is|are|looks?|seems?))?(?: \w+)? (?:hypertrophied|hypertrophic"
            r"|thick\w*)\b",
            r"\1 ventricular hypertrophy",
        ),
        (r"\b(?:hypertrophied|hypertrophic|thick\w*) (left|right) ventricle\b", r"\1 ventricular hypertrophy"),
        (
            r"\b(left|right) atri(?:um|a)(?: (?:is|looks?|seems?))?(?: \w+)? (?:enlarged|dilated|big|large)\b",
            r"\1 atrial enlargement",
        ),
        (r"\b(?:enlarged|dilated|big) (left|right) atrium\b", r"\1 atrial enlargement"),
        (r"\b(?:(left|right) )?bundle(?: branch)?(?: (?:is|are))? blocked\b", r"\1 bundle branch block"),
        (r"\b(?:atrium|atria)(?: (?:is|are|looks?|seems?))?(?: \w+)? (?:enlarged|dilated|big|large)\b", "atrial enlargement"),
        (
            r"\bventricles?(?: (?:is|are|looks?|seems?))?(?: \w+)? (?:hypertrophied|hypertrophic|thick\w*)\b",
            "ventricular hypertrophy",
        ),
        (r"\b(left|right) bundle\b(?! branch| block)", r"\1 bundle branch block"),
        (r"\bav conduction (?:is )?(?:delay\w*|prolong\w*|slow\w*|block\w*|impair\w*)\b", "av block"),
        (r"\bfront wall\b", "anterior wall"),
        (r"\bback wall\b", "posterior wall"),
        (
            r"\b(?:myocardial )?(isch(?:a|e|ae)mi(?:a|c)|infarct(?:ion)?|mi)(?: changes)? (?:in|of|at|on|involving|affecting"
            r"|over)(?: the)? "
            r"((?:antero|infero|postero)?(?:anterior|inferior|lateral|septal|posterior|posterolateral))(?: leads?| wall"
            r"| territory| region)?\b",
            r"\2 \1",
        ),
        (r"\b[2-5] ?(?::|to) ?1 (?:av )?(?:block|conduction)\b(?=.*\bflutter)", " "),
        (r"(\bflutter\b.*?)\b[2-5] ?(?::|to) ?1 (?:av )?(?:block|conduction)\b", r"\1"),
        (r"\b[2-5] ?: ?1 (?:av )?(?:block|conduction)\b", "2nd degree av block"),
        (r"\bq's\b|\bqs in\b", "q waves"),
        (r"\bvoltages?(?: (?:is|are))?(?: \w+)? (low|high)\b", r"\1 voltage"),
        (r"\bdeg\b\.?", "degree"),
        (
            r"\b(?:(?:electrical|electric|cardiac) )?timings?\b|(?<!av )(?<!atrioventricular )\bconduction (?:times|intervals)\b"
            r"|\b(?:electrical|time|timing) intervals\b",
            "intervals",
        ),
        (r"\bpacer\b", "pacemaker"),
        (r"\br u\b", "are you"),
        (r"\bu\b(?! waves?)", "you"),
    )
)

_WORD = re.compile(r"[a-z0-9+']+(?:\.\d+)?")
_CLAUSE = re.compile(
    r"[?!;\n]+|\.(?=\s|$)|,|:(?=\s)|\s-+\s"
    r"|\s(?:and|but|so|then)\s(?=(?:just |please |only |simply |always )?(?:if so|should|shall|can|could|do|does|is|are"
    r"|what|how|which|who|tell|would|will|give|start|why"
    r"|where|when|show|explain|list|then|say|answer|output|print|reply|respond|put|state|return|mark|set|write|call"
    r"|report|summari[sz]e|describe)\b)"
    r"|\s(?=because\b|due to\b|despite\b)"
)

_WORDS = re.compile(r"\S+")
#: Ordinary words that must never be mended into a clinical one ("black" is not "block").
_ORDINARY = frozenset(
    _WORDS.findall(
        """about above actually after again against almost alone along already also although always among another answer anything
    anyone around asked because become been before being below better between black brick bring broken brought build called
    came cannot carry catch cause certain change changed changes check chest child class clean clear clearly close clock
    coming common compare compared complete consider could count course cover daily decide describe detail detect detected
    different doctor does doing doubt early earth eight either else enough entire even ever every everything exact example
    except explain extra fact fairly false family feel female field find first five flat flatter follow following found four
    fresh front give given going good great green group grown hand happen hard have health hear heard heart heavy hello help
    here high hold home hospital hour house human idea include including instead interesting into issue just keep kind know
    known large last late lately later learn least leave left letter level light like likely line list little live local long
    longer look looks lower made main make many mark match matter maybe mean means measure medical mention middle might mind
    minor minute missing moment money month more morning most mother mouth move much must name near nearly need never newly
    next night none normal note nothing number nurse obvious often once only open opinion order other otherwise over overall
    page pain paper part past patient patients people perhaps person phone picture place plain plan plane play please point
    poor possible present previous previously price prior probably problem quick quickly quite rather read reading really
    reason recent recently record recorded recording right road room round sample same saying scale school search second
    section seem seems seen sense serious seven several shall shape share sharp sheet short should show showing shown shows
    side sign signal significant signs simple since small some someone something soon sorry sort sound space speak speed spell
    spring stand start state still stock store story street strong student study such suggest sure surely table take talk
    teacher tell than thank that their them then there these they thing things think third this those though three through
    time today together told tomorrow tonight total touch toward trace traces tracing tracings trade train tree trend trial
    trip trouble true trust truth trying twice under understand until upper used useful usual usually value values various
    very view visible visit voice wait walk wall want wanted ward watch water wave waves week weird well went were what wheel
    when where whether which while white whole whose wide widely will window wish with within without woman word words work
    working world worry worse would write wrong year years yesterday young your anterior inferior posterior interior exterior
    superior arterial artery attack waiting moving drift baseline noise noisy artefact artifact artefacts artifacts quality
    electrode electrodes sweating swapped printing station block blocks flick trick tract track trait spoke colour favourite
    restaurant president capital poem joke python weather basis bases grounds ambulance chance chances charge charges defined
    determine determines diagnose diagnosed election increase increases indications irregularly invented judge judges limit
    limits minus pacer placed placement print prints raise raises reduce reduces regularly sport sports suggestion suggestions
    symptom according affect affects affected alter attach attached averaged binding bound bread cakes cased casts clipped
    clipping coincidence collected completed completely composed compression condition conditions confusion confused
    conjunction connected connection consistency construction conversion correctly corrupted decay decoded definitive
    derivation description diagnosing direction directions equality escaped evaluate evaluated exclusion excluding expiration
    expressed expression extend faced facing flesh formal formally formed fragments frequently functional funding ignored
    inclusion incompatible inconsistent infer inference inserted insertion insignificant instruction internal interpreted
    interpreter joint larger largest literal normality orange packed packing paint parse passes patent paying pertain powered
    prescribed preset presume prevent prevents qualify recurring recurrence refer referral regarding regression rejection
    relate relates reporting reports respected retain reverse reversed reverted shaped shared significantly slipped spacing
    spare specified spies stack stall started starts starting stash swift theme tight tracking trading undefined wound yearly
    arrow brush brunch faces fever flutters flute button burden border boarder brown bloody bloods cough crate crater dates
    delays dental dinner drugs drunk eating elastic elevator fasting faster fasted filled filing flight floating floor fluid
    focus forms fourth frame funny future garden gender glass goals grade grades healthy hearts heaven hunger indeed insert
    inverse island labels latest latter leading legend legal lesion lesions letters lights lived lover lowest manual marker
    market median metal miles mixed modern moral motion mouse native natural nerves normalise notes older orders parts party
    paths peace phase photo piece pieces places plants plate polite posts power press prime proud proper quote races radio
    range ranges rapidly ratio reach react reader recipe relax repeat request rests rights risky river robot rough rules sales
    salty scary scene score scores seats select sends senses settings sharply shift shock shoot shops shower singer single
    sites sixth skirt sleep slice slide slope slower smile smoke sneak solid solve songs spend spent spike split spots squad
    stage stages stair stamp steps stick stone stops stress strip strips sugar super sweet tests thick thanks tired title
    tower toxic tours trail trains transfer travel treat treated trips truck tumor turns urgent using valid variant verbal
    versus viral visual vital voices waist waste wheat winner wiser worst wrist written spaced
    evenly uneven unevenly steady steadily erratic"""
    )
)

#: Words outside the lexicon worth mending, since patterns of scope and intent look for them.
_PATTERN_WORDS = frozenset(
    _WORDS.findall(
        """treatment treatments therapy therapies medication medications medicine prescribe prescription anticoagulation
    anticoagulate cardioversion cardiovert ablation thrombolysis amiodarone metoprolol bisoprolol flecainide apixaban warfarin
    adenosine digoxin haloperidol aspirin heparin antibiotic antibiotics prognosis survival mortality troponin echocardiogram
    ejection fraction creatinine potassium discharge discharged admission admitted monitoring telemetry surgery theatre
    pneumonia diabetes embolism pregnant hypertension dissection stenosis instructions ignore previous summarise summarize
    summary interpret interpretation impression conclusion similar comparable cases certain confident confidence probability
    likelihood definition define meaning evidence criteria compare compared comparison difference changed quality readable
    interference rhythm abnormal abnormality abnormalities findings prolonged regular irregular duration interval intervals
    deviation measurements measurement diagnosis recommend recommendation management cholesterol patient hospital cardiologist
    pacemaker defibrillator prolongation enlargement symptoms"""
    )
)
_LEXICON_WORDS = frozenset(word for phrase in PHRASES for word in phrase.words)
_TARGETS = frozenset(w for w in _LEXICON_WORDS | _PATTERN_WORDS if len(w) >= 5 and w.isalpha())
#: Every word this project can make sense of.
KNOWN = _LEXICON_WORDS | _PATTERN_WORDS | _ORDINARY | SCOPE_WORDS


def _deletes(word: str, depth: int) -> set[str]:
    made = {word}
    for _ in range(depth):
        made |= {w[:i] + w[i + 1 :] for w in made for i in range(len(w))}
    return made


@cache
def _index() -> dict[str, tuple[str, ...]]:
    """Words with letters left out → targets, so that a look-up touches only candidates (symmetric deletion)."""
    table: dict[str, list[str]] = {}
    for target in sorted(_TARGETS):
        for key in _deletes(target, 2 if len(target) >= 10 else 1):
            table.setdefault(key, []).append(target)
    return {key: tuple(targets) for key, targets in table.items()}


def _distance(a: str, b: str) -> int:
    """Edit distance with swaps of neighbours counted once (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]


@cache
def mend(word: str) -> str:
    """The known word that a mistyped one (five letters or more) stands for, or the word itself.

    Ties go to the same first letter, then to the alphabet, so the outcome never depends on order.
    """
    if not 5 <= len(word) <= 30 or not word.isalpha() or word in KNOWN or word.rstrip("s") in KNOWN:
        return word
    best: tuple[int, bool, str] | None = None
    for key in _deletes(word, 2 if len(word) >= 10 else 1):
        for target in _index().get(key, ()):
            distance = _distance(word, target)
            if word[0] != target[0] and word[1] != target[0]:  # the first letter is rarely mistyped: "indication", "medication"
                continue
            if distance <= (2 if min(len(word), len(target)) >= 10 else 1):
                rank = (distance, word[0] != target[0], target)
                best = rank if best is None or rank < best else best
    return best[2] if best else word


def _prepare(text: str) -> str:
    text = unicodedata.normalize("NFC", text).lower()
    for pattern, by in _REPLACE:
        text = pattern.sub(by, text)
    return text


def clauses(text: str) -> tuple[tuple[str, bool], ...]:
    """Plain clauses in order (lower case, mended, one blank between words, no punctuation), each with whether a question
    mark closed it: "AF? hr 80" → (("af", True), ("hr 80", False)).
    """
    prepared = _prepare(text)
    found: list[tuple[str, bool]] = []
    at = 0
    for cut in [*_CLAUSE.finditer(prepared), None]:
        piece = prepared[at : cut.start() if cut else len(prepared)]
        words = " ".join(mend(w) for w in _WORD.findall(piece.replace("-", " ").replace("/", " ")))
        if words:
            found.append((words, bool(cut and "?" in cut.group())))
        at = cut.end() if cut else at
    return tuple(found)


#: Leads by wall (Fourth Universal Definition of MI 2018; AHA/ACC/HRS 2009 part VI).
_WALLS = {
    "inferior": ("II", "III", "aVF"),
    "lateral": ("I", "aVL", "V5", "V6"),
    "septal": ("V1", "V2"),
    "anterior": ("V3", "V4"),
    "anteroseptal": ("V1", "V2", "V3", "V4"),
    "anterolateral": ("I", "aVL", "V3", "V4", "V5", "V6"),
    "inferolateral": ("I", "II", "III", "aVL", "aVF", "V5", "V6"),
    "precordial": ("V1", "V2", "V3", "V4", "V5", "V6"),
    "chest": ("V1", "V2", "V3", "V4", "V5", "V6"),
    "limb": ("I", "II", "III", "aVR", "aVL", "aVF"),
}
_NAMES = {lead.lower(): lead for lead in STANDARD_LEADS}
_WALL = re.compile(r"\b(" + "|".join(sorted(_WALLS, key=len, reverse=True)) + r") leads?\b")
_RANGE = re.compile(r"\bv ?([1-6]) ?(?:-|to|through|until|till) ?v?([1-6])\b")
_LEAD = re.compile(r"\b(avr|avl|avf|v ?[1-6]|iii|ii)\b")
# A bare "i" is mostly the person who asks; it is a lead only where a lead is expected.
_LEAD_I = re.compile(
    r"\bleads? i\b|\bin i(?=$|[,?.!;]| and\b)|\bi, ?(?=ii|avl)|\bi and (?=ii|avl)|\b(?:ii|iii|avl|v[1-6]),? and i\b"
)


def leads_named(text: str) -> tuple[str, ...]:
    """Standard leads a text names, in standard order: "V1-V3", "inferior leads", "lead II". Empty where it names none."""
    lowered = _prepare(text)
    found: set[str] = set()
    for wall in _WALL.findall(lowered):
        found.update(_WALLS[wall])
    for first, last in _RANGE.findall(lowered):
        found.update(f"V{n}" for n in range(int(first), int(last) + 1))
    found.update(_NAMES[lead.replace(" ", "")] for lead in _LEAD.findall(lowered))
    if _LEAD_I.search(lowered):
        found.add("I")
    return tuple(lead for lead in STANDARD_LEADS if lead in found)
