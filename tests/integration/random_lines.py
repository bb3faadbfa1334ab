"""Random lines of build files: of all kinds that a key has parts for.

Whatever a RUN here does is decided by what it can see, and it looks at all of that: files, their metadata, its environment.
"""

from __future__ import annotations

import random
from collections.abc import Callable

ARGS = ("ONE", "TWO", "THREE")
VALUES = ("x", "y", "a b", "", "1", "é")
PLACES = ("/app", "/app/deep", "/opt/d", "/srv", "/app/e", "/new/x")
# Makes what most lines look for.
BEGINNING = "RUN mkdir -p /app/deep /app/e /opt/d /srv /new/x && rm -rf /app/a /opt/d/b && echo a > /app/a && echo b > /opt/d/b || true"  # pipes, perhaps
# All that can be seen of some files but times; a name on each line.
LOOK = "find /app /opt /srv /new /m -xdev 2>/dev/null -exec stat -c '%n %a %u %g %F %t %T' {} + | sort"
SUMS = "find /app /opt /srv /new /m -xdev -type f 2>/dev/null -exec md5sum {} + | sort"
COMMENTS = ('cache=never', 'expires=1h', 'recheck="cat /etc/passwd; echo $ONE"', 'recheck="ls -R /app 2>&1 || true"')  # fmt: skip


