"""How long a clinician waits: ``python tests/benchmarks/latency.py PTBXL_DIR [--recordings 40] [--threads 2]``.

A report from a file (reading, gate, measuring, encoding, neighbours, writing, checking), an answer within a conversation, and
its first streamed sentence, warm; medians and 95th percentiles in seconds. Recordings are the first of fold 9.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

QUESTIONS = (
    "Is there atrial fibrillation?", "What is the QTc?", "Is the ECG normal?", "What does this ECG show?",
    "Any signs of an old inferior infarction?", "Which conduction disorders are there?", "Is the axis normal?",
    "How sure are you about sinus rhythm?",
)  # fmt: skip


def shown(name: str, seconds: list[float]) -> str:
    """Median and 95th percentile of one kind of wait."""
    ordered = sorted(seconds)
    late = ordered[int(0.95 * (len(ordered) - 1))]
    return f"{name:<28} n={len(ordered):<4} median {statistics.median(ordered):.3f}  p95 {late:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("ptbxl", type=Path)
    parser.add_argument("--recordings", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    from assistant.assistant import Assistant
    from encoders.ptbxl import load_ptbxl

    data = load_ptbxl(args.ptbxl, (9,))
    files = [f"{data.path(int(i))}.hea" for i in data.ids[: args.recordings]]
    assistant = Assistant.load()
    warm = assistant.chat(files[0])
    assistant.report(files[0])
    for question in QUESTIONS:
        warm.ask(question)
    reports, first, answers = [], [], []
    for k, file in enumerate(files):
        began = time.perf_counter()
        assistant.report(file)
        reports.append(time.perf_counter() - began)
        chat = assistant.chat(file)
        for question in QUESTIONS[k % 2 :: 2]:
            began = time.perf_counter()
            stream = chat.stream(question)
            next(stream)
            first.append(time.perf_counter() - began)
            for _ in stream:
                pass
            answers.append(time.perf_counter() - began)
    print(shown("report from a file", reports))
    print(shown("first sentence of an answer", first))
    print(shown("answer", answers))


if __name__ == "__main__":
    main()
