"""The table of knobs in ``docs/settings.md``, read from the comments of ``settings.py``."""

import ast
from dataclasses import dataclass
from pathlib import Path

SETTINGS_FILE = Path(__file__).resolve().parent / "settings.py"
TABLE_FILE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
HEADING = """# Settings

Each is an environment variable, or a line in `.env` beside `manage.py`. A value of the wrong kind,
or out of range, stops the server at start with the variable's name and the mend.

This page is made from the comments of `quantumedge/settings.py` by `manage.py export_settings`.
"""


@dataclass(frozen=True)
class Knob:
    """One environment variable that the settings read."""

    name: str
    kind: str
    default: str
    meaning: str


def read_knobs(source: str) -> dict[str, list[Knob]]:
    """The knobs of a settings file, by the ``# -- `` heading above them, in their order."""
    lines = source.splitlines()
    sections: dict[str, list[Knob]] = {}
    for statement in ast.parse(source).body:
        for call in _env_calls(statement):
            knob = _knob(call, _comment_above(lines, call.lineno))
            known = [one.name for section in sections.values() for one in section]
            if knob.name not in known:
                sections.setdefault(_heading_above(lines, call.lineno), []).append(knob)
    return sections


def table(sections: dict[str, list[Knob]]) -> str:
    """The page as Markdown."""
    parts = [HEADING]
    for heading, knobs in sections.items():
        parts.append(f"## {heading}\n\n| Variable | Kind | Default | |\n|---|---|---|---|")
        parts += [f"| `{k.name}` | {k.kind} | {k.default} | {k.meaning} |" for k in knobs]
        parts.append("")
    return "\n".join(parts)


def _env_calls(statement: ast.stmt) -> list[ast.Call]:
    """Every ``env.KIND("NAME", …)`` in a statement, in the order of the source."""
    if isinstance(statement, ast.FunctionDef):
        return []
    calls = [
        node
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "env"
    ]
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def _knob(call: ast.Call, meaning: str) -> Knob:
    name = ast.literal_eval(call.args[0])
    assert isinstance(call.func, ast.Attribute)  # noqa: S101 - _env_calls chose it
    default = next((word.value for word in call.keywords if word.arg == "default"), None)
    kinds = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    kinds |= {"list": "comma-separated", "db_url": "URL"}
    return Knob(name, kinds.get(call.func.attr, call.func.attr), _words(default), meaning)


def _words(default: ast.expr | None) -> str:
    """A default as the reader of a table wants it; one that is computed is told by the meaning."""
    if not isinstance(default, ast.Constant | ast.List):
        return ""
    value = ast.literal_eval(default)
    if isinstance(value, list):
        value = ",".join(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`" if value not in ("", None) else "unset"


def _comment_above(lines: list[str], number: int) -> str:
    """The comment above a line (counted from 1) and above the lines that it follows on, joined."""
    found: list[str] = []
    for line in reversed(lines[: number - 1]):
        text = line.strip()
        if text.startswith("# ") and not text.startswith("# --"):
            found.insert(0, text.removeprefix("# "))
        elif found or not text:
            break
    return " ".join(found)


def _heading_above(lines: list[str], number: int) -> str:
    for line in reversed(lines[: number - 1]):
        if line.startswith("# -- "):
            return line.removeprefix("# -- ")
    return "General"
