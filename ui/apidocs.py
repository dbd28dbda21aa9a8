"""The description of the interface as a page to read: made from the OpenAPI document, with nothing from elsewhere."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from ui.access import ALLOWED
from ui.keys import ROLES
from ui.signin import plain_page

__all__ = ["docs_html"]

_WIDTH = 118

#: What the groups of ``access.ALLOWED`` are, in words.
_WHAT = {
    "page": "the page", "reports": "draft reports and see their state", "sign": "sign drafts", "answers": "ask questions",
    "measurements": "measurements", "cases": "similar cases", "audit": "audit entries and rates", "health": "health",
}  # fmt: skip
_START = """<h2>How to begin</h2>
<p>Whoever runs the service makes a key and hands it to you: <code>ecg-assistant keys add "ward 3" --role clinician</code>. It
is shown once. Send it with every request, as <code>Authorization: Bearer KEY</code> or as <code>X-API-Key: KEY</code>. On the
page, sign in with it. A service that runs open on your own machine needs none.</p>
<pre>curl -H "X-API-Key: $KEY" -F files=@recording.hea -F files=@recording.dat http://127.0.0.1:8000/v1/reports
curl -H "X-API-Key: $KEY" -F files=@earlier.xml -F files=@later.xml http://127.0.0.1:8000/v1/reports
curl -H "X-API-Key: $KEY" -F demo=af -F question="What is the QRS duration?" http://127.0.0.1:8000/v1/answers
curl -H "X-API-Key: $KEY" -F text="left bundle branch block" -F where="age&gt;60" http://127.0.0.1:8000/v1/cases/search
curl -H "X-API-Key: $KEY" --json @decisions.json http://127.0.0.1:8000/v1/reports/DRAFT_ID/signature</pre>
<p>Every answer is JSON; every error is <code>{"error": "one sentence"}</code>. After a 429, wait as many seconds as the header
<code>Retry-After</code> says.</p>"""


def docs_html(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document: how to begin, who may do what, and every endpoint with its fields, examples and errors."""
    info = document["info"]
    parts = [
        f"<main><h1>{escape(info['title'])}: the interface</h1><p class=soft>Version {escape(info['version'])}; the same for"
        f' programs: <a href="/v1/openapi.json">/v1/openapi.json</a></p><p>{_words(info["description"])}</p>',
        _START,
        _roles(),
        "<h2>Endpoints</h2><ul>",
    ]
    told = []
    for path, methods in document["paths"].items():
        for method, item in methods.items():
            name = f"{method}{path}".replace("/", "-").strip("-")
            link = f'<a href="#{escape(name)}"><code>{method.upper()} {escape(path)}</code></a>'
            parts.append(f"<li>{link} {escape(item['summary'])}</li>")
            told.append(_endpoint(document, name, method, path, item))
    return plain_page(f"{info['title']}: the interface", "".join([*parts, "</ul>", *told, "</main>"]))


def _roles() -> str:
    head = "".join(f"<th>{role}</th>" for role in ROLES)
    rows = "".join(
        f"<tr><td>{escape(words)}</td>{''.join(f'<td>{_tick(role in ALLOWED[what])}</td>' for role in ROLES)}</tr>"
        for what, words in _WHAT.items()
    )
    return f"<h2>Who may do what</h2><table><tr><th></th>{head}</tr>{rows}</table>"


def _tick(may: bool) -> str:
    return "yes" if may else "no"


def _endpoint(document: dict[str, Any], name: str, method: str, path: str, item: dict[str, Any]) -> str:
    out = [
        f'<section id="{escape(name)}"><h2><span class=method>{method.upper()}</span> <code>{escape(path)}</code></h2>',
        f"<p>{escape(item['summary'])}. {_words(item.get('description', ''))}</p>",
    ]
    rows = [
        _row(field["name"], field["schema"], field.get("required", False), field["in"], field.get("description", ""))
        for field in item.get("parameters", ())
    ]
    for kind, body in item.get("requestBody", {}).get("content", {}).items():
        schema = _resolved(document, body["schema"])
        rows += _fields(document, schema, "JSON" if kind == "application/json" else "form")
        if "examples" in schema:
            out.append(f"<h3>Send</h3>{_json(schema['examples'][0])}")
    if rows:
        out.append(f"<h3>Fields</h3><table><tr><th>name</th><th>where</th><th>what</th></tr>{''.join(rows)}</table>")
    errors = []
    for code, answer in item["responses"].items():
        examples = [content["example"] for content in answer.get("content", {}).values() if "example" in content]
        if code == "200":
            out.append(f"<h3>You get</h3>{''.join(_json(example) for example in examples)}")
        else:
            said = "".join(f"<br><span class=soft>{escape(example['error'])}</span>" for example in examples)
            errors.append(f"<tr><td>{code}</td><td>{escape(answer['description'])}{said}</td></tr>")
    codes = ", ".join(code for code in item["responses"] if code != "200")
    return "".join([*out, f"<details><summary>Errors: {codes}</summary><table>{''.join(errors)}</table></details></section>"])


def _fields(document: dict[str, Any], schema: dict[str, Any], place: str, prefix: str = "") -> list[str]:
    """A row per field of a body; those of the items of a list stand below it."""
    rows, required = [], schema.get("required", ())
    for name, field in schema["properties"].items():
        known = _resolved(document, field)
        rows.append(_row(prefix + name, known, name in required, place))
        items = known.get("items", {})
        if "$ref" in items:
            rows += _fields(document, _resolved(document, items), place, f"{prefix}{name}[].")
    return rows


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}


def _row(name: str, schema: dict[str, Any], required: bool, place: str, text: str = "") -> str:
    must = ", required" if required else ""
    examples = schema.get("examples") or ()
    shown = f" For example <code>{escape(_short(examples[0]))}</code>." if examples else ""
    default = schema.get("default")
    usual = f" If left out: {escape(_short(default))}." if default not in (None, "") else ""
    said = _words(text or schema.get("description", ""))
    return f"<tr><td><code>{escape(name)}</code></td><td>{place}{must}</td><td>{said}{usual}{shown}</td></tr>"


def _words(text: str) -> str:
    """Text with its `code` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)


def _json(value: Any) -> str:
    return f"<pre>{escape(value.strip() if isinstance(value, str) else _pretty(value))}</pre>"


def _pretty(value: Any, indent: int = 0) -> str:
    """JSON in which whatever fits on a line stands on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= _WIDTH or not isinstance(value, dict | list):
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{pad}{json.dumps(key)}: {_pretty(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{' ' * indent}}}"
    return "[\n" + ",\n".join(pad + _pretty(item, indent + 2) for item in value) + f"\n{' ' * indent}]"
