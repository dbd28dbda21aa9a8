"""Keeps the loading bars of transformers out of a command's output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_loading_bar"]


@contextmanager
def no_loading_bar() -> Iterator[None]:
    """Turns transformers' progress bars off inside, and leaves them as they were afterwards."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
