"""Rules on habits: beside the examples of docs/checks.md, the cases that decide."""

from __future__ import annotations

import pytest
from linting import short

from builder.image.config import ImageConfig

FIRES = {
    "DL3001": [("RUN ssh host", "ssh host"), ("RUN a; /usr/bin/top -n1", "/usr/bin/top -n1"), ("ONBUILD RUN vim x", "vim x")],
    "DL3002": [("USER root:x", "root:x"), ("USER 0", "0"), ("USER 1\nUSER 0:0", "0:0"), ("ARG U=root\nUSER $U", "$U")],
    "DL3003": [("RUN a && (cd b; c)", "cd b"), ("RUN <<E\ncd /x\nE", "cd /x")],
    "DL3004": [("RUN a || sudo b", "sudo b"), ('RUN ["sudo", "a"]', 'RUN ["sudo", "a"]')],
    "DL3007": [("FROM $X:latest", "$X:latest")],
    "DL3008": [("RUN apt-get -y install a b=1 -t stable c", "apt-get -y install a b=1 -t stable c")],
    "DL3009": [("RUN apt-get update", "apt-get update"), ("RUN apt-get update && rm -rf /tmp/x", "apt-get update"), ("FROM debian:12 AS a\nRUN apt-get update\nFROM a", "apt-get update")],
    "DL3010": [("COPY a.tgz /\nRUN tar xzf a.tgz", "a.tgz"), ("COPY x/a.gz /b/\nRUN gunzip /b/a.gz", "x/a.gz")],
    "DL3011": [("EXPOSE 1 65536", "65536"), ("EXPOSE 80/http", "80/http")],
    "DL3013": [
        ("RUN pip3 install a==1 b", "pip3 install a==1 b"),
        ("RUN python3 -m pip install -i http://x a", "python3 -m pip install -i http://x a"),
        ("RUN pip install git+https://x/y", "pip install git+https://x/y"),
        ("RUN pip install a>=1", "pip install a"),  # to the shell this is a redirection
    ],
    "DL3014": [("RUN apt-get install -q a", "apt-get install -q a")],
    "DL3015": [("RUN apt-get install -y a", "apt-get install -y a")],
    "DL3016": [("RUN npm install -g @scope/a b@1", "npm install -g @scope/a b@1"), ("RUN npm install git://a/b", "npm install git://a/b")],
    "DL3018": [("RUN apk add -t deps a", "apk add -t deps a")],
    "DL3019": [("RUN apk --update add a", "apk --update add a")],
    "DL3020": [("ADD a /b/", "ADD"), ("ADD a.tar b /c/", "ADD"), ("add a /b", "add")],
    "DL3022": [("COPY --from=x a /b", "COPY --from=x a /b"), ("COPY --from=1 a /b", "COPY --from=1 a /b")],
    "DL3027": [("RUN apt install a", "apt install a")],
    "DL3028": [("RUN gem i a", "gem i a")],
    "DL3032": [("RUN yum clean all && yum install -y a-1", "yum install -y a-1")],
    "DL3033": [("RUN yum install -y a-b", "yum install -y a-b")],
    "DL3034": [("RUN zypper rm a", "zypper rm a")],
    "DL3040": [("RUN microdnf install -y a-1", "microdnf install -y a-1")],
    "DL3041": [("RUN microdnf install a", "microdnf install a")],
    "DL3042": [("RUN python -m pip install -r x", "python -m pip install -r x"), ("ENV PIP_NO_CACHE_DIR=0\nRUN pip install .", "pip install .")],
    "DL3045": [("COPY a b", "b"), ("ADD a.tar b", "b")],
    "DL3046": [("RUN useradd --uid=1234567 a", "useradd --uid=1234567 a")],
    "DL3047": [("RUN wget u", "wget u")],
    "DL3059": [("RUN a\nRUN b", "RUN"), ("RUN a\n# text\nRUN b", "RUN")],
    "DL3060": [("RUN yarn install", "yarn install")],
    "DL3062": [("RUN go install a/b", "go install a/b")],
    "DL3066": [("USER me:1", "me:1")],
    "DL3067": [("COPY --from=x:1 / /", "COPY --from=x:1 / /")],
    "DL4001": [("RUN wget -q a\nRUN curl b", "curl b")],
    "DL4005": [("RUN ln -sf /bin/bash /bin/sh", "ln -sf /bin/bash /bin/sh")],
    "DL4006": [("RUN a | b | c", "a"), ("RUN a && b|c", "b"), ('SHELL ["/bin/bash", "-c"]\nRUN a | b', "a")],
}  # fmt: skip

