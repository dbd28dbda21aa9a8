"""``ecg-assistant predict``: many recordings in, one table of probabilities out; and what commands on many recordings share."""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import EcgAssistantError, QueryError
from ui.commands import options
from ui.commands.output import progress, quiet_stdout, table_rows_to

if TYPE_CHECKING:
    from encoders.ecg import ECG
    from encoders.encode import Encoder, Encoding
    from encoders.quality import Quality

__all__ = ["MANY", "VERDICT_COLUMNS", "add", "expand", "judged_recording", "summary", "verdict_cells", "why"]

BATCH = 32
#: What every table of recordings says of the gate's verdict, as `check` gives it.
VERDICT_COLUMNS = ("usable", "verdict", "reasons")
MANY = "recordings: files, globs in quotes, demo:NAME, or a .txt list with one recording per line"
PREDICT_EXAMPLES = """
ecg-assistant predict recording.hea --out table.csv
ecg-assistant predict 'ward/*.hea' more.csv --fs 500 --unit mV --out table.csv
ecg-assistant predict list.txt --out table.csv        (one recording per line)
ecg-assistant predict list.txt --out table.csv --engine ray
"""


def add(commands: Any) -> None:
    """Adds the commands."""
    predict = options.add_parser(
        commands, "predict", "statement probabilities of many recordings, as a table", PREDICT_EXAMPLES,
        "One row per recording: record; the calibrated probability of each of the 71 SCP codes; what `check` says of the signal:"
        " usable (true or false), verdict (usable, limited or unusable) and reasons; error, where there are no probabilities. Its"
        " leads are read by the network and measured, and age and sex are heeded where the file tells them. One bad file does not"
        " stop the rest; exit code 2 where none can be read.",
    )  # fmt: skip
    predict.add_argument("files", nargs="+", metavar="FILE", help=MANY)
    predict.add_argument("--out", metavar="TABLE.csv", help="where the table goes; stdout where left out")
    predict.add_argument(
        "--network-alone", action="store_true", help="leave out measurements, age and sex: faster, and less exact"
    )
    options.add_recording_options(predict)
    options.add_engine(predict)
    predict.set_defaults(run=run_predict)


def expand(words: Sequence[str]) -> list[str]:
    """Recordings named by files, globs, demo names and .txt lists, in order, each once.

    Of the files of one WFDB record only the header is kept. A plain name stays even where no such file is, so that it
    gets its row with its error. Raises QueryError where nothing is named, or a list or glob holds nothing.
    """
    found: list[str] = []
    for word in words:
        if word.lower().endswith(".txt"):
            found += _listed(Path(word))
        elif glob.has_magic(word) and not Path(word).exists():
            hits = sorted(hit for hit in glob.glob(word, recursive=True) if Path(hit).is_file())
            if not hits:
                raise QueryError(f"No file fits the pattern {word!r}; check the folder and the pattern.")
            found += hits
        else:
            found.append(word)
    names = set(found)
    kept = [name for name in found if not (name.endswith((".dat", ".mat")) and f"{name[:-4]}.hea" in names)]
    return list(dict.fromkeys(kept))


