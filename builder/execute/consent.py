"""What RUN lines ask for that this version cannot do, or that the caller has to consent to."""

from __future__ import annotations

from collections.abc import Collection

from builder.errors import StepError
from builder.graph.steps import RunStep
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """What a RUN asks for that not every step may have; `security` and `network` as in a `RunStep`."""

    security: str
    network: str
    devices: bool
    ssh: bool


def wish_of(step: RunStep) -> Wish:
    """What a step asks for."""
    ssh = any(mount.kind == "ssh" for mount in step.mounts)
    return Wish(step.security, step.network, bool(step.devices), ssh)


def refusal(wish: Wish, network: str, allow: Collection[str]) -> list[StepError]:
    """Why a step is not carried out: all that is against it. `network` and `allow` are the caller's."""
    found = []
    if wish.security == "insecure":
        found.append(
            StepError(
                "security.insecure is not allowed: RUN --security=insecure needs the caller's consent",
                hint="pybuild has no way to give it yet: leave the flag out",
                about=("--security=insecure",),
            )
        )
    if wish.network == "host" and not {network, *allow} & {"host", "network.host"}:
        found.append(
            StepError(
                "network.host is not allowed: RUN --network=host needs the caller's consent",
                hint="build with --allow network.host",
                about=("--network=host",),
            )
        )
    if wish.devices:
        found.append(StepError("RUN --device is not supported yet", about=("--device",)))
    if wish.ssh:
        found.append(
            StepError(
                "RUN --mount=type=ssh is not supported yet",
                hint="a key can be lent as a secret: RUN --mount=type=secret",
                about=("type=ssh",),
            )
        )
    return found
