"""Test the translation of long error messages into one line."""

import pytest

from lightning_gans import datamodules, models  # noqa: F401 (classes are suggested once they are imported)
from lightning_gans.error_messages import translate_error
from lightning_gans.errors import UsageError, print_error

CLASS_MESSAGE = """
Parser key "model":
  Problem with given class_path 'lightning_gans.models.DCGAN':
    Option 'latent_dmi' is not accepted
""".strip()

UNION_MESSAGE = """
Parser key "samples":
  Parser key "every":
    Does not validate against any of the Union subtypes
    Subtypes: [<class 'int'>, <class 'NoneType'>]
    Errors:
      - Expected a <class 'int'>. Got value: many
      - Expected a <class 'NoneType'>
    Given value type: <class 'str'>
    Given value: many
""".strip()


@pytest.mark.parametrize(
    ("message", "options", "line"),
    [
        (
            "unrecognized arguments: --modle DCGAN",
            ["--model", "--data"],
            "there is no option `--modle`; did you mean `--model`?",
        ),
        ("Unrecognized arguments: --x=3", ["--model", "--data"], "there is no option `--x`; known: --data, --model"),
        ("unrecognized arguments: --x", [], "there is no option `--x`"),
        ("unrecognized arguments: --x", [f"--option_{i}" for i in range(13)], "there is no option `--x`"),
        (
            CLASS_MESSAGE,
            [],
            "DCGAN has no option `latent_dmi` (`--model.latent_dmi`); did you mean `latent_dim`?",
        ),
        (UNION_MESSAGE, [], "`--samples.every` must be of type int, got 'many'"),
        (
            'Parser key "model": Expected a dot import path string: DCGANN',
            [],
            "`--model` DCGANN is not known; did you mean `DCGAN`?",
        ),
        (
            "Parser key \"model\": No module named 'my_gan'",
            [],
            "`--model` cannot be imported: No module named 'my_gan'",
        ),
        (
            "Parser key \"model\": module 'my_gan' has no attribute 'MyGAN'",
            [],
            "`--model` cannot be imported: module 'my_gan' has no attribute 'MyGAN'",
        ),
        ("`latent_dim` must be at least 1, got 0", [], "`latent_dim` must be at least 1, got 0"),
        ("two\n   lines of one thing", [], "lines of one thing"),
        ('Parser key "data": wrong', [], "`--data`: wrong"),
    ],
)
def test_a_message_becomes_one_line(message: str, options: list[str], line: str) -> None:
    assert translate_error(message, options) == line


def test_a_mistake_is_printed_as_an_error_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_error(UsageError("`x` must be 1")) == 2
    assert capsys.readouterr() == ("", "error: `x` must be 1\n")
