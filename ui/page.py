"""The page, mounted on the service at /.

It asks no other host for anything: analytics are off, fonts are the system's, scripts and styles are our own and stand in the
page, nothing is shared, and no run is kept in the browser.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ui import texts
from ui.uploads import MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks

    from ui.desk import Desk

__all__ = ["build", "mount"]

_SCRIPTS = ("page.js", "calipers.js")


def build(desk: Desk, sign_out: bool = False) -> Blocks:
    """The page as Gradio blocks; ``sign_out``: with a button that ends the session."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported for the first time
    from ui.board import board

    return board(desk, sign_out)


def mount(app: FastAPI, desk: Desk, sign_out: bool = False) -> None:
    """Mounts the page at / of the service; routes that the service has already go before it."""
    blocks = build(desk, sign_out)
    import gradio as gr

    fonts = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    theme = gr.themes.Base(
        primary_hue="slate", neutral_hue="slate", text_size="sm", spacing_size="sm", radius_size="sm",
        font=fonts, font_mono=["ui-monospace", "Consolas", "monospace"],
    )  # fmt: skip
    here = Path(__file__)
    # The texts are our own; "<" could end the script early all the same.
    words = json.dumps(texts.SCRIPTED, ensure_ascii=True).replace("<", "\\u003c")
    parts = [f"window.eaTexts = {words};", *(here.with_name(name).read_text(encoding="utf-8") for name in _SCRIPTS)]
    scripts = "".join(f"<script>{part}</script>" for part in parts)
    gr.mount_gradio_app(
        app, blocks, path="/", theme=theme, css_paths=here.with_name("page.css"), head=scripts, footer_links=[],
        run_history=False, show_error=False, max_file_size=MAX_UPLOAD_BYTES, ssr_mode=False, mcp_server=False,
        enable_monitoring=False, pwa=False,
    )  # fmt: skip
