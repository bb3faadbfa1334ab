"""Where credentials come from, and in which order."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from builder.errors import RegistryError
from builder.registry.auth import Credentials, erase_credentials, find_credentials, key_of, store_credentials

HUB_KEY = "https://index.docker.io/v1/"


def entry(name: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper called `test` that knows `known.example`; the file it writes what it is asked to."""
    program, log = tmp_path / "docker-credential-test", tmp_path / "asked"
    program.write_text(
        f'#!/bin/sh\nread host; echo "$1 $host" >> {log}\ncase $host in\n'
        'known.example) echo \'{"Username": "helped", "Secret": "h"}\' ;;\n'
        'token.example) echo \'{"Username": "<token>", "Secret": "t"}\' ;;\n'
        '*) echo "credentials not found in native keychain"; exit 1 ;;\nesac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return log


def config(tmp_path: Path, **fields: object) -> str:
    (tmp_path / "config.json").write_text(json.dumps(fields))
    return str(tmp_path / "config.json")


def test_the_hub_is_kept_under_dockers_own_key(tmp_path: Path) -> None:
    assert key_of("docker.io") == HUB_KEY
    path = config(tmp_path, auths={HUB_KEY: entry("me", "a:b")})
    assert find_credentials("docker.io", path) == Credentials("me", "a:b")
    store_credentials("docker.io", Credentials("you", "c"), path)
    assert json.loads((tmp_path / "config.json").read_text())["auths"] == {HUB_KEY: entry("you", "c")}
    assert erase_credentials("docker.io", path)
    assert find_credentials("docker.io", path) is None


def test_the_environment_comes_before_helpers_and_these_before_the_file(tmp_path: Path, helper: Path) -> None:
    path = config(tmp_path, credsStore="test", auths={"known.example": entry("filed", "f")})
    given = json.dumps({"auths": {"known.example": entry("given", "g")}})
    assert find_credentials("known.example", path, given) == Credentials("given", "g")
    assert not helper.exists()
    assert find_credentials("known.example", path) == Credentials("helped", "h")
    assert find_credentials("known.example", path, json.dumps({"auths": {}})) == Credentials("helped", "h")


def test_a_helper_that_knows_nothing_leaves_it_to_the_file(tmp_path: Path, helper: Path) -> None:
    path = config(
        tmp_path, credHelpers={"other.example": "test"}, auths={"other.example": entry("filed", "f")}
    )
    assert find_credentials("other.example", path) == Credentials("filed", "f")
    assert helper.read_text() == "get other.example\n"


def test_a_helper_may_give_a_token(tmp_path: Path, helper: Path) -> None:
    path = config(tmp_path, credHelpers={"token.example": "test"})
    assert find_credentials("token.example", path) == Credentials(identity_token="t")


def test_fields_that_are_not_known_are_no_reason_to_stop() -> None:
    text = json.dumps({"auths": {"r.example": {**entry("me", "p"), "email": "e"}}, "HttpHeaders": {}})
    assert find_credentials("r.example", None, text) == Credentials("me", "p")


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"r.example": {"auth": "%%"}}}'])
def test_what_cannot_be_read_is_told_without_its_text(text: str) -> None:
    with pytest.raises(RegistryError) as caught:
        find_credentials("r.example", None, text)
    assert "%%" not in str(caught.value)


def test_credentials_show_no_secret() -> None:
    shown = repr(Credentials("me", "pass", "identity", "token"))
    assert not any(secret in shown for secret in ("pass", "identity", "token=")), shown
