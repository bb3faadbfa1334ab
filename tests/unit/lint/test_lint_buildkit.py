"""BuildKit's rules: what they report, where, and in which words."""

from __future__ import annotations

import pytest
from linting import AMD64, findings, short

from builder.buildfile.ignorefile import read_ignore_file
from builder.image.config import ImageConfig
from builder.lint.buildkit import RULES
from builder.lint.meaning import suggestion

NAMES = [rule.name for rule in RULES]


def of_buildkit(text: str, **options: object) -> list[tuple[str, int, str, str]]:
    return [item for item in short(text, **options) if item[0] in NAMES]


def one(rule: str, line: int, words: str, message: str) -> list[tuple[str, int, str, str]]:
    return [(rule, line, words, message)]


def undefined(line: int, words: str, name: str, near: str = "") -> list[tuple[str, int, str, str]]:
    hint = f" (did you mean ${near}?)" if near else ""
    return one("UndefinedVar", line, words, f"Usage of undefined variable '${name}'{hint}")


def casing(line: int, word: str, majority: str) -> list[tuple[str, int, str, str]]:
    message = f"Command '{word}' should match the case of the command majority ({majority})"
    return one("ConsistentInstructionCasing", line, word, message)


def secret(line: int, kind: str, name: str, words: str | None = None) -> list[tuple[str, int, str, str]]:
    message = f'Do not use ARG or ENV instructions for sensitive data ({kind} "{name}")'
    return one("SecretsUsedInArgOrEnv", line, words or name, message)


def ignored(line: int, verb: str, words: str, path: str) -> list[tuple[str, int, str, str]]:
    message = f'Attempting to {verb} file "{path}" that is excluded by .dockerignore'
    return one("CopyIgnoredFile", line, words, message)


