"""All rules: those of BuildKit, and those on habits that only `pybuild check` applies."""

from __future__ import annotations

from builder.lint import habits, packages
from builder.lint.buildkit import RULES as _BUILDKIT
from builder.lint.finding import ERROR, INFO, WARNING, Check, Rule


def _habit(code: str, severity: str, check: Check, summary: str, *, default: bool = True) -> Rule:
    return Rule(code, summary, severity, f"https://github.com/hadolint/hadolint/wiki/{code}", check, default)


HABITS = (
    _habit(
        "DL3001",
        INFO,
        habits.dl3001,
        "Commands that make no sense while an image is built should not be in RUN",
    ),
    _habit("DL3002", WARNING, habits.dl3002, "The last USER should not be root"),
    _habit("DL3003", WARNING, habits.dl3003, "WORKDIR should be used instead of cd"),
    _habit("DL3004", ERROR, habits.dl3004, "sudo should not be used"),
    _habit("DL3006", WARNING, habits.dl3006, "The version of a base image should be said"),
    _habit("DL3007", WARNING, habits.dl3007, "The tag latest should not be used"),
    _habit("DL3008", WARNING, packages.dl3008, "apt-get install should say versions"),
    _habit("DL3009", INFO, packages.dl3009, "Package lists of apt should not stay in the image"),
    _habit("DL3010", INFO, habits.dl3010, "ADD should be used to unpack archives of the context"),
    _habit("DL3011", ERROR, habits.dl3011, "EXPOSE should name ports that exist"),
    _habit("DL3013", WARNING, packages.dl3013, "pip install should say versions"),
    _habit("DL3014", WARNING, packages.dl3014, "apt-get install should not ask for consent"),
    _habit("DL3015", INFO, packages.dl3015, "apt-get install should not bring recommended packages along"),
    _habit("DL3016", WARNING, packages.dl3016, "npm install should say versions"),
    _habit("DL3018", WARNING, packages.dl3018, "apk add should say versions"),
    _habit("DL3019", INFO, packages.dl3019, "apk add should be used with --no-cache"),
    _habit("DL3020", ERROR, habits.dl3020, "COPY should be used instead of ADD for files and folders"),
    _habit(
        "DL3022", WARNING, habits.dl3022, "COPY --from should name a stage above, or an image with its tag"
    ),
    _habit("DL3027", WARNING, packages.dl3027, "apt-get or apt-cache should be used instead of apt"),
    _habit("DL3028", WARNING, packages.dl3028, "gem install should say versions"),
    _habit("DL3030", WARNING, packages.dl3030, "yum install should not ask for consent"),
    _habit("DL3032", WARNING, packages.dl3032, "yum's cache should not stay in the image"),
    _habit("DL3033", WARNING, packages.dl3033, "yum install should say versions"),
    _habit("DL3034", WARNING, packages.dl3034, "zypper should not ask for consent"),
    _habit("DL3035", WARNING, packages.dl3035, "zypper dist-upgrade should not be used"),
    _habit("DL3036", WARNING, packages.dl3036, "zypper's cache should not stay in the image"),
    _habit("DL3037", WARNING, packages.dl3037, "zypper install should say versions"),
    _habit("DL3038", WARNING, packages.dl3038, "dnf install should not ask for consent"),
    _habit("DL3040", WARNING, packages.dl3040, "dnf's cache should not stay in the image"),
    _habit("DL3041", WARNING, packages.dl3041, "dnf install should say versions"),
    _habit("DL3042", WARNING, packages.dl3042, "pip's cache should not stay in the image"),
    _habit("DL3045", WARNING, habits.dl3045, "COPY to a relative destination should come after a WORKDIR"),
    _habit("DL3046", WARNING, habits.dl3046, "useradd with a high id should be used with -l"),
    _habit("DL3047", INFO, habits.dl3047, "wget should not draw a progress bar"),
    _habit("DL3057", INFO, habits.dl3057, "An image should have a HEALTHCHECK", default=False),
    _habit("DL3059", INFO, habits.dl3059, "RUN lines that follow each other should be one", default=False),
    _habit("DL3060", INFO, packages.dl3060, "yarn's cache should not stay in the image"),
    _habit("DL3062", WARNING, packages.dl3062, "go install should say versions"),
    _habit("DL3066", INFO, habits.dl3066, "USER should be a number", default=False),
    _habit("DL3067", WARNING, habits.dl3067, "A whole file system should not be copied from another stage"),
    _habit("DL4001", WARNING, habits.dl4001, "A stage should use wget or curl, not both"),
    _habit("DL4005", WARNING, habits.dl4005, "SHELL should be used to change the shell"),
    _habit("DL4006", WARNING, habits.dl4006, "A pipe should fail if one of its commands fails"),
)

RULES = (*_BUILDKIT, *HABITS)
