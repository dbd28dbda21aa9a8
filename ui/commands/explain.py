"""``ecg-assistant explain``: which leads and stretches speak for a finding."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.errors import QueryError
from ui.commands import options
from ui.commands.output import quiet_stdout, whole_file, write_json

if TYPE_CHECKING:
    from assistant.evidence import Evidence, Finding
    from encoders.ecg import ECG
    from encoders.explanation import Explanation, Touched

__all__ = ["add"]

EXAMPLES = """
ecg-assistant explain demo:lbbb
ecg-assistant explain recording.hea CLBBB LVH --json
ecg-assistant explain demo:stemi ASMI --plot stretches.png
ecg-assistant explain watch.csv AFIB --fs 300 --unit mV --leads I
"""
#: Stretches that the text names, and that the picture shades.
_NAMED, _SHADED = 6, 200


def add(commands: Any) -> None:
    """Adds the command."""
    parser = options.add_parser(
        commands, "explain", "show which leads and stretches speak for a finding", EXAMPLES,
        "For each finding that is stated present, or each code named: the share of every lead, the stretches that speak most for"
        " it, and the parts of the beats they fall on (integrated gradients). It shows where the network looked, not why the"
        " patient has the finding. Of recordings longer than 10 s the first 10 s are read.",
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help=options.RECORDING_HELP)
    parser.add_argument("codes", nargs="*", metavar="CODE", help="SCP codes to explain, whatever was decided of them")
    options.add_recording_options(parser)
    options.add_risk_options(parser)
    parser.add_argument(
        "--plot", metavar="IMAGE", help="draw every lead on ECG paper, stretches of the first finding shaded (.png or .svg)"
    )
    options.add_json(parser)
    parser.set_defaults(run=run, library=None)


def _checked(words: Sequence[str]) -> list[str]:
    """The codes as the vocabulary writes them, each once."""
    from encoders.vocabulary import CODES

    known = {code.upper(): code for code in CODES}
    wrong = [word for word in words if word.upper() not in known]
    if wrong:
        raise QueryError(f"{wrong[0]!r} is no code of the vocabulary; give SCP codes such as CLBBB, 1AVB, AFIB or ASMI.")
    return list(dict.fromkeys(known[word.upper()] for word in words))


def run(args: argparse.Namespace) -> int:
    """Reads, attributes, prints."""
    codes = _checked(args.codes)
    if args.plot and Path(args.plot).suffix.lower() not in (".png", ".svg"):
        raise QueryError(f"--plot is {Path(args.plot).name!r}; name a file that ends in .png or .svg.")
    ecg = options.read_recording(args.file, args)
    with quiet_stdout():
        from encoders.delineate import delineate
        from encoders.explanation import NOTE, explain
        from encoders.leadsets import needed_set

        needed_set(ecg.leads)
        assistant = options.load_assistant(args)
        evidence = assistant.analyse(ecg, k=0)
        findings = [evidence.finding(code) for code in codes] if codes else list(evidence.in_state("present"))
        waves = delineate(ecg) if findings else None
        explained = [
            (one, explain(assistant.encoder, ecg, one.code, waves, measurements=evidence.measurements, n=_NAMED))
            for one in findings
        ]
    if args.plot and not explained:
        raise QueryError("No finding is stated present, so there is nothing to draw; name the codes to look at.")
    if args.plot:
        _plot(ecg, explained[0][1], Path(args.plot))
    if args.json:
        document = {
            "record": args.file if args.file.startswith("demo:") else Path(args.file).name,
            "encoder": assistant.encoder.hash,
            "lead_set": evidence.lead_set,
            "usable": evidence.quality.usable,
            "findings": [_document(*one) for one in explained],
            "note": NOTE,
        }
        write_json(document)
    else:
        print(_text(evidence, explained))
        if args.plot:
            print(f"{Path(args.plot).name} shows {explained[0][0].code}.")
    return 0


def _document(finding: Finding, explanation: Explanation) -> dict[str, Any]:
    whole = finding.to_json()
    return {**{key: whole[key] for key in ("code", "name", "probability", "state")}, **explanation.to_json()}


def _text(evidence: Evidence, explained: Sequence[tuple[Finding, Explanation]]) -> str:
    from encoders.explanation import NOTE
    from encoders.vocabulary import statement
    from ui.naming import weighed

    lines = []
    if not evidence.quality.usable:
        lines += ["The recording is not usable; what the network makes of it should not be relied on.", ""]
    if not explained:
        return "\n".join([*lines, "No finding is stated present; name the codes to look at."])
    for finding, one in explained:
        lines.append(f"{statement(finding.code).name} ({finding.code}): {finding.state}, probability {finding.probability:.2f}")
        ranked = sorted(one.by_lead.items(), key=lambda item: -item[1])
        lines.append("  leads: " + ", ".join(f"{lead} {100 * share:.0f} %" for lead, share in ranked))
        if not one.spans:
            lines.append("  no stretch speaks for it")
        for span, touched in one.spans:
            where = ", ".join(_touch(t) for t in touched) or ("between the waves" if one.by_part else "")
            lines.append(f"  {span.lead:<4}{span.start_s:5.2f}-{span.end_s:.2f} s {100 * span.share:5.1f} %  {where}".rstrip())
        if one.by_part:
            shares = (f"{name} {100 * share:.0f} % ({100 * one.time[name]:.0f} %)" for name, share in one.by_part.items())
            lines.append("  by part of the beat (in brackets its share of the time): " + ", ".join(shares))
        if one.measured:
            lines.append("  measurements that moved the probability (log odds): " + ", ".join(map(weighed, one.measured)))
        lines.append("")
    return "\n".join([*lines, NOTE])


def _touch(touched: Touched) -> str:
    return f"{touched.part} of beat {touched.beat}" if touched.beat is not None else f"{touched.part} outside the beats"


def _plot(ecg: ECG, explanation: Explanation, path: Path) -> None:
    from encoders.explanation import NOTE
    from encoders.leadsets import with_limb_leads
    from encoders.vocabulary import statement
    from ui.paper import Paper
    from ui.plot import to_png, to_svg

    code = explanation.attribution.code
    spans = explanation.attribution.spans(_SHADED)
    title = f"{statement(code).name} ({code}). {NOTE.partition(';')[0]}."
    options_: dict[str, Any] = {"title": title, "paper": Paper(row_mm=20.0), "shaded": spans, "stacked": True}
    whole = with_limb_leads(ecg)
    image = to_svg(whole, **options_).encode() if path.suffix.lower() == ".svg" else to_png(whole, **options_)
    with whole_file(path, binary=True) as handle:
        handle.write(image)
