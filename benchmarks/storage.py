"""Measure the storages of `ImageFolder` on many small images.

    python benchmarks/storage.py --folder FOLDER

The images are made in the folder, unless it has them, and are kept. Each step is a process of its own:

1. a run without images, whose memory is the reference;
2. a first start that is killed (`kill -9`) while it decodes, and another start that decodes all images;
3. a second start, which opens the memory-mapped file;
4. images per second of both storages, in turn.

Memory is `RssAnon` of `/proc/self/status`, sampled every 50 ms: the resident memory without file pages, which the
operating system can drop at any time, such as those of a memory-mapped file and of libraries.
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from showing import wrap

if TYPE_CHECKING:
    from lightning_gans.datamodules import ImageFolder

RESULT = harness.FOLDER / "results" / "storage.md"
PROTOCOL = (
    "PNG files of 64 x 64 pixels and 3 channels in a folder, read by `ImageFolder` in batches of 64. Memory is the"
    " largest `RssAnon` of a process (the resident memory without file pages) minus that of a process that reads a"
    " batch of Digits. Times are from the creation of the data module, without imports, to the first batch. The second"
    " start is repeated; its figures are medians. Images per second are medians of 11 epochs of the loader, in turn,"
    " with the file in the page cache and one thread of torch; the ratio is the median over pairs of epochs. `mapped`"
    " reads ahead in two threads. Processor times are independent of other programs on the machine."
)

BATCH_SIZE = 64

STARTS = 5
"""Number of starts after the first, whose median is reported."""

MAKE_CHUNK = 1000
"""Images that a process makes at a time."""

Row = dict[str, Any]
"""Measurements of a step."""


def make_images(folder: Path, count: int) -> None:
    """Make images of 8 x 8 random squares in subfolders of 10,000; existing ones are kept."""
    starts = range(0, count, MAKE_CHUNK)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(make_chunk, [folder] * len(starts), starts, [min(s + MAKE_CHUNK, count) for s in starts]))


def make_chunk(folder: Path, start: int, end: int) -> None:
    """Make the images from `start` to `end`."""
    import numpy as np  # noqa: PLC0415 (`--help` does not need these libraries)
    from PIL import Image  # noqa: PLC0415

    for number in range(start, end):
        file = folder / f"{number // 10_000:02}" / f"{number:06}.png"
        if file.is_file():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        squares = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(squares.repeat(8, axis=0).repeat(8, axis=1)).save(file, compress_level=1)


class Memory(threading.Thread):
    """Sample the anonymous resident memory of this process.

    Attributes:
        peak: Largest sample in bytes.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.start()

    def run(self) -> None:
        """Sample every 50 ms."""
        while True:
            self.sample()
            time.sleep(0.05)

    def sample(self) -> int:
        """Return the largest sample, including a new one."""
        fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
        self.peak = max(self.peak, 1024 * int(fields["RssAnon"].split()[0]))
        return self.peak


def empty(options: argparse.Namespace) -> Row:
    """Read a batch of a small data set."""
    from lightning_gans.datamodules import Digits  # noqa: PLC0415 (takes seconds)

    del options

    memory = Memory()
    next(iter(Digits(batch_size=BATCH_SIZE).train_dataloader()))
    return {"memory": memory.sample()}


def open_folder(options: argparse.Namespace) -> "ImageFolder":
    """Create the data module."""
    from lightning_gans.datamodules import ImageFolder  # noqa: PLC0415

    return ImageFolder(
        root=str(options.folder),
        memory_limit_gb=options.memory_limit_gb,
        cache=str(options.cache),
        batch_size=BATCH_SIZE,
    )


def start(options: argparse.Namespace) -> Row:
    """Read the first batch of the images, and then an epoch."""
    import lightning_gans.datamodules  # noqa: F401, PLC0415 (before the clock starts)

    memory, begin, processor_time = Memory(), time.perf_counter(), time.process_time()
    data = open_folder(options)
    data.setup("fit")
    ready = time.perf_counter() - begin
    loader = data.train_dataloader()
    next(iter(loader))
    first, processor_time = time.perf_counter() - begin, time.process_time() - processor_time
    data.fingerprint()
    start_memory = memory.sample()
    for _ in loader:
        pass
    return {
        "storage": data.storage,
        "images": data.summary.images,
        "setup": ready,
        "first batch": first,
        "processor time": processor_time,
        "memory at the start": start_memory,
        "memory": memory.sample(),
    }


