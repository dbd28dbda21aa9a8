"""What a request of the service says of a recording, and the recordings that it holds; nothing that is sent goes unheeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import File, Form, Request, UploadFile
from fastapi.routing import APIRoute

from encoders.ecg import ECG
from encoders.errors import InputError, QueryError
from encoders.leadsets import with_limb_leads
from encoders.patient import hashed
from ui.demo import PREFIX, resolve
from ui.leadwords import chosen_leads, named_leads
from ui.uploads import Upload, nameless, recordings_in, stored

__all__ = [
    "MOST_CASES", "About", "Demo", "Files", "Similar", "about_of", "check_heeded", "known_parameters", "read_recordings",
    "uploads_of",
]  # fmt: skip

MOST_CASES = 1000
#: Fields that may come several times, and how a form may be sent.
_SEVERAL = ("files", "demo")
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


@dataclass(frozen=True)
class About:
    """What the form says of a recording."""

    age_years: float | None
    sex: str | None
    fs_hz: float | None
    unit: str | None
    patient: str | None = None
    lead_names: tuple[str, ...] | None = None
    leads: tuple[str, ...] | None = None


Files = Annotated[
    list[UploadFile] | None,
    File(
        description="The recording: WFDB (.hea with its .dat or .mat, two files or more), EDF, DICOM, MUSE XML, Philips XML, HL7"
        " aECG, SCP-ECG, CSV or NumPy; its content decides which."
    ),
]
Demo = Annotated[
    list[str] | None, Form(description="A built-in demo recording instead of files, e.g. af.", examples=[["af"]])
]
Similar = Annotated[int, Form(ge=0, le=MOST_CASES, description="Similar cases to look up.")]
Age = Annotated[float | None, Form(ge=0, le=130, description="Age in years; goes before what the file says.")]
Sex = Annotated[Literal["F", "M", ""] | None, Form(description="F or M; goes before what the file says.")]
Rate = Annotated[float | None, Form(gt=0, le=1e5, description="Sampling rate of a file that does not state it, in Hz.")]
Unit = Annotated[
    Literal["uV", "mV", "V", ""] | None, Form(description="Unit of a file that does not state it: uV, mV or V.")
]
LeadNames = Annotated[
    str | None, Form(max_length=400, description="Lead names, in the file's order, of a file that does not state them: I,II,V2.")
]
Leads = Annotated[str | None, Form(max_length=400, description="Use only these leads: I, or I,II,V2, or limb, or 12.")]
Patient = Annotated[
    str | None, Form(
        max_length=200, description="A key of your own that stands for the patient: cases of the same patient are left out. It is"
        " kept nowhere.",
    ),
]  # fmt: skip


def read_recordings(uploads: Sequence[Upload], demos: Sequence[str], about: About) -> list[ECG]:
    """The recordings of one request: demos first, then files in their order. Nothing stays on disk.

    Raises RecordingError or QueryError; their sentences never hold the temporary folder.
    """
    ecgs = [
        resolve(PREFIX + demo_name.removeprefix(PREFIX), age_years=about.age_years, sex=about.sex) for demo_name in demos
    ]
    if uploads:
        with stored(uploads) as folder:
            try:
                for path in nameless(folder, recordings_in(folder, [upload.name for upload in uploads])):
                    ecgs.append(resolve(
                        path, fs_hz=about.fs_hz, unit=about.unit, lead_names=about.lead_names, age_years=about.age_years,
                        sex=about.sex,
                    ))  # fmt: skip
            except InputError as error:
                raise type(error)(str(error).replace(f"{folder}/", "").replace(str(folder), "the upload")) from None
    if about.leads is not None:
        ecgs = [ecg.select(about.leads) for ecg in ecgs]
    # As the assistant reads them, so that one recording has one hash in reports, answers and audit.
    return [replace(with_limb_leads(ecg), patient=hashed(about.patient) or ecg.patient) for ecg in ecgs]


async def about_of(
    request: Request, age: Age = None, sex: Sex = None, fs_hz: Rate = None, unit: Unit = None, patient: Patient = None,
    lead_names: LeadNames = None, leads: Leads = None,
) -> About:  # fmt: skip
    """What the form says of the recording; 422 for anything but a form, for a field that the route does not have, and for one
    that came twice where one counts."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind not in _FORMS:
        raise QueryError(f"The body is sent as {kind[:60]!r}; send a form, as multipart/form-data.")
    known = request.scope["route"].body_field.field_info.annotation.model_fields
    _check_names("field", [name for name, _ in (await request.form()).multi_items()], known)
    return About(
        age, sex or None, fs_hz, unit or None, patient, named_leads(lead_names) if lead_names else None,
        chosen_leads(leads) if leads else None,
    )  # fmt: skip


def known_parameters(request: Request) -> None:
    """422 for a parameter of the address that the route does not have, or that came twice."""
    route = request.scope["route"]
    if isinstance(route, APIRoute) and route.include_in_schema:
        sent = [name for name, _ in request.query_params.multi_items()]
        _check_names("parameter", sent, [field.alias for field in route.dependant.query_params])


def _check_names(what: str, sent: Sequence[str], known: Collection[str]) -> None:
    """Raises QueryError for a name that is not known, or that came twice where one counts."""
    for name, times in Counter(sent).items():
        if name not in known:
            allowed = f"the {what}s are {', '.join(sorted(known))}" if known else "there is none; fields go into the form"
            raise QueryError(f"There is no {what} {name[:100]!r} here; {allowed}.")
        if times > 1 and name not in _SEVERAL:
            raise QueryError(f"The {what} {name!r} came {times} times; send it once.")


def check_heeded(about: About, *, files: bool, recordings: bool) -> None:
    """Raises QueryError where the form tells something of a file or a recording, and none was sent."""
    of_file = {"fs_hz": about.fs_hz, "unit": about.unit, "lead_names": about.lead_names}
    of_any = {"age": about.age_years, "sex": about.sex, "leads": about.leads}
    for told, there, what in ((of_file, files, "file"), (of_any, recordings, "recording")):
        given = [name for name, value in told.items() if value is not None]
        if given and not there:
            raise QueryError(f"The request tells {' and '.join(given)} of a {what}, but holds none; send it, or leave that out.")


async def uploads_of(files: Sequence[UploadFile] | None) -> list[Upload]:
    """What was sent, read into memory; empty fields are left out."""
    return [Upload(file.filename or "", await file.read()) for file in files or () if file.filename or file.size]
