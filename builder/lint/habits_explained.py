"""Why the rules on habits are there."""

from __future__ import annotations

from builder.lint.explanation import Explanation

_APT = "apt-get update && apt-get install -y --no-install-recommends"
_CLEAN = "&& rm -rf /var/lib/apt/lists/*"

EXPLANATIONS = {
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
