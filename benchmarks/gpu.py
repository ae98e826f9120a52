"""Measure correctness, speed, possible speedups and quality on one GPU, in at most eight minutes.

    python benchmarks/gpu.py --data data
    python benchmarks/gpu.py --device cpu --quick

The second command is a smoke test: it runs every part on the CPU in less than three minutes. `benchmarks/gpu.md`
explains how to prepare a machine without a network.

Every part runs in its own process with a time limit. The records are appended to `results/gpu/<part>.jsonl` as soon as
they are measured, and `results/gpu.md` is written after every part. A part that is measured again replaces its records;
the others are kept. A smoke test (`--quick`) writes to a temporary folder unless `--results` names a folder.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
from gpu_part import FAILURES, Part, Settings, read, run_part
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from showing import join_unique

PARTS = (
    Part(
        name="correct",
        title="Correctness: the tests marked `gpu`",
        module="gpu_correct",
        seconds=75,
        protocol="`tests/test_gpu.py` on small networks; TF32 is off.",
    ),
    Part(
        name="speed",
        title="Speed of training",
        module="gpu_speed",
        seconds=150,
        protocol=(
            "Images per second, batches of 128 (2-D GAN: 256), synthetic data. Ours: `fit` of the default Trainer, W&B"
            " disabled. Hand-written: a loop with the same networks, uint8 data on the GPU, fused Adam, EMA."
            " Tutorial: a DataLoader with two workers and transforms of single images, plain Adam, no EMA. Measured in"
            " turn, medians over rounds; the mean includes samples, scores and checkpoints in the rounds. fp32: TF32"
            " off; tf32: on; bf16: autocast, penalties in float32. Busy: time of kernels / time of steps."
        ),
    ),
    Part(
        name="levers",
        title="Prototypes of faster steps",
        module="gpu_levers",
        seconds=90,
        protocol="Each prototype in turn with the hand-written eager step, bf16, medians over rounds.",
    ),
    Part(
        name="quality",
        title="Quality after a minute of training",
        module="gpu_quality",
        seconds=150,
        protocol=(
            "One seed, default Trainer. MNIST: 1,000 samples of the EMA against 1,000 test images, pixels, k = 5."
            " Stacked MNIST: 26,000 samples, digits predicted by a classifier with the given test accuracy."
        ),
    ),
)
"""The parts, the most important first, because a script that is stopped has measured only the first parts."""

RESULTS = harness.FOLDER / "results"


def run_parts(parts: Sequence[Part], settings: Settings, results: Path) -> int:
    """Run the parts one after the other and write the table after each.

    Args:
        parts: The parts.
        settings: Their settings; the time limit is each part's own.
        results: Folder for the records and the table.

    Returns:
        The exit code: 1 if a part failed, timed out or was killed.
    """
    failed = False
    for part in parts:
        seconds = part.rehearsal if settings.quick else part.seconds
        print(f"{part.name}: at most {seconds:g} s", file=sys.stderr, flush=True)
        given = Settings(**{**vars(settings), "seconds": seconds})
        status = run_part(part, given, results / "gpu" / f"{part.name}.jsonl")
        print(f"{part.name}: {status}", file=sys.stderr, flush=True)
        failed |= status in FAILURES
        (results / "gpu.md").write_text(markdown(parts, results))
    return int(failed)


def main(arguments: Sequence[str] | None = None, parts: Sequence[Part] = PARTS) -> int:
    options = _options(arguments, parts)
    results: Path = options.results or (Path(tempfile.mkdtemp(prefix="gpu-rehearsal-")) if options.quick else RESULTS)
    words = ["python", "benchmarks/gpu.py", *(sys.argv[1:] if arguments is None else arguments)]
    settings = Settings(
        device=options.device,
        quick=options.quick,
        data=options.data and str(options.data.absolute()),
        commit=options.commit,
        command=shlex.join(Path(word).name if os.path.isabs(word) else word for word in words),
    )
    chosen = [part for part in parts if part.name in options.parts]
    results.mkdir(parents=True, exist_ok=True)
    code = run_parts(chosen, settings, results)
    console = Console(width=max(200, Console().width))
    for part in chosen:
        records = read(results / "gpu" / f"{part.name}.jsonl")
        shown = _rich_table(part, records)
        console.print(shown if shown.rows else part.title, markup=False, highlight=False)
        console.print(f"{part.name}: {_status(records)}\n", markup=False, highlight=False)
    (results / "gpu.md").write_text(markdown(parts if results == RESULTS else chosen, results))
    if options.json:
        everything = {part.name: read(results / "gpu" / f"{part.name}.jsonl") for part in chosen}
        options.json.write_text(json.dumps(everything, indent=2) + "\n")
    print(f"written: {results / 'gpu.md'}")
    return code


def _options(arguments: Sequence[str] | None, parts: Sequence[Part]) -> argparse.Namespace:
    names = [part.name for part in parts]
    parser = harness.Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help=join_unique(names))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="device to measure on (cuda)")
    parser.add_argument("--quick", action="store_true", help="smoke test: tiny networks and few steps")
    parser.add_argument("--data", type=_folder, metavar="FOLDER", help="folder with MNIST/raw, for the part `quality`")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="folder of the results (benchmarks/results)")
    parser.add_argument("--commit", default="", help="commit to record where the checkout has no history")
    parser.add_argument("--json", type=harness.writable, metavar="FILE", help="file for a copy of all records")
    return parser.parse_args(arguments)


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"must be a folder, got {text!r}")
    return Path(text)


# -- tables -----------------------------------------------------------------------------------------------------------


def markdown(parts: Sequence[Part], results: Path) -> str:
    """Format the records of all parts for a file, each part with its hardware, versions and commit."""
    lines = ["# Measurements on one GPU", ""]
    for part in parts:
        records = read(results / "gpu" / f"{part.name}.jsonl")
        heading, rows = _cells(records)
        lines += [f"## {part.title}", "", f"{part.protocol} Part `{part.name}`: {_status(records)}.".strip(), ""]
        if rows:
            table = (heading, ["---"] + ["---:"] * (len(heading) - 1), *rows)
            lines += [*("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table), ""]
        lines += _about(records)
    return "\n".join(lines)


def _rich_table(part: Part, records: Sequence[dict[str, Any]]) -> Table:
    heading, rows = _cells(records)
    shown = Table(box=box.SIMPLE_HEAD, title=part.title, title_justify="left")
    for number, column in enumerate(heading):
        shown.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))  # brackets in names of tests are not markup
    return shown


def _cells(records: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Format a part's rows; the columns are all that a row has, in the order of their first appearance."""
    rows = [record for record in records if record["kind"] == "row"]
    columns = list(dict.fromkeys(name for row in rows for name in row["scores"]))
    errors = any(row["error"] for row in rows)
    cells = [
        [row["name"], *(_format(row["scores"].get(name, "")) for name in columns), *([row["error"]] * errors)]
        for row in rows
    ]
    return ["", *columns, *(["error"] * errors)], cells


def _format(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _status(records: Sequence[dict[str, Any]]) -> str:
    end = next((record for record in records if record["kind"] == "end"), None)
    if end is None:
        return "not finished" if records else "not measured"
    return f"{end['status']} after {end['seconds']:.0f} s" + (f", {end['message']}" if end["message"] else "")


def _about(records: Sequence[dict[str, Any]]) -> list[str]:
    about = next((record for record in records if record["kind"] == "about"), None)
    if about is None:
        return []
    versions = ("python", "torch", "lightning", "torchvision", "torchmetrics", "cuda", "cudnn")
    facts = {
        "Hardware": about["hardware"] + (f", driver {about['driver']}" if "driver" in about else ""),
        "Versions": ", ".join(f"{name} {about[name]}" for name in versions if name in about),
        "Commit": about["commit"] + " with changes" * about["dirty"],
        "Measured": about["date"] + " (smoke test)" * about["quick"],
        "Command": f"`{about['command']}`",
    }
    return [*(f"* {name}: {fact}" for name, fact in facts.items()), ""]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the running part is ended too
    sys.exit(main())
