"""``ecg-assistant cases``: past cases by recording, by words, by conditions, or by several of them at once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError
from retrieval.case import left_out_words
from retrieval.phrases import LIMITS
from ui.commands import libraries, options
from ui.commands.output import quiet_stdout, write_json
from ui.reporting import found_document

if TYPE_CHECKING:
    from encoders.ecg import ECG
    from retrieval.case import Case
    from retrieval.contrast import Contrast
    from retrieval.library import CaseLibrary, Found

__all__ = ["add", "case_lines"]

SEARCH_EXAMPLES = """
ecg-assistant cases search demo:stemi
ecg-assistant cases search recording.hea --patient KEY --k 5 --where "age>60 and sex=F" --json
ecg-assistant cases search --text "inferior infarction with right bundle branch block in an elderly woman"
ecg-assistant cases search recording.hea --text "without infarction, rate over 100"
ecg-assistant cases search --where "statement=WPW and age<30" --library built-in,ward
ecg-assistant cases search recording.hea --recordings ptb-xl
"""
EXAMPLES = SEARCH_EXAMPLES + """\
ecg-assistant cases build ward --metadata ward.csv
ecg-assistant cases list
"""
ABOUT = (
    "A library keeps of every recording what is needed to find it: an embedding, statements, measurements, age, sex, and where it"
    " lies; not the recording itself. The built-in one (17,418 recordings of PTB-XL) is searched unless --library names others."
    " `cases build` makes one of your own, among the named libraries in the user's folder ($ECG_ASSISTANT_HOME/libraries)."
    " `cases ACTION --help` tells more of each action."
)
SEARCH_ABOUT = (
    "Finds past cases by a recording (FILE), by words (--text), by a condition (--where), or by several at once; the best first."
    " With a recording, each case is set beside it (statements shared, only here, only there, open here; measurements), and what"
    " the 50 nearest cases list is told beside what chance would give."
)
CONDITIONS = """\
conditions (--where) compare age, sex, statement (an SCP code), superclass (NORM, MI, STTC, CD, HYP) or a measurement
(rate_bpm, pr_ms, qrs_ms, qt_ms, qtc_ms, axis_deg and the others that `measure` gives) by = != < <= > >=, or ask whether it is
one of several: "statement in (CLBBB, CRBBB)"; join them by and, or, not and brackets. A code by itself asks for its
likelihood: "LVH>=80". What a case does not tell meets no condition.
"""
WORDS = f"""\
words (--text) are read as statements, ages, sexes, rates and intervals; "without ..." rules out. Loose words are taken for:
{LIMITS}A recording and words together: a case's cosine with the recording, plus 0.7 times the share of the words that it answers.
Ages, sexes and measurements, in words or with --where, hold strictly.
"""
#: Measurements that are printed side by side; JSON has them all.
_BESIDE = (("rate_bpm", "rate"), ("pr_ms", "PR"), ("qrs_ms", "QRS"), ("qtc_ms", "QTc"), ("axis_deg", "axis"))
_SAID = 8  # statements of the neighbours that are printed


def add(commands: Any) -> None:
    """Adds the group with its commands."""
    group = options.add_parser(commands, "cases", "search and keep libraries of past cases", EXAMPLES, ABOUT)
    actions = group.add_subparsers(metavar="ACTION", required=True)
    search = options.add_parser(actions, "search", "past cases like a recording or a description", SEARCH_EXAMPLES, SEARCH_ABOUT)
    search.epilog = f"{CONDITIONS}\n{WORDS}\n{search.epilog}"
    search.add_argument("file", nargs="?", metavar="FILE", help=options.RECORDING_HELP)
    search.add_argument("--text", help="what the cases should show, in words; alone, or besides a recording")
    search.add_argument("--k", type=int, default=10, metavar="N", help="how many cases (10)")
    search.add_argument("--where", metavar="CONDITION", help='conditions that must hold, such as "age>60 and sex=F"; also alone')
    search.add_argument(
        "--include-own", action="store_true",
        help="also show the patient's own cases (--patient) and the recording itself, which are left out otherwise",
    )  # fmt: skip
    search.add_argument(
        "--library", metavar="LIB[,LIB]", action="append",
        help="libraries to search, by name or place, repeated or with commas (default: the built-in one)",
    )  # fmt: skip
    options.add_recordings(search, "also print where the cases' recordings lie on this machine")
    options.add_recording_options(search)
    options.add_json(search)
    search.set_defaults(run=run_search)
    libraries.add_actions(actions)


def case_lines(
    found: Sequence[Case], beside: Mapping[str, Contrast] | None = None, files: Mapping[str, str] | None = None,
    asked: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Cases as lines of a plain table, the most alike first; with what each has in common with the recording, and the file that
    its recording lies in, by case id. ``asked``: measurements and codes whose values were asked for. Cases that conditions alone
    found are alike to nothing, and are not said to be."""
    wide = max([10, *(len(case.case_id) + 2 for case in found)])
    compared = any(case.found_by != "condition" for case in found)
    lines = [f"{'case':<{wide}} {' alike ' if compared else ''} {'age':>4} sex  statements"]
    beside = beside or {}
    for case in found:
        age = "?" if case.age_years is None else f"{case.age_years:.0f}"
        codes = ", ".join(sorted(case.statements, key=lambda code: -case.statements[code]))
        alike = f"{case.similarity:>6.3f} " if compared else ""
        lines.append(f"{'C:' + case.case_id:<{wide}} {alike} {age:>4} {case.sex or '?':<3}  {codes}")
        known = {**case.statements, **case.measurements}
        values = [f"{name} {value:g}" for name in asked if (value := known.get(name)) is not None]
        lines += [f"{'':<{wide}}   {', '.join(values)}"] if values else []
        said = _beside(case, beside[case.case_id]) if case.case_id in beside else []
        where = f"recording: {case.where or 'not said'}"
        where += f"; here: {files[case.case_id]}" if files and case.case_id in files else ""
        lines += [f"{'':<{wide}}   {text}" for text in (*said, where)]
    return lines