def _listed(file: Path) -> list[str]:
    from encoders.readers.border import utf8_text

    lines = [line.strip() for line in utf8_text(file, "list").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise QueryError(f"The list {file.name!r} is empty; write one recording per line.")
    # A list travels with its recordings: names are looked up beside it, unless they are found from here.
    return [
        line if line.startswith("demo:") or Path(line).exists() or Path(line).is_absolute() else str(file.parent / line)
        for line in lines
    ]


def why(error: Exception) -> str:
    """One line for the table's error column; what was not foreseen is named by its kind, never by a traceback."""
    if isinstance(error, EcgAssistantError):
        return " ".join(str(error).split())
    return f"The recording could not be processed ({type(error).__name__}); check the file."


def judged_recording(name: str, args: argparse.Namespace, *, long: bool = False) -> tuple[ECG | None, Quality | None, str]:
    """The recording and the gate's verdict on it, None where there is none, and the error, empty where there is none."""
    from encoders.gate import check
    from encoders.leadsets import wanted_leads

    try:
        ecg = options.read_recording(name, args, long=long)
    except Exception as error:  # one broken file must never stop a run over thousands
        return None, None, why(error)
    try:
        return ecg, check(ecg, wanted=wanted_leads(ecg.leads)), ""
    except Exception as error:  # readable, so the row keeps its values; only nobody vouches for them
        return ecg, None, why(error)


def verdict_cells(quality: Quality | None) -> list[str]:
    """The cells of VERDICT_COLUMNS; what nobody judged is not usable, and has no verdict."""
    if quality is None:
        return ["false", "", ""]
    return ["true" if quality.usable else "false", quality.verdict, " ".join(quality.reasons)]


def summary(failed: int, total: int) -> int:
    """Says on stderr how many recordings could not be read, where any could not; the exit code: 2 where none could."""
    if failed:
        print(f"{failed} of {total} recordings could not be read; the column error says why.", file=sys.stderr)
    return 2 if failed == total else 0


def run_predict(args: argparse.Namespace) -> int:
    """Writes the table of probabilities; one batch after the other, on as many cores as the engine has."""
    from encoders.vocabulary import CODES
    from retrieval.engine import Lost

    names = expand(args.files)
    engine = options.chosen_engine(args, len(names))
    batches = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
    failed = 0

    def rows() -> Iterator[list[str]]:
        nonlocal failed
        found = engine.map(partial(_predicting, args), batches)
        done = (one for batch in found for one in batch)
        for name, one in zip(progress(names, "predict"), done, strict=True):
            cells, was_read = (_row(name, None, None, one.reason), False) if isinstance(one, Lost) else one
            failed += not was_read
            yield cells

    table_rows_to(args.out, ["record", *CODES, *VERDICT_COLUMNS, "error"], rows())
    return summary(failed, len(names))


def _predicting(args: argparse.Namespace) -> Callable[[list[str]], list[tuple[list[str], bool]]]:
    """The work on one batch, wherever it is done: names → rows, and whether each recording has values in its own."""
    from encoders.encode import Encoder

    with quiet_stdout():
        encoder = Encoder.load()

    def work(names: list[str]) -> list[tuple[list[str], bool]]:
        attempts = [judged_recording(name, args) for name in names]
        probabilities = iter(_probabilities(encoder, [ecg for ecg, _, _ in attempts if ecg is not None], args.network_alone))
        out = []
        for name, (ecg, quality, error) in zip(names, attempts, strict=True):
            values = None if ecg is None else next(probabilities)
            if isinstance(values, Exception):  # of these leads, say; the verdict on the signal stands beside it
                error, values = why(values), None
            out.append((_row(name, values, quality, error), values is not None))
        return out

    return work


def _row(name: str, probabilities: Any, quality: Quality | None, error: str) -> list[str]:
    """One line of the table; probabilities (71,), or None where there are none."""
    from encoders.vocabulary import CODES

    cells = [""] * len(CODES) if probabilities is None else [f"{p:.6f}" for p in probabilities]
    return [name, *cells, *verdict_cells(quality), error]


def _probabilities(encoder: Encoder, ecgs: list[ECG], alone: bool) -> list[Any]:
    """Probabilities (71,) of each recording, or the error that it met; one recording never costs the others theirs. ``alone``:
    those of the network without measurements."""
    try:
        encodings = encoder.encode(ecgs)
        if alone:
            return [encoding.probabilities for encoding in encodings]
        return [_measured(encoder, ecg, encoding).probabilities for ecg, encoding in zip(ecgs, encodings, strict=True)]
    except Exception as error:
        if len(ecgs) == 1:
            return [error]
        return [value for ecg in ecgs for value in _probabilities(encoder, [ecg], alone)]


def _measured(encoder: Encoder, ecg: ECG, encoding: Encoding) -> Encoding:
    from encoders.leadsets import with_limb_leads
    from encoders.measure import measure

    return encoder.with_measurements(encoding, measure(with_limb_leads(ecg)), ecg.age_years, ecg.sex)
