"""What the documents name is there."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from optimization.engine.problem import Method, Objective

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("quantumedge", "streaming", "optimization", "marketdata")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docker/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def _ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_command_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", page.read_text(encoding="utf-8")))
    assert named <= set(get_commands())


def test_every_command_of_ours_is_listed() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    ours = {name for name, app in get_commands().items() if app in PACKAGES}
    listed = {
        word
        for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for word in re.findall(r"`([a-z_]+)", cell)
    }
    assert ours <= listed
    assert listed <= ours


def test_what_is_said_to_print_json_does() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    marked = set(re.findall(r"^\| `([a-z_]+).*?` \| ● \|", text, re.MULTILINE))
    for name, app in get_commands().items():
        if app in PACKAGES:
            parser = load_command_class(app, name).create_parser("manage.py", name)
            assert ("--json" in parser.format_help()) == (name in marked), name


def test_every_module_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`([a-z_/]+\.py)", text)):
        found = [list((ROOT / package).rglob(Path(name).name)) for package in PACKAGES]
        assert any(found), name
        assert "/" not in name or (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=_ids)
def test_every_test_that_is_named_exists(page: Path) -> None:
    file = Path()
    for name, test in re.findall(
        r"`(?:tests/)?((?:[a-z0-9_]+/)*test_[a-z0-9_]+\.py)?(?:::(test_[a-z0-9_]+))?`",
        page.read_text(encoding="utf-8"),
    ):
        # A test without its file is of the file that was named last.
        file = ROOT / "tests" / name if name else file
        if name or test:
            assert file.is_file(), f"{page.name} names {name}"
            assert f"def {test}" in file.read_text(encoding="utf-8"), f"{page.name} names {test}"


def test_every_method_and_objective_is_explained() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    for name in (*Method, *Objective):
        assert name in text