def _beside(case: Case, one: Contrast) -> list[str]:
    groups = (("shared", one.shared), ("only here", one.only_asked), ("only there", one.only_case), ("open here", one.open))
    said = [f"{name}: {', '.join(codes)}" for name, codes in groups if codes]
    if case.answers is not None:
        said.insert(0, f"answers {case.answers:.0%} of the words")
    values = [
        f"{short} {one.measurements[name][0]:.0f} | {one.measurements[name][1]:.0f}"
        for name, short in _BESIDE if name in one.measurements
    ]  # fmt: skip
    lines = ["; ".join(said)] if said else []
    lines += [f"here | there: {', '.join(values)}"] if values else []
    return lines


def run_search(args: argparse.Namespace) -> int:
    """Finds and prints cases."""
    if args.file is None and args.text is None and args.where is None:
        raise QueryError("cases search needs a recording, --text or --where; give at least one of them.")
    if args.text is not None and not args.text.strip():
        raise QueryError("--text is empty; describe the case in words.")
    if args.k < 1:
        raise QueryError(f"--k is {args.k}; ask for at least 1 case.")
    from retrieval.library import CaseLibrary

    with quiet_stdout():
        ecg = None if args.file is None else options.read_recording(args.file, args)
        evidence: Any = None
        if ecg is not None:
            library, evidence, embedding = _read(ecg, args.library)
        else:
            library, embedding = CaseLibrary.open(args.library), None
        try:
            found = library.find(
                embedding=embedding, text=args.text, where=args.where, k=args.k, include_own=args.include_own,
                patient=_patient(args) if ecg is None else ecg.patient, content_hash="" if ecg is None else ecg.content_hash(),
            )  # fmt: skip
        finally:
            library.close()
    beside = {} if evidence is None else _contrasts(found.cases, evidence)
    document = found_document(found, None if evidence is None else evidence.quality)
    remark = document["remark"]
    doubts = [] if evidence is None or remark else _doubts(found, evidence)
    files = _files(found.cases, args.recordings)
    if args.json:
        write_json(_completed(document, args, found, beside, doubts, files))
        return 0
    said = [remark] if remark else _said(found, doubts)
    results = _results(found, beside, files, _asked_values(args.where, found))
    print("\n".join([*_understood(found), *results, *said]))
    return 0


def _patient(args: argparse.Namespace) -> str | None:
    from encoders.patient import hash_patient

    return None if args.patient is None else hash_patient(args.patient)


def _read(ecg: ECG, library: Any) -> tuple[CaseLibrary, Any, Any]:
    """The opened library, the recording's evidence (without cases) and its embedding."""
    from assistant import Assistant
    from encoders.encode import Encoder
    from retrieval.library import CaseLibrary

    encoder = Encoder.load()
    shelf = CaseLibrary.open(library, encoder.hash)
    try:
        reading = Assistant.load(encoder=encoder, library=shelf).read([ecg], k=0)[0]
        if reading.evidence.lead_set is None:
            raise QueryError(
                f"Cases cannot be searched from the leads {', '.join(ecg.leads)}; give all twelve, the six limb leads, or I."
            )
    except BaseException:
        shelf.close()
        raise
    return shelf, reading.evidence, reading.embedding


