"""What RUN lines ask for that this version cannot do, or that the caller has to consent to."""

from __future__ import annotations

from collections.abc import Collection

from builder.errors import StepError
from builder.graph.steps import RunStep


def refusal(step: RunStep, network: str, allow: Collection[str]) -> StepError | None:
    """Why a step is not carried out, None if nothing is against it; `network` and `allow` are the caller's."""
    if step.security == "insecure":
        return StepError(
            "security.insecure is not allowed: RUN --security=insecure needs the caller's consent",
            hint="pybuild has no way to give it yet: leave the flag out",
            about=("--security=insecure",),
        )
    if step.network == "host" and not {network, *allow} & {"host", "network.host"}:
        return StepError(
            "network.host is not allowed: RUN --network=host needs the caller's consent",
            hint="build with --allow network.host",
            about=("--network=host",),
        )
    if step.devices:
        return StepError("RUN --device is not supported yet", about=("--device",))
    if any(mount.kind == "ssh" for mount in step.mounts):
        return StepError(
            "RUN --mount=type=ssh is not supported yet",
            hint="a key can be lent as a secret: RUN --mount=type=secret",
            about=("type=ssh",),
        )
    return None
