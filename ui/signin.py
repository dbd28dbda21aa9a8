"""Signing in on the page: a key is pasted once, a cookie that no script can read stands for it afterwards."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from ui.access import ALLOWED, COOKIE, Sessions, token_of
from ui.audit import AuditStore
from ui.keys import KeyFile
from ui.shield import headers_of

__all__ = ["add_sign_in", "plain_page", "sign_in_html"]

TITLE = "ECG assistant"
LABEL = "Key"
BUTTON = "Sign in"
NOTE = "Whoever runs this service hands out keys; yours stands for you in the audit record."
WRONG = "The key is not known here, or it was revoked; check it, or ask whoever runs this service."
DESCRIPTION = "Description of the interface"

_STYLE = """
:root { color-scheme: light dark; --ink: #0f172a; --soft: #475569; --line: #cbd5e1; --back: #fff; --pane: #f1f5f9;
  --warn: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e2e8f0; --soft: #a3b1c6; --line: #475569; --back: #0f172a; --pane: #1e293b;
  --warn: #fca5a5; } }
body { font: 14px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: var(--ink);
  background: var(--back); margin: 0 auto; padding: 20px; max-width: 960px; }
h1 { font-size: 20px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 30px 0 4px; } h3 { font-size: 13px; margin: 14px 0 2px; }
p { margin: 4px 0; } .soft { color: var(--soft); } a { color: inherit; }
code, pre { font: 12px/1.5 ui-monospace, Consolas, monospace; background: var(--pane); border-radius: 3px; }
code { padding: 1px 4px; overflow-wrap: anywhere; } pre { padding: 8px 10px; overflow-x: auto; margin: 4px 0; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: 3px 10px 3px 0;
  border-bottom: 1px solid var(--line); } th { font-weight: 600; }
td:first-child code, td:nth-child(2) { white-space: nowrap; }
.method { display: inline-block; min-width: 42px; font-weight: 650; }
.error { color: var(--warn); }
form { display: grid; gap: 8px; max-width: 360px; margin-top: 16px; }
input, button { font: inherit; padding: 7px 10px; border: 1px solid var(--soft); border-radius: 3px; color: inherit;
  background: var(--back); } button { background: #334155; color: #fff; cursor: pointer; }
.card { max-width: 420px; margin: 12vh auto 0; }
details { margin: 2px 0; } summary { cursor: pointer; }
"""


def plain_page(title: str, body: str) -> str:
    """A whole page without scripts and without anything from elsewhere; ``body`` is HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def sign_in_html(error: str = "") -> str:
    """The page on which a key is pasted."""
    told = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    return plain_page(
        f"{TITLE}: sign in",
        f'<main class="card"><h1>{TITLE}</h1><p class="soft">{NOTE}</p>{told}<form method="post" action="/sign-in">'
        f'<label for="key">{LABEL}</label><input id="key" name="key" type="password" autocomplete="current-password" required '
        f'autofocus><button>{BUTTON}</button></form><p class="soft"><a href="/v1/docs">{DESCRIPTION}</a></p></main>',
    )


def add_sign_in(app: FastAPI, keys: KeyFile, sessions: Sessions, audit: AuditStore) -> None:
    """Adds /sign-in and /sign-out."""

    @app.get("/sign-in", include_in_schema=False)
    async def form() -> HTMLResponse:
        return HTMLResponse(sign_in_html())

    @app.post("/sign-in", include_in_schema=False, response_model=None)
    async def sign_in(request: Request) -> HTMLResponse | RedirectResponse:
        try:
            fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
        except ValueError:  # more fields than the form has
            fields = {}
        actor = await run_in_threadpool(keys.find, fields.get("key", [""])[0].strip())
        if actor is None:
            return HTMLResponse(sign_in_html(WRONG), status_code=401)
        await run_in_threadpool(audit.record, "sign-in", actor)
        # 303: the browser asks for the page with GET, and the key is in no history.
        answer = RedirectResponse("/" if actor.role in ALLOWED["page"] else "/v1/docs", status_code=303)
        answer.set_cookie(
            COOKIE, sessions.open(actor), max_age=int(sessions.lasts_s), path="/", httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    @app.post("/sign-out", include_in_schema=False)
    async def sign_out(request: Request) -> RedirectResponse:
        sessions.close(token_of(headers_of(request.scope)))
        answer = RedirectResponse("/sign-in", status_code=303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer
