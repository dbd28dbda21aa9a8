"""Questions in the style of ECG-QA (Oh et al. 2023): what is asked, what is known, and the answer in its own strings."""

__all__: list[str] = []
