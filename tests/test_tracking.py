"""Test the data for W&B, read from the file that `wandb sync` would upload."""

import json
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import wandb
import yaml
from PIL import Image
from wandb.proto.wandb_internal_pb2 import Record

from lightning_gans.__main__ import main
from lightning_gans.callbacks import Evaluation, Run, Samples, Wandb
from lightning_gans.callbacks.tracking import ImagesSeenLogger, _resolve_mode
from lightning_gans.datamodules import Digits
from lightning_gans.models import DCGAN
from lightning_gans.trainer import Trainer

BLOCK = 32 * 1024

SHORT = [
    "--run.name",
    "x",
    "--run.max_images",
    "384",
    "--evaluation.count",
    "20",
    "--evaluation.every",
    "128",
    "--samples.count",
    "4",
    "--samples.every",
    "128",
    "--trainer.log_every_n_steps",
    "2",
    "--model.generator.width",
    "4",
    "--model.discriminator.width",
    "4",
]


def records(path: Path) -> Iterator[Record]:
    """Read the records of a W&B file: LevelDB's log format after a header of seven bytes (`:W&B`, 0xBEE1, version)."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    assert struct.unpack("<H", content[4:6]) == (0xBEE1,)
    position, record = 7, b""
    while position + 7 <= len(content):
        if (remaining := BLOCK - position % BLOCK) < 7:
            position += remaining
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        if position + 7 + length > len(content):  # W&B is still writing it
            return
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a complete record, or its last part
            yield Record.FromString(record)
            record = b""


def complete_records(path: Path) -> list[Record]:
    """Read the records once the file is complete: W&B's service writes for a moment after `finish()` returns."""
    for _ in range(100):
        found = list(records(path))
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"{path} has no exit record")


def collect(items: Iterable[Any]) -> dict[str, Any]:
    """Collect items with flat or nested keys into a nested dictionary."""
    collected: dict[str, Any] = {}
    for item in items:
        *parents, key = [item.key] if item.key else item.nested_key
        inner = collected
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = json.loads(item.value_json)
    return collected