QUIET = {
    "DL3001": ["RUN echo top", "RUN cat top", 'RUN "a b" vim'],
    "DL3002": ["USER root\nUSER 1", "USER roots", "USER $X", "RUN x"],
    "DL3003": ["RUN echo cd", "RUN cat <<E\ncd x\nE"],
    "DL3004": ["RUN apt-get install -y sudo"],
    "DL3008": ["RUN apt-get install ./a.deb b=1 c/stable -o A=B", "RUN apt-get update", "RUN apt-get install -y"],
    "DL3009": [
        "RUN --mount=type=cache,target=/var/lib/apt apt-get update",
        "RUN apt-get update; rm -r /var/lib/apt/lists",
        "RUN apt-get update\nFROM alpine:3",
    ],
    "DL3010": ["COPY a.tgz /", "COPY --from=x:1 a.tgz /\nRUN tar xf a.tgz", "COPY a.tgz /\nRUN tar cf a.tgz b"],
    "DL3011": ["EXPOSE 0-65535/sctp $X"],
    "DL3013": [
        "RUN pip install -r x",
        "RUN pip install .",
        "RUN pip install -c c a",
        "RUN pipx install a",
        "RUN pip install 'a>=1' ./b.whl git+https://x@v1 -t dir",
        "RUN pip freeze",
        "RUN pip install --upgrade-strategy eager a==1",
        "RUN pip install --requirement=x",
    ],
    "DL3014": ["RUN apt-get -y install a", "RUN apt-get install -qq a", "RUN apt-get install -q -q a", "RUN apt-get install --assume-yes a"],
    "DL3015": ["RUN apt-get install -o APT::Install-Recommends=false a"],
    "DL3016": ["RUN npm install", "RUN npm ci", "RUN npm install ./a /b a.tgz git://a#1", "RUN npm install --registry http://x a@1", "RUN npm run install"],
    "DL3018": ["RUN apk add -t deps a=1 b~2 'c>3' d.apk", "RUN apk del a", "RUN apk add --virtual deps a=1"],
    "DL3019": ["RUN apk add --no-cache a", "RUN --mount=type=cache,target=/var/cache/apk apk add a"],
    "DL3020": ["ADD a.tar.gz /b", "ADD https://a/b /c", "ADD git@h:r.git /c", "ADD --unpack=false a /b", "COPY a /b"],
    "DL3022": ["COPY --from=x:1 a /b", "COPY a /b"],
    "DL3027": ["RUN apt-get update", "RUN echo apt"],
    "DL3028": ["RUN gem install a:1", "RUN gem install a -v 1", "RUN gem install --version=1 a"],
    "DL3032": ["RUN yum install -y a-1; rm -rf /var/cache/yum", "RUN yum makecache"],
    "DL3033": ["RUN yum install -y a-1.2 b-c-3 d.rpm e-$V", "RUN yum module install -y x"],
    "DL3034": ["RUN zypper -n in a", "RUN zypper --non-interactive install a"],
    "DL3040": ["RUN dnf install -y a-1 && rm -rf /var/cache/dnf/*", "RUN --mount=type=cache,target=/var/cache/libdnf5 dnf install -y a-1"],
    "DL3042": [
        "RUN pip install --no-cache-dir a",
        "ENV PIP_NO_CACHE_DIR=1\nRUN pip install .",
        "RUN PIP_NO_CACHE_DIR=true pip install .",
        "RUN export PIP_NO_CACHE_DIR=on && pip install .",
        "RUN --mount=type=cache,target=/root/.cache/pip pip install .",
    ],
    "DL3045": ["WORKDIR x\nCOPY a b", "COPY a $b", "COPY a C:/b"],
    "DL3046": ["RUN useradd -l -u 1234567 a", "RUN useradd -u 1000 a", "RUN useradd -u $U a"],
    "DL3047": ["RUN wget -qO- u", "RUN wget -nv u", "RUN wget -o log u", "RUN wget --progress=dot u"],
    "DL3059": ["RUN a\nUSER 1\nRUN b", "RUN a && b && c\nRUN d", "RUN a\nRUN --network=none b", "RUN a\nFROM alpine:3\nRUN b"],
    "DL3060": ["RUN yarn install && yarn cache clean", "RUN yarn build"],
    "DL3062": ["RUN go install ./cmd", "RUN go install a@v1", "RUN go build"],
    "DL3066": ["USER 1:1", "USER $U"],
    "DL3067": ["COPY --from=x:1 /a /", "COPY / /"],
    "DL4001": ["RUN wget -q a\nFROM alpine:3\nRUN curl b", "RUN curl a && curl b"],
    "DL4005": ["RUN ln -s a b"],
    "DL4006": [
        'SHELL ["/bin/ash", "-eo", "pipefail", "-c"]\nRUN a | b',
        "RUN set -o pipefail && a | b",
        "RUN a || b",
        "RUN echo 'a | b'",
        'RUN ["a", "|", "b"]',
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "lines", "words"), [(rule, *case) for rule, cases in FIRES.items() for case in cases]
)
def test_what_is_found(rule: str, lines: str, words: str) -> None:
    found = short(f"FROM alpine:3\n{lines}\n", rule)
    assert [item[2] for item in found] == [words]
    assert found[0][0] == rule and found[0][3]


