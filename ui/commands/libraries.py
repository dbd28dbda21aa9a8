"""``ecg-assistant cases`` build, add, remove, list, info and fetch: libraries of one's own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import EcgAssistantError, QueryError
from retrieval.places import BUILTIN_NAME, Place, find_places, named_folder, named_places, register
from ui.commands import options
from ui.commands.output import quiet_stdout, write_json

if TYPE_CHECKING:
    from retrieval.intake import BuildReport, Tools
    from retrieval.store import Store

__all__ = ["add_actions"]

BUILD_EXAMPLES = """
ecg-assistant cases build ward --metadata ward.csv
ecg-assistant cases build ptb-xl --name research --engine ray
ecg-assistant cases build ward --metadata ward.csv --out milvus:http://localhost:19530 --name ward
"""
ADD_EXAMPLES = """
ecg-assistant cases add recording.hea --library ward --patient KEY --statements "AFIB;LVH:80"
ecg-assistant cases add day1 day2 --library ward
ecg-assistant cases add day3 --metadata day3.csv --library ward
"""
REMOVE_EXAMPLES = """
ecg-assistant cases remove day1/r3 day1/r4 --library ward
ecg-assistant cases remove --patient KEY --library ward
"""
FETCH_EXAMPLES = """
ecg-assistant cases fetch 12345 --out traces             (from PhysioNet, over the network)
ecg-assistant cases fetch 12345 --out traces --from ptb-xl
ecg-assistant cases fetch day1/r3 --library ward --out traces
"""
LIBRARY_HELP = "a library's name, a folder, or milvus:URI"


def add_actions(actions: Any) -> None:
    """Adds the commands to the group ``cases``."""
    from retrieval.metadata import CONTRACT

    build = options.add_parser(
        actions, "build", "make a library from a folder of recordings", BUILD_EXAMPLES,
        "Takes in every recording under DIR, in any format that `report` reads; with a table, those that have a row in it. What "
        "was found in them (statements), ages, sexes and patients come from the table; without one, cases can be found by "
        "recording, but nothing is known of them. Broken off, "
        "even by a power cut, the same command goes on where it was; what the library holds already is not added twice, under "
        "whatever name it comes.",
    )  # fmt: skip
    build.epilog = f"{CONTRACT}\n{build.epilog}"
    build.add_argument("folder", metavar="DIR", help="folder with recordings; a PTB-XL folder is known by its own table")
    build.add_argument("--metadata", metavar="TABLE.csv", help="a table with a row per recording (below; PTB-XL's own is found)")
    build.add_argument("--out", metavar="LIB", help="where it goes: a folder, or milvus:URI (default: among the named libraries)")
    build.add_argument("--name", metavar="NAME", help="what --library will call it (default: the folder's name)")
    options.add_engine(build)
    options.add_json(build)
    build.set_defaults(run=run_build)
    more = options.add_parser(
        actions, "add", "add recordings to a library", ADD_EXAMPLES,
        "Takes in files or folders. What the options say of age, sex, patient and statements holds for all that are given.",
    )  # fmt: skip
    more.epilog = f"{CONTRACT}\n{more.epilog}"
    more.add_argument("paths", nargs="+", metavar="FILE|DIR", help="recordings, or folders of them")
    more.add_argument("--library", metavar="LIB", required=True, help=LIBRARY_HELP)
    more.add_argument("--metadata", metavar="TABLE.csv", help="a table with a row per recording (below)")
    more.add_argument("--statements", metavar="CODES", help='SCP codes of the recordings, such as "AFIB;LVH:80"')
    options.add_recording_options(more)
    options.add_engine(more)
    options.add_json(more)
    more.set_defaults(run=run_add)
    less = options.add_parser(
        actions, "remove", "take cases out of a library", REMOVE_EXAMPLES,
        "Takes cases out for good: when the command is done, nothing of them is left in the library's files. Exit code 2 where an"
        " id or the patient is not there; what is there goes all the same.",
    )  # fmt: skip
    less.add_argument("ids", nargs="*", metavar="ID", help="ids of cases, as searches show them")
    less.add_argument("--patient", metavar="KEY", help="every case of the patient that this key stands for")
    less.add_argument("--library", metavar="LIB", required=True, help=LIBRARY_HELP)
    options.add_json(less)
    less.set_defaults(run=run_remove)
    listing = options.add_parser(actions, "list", "the libraries there are, and their sizes", "ecg-assistant cases list")
    options.add_json(listing)
    listing.set_defaults(run=run_list)
    info = options.add_parser(actions, "info", "what a library holds", "ecg-assistant cases info --library ward")
    info.add_argument("--library", metavar="LIB", help=f"{LIBRARY_HELP} (default: the built-in one)")
    options.add_json(info)
    info.set_defaults(run=run_info)
    fetch = options.add_parser(
        actions, "fetch", "put a case's recording into a folder", FETCH_EXAMPLES,
        "Copies the recording from a folder on this machine; where there is none, and the case is from PTB-XL, this command, "
        "and no other, asks PhysioNet over the network.",
    )  # fmt: skip
    fetch.add_argument("id", metavar="ID", help="id of the case, as searches show it")
    fetch.add_argument("--out", metavar="DIR", required=True, help="folder for the files")
    fetch.add_argument("--from", dest="source", metavar="DIR", action="append", default=[], help="a folder to look in first")
    fetch.add_argument("--offline", action="store_true", help="do not ask PhysioNet")
    fetch.add_argument("--library", metavar="LIB", help=f"{LIBRARY_HELP} (default: the built-in one)")
    fetch.set_defaults(run=run_fetch)


# --- taking in and out -----------------------------------------------------------------------------------------------


def _tools(fs_hz: float | None = None, unit: str | None = None, lead_names: Any = None, leads: Any = None) -> Tools:
    """What a worker needs; every worker loads its own network."""
    import numpy as np

    from encoders.encode import Encoder
    from encoders.measure import measure
    from encoders.readers import read
    from retrieval.intake import Tools

    encoder = Encoder.load()

    def embeddings(ecgs: Any) -> Any:
        return np.stack([encoding.embedding for encoding in encoder.encode(ecgs)])

    def opened(record: Any) -> Any:
        ecg = read(
            record.root / record.file, fs_hz=fs_hz, unit=unit, lead_names=lead_names, age_years=record.age_years, sex=record.sex
        )
        return ecg if leads is None else ecg.select(leads)

    return Tools(embeddings, measure, opened)


def _take_in(args: argparse.Namespace, paths: list[Path], spec: str, tools: Any, about: dict[str, Any]) -> BuildReport:
    from encoders.encode import Encoder
    from retrieval.build import add_recordings, records_in

    metadata = Path(args.metadata) if args.metadata else None
    if metadata is not None and not metadata.is_file():
        raise QueryError(f"There is no table {metadata.name!r}; give a CSV file with a row per recording.")
    some = islice(chain.from_iterable(records_in(path) for path in paths), options.SPREAD_FROM)
    engine = options.chosen_engine(args, sum(1 for _ in some))
    with quiet_stdout():
        return add_recordings(paths, metadata, tools, spec, Encoder.load().hash, engine=engine, about=about)


def _to_write(library: str) -> Place:
    """The one library that is to be changed."""
    places = find_places(library)
    if len(places) != 1:
        raise QueryError(f"{len(places)} libraries are named; one at a time can be changed.")
    if places[0].builtin:
        raise QueryError("The built-in library cannot be changed; build one of your own with: ecg-assistant cases build DIR")
    return places[0]


def run_build(args: argparse.Namespace) -> int:
    """Makes a library, or goes on with it."""
    folder = Path(args.folder)
    if not folder.is_dir():
        raise QueryError(f"There is no folder {folder.name!r}; give the folder that holds the recordings.")
    if args.out is None:
        name = args.name or folder.resolve().name
        return _say(args, _take_in(args, [folder], str(_own_folder(name)), _tools, {}), f"search it with --library {name}")
    if args.name is not None:
        register(args.name, args.out)
    return _say(args, _take_in(args, [folder], args.out, _tools, {}), f"search it with --library {args.name or args.out}")


def _own_folder(name: str) -> Path:
    folder = named_folder(name)
    if any(place.name == name and Path(place.spec) != folder for place in named_places()):
        raise QueryError(f"There is a library named {name!r} elsewhere already; choose another name, or give --out.")
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def run_add(args: argparse.Namespace) -> int:
    """Adds recordings to a library that is there."""
    from encoders.patient import hash_patient
    from retrieval.metadata import statements_in

    place = _to_write(args.library)
    about: dict[str, Any] = {"age_years": args.age, "sex": args.sex}
    about["patient"] = None if args.patient is None else hash_patient(args.patient)
    if args.statements is not None:
        about["statements"], unknown = statements_in(args.statements)
        if unknown:
            raise QueryError(f"{unknown[0]!r} is no statement; give SCP codes such as AFIB or CLBBB.")
    paths = [Path(path) for path in args.paths]
    for path in paths:
        if not path.exists() and not path.with_name(path.name + ".hea").exists():
            raise QueryError(f"There is no file or folder {path.name!r}; check the name.")
    tools = partial(_tools, args.fs, args.unit, args.lead_names, args.leads)
    given = {name: value for name, value in about.items() if value is not None}
    return _say(args, _take_in(args, paths, place.spec, tools, given), f"library {place.name}")


def _say(args: argparse.Namespace, done: BuildReport, what_now: str) -> int:
    """Says what was done: one line on stdout, and one on stderr for each recording or cell that was left out."""
    took = done.added + done.updated + done.replaced + done.skipped + len(done.duplicates)
    if args.json:
        write_json({
            "added": done.added, "updated": done.updated, "replaced": done.replaced, "there_already": done.skipped,
            "duplicates": [{"recording": name, "case": f"C:{case_id}"} for name, case_id in done.duplicates],
            "failed": [{"recording": name, "reason": reason} for name, reason in done.failed],
            "remarks": [{"recording": name, "remark": remark} for name, remark in done.remarks],
            "without_row": done.without_row, "unknown_codes": done.unknown_codes, "ignored_columns": list(done.ignored_columns),
        })  # fmt: skip
        return 0 if took or not done.failed else 1
    counts = (
        (done.added, "added"), (done.updated, "updated"), (done.replaced, "replaced"), (done.skipped, "there already"),
        (len(done.duplicates), "the same recording as another case"), (len(done.failed), "not taken in"),
    )  # fmt: skip
    said = [f"{count} {word}" for count, word in counts if count or word == "added"]
    print(f"Cases: {', '.join(said)}; {what_now}.")
    for name, case_id in done.duplicates:
        print(f"{name}: the same recording as case {case_id}; not added again.", file=sys.stderr)
    for name, reason in [*done.failed, *done.remarks]:
        print(f"{name}: {reason}", file=sys.stderr)
    if done.without_row:
        which = "recording has" if done.without_row == 1 else "recordings have"
        print(f"{done.without_row} {which} no row in the table; left out.", file=sys.stderr)
    if done.unknown_codes:
        print(f"Words in the table that are no statements, left out: {_with_rows(done.unknown_codes)}.", file=sys.stderr)
    if done.ignored_columns:
        print(f"Columns that are not kept: {', '.join(done.ignored_columns)}.", file=sys.stderr)
    return 0 if took or not done.failed else 1


def _with_rows(words: Mapping[str, Sequence[int]]) -> str:
    """Words, each with the row that it was first met in, and in how many more."""
    more = {word: f" and {len(rows) - 1} more" if len(rows) > 1 else "" for word, rows in words.items()}
    return ", ".join(f"{word} (row {rows[0]}{more[word]})" for word, rows in words.items())


def run_remove(args: argparse.Namespace) -> int:
    """Takes cases out of a library."""
    from encoders.patient import hash_patient
    from retrieval.build import remove_cases
    from retrieval.store import open_store, patient_key

    if not args.ids and args.patient is None:
        raise QueryError("Nothing is named; give ids of cases, or --patient KEY.")
    patient = None if args.patient is None else hash_patient(args.patient)
    store = open_store(_to_write(args.library).spec, writable=True)
    try:
        key = patient_key(patient)
        stranger = key is not None and not store.of_patient(key)
        gone, missing = remove_cases(store, [case_id.removeprefix("C:") for case_id in args.ids], patient)
        left = store.count
    finally:
        store.close()
    code = 2 if missing or stranger else 0
    if args.json:
        write_json({"removed": gone, "not_there": list(missing), "left": left})
        return code
    print(f"{gone} {'case' if gone == 1 else 'cases'} removed, {left} left.")
    if stranger:
        print("No case here is of the patient that this key stands for on this machine.", file=sys.stderr)
    for case_id in missing:
        print(f"{case_id}: there is no such case.", file=sys.stderr)
    return code


# --- looking ---------------------------------------------------------------------------------------------------------


def run_list(args: argparse.Namespace) -> int:
    """Prints every library that has a name."""
    found: list[dict[str, Any]] = []
    for place in named_places():
        try:
            store = _opened(place)
        except EcgAssistantError as error:
            found.append({"name": place.name, "error": " ".join(str(error).split())})
            continue
        found.append({"name": place.name, "cases": store.count, "bytes": _size(place.spec), "encoder": store.encoder_hash[:12]})
        store.close()
    if args.json:
        write_json({"libraries": found})
        return 0
    print(f"{'library':<24} {'cases':>9} {'size':>10}  encoder")
    for one in found:
        if "error" in one:
            print(f"{one['name']:<24} {one['error']}")
        else:
            print(f"{one['name']:<24} {one['cases']:>9} {_megabytes(one['bytes']):>10}  {one['encoder']}")
    return 0


def _opened(place: Place) -> Store:
    from retrieval.store import open_store

    with quiet_stdout():
        return open_store(place.spec)


def _size(spec: str) -> int | None:
    """Bytes on this disk; None where the library lies elsewhere."""
    if spec.startswith("milvus:http"):
        return None
    at = Path(spec.removeprefix("milvus:"))
    at = at if at.exists() else at.with_name(at.name + ".db")
    return sum(file.stat().st_size for file in (at.rglob("*") if at.is_dir() else [at]) if file.is_file())


def _megabytes(size: int | None) -> str:
    return "elsewhere" if size is None else f"{size / 2**20:.1f} MB"


def run_info(args: argparse.Namespace) -> int:
    """Prints what a library holds: how many cases, what is known of them, the commonest statements."""
    from retrieval.overview import overview

    places = find_places(args.library)
    if len(places) != 1:
        raise QueryError(f"{len(places)} libraries are named; ask about one at a time.")
    store = _opened(places[0])
    try:
        known = overview(store.matching(None))
        notes = dict(getattr(store, "notes", {}))
    finally:
        store.close()
    if args.json:
        write_json({
            "name": places[0].name, "encoder": store.encoder_hash, "bytes": _size(places[0].spec), "notes": notes,
            **known.to_json(),
        })  # fmt: skip
        return 0
    print(f"{places[0].name}: {known.cases} cases of {known.patients} known patients, {_megabytes(_size(places[0].spec))}, "
          f"encoder {store.encoder_hash[:12]}.")
    for name, text in notes.items():
        print(f"{str(name).capitalize()}: {text}.")
    print("\n".join(known.lines()))
    if places[0].name == BUILTIN_NAME:
        print("It is read-only; build one of your own with: ecg-assistant cases build DIR")
    return 0


def run_fetch(args: argparse.Namespace) -> int:
    """Puts a case's recording into a folder."""
    from retrieval.recordings import download, fetch

    places = find_places(args.library)
    if len(places) != 1:
        raise QueryError(f"{len(places)} libraries are named; fetch from one at a time.")
    case_id = args.id.removeprefix("C:")
    store = _opened(places[0])
    try:
        row = store.get([case_id]).get(case_id)
    finally:
        store.close()
    if row is None:
        raise QueryError(f"There is no case {case_id[:60]!r} in the library {places[0].name}; give an id as a search shows it.")
    trace = fetch(row, args.out, folders=args.source, network=None if args.offline else download)
    origin = "PhysioNet" if trace.came_from == "PhysioNet" else "a folder on this machine"
    print(f"{', '.join(file.name for file in trace.files)} put into {Path(args.out).name}, from {origin}.")
    return 0
