"""Commands of docker that pybuild does not have: what there is in their place."""

from __future__ import annotations

_CONTAINERS = "a container of pybuild run goes when its command ends: there are none to list, stop or enter"
_BUILDERS = "there is no builder to make or choose: pybuild builds by itself"
OTHERS = {
    "bake": "pybuild builds one target: run it once for each, with --target",
    "builder": "pybuild prune, pybuild du",
    "buildx": "leave the word out: pybuild build, pybuild du, pybuild prune",
    "container": _CONTAINERS,
    "cp": "-o FOLDER of a build writes the files of an image to a folder",
    "create": _CONTAINERS,
    "exec": _CONTAINERS,
    "export": "-o type=tar,dest=FILE of a build writes the files of an image as a tar",
    "image": "leave the word out: pybuild images, inspect, history, tag, rmi, pull, push, save, load",
    "imagetools": "pybuild inspect IMAGE shows an image of the store",
    "import": "pybuild load takes archives of images; FROM scratch and ADD FILE.tar / take one of files",
    "info": "pybuild doctor says whether this machine can build",
    "kill": _CONTAINERS,
    "logs": _CONTAINERS,
    "ls": "pybuild images, pybuild du",
    "ps": _CONTAINERS,
    "rm": _CONTAINERS,
    "start": _CONTAINERS,
    "stop": _CONTAINERS,
    "system": "pybuild du, pybuild prune, pybuild doctor",
    "use": _BUILDERS,
    "version": "pybuild --version",
    "volume": "pybuild cache mounts lists the folders of RUN --mount=type=cache",
}
"""By a first word, what to do instead: a hint."""
