"""The command `prepare`: write a data set into shards, for clusters and object stores."""

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_gans.core import private
from lightning_gans.data_command import data_parser
from lightning_gans.datamodules import DataModule, ImageFolder
from lightning_gans.datamodules.litdata_source import import_litdata
from lightning_gans.datamodules.shards import Part
from lightning_gans.datamodules.summary import summarize
from lightning_gans.error_messages import translate_error
from lightning_gans.errors import UsageError, print_error
from lightning_gans.recipes import sorted_by_rank
from lightning_gans.sample_progress import track_samples

DESCRIPTION = "Write a data set into shards, which LitData reads from a folder or an object store."
"""The help of the command."""


def prepare(arguments: Sequence[str]) -> int:
    """Run `prepare`.

    Args:
        arguments: Arguments of the command.

    Returns:
        The exit code: 0, or 2 for a usage error.
    """
    private.patch_class_change()
    try:
        import_litdata()
        data, part = _parse(arguments)
        if part.is_written(data):
            print(f"{part} is complete already; to write it anew, remove {part.folder}")
        else:
            _write(data, part)
        missing = part.complete()
    except (UsageError, ValueError, OSError) as error:
        return print_error(UsageError(translate_error(str(error))))
    if missing:
        print(f"{part.folder} waits for the parts {', '.join(map(str, missing))}")
    else:
        print(f"shards: {part.folder} (fit --data LitData --data.root {part.folder})")
    return 0


def _write(data: DataModule, part: Part) -> None:
    if part.count > 1:
        if type(data) is not ImageFolder:
            raise UsageError(f"`--shard` divides the files of an ImageFolder, but {data.name} is prepared as a whole")
        data.take_part(part.number, part.count)
    data.prepare_data()
    print(summarize(data))
    if data.training_source() is not data.source("train"):
        print("an image with several captions has the first of them in the shards")
    with track_samples(0, sum(data.sizes.values()), unit="examples") as advance:
        part.write(data, advance)


def _parse(arguments: Sequence[str]) -> tuple[DataModule, Part]:
    parser = data_parser("prepare", DESCRIPTION)
    parser.add_argument("--output", type=str, required=True, help="Folder of the shards.")
    parser.add_argument("--shard", type=str, default="1/1", help="Part to write, such as 3/8: part 3 of 8.")
    options = parser.parse_args(sorted_by_rank(arguments))
    if "://" in options.output:
        raise UsageError(f"`--output` must be a folder, which you copy to the object store, got {options.output!r}")
    found = re.fullmatch(r"(\d+)/(\d+)", options.shard)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"`--shard` must be a part and the number of parts, such as 3/8, got {options.shard!r}")
    part = Part(Path(options.output).expanduser(), int(found[1]), int(found[2]))
    return parser.instantiate_classes(options).data, part
