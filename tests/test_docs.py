"""The documentation names everything there is, and what it shows can be read and run."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

import tuner
from tuner import errors, settings
from tuner.analysis.advice.collect import CODES
from tuner.analysis.diagnosis.rules import PATHOLOGIES
from tuner.api import prometheus
from tuner.api.app import _ROUTERS
from tuner.cli import reference
from tuner.cli.main import app
from tuner.core.lifecycle import Reason, StopReason, StudyState, TrialState
from tuner.core.messages import StudyChange
from tuner.core.parameter import CLASSES
from tuner.core.study import StudySpec, TrialSpec
from tuner.optimizers import registry as optimizers
from tuner.optimizers.rules import OURS, RULES
from tuner.pruners import registry as pruners
from tuner.samplers import registry as samplers
from tuner.service.specification import define
from tuner.tasks import registry as tasks

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
FILES += sorted((ROOT / "docs").glob("*.md"))
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
ALL = "\n".join(PAGES.values())
FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks(info: str) -> list[Any]:
    """Code blocks of one kind, as parameters with page and place."""
    found = []
    for page, text in PAGES.items():
        bodies = [match[3] for match in FENCE.finditer(text) if match[2].strip() == info]
        found += [pytest.param(body, id=f"{page}-{i}") for i, body in enumerate(bodies)]
    assert found, info
    return found


def cell(value: Any) -> str:
    if value is None:
        return "none"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def table_row(text: str, page: str) -> None:
    assert text in PAGES[page].splitlines(), f"{page} lacks the line\n{text}"


def commands(command: Any, context: Any, path: str) -> Iterator[str]:
    """The command lines below a command, those that have no commands below them."""
    if not hasattr(command, "list_commands"):
        yield path
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        if not child.hidden:
            inner = child.make_context(name, [], parent=context, resilient_parsing=True)
            yield from commands(child, inner, f"{path} {name}")


_CLI: Any = get_command(app)
COMMANDS = list(commands(_CLI, _CLI.make_context("tuner", [], resilient_parsing=True), "tuner"))


def test_the_command_page_is_what_help_prints():
    assert PAGES["docs/cli.md"] == reference.page(), "write it anew: make docs"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_section(command):
    assert f"#### {command}\n" in PAGES["docs/cli.md"]


def test_commands_that_the_pages_show_exist():
    nouns = "study|trial|worker|server|db|optimizers|samplers|pruners"
    shown = "\n".join(re.findall(r"`[^`\n]+`", ALL) + [match[3] for match in FENCE.finditer(ALL)])
    used = set(re.findall(rf"(?<![\w./])tuner (?:{nouns}) [a-z]+", shown))
    assert len(used) > 15
    assert used - set(COMMANDS) == set()


VARIABLES = [
    value
    for name, value in vars(settings).items()
    if name.isupper() and isinstance(value, str) and value.startswith("TUNER_")
]


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_environment_variable_is_described(variable):
    assert f"`{variable}`" in PAGES["docs/operations.md"]


@pytest.mark.parametrize("key", sorted(settings._KEYS))
def test_every_key_of_the_config_file_is_described(key):
    assert f"| `{key}` |" in PAGES["docs/operations.md"]


ENDPOINTS = sorted(
    f"{method} {route.path}"
    for router in _ROUTERS
    for route in router.routes
    for method in route.methods
)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_has_its_row(endpoint):
    assert f"\n| `{endpoint}` |" in PAGES["docs/rest.md"]


def test_no_endpoint_is_invented():
    shown = re.findall(
        r"^\| `((?:GET|POST|PATCH|DELETE|PUT) [^`]*)` \|", PAGES["docs/rest.md"], re.M
    )
    assert sorted(shown) == ENDPOINTS


@pytest.mark.parametrize("cls", sorted(errors.BY_CODE.values(), key=lambda cls: cls.code))
def test_every_error_has_its_row(cls):
    row = f"| `{cls.code}` | `{cls.__name__}` | {cls.status} | {cls.exit_code} |"
    assert f"\n{row}" in PAGES["docs/errors.md"]


def test_codes_of_refused_requests_are_described():
    source = "\n".join(path.read_text() for path in (ROOT / "tuner" / "api").glob("*.py"))
    codes = re.findall(r'Refused\(\s*\d+,\s*"([a-z-]+)"', source)
    assert len(codes) > 4
    assert [code for code in codes if f"| `{code}` |" not in PAGES["docs/errors.md"]] == []


@pytest.mark.parametrize("word", [*Reason, *StopReason, *TrialState, *StudyState])
def test_every_state_and_reason_is_described(word):
    assert f"`{word}`" in PAGES["docs/workers.md"] + PAGES["docs/index.md"] + PAGES["docs/python-client.md"]  # fmt: skip


@pytest.mark.parametrize("registry", [samplers, pruners], ids=["samplers", "pruners"])
def test_every_sampler_and_pruner_has_its_options(registry):
    for entry in registry.describe():
        page = "docs/samplers-and-pruners.md"
        assert f"### `{entry['name']}`: {entry['title']}" in PAGES[page]
        for option in entry["options"]:
            given = option["range"]
            if isinstance(given, list):
                given = ", ".join(f"`{item}`" for item in given)
            table_row(
                f"| `{option['name']}` | {option['type']} | {given or ''} |"
                f" {cell(option['default'])} | {option['doc']} |",
                page,
            )


def test_names_that_are_not_available_yet_are_said_so():
    for name in samplers.UPCOMING:
        assert f"`{name}`" in PAGES["docs/samplers-and-pruners.md"]


@pytest.mark.parametrize("name", optimizers.names())
def test_every_optimizer_has_its_numbers_and_sources(name):
    page = "docs/training-tasks.md"
    entry = optimizers.describe(optimizers.ENTRIES[name])
    assert f"### `{name}`: {entry['title']}" in PAGES[page]
    assert entry["formula"] in PAGES[page]
    section = PAGES[page].split(f"### `{name}`: ")[1].split("\n### ")[0]
    assert ("Needs the extra" in section) == (entry["extra"] is not None)
    assert entry["extra"] is None or f"`tuner[{entry['extra']}]`" in section
    for item in entry["parameters"]:
        size = item["sizes"][0] if item["sizes"] else "never"
        if item["type"] == "categorical":
            choices = ", ".join(json.dumps(choice) for choice in item["choices"])
            values = f"{choices} | - | {json.dumps(item['default'])} | {json.dumps(item['unset'])}"
        else:
            span = f"{item['low']:g} to {item['high']:g} | {item['scale']}"
            values = f"{span} | {item['default']:g} | {item['unset']:g}"
        table_row(f"| `{item['name']}` | {values} | {size} | {item['source']} |", page)


@pytest.mark.parametrize("option", tasks.OPTIONS.values(), ids=lambda option: option.name)
def test_every_task_option_has_its_row(option):
    default = "required" if option.required else cell(option.default)
    text = next(
        line
        for line in PAGES["docs/training-tasks.md"].splitlines()
        if line.startswith(f"| `{option.name}` | {option.type} |")
    )
    assert f"| {default} | {option.doc}" in text
    for choice in option.choices:
        assert f"`{choice}`" in text


@pytest.mark.parametrize("name", [*tasks.DATASETS, *tasks.MODELS, *tasks.METRICS])
def test_every_data_set_model_and_metric_has_its_row(name):
    assert f"\n| `{name}` |" in PAGES["docs/training-tasks.md"]


@pytest.mark.parametrize("item", PATHOLOGIES.values(), ids=lambda item: item.name)
def test_every_recognised_problem_has_its_row(item):
    row = f"| `{item.name}` | {item.trigger} | {item.action} | {item.source} |"
    table_row(row, "docs/advice.md")


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_advice_has_its_row(code):
    assert PAGES["docs/advice.md"].count(f"\n| `{code}` | ") == 1


def test_no_code_of_advice_is_invented():
    table = PAGES["docs/advice.md"].partition("## Codes")[2].partition("## Training")[0]
    assert tuple(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == CODES


def test_every_rule_of_recommendation_has_its_row():
    for rule in RULES:
        models = ", ".join(sorted(rule.models)) or "any"
        points = "left out" if rule.points is None else f"{rule.points:+d}"
        source = "our judgement" if rule.source == OURS else rule.source
        row = f"| `{rule.optimizer}` | {points} | {models} | {rule.condition} | {rule.text} | {source} |"
        table_row(row, "docs/choosing-an-optimizer.md")


def test_every_key_of_a_study_is_described():
    page = PAGES["docs/study-files.md"]
    keys = {*StudySpec.model_fields, *TrialSpec.model_fields} | {"optimizers", "parameters"}
    for cls in CLASSES.values():
        keys |= set(cls.model_fields)
    keys |= {"trials", "seconds", "target", "from", "direction", "metric", "at_most", "at_least"}
    assert sorted(key for key in keys - {"type"} if not re.search(rf"\b{key}\b", page)) == []


def test_every_metric_of_the_server_is_described():
    names = {f"tuner_{name}" for name in prometheus._KNOWN} | {"tuner_request_seconds"}
    page = PAGES["docs/operations.md"]
    assert [name for name in names if f"`{name}`" not in page and f"`{name}_total`" not in page] == []  # fmt: skip


def test_every_event_is_described():
    source = "\n".join(path.read_text() for path in (ROOT / "tuner" / "service").glob("*.py"))
    named = set(re.findall(r'"((?:study|trial|lease)\.[a-z]+)"', source))
    named |= {f"trial.{state}" for state in TrialState if state.is_finished}
    named |= {f"study.{state}" for state in StudyState}
    assert len(named) > 10
    assert sorted(name for name in named if f"`{name}`" not in PAGES["docs/rest.md"]) == []


def test_every_public_name_is_described():
    page = PAGES["docs/python-client.md"]
    assert [name for name in tuner.__all__ if f"`{name}`" not in page] == []


def test_every_change_of_a_study_is_described():
    row = next(line for line in PAGES["docs/rest.md"].splitlines() if "`PATCH " in line)
    assert [key for key in StudyChange.model_fields if key not in row] == []


@pytest.mark.parametrize("body", blocks("yaml study"))
def test_study_files_that_the_pages_show_are_studies(body):
    assert define(YAML(typ="safe", pure=True).load(body)).spec.name


@pytest.mark.parametrize("file", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda f: f.name)
def test_study_files_of_the_examples_are_studies(file):
    assert define(YAML(typ="safe", pure=True).load(file.read_text())).spec.trial is not None


@pytest.mark.parametrize("body", blocks("python"))
def test_python_that_the_pages_show_compiles(body):
    ast.parse(body)


@pytest.mark.parametrize("body", blocks("json"))
def test_json_that_the_pages_show_is_json(body):
    json.loads(body)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    plain = FENCE.sub("", text)
    titles = re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).strip().replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = FENCE.sub("", PAGES[page])
    for target in re.findall(r"\]\(([^)\s]+)\)", text.replace("\n", " ")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert file.is_file(), f"{page}: {target} is not there"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_no_path_of_a_machine(page):
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|work|Users)/", PAGES[page]) == []


def test_every_page_is_in_the_index():
    index = PAGES["docs/index.md"]
    pages = [Path(page).name for page in PAGES if page.startswith("docs/")]
    assert [page for page in pages if page != "index.md" and f"]({page})" not in index] == []


def test_pictures_are_small():
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert [file.name for file in pictures if file.stat().st_size > 300_000] == []
