"""`--secret`: where the value comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.cli.secrets import read_secret
from builder.errors import UsageError


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder has the files `token` and `other`."""
    monkeypatch.chdir(tmp_path)
    Path("token").write_text("of the file token")
    Path("other").write_text("of the file other")


@pytest.mark.parametrize(
    ("text", "env", "expected"),
    [
        ("id=token", {}, "of the file token"),
        ("id=token", {"token": "of the variable"}, "of the variable"),
        ("id=token", {"token": ""}, ""),
        ("id=token,type=file", {"token": "of the variable"}, "of the file token"),
        ("id=token,src=other", {"token": "x", "other": "y"}, "of the file other"),
        ("id=token,source=other", {}, "of the file other"),
        ("id=token,env=E", {"E": "of E", "token": "x"}, "of E"),
        ("id=token,type=env", {"token": "of the variable"}, "of the variable"),
        ("id=token,type=env,src=E", {"E": "of E"}, "of E"),
        ("src=token", {}, "of the file token"),
        ('"id=token"', {}, "of the file token"),
        ("ID=token", {}, "of the file token"),
    ],
)
def test_where_a_value_comes_from(text: str, env: dict[str, str], expected: str) -> None:
    assert read_secret(text, env) == ("token", expected.encode())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unknown field"),
        ("id=", "no id"),
        ("id=nosuch", '"nosuch" cannot be read'),
        ("id=a,env=NOSUCH", "NOSUCH is not set"),
        ("id=a,type=env", "variable a is not set"),
        ("id=a,type=vault", 'no type "vault"'),
        ("id=a,colour=red", "unknown field"),
        ("id=large", "larger than 512000 bytes"),
    ],
)
def test_what_is_no_secret(text: str, words: str) -> None:
    Path("large").write_bytes(bytes(500 * 1024 + 1))
    with pytest.raises(UsageError) as caught:
        read_secret(text, {})
    assert words in str(caught.value)


def test_the_largest_secret() -> None:
    Path("large").write_bytes(bytes(500 * 1024))
    assert len(read_secret("id=large", {})[1]) == 500 * 1024