@pytest.mark.parametrize(("rule", "lines"), [(rule, case) for rule, cases in QUIET.items() for case in cases])
def test_what_is_not(rule: str, lines: str) -> None:
    assert short(f"FROM alpine:3\n{lines}\n", rule) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("FROM debian", ["debian"]),
        ("FROM registry:5000/debian", ["registry:5000/debian"]),
        ("FROM a:1 AS b\nFROM b", []),
        ("FROM scratch", []),
        ("FROM debian@sha256:" + "0" * 64, []),
        ("ARG A=debian\nFROM $A", []),
        ("ARG V=\nFROM debian$V", ["debian$V"]),
    ],
)
def test_tags_of_bases(text: str, wanted: list[str]) -> None:
    assert [item[2] for item in short(text, "DL3006")] == wanted


def test_latest() -> None:
    assert [item[2] for item in short("ARG T=latest\nFROM a:$T\nFROM b:1", "DL3007")] == ["a:$T"]
    assert short("FROM a:latest@sha256:" + "0" * 64, "DL3007") == []


def test_stages_that_others_are_based_on() -> None:
    assert short("FROM a:1 AS b\nUSER root\nFROM b\nUSER 1", "DL3002") == []
    assert [item[1] for item in short("FROM a:1 AS b\nUSER root\nFROM c:1\nUSER 1", "DL3002")] == [2]
    assert short("FROM a:1 AS b\nWORKDIR /x\nFROM b\nCOPY c d", "DL3045") == []
    known = {"a:1": ImageConfig(working_dir="/srv")}
    assert short("FROM a:1\nCOPY c d", "DL3045", bases=known) == []
    assert short("FROM a:1 AS b\nHEALTHCHECK NONE\nFROM b", "DL3057") == []
    assert short("FROM a:1 AS b\nFROM c:1\nCOPY --from=b /x /y\nCOPY --from=0 /x /y", "DL3022") == []
    assert short("FROM a:1 AS b\nFROM scratch\nCOPY --from=b / /", "DL3067") == []


def test_names_of_packages_are_said() -> None:
    found = short("FROM alpine:3\nRUN apk add a b c d e f=1 g h\n", "DL3018")
    assert found[0][3] == "No version for a, b, c, d, e, 2 more: write curl=<version>"
