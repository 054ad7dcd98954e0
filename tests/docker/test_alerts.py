"""The alert rules ask for figures that /metrics really gives."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from marketdata.models import DataVersion
from optimization.queue.lanes import Lane
from optimization.services import request_submit
from optimization.submissions import Owner, Submission
from streaming.monitoring.metrics import exposition
from tests.working import run_next

FILE = Path(settings.BASE_DIR) / "docker" / "prometheus" / "alerts.yml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]
]
PROMETHEUS_OWN = {"up"}
MODIFIERS = {"and", "or", "unless", "by", "without", "on", "ignoring"}


@pytest.fixture
def samples(market: DataVersion, redis_server: Redis) -> dict[str, list[dict[str, str]]]:
    """The labels of every sample of a server that has solved something, by the sample's name."""
    asked = Submission(
        owner=Owner("local"),
        client_id="c",
        symbols=("AAPL", "KO"),
        parameters={"lookback": 252},
    )
    request_submit(asked)
    run_next(Lane.CONVEX)
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(dict(sample.labels))
    return found


def selectors(expression: str) -> list[tuple[str, dict[str, str]]]:
    """Each metric's name in an expression, with the labels that it is asked for."""
    found = []
    pattern = r'(?<![\w"])([a-z_]+)(?!\w*\()(\{[^}]*\})?(?![\w(])'
    for name, labels in re.findall(pattern, re.sub(r"\[[^]]*\]", "", expression)):
        if name not in MODIFIERS:
            found.append((name, dict(re.findall(r'(\w+)="([^"]*)"', labels))))
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_rule_asks_for_figures_and_labels_that_exist(
    rule: dict[str, Any], samples: dict[str, list[dict[str, str]]]
) -> None:
    asked = [pair for pair in selectors(rule["expr"]) if pair[0] not in PROMETHEUS_OWN]
    assert asked or "up{" in rule["expr"]
    for name, labels in asked:
        assert name in samples
        assert all(labels.keys() <= sample.keys() for sample in samples[name])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_rule_says_how_bad_it_is_what_happened_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "mend"}
    assert re.fullmatch(r"\d+[ms]", rule["for"])


def test_the_labels_that_the_texts_show_exist(samples: dict[str, list[dict[str, str]]]) -> None:
    for rule in RULES:
        shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) - {"instance"}
        names = [name for name, _ in selectors(rule["expr"]) if name not in PROMETHEUS_OWN]
        for label in shown:
            assert all(label in sample for name in names for sample in samples[name])
