"""Load on the real service: many clients at once for some minutes, as the wards of a hospital would.

    python tests/benchmarks/load.py [--clients 16] [--minutes 5]

Starts ``ecg-assistant serve`` in a process of its own with a key per client and an audit store in a fresh folder, and sends
reports (half), questions, searches and measurements as uploaded WFDB records; a client that is told 429 waits as the header
says. Prints answers per status, median and 99th percentile of the time that an answered request took, the server's resident
memory at the start (models loaded), in every tenth of the time, and at most; checks the audit store afterwards: every report
that was answered stands in it. Exit code 1 for any status but 200 and 429, for a broken connection, or for a broken chain.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ui.audit import AuditStore
from ui.demo import DEMOS, demo
from ui.keys import KeyFile

QUESTIONS = ("What is the QRS duration?", "Is there atrial fibrillation?", "What is not assessed?", "Is the ECG normal?")
KINDS, SHARES = ("reports", "answers", "cases/search", "measurements"), (5, 2, 2, 1)
WORDS = ("left bundle branch block", "inferior infarction in an elderly woman", "atrial fibrillation with a fast rate")


@dataclass
class Tally:
    """What came back; written by many threads under a lock."""

    statuses: Counter[str] = field(default_factory=Counter)
    taken_s: dict[str, list[float]] = field(default_factory=dict)
    drafts: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def wfdb(name: str) -> tuple[bytes, bytes]:
    """Header and signal of a demo recording as a WFDB record (format 16, 1000 units per mV)."""
    ecg = demo(name)
    counts = np.round(ecg.signal_mv * 1000).astype("<i2")
    lines = [f"r {len(ecg.leads)} {ecg.fs_hz:g} {ecg.n_samples}"]
    for lead, row in zip(ecg.leads, counts, strict=True):
        checksum = (int(row.astype(np.int64).sum()) + 0x8000 & 0xFFFF) - 0x8000
        lines.append(f"r.dat 16 1000/mV 16 0 {int(row[0])} {checksum} 0 {lead}")
    return ("\n".join(lines) + "\n").encode(), counts.T.tobytes()


def form(fields: dict[str, str], files: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    """A multipart body and its content type."""
    edge = uuid.uuid4().hex
    parts = [f'--{edge}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    for name, content in files:
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    return f"multipart/form-data; boundary={edge}", b"".join(parts) + f"--{edge}--\r\n".encode()


def send(
    connection: http.client.HTTPConnection, key: str, what: str, dice: random.Random, records: Sequence[tuple[bytes, bytes]]
) -> tuple[str, bytes, float]:
    """Sends one request; returns its status, the body, and the seconds to wait before the next one."""
    header, signal = dice.choice(records)
    files, fields = [("r.hea", header), ("r.dat", signal)], {}
    if what == "answers":
        fields = {"question": dice.choice(QUESTIONS)}
    elif what == "cases/search":
        fields = {"k": "5"}
        if dice.random() < 0.5:
            fields, files = {"text": dice.choice(WORDS), "k": "5"}, []
    kind, body = form(fields, files)
    try:
        connection.request("POST", f"/v1/{what}", body, {"content-type": kind, "x-api-key": key})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return f"broken ({type(error).__name__})", b"", 1.0
    wait_s = float(answer.headers["retry-after"]) if answer.status == 429 else 0.0
    return str(answer.status), text, wait_s


def client(port: int, key: str, seed: int, until: float, records: Sequence[tuple[bytes, bytes]], tally: Tally) -> None:
    """One client: request after request until the time is over."""
    dice = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while time.monotonic() < until:
        what = dice.choices(KINDS, SHARES)[0]
        begun = time.monotonic()
        status, text, wait_s = send(connection, key, what, dice, records)
        taken = time.monotonic() - begun
        with tally.lock:
            tally.statuses[status] += 1
            if status == "200":
                tally.taken_s.setdefault(what, []).append(taken)
                if what == "reports":
                    tally.drafts.append(json.loads(text)["draft_id"])
        time.sleep(wait_s * dice.uniform(0.5, 1.5))
    connection.close()


def warm_up(port: int, key: str, records: Sequence[tuple[bytes, bytes]]) -> None:
    """One of every kind of request, several times, so that whatever is loaded at its first use is there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    dice = random.Random(0)
    for what in KINDS * 3:
        status = send(connection, key, what, dice, records)[0]
        if status not in ("200", "504"):
            raise SystemExit(f"The server answers {what} with {status}.")
    connection.close()


