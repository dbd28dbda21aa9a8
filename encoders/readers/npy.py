"""NumPy arrays: .npy and .npz, by this contract.

.npy: one array of numbers, (leads, samples) or (samples, leads), in mV unless ``unit`` says otherwise. It names nothing, so
the sampling rate must be given (``--fs HZ``), and the lead names too (``--lead-names I,II,…``). For twelve rows the names may
be left out and are then *assumed* to be I, II, III, aVR, aVL, aVF, V1 … V6 in this order; arrays of another order or with fewer
rows must have theirs named.

.npz: an archive with the arrays ``signal_mv`` (shape as above, in mV), ``fs_hz`` (one number) and ``leads`` (text, one per row);
``age_years`` (one number) and ``sex`` ("F", "M") may be there. Other arrays are passed over unread.

Samples that were not recorded are NaN. Objects are never unpickled; sizes are checked before any sample is read.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from encoders.ecg import ECG, STANDARD_LEADS
from encoders.errors import RecordingError
from encoders.readers.border import MAX_SAMPLES, check_size, file_bytes, known_age, sex_letter
from encoders.readers.leads import MV_PER_UNIT, check_duration, finish, given_unit, lead_name, settled_rate

__all__ = ["is_npy", "read_npy"]

_MAGIC = b"\x93NUMPY"
_MAX_LEADS = 64
_MAX_MEMBERS = 1000
#: NumPy keeps text as numbers of 32 bits, of which only the code points of Unicode can become text.
_LAST_CHARACTER = 0x10FFFF


def is_npy(head: bytes) -> bool:
    """True where a file's first bytes are a NumPy array or a ZIP archive whose first member is one."""
    if head.startswith(_MAGIC):
        return True
    # ZIP local file header (APPNOTE 4.3.7): the name's length stands at byte 26, the name at byte 30.
    return head.startswith(b"PK\x03\x04") and head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy")


def read_npy(
    path: Path,
    *,
    fs_hz: float | None = None,
    unit: str | None = None,
    leads: Sequence[str] | None = None,
    age_years: float | None = None,
    sex: str | None = None,
) -> ECG:
    """One .npy or .npz file as an ``ECG`` in mV; the module's docstring is the contract.

    ``fs_hz`` in Hz and ``leads`` are for .npy, which cannot say them; an .npz says them itself. Raises RecordingError, in one
    sentence, for anything outside the contract.
    """
    label = path.stem
    raw = file_bytes(path, label)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if raw.startswith(_MAGIC):
                signal = _array(io.BytesIO(raw), label, "biuf")
                stated: dict[str, NDArray[Any]] = {}
            else:
                stated = _archive(raw, label)
                if "signal_mv" not in stated:
                    raise RecordingError(f"{label} holds no array signal_mv; an .npz needs signal_mv, fs_hz and leads.")
                signal = stated["signal_mv"]
    except RecordingError:
        raise
    except Exception as error:  # zipfile, zlib and numpy trip over damage with errors of many types
        raise RecordingError(f"{label} is a damaged NumPy file; save the array again.") from error
    return _recording(signal, stated, label, fs_hz=fs_hz, unit=unit, leads=leads, age_years=age_years, sex=sex)


def _recording(
    signal: NDArray[Any],
    stated: dict[str, NDArray[Any]],
    label: str,
    *,
    fs_hz: float | None,
    unit: str | None,
    leads: Sequence[str] | None,
    age_years: float | None,
    sex: str | None,
) -> ECG:
    rate = settled_rate(_one_number(stated, "fs_hz", label), fs_hz, label, 1e-6)
    given = given_unit(unit)
    if stated and unit is not None and given != "mV":
        raise RecordingError(f"{label} states mV (signal_mv), but {unit} was given; leave the unit out.")
    if not stated and unit is None and signal.dtype.kind != "f":
        raise RecordingError(f"{label} holds whole numbers, which may be in any unit; give the unit (mV, uV or V).")
    rows, names = _rows(signal, stated, leads, label)
    check_duration(rows.shape[1] / rate, label)
    named = [lead_name(name, i) for i, name in enumerate(names)]
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = rows.astype(np.float64) * np.array([sign for _, sign in named])[:, None] * MV_PER_UNIT[given or "mV"]
    found_sex = str(stated["sex"].ravel()[0]) if "sex" in stated and stated["sex"].size else None
    return finish(
        scaled,
        [name for name, _ in named],
        rate,
        label=label,
        source="numpy",
        age_years=known_age(_one_number(stated, "age_years", label)) if age_years is None else age_years,
        sex=sex_letter(found_sex) if sex is None else sex,
    )


