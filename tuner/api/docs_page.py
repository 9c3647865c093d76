"""The OpenAPI description as one HTML page: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid; text-transform: capitalize; }
details { margin: .4rem 0; }
summary { cursor: pointer; padding: .3rem 0; }
summary code { font-weight: 600; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid; border-radius: 4px; }
section { padding-left: 1rem; }
"""


def render(api: dict[str, Any]) -> bytes:
    """The page.

    Args:
        api: The OpenAPI description.
    """
    title = f"{api['info']['title']} {api['info']['version']}"
    groups: dict[str, list[str]] = {}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["other"])[0]
            groups.setdefault(tag, []).append(_operation(method, path, operation))
    parts = [f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in groups.items()]
    schemas = api.get("components", {}).get("schemas", {})
    listed = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<section>{_json(schema)}</section></details>"
        for name, schema in schemas.items()
    )
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(api['info'].get('description', ''))}</p>"
        '<p>As data: <a href="/openapi.json">/openapi.json</a></p>'
        f"{''.join(parts)}<h2>Schemas</h2>{listed}</body></html>"
    )
    return text.encode("utf-8")


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(item['name'])}</code></td><td>{escape(item['in'])}</td>"
        f"<td>{escape(item.get('description', ''))}</td>"
        f"<td><code>{escape(json.dumps(item.get('schema', {})))}</code></td></tr>"
        for item in operation.get("parameters", ())
    ]
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    answers = "".join(
        f"<tr><td>{escape(code)}</td><td>{_answer(answer)}</td></tr>"
        for code, answer in operation.get("responses", {}).items()
    )
    return (
        f'<details id="{escape(operation["operationId"])}"><summary>'
        f'<span class="method">{escape(method.upper())}</span><code>{escape(path)}</code> '
        f"{escape(operation.get('description', '').partition('.')[0])}</summary><section>"
        f"<p>{escape(operation.get('description', ''))}</p>{table}{_body(operation)}"
        f"<table>{answers}</table></section></details>"
    )


def _body(operation: dict[str, Any]) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    media = body["content"]["application/json"]
    example = _json(media["example"]) if "example" in media else ""
    return f"<p>Body: {_link(media['schema'])}</p>{example}"


def _answer(answer: dict[str, Any]) -> str:
    schemas = [_link(media.get("schema", {})) for media in answer.get("content", {}).values()]
    names = ", ".join(sorted(set(filter(None, schemas))))
    text = escape(answer["description"])
    return f"{text} {names}" if names and text not in names else names or text


def _link(schema: dict[str, Any]) -> str:
    name = escape(schema.get("$ref", "").rpartition("/")[2])
    return f'<a href="#{name}">{name}</a>' if name else ""


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
