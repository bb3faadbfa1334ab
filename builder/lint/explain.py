"""Why each rule is there, with an example against it and one for it. `page()` is docs/checks.md.

`python -m builder.lint.explain > docs/checks.md` writes the page anew.
"""

from __future__ import annotations

import sys

from builder.lint.finding import Rule
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a rule is there. `ignore` is an ignore file that goes with the examples."""

    why: str
    bad: str
    good: str
    ignore: str = ""


_APT = "apt-get update && apt-get install -y --no-install-recommends"
_CLEAN = "&& rm -rf /var/lib/apt/lists/*"

EXPLANATIONS = {
    "StageNameCasing": Explanation(
        "Names of stages are compared in small letters. A name in capitals reads as if it were another one.",
        "FROM alpine:3.20 AS Build\n",
        "FROM alpine:3.20 AS build\n",
    ),
    "FromAsCasing": Explanation(
        "FROM and AS belong together; one case for both is easier to read.",
        "FROM alpine:3.20 as build\n",
        "FROM alpine:3.20 AS build\n",
    ),
    "NoEmptyContinuation": Explanation(
        "An empty line after a line that is continued looks like the instruction's end, but is not. Future versions of the"
        " language will refuse it. Comment lines are fine.",
        "FROM alpine:3.20\nRUN make \\\n\n    install\n",
        "FROM alpine:3.20\nRUN make \\\n    # the second target\n    install\n",
    ),
    "ConsistentInstructionCasing": Explanation(
        "Instructions may be written in capitals or in small letters. What most lines of a file do, all should do.",
        "FROM alpine:3.20\nRUN make\nrun make install\n",
        "FROM alpine:3.20\nRUN make && make install\n",
    ),
    "DuplicateStageName": Explanation(
        "Of two stages with one name, later lines reach only the second. Often a copied FROM line was not edited.",
        "FROM alpine:3.20 AS build\nFROM debian:12 AS build\n",
        "FROM alpine:3.20 AS build\nFROM debian:12 AS test\n",
    ),
    "ReservedStageName": Explanation(
        "`scratch` and `context` have a meaning of their own; a stage that is called so can be taken for them.",
        "FROM alpine:3.20 AS scratch\n",
        "FROM alpine:3.20 AS build\n",
    ),
    "JSONArgsRecommended": Explanation(
        "In shell form the container's first process is a shell that passes no signals on: `docker stop` waits ten seconds and"
        " then kills. As a JSON array the program itself is the first process. Nothing is said where SHELL is set, as that"
        " shows that a shell is meant.",
        "FROM alpine:3.20\nCMD serve --port 80\n",
        'FROM alpine:3.20\nCMD ["serve", "--port", "80"]\n',
    ),
    "MaintainerDeprecated": Explanation(
        "MAINTAINER is deprecated. A label says the same, and tools can read it.",
        "FROM alpine:3.20\nMAINTAINER me@example.org\n",
        'FROM alpine:3.20\nLABEL org.opencontainers.image.authors="me@example.org"\n',
    ),
    "UndefinedArgInFrom": Explanation(
        "FROM sees only the ARG lines before the first FROM and the arguments that every build has. Anything else is empty,"
        " and most often misspelt.",
        "FROM --platform=$BULIDPLATFORM alpine:3.20${SUFFIX}\n",
        "ARG SUFFIX=\nFROM --platform=$BUILDPLATFORM alpine:3.20${SUFFIX}\n",
    ),
    "WorkdirRelativePath": Explanation(
        "A relative WORKDIR continues that of the base image, which may change with its next version. After an absolute one,"
        " relative ones are fine.",
        "FROM alpine:3.20\nWORKDIR app\n",
        "FROM alpine:3.20\nWORKDIR /srv\nWORKDIR app\n",
    ),
    "UndefinedVar": Explanation(
        "A variable that nothing has set is empty, without a word when the image is built. Variables of the base image count as set."
        " `pybuild check` does not fetch the base: there it reports names that are set elsewhere in the file"
        " (an ARG that the stage does not declare, or declares later), that are misspelt, or that no image sets as they have small"
        " letters, and is silent about the rest.",
        "FROM alpine:3.20\nARG DIR_ASSETS=assets/\nCOPY $DIR_ASSET /srv/\n",
        "FROM alpine:3.20\nARG DIR_ASSETS=assets/\nCOPY $DIR_ASSETS /srv/\n",
    ),
    "MultipleInstructionsDisallowed": Explanation(
        "Of several CMD, ENTRYPOINT or HEALTHCHECK lines in a stage only the last has an effect.",
        'FROM alpine:3.20\nCMD ["one"]\nCMD ["two"]\n',
        'FROM alpine:3.20\nCMD ["two"]\n',
    ),
    "LegacyKeyValueFormat": Explanation(
        "Without `=` all the rest of the line is one value, which is easily misread as several pairs.",
        "FROM alpine:3.20\nENV DIR /srv\n",
        "FROM alpine:3.20\nENV DIR=/srv\n",
    ),
    "InvalidBaseImagePlatform": Explanation(
        "The base image is for another platform than the one that is built for, so its programs will not run. This can be said"
        " only when the base's config is known: by a build, not by `pybuild check`.",
        "FROM example.org/app:1-arm64\n",
        "FROM example.org/app:1\n",
    ),
    "RedundantTargetPlatform": Explanation(
        "A stage is built for the target platform if FROM says nothing.",
        "FROM --platform=$TARGETPLATFORM alpine:3.20\n",
        "FROM alpine:3.20\n",
    ),
    "SecretsUsedInArgOrEnv": Explanation(
        "ENV is part of the image, ARG of its history: everybody who has the image can read both. Give secrets with"
        " RUN --mount=type=secret. The rule goes by the name: one of its words, between underscores, is key, token, secret,"
        " password or the like, and none is public, file or version.",
        "FROM alpine:3.20\nARG API_TOKEN\n",
        "FROM alpine:3.20\nRUN --mount=type=secret,id=token make\n",
    ),
    "InvalidDefaultArgInFrom": Explanation(
        "A build without any --build-arg should work. The defaults must give the name of an image.",
        "ARG TAG\nFROM alpine:${TAG}\n",
        "ARG TAG=3.20\nFROM alpine:${TAG}\n",
    ),
    "FromPlatformFlagConstDisallowed": Explanation(
        "A constant platform binds the file to it. Leave it to --platform on the command line, or use $BUILDPLATFORM. A stage"
        " whose name says the platform is left alone.",
        "FROM --platform=linux/arm64 alpine:3.20 AS build\n",
        "FROM --platform=linux/arm64 alpine:3.20 AS build-arm64\n",
    ),
    "CopyIgnoredFile": Explanation(
        "A file that the ignore file leaves out is not in the context, so COPY will not find it. An ignore file with exceptions"
        " (`!`) cannot be judged without looking at the files; then nothing is said.",
        "FROM alpine:3.20\nCOPY secrets.txt /srv/\n",
        "FROM alpine:3.20\nCOPY app /srv/\n",
        ignore="secrets.txt\n",
    ),
    "InvalidDefinitionDescription": Explanation(
        "`--call=outline` and `--call=targets` show the comment above FROM and ARG if it begins with the name of the stage or"
        " the argument. Experimental: on with `# check=experimental=InvalidDefinitionDescription`. A lone `#` between a"
        " comment and an instruction says that they do not belong together.",
        "# check=experimental=InvalidDefinitionDescription\n# The first stage.\nFROM alpine:3.20 AS build\n",
        "# check=experimental=InvalidDefinitionDescription\n# build compiles the program\nFROM alpine:3.20 AS build\n",
    ),
    "ExposeProtoCasing": Explanation(
        "Protocols of EXPOSE are written in small letters.",
        "FROM alpine:3.20\nEXPOSE 53/UDP\n",
        "FROM alpine:3.20\nEXPOSE 53/udp\n",
    ),
    "ExposeInvalidFormat": Explanation(
        "EXPOSE says which ports a program listens on. Addresses and ports of the host are chosen when a container is started;"
        " here they have no effect and will be an error.",
        "FROM alpine:3.20\nEXPOSE 8080:80\n",
        "FROM alpine:3.20\nEXPOSE 80\n",
    ),
    "DL3001": Explanation(
        "There is no terminal, no other service and no machine to shut down while an image is built.",
        "FROM alpine:3.20\nRUN service nginx start\n",
        'FROM alpine:3.20\nCMD ["nginx", "-g", "daemon off;"]\n',
    ),
    "DL3002": Explanation(
        "What breaks out of a container of root is root. Switch back before the end.",
        "FROM alpine:3.20\nUSER root\nRUN make install\n",
        "FROM alpine:3.20\nUSER root\nRUN make install\nUSER 1000\n",
    ),
    "DL3003": Explanation(
        "Each RUN starts in the working directory; a `cd` is forgotten at its end, and hides where things happen.",
        "FROM alpine:3.20\nRUN cd /srv && make\n",
        "FROM alpine:3.20\nWORKDIR /srv\nRUN make\n",
    ),
    "DL3004": Explanation(
        "RUN runs as root unless USER says otherwise. sudo changes the environment in ways that are hard to foresee.",
        "FROM alpine:3.20\nRUN sudo make install\n",
        "FROM alpine:3.20\nUSER root\nRUN make install\nUSER 1000\n",
    ),
    "DL3006": Explanation(
        "Without a tag the newest image is taken, so that the same file gives another result tomorrow.",
        "FROM alpine\n",
        "FROM alpine:3.20\n",
    ),
    "DL3007": Explanation(
        "`latest` is another image from time to time.",
        "FROM alpine:latest\n",
        "FROM alpine:3.20\n",
    ),
    "DL3008": Explanation(
        "Without a version the result depends on the day of the build, and the cache keeps what was current long ago.",
        f"FROM debian:12\nRUN {_APT} curl {_CLEAN}\n",
        f"FROM debian:12\nRUN {_APT} curl=7.88.* {_CLEAN}\n",
    ),
    "DL3009": Explanation(
        "The package lists are tens of megabytes and out of date tomorrow. Remove them in the RUN that fetched them, or"
        " mount a cache over /var/lib/apt.",
        f"FROM debian:12\nRUN {_APT} curl=7.88.*\n",
        f"FROM debian:12\nRUN {_APT} curl=7.88.* {_CLEAN}\n",
    ),
    "DL3010": Explanation(
        "ADD unpacks archives of the context. COPY and tar leave the archive in a layer for ever.",
        "FROM alpine:3.20\nCOPY app.tar.gz /tmp/\nRUN tar -xf /tmp/app.tar.gz -C /srv\n",
        "FROM alpine:3.20\nADD app.tar.gz /srv/\n",
    ),
    "DL3011": Explanation(
        "Ports go from 0 to 65535, and protocols are tcp, udp and sctp.",
        "FROM alpine:3.20\nEXPOSE 80000\n",
        "FROM alpine:3.20\nEXPOSE 8000\n",
    ),
    "DL3013": Explanation(
        "Without a version the result depends on the day of the build. A requirements file is best.",
        "FROM python:3.12\nRUN pip install --no-cache-dir flask\n",
        "FROM python:3.12\nRUN pip install --no-cache-dir flask==3.0.3\n",
    ),
    "DL3014": Explanation(
        "Nobody is there to answer: the command fails.",
        f"FROM debian:12\nRUN apt-get update && apt-get install --no-install-recommends curl=7.88.* {_CLEAN}\n",
        f"FROM debian:12\nRUN {_APT} curl=7.88.* {_CLEAN}\n",
    ),
    "DL3015": Explanation(
        "Recommended packages are seldom needed in an image.",
        f"FROM debian:12\nRUN apt-get update && apt-get install -y curl=7.88.* {_CLEAN}\n",
        f"FROM debian:12\nRUN {_APT} curl=7.88.* {_CLEAN}\n",
    ),
    "DL3016": Explanation(
        "Without a version the result depends on the day of the build. `npm ci` takes the versions of the lock file.",
        "FROM node:22\nRUN npm install express\n",
        "FROM node:22\nRUN npm install express@4.19.2\n",
    ),
    "DL3018": Explanation(
        "Without a version the result depends on the day of the build.",
        "FROM alpine:3.20\nRUN apk add --no-cache curl\n",
        "FROM alpine:3.20\nRUN apk add --no-cache curl=~8.9\n",
    ),
    "DL3019": Explanation(
        "With --no-cache the package index is fetched and not kept.",
        "FROM alpine:3.20\nRUN apk add curl=~8.9\n",
        "FROM alpine:3.20\nRUN apk add --no-cache curl=~8.9\n",
    ),
    "DL3020": Explanation(
        "ADD also fetches and unpacks. For files and folders COPY does the same and says what is meant.",
        "FROM alpine:3.20\nADD app /srv/\n",
        "FROM alpine:3.20\nCOPY app /srv/\n",
    ),
    "DL3022": Explanation(
        "A name after --from that no stage has is taken for an image. If an image is meant, its tag shows that.",
        "FROM alpine:3.20\nCOPY --from=golang /usr/local/go /usr/local/go\n",
        "FROM golang:1.22 AS go\nFROM alpine:3.20\nCOPY --from=go /usr/local/go /usr/local/go\n",
    ),
    "DL3027": Explanation(
        "apt is for people; its output and options may change. Scripts use apt-get and apt-cache.",
        "FROM debian:12\nRUN apt list --installed\n",
        "FROM debian:12\nRUN apt-cache pkgnames\n",
    ),
    "DL3028": Explanation(
        "Without a version the result depends on the day of the build.",
        "FROM ruby:3.3\nRUN gem install bundler\n",
        "FROM ruby:3.3\nRUN gem install bundler:2.5.11\n",
    ),
    "DL3030": Explanation(
        "Nobody is there to answer: the command fails.",
        "FROM rockylinux:9\nRUN yum install httpd-2.4.57 && yum clean all\n",
        "FROM rockylinux:9\nRUN yum install -y httpd-2.4.57 && yum clean all\n",
    ),
    "DL3032": Explanation(
        "The cache of packages stays in the layer.",
        "FROM rockylinux:9\nRUN yum install -y httpd-2.4.57\n",
        "FROM rockylinux:9\nRUN yum install -y httpd-2.4.57 && yum clean all\n",
    ),
    "DL3033": Explanation(
        "Without a version the result depends on the day of the build.",
        "FROM rockylinux:9\nRUN yum install -y httpd && yum clean all\n",
        "FROM rockylinux:9\nRUN yum install -y httpd-2.4.57 && yum clean all\n",
    ),
    "DL3034": Explanation(
        "Nobody is there to answer: the command fails.",
        "FROM opensuse/leap:15.6\nRUN zypper install curl=8.6.0 && zypper clean\n",
        "FROM opensuse/leap:15.6\nRUN zypper install -y curl=8.6.0 && zypper clean\n",
    ),
    "DL3035": Explanation(
        "It replaces the base by whatever the mirrors have today. Take a newer base image.",
        "FROM opensuse/leap:15.5\nRUN zypper -n dist-upgrade\n",
        "FROM opensuse/leap:15.6\n",
    ),
    "DL3036": Explanation(
        "The cache of packages stays in the layer.",
        "FROM opensuse/leap:15.6\nRUN zypper install -y curl=8.6.0\n",
        "FROM opensuse/leap:15.6\nRUN zypper install -y curl=8.6.0 && zypper clean\n",
    ),
    "DL3037": Explanation(
        "Without a version the result depends on the day of the build.",
        "FROM opensuse/leap:15.6\nRUN zypper install -y curl && zypper clean\n",
        "FROM opensuse/leap:15.6\nRUN zypper install -y curl=8.6.0 && zypper clean\n",
    ),
    "DL3038": Explanation(
        "Nobody is there to answer: the command fails.",
        "FROM fedora:40\nRUN dnf install httpd-2.4.59 && dnf clean all\n",
        "FROM fedora:40\nRUN dnf install -y httpd-2.4.59 && dnf clean all\n",
    ),
    "DL3040": Explanation(
        "The cache of packages stays in the layer.",
        "FROM fedora:40\nRUN dnf install -y httpd-2.4.59\n",
        "FROM fedora:40\nRUN dnf install -y httpd-2.4.59 && dnf clean all\n",
    ),
    "DL3041": Explanation(
        "Without a version the result depends on the day of the build.",
        "FROM fedora:40\nRUN dnf install -y httpd && dnf clean all\n",
        "FROM fedora:40\nRUN dnf install -y httpd-2.4.59 && dnf clean all\n",
    ),
    "DL3042": Explanation(
        "pip keeps what it downloads; in a layer nobody will use it again. Or share it between builds with"
        " --mount=type=cache,target=/root/.cache/pip.",
        "FROM python:3.12\nRUN pip install flask==3.0.3\n",
        "FROM python:3.12\nRUN --mount=type=cache,target=/root/.cache/pip pip install flask==3.0.3\n",
    ),
    "DL3045": Explanation(
        "The destination continues the working directory of the base image, which may change with its next version.",
        "FROM alpine:3.20\nCOPY app bin/\n",
        "FROM alpine:3.20\nWORKDIR /srv\nCOPY app bin/\n",
    ),
    "DL3046": Explanation(
        "useradd writes a record for the id into a sparse file; its size is that of the id, and layers are not sparse.",
        "FROM debian:12\nRUN useradd -u 1234567 app\n",
        "FROM debian:12\nRUN useradd -l -u 1234567 app\n",
    ),
    "DL3047": Explanation(
        "The progress bar of a large download fills the log.",
        "FROM debian:12\nRUN wget https://example.org/app.tar.gz\n",
        "FROM debian:12\nRUN wget -nv https://example.org/app.tar.gz\n",
    ),
    "DL3057": Explanation(
        "Without a HEALTHCHECK a container that hangs counts as running. Off by default: orchestrators have checks of their own.",
        "FROM alpine:3.20\n",
        'FROM alpine:3.20\nHEALTHCHECK CMD ["wget", "-q", "-O-", "http://localhost/"]\n',
    ),
    "DL3059": Explanation(
        "Each RUN makes a layer. Off by default: separate steps are cached separately, which is often what is wanted.",
        "FROM alpine:3.20\nRUN make\nRUN make install\n",
        "FROM alpine:3.20\nRUN make && make install\n",
    ),
    "DL3060": Explanation(
        "yarn keeps what it downloads; in a layer nobody will use it again.",
        "FROM node:22\nRUN yarn install --frozen-lockfile\n",
        "FROM node:22\nRUN yarn install --frozen-lockfile && yarn cache clean\n",
    ),
    "DL3062": Explanation(
        "Without a version the result depends on the day of the build.",
        "FROM golang:1.22\nRUN go install example.org/tool@latest\n",
        "FROM golang:1.22\nRUN go install example.org/tool@v1.2.3\n",
    ),
    "DL3066": Explanation(
        "Kubernetes can check `runAsNonRoot` only for a number. Off by default.",
        "FROM alpine:3.20\nUSER nobody\n",
        "FROM alpine:3.20\nUSER 65534\n",
    ),
    "DL3067": Explanation(
        "It brings along all that the other stage was to leave behind, and overwrites the base. Into an empty stage (FROM scratch) it is fine.",
        "FROM golang:1.22 AS go\nFROM alpine:3.20\nCOPY --from=go / /\n",
        "FROM golang:1.22 AS go\nFROM alpine:3.20\nCOPY --from=go /go/bin/app /usr/bin/app\n",
    ),
    "DL4001": Explanation(
        "Both do the same; one of them need not be installed.",
        "FROM debian:12\nRUN curl -fO https://example.org/a && wget -nv https://example.org/b\n",
        "FROM debian:12\nRUN curl -fO https://example.org/a && curl -fO https://example.org/b\n",
    ),
    "DL4005": Explanation(
        "Packages rely on /bin/sh being what the distribution made it.",
        "FROM debian:12\nRUN ln -sf /bin/bash /bin/sh\n",
        'FROM debian:12\nSHELL ["/bin/bash", "-c"]\n',
    ),
    "DL4006": Explanation(
        "A pipe has the status of its last command: the download fails, and the build goes on.",
        "FROM debian:12\nRUN curl -f https://example.org/a.tar | tar -x\n",
        'FROM debian:12\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN curl -f https://example.org/a.tar | tar -x\n',
    ),
}

_HEAD = """# Checks