class Lines:
    """Makes lines for a stage; `url` is where a web server has the file `f`, the archive `t.tar` and the repository `it.git`."""

    def __init__(self, dice: random.Random, url: str) -> None:
        self.dice, self._url = dice, url

    def line(self, number: int) -> str:
        """A line for the stage of a number, which may take files from those before it."""
        dice = self.dice
        kinds: list[tuple[int, Callable[[int], str]]] = [
            (10, self._run), (10, self._copy), (4, self._arg), (2, self._env), (3, self._setting), (2, self._add),
            (2, self._elsewhere), (1, self._onbuild),
        ]  # fmt: skip
        (make,) = dice.choices([make for _, make in kinds], [weight for weight, _ in kinds])
        made = make(number)
        if made.startswith(("RUN", "COPY", "ADD")) and dice.randrange(15) == 0:
            comment = dice.choice(COMMENTS if made.startswith("RUN") else COMMENTS[:2])
            return f"# pybuild: {comment}\n{made}"
        return made

    def _arg(self, number: int) -> str:
        del number
        name = self.dice.choice((*ARGS, "GLOBAL", "TARGETPLATFORM"))
        return f"ARG {name}" if self.dice.randrange(2) else f'ARG {name}="{self.dice.choice(VALUES)}"'

    def _env(self, number: int) -> str:
        del number
        return f'ENV {self.dice.choice("EFG")}="{self.dice.choice(VALUES)}${{{self.dice.choice(ARGS)}}}"'

    def _setting(self, number: int) -> str:
        del number
        return self.dice.choice(
            ["USER app", "USER root", "USER 7:8", "WORKDIR /app", "WORKDIR deep", "WORKDIR /new/$ONE", "LABEL l=$TWO", "CMD true",
             'SHELL ["/bin/sh", "-e", "-c"]', "EXPOSE 80", "VOLUME /vol", "STOPSIGNAL 9", 'ENTRYPOINT ["/bin/say"]',
             "HEALTHCHECK CMD true $ONE"]
        )  # fmt: skip

    def _onbuild(self, number: int) -> str:
        dice = self.dice
        return (
            f"ONBUILD {dice.choice([self._copy, self._arg, self._env])(0)}"
            if number == 0
            else self._env(number)
        )

    def _source(self) -> str:
        return self.dice.choice(
            [
                "src",
                "src",
                "src/a",
                "src/deep",
                "src/*",
                "src/[ab]",
                ".",
                "src/deep/",
                "src/x.py",
                "src/a src/b",
            ]
        )

    def _owner(self) -> str:
        return self.dice.choice(
            ["", "", "", " --chown=app:staff", " --chown=7", " --chmod=755", " --chmod=g+w,o="]
        )

    def _add(self, number: int) -> str:
        del number
        return f"ADD{self._owner()} {self.dice.choice([self._source(), 'packed.tar'])} {self.dice.choice(PLACES)}/"

    def _elsewhere(self, number: int) -> str:
        """What lies elsewhere: a file and an archive of a web server, a repository."""
        del number
        what = self.dice.choice(["f", "f", "t.tar", "t.tar", "it.git", "it.git#main:sub"])
        flags = self._owner()
        if what == "t.tar" and self.dice.randrange(2):
            flags += " --unpack=true"
        return f"ADD{flags} {self._url}/{what} {self.dice.choice(PLACES)}/"

    def _text(self) -> str:
        """A COPY of texts in the build file, with variables or without."""
        dice = self.dice
        place, value = dice.choice(PLACES), dice.choice(ARGS)
        mark = dice.choice(["EOF", "'EOF'"])
        more = f"here is ${value} and {dice.choice(VALUES)}\nEOF"
        if dice.randrange(3) == 0:
            return f"COPY{self._owner()} <<{mark} <<END {place}/texts/\n{more}\nsecond {dice.choice(VALUES)}\nEND"
        return f"COPY{self._owner()} <<{mark} {place}/inline\n{more}"

    def _copy(self, number: int) -> str:
        dice = self.dice
        if dice.randrange(5) == 0:
            return self._text()
        flags, chosen = "", dice.randrange(6)
        if number and chosen < 2:
            source = dice.choice([*PLACES, "/app/a", "/tmp", "/etc/passwd"])
            flags = f" --from=s{dice.randrange(number)}"
        elif chosen == 2:
            source, flags = dice.choice([".", "a", "deep", "*"]), " --from=lib"
        elif chosen == 3:
            source, flags = (
                dice.choice(["/etc", "/srv", "/bin/say"]),
                f" --from={dice.choice(['base2', 'other'])}",
            )
        else:
            source = self._source()
        owner = self._owner()
        flags += owner + (
            "" if "app" in owner else dice.choice(["", "", "", " --link"])
        )  # it sees nobody's name
        flags += dice.choice(["", "", "", "", " --exclude=**/b", "" if source == "." else " --parents"])
        return f"COPY{flags} {source} {dice.choice(PLACES)}/"

    def _mount(self, number: int) -> str:
        dice = self.dice
        kinds = [
            f"bind,source={dice.choice(['src', 'src/deep'])},target=/m",
            "bind,target=/m,rw",
            "bind,from=lib,target=/m",
            f"bind,from={dice.choice(['base2', 'other'])},source=/{dice.choice(['srv', 'etc', 'bin/say'])},target=/m",
            "tmpfs,target=/m",
            f"cache,id={dice.choice('pq')},target=/c,mode=0755",
            "secret,id=word",
            "secret,id=word,env=WORD",
        ]
        if number:
            stage = f"from=s{dice.randrange(number)}"
            source = dice.choice(
                ["app", "app/deep", "app/e", "app/soft", "app/a", "opt/d", "srv", "tmp", "etc", ""]
            )
            below = f"bind,{stage},source=/{source},target=/m{dice.choice(['', '', ',rw'])}"
            kinds += [below, below, below, below]
            kinds.append(f"cache,id=r,{stage},source=/{dice.choice(['app', 'opt/d'])},target=/c")
        return f" --mount=type={dice.choice(kinds)}"

    def shown(self, number: int) -> str:
        """A RUN that does nothing but look at what a mount shows."""
        flags = self._mount(number)
        while "type=bind" not in flags:
            flags = self._mount(number)
        return f"RUN{flags} ({LOOK}; {SUMS}) > /tmp/shown"

    def _run(self, number: int) -> str:
        dice = self.dice
        if dice.randrange(5) == 0:
            return self.shown(number)
        place, other, name = dice.choice(PLACES), dice.choice(PLACES), dice.choice(ARGS)
        flags = self._mount(number) if dice.randrange(5) < 2 else ""
        flags += " --network=none" if dice.randrange(10) == 0 else ""
        # The caches and secrets of mounts are no part of a key: what they hold must not be looked at.
        seen = "env | grep -v -e HOSTNAME -e WORD | sort > /tmp/env; ulimit -n >> /tmp/env; df /dev/shm | tail -n 1 >> /tmp/env"
        script = dice.choice(
            [
                f"{LOOK} | md5sum > /tmp/look",
                f"{LOOK} > /tmp/look",
                f"{SUMS} | md5sum > /tmp/sums",
                f"{SUMS} | md5sum | cut -c1 > /tmp/cut",  # often the same: what follows is a hit then
                f"{SUMS} | md5sum | cut -c1 > /tmp/cut",
                f"{SUMS} > /dev/null; true",
                seen,
                "id > /tmp/id; pwd >> /tmp/id",
                "cat /etc/hosts > /tmp/hosts; ls /sys/class/net >> /tmp/hosts 2>&1; true",
                "date > /c/log 2>/dev/null; true",
                "test -z \"$WORD\" || echo there > /tmp/word; test ! -e /run/secrets/word || echo there > /tmp/word",
                f"mkdir -p {place} && echo ${name} >> {place}/log || true",
                f"rm -rf {place} || true; mkdir -p {place} || true",
                f"rm -f {place}/* 2>/dev/null; true",
                f"rm -rf {place}; mkdir -p {place} && touch {place}/new || true",
                f"cp -a {place} {other}/copy 2>/dev/null; true",
                f"mv {place}/* {other}/ 2>/dev/null; true",
                f"chmod -R go-rwx {place} 2>/dev/null; true",
                f"chown -R 7:8 {place} 2>/dev/null; true",
                f"ln -f {place}/a {place}/hard 2>/dev/null; true",
                f"ln -sfn {other} {place}/soft 2>/dev/null; true",
                f"for f in {place}/*; do [ -f $f ] && cat $f > /tmp/t && cat /tmp/t > $f; done 2>/dev/null; rm -f /tmp/t; true",
                "true",
                f"test -z \"${name}\" || echo {dice.choice(VALUES)} > /tmp/{name}",
            ]
        )  # fmt: skip
        if dice.randrange(6) == 0:
            mark = dice.choice(["EOF", "'EOF'"])  # variables of the shell either way
            return f"RUN{flags} <<{mark}\n{script}\necho ${name} > /dev/null\nEOF"
        return f"RUN{flags} {script}"
