"""Why BuildKit's rules are there."""

from __future__ import annotations

from builder.lint.explanation import Explanation

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
}