SIGNALS = "to prevent unintended behavior related to OS signals"
CASES = {
    # names and casing
    "FROM scratch AS Big": one("StageNameCasing", 1, "Big", "Stage name 'Big' should be lowercase"),
    "FROM scratch as a": one("FromAsCasing", 1, "as", "'as' and 'FROM' keywords' casing do not match"),
    "from scratch AS a": one("FromAsCasing", 1, "AS", "'AS' and 'from' keywords' casing do not match"),
    "FROM scratch \\\n  as as": one("FromAsCasing", 1, "as", "'as' and 'FROM' keywords' casing do not match"),
    "from scratch as a\nFROM a AS b": casing(1, "from", "uppercase"),
    "From scratch as a\nFROM scratch AS b": casing(1, "From", "uppercase"),
    "frOM scratch as a\nfrom scratch as b": casing(1, "frOM", "lowercase"),
    "FROM scratch\ncopy a /b\nCOPY a /c": casing(2, "copy", "uppercase"),
    "from scratch\nCOPY a /b\ncopy a /c": casing(2, "COPY", "lowercase"),
    "FROM scratch\n  copy a /b\nCOPY a /c": casing(2, "copy", "uppercase"),
    "FROM scratch\nonbuild RUN x\nUSER 1": casing(2, "onbuild", "uppercase"),
    "arg a=1\nFROM scratch": [],  # lines before the first FROM are not counted
    "FROM scratch\nRUN <<EOT\nenv\nEOT": [],
    "FROM scratch AS b\nFROM scratch AS b": one(
        "DuplicateStageName", 2, "b", 'Duplicate stage name "b", stage names should be unique'
    ),
    "FROM scratch AS context": one(
        "ReservedStageName",
        1,
        "context",
        'Stage name should not use the same name as reserved stage "context"',
    ),
    "FROM scratch AS b1\nFROM b1 AS b2": [],
    # forms
    "FROM scratch\nCOPY a \\\n\n\n  /b\nUSER 1": [("NoEmptyContinuation", 5, "", "Empty continuation line")],
    "FROM scratch\nCOPY a \\\n# text\n  /b": [],
    "FROM scratch\nRUN <<A\n\nA": [],
    "FROM scratch\nCMD run it": one(
        "JSONArgsRecommended", 2, "CMD run it", f"JSON arguments recommended for CMD {SIGNALS}"
    ),
    "FROM scratch\nENTRYPOINT run": one(
        "JSONArgsRecommended", 2, "ENTRYPOINT run", f"JSON arguments recommended for ENTRYPOINT {SIGNALS}"
    ),
    'FROM scratch\nCMD ["run"]\nHEALTHCHECK CMD run': [],
    'FROM scratch\nSHELL ["/sh"]\nCMD run': [],
    'FROM scratch AS a\nSHELL ["/sh"]\nFROM a\nENTRYPOINT run': [],
    'FROM scratch AS a\nSHELL ["/sh"]\nFROM scratch\nCMD run': one(
        "JSONArgsRecommended", 4, "CMD run", f"JSON arguments recommended for CMD {SIGNALS}"
    ),
    "FROM scratch\nMAINTAINER me": one(
        "MaintainerDeprecated",
        2,
        "MAINTAINER me",
        "Maintainer instruction is deprecated in favor of using label",
    ),
    "FROM scratch\nENV a b c": one(
        "LegacyKeyValueFormat",
        2,
        "ENV a b c",
        '"ENV key=value" should be used instead of legacy "ENV key value" format',
    ),
    "FROM scratch\nLABEL a b": one(
        "LegacyKeyValueFormat",
        2,
        "LABEL a b",
        '"LABEL key=value" should be used instead of legacy "LABEL key value" format',
    ),
    'FROM scratch\nENV a="b c" d=e\nLABEL a=b': [],
    'FROM scratch\nCMD ["a"]\nCMD ["b"]': one(
        "MultipleInstructionsDisallowed",
        2,
        'CMD ["a"]',
        "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    ),
    "FROM scratch\nHEALTHCHECK NONE\nUSER 1\nHEALTHCHECK NONE": one(
        "MultipleInstructionsDisallowed",
        2,
        "HEALTHCHECK NONE",
        "Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used",
    ),
    'FROM scratch AS a\nCMD ["a"]\nFROM a\nCMD ["b"]': [],
    # FROM
    "FROM scratch${SFX}": one("UndefinedArgInFrom", 1, "${SFX}", "FROM argument 'SFX' is not declared"),
    "FROM --platform=$BULIDPLATFORM scratch": one(
        "UndefinedArgInFrom",
        1,
        "$BULIDPLATFORM",
        "FROM argument 'BULIDPLATFORM' is not declared (did you mean BUILDPLATFORM?)",
    ),
    "ARG MY_ARCH=amd64\nFROM --platform=linux/${MYARCH} busybox:1": one(
        "UndefinedArgInFrom", 2, "${MYARCH}", "FROM argument 'MYARCH' is not declared (did you mean MY_ARCH?)"
    ),
    "ARG tag=1\nFROM busybox:${tag}${version} AS b": one(
        "UndefinedArgInFrom", 2, "${version}", "FROM argument 'version' is not declared"
    ),
    "ARG DEBUG\nFROM scra${DEBUG:-tch}": [],
    "ARG DEBUG\nFROM scratch${DEBUG}": [],
    "FROM --platform=$BUILDPLATFORM scratch": [],
    "ARG V\nFROM busybox:$V": one(
        "InvalidDefaultArgInFrom",
        2,
        "busybox:$V",
        "Default value for ARG busybox:$V results in empty or invalid base image name",
    ),
    "ARG IMAGE\nFROM $IMAGE": one(
        "InvalidDefaultArgInFrom",
        2,
        "$IMAGE",
        "Default value for ARG $IMAGE results in empty or invalid base image name",
    ),
    'ARG S="box:"\nFROM busy${S}': one(
        "InvalidDefaultArgInFrom",
        2,
        "busy${S}",
        "Default value for ARG busy${S} results in empty or invalid base image name",
    ),
    "ARG V\nFROM busybox:stable$V": [],
    "FROM --platform=${TARGETPLATFORM} scratch": one(
        "RedundantTargetPlatform",
        1,
        "${TARGETPLATFORM}",
        "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior",
    ),
    "FROM --platform=$TARGETOS/$TARGETARCH scratch": [],
    "FROM --platform=linux/arm64 scratch": one(
        "FromPlatformFlagConstDisallowed",
        1,
        "linux/arm64",
        'FROM --platform flag should not use constant value "linux/arm64"',
    ),
    "FROM --platform=linux/arm64 scratch AS my-arm64": [],
    "FROM --platform=linux/arm64 scratch AS linux": [],
    "ARG P=linux/arm64\nFROM --platform=$P scratch": [],
    # paths, ports, secrets
    "FROM scratch\nWORKDIR app/": one(
        "WorkdirRelativePath",
        2,
        "app/",
        'Relative workdir "app/" can have unexpected results if the base image changes',
    ),
    "FROM scratch\nARG D=app\nWORKDIR $D/x": one(
        "WorkdirRelativePath",
        3,
        "$D/x",
        'Relative workdir "app/x" can have unexpected results if the base image changes',
    ),
    "FROM scratch AS a\nWORKDIR /app\nFROM a\nWORKDIR sub": [],
    "FROM scratch\nARG D=/app\nWORKDIR $D": [],
    "FROM scratch\nEXPOSE 80/TcP 81/tcp 8080-8081/UDP": [
        (
            "ExposeProtoCasing",
            2,
            "80/TcP",
            "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
        ),
        (
            "ExposeProtoCasing",
            2,
            "8080-8081/UDP",
            "Defined protocol '8080-8081/UDP' in EXPOSE instruction should be lowercase",
        ),
    ],
    "FROM scratch\nEXPOSE 127.0.0.1:80:80 [::1]:8080:8080 5000:5000 8000": [
        (
            "ExposeInvalidFormat",
            2,
            port,
            f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'",
        )
        for port in ("127.0.0.1:80:80", "[::1]:8080:8080", "5000:5000")
    ],
    'FROM scratch\nARG P="80 1:2"\nEXPOSE $P': one(
        "ExposeInvalidFormat",
        3,
        "$P",
        "EXPOSE instruction should not define an IP address or host-port mapping, found '1:2'",
    ),
    "FROM scratch\nARG SECRET_PASSPHRASE": secret(2, "ARG", "SECRET_PASSPHRASE"),
    "FROM scratch\nENV SUPER_Secret=foo": secret(2, "ENV", "SUPER_Secret"),
    "FROM scratch\nENV password=bar secret=baz": secret(2, "ENV", "password") + secret(2, "ENV", "secret"),
    "FROM scratch\nARG super_token=foo auth=bar": secret(2, "ARG", "super_token", "super_token=foo")
    + secret(2, "ARG", "auth", "auth=bar"),
    "FROM scratch\nENV git_key= sunflower=foo": secret(2, "ENV", "git_key"),
    "FROM scratch\nENV PUBLIC_KEY=\nARG KEY_FILE AUTH_VERSION\nENV secrets=1 keys=2 MONKEY=3": [],
    "ARG TOKEN\nFROM scratch": [],  # BuildKit looks at stages only
    # variables
    "FROM scratch\nCOPY $foo .": undefined(2, "$foo", "foo"),
    "FROM scratch\nCOPY $foo ${foo} $foo/": [
        *undefined(2, "$foo", "foo"),
        *undefined(2, "${foo}", "foo"),
        *undefined(2, "$foo", "foo"),
    ],
    "FROM scratch\nARG foo\nCOPY a$foo .": [],
    "FROM scratch AS a\nARG foo=a\nFROM a\nCOPY $foo .": [],
    "FROM scratch\nRUN echo $foo": [],
    "FROM scratch\nRUN --mount=type=cache,target=/a,id=$foo x": undefined(2, "$foo", "foo"),
    'FROM scratch\nCOPY ["a", "${foo}"]': undefined(2, "${foo}", "foo"),
    "FROM scratch\nCOPY a \\\n  b$foo /c/": undefined(2, "$foo", "foo"),
    "FROM scratch\nCOPY --chown=$who a /": undefined(2, "$who", "who"),
    "FROM scratch\nCOPY ${foo:-a} /b": undefined(2, "${foo", "foo"),
    "FROM scratch\nENV A=${PATH:-$foo}": undefined(2, "$foo", "foo"),
    "FROM scratch\nENV PATH=$PAHT:/bin": undefined(2, "$PAHT", "PAHT", "PATH"),
    "FROM scratch\nENV A=1 B=$A": undefined(2, "$A", "A"),
    "FROM scratch\nENV A=1\nENV B=$A C=\\$x D='$y'": [],
    "FROM scratch\nARG A=1 B=$A": [],
    "FROM scratch\nARG B=$A A=1": undefined(2, "$A", "A"),
    "FROM scratch\nCOPY <<E /a\n$foo\nE": undefined(2, "$foo", "foo"),
    "FROM scratch\nCOPY <<'E' /a\n$foo\nE": [],
    "FROM scratch AS a\nCOPY $foo .\nFROM scratch\nCOPY $bar .": undefined(2, "$foo", "foo")
    + undefined(4, "$bar", "bar"),
    "FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=1\nCOPY $BUILDKIT_SBOM_SCAN_STAGE /": [],
    # … of images whose variables nobody knows here
    "FROM alpine:3\nENV P=$JAVA_HOME/bin:$PATH": [],
    "FROM alpine:3\nCOPY $foo .\nARG foo=bar": undefined(2, "$foo", "foo"),
    "ARG VERSION=1\nFROM alpine:3\nLABEL v=$VERSION": undefined(3, "$VERSION", "VERSION"),
    "FROM alpine:3\nLABEL v=$TARGETARCH": undefined(2, "$TARGETARCH", "TARGETARCH"),
    "FROM alpine:3\nARG DIR_ASSETS=a/\nCOPY $DIR_ASSET .": undefined(
        3, "$DIR_ASSET", "DIR_ASSET", "DIR_ASSETS"
    ),
    "FROM alpine:3\nWORKDIR $BASE_DIR": [],
}


@pytest.mark.parametrize("text", CASES)
def test_the_findings_of_a_file(text: str) -> None:
    wanted = CASES[text]
    if "COPY <<E " in text:
        wanted = [(rule, line, "$foo\nE", message) for rule, line, _, message in wanted]
    if "\n\n\n" in text:  # an empty line has no words
        assert [(item.rule, item.span.line, item.lines, item.message) for item in findings(text)] == [
            ("NoEmptyContinuation", 3, (5, 5), "Empty continuation line")
        ]
        return
    assert of_buildkit(text) == wanted


def test_all_rules_are_there_with_their_pages() -> None:
    assert len(RULES) == 22
    pages = {rule.name: rule.url for rule in RULES}
    assert pages.pop("InvalidBaseImagePlatform") == ""
    start = "https://docs.docker.com/go/dockerfile/rule/"
    for name, url in pages.items():
        assert url.startswith(start) and url.endswith("/")
        assert url.removeprefix(start).replace("-", "").rstrip("/") == name.lower()


IGNORED = {
    ("Dockerfile\n", "COPY Dockerfile /\nADD Dockerfile /w"): ignored(2, "Copy", "Dockerfile", "Dockerfile")
    + ignored(3, "Add", "Dockerfile", "Dockerfile"),
    ("a\n", "COPY ./a/b c /d/"): ignored(2, "Copy", "./a/b", "a/b"),
    ("a\n", "COPY /a /d"): ignored(2, "Copy", "/a", "/a"),
    ("*/tmp/*\n", "COPY x/tmp/y /"): ignored(2, "Copy", "x/tmp/y", "x/tmp/y"),
    ("a\n", "COPY --from=x a /\nADD https://a/a /"): [],
    ("**\n!a\n", "COPY b /"): [],
    ("a\n", "COPY b /"): [],
    (".*\n", "COPY . /"): [],
    ("*\n", "COPY . /"): ignored(2, "Copy", ".", "."),
    ("# a\n", "COPY a /"): [],
    ("[\n", "COPY a /"): [],  # building tells that the pattern is wrong
}


@pytest.mark.parametrize(("ignore", "lines"), IGNORED)
def test_copy_of_ignored_files(ignore: str, lines: str) -> None:
    rules = read_ignore_file(ignore.encode())
    found = of_buildkit(f"FROM scratch\n{lines}\n", ignore=rules)
    assert [item for item in found if item[0] == "CopyIgnoredFile"] == IGNORED[ignore, lines]


def test_what_a_caller_says_counts() -> None:
    text = "FROM scratch\nARG a=$b\nCOPY $a /x"
    assert of_buildkit(text) == undefined(2, "$b", "b")
    assert of_buildkit(text, build_args={"a": "1"}) == []
    text = "ARG V\nFROM alpine:$V\n"
    assert [item[0] for item in of_buildkit(text, build_args={"V": "3"})] == ["InvalidDefaultArgInFrom"]


def test_only_the_stages_that_are_needed_are_gone_through() -> None:
    text = "FROM scratch AS A\nENV a b\nFROM scratch\nENV c d\n"
    assert [item[:2] for item in of_buildkit(text, stages=frozenset({1}))] == [
        ("StageNameCasing", 1),
        ("LegacyKeyValueFormat", 4),
    ]


def test_a_base_that_is_known() -> None:
    base = ImageConfig(env=(("HOME_DIR", "/h"),), shell=("/sh",), architecture="arm64", variant="v8")
    text = "FROM example/app:1\nENV A=$HOME_DIR B=$nothing\nCMD run\n"
    found = of_buildkit(text, bases={"example/app:1": base}, platform=AMD64)
    message = 'Base image example/app:1 was pulled with platform "linux/arm64", expected "linux/amd64" for current build'
    assert found == [
        ("InvalidBaseImagePlatform", 1, "example/app:1", message),
        *undefined(2, "$nothing", "nothing"),
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# foo this\nARG foo=1\n# base is\nFROM scratch AS base\n", []),
        ("# foo this\n\nARG foo=1\nFROM scratch\n", []),
        ("# text\n#\nARG foo=1\nFROM scratch\n", []),
        ("# text\nFROM scratch\n", []),
        ("# text\n# foo is\nARG foo=1\nFROM scratch\n", []),
        ("FROM scratch\n# b is\nARG a b=1\n# more\nCOPY a /\n", []),
        ("# text\nARG foo=1\nFROM scratch\n", [(3, "`# foo <description>`", "ARG")]),
        ("# BasE is\nFROM scratch AS base\n", [(3, "`# base <description>`", "FROM")]),
        ("FROM scratch\n# text\nARG a b=1\n", [(4, "`# <arg_key> <description>`", "ARG")]),
    ],
)
def test_descriptions(text: str, wanted: list[tuple[int, str, str]]) -> None:
    found = short(f"# check=experimental=InvalidDefinitionDescription\n{text}")
    assert [item for item in found if item[0] == "InvalidDefinitionDescription"] == [
        (
            "InvalidDefinitionDescription",
            line,
            kind,
            f"Comment for {kind} should follow the format: {form}",
        )
        for line, form, kind in wanted
    ]
    assert "InvalidDefinitionDescription" not in {item[0] for item in short(text)}


