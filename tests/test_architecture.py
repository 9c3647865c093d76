"""Rules of the architecture that no tool checks by itself, each with its reason."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tuner
from tuner import errors
from tuner.settings import child_environment

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "tuner").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
# Only storage builds SQL. Of it, the service takes the type of a row.
SQL_HOME = "storage"


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path) -> set[tuple[str, str]]:
    """(module, name) of every import in a file, `name` empty for `import module`."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "", alias.name) for alias in node.names}
    return found


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        text=True,
        env=child_environment(),
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("files", "limit"), [(MODULES, 400), (TESTS, 500)], ids=["tuner", "tests"]
)
def test_no_file_grows_beyond_what_can_be_read_in_one_sitting(files, limit):
    assert len(files) > 20
    sizes = {relative(file): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {name: size for name, size in sizes.items() if size > limit} == {}


def test_the_import_contracts_hold():
    """Layers, towers, and one home for each library: see .importlinter.

    In a process of its own: the tool's set-up disables every logger that exists, and tests that
    read a log would fail after it.
    """
    script = "import sys; from importlinter import cli; sys.exit(cli.lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        env=child_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_tuner_loads_no_library_and_none_of_its_towers():
    loaded = loaded_by("import tuner")
    heavy = {"torch", "sqlalchemy", "fastapi", "numpy", "optuna", "pydantic", "httpx2", "typer"}
    assert loaded & heavy == set()
    assert {name for name in loaded if name.startswith("tuner.")} == {"tuner.errors"}


def test_the_server_loads_no_model_library():
    """They cost seconds and hundreds of megabytes; they live in the pool's processes."""
    loaded = loaded_by("import tuner.api.app, tuner.api.serve, tuner.service.manager")
    assert "sqlalchemy" in loaded
    assert loaded & {"torch", "optuna", "skopt", "plotly", "sklearn", "pandas", "ray"} == set()


def test_the_client_and_the_command_line_load_nothing_of_the_server():
    loaded = loaded_by("import tuner.client.client, tuner.cli.main")
    assert loaded & {"torch", "numpy", "sqlalchemy", "fastapi", "alembic", "uvicorn"} == set()
    towers = ("service", "storage", "api", "samplers", "pruners", "analysis", "training")
    assert loaded & {f"tuner.{name}" for name in towers} == set()


def test_the_public_names_are_these():
    assert tuner.__all__ == [
        "AsyncClient",
        "Categorical",
        "Client",
        "Fixed",
        "Float",
        "Int",
        "TrialStopped",
        "current_trial",
        "errors",
        "space",
    ]
    assert all(getattr(tuner, name) is not None for name in tuner.__all__)


def test_packages_export_nothing_else():
    """Two ways to one name would make two places to look; training is the one other façade."""
    facades = {"tuner/__init__.py", "tuner/training/__init__.py"}
    packages = [file for file in MODULES if file.name == "__init__.py"]
    assert len(packages) > 10
    loud = [
        relative(file)
        for file in packages
        if relative(file) not in facades
        and any(not isinstance(node, ast.Expr) for node in tree(file).body)
    ]
    assert loud == []


def test_every_module_says_what_it_is():
    silent = [relative(file) for file in MODULES if not ast.get_docstring(tree(file))]
    assert silent == []


def test_no_module_is_a_drawer():
    """A name that says nothing collects everything."""
    drawers = {"utils", "util", "helpers", "common", "misc", "tools", "shared"}
    parts = {part for file in MODULES for part in (*file.parent.parts, file.stem)}
    assert parts & drawers <= set(ROOT.parts)


def test_only_settings_reads_the_environment():
    """Else nobody can say what a process depends on.

    A trial's process sets its own environment before user code runs, once, in `worker.child`.
    """
    readers = {
        relative(file)
        for file in MODULES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb", "getenv", "putenv")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    names = {name for file in MODULES for module, name in imports(file) if module == "os"}
    assert readers <= {"tuner/settings.py", "tuner/worker/child.py"}
    assert names & {"environ", "getenv"} == set()


def test_only_storage_builds_sql():
    """The service takes the type `Row` of it, and nothing that makes or runs a statement."""
    found = {
        relative(file): {(module, name) for module, name in imports(file) if module.split(".")[0] in ("sqlalchemy", "alembic", "psycopg")}
        for file in MODULES
        if file.relative_to(ROOT / "tuner").parts[0] != SQL_HOME
    }  # fmt: skip
    allowed = {("sqlalchemy", "Row")}
    assert {name: used for name, used in found.items() if used - allowed} == {}
    outside = {name.split("/")[1] for name, used in found.items() if used}
    assert outside <= {"service"}


def test_nothing_but_the_two_databases_commits():
    """A use case is one transaction, and whoever runs it decides when it is durable."""
    committing = {
        relative(file)
        for file in MODULES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and node.attr == "commit"
    }
    assert committing <= {"tuner/storage/schema.py", "tuner/storage/postgres.py"}


def test_every_error_has_a_code_of_its_own():
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type)]
    ours = [cls for cls in classes if issubclass(cls, errors.TunerError)]
    assert len({cls.code for cls in ours}) == len(ours) == len(errors.BY_CODE)


def test_every_error_is_in_the_tree_of_its_module():
    text = errors.__doc__ or ""
    missing = [cls.__name__ for cls in errors.BY_CODE.values() if cls.__name__ not in text]
    assert missing == []


def test_versions_agree():
    """The version is written in the package and in the project's description."""
    assert f'version = "{tuner.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_scripts_can_be_run():
    scripts = [ROOT / ".ci" / "run", ROOT / ".ci" / "alembic-check"]
    assert [relative(file) for file in scripts if not os.access(file, os.X_OK)] == []
