"""docs/checks.md: what checks do, and each rule with its reason, an example against it and one for it.

`python -m builder.lint.explain > docs/checks.md` writes the page anew.
"""

from __future__ import annotations

import sys

from builder.lint import buildkit_explained, habits_explained
from builder.lint.explanation import Explanation
from builder.lint.finding import Rule

EXPLANATIONS = {**buildkit_explained.EXPLANATIONS, **habits_explained.EXPLANATIONS}

_HEAD = """# Checks

`pybuild check` finds what parses and builds, but is likely not what was meant, and all mistakes that a build would stumble over, in all stages.
It runs nothing and fetches nothing. Of bases it knows the config only where `--build-context` says that they are OCI layouts of this machine: on top of
others it says nothing about what depends on variables that the image may set. Triggers of ONBUILD are checked in every stage that carries them out: the
words are marked in the ONBUILD line, or in FROM if they come with an image, and comments above either line leave rules out.

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

Parts of `check=` are joined by `;`, without blanks: what stands behind one is not read, as by BuildKit, nor is a first line that begins with one. `--build-arg BUILDKIT_DOCKERFILE_CHECK=skip=…` takes the place of the file's own line.

Rules of hadolint that are not here: what the language forbids anyhow (DL3021, DL3023, DL3043, DL3061, DL4000), what a rule of BuildKit covers
(DL3000, DL3012, DL3024, DL3025, DL3029, DL3044, DL3063, DL3064, DL3065, DL4003, DL4004), and what needs a policy of your own (DL3026, DL3048 to
DL3056, DL3058).

The rules under hadolint's codes are compared with hadolint 2.15 itself. They differ where it does not know what BuildKit knows: names of stages in other
letters, values of variables, archives of zstd, repositories of git, caches that are mounted. DL3045 is for ADD, too. pipx and modules of yum need no
version. DL3059 and DL3066 are off.
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
