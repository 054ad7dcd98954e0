"""Tables of the admin's detail pages, and cells of its lists."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from optimization.presentation import Row, document_rows


def rows_table(rows: Sequence[Row], name: str, value: str) -> SafeString:
    """Rows under two headings, with a bar where a row has a share."""
    context = {"rows": rows, "name": name, "value": value}
    return render_to_string("admin/optimization/table.html", context)


def document_table(document: Mapping[str, Any]) -> SafeString:
    """The fields of a JSON document."""
    return rows_table(document_rows(document), "Field", "Value")


def sentence_list(sentences: Sequence[str]) -> SafeString:
    """What holds an optimum back, or that nothing does."""
    return render_to_string("admin/optimization/sentences.html", {"sentences": sentences})


def two_lines(first: str, second: str) -> SafeString:
    """A cell of a list: what is looked for, and beneath it what it is called or asked."""
    return format_html('{}<span class="qe-second">{}</span>', first, second)