def _rows(
    signal: NDArray[Any], stated: dict[str, NDArray[Any]], leads: Sequence[str] | None, label: str
) -> tuple[NDArray[Any], list[str]]:
    """The samples as (leads, samples), and the leads' names."""
    if signal.ndim == 1:
        signal = signal[None]
    if signal.ndim != 2:
        raise RecordingError(f"{label} has {signal.ndim} dimensions; it must be (leads, samples) or (samples, leads).")
    names = [str(name) for name in stated["leads"].ravel()] if "leads" in stated else list(leads or ())
    short, shape = min(signal.shape), f"{signal.shape[0]} x {signal.shape[1]}"
    if short > _MAX_LEADS:
        raise RecordingError(f"{label} has the shape {shape}; up to {_MAX_LEADS} leads are accepted.")
    if not names and short == len(STANDARD_LEADS):
        names = list(STANDARD_LEADS)
    if not names:
        raise RecordingError(f"{label} does not name its {short} leads; give their names in its order, such as I,II.")
    if signal.shape[0] == signal.shape[1] or len(names) not in signal.shape:
        raise RecordingError(
            f"{label} has the shape {shape} for {len(names)} lead names; one name per lead is needed."
        )
    return (signal if signal.shape[0] == len(names) else signal.T), names


def _one_number(stated: dict[str, NDArray[Any]], key: str, label: str) -> float | None:
    if key not in stated:
        return None
    values = stated[key].ravel()
    if values.size != 1 or values.dtype.kind not in "biuf":
        raise RecordingError(f"{label} holds {values.size} values for {key}; it must be one number.")
    number = float(values[0])
    return None if np.isnan(number) else number


def _archive(raw: bytes, label: str) -> dict[str, NDArray[Any]]:
    """The arrays of the contract out of an .npz."""
    if raw.count(b"PK\x01\x02") > _MAX_MEMBERS:  # each would take memory before its name is known
        raise RecordingError(f"{label} is an archive of over {_MAX_MEMBERS} members; an .npz with one recording has a few.")
    kinds = {"signal_mv": "biuf", "fs_hz": "biuf", "leads": "US", "age_years": "biuf", "sex": "US"}
    found: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        names = set(archive.namelist())
        for key, kind in kinds.items():
            if f"{key}.npy" in names:
                with archive.open(f"{key}.npy") as stream:
                    found[key] = _array(stream, label, kind)
    if "leads" in found and found["leads"].dtype.kind == "S":
        found["leads"] = np.char.decode(found["leads"], "latin-1")
    if "sex" in found and found["sex"].dtype.kind == "S":
        found["sex"] = np.char.decode(found["sex"], "latin-1")
    return found


def _array(stream: IO[bytes], label: str, kinds: str) -> NDArray[Any]:
    """One array, its type and shape checked before its values are read; never an object."""
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read_header is None:
        raise RecordingError(f"{label} is a NumPy file of a version that is not known; save the array again.")
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject or dtype.kind not in kinds:
        raise RecordingError(
            f"{label} holds values of type {dtype.kind!r} where {'text' if 'U' in kinds else 'numbers'} must stand; objects are "
            "never read: save plain arrays."
        )
    if len(shape) > 2 or min(shape, default=1) < 0:
        raise RecordingError(f"{label} holds an array of {len(shape)} dimensions; at most two are accepted, leads and samples.")
    check_size(1, max(prod(shape), 1), label)
    size = prod(shape) * dtype.itemsize
    if size > 8 * MAX_SAMPLES:
        raise RecordingError(f"{label} announces {size / 1e6:.0f} MB; up to {8 * MAX_SAMPLES / 1e6:.0f} MB are accepted.")
    content = stream.read(size)
    if len(content) < size:
        raise RecordingError(f"{label} holds {len(content)} of {size} bytes of an array; it is cut off: save it again.")
    points = np.frombuffer(content if dtype.kind == "U" else b"", np.dtype("u4").newbyteorder(dtype.byteorder))
    if (points > _LAST_CHARACTER).any():
        raise RecordingError(f"{label} holds text that is none; it is damaged: save the array again.")
    flat = np.frombuffer(content, dtype) if dtype.itemsize else np.empty(prod(shape), dtype)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
