"""The code blocks of the README and of the guides run, their commands are valid, and the site is complete."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from lightning_gans import DCGAN, R3GAN, Classifier, Digits, PixelCNN, attack_command, command_options, commands
from lightning_gans.__main__ import main
from lightning_gans.audio import write_wav
from lightning_gans.callbacks import Evaluation, Samples
from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator
from lightning_gans.networks.classifier import ConvClassifier

ROOT = Path(__file__).resolve().parents[1]
GUIDES = {path.name: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
PAGES = {str(path.relative_to(ROOT)): path for path in (*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md")))}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FEW = ["--run.max_images", "128", "--wandb.mode", "disabled"]
EXECUTED = {"extending.md"}
"""Guides whose `fit` commands train; the options of the others are parsed only."""

PRIVATE = {"lightning_gans.core.private", "lightning_gans._version"}
"""Modules without a place in the reference."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:a checkpoint cannot record"),
]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for callback in (Evaluation, Samples):
        monkeypatch.setitem(callback.__init__.__kwdefaults__, "count", 16)  # type: ignore[misc]
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def shell_commands(block: str) -> Iterator[list[str]]:
    """Yield the commands of a shell block as lists of arguments."""
    for line in block.replace("\\\n", " ").splitlines():
        for command in line.split(" && "):
            yield shlex.split(command, comments=True)


def run_python(source: str, page: ModuleType) -> None:
    """Execute a block on few images: in the namespace of its page, or as the file that its first line names."""
    source = re.sub(r"max_images=\d[\d_]*", "max_images=128", source)
    if name := re.match(r"# (\w+\.py)\n", source):
        Path(name[1]).write_text(source)
    else:
        exec(compile(source, f"{page.__name__}.md", "exec"), page.__dict__)


def run_command(arguments: list[str], *, train: bool) -> None:
    """Run a command of this package; `fit` only parses its options unless it is to train."""
    if arguments[0] == "fit" and not train:
        with pytest.raises(SystemExit, match="0"):
            main([*arguments, "--print_config"])
    else:
        assert main([*arguments, *(FEW if arguments[0] == "fit" else [])]) == 0


def untrained(run: str, **_: Any) -> Any:
    """Make a small model of the class that the name of a run begins with."""
    if Path(run).name.startswith(("classifier", "semisupervisedgan")):
        return Classifier(image_shape=(1, 8, 8), num_classes=10, network=partial(ConvClassifier, width=2, hidden=4))
    if Path(run).name.startswith(("made", "pixelcnn")):
        return PixelCNN(image_shape=(1, 8, 8), levels=17, num_classes=10, class_conditional=True)
    if Path(run).name.startswith("r3gan"):
        conditions: dict[str, Any] = {
            "conditions": ["text"],
            "vocabulary": ("<pad>", "<unk>", *["a", "small", "red", "heart"]),
        }
        if "digits" in run:
            conditions = {"conditions": ["label"], "num_classes": 10}
        return R3GAN(image_shape=(1, 8, 8), **conditions)
    networks = {"generator": lambda n, shape: DCGANGenerator(n, shape, width=4)}
    networks["discriminator"] = lambda shape: DCGANDiscriminator(shape, width=4)
    return DCGAN(image_shape=(1, 8, 8), **networks)


def write_guide_data() -> None:
    """Write small data of the names that the guide to data uses."""
    for folder in ("my_images", "my_sounds/cat", "my_sounds/dog", "my_data/images", "my_data/sounds", "spoken_digits"):
        Path(folder).mkdir(parents=True)
    for number in range(200):
        noise = torch.rand(4000, generator=torch.Generator().manual_seed(number))
        for folder in ("my_images", "my_data/images"):
            Image.new("L", (8, 8), number).save(Path(folder, f"{number}.png"))
        digit, index = number % 10, 5 * (number // 10)
        for sound in (f"my_sounds/{('cat', 'dog')[number % 2]}/{number}", f"my_data/sounds/{number}"):
            write_wav(f"{sound}.wav", noise, 8000)
        write_wav(f"spoken_digits/{digit}_ada_{index}.wav", noise, 8000)
    captions = [{"file_name": f"{n}.png", "text": "a gray square"} for n in range(200)]
    pairs = [{"image_file_name": f"images/{n}.png", "audio_file_name": f"sounds/{n}.wav"} for n in range(200)]
    for name, rows in (("my_images", captions), ("my_data", pairs)):
        Path(name, "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.mark.parametrize("name", GUIDES)
def test_the_code_blocks_of_a_guide_run(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ModuleType(f"page_{Path(name).stem.lower()}")
    monkeypatch.setitem(sys.modules, page.__name__, page)  # so that checkpoints can name the classes of the page
    if name not in EXECUTED:
        monkeypatch.setattr(command_options, "check_run", lambda run: None)
        for module in (commands, attack_command):
            monkeypatch.setattr(module, "load", untrained)
            monkeypatch.setattr(module, "load_data", lambda run, **_: Digits())
    if name == "data.md":
        write_guide_data()
    for language, block in BLOCK.findall(GUIDES[name].read_text()):
        if language == "python":
            run_python(block, page)
            continue
        for command in shell_commands(block) if language in ("", "bash") else ():
            if "lightning_gans" in command:
                arguments = command[command.index("lightning_gans") + 1 :]
                if "--ckpt_path" not in arguments:  # of a run that is not there
                    run_command(arguments, train=name in EXECUTED)
            elif command[:1] == ["python"]:
                assert (ROOT / command[1]).is_file(), command[1]
    capsys.readouterr()


def test_every_fence_is_closed() -> None:
    for name, path in PAGES.items():
        text = path.read_text()
        assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(BLOCK.findall(text)), name


# The site


def nav(entry: Any) -> Iterator[str]:
    """Yield the pages of the navigation."""
    match entry:
        case str():
            yield entry
        case list() | dict():
            for part in entry.values() if isinstance(entry, dict) else entry:
                yield from nav(part)


def test_every_page_is_in_the_navigation() -> None:
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    listed = list(nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert len(listed) == len(set(listed))
    assert set(listed) == written | {"changelog.md", "contributing.md"}


def test_every_module_is_in_the_reference() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    referenced = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    assert len(referenced) == len(set(referenced))
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "lightning_gans").glob("**/*.py")
        if path.stem != "__init__" and path.parent.name != "models"
    }
    for folder in ("callbacks", "datamodules"):
        paths = (ROOT / folder).glob("*.py")
        modules |= {f"lightning_gans.{folder}.{path.stem}" for path in paths if path.stem != "__init__"}
    assert set(referenced) == modules - PRIVATE | {"lightning_gans.models"}  # which documents each exported model


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_lead_to_files(name: str) -> None:
    text = BLOCK.sub("", PAGES[name].read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http", "#")):
            assert (PAGES[name].parent / target.partition("#")[0]).is_file(), target


def test_images_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").glob("*.png")}
    assert {name: size for name, size in sizes.items() if size > 30_000} == {}
