"""``measure``, ``delineate``, ``check`` and ``compare``: what is read off the signal itself."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError, RecordingError
from ui.commands import options
from ui.commands.output import progress, quiet_stdout, table_rows_to, write_json
from ui.commands.tables import MANY, VERDICT_COLUMNS, expand, judged_recording, summary, verdict_cells, why

if TYPE_CHECKING:
    from encoders.ecg import ECG
    from encoders.quality import Quality

__all__ = ["add", "fiducial_rows", "measure_columns", "measure_row"]

MEASURE_EXAMPLES = """
ecg-assistant measure demo:normal demo:lbbb --out table.csv
ecg-assistant measure 'ward/*.hea' --out table.csv --jobs 4
"""
DELINEATE_EXAMPLES = """
ecg-assistant delineate recording.hea --out fiducials.csv
ecg-assistant delineate 'ward/*.hea' --out fiducials.csv
"""
CHECK_EXAMPLES = """
ecg-assistant check demo:noisy
ecg-assistant check 'ward/*.hea' --json
"""
COMPARE_EXAMPLES = """
ecg-assistant compare earlier.hea later.hea
ecg-assistant compare demo:normal demo:af --json
"""
FIDUCIAL_COLUMNS = ("record", "lead", "wave", "onset", "peak", "offset")
#: From this many recordings on, starting further processes (about a second each) pays.
_WORTH_PROCESSES = 64


def _jobs(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; give 1 to 256")
    return int(text)


def add(commands: Any) -> None:
    """Adds the commands."""
    measure = options.add_parser(
        commands, "measure", "measurements of many recordings, as a table", MEASURE_EXAMPLES,
        "One row per recording: record; every measurement with the unit in its name (empty where not measurable); each lead's"
        " amplitudes and ST levels; how reliable each measurement is (0-1) and on how many beats it rests; what `check` says of"
        " the signal: usable (true or false), verdict (usable, limited or unusable), reasons, and limited: the columns not to be"
        " relied on, with ; between them; error. What is limited has a reliability of 0, as has all in an unusable recording."
        " One bad file does not stop the rest; exit code 2 where none can be read.",
    )  # fmt: skip
    delineate = options.add_parser(
        commands, "delineate", "P, QRS and T boundaries of every beat and lead, as a table", DELINEATE_EXAMPLES,
        "One row per wave: record (as it was given), lead (as named in the file), wave (P, QRS or T), onset, peak and offset in"
        " samples of the file. One bad file does not stop the rest; exit code 2 where none can be read.",
    )  # fmt: skip
    check = options.add_parser(
        commands, "check", "judge the quality of recordings: usable, usable with limits, or not, with reasons", CHECK_EXAMPLES,
        "The verdict on the signal as recorded, before any cleaning, with a score from 0 (hopeless) to 1 (clean), the reasons,"
        " and the leads and measurements that should not be relied on. A bad recording is a result (exit code 0); a file that"
        " cannot be read is named, and the exit code is 2 where none can.",
    )  # fmt: skip
    for parser, run in ((measure, run_measure), (delineate, run_delineate), (check, run_check)):
        parser.add_argument("files", nargs="+", metavar="FILE", help=MANY)
        if parser is not check:
            parser.add_argument("--out", metavar="TABLE.csv", help="where the table goes; stdout where left out")
            parser.add_argument("--jobs", type=_jobs, metavar="N", help="processes (default: one per core, for long lists)")
        options.add_recording_options(parser)
        parser.set_defaults(run=run)
    options.add_json(check)
    compare = options.add_parser(
        commands, "compare", "what changed between two recordings of one patient", COMPARE_EXAMPLES,
        "Differences in rate, intervals, axis, ST and findings: what is new, resolved or unchanged, and which changes lie within"
        " the noise of a repeated recording, with the source of each limit. Give the earlier recording first.",
    )  # fmt: skip
    compare.add_argument("earlier", metavar="FILE", help=options.RECORDING_HELP)
    compare.add_argument("later", metavar="FILE2", help="the later recording of the same patient")
    options.add_recording_options(compare)
    options.add_risk_options(compare)
    options.add_json(compare)
    compare.set_defaults(run=run_compare, library=None)


# Many recordings ------------------------------------------------------------------------------------------------------


def _each(work: Any, names: Sequence[str], args: argparse.Namespace, what: str) -> Iterator[Any]:
    """``work((name, args))`` of every name in order, on several processes where the list is long."""
    jobs = args.jobs or (os.cpu_count() or 1 if len(names) >= _WORTH_PROCESSES else 1)
    # A parsed command holds a function that does not travel to another process, and nothing there needs it.
    told = argparse.Namespace(**{k: v for k, v in vars(args).items() if k not in ("run", "files")})
    tasks = [(name, told) for name in names]
    if jobs == 1 or len(names) == 1:
        yield from (work(task) for task in progress(tasks, what))
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from encoders.table import one_thread

    with ProcessPoolExecutor(min(jobs, len(names)), mp_context=get_context("spawn"), initializer=one_thread) as pool:
        # One process computes on one core: the libraries below must not start threads of their own on top.
        done = pool.map(work, tasks, chunksize=max(1, min(16, len(names) // (4 * jobs) or 1)))
        for _, result in zip(progress(tasks, what), done, strict=True):
            yield result


def measure_columns() -> list[str]:
    """Columns of the table of ``measure``, in order."""
    from encoders.ecg import STANDARD_LEADS
    from encoders.measurements import LEAD_VALUES, MEASUREMENT_NAMES, MORE_NAMES

    names = (*MEASUREMENT_NAMES, *MORE_NAMES)
    # ST at J stands among the measurements already.
    leads = [f"{value}_{lead}" for lead in STANDARD_LEADS for value in LEAD_VALUES if value != "st_j_mv"]
    return [
        "record", *names, *leads, *(f"reliability_{name}" for name in names), *(f"n_beats_{name}" for name in names),
        *VERDICT_COLUMNS, "limited", "error",
    ]  # fmt: skip


def _limited(quality: Quality | None) -> list[str]:
    """Columns not to be relied on: the measurements that `check` names, all values of a bad lead, and those values of every lead
    that a filter changes as it does the measurements: QRS voltages, and ST levels after J."""
    from encoders.ecg import STANDARD_LEADS
    from encoders.measurements import LEAD_VALUES
    from encoders.quality import limited_by_filters

    if quality is None:
        return []
    filtered = limited_by_filters(quality.filters)
    changed = {"q_mv", "r_mv", "s_mv"} if "cornell_mv" in filtered else set()
    changed |= {"st_j60_mv", "st_j80_mv"} if "st_j_mv_V1" in filtered else set()
    leads = [
        f"{value}_{lead}" for lead in STANDARD_LEADS for value in LEAD_VALUES
        if value != "st_j_mv" and (lead in quality.bad_leads or value in changed)
    ]  # fmt: skip
    return [*quality.limited, *leads]


def measure_row(name: str, ecg: ECG | None, quality: Quality | None, error: str) -> list[str]:
    """One row of the table of ``measure``; all measurements' cells empty where there is no recording."""
    from encoders.ecg import STANDARD_LEADS
    from encoders.measure import measure
    from encoders.measurements import LEAD_VALUES, MEASUREMENT_NAMES, MORE_NAMES

    columns, limited = measure_columns(), _limited(quality)
    cells = [""] * (columns.index(VERDICT_COLUMNS[0]) - 1)
    if ecg is not None:
        try:
            found = measure(ecg)
            items = [found[m] for m in (*MEASUREMENT_NAMES, *MORE_NAMES)]
            leads = [found.lead(lead).value(v) for lead in STANDARD_LEADS for v in LEAD_VALUES if v != "st_j_mv"]
            # Beats and leads can agree on what noise, a filter or too slow a sampling made of them: who picks rows by
            # reliability alone must not get what the gate warns of.
            relied = set() if quality is None or not quality.usable else {m.name for m in items} - set(limited)
            cells = [
                *(_cell(item.value) for item in items), *(_cell(value) for value in leads),
                *(_cell(item.reliability if item.name in relied else 0.0) for item in items),
                *(str(item.beats) for item in items),
            ]  # fmt: skip
        except Exception as failure:  # the row says so and the run goes on
            error = why(failure)
    return [name, *cells, *verdict_cells(quality), ";".join(limited), error]


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.4g}"