def memory_mb(pid: int, name: str = "VmRSS") -> float:
    """Resident memory of a process (VmRSS), or its most so far (VmHWM), in MB."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else float("nan")


def start(home: Path, per_minute: int, waiting: int) -> tuple[subprocess.Popen[str], int]:
    """The real server with the page, on a free port."""
    environment = {**os.environ, "ECG_ASSISTANT_HOME": str(home), "GRADIO_ANALYTICS_ENABLED": "False"}
    command = [sys.executable, "-m", "ui.cli", "serve", "--port", "0", "--no-browser", "--per-minute", str(per_minute)]
    server = subprocess.Popen([*command, "--waiting", str(waiting)], stderr=subprocess.PIPE, text=True, env=environment)
    assert server.stderr is not None
    for line in server.stderr:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if found:
            threading.Thread(target=_pass_on, args=(server.stderr,), daemon=True).start()
            return server, int(found[1])
    raise SystemExit("The server did not start.")


def _pass_on(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"server: {line}", end="", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the load and prints what came back."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--per-minute", type=int, default=300, help="requests per minute that the server grants a key (300)")
    parser.add_argument("--waiting", type=int, default=8, help="requests that may wait for the assistant (8)")
    args = parser.parse_args(argv)
    records = [wfdb(subject.name) for subject in DEMOS]
    with tempfile.TemporaryDirectory() as folder:
        home, tally = Path(folder), Tally()
        keys = [KeyFile(home / "keys.sqlite").add(f"client {n}", "clinician") for n in range(args.clients)]
        server, port = start(home, args.per_minute, args.waiting)
        try:
            warm_up(port, keys[0], records)
            resident, begun = [memory_mb(server.pid)], time.monotonic()
            until = begun + 60 * args.minutes
            print(f"load of the machine before: {os.getloadavg()[0]:.1f}, cores {os.cpu_count()}", flush=True)
            threads = [
                threading.Thread(target=client, args=(port, key, n, until, records, tally)) for n, key in enumerate(keys, 1)
            ]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(min(6 * args.minutes, 30))
                resident.append(memory_mb(server.pid))
            lasted, most = time.monotonic() - begun, memory_mb(server.pid, "VmHWM")
            print(f"load of the machine after: {os.getloadavg()[0]:.1f}")
        finally:
            server.terminate()
            server.wait(timeout=30)
        store = AuditStore(home / "audit.sqlite")
        verdict, kept = store.verify(), {entry.id for entry in store.entries() if entry.action == "report"}
        store.close()
    answered = [s for taken in tally.taken_s.values() for s in taken]
    print(f"{args.clients} clients, {lasted / 60:.1f} minutes: {dict(sorted(tally.statuses.items()))}")
    print(f"answered {len(answered) / lasted:.2f}/s")
    for what, taken in [("all", answered), *sorted(tally.taken_s.items())]:
        print(f"  {what:<13} {len(taken):>6}  p50 {np.quantile(taken, 0.5):.2f} s  p99 {np.quantile(taken, 0.99):.2f} s")
    print(f"resident memory: start {resident[0]:.0f} MB, end {resident[-1]:.0f} MB, most {most:.0f} MB; on the way", end=" ")
    print(", ".join(f"{mb:.0f}" for mb in resident[1:]))
    lost = set(tally.drafts) - kept
    print(f"audit: {verdict.entries} entries, {verdict.fault or 'none changed or removed'}; {len(lost)} answered reports missing")
    wrong = {status: n for status, n in tally.statuses.items() if status not in ("200", "429")}
    return 1 if wrong or lost or verdict.fault else 0


if __name__ == "__main__":
    sys.exit(main())