@pytest.mark.parametrize(
    ("name", "known", "wanted"),
    [
        ("PAHT", ["PATH"], "PATH"),
        ("abc", ["abx", "aby"], "abx"),
        ("abc", ["axx", "abx"], "abx"),
        ("abcd", ["x", "abzzz"], ""),
        ("a", [], ""),
    ],
)
def test_suggestions(name: str, known: list[str], wanted: str) -> None:
    assert suggestion(name, known) == (f" (did you mean {wanted}?)" if wanted else "")


def test_names_in_small_letters_and_numbers_are_set_by_no_base():
    text = "FROM alpine\nCOPY $foo .\nENV A=$JAVA_HOME/x B=$1\nCOPY <<E /x\n$uri $HOME\nE\n"
    shown = [found.message for found in findings(text, "UndefinedVar")]
    assert shown == [f"Usage of undefined variable '${name}'" for name in ("foo", "1", "uri")]


def test_each_word_that_uses_a_variable_is_told() -> None:
    text = "FROM scratch\nCOPY $a $a /$b$b/\nENV x=$c y=$c\nLABEL $d=$d\nCOPY <<E <<F /z\n$e $e\nE\n$e\nF\n"
    found = findings(text, "UndefinedVar")
    assert [(one.span.line, one.span.column) for one in found] == [
        *((2, 6), (2, 9), (2, 13), (3, 7), (3, 12), (4, 7), (4, 10), (6, 1), (8, 1)),
    ]


def test_variables_of_expose_are_not_looked_at() -> None:
    assert of_buildkit("FROM scratch\nEXPOSE ${NP:-90}/udp $NONE") == []