class Tracked:
    """Contents of a W&B run.

    Attributes:
        history: Logged rows, in order.
        axes: X axis of each declared metric.
        config: Configuration.
    """

    def __init__(self, folder: Path) -> None:
        (self.path,) = folder.glob("wandb/offline-run-*/*.wandb")
        self.history: list[dict[str, Any]] = []
        self.axes: dict[str, str] = {}
        self.config: dict[str, Any] = {}
        self.name = ""
        for record in complete_records(self.path):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                self.history.append(collect(record.history.item))
            elif kind == "metric":
                assert not record.metric.glob_name  # W&B resolves patterns in an undefined order
                self.axes[record.metric.name] = record.metric.step_metric
            elif kind in ("run", "config"):
                config = record.run.config if kind == "run" else record.config
                self.name = record.run.display_name or self.name  # a run record may contain only the changes
                self.config |= collect(config.update)

    def images(self, key: str) -> list[Path]:
        """List the image files of a panel."""
        return [self.path.parent / "files" / row[key]["path"] for row in self.history if key in row]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run that is tracked offline."""
    folder = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_MODE", raising=False)
        patch.delenv("WANDB_API_KEY", raising=False)
        patch.setenv("NETRC", str(folder / "none"))
        patch.setenv("HOME", str(folder))
        assert main(["fit", "--run.root", str(folder), *SHORT, "--wandb.tags", "[a,b]"]) == 0
    return folder / "x"


@pytest.fixture(scope="module")
def tracked(run: Path) -> Tracked:
    return Tracked(run)


@pytest.mark.parametrize(("key", "prefix"), [("samples", ""), ("interpolation", "interpolation_")])
def test_the_panels_are_the_images_on_disk(key: str, prefix: str, tracked: Tracked, run: Path) -> None:
    names = [f"{prefix}{stamp}.png" for stamp in ("000000k", "000000128", "000000256", "000000384")]
    sent = tracked.images(key)
    assert len(sent) == len(names)
    for path, name in zip(sent, names, strict=True):
        pixels = np.asarray(Image.open(path))
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(run / "samples" / name)))
        assert pixels.min() < 50  # neither black nor white: W&B shows floats as black
        assert pixels.max() > 100


def test_the_basic_metrics_of_a_gan_are_logged(tracked: Tracked) -> None:
    keys = {key for row in tracked.history for key in row}
    assert keys >= {
        *(f"{player}/{name}" for player in ("discriminator", "generator") for name in ("loss", "gradient_norm")),
        *(f"{player}/learning_rate" for player in ("discriminator", "generator")),
        "discriminator/real",
        "discriminator/fake",
        "images_per_second",
        "images_seen",
        "evaluation/validation/coverage",
        "evaluation/validation/coverage_best",
        "evaluation/test/density",
    }


def test_images_seen_only_grows(tracked: Tracked) -> None:
    images = [row["images_seen"] for row in tracked.history if "images_seen" in row]
    assert images == sorted(images)
    assert (images[0], images[-1]) == (0, 384)
    assert all("images_seen" in row for row in tracked.history if set(row) - {"_step", "_runtime", "_timestamp"})
    steps = [row["_step"] for row in tracked.history]
    assert steps == sorted(set(steps))


def test_every_chart_has_images_seen_as_its_axis(tracked: Tracked) -> None:
    keys = {key for row in tracked.history for key in row} - {"images_seen"}
    charts = {key for key in keys if not key.startswith("_")} - {"samples", "interpolation", "trainer/global_step"}
    assert {key: tracked.axes.get(key) for key in charts} == dict.fromkeys(charts, "images_seen")


def test_the_scores_equal_those_in_the_run_folder(tracked: Tracked, run: Path) -> None:
    final = json.loads((run / "evaluation.json").read_text())
    sent: dict[str, float] = {}
    for row in tracked.history:
        sent |= {key: value for key, value in row.items() if key.startswith("evaluation/test/")}
    assert sent == {f"evaluation/test/{name}": final[name] for name in ("precision", "recall", "density", "coverage")}


def test_the_configuration_is_complete(tracked: Tracked, run: Path) -> None:
    written = yaml.safe_load((run / "config.yaml").read_text())
    tracked.config["model"]["init_args"].pop("image_shape", None)  # the command line takes it from the data
    for section in ("model", "data", "run", "samples", "evaluation", "wandb", "save"):
        assert tracked.config[section] == written[section], section
    assert tracked.config["model"]["init_args"]["generator"]["init_args"] == {"width": 4}


def test_the_run_has_the_name_of_its_folder(tracked: Tracked) -> None:
    assert tracked.name == "x"
    (header,) = [record.run for record in records(tracked.path) if record.WhichOneof("record_type") == "run"][:1]
    assert (header.project, list(header.tags)) == ("lightning-gans", ["a", "b"])


def test_real_images_are_not_uploaded(tracked: Tracked, run: Path) -> None:
    assert not tracked.images("real")
    real = np.asarray(Image.open(run / "real.png"))
    sent = [np.asarray(Image.open(path)) for path in tracked.path.parent.rglob("*.png")]
    assert sent
    assert not any(np.array_equal(real, image) for image in sent)
    assert not list(tracked.path.parent.rglob("*real*"))


def test_real_images_are_uploaded_on_request_and_a_process_may_have_two_runs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        callbacks = [
            Run(name=name, root=str(tmp_path), max_images=64),
            Wandb(mode="offline", log_real=True),
            Samples(count=4),
            Evaluation(count=10),
        ]
        trainer = Trainer(callbacks=callbacks, accelerator="cpu", enable_progress_bar=False)
        trainer.fit(DCGAN(image_shape=(1, 8, 8)), datamodule=Digits())
        run = Tracked(tmp_path / name)
        assert run.name == name
        (sent,) = run.images("real")
        np.testing.assert_array_equal(Image.open(sent), Image.open(tmp_path / name / "real.png"))


# Modes


@pytest.fixture
def keyless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    service = "WANDB_SERVICE"  # set by W&B for its own process
    for name in (*(name for name in os.environ if name.startswith("WANDB_") and name != service), "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return monkeypatch


def write_settings(folder: Path, **settings: str) -> None:
    """Write a settings file of W&B, as `wandb offline` and `wandb init` do."""
    folder.mkdir(parents=True)
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    (folder / "settings").write_text("[default]\n" + "".join(lines))


@pytest.mark.parametrize("mode", ["online", "offline", "disabled"])
def test_an_explicit_mode_is_used(mode: Any, keyless: pytest.MonkeyPatch) -> None:
    keyless.setenv("WANDB_MODE", "disabled" if mode != "disabled" else "online")
    assert _resolve_mode(mode) == mode


def test_auto_without_a_key_is_offline(keyless: pytest.MonkeyPatch) -> None:
    assert _resolve_mode("auto") == "offline"


def test_auto_with_a_key_is_online(keyless: pytest.MonkeyPatch) -> None:
    keyless.setenv("WANDB_API_KEY", "0" * 40)
    assert _resolve_mode("auto") == "online"


@pytest.mark.parametrize(
    ("host", "url", "mode"),
    [
        ("api.wandb.ai", None, "online"),
        ("api.forge.coreweave.com", None, "online"),  # where wandb 0.31 stores a key
        ("example.org", None, "offline"),
        ("example.org:8080", "https://example.org:8080/", "online"),
        ("api.wandb.ai", "https://example.org:8080/", "offline"),
    ],
)
@pytest.mark.parametrize("file", [".netrc", "elsewhere"])
def test_auto_with_a_netrc(
    *, host: str, url: str | None, mode: str, file: str, tmp_path: Path, keyless: pytest.MonkeyPatch
) -> None:
    (tmp_path / file).write_text(f"machine {host}\n  login user\n  password {'0' * 40}\n")
    (tmp_path / file).chmod(0o600)
    if file != ".netrc":
        keyless.setenv("NETRC", str(tmp_path / file))
    if url:
        keyless.setenv("WANDB_BASE_URL", url)
    assert _resolve_mode("auto") == mode


def test_a_damaged_netrc_has_no_key(tmp_path: Path, keyless: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("nonsense\n")
    assert _resolve_mode("auto") == "offline"


@pytest.mark.parametrize(
    ("variable", "mode"),
    [("online", "online"), ("run", "online"), ("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")],
)
def test_the_environment_variable_sets_auto(variable: str, mode: str, keyless: pytest.MonkeyPatch) -> None:
    keyless.setenv("WANDB_API_KEY", "0" * 40)
    keyless.setenv("WANDB_MODE", variable)
    assert _resolve_mode("auto") == mode


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({"WANDB_MODE": "OFFLINE"}, "offline"),
        ({"WANDB_MODE": " Disabled "}, "disabled"),
        ({"WANDB_MODE": "DryRun"}, "offline"),
        ({"WANDB_MODE": ""}, "online"),
        ({"WANDB_DISABLED": "true"}, "disabled"),
        ({"WANDB_DISABLED": "1", "WANDB_MODE": "online"}, "disabled"),
        ({"WANDB_DISABLED": "False"}, "online"),
        ({"WANDB_DISABLED": "false", "WANDB_MODE": "offline"}, "offline"),
    ],
)
def test_the_words_of_variables_may_have_any_case(
    variables: dict[str, str], mode: str, keyless: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    keyless.setenv("WANDB_API_KEY", "0" * 40)
    for name, value in variables.items():
        keyless.setenv(name, value)
    assert _resolve_mode("auto") == mode
    assert not recwarn.list


@pytest.mark.parametrize(
    ("variables", "stored", "message"),
    [
        ({"WANDB_MODE": "ofline"}, "", "`WANDB_MODE` must be online, offline or disabled, got 'ofline': the run is"),
        ({"WANDB_MODE": "shared"}, "", "`WANDB_MODE` must be online, offline or disabled, got 'shared'"),
        ({"WANDB_DISABLED": "maybe"}, "", "`WANDB_DISABLED` must be true or false, got 'maybe': the run is stored"),
        ({}, "of", "the setting `mode` of W&B must be online, offline or disabled, got 'of'"),
    ],
)
def test_in_doubt_the_run_is_offline_with_a_warning(
    variables: dict[str, str], stored: str, message: str, tmp_path: Path, keyless: pytest.MonkeyPatch
) -> None:
    keyless.setenv("WANDB_API_KEY", "0" * 40)
    for name, value in variables.items():
        keyless.setenv(name, value)
    if stored:
        write_settings(tmp_path / "work" / "wandb", mode=stored)
    with pytest.warns(UserWarning, match=message) as seen:
        assert _resolve_mode("auto") == "offline"
    assert "\n" not in str(seen[0].message)


def test_online_without_a_key_is_offline_with_a_warning(keyless: pytest.MonkeyPatch) -> None:
    keyless.setenv("WANDB_MODE", "online")
    with pytest.warns(UserWarning, match="there is no API key .* the run is stored offline"):
        assert _resolve_mode("auto") == "offline"


@pytest.mark.parametrize("place", ["work/wandb", ".config/wandb", "other"])
def test_auto_follows_the_files_of_the_command_wandb_offline(
    place: str, tmp_path: Path, keyless: pytest.MonkeyPatch
) -> None:
    keyless.setenv("WANDB_API_KEY", "0" * 40)
    if place == "other":
        keyless.setenv("WANDB_CONFIG_DIR", str(tmp_path / "other"))
    write_settings(tmp_path / place, mode="offline")
    assert _resolve_mode("auto") == "offline"
    assert _resolve_mode("online") == "online"
    keyless.setenv("WANDB_MODE", "disabled")
    assert _resolve_mode("auto") == "disabled"


def test_the_key_belongs_to_the_server_of_the_settings(tmp_path: Path, keyless: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text(f"machine wandb.example.org\n  login user\n  password {'0' * 40}\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert _resolve_mode("auto") == "offline"
    write_settings(tmp_path / ".config" / "wandb", base_url="https://wandb.example.org")
    assert _resolve_mode("auto") == "online"


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="`mode` must be one of auto, online, offline, disabled, got 'OFFLINE'"):
        Wandb(mode="OFFLINE")  # type: ignore[arg-type]


def start(folder: Path, wandb_callback: Wandb, *, name: str | None = None) -> tuple[Any, Path]:
    """Train for one batch, and return the record of the run that W&B has stored, and its file."""
    callbacks = [Run(name=name, root=str(folder / "runs"), max_images=64), wandb_callback, Evaluation(count=10)]
    trainer = Trainer(callbacks=callbacks, accelerator="cpu", enable_progress_bar=False)
    trainer.fit(DCGAN(image_shape=(1, 8, 8)), datamodule=Digits())
    (path,) = folder.rglob("offline-run-*/*.wandb")
    return next(record.run for record in complete_records(path) if record.WhichOneof("record_type") == "run"), path


VARIABLES = {
    "WANDB_PROJECT": "faces",
    "WANDB_ENTITY": "team",
    "WANDB_NAME": "first",
    "WANDB_RUN_GROUP": "group",
    "WANDB_TAGS": "a,b",
    "WANDB_NOTES": "a note",
    "WANDB_RUN_ID": "abc123",
    "WANDB_MODE": "Offline",
}


def test_a_run_has_the_names_of_the_environment(tmp_path: Path, keyless: pytest.MonkeyPatch) -> None:
    for name, value in {**VARIABLES, "WANDB_DIR": str(tmp_path / "elsewhere")}.items():
        keyless.setenv(name, value)
    run, path = start(tmp_path, Wandb())
    assert (run.project, run.entity, run.display_name, run.run_group) == ("faces", "team", "first", "group")
    assert (list(run.tags), run.notes, run.run_id) == (["a", "b"], "a note", "abc123")
    assert path.is_relative_to(tmp_path / "elsewhere")
    assert os.environ["WANDB_MODE"] == "Offline"


def test_options_take_precedence_over_the_environment(tmp_path: Path, keyless: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        keyless.setenv(name, value)
    run, path = start(tmp_path, Wandb(project="p", entity="e", tags=["t"]), name="n")
    assert (run.project, run.entity, run.display_name, list(run.tags)) == ("p", "e", "n", ["t"])
    assert path.is_relative_to(tmp_path / "runs" / "n")


def test_a_run_has_the_project_of_the_settings_file(tmp_path: Path, keyless: pytest.MonkeyPatch) -> None:
    write_settings(tmp_path / "work" / "wandb", project="stored", mode="offline")
    keyless.setenv("WANDB_API_KEY", "0" * 40)
    run, _ = start(tmp_path, Wandb())
    assert run.project == "stored"


def test_an_unreachable_server_causes_one_warning(
    tmp_path: Path, keyless: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    keyless.setenv("WANDB_API_KEY", "0123456789abcdef" * 2 + "01234567")
    keyless.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    wandb.teardown()  # W&B reads the environment once per process: without this it would contact the real server
    try:
        assert wandb.setup().settings.base_url == "http://127.0.0.1:9"
        assert main(["fit", "--run.root", str(tmp_path), *SHORT]) == 0
    finally:
        wandb.teardown()
    (warning,) = [str(w.message) for w in recwarn if "W&B" in str(w.message)]
    assert "the run is stored offline" in warning
    assert "\n" not in warning
    assert Tracked(tmp_path / "x").images("samples")


class Crash(pl.Callback):
    """Kill the service process of W&B once."""

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == 2:
            subprocess.run(["pkill", "-KILL", "-P", str(os.getpid()), "wandb-core"], check=True)
            time.sleep(0.2)


@pytest.mark.skipif(shutil.which("pkill") is None, reason="pkill is not installed")
def test_the_run_continues_offline_when_w_and_b_fails(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    callbacks = [Run(name="a", root=str(tmp_path), max_images=320), Wandb(mode="offline"), Samples(every=64, count=4)]
    trainer = Trainer(callbacks=[*callbacks, Evaluation(count=10), Crash()], accelerator="cpu", log_every_n_steps=1)
    trainer.fit(DCGAN(image_shape=(1, 8, 8)), datamodule=Digits())
    (warning,) = [str(w.message) for w in recwarn if "W&B" in str(w.message)]
    assert warning.endswith("the run continues offline")
    assert "\n" not in warning
    *_, later = sorted((tmp_path / "a").glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    rows = [
        collect(record.history.item)
        for record in complete_records(later)
        if record.WhichOneof("record_type") == "history"
    ]
    images = [row["images_seen"] for row in rows]
    assert (images[0], images[-1]) == (128, 320)
    assert any("samples" in row for row in rows)


def test_training_continues_when_w_and_b_fails_twice(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(wandb, "teardown", lambda: None)

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionResetError("Connection lost")

    failing = SimpleNamespace(define_metric=fail, log=fail, finish=fail)
    logger = ImagesSeenLogger(failing, reopen=lambda: failing)
    for _ in range(3):
        logger.log_metrics({"images_seen": 1.0}, step=1)
    logger.finish()
    assert [str(w.message).rpartition(": ")[2] for w in recwarn] == [
        "the run continues offline",
        "training continues without it",
    ]
