"""The steps of a plan, and the images among them: what a build would take its bases and sources from."""

from __future__ import annotations

from builder.engine.planning import PlannedStep, Verdict
from builder.engine.reasons import why_another_base, why_not_here
from builder.engine.session import Session
from builder.errors import BuilderError
from builder.events import Outcome, Reason
from builder.graph.stages import Stage
from builder.store.images import StoredImage

# Earlier runs of a step among which one with a time is looked for.
_TIMED = 64


class PlannedSteps:
    """The steps that were foreseen so far, numbered as they come."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._steps: list[PlannedStep] = []

    def all(self) -> tuple[PlannedStep, ...]:
        """Every step so far."""
        return tuple(self._steps)

    def count(self) -> int:
        """How many there are; the number of the last."""
        return len(self._steps)

    def was_changed(self, title: str) -> bool:
        """Whether the last step has this title and a reason to be another than before."""
        return bool(self._steps) and self._steps[-1].title == title and bool(self._steps[-1].reasons)

    def add(self, stage: Stage, title: str, line: int, verdict: Verdict, **more: object) -> PlannedStep:
        """The next step; `more` are further fields of it."""
        planned = PlannedStep(len(self._steps) + 1, title, stage.name or "", line, verdict, **more)  # type: ignore[arg-type]
        self._steps.append(planned)
        return planned

    def seconds(self, slot: str, title: str, stage: Stage) -> float | None:
        """How long a step of just this title took the last time that it was carried out."""
        rows = self._session.store.history.recent(slot, title, stage.name or "", _TIMED)
        return next((row.seconds for row in rows if row.outcome is Outcome.MISS), None)


class ForeseenImages:
    """Finds images for a plan: what the store has, and with remote caches the documents of the others."""

    def __init__(self, session: Session, steps: PlannedSteps) -> None:
        self._session, self._steps = session, steps
        self._unreachable: set[str] = set()

    def find(
        self, stage: Stage, name: str, title: str, slot: str, line: int, *, named: bool
    ) -> StoredImage | PlannedStep:
        """An image that the store has, or the step that would fetch it; either way a step of the plan."""
        session = self._session
        image, verdict = None, Verdict.HIT
        if named and name in session.inputs.layouts:
            image = self._layout(stage, name)
        else:
            reference = session.inputs.images.get(name, name) if named else name
            if session.request.pull and session.remote is None:
                reason = Reason("changed", f"base {name}", "only a build asks the registry (--pull)")
                return self._steps.add(stage, title, line, Verdict.DEPENDS, reasons=(reason,), slot=slot)
            if not session.request.pull:
                image = session.store.find_image(reference, platform=stage.platform)
            if image is None and session.remote is not None:
                image = self._far_image(reference, stage)
        if image is not None and image.manifest in session.store.images.fresh:
            verdict = Verdict.FETCH
        if image is None:
            reason = Reason("changed", f"base {name}", why_not_here(session, slot, title))
            return self._steps.add(
                stage,
                title,
                line,
                Verdict.MISS,
                reasons=(reason,),
                slot=slot,
                seconds=self._steps.seconds(slot, title, stage),
            )
        another = why_another_base(session, slot, title, stage.name or "", str(image.manifest))
        self._steps.add(stage, title, line, verdict, reasons=another, slot=slot)
        return image

    def _layout(self, stage: Stage, name: str) -> StoredImage | None:
        """The image of an OCI layout, if the store has it; with remote caches its documents are enough."""
        from builder.store.importing import import_image, known_image
        from builder.store.layouts import LayoutSource

        store = self._session.store
        source = LayoutSource(self._session.inputs.layouts[name])
        if self._session.remote is not None:
            return import_image(store, source, platform=stage.platform, lazy=True)
        return known_image(store, source, platform=stage.platform)

    def _far_image(self, reference: str, stage: Stage) -> StoredImage | None:
        """An image by the documents that its registry has, which is asked because steps on it may be in a remote cache."""
        assert self._session.remote is not None
        if reference in self._unreachable:
            return None
        try:
            return self._session.remote.base(reference, stage.platform)
        except BuilderError as error:
            self._unreachable.add(reference)
            self._session.events.warn(f"the image {reference} cannot be asked for: {error.message}")
            return None