def speed(options: argparse.Namespace, rounds: int = 11) -> Row:
    """Compare the images per second of the storages."""
    import torch  # noqa: PLC0415

    from lightning_gans.datamodules import ResumableLoader  # noqa: PLC0415
    from lightning_gans.datamodules.annotated import AnnotatedSource  # noqa: PLC0415
    from lightning_gans.datamodules.sources import Subset, TensorSource  # noqa: PLC0415

    torch.set_num_threads(1)
    mapped = open_folder(options).source("train")
    assert isinstance(mapped, Subset)
    whole = mapped.source
    assert isinstance(whole, AnnotatedSource)
    image = TensorSource({"image": torch.tensor(whole.arrays["image"])})
    memory = Subset(AnnotatedSource(image, whole.columns.tensors, whole.hashes), mapped.indices)
    sources = {"mapped": mapped, "memory": memory}
    loaders = {
        name: ResumableLoader(source, batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
        for name, source in sources.items()
    }
    speeds: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(rounds + 1):
        for name, loader in loaders.items():
            begin, processor_time = time.perf_counter(), time.process_time()
            for _ in loader:
                pass
            images = len(loader) * BATCH_SIZE
            speeds[name].append(images / (time.perf_counter() - begin))
            speeds[f"{name}, processor"].append(1e6 * (time.process_time() - processor_time) / images)
    measured = {name: values[1:] for name, values in speeds.items()}  # the first epoch fills the page cache
    ratios = [ours / theirs for ours, theirs in zip(measured["mapped"], measured["memory"], strict=True)]
    return {name: statistics.median(values) for name, values in {**measured, "ratio": ratios}.items()}


STEPS: dict[str, Callable[[argparse.Namespace], Row]] = {"empty": empty, "start": start, "speed": speed}


def run(step: str, options: argparse.Namespace, *, kill_after: float | None = None) -> tuple[Row, str]:
    """Run a step in a process.

    Args:
        step: Name of the step.
        options: Options of the script.
        kill_after: Seconds from the creation of the memory-mapped file after which the process is killed, or None.

    Returns:
        The measurements, empty for a process that was killed; and its messages.
    """
    command = [sys.executable, __file__, "--step", step, "--folder", str(options.folder), "--cache", str(options.cache)]
    command += ["--memory_limit_gb", str(options.memory_limit_gb)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if kill_after is not None:
        while process.poll() is None and not list(options.cache.glob("*/image.npy")):
            time.sleep(0.1)
        time.sleep(kill_after)
        process.kill()
    out, err = process.communicate()
    if kill_after is None and process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}:\n{err[-2000:]}")
    return json.loads(out.splitlines()[-1]) if out else {}, err


def measure(options: argparse.Namespace) -> Row:
    """Run all steps; return the measurements by their names in the table."""
    reference, _ = run("empty", options)
    run("start", options, kill_after=5)
    first, messages = run("start", options)
    later = [run("start", options)[0] for _ in range(STARTS)]
    second = {key: statistics.median(row[key] for row in later) for key in later[0] if key != "storage"}
    compared, _ = run("speed", options)

    def added(row: Row, key: str) -> str:
        return f"{(row[key] - reference['memory']) / 1e9:.2f} GB"

    return {
        "images": f"{first['images']:,} ({first['storage']})",
        "message after a killed start": "the cache is incomplete" if "is incomplete" in messages else "none",
        "first start: time to the first batch": f"{first['first batch']:.0f} s",
        "first start: processor time to the first batch": f"{first['processor time']:.0f} s",
        "first start: memory": added(first, "memory"),
        "second start: time to the first batch": f"{second['first batch']:.1f} s",
        "second start: processor time to the first batch": f"{second['processor time']:.1f} s",
        "second start: memory until the first batch": added(second, "memory at the start"),
        "second start: memory over an epoch": added(second, "memory"),
        "images/s, memory": f"{compared['memory']:,.0f}",
        "images/s, mapped": f"{compared['mapped']:,.0f}",
        "images/s, mapped / memory": f"{compared['ratio']:.2f}",
        "processor time per image, memory": f"{compared['memory, processor']:.2f} µs",
        "processor time per image, mapped": f"{compared['mapped, processor']:.2f} µs",
    }


def markdown(row: Row, provenance: Row) -> str:
    """Format the measurements as a page."""
    lines = ["# Storage of image folders", "", wrap(PROTOCOL), "", "|  |  |", "| --- | ---: |"]
    lines += [f"| {name} | {value} |" for name, value in row.items()]
    names = ("commit", "date", "hardware", "torch", "lightning", "command")
    return "\n".join([*lines, "", *(f"* {name.capitalize()}: {provenance[name]}" for name in names), ""])


def main() -> int:
    parser = harness.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="folder in which the images are made")
    parser.add_argument("--count", type=int, default=200_000, help="number of images (200000)")
    parser.add_argument("--memory_limit_gb", type=float, default=1.0, help="option of the data module (1)")
    parser.add_argument("--json", type=harness.writable, metavar="FILE", help="file for the measurements")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step](options)))
        return 0
    provenance = harness.provenance()
    make_images(options.folder, options.count)
    with tempfile.TemporaryDirectory(dir=options.folder.absolute().parent) as cache:
        options.cache = Path(cache)
        row = measure(options)
    print("\n".join(f"{name}: {value}" for name, value in row.items()))
    RESULT.write_text(markdown(row, provenance))
    if options.json:
        options.json.write_text(json.dumps(row, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
