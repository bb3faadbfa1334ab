"""Credentials, kept where Docker keeps them: `config.json`, credential helpers, DOCKER_AUTH_CONFIG.

Nothing here shows a secret: not in a repr, not in an error.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from typing import Any

from builder.errors import RegistryError, UsageError
from builder.value import dataclass, field

HUB = "docker.io"
# Docker's own key for the Hub, from its first days.
HUB_KEY = "https://index.docker.io/v1/"
_LIMIT = 4 << 20
_HELPER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a registry wants to see: a name and password, or a token that stands for them."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)


def key_of(registry: str) -> str:
    """The name under which Docker keeps a registry's credentials."""
    return HUB_KEY if registry == HUB else registry


def find_credentials(
    registry: str, config_path: str | None, auth_config: str | None = None
) -> Credentials | None:
    """The credentials for a registry, None if there are none.

    Looked for in `auth_config` (the text of DOCKER_AUTH_CONFIG), then where `config.json` says: `credHelpers`, `credsStore`,
    `auths`. A `RegistryError` tells of a file that cannot be read or a helper that fails.
    """
    key = key_of(registry)
    if auth_config:
        found = _from_auths(_parse(auth_config, "DOCKER_AUTH_CONFIG"), key)
        if found is not None:
            return found
    config = _load(config_path)
    helper = _helper_for(config, key)
    if helper is not None:
        found = _ask_helper(helper, key)
        if found is not None:
            return found
    return _from_auths(config, key)


def store_credentials(registry: str, credentials: Credentials, config_path: str) -> None:
    """Keep credentials: by the helper that `config.json` names, else in `config.json` itself, readable by its owner only."""
    key, config = key_of(registry), _load(config_path)
    helper = _helper_for(config, key)
    if helper is not None:
        entry = {"ServerURL": key, "Username": credentials.username, "Secret": credentials.password}
        _run_helper(helper, "store", json.dumps(entry))
        return
    pair = f"{credentials.username}:{credentials.password}".encode()
    config.setdefault("auths", {})[key] = {"auth": base64.b64encode(pair).decode()}
    _save(config, config_path)


def erase_credentials(registry: str, config_path: str) -> bool:
    """Forget credentials; False if there were none."""
    key, config = key_of(registry), _load(config_path)
    helper = _helper_for(config, key)
    if helper is not None:
        _run_helper(helper, "erase", key)
    auths = config.get("auths")
    if not isinstance(auths, dict) or key not in auths:
        return helper is not None
    del auths[key]
    _save(config, config_path)
    return True


def _parse(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise RegistryError(f"{what} is no JSON", hint="log in again, or repair it") from None
    if not isinstance(value, dict):
        raise RegistryError(f"{what} holds no object")
    return value


def _load(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            return _parse(stream.read(_LIMIT), path)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RegistryError(f'the credentials in "{path}" cannot be read: {reason}') from None


def _save(config: dict[str, Any], path: str) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as stream:
            json.dump(config, stream, indent="\t")
        os.replace(temporary, path)
    except OSError as error:
        raise RegistryError(f'the credentials cannot be kept in "{path}": {error.strerror}') from None


def _from_auths(config: dict[str, Any], key: str) -> Credentials | None:
    auths = config.get("auths")
    if not isinstance(auths, dict):
        return None
    entry = auths.get(key)
    if entry is None:  # older files have URLs as keys
        hosts = {str(name).split("://")[-1].split("/")[0]: value for name, value in auths.items()}
        entry = hosts.get(key.rsplit("://", maxsplit=1)[-1].split("/", maxsplit=1)[0])
    if not isinstance(entry, dict):
        return None
    username, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        try:
            text = base64.b64decode(str(entry["auth"]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise RegistryError(f"the credentials for {key} cannot be decoded", hint="log in again") from None
        username, _, password = text.partition(":")
    found = Credentials(
        username,
        password.rstrip("\0"),
        str(entry.get("identitytoken", "")),
        str(entry.get("registrytoken", "")),
    )
    return None if found == Credentials() else found


def _helper_for(config: dict[str, Any], key: str) -> str | None:
    helpers = config.get("credHelpers")
    name = helpers.get(key) if isinstance(helpers, dict) else None
    name = name or config.get("credsStore")
    if not name:
        return None
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"not the name of a credential helper: {str(name)[:60]!r}")
    return f"docker-credential-{name}"


def _run_helper(helper: str, action: str, text: str) -> str | None:
    """What a helper answers, None if it knows nothing of the registry."""
    import subprocess

    try:
        done = subprocess.run(
            [helper, action], input=text, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=False
        )
    except FileNotFoundError:
        raise RegistryError(
            f"the credential helper {helper} is not installed",
            hint="install it, or take it out of config.json",
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryError(f"the credential helper {helper} failed: {type(error).__name__}") from None
    if done.returncode == 0:
        return done.stdout
    if "not found" in done.stdout + done.stderr:
        return None
    raise RegistryError(f"the credential helper {helper} failed with status {done.returncode}")


def _ask_helper(helper: str, key: str) -> Credentials | None:
    answer = _run_helper(helper, "get", key)
    if answer is None:
        return None
    entry = _parse(answer, f"the answer of {helper}")
    username, secret = str(entry.get("Username", "")), str(entry.get("Secret", ""))
    if not secret:
        return None
    if username == "<token>":
        return Credentials(identity_token=secret)
    return Credentials(username, secret)
