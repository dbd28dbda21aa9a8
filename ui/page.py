"""The page: a recording or a demo in; paper, measurements, findings, draft, similar cases and a chat out.

Gradio is mounted on the service at /. It asks no other host for anything: analytics are off, fonts are the system's,
nothing is shared, and no run is kept in the browser.
"""

from __future__ import annotations

import logging
import os
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
    from fastapi import FastAPI
    from gradio import Blocks

    from assistant import Assistant, Chat

__all__ = ["Choice", "Visit", "build", "mount", "read_choice"]

_LOG = logging.getLogger("ecg-assistant")
#: How long a visitor's recording is held in memory after the last use, in seconds.
KEEP_S = 1800


@dataclass(frozen=True)
class Visit:
    """What one visitor has on the desk: the conversation about the recording shown."""

    chat: Chat


@dataclass(frozen=True)
class Choice:
    """What a visitor filled in: a demo or files, and what they know of them; empty fields are empty strings or None."""

    demo: str | None = None
    files: tuple[str, ...] = ()
    age: str | None = None
    sex: str | None = None
    rate: str | None = None
    unit: str | None = None


def _number(text: str | None, what: str, low: float, high: float) -> float | None:
    """The number in a field, or None where it is empty. Raises QueryError for anything else."""
    if not (text or "").strip():
        return None
    try:
        value = float(str(text).replace(",", "."))
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise QueryError(f"The {what} is not accepted; give a number from {low:g} to {high:g}, or leave it empty.")
    return value


def read_choice(choice: Choice) -> tuple[ECG, str]:
    """The recording that a visitor chose, and a title for its paper. Dropped files go before the demo.

    Files lie where Gradio put the uploads; they are removed as soon as they are read. Raises QueryError or RecordingError.
    """
    paths = [Path(file) for file in choice.files]
    try:
        uploads = [Upload(path.name, path.read_bytes()) for path in paths]
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
    age_years, sex = _number(choice.age, "age", 0, 130), choice.sex or None
    if not uploads:
        if not choice.demo:
            raise QueryError(texts.EMPTY)
        title = next(subject.title for subject in DEMOS if PREFIX + subject.name == choice.demo)
        return resolve(choice.demo, age_years=age_years, sex=sex), f"{title} (synthesised)"
    fs_hz, unit = _number(choice.rate, "sampling rate", 1, 1e5), choice.unit or None
    with stored(uploads) as folder:
        found = recordings_in(folder, [upload.name for upload in uploads])
        if len(found) != 1:
            raise RecordingError(f"{len(found)} recordings were dropped; drop one: a table, or a .hea with its signal file.")
        try:
            return resolve(found[0], fs_hz=fs_hz, unit=unit, age_years=age_years, sex=sex), ""
        except RecordingError as error:
            raise RecordingError(str(error).replace(f"{folder}/", "")) from None


def build(desk: Desk) -> Blocks:
    """The page as Gradio blocks."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    def analyse(demo: str | None, files: list[str] | None, *about: str | None) -> tuple[Any, ...]:
        try:
            ecg, title = read_choice(Choice(demo, tuple(files or ()), *about))
            document, chat = desk.with_assistant(lambda a: _read(a, ecg))
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

    blocks: Blocks = gr.Blocks(title=texts.TITLE, analytics_enabled=False, fill_width=True, delete_cache=(600, KEEP_S))
    with blocks:
        visit = gr.State(None, time_to_live=KEEP_S)
        gr.HTML(present.header_html(), padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=0, min_width=248):
                demo = gr.Radio(
                    [(subject.title, PREFIX + subject.name) for subject in DEMOS], label=texts.DEMO_LABEL,
                    value=PREFIX + DEMOS[0].name, elem_id="demo",
                )  # fmt: skip
                files = gr.File(file_count="multiple", label=texts.DROP_LABEL, height=120, elem_id="files")
                with gr.Row():
                    # A text field, for an empty number field of Gradio reads 0, and 0 years would overrule the file.
                    age = gr.Textbox(label=texts.AGE, placeholder=texts.AS_RECORDED, min_width=80, max_length=5, elem_id="age")
                    sex = gr.Dropdown([("—", ""), ("F", "F"), ("M", "M")], value="", label=texts.SEX, min_width=80, elem_id="sex")
                with gr.Accordion(texts.TABLES, open=False):
                    rate = gr.Textbox(label=texts.RATE, min_width=80, max_length=10, elem_id="rate")
                    unit = gr.Dropdown([("—", ""), "mV", "uV", "V"], value="", label=texts.UNIT, min_width=80, elem_id="unit")
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
                    label=texts.CHAT_LABEL, height=380, placeholder=texts.CHAT_EMPTY, render_markdown=False,
                    feedback_options=None, buttons=[], elem_id="talk", layout="bubble",
                )  # fmt: skip
                with gr.Row():
                    question = gr.Textbox(
                        placeholder=texts.ASK_PLACEHOLDER, show_label=False, container=False, scale=1, elem_id="question",
                        max_length=2000,
                    )  # fmt: skip
                    send = gr.Button(texts.ASK, scale=0, min_width=60, elem_id="send")
                gr.Examples([[text] for text in texts.QUESTIONS], inputs=[question], label=texts.FOR_EXAMPLE)
        go.click(
            analyse, [demo, files, age, sex, rate, unit], [paper, vitals, document, findings, cases, talk, visit, files],
            show_progress="full", show_progress_on=[paper, document, findings],
            api_visibility="private",
        )  # fmt: skip
        for event in (question.submit, send.click):
            event(
                ask, [question, talk, visit], [talk, question], show_progress="minimal", show_progress_on=[talk],
                api_visibility="private",
            )  # fmt: skip
    return blocks


def _read(assistant: Assistant, ecg: ECG) -> tuple[dict[str, Any], Chat]:
    """The document and a conversation from one reading of the recording."""
    chat = assistant.chat(ecg)
    return assistant.report_of(chat.readings[0]).to_json(), chat


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
        app, build(desk), path="/", theme=theme, css_paths=Path(__file__).with_name("page.css"), footer_links=[],
        run_history=False, show_error=False, max_file_size=MAX_UPLOAD_BYTES, ssr_mode=False, mcp_server=False,
        enable_monitoring=False, pwa=False,
    )  # fmt: skip