def _measured(task: tuple[str, argparse.Namespace]) -> list[str]:
    name, args = task
    return measure_row(name, *judged_recording(name, args, long=True))


def run_measure(args: argparse.Namespace) -> int:
    """Writes the table of measurements."""
    names = expand(args.files)
    failed = 0

    def rows() -> Iterator[list[str]]:
        nonlocal failed
        for row in _each(_measured, names, args, "measure"):
            failed += bool(row[-1])
            yield row

    table_rows_to(args.out, measure_columns(), rows())
    return summary(failed, len(names))


def fiducial_rows(name: str, ecg: ECG) -> list[list[str]]:
    """Rows of the table of ``delineate``, by lead and time; leads that the file does not hold (derived ones) are left out."""
    from encoders.delineate import fiducials
    from encoders.readers.named import names_in_file

    named = {} if name.startswith("demo:") else names_in_file(name)
    last = ecg.n_samples - 1
    rows = []
    for wave in fiducials(ecg).waves:
        if named and wave.lead not in named:
            continue
        points = (str(min(last, max(0, round(at)))) for at in (wave.onset, wave.peak, wave.offset))
        rows.append([name, named.get(wave.lead, wave.lead), wave.wave, *points])
    return rows


def _delineated(task: tuple[str, argparse.Namespace]) -> tuple[str, list[list[str]], str]:
    name, args = task
    try:
        return name, fiducial_rows(name, options.read_recording(name, args, long=True)), ""
    except Exception as error:  # as above
        return name, [], why(error)


