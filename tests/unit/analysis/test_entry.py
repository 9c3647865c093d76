"""The entry point crosses a process border with plain data."""

import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tuner.analysis.entry import run
from tuner.errors import UnknownName


@pytest.fixture
def request_of(small_study):
    study, trials, measurements = small_study

    def build(**changes):
        one = {"study": study, "trials": trials, "measurements": measurements}
        if changes.get("kind") == "comparison":
            return {"studies": [one, one], **changes}
        return {**one, **changes}

    return build


@pytest.mark.parametrize(
    ("kind", "format", "content_type", "body"),
    [
        ("report", None, "application/json", dict),
        ("report", "md", "text/markdown", str),
        ("report", "html", "text/html", str),
        ("importance", None, "application/json", dict),
        ("comparison", None, "application/json", dict),
        ("comparison", "md", "text/markdown", str),
        ("comparison", "html", "text/html", str),
        ("export", None, "application/jsonl", str),
        ("export", "csv", "text/csv", str),
        ("export", "parquet", "application/vnd.apache.parquet", bytes),
    ],
)
def test_every_kind_answers_in_its_type(request_of, kind, format, content_type, body):
    answer = run(request_of(kind=kind, format=format))
    assert answer["content_type"].startswith(content_type)
    assert isinstance(answer["body"], body)
    if body is dict:
        json.dumps(answer["body"], allow_nan=False)


@pytest.mark.parametrize("kind", ["report", "importance"])
def test_measurements_as_columns_say_the_same_as_rows(request_of, kind):
    rows = [*request_of()["measurements"]]
    rows.append({**rows[-1], "attempt": rows[-1]["attempt"] + 1, "value": "NaN"})
    metrics = sorted({row["metric"] for row in rows})
    columns = {key: [row[key] for row in rows] for key in ("number", "attempt", "step")}
    columns["metric"] = [metrics.index(row["metric"]) for row in rows]
    columns["value"] = [float(row["value"]) for row in rows]
    answers = [
        run(request_of(kind=kind, measurements=sent))
        for sent in (rows, {**columns, "metrics": metrics})
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("changes", [{"kind": "art"}, {"kind": "export", "format": "html"}])
def test_an_unknown_kind_or_format_is_refused(request_of, changes):
    with pytest.raises(UnknownName):
        run(request_of(**changes))


def test_it_runs_in_a_spawned_process_and_agrees(request_of):
    request = request_of(kind="importance")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(run, request).result() == run(request)


def test_only_a_page_loads_plotly():
    code = (
        "import sys\n"
        "from tuner.analysis.entry import run\n"
        "study = {'name': 's', 'state': 'active', 'state_reason': None, 'created_at': None, 'updated_at': None}\n"
        "run({'kind': 'report', 'format': 'md', 'study': study, 'trials': []})\n"
        "assert 'plotly' not in sys.modules\n"
        "assert not {'torch', 'sqlalchemy', 'fastapi', 'optuna'} & set(sys.modules)\n"
        "run({'kind': 'report', 'format': 'html', 'study': study, 'trials': []})\n"
        "assert 'plotly' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
