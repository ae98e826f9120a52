"""The settings of Weights & Biases that a user has made: environment variables, and the files of `wandb offline`."""

import netrc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pytorch_lightning.utilities import rank_zero_warn

ResolvedMode = Literal["online", "offline", "disabled"]

WANDB_MODES: dict[str, ResolvedMode] = {
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
"""Values of the setting `mode` of W&B, including its old names, and the modes that they mean."""

MAX_NAME = 128
"""Maximum number of characters of the name of a project."""

_FORBIDDEN = "/\\#?%:"
"""Characters that W&B forbids in the names of projects and in the ids of runs."""

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def read_setting(name: str) -> str | None:
    """Read a setting from its environment variable, or else from the settings files of W&B.

    The files are `wandb/settings` in the current folder, as written by `wandb offline` and `wandb init`, and
    `~/.config/wandb/settings`.

    Args:
        name: Name of the setting, such as "project".
    """
    return os.environ.get(f"WANDB_{name.upper()}") or _read_files().get(name) or None


def _read_files() -> dict[str, str]:
    import wandb  # noqa: PLC0415 (the import takes a second)

    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or Path("~", ".config", "wandb")).expanduser()
    return wandb.Settings(settings_system=str(folder / "settings")).read_system_settings().all()


def check_name(source: str, name: str | None) -> None:
    """Check that W&B accepts the name of a project or the id of a run.

    Args:
        source: Option or setting of the name, for the message.
        name: The name; None if there is none.

    Raises:
        ValueError: The name has a forbidden character, or more than 128 characters.
    """
    if name is not None and (set(name) & set(_FORBIDDEN) or len(name) > MAX_NAME):
        raise ValueError(
            f"{source} must have at most {MAX_NAME} characters, none of them {' '.join(_FORBIDDEN)}, got {name!r}"
        )


def resolve_mode() -> ResolvedMode:
    """Find the mode that the settings of W&B and the API key select; in doubt it is "offline", with a warning.

    The order is `WANDB_DISABLED`, `WANDB_MODE`, and the setting `mode` of the files. Without any of them, the mode is
    "online" with an API key, and "offline" without. Upper and lower case are equal.
    """
    disabled = os.environ.get("WANDB_DISABLED", "").strip().lower()
    if disabled and _BOOLEANS.get(disabled, False):
        return "disabled"
    if disabled and disabled not in _BOOLEANS:
        return _offline(f"`WANDB_DISABLED` must be true or false, got {disabled!r}")
    given = (read_setting("mode") or "").strip()
    if not given:
        return "online" if _has_credentials() else "offline"
    mode = WANDB_MODES.get(given.lower())
    if mode is None:
        source = "`WANDB_MODE`" if os.environ.get("WANDB_MODE") else "the setting `mode` of W&B"
        return _offline(f"{source} must be online, offline or disabled, got {given!r}")
    if mode == "online" and not _has_credentials():
        return _offline("W&B is to be online, but there is no API key (`wandb login` stores it)")
    return mode


def _offline(reason: str) -> ResolvedMode:
    rank_zero_warn(f"{reason}: the run is stored offline")
    return "offline"


@contextmanager
def valid_mode_variable(mode: ResolvedMode) -> Iterator[None]:
    """Replace a value of `WANDB_MODE` that W&B would not accept, in a `with` block.

    Args:
        mode: The mode that the variable means.
    """
    given = os.environ.get("WANDB_MODE")
    if given is None or given in WANDB_MODES:
        yield
        return
    os.environ["WANDB_MODE"] = mode
    try:
        yield
    finally:
        os.environ["WANDB_MODE"] = given


def _has_credentials() -> bool:
    """Check for credentials without connecting to the server; `wandb.login` connects, and can wait for minutes."""
    if read_setting("api_key") or read_setting("identity_token_file"):
        return True
    import wandb  # noqa: PLC0415 (the import takes a second)

    base_url = read_setting("base_url")
    hosts = [urlsplit(base_url).netloc] if base_url else [urlsplit(wandb.Settings().base_url).netloc, "api.wandb.ai"]
    for path in (os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"):
        try:
            keys = netrc.netrc(path) if path else None
        except (OSError, netrc.NetrcParseError):
            continue
        if keys is not None:
            return any(keys.authenticators(host) for host in hosts)
    return False