def run_delineate(args: argparse.Namespace) -> int:
    """Writes the table of boundaries; recordings that could not be read are named on stderr, since no row can say it."""
    names = expand(args.files)
    failed: list[str] = []

    def rows() -> Iterator[list[str]]:
        for name, made, error in _each(_delineated, names, args, "delineate"):
            if error:
                failed.append(f"{Path(name).name}: {error}")
            yield from made
        if len(failed) == len(names):
            raise RecordingError(failed[0].partition(": ")[2])

    table_rows_to(args.out, FIDUCIAL_COLUMNS, rows())
    for line in failed:
        print(line, file=sys.stderr)
    return 0


# The gate -------------------------------------------------------------------------------------------------------------


def run_check(args: argparse.Namespace) -> int:
    """Prints the gate's verdict on every recording."""
    from encoders.gate import check
    from encoders.leadsets import wanted_leads

    names = expand(args.files)
    documents: list[dict[str, Any]] = []
    error: Exception | None = None
    read = 0
    for name in names if len(names) < 10 else progress(names, "check"):
        shown = name if name.startswith("demo:") else Path(name).name
        try:
            ecg = options.read_recording(name, args, long=True)
            quality = check(ecg, wanted=wanted_leads(ecg.leads))
        except Exception as failure:  # as above
            error = failure if error is None else error
            documents.append({"record": shown, "error": why(failure)})
            if not args.json:
                print(f"{shown}: not read. {why(failure)}")
            continue
        read += 1
        documents.append({"record": shown, **quality.to_json()})
        if not args.json:
            said = {"usable": "usable", "limited": "usable with limits", "unusable": "not usable"}[quality.verdict]
            print(f"{shown}: {said} (score {quality.score:.3f})")
            for reason in quality.reasons:
                print(f"  - {reason}")
            if quality.filters.text():
                print(f"  filters as the file states them: {quality.filters.text()}")
            if quality.bad_leads:
                print(f"  leads not to be relied on: {', '.join(quality.bad_leads)}")
            if quality.limited:
                print(f"  measurements not to be relied on: {', '.join(quality.limited)}")
    if not read and error is not None:
        raise error
    if args.json:
        write_json(documents[0] if len(names) == 1 else documents)
    return 0


# Two recordings -------------------------------------------------------------------------------------------------------


def run_compare(args: argparse.Namespace) -> int:
    """Prints what changed from the first recording to the second."""
    if args.earlier == args.later:
        raise QueryError("Both recordings are the same file; give the earlier and the later recording of one patient.")
    earlier, later = (options.read_recording(name, args) for name in (args.earlier, args.later))
    with quiet_stdout():
        from assistant.serial import compare_evidence

        first, second = options.load_assistant(args).analyse_many([earlier, later], k=0)
        result = compare_evidence(first, second, (earlier, later))
    if args.json:
        write_json(result.to_json())
    else:
        print(result.to_text())
    return 0
