"""The page: a recording or a demo in; paper, measurements, findings, draft, similar cases and a chat out.

Gradio is mounted on the service at /. It asks no other host for anything: analytics are off, fonts are the system's,
nothing is shared, and no run is kept in the browser.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.ecg import ECG
from encoders.errors import EcgAssistantError, QueryError, RecordingError
from ui import present, texts
from ui.demo import DEMOS, PREFIX, resolve
from ui.desk import Desk
from ui.uploads import MAX_UPLOAD_BYTES, Upload, recordings_in, stored

if TYPE_CHECKING:
    from assistant import Chat
    from fastapi import FastAPI
    from gradio import Blocks

__all__ = ["Visit", "build", "mount", "read_choice"]

_LOG = logging.getLogger("ecg-assistant")
#: How long a visitor's recording is held in memory after the last use, in seconds.
KEEP_S = 1800
CASES = 8


@dataclass(frozen=True)
class Visit:
    """What one visitor has on the desk: the conversation about the recording shown."""

    chat: Chat


def _age(text: str | None) -> float | None:
    """Years, or None where the field is empty. Raises QueryError for anything else."""
    if not (text or "").strip():
        return None
    try:
        value = float(str(text).replace(",", "."))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 130:
        raise QueryError("The age is no number of years; give 0 to 130, or leave it empty.")
    return value


def read_choice(demo: str | None, files: Sequence[str] | None, age: str | None, sex: str | None) -> tuple[ECG, str]:
    """The recording that a visitor chose, and a title for its paper. Dropped files go before the demo.

    ``files`` are paths where Gradio put the uploads; they are removed as soon as they are read. Raises QueryError or
    RecordingError.
    """
    age_years = _age(age)
    known_sex = sex if sex in ("F", "M") else None
    if not files:
        if not demo:
            raise QueryError(texts.EMPTY)
        title = next(subject.title for subject in DEMOS if PREFIX + subject.name == demo)
        return resolve(demo, age_years=age_years, sex=known_sex), f"{title} (synthesised)"
    paths = [Path(file) for file in files]
    uploads = [Upload(path.name, path.read_bytes()) for path in paths]
    for path in paths:
        path.unlink(missing_ok=True)
    with stored(uploads) as folder:
        found = recordings_in(folder, [upload.name for upload in uploads])
        if len(found) != 1:
            raise RecordingError(f"{len(found)} recordings were dropped; drop one: a table, or a .hea with its signal file.")
        try:
            return resolve(found[0], age_years=age_years, sex=known_sex), ""
        except RecordingError as error:
            raise RecordingError(str(error).replace(f"{folder}/", "")) from None


def build(desk: Desk) -> Blocks:
    """The page as Gradio blocks."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    def analyse(demo: str | None, files: list[str] | None, age: str | None, sex: str | None) -> tuple[Any, ...]:
        try:
            ecg, title = read_choice(demo, files, age, sex)
            document, chat = desk.with_assistant(lambda a: (a.report(ecg, k=CASES).to_json(), a.chat(ecg)))
        except EcgAssistantError as error:
            return _nothing(str(error))
        except Exception as error:
            _LOG.error("unforeseen %s", type(error).__name__)
            return _nothing(texts.UNFORESEEN)
        return (
            present.paper_html(ecg, title),
            present.vitals_html(document),
            present.document_html(document),
            present.findings_html(document),
            present.cases_html(document),
            [],
            Visit(chat),
            None,
        )

    def _nothing(sentence: str) -> tuple[Any, ...]:
        return _empty(), "", present.error_html(sentence), "", "", [], None, None

    def ask(question: str, talk: list[dict[str, Any]], visit: Visit | None) -> tuple[list[dict[str, Any]], str]:
        question = (question or "").strip()
        if not question:
            return talk, ""
        if visit is None:
            reply = texts.ASK_FIRST
        else:
            try:
                reply = desk.with_assistant(lambda _: visit.chat.ask(question)).to_text()
            except EcgAssistantError as error:
                reply = str(error)
            except Exception as error:
                _LOG.error("unforeseen %s", type(error).__name__)
                reply = texts.UNFORESEEN
        # The chat shows HTML even where it shows no Markdown; text must arrive as text.
        said = [{"role": "user", "content": escape(question)}, {"role": "assistant", "content": escape(reply)}]
        return [*talk, *said], ""

    with gr.Blocks(
        title=texts.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, KEEP_S)
    ) as blocks:
        visit = gr.State(None, time_to_live=KEEP_S)
        gr.HTML(present.header_html(), padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=0, min_width=248):
                demo = gr.Radio(
                    [(subject.title, PREFIX + subject.name) for subject in DEMOS], label="Demo recording (synthesised)",
                    value=PREFIX + DEMOS[0].name, elem_id="demo",
                )  # fmt: skip
                files = gr.File(file_count="multiple", label=texts.DROP_LABEL, height=120, elem_id="files")
                with gr.Row():
                    # A text field, for an empty number field of Gradio reads 0, and 0 years would overrule the file.
                    age = gr.Textbox(label="Age", placeholder="as recorded", min_width=80, max_length=5, elem_id="age")
                    sex = gr.Dropdown([("—", ""), ("F", "F"), ("M", "M")], value="", label="Sex", min_width=80, elem_id="sex")
                go = gr.Button(texts.ANALYSE, variant="primary", elem_id="analyse")
            with gr.Column(scale=1, min_width=480):
                paper = gr.HTML(_empty(), elem_id="paper", padding=False)
                vitals = gr.HTML("", elem_id="vitals", padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300):
                document = gr.HTML("", elem_id="draft", elem_classes="ea-pane", padding=False)
            with gr.Column(scale=5, min_width=300):
                findings = gr.HTML("", elem_id="findings", elem_classes="ea-pane", padding=False)
                cases = gr.HTML("", elem_id="cases", elem_classes="ea-pane", padding=False)
            with gr.Column(scale=4, min_width=280):
                talk = gr.Chatbot(
                    label="Questions about this recording", height=380, placeholder=texts.CHAT_EMPTY, render_markdown=False,
                    feedback_options=None, buttons=[], elem_id="talk", layout="bubble",
                )  # fmt: skip
                with gr.Row():
                    question = gr.Textbox(
                        placeholder=texts.ASK_PLACEHOLDER, show_label=False, container=False, scale=1, elem_id="question",
                        max_length=2000,
                    )  # fmt: skip
                    send = gr.Button("Ask", scale=0, min_width=60, elem_id="send")
                gr.Examples([[text] for text in texts.QUESTIONS], inputs=[question], label="For example")
        quiet = {"api_visibility": "private"}
        go.click(
            analyse, [demo, files, age, sex], [paper, vitals, document, findings, cases, talk, visit, files],
            show_progress="minimal", show_progress_on=[paper], **quiet,
        )  # fmt: skip
        for event in (question.submit, send.click):
            event(ask, [question, talk, visit], [talk, question], show_progress="minimal", show_progress_on=[talk], **quiet)
    return blocks


def _empty() -> str:
    return f'<div class="ea-empty">{texts.EMPTY}</div>'


def mount(app: FastAPI, desk: Desk) -> None:
    """Mounts the page at / of the service; routes that the service has already go before it."""
    import gradio as gr

    fonts = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    theme = gr.themes.Base(
        primary_hue="slate", neutral_hue="slate", text_size="sm", spacing_size="sm", radius_size="sm",
        font=fonts, font_mono=["ui-monospace", "Consolas", "monospace"],
    )  # fmt: skip
    gr.mount_gradio_app(
        app, build(desk), path="/", theme=theme, css_paths=Path(__file__).with_name("page.css"), footer_links=[], run_history=False,
        show_error=False, max_file_size=MAX_UPLOAD_BYTES, ssr_mode=False, mcp_server=False, enable_monitoring=False, pwa=False,
    )  # fmt: skip
