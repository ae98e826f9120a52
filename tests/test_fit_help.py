"""Compare the short help of `fit` with the parser."""

import shlex
from typing import Any

import pytest
import yaml

from lightning_gans.__main__ import main
from lightning_gans.fit_help import OPTIONS, Option, fit_help
from lightning_gans.trainer import DEFAULT_IMAGES

EVERY = [option for options in OPTIONS.values() for option in options]
ELSEWHERE = {"run.max_images": str(DEFAULT_IMAGES), "model": "DCGAN", "data": "Digits", "data.image_size": "64"}
"""Defaults that `--print_config` shows in another form, or not without other options."""


@pytest.fixture(scope="module")
def configuration() -> dict[str, Any]:
    """Return the values of all options by name."""
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("sys.stdout.write", printed.append)
        with pytest.raises(SystemExit, match="0"):
            main(["fit", "--print_config"])
    flat: dict[str, Any] = {}

    def flatten(value: Any, name: str) -> None:
        flat[name] = value
        for key, part in value.items() if isinstance(value, dict) else ():
            flatten(part, name if key == "init_args" else f"{name}.{key}".lstrip("."))

    flatten(yaml.safe_load("".join(printed)), "")
    return flat


def name_of(option: Option) -> str:
    """Return the name of an option."""
    return option.example.split()[0].removeprefix("--")


@pytest.mark.parametrize("option", EVERY, ids=name_of)
def test_the_default_of_an_option_is_the_default_of_the_parser(option: Option, configuration: dict[str, Any]) -> None:
    name = name_of(option)
    if name in ELSEWHERE:
        assert option.default == ELSEWHERE[name]
    elif configuration.get(name) is not None and name != "dry_run":
        assert option.default == str(configuration[name])


@pytest.mark.parametrize(
    "option", [option for option in EVERY if name_of(option) not in ("help", "ckpt_path")], ids=name_of
)
def test_the_example_of_an_option_is_valid(option: Option, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["--data", "ImageFolder", "--data.root", "."] if name_of(option) in ("data", "data.image_size") else []
    if name_of(option) == "data.root":
        return  # of a folder that does not exist
    with pytest.raises(SystemExit, match="0"):
        main(["fit", *folder, *shlex.split(option.example), "--print_config"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--config", "dcgan_mnist", "--help"]])
def test_the_short_help_has_every_option_in_a_terminal_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "\n".join(lines) == fit_help()
    assert len(lines) < 60
    assert max(map(len, lines)) <= 120
    assert all(any(line.startswith(f"  {option.example} ") for line in lines) for option in EVERY)


def test_help_all_has_the_options_of_the_trainer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--help", "all"])
    out = capsys.readouterr().out
    assert "--trainer.gradient_clip_algorithm" in out
    assert "--save.minutes" in out
