"""The one exception tree.

    EcgAssistantError
    ├── InputError            what a user handed in is outside the contract (exit code 2, HTTP 4xx)
    │   ├── RecordingError    a recording that cannot be read, or lies outside the intended use
    │   ├── QueryError        a condition, option or question that cannot be understood
    │   └── MissingExtraError an optional package is needed; the message holds the install line
    └── ArtefactError         weights, library or calibration missing, damaged or made for another encoder

Every message is one sentence that says what was seen, what is allowed and what to do. No message may hold
a patient's name or identifier.
"""

__all__ = [
    "ArtefactError",
    "EcgAssistantError",
    "InputError",
    "MissingExtraError",
    "QueryError",
    "RecordingError",
]


class EcgAssistantError(Exception):
    """Base of every error this project raises on purpose."""


class InputError(EcgAssistantError):
    """The input is outside the contract; the user can mend it."""


class RecordingError(InputError):
    """A recording that cannot be read or that lies outside what is accepted."""


class QueryError(InputError):
    """A condition, an option or a question that cannot be understood."""


class MissingExtraError(InputError):
    """An optional dependency is not installed."""


class ArtefactError(EcgAssistantError):
    """An artefact (weights, library, calibration) is missing, damaged or does not fit the encoder."""
