"""Part `correct` of `gpu.py`: run the tests marked `gpu` and report each as a row."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from gpu_part import ROOT, Row, Settings

RESULT = re.compile(r"^tests/test_gpu\.py::(?P<test>.+?) (?P<result>PASSED|FAILED|ERROR|SKIPPED)\b")
REASON = re.compile(r"^(?:FAILED|ERROR) tests/test_gpu\.py::(?P<test>.+?) - (?P<reason>.*)")


def measure(settings: Settings) -> Iterator[Row]:
    """Run pytest and yield a row for each test as soon as it has ended, then the reasons of failures."""
    options = ["-m", "gpu", "--gpu-device", settings.device, "-v", "-ra", "--color=no", "--durations=5"]
    command = [sys.executable, "-u", "-m", "pytest", "tests/test_gpu.py", "-p", "no:cacheprovider", *options]
    results: list[str] = []
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    wide = os.environ | {"COLUMNS": "400"}  # or pytest cuts the reasons off
    with subprocess.Popen(command, cwd=ROOT, env=wide, **pipes) as process:
        for line in process.stdout or ():
            print(line, end="", file=sys.stderr, flush=True)
            if found := RESULT.match(line):
                result = found["result"].lower()
                results.append(result)
                error = "" if result in ("passed", "skipped") else "its reason is below"
                yield Row(found["test"], {"result": result}, error)
            elif found := REASON.match(line):
                yield Row(found["test"], {"result": found["reason"][:300]})
    if "passed" not in results:
        raise RuntimeError(f"no test passed: pytest ended with code {process.returncode}, {len(results)} tests ran")
