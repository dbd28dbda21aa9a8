"""A new question answered from somebody's own recordings: trained, calibrated and measured between patients, with a card.

Everything is used for everything, but never for itself: five folds of patients give every recording a prediction from a
model that saw neither it nor its patient; figures, calibration and intervals come from those, and the head that is kept is
then fitted on all.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.adapt_data import TASKS, Examples, embed
from encoders.adapt_fit import FOLDS, Linear, cross_calibrated, curve, fit_linear, half_width, out_of_fold, patient_folds
from encoders.adapt_scores import BAR, BOOTSTRAPS, binary_figures, group_figures, regression_figures, shortfall
from encoders.errors import QueryError
from encoders.heads import Head, check_name
from encoders.leadsets import lead_set

if TYPE_CHECKING:
    from encoders.encode import Encoder
    from encoders.lora import Adapters, LoraConfig

__all__ = ["LEAST_PATIENTS", "METHODS", "adapt", "card_text", "trainable"]

METHODS = ("linear", "lora")
#: Patients of each class (or, for a regression, twice as many in all) below which nothing is trained.
LEAST_PATIENTS = 10


def _too_few(label: str, values: NDArray[np.float64], patients: NDArray[np.int64], task: str) -> str:
    known = ~np.isnan(values)
    people = len(np.unique(patients[known]))
    if task == "regression":
        if people < 2 * LEAST_PATIENTS:
            return f"{label} is known of {people} patients; at least {2 * LEAST_PATIENTS} are needed to train."
        return "" if np.ptp(values[known]) > 0 else f"{label} is the same in every recording; there is nothing to learn."
    with_it = len(np.unique(patients[known & (values > 0)]))
    for count, kind in ((with_it, "with"), (people - with_it, "without")):
        if count < LEAST_PATIENTS:
            return f"{label} has {count} patients {kind} it; at least {LEAST_PATIENTS} with it and as many without are needed."
    return ""


def trainable(examples: Examples, task: str) -> tuple[Examples, tuple[str, ...]]:
    """The examples with the labels that can be trained, and a sentence on each that cannot.

    Raises QueryError where none can.
    """
    why = [_too_few(label, examples.values[:, i], examples.patients, task) for i, label in enumerate(examples.labels)]
    good = [i for i, reason in enumerate(why) if not reason]
    left = tuple(reason for reason in why if reason)
    if not good:
        more = f", and {len(left) - 1} more labels have too few" if len(left) > 1 else ""
        raise QueryError(f"{left[0][:-1]}{more}; label more patients.")
    kept = Examples(
        tuple(examples.labels[i] for i in good), examples.lead_set, examples.signals, examples.values[:, good], examples.patients,
        examples.patients_given, examples.ages, examples.sexes, examples.left_out,
    )  # fmt: skip
    return kept.take(np.flatnonzero(~np.isnan(kept.values).all(axis=1))), left


def adapt(
    encoder: Encoder,
    examples: Examples,
    *,
    name: str,
    task: str,
    method: str = "linear",
    lora: LoraConfig | None = None,
    kept: Path | None = None,
    command: str = "",
    note: str = "",
    seed: int = 0,
) -> Head:
    """Trains, calibrates and measures a head; nothing is written but embeddings to ``kept`` (``encoders.adapt_data.embed``).

    ``task``: binary, multilabel or regression; ``method``: linear (on the frozen embedding) or lora (the encoder's layers, too).
    ``note`` goes into the card. The card says whether each label clears the bar; a head below it refuses to answer.

    Raises QueryError where an option is unknown or there are too few patients.
    """
    check_name(name)
    for value, known in ((task, TASKS), (method, METHODS)):
        if value not in known:
            raise QueryError(f"{value!r} is not known here; choose one of {', '.join(known)}.")
    examples, untrained = trainable(examples, task)
    binary = task != "regression"
    values, patients = examples.values, examples.patients
    features = embed(encoder, examples.signals, kept)
    folds = patient_folds(patients, values, FOLDS, seed)
    epochs: list[int] = []
    adapters: Adapters = {}
    with tqdm(total=FOLDS + 1, desc="fitting", unit="fold", disable=None) as bar:
        if method == "linear":

            def fit(rows: NDArray[np.int64]) -> Any:
                found = fit_linear(features[rows], values[rows], patients[rows], binary=binary, seed=seed)
                bar.update()
                return lambda unseen: found.scores(features[unseen])

            scores = out_of_fold(fit, folds, values.shape[1])
            final = fit_linear(features, values, patients, binary=binary, seed=seed)
        else:
            from encoders.lora import embeddings_of, fit_lora, merged

            def fit(rows: NDArray[np.int64]) -> Any:
                found = fit_lora(
                    encoder.network, examples.signals[rows], values[rows], patients[rows], features[rows],
                    binary=binary, config=lora,
                )  # fmt: skip
                epochs.append(found.epochs)
                bar.update()
                network = merged(encoder.network, found.adapters)
                return lambda unseen: found.head.scores(embeddings_of(network, examples.signals[unseen]))

            scores = out_of_fold(fit, folds, values.shape[1])
            whole = fit_lora(
                encoder.network, examples.signals, values, patients, features, binary=binary, config=lora,
                epochs=round(float(np.median(epochs))),
            )  # fmt: skip
            adapters, final = whole.adapters, whole.head
        bar.update()
    return _measured(
        examples, scores, folds, final, adapters,
        {
            "name": name, "task": task, "method": method, "labels": list(examples.labels), "leads": examples.lead_set,
            "encoder": encoder.hash, "date": datetime.now(UTC).isoformat(timespec="seconds"), "program": _program(),
            "command": command, "note": note, "seed": seed, "strengths": list(final.strengths), "epochs_per_fold": epochs,
            "labels_not_trained": list(untrained),
        },
    )  # fmt: skip


def _program() -> str:
    try:
        return version("ecg-assistant")
    except PackageNotFoundError:
        return "0"


def _measured(
    examples: Examples, scores: NDArray[np.float64], folds: NDArray[np.int64], final: Linear, adapters: Adapters,
    card: dict[str, Any],
) -> Head:
    """The head with curves, widths and the figures of its card, all from predictions on unseen patients."""
    task, binary = str(card["task"]), card["task"] != "regression"
    slope, offset, widths = np.ones(len(examples.labels)), np.zeros(len(examples.labels)), np.zeros(len(examples.labels))
    figures, groups = {}, {}
    for i, label in enumerate(examples.labels):
        rows = np.flatnonzero(~np.isnan(examples.values[:, i]))
        z, y, who = scores[rows, i], examples.values[rows, i], examples.patients[rows]
        honest = cross_calibrated(z, y, folds[rows], binary=binary)
        sexes = tuple(examples.sexes[int(r)] for r in rows)
        if binary:
            slope[i], offset[i] = curve(z, y)
            figures[label] = binary_figures(y, honest, who)
        else:
            widths[i] = half_width(y - z)
            figures[label] = {**regression_figures(y, z, honest, who), "half_width": round(float(widths[i]), 4)}
        groups[label] = group_figures(y, honest if binary else z, examples.ages[rows], sexes, binary=binary)
    verdict = {label: shortfall(task, figures[label]) or "cleared" for label in examples.labels}
    card |= {
        "data": _data(examples), "figures": figures, "by_group": groups, "verdict": verdict, "bar": vars(BAR),
        "measured": (
            f"{FOLDS} folds of patients; every figure is of recordings whose patient the scoring model had not seen; "
            f"calibration and intervals of each fold come from the other folds; 95 % intervals from {BOOTSTRAPS} resamplings of "
            "patients, predictions kept."
        ),
        "limits": _limits(examples),
    }  # fmt: skip
    return Head(card, final, slope, offset, widths, adapters)


def _data(examples: Examples) -> dict[str, Any]:
    ages = examples.ages[~np.isnan(examples.ages)]
    spread = dict(zip(("least", "median", "most"), np.quantile(ages, (0, 0.5, 1)).tolist(), strict=True)) if len(ages) else None
    return {
        "recordings": len(examples), "patients": len(np.unique(examples.patients)), "patients_given": examples.patients_given,
        "left_out": len(examples.left_out),
        "age_years": spread, "age_unknown": int(np.isnan(examples.ages).sum()),
        "sex": {sex or "unknown": examples.sexes.count(sex) for sex in ("F", "M", "")},
    }  # fmt: skip


def _limits(examples: Examples) -> list[str]:
    out = [
        "Research only: it must not be used for diagnosis, treatment, triage or any decision about a patient.",
        "The figures hold for recordings like those it learned from (same devices, same kind of patients, labels made the "
        "same way), and for nothing else.",
        f"It reads {lead_set(examples.lead_set).words} of a resting recording, the first 10 s at 100 Hz.",
        "Intervals leave out that another sample of training patients would have given another head.",
    ]
    if not examples.patients_given:
        out.append("No column told the patients apart: each recording counts as one; where some share one, figures flatter.")
    if np.isnan(examples.ages).all() or not any(examples.sexes):
        out.append("Age or sex of those it learned from is not known, so nobody can tell for whom it is worse.")
    return out


# The card in words ----------------------------------------------------------------------------------------------------


def _shown(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "not measurable"
    interval = figure["interval"]
    return f"{figure['value']:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def card_text(card: Mapping[str, Any]) -> str:
    """The card as plain text of at most 100 columns."""
    data, binary = card["data"], card["task"] != "regression"
    people = f"{data['patients']} patients" if data["patients_given"] else "patients not told apart"
    method = "linear head on the frozen encoder" if card["method"] == "linear" else "low-rank adapters in the encoder, and a head"
    out = [
        f"Head {card['name']}: {card['task']}, {method}; research only",
        f"- leads: {lead_set(card['leads']).words}; {data['recordings']} recordings, {people}, {data['left_out']} left out",
        f"- made {card['date']} with encoder {card['encoder'][:12]}, ecg-assistant {card['program']}: {card['command']}",
    ]
    if card["note"]:
        out.append(f"- {card['note']}")
    for label in card["labels"]:
        figures = card["figures"][label]
        if binary:
            counts = f"{figures['positive_patients']} patients with, {figures['negative_patients']} without"
            names = {"AUROC": "auroc", "AUPRC": "auprc", "calibration error": "ece", "Brier": "brier"}
        else:
            counts = f"{figures['patients']} patients; error of always saying the mean {figures['mae_of_mean']:.3g}"
            names = {"MAE": "mae", "R²": "r2", "90 % interval holds": "coverage"}
        out += ["", f"{label} ({counts})", "- " + "; ".join(f"{name} {_shown(figures[key])}" for name, key in names.items())]
        groups = card["by_group"][label]
        if groups:
            kind = "auroc" if binary else "mae"
            told = "; ".join(f"{name} {group[kind]:.3f} ({group['recordings']})" for name, group in groups.items())
            out.append(f"- {'AUROC' if binary else 'MAE'} by group: {told}")
        short = shortfall(card["task"], figures)
        out.append(f"- refuses to answer: {short}" if short else "- clears the bar: answers in reports that ask for it")
    out += ["", *(f"Not trained: {reason}" for reason in card["labels_not_trained"]), f"Measured: {card['measured']}"]
    out += [f"Limit: {limit}" for limit in card["limits"]]
    return "\n".join("\n".join(textwrap.wrap(line, 100, subsequent_indent="  ")) if line else "" for line in out)