def _contrasts(cases: Sequence[Case], evidence: Any) -> dict[str, Contrast]:
    from retrieval.contrast import contrast

    states = {finding.code: finding.state for finding in evidence.findings}
    values = {item.name: item.value for item in evidence.measurements.items}
    return {case.case_id: contrast(case, states, values) for case in cases}


def _files(cases: Sequence[Case], folders: Sequence[str]) -> dict[str, str]:
    """Case id → file of its recording, for those that lie in one of these folders; none where no folder was named."""
    if not folders:
        return {}
    from retrieval.recordings import local_file
    from retrieval.store import CaseRow
    from ui.looking import recording_folders

    places = recording_folders(folders)
    found = {case.case_id: local_file(CaseRow(case.case_id, where=case.where), places) for case in cases}
    return {case_id: str(file) for case_id, file in found.items() if file is not None}


def _doubts(found: Found, evidence: Any) -> list[str]:
    """Codes of findings that the neighbours speak against."""
    from retrieval.neighbours import says_doubt

    states = {finding.code: finding.state for finding in evidence.findings}
    return [one.code for one in found.neighbours if says_doubt(one, states.get(one.code, ""))]


def _completed(
    document: dict[str, Any], args: argparse.Namespace, found: Found, beside: Mapping[str, Contrast], doubts: list[str],
    files: Mapping[str, str],
) -> dict[str, Any]:
    for case, written in zip(found.cases, document["cases"], strict=True):
        if case.case_id in beside:
            written["beside"] = beside[case.case_id].to_json()
        if args.recordings:
            written["file"] = files.get(case.case_id)
    asked = {"k": args.k, "where": args.where, "libraries": args.library or ["built-in"]}
    return {**document, "in_doubt": doubts, **asked}


def _understood(found: Found) -> list[str]:
    """How the words were taken, a line each, so that a reader sees what was not."""
    if found.query is None:
        return []
    query, lines = found.query, list[str]()
    if query.wanted:
        lines.append(f"Statements asked for: {'; '.join(' or '.join(group) for group in query.wanted)}.")
    if query.unwanted:
        lines.append(f"Statements ruled out: {', '.join(query.unwanted)}.")
    if query.said:
        lines.append(f"Taken as conditions: {'; '.join(f'{words} = {written}' for words, written in query.said)}.")
    if query.spoken:
        lines.append(f"Held against the signals: {', '.join(query.spoken)}.")
    if query.ignored:
        lines.append(f"Not understood, and left out: {', '.join(query.ignored)}.")
    return lines


def _asked_values(where: str | None, found: Found) -> list[str]:
    """Measurements, and codes whose likelihood, that the conditions ask for, in words or with --where."""
    from retrieval.where import NUMBER, Comparison, Condition, Not, parse

    def fields(condition: Condition) -> list[str]:
        if isinstance(condition, Comparison):
            return [condition.field] if condition.kind == NUMBER else []
        parts = (condition.part,) if isinstance(condition, Not) else condition.parts
        return [field for part in parts for field in fields(part)]

    conditions = [] if found.query is None or found.query.condition is None else [found.query.condition]
    conditions += [] if where is None else [parse(where)]
    return list(dict.fromkeys(field for condition in conditions for field in fields(condition)))


def _results(found: Found, beside: Mapping[str, Contrast], files: Mapping[str, str], asked: Sequence[str]) -> list[str]:
    lines = case_lines(found.cases, beside, files, asked) if found.cases else ["No case in the library fits."]
    by_signal = sum(case.found_by == "signal" for case in found.cases)
    if by_signal:
        lines.append(f"Found by the ECG itself, not by statements: {by_signal} of {len(found.cases)}; there, alike compares "
                     "ECGs within this search only.")
    left_out = left_out_words(found.own, found.duplicates)
    return [*lines, f"{left_out} --include-own shows them."] if left_out else lines


def _said(found: Found, doubts: list[str]) -> list[str]:
    if not found.neighbours:
        return []
    lines = [f"Of the {found.asked} nearest cases, what the most list (the nearer weigh more in the share):",
             f"  {'':<8} {'listed by':>9}  {'by chance':>9}  share"]  # fmt: skip
    lines += [
        f"  {one.code:<8} {one.listed:>9}  {one.expected:>9.1f}  {one.corrected:>5.0%}"
        for one in found.neighbours[:_SAID] if one.listed
    ]  # fmt: skip
    if doubts:
        lines.append(f"They speak against what was read here of: {', '.join(doubts)}; look at these again.")
    return lines