`pybuild check` finds what parses and builds, but is likely not what was meant. It runs nothing and fetches nothing.

- The rules of BuildKit, under its names. An ordinary build applies these and shows what they find as warnings; `pybuild build --check`
  applies them without building, and ends with status 1 if there is a finding, as Docker does.
- Rules on habits, under hadolint's codes (`DL…`). Only `pybuild check` applies them.
- ShellCheck's remarks (`SC…`) on the shell text of RUN, if `shellcheck` is installed. Only `pybuild check` asks for them.

`pybuild check` ends with status 0, with 1 if there are findings and `--error` or `error=true` asks for that, with 2 if the file does not parse.
`--skip RULE,…` leaves rules out, `--only RULE,…` applies only some, also those that are off by default.

In the file itself:

| where | comment | does |
| --- | --- | --- |
| first lines | `# check=skip=A,B` or `skip=all` | leaves rules out; `skip=all` does not touch experimental ones |
| first lines | `# check=error=true` | a finding makes the build or check fail |
| first lines | `# check=experimental=A` or `experimental=all` | applies experimental rules |
| above an instruction | `# check=skip=A,B` or `skip=all` | leaves rules out for this instruction |
| above an instruction | `# hadolint ignore=A,B` | the same |
| anywhere | `# hadolint global ignore=A,B` | leaves rules out for the whole file |
| above an instruction | `# hadolint shell=bash` | the shell that ShellCheck shall take, to the end of the stage |

