"""Generated requests from the API's own description: nothing fails, everything is as described."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
# operations that answer without end
STREAMS = 2
SERVER = """
import asyncio, sys
import uvicorn
from tuner.api import listening
from tuner.api.app import create_app
from tuner.service.manager import Manager

STUDY = {"objective": "loss", "sampler": "random", "space": {"x": {"type": "float", "low": 0, "high": 1}}}

async def main(url):
    manager = await Manager.open(url)
    await manager.create_study({"name": "digits-optimizers", **STUDY})
    sock = listening.bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(create_app(manager), log_config=None))
    task = asyncio.create_task(server.serve([sock]))
    while not server.started:
        await asyncio.sleep(0.02)
    print(sock.getsockname()[1], flush=True)
    await task
    await manager.close()

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_generated_requests_find_no_failure(database_url: str, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    server = subprocess.Popen(
        [sys.executable, str(script), database_url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        found = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"http://127.0.0.1:{port}/openapi.json",
                *("--exclude-path-regex", "/events$"),
                *("--phases", "examples,coverage,fuzzing"),
                *("--checks", ",".join(CHECKS)),
                *("--max-examples", "10", "--seed", "7", "--generation-allow-x00", "true"),
                *("--request-timeout", "30", "--suppress-health-check", "all"),
            ],
            capture_output=True,
            text=True,
            timeout=350,
            check=False,
            cwd=tmp_path,
        )
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    counted = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", found.stdout)
    assert counted is not None, found.stdout[-3000:]
    selected, known, tested = map(int, counted.groups())
    assert tested == selected == known - STREAMS
    assert tested > 30