Parts of `check=` are joined by `;`. `--build-arg BUILDKIT_DOCKERFILE_CHECK=skip=…` takes the place of the file's own line.

Rules of hadolint that are not here: what the language forbids anyhow (DL3021, DL3023, DL3043, DL3061, DL4000), what a rule of BuildKit covers
(DL3000, DL3012, DL3024, DL3025, DL3029, DL3044, DL3063, DL3064, DL3065, DL4003, DL4004), and what needs a policy of your own (DL3026, DL3048 to
DL3056, DL3058).
"""


def page() -> str:
    """The text of docs/checks.md."""
    from builder.lint.buildkit import RULES as BUILDKIT
    from builder.lint.rules import HABITS

    parts = [_HEAD]
    for title, rules in (("BuildKit's rules", BUILDKIT), ("Habits", HABITS)):
        parts.append(f"\n## {title}\n")
        parts += [_section(rule, EXPLANATIONS[rule.name]) for rule in rules]
    return "".join(parts)


def _section(rule: Rule, text: Explanation) -> str:
    kind = (
        "experimental" if rule.experimental else rule.severity + ("" if rule.default else ", off by default")
    )
    link = f" [Its page]({rule.url})." if rule.url else ""
    ignore = f"With this `.dockerignore`:\n\n```\n{text.ignore}```\n\n" if text.ignore else ""
    return (
        f"\n### {rule.name}\n\n*{rule.summary.partition('. ')[0].rstrip('.')}* ({kind}). {text.why}{link}\n\n{ignore}"
        f"Bad:\n\n```dockerfile\n{text.bad}```\n\nGood:\n\n```dockerfile\n{text.good}```\n"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
