"""What the store holds: every item with its size, when it was last used, and who needs it. Nothing is changed by looking."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from builder.digest import Digest, parse_digest
from builder.errors import ImageError
from builder.image.reference import parse_reference
from builder.store.entries import files, folder_size, in_use, names, time_of
from builder.store.images import StoredImage
from builder.store.measuring import measure_caches, measure_snapshots
from builder.store.rows import is_id, number, raw
from builder.store.states import SCRATCH
from builder.store.store import Store
from builder.value import dataclass, field

KINDS = ("image", "layer", "step", "cache", "download", "index", "syntax")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that the store keeps.

    `kind` is one of `KINDS`: an `image`'s own documents, the files of a pulled `layer` or of a `step` with their blobs, a
    `cache` of RUN --mount, a `download` of ADD, the `index` of a context folder, or the `syntax` of build files.

    `size` is the bytes that it takes on the disk, `shared` those of them in files that other items have too, `counted`
    those that are counted here and nowhere else, so that a sum over items is right. `used` is when a build last needed it,
    as far as anybody knows, in seconds since 1970. `parent` is the id of the state below. `images` are the images with a name
    that need it: it stays with them. `in_use` tells that a build or container uses it now.
    """

    kind: str
    id: str
    name: str
    size: int
    shared: int
    counted: int
    created: float
    used: float
    parent: str = ""
    images: tuple[str, ...] = ()
    in_use: bool = False

    @property
    def reclaimable(self) -> bool:
        """Whether `prune` may remove it."""
        return not self.images and not self.in_use


@dataclass(frozen=True, slots=True)
class ImageSize:
    """An image with all that it stands on: `size` is the bytes of it, `own` those that no other image needs."""

    id: str
    names: tuple[str, ...]
    size: int
    own: int
    created: float
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """All items, the oldest use first, and images; `total` is the bytes of the whole store.

    `rest` is what of them is no item: the database with records and history, work that is going on (`work`), and `lost`,
    files that killed processes left and the next `prune` removes.
    """

    items: tuple[Item, ...]
    images: tuple[ImageSize, ...]
    total: int
    database: int
    work: int
    lost: int
    now: float = field(default_factory=time.time)

    @property
    def reclaimable(self) -> int:
        """Bytes that `prune --all` would give back."""
        return sum(item.counted for item in self.items if item.reclaimable) + self.lost

    @property
    def cached(self) -> int:
        """Bytes of what no image with a name needs."""
        return sum(item.counted for item in self.items if not item.images)


@dataclass(frozen=True, slots=True)
class _State:
    id: bytes
    parent: bytes
    snapshot: str
    created: float


class _Surveyor:
    """Gathers the pieces of one survey."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = time.time()
        database = store.database
        self.states = {
            row[0]: _State(row[0], row[1], str(row[2]), number(row[3]))
            for row in database.all(
                "SELECT id, parent, snapshot, created FROM states UNION ALL "
                "SELECT state, parent, '', created FROM promises WHERE state NOT IN (SELECT id FROM states) "
                "ORDER BY created"
            )
            if is_id(row[0]) and is_id(row[1])
        }
        self.images = store.images.all()
        self.chains = {image.manifest: self._chain(image.state) for image in self.images}
        self.needed: dict[bytes, set[str]] = {}
        for image in self.images:
            for name in image.names:
                for state in self.chains[image.manifest]:
                    self.needed.setdefault(state, set()).add(parse_reference(name).familiar)
        self.used, self.titles = self._uses()
        self.blobs = files(store.fd, "blobs/sha256")
        self.listings = {
            name: folder_size(store.fd, f"listings/{name}") for name in names(store.fd, "listings")
        }
        self.taken: set[str] = set()  # blobs and folders of listings that were counted
        self.busy = self._busy()

    def _chain(self, state: bytes) -> tuple[bytes, ...]:
        found: list[bytes] = []
        while state != SCRATCH and state in self.states and len(found) < len(self.states):
            found.append(state)
            state = self.states[state].parent
        return tuple(found)

    def _uses(self) -> tuple[dict[bytes, float], dict[bytes, str]]:
        """When builds last led to a state, and what the first step that did so was called: steps that change nothing lead
        to the state below them.
        """
        led = "FROM build_steps s JOIN step_texts t ON t.id = s.text WHERE s.state != x'' GROUP BY s.state"
        last = self.store.database.all(f"SELECT s.state, max(s.started) {led}")
        first = self.store.database.all(f"SELECT s.state, t.title, min(s.started) {led}")
        used = {row[0]: number(row[1]) for row in last}
        titles = {row[0]: str(row[1]) for row in first}
        for state, slot, created in self.store.database.all(
            "SELECT state, slot, max(created) FROM records GROUP BY state"
        ):
            used[state] = max(used.get(state, 0.0), number(created))
            titles.setdefault(state, str(slot).rpartition("\n")[2])
        return used, titles

    def _busy(self) -> set[bytes]:
        """States that somebody uses now: those that are held, and all below them."""
        busy: set[bytes] = set()
        for state in self.states.values():
            if (
                state.snapshot
                and state.id not in busy
                and in_use(self.store.fd, f"snapshots/{state.snapshot}", folder=True)
            ):
                busy.update(self._chain(state.id))
        return busy

    def blob(self, digest: str) -> int:
        """The bytes of a blob, the first time that it is asked for."""
        return self._count(self.blobs, digest.removeprefix("sha256:"))

    def listings_of(self, slot: str) -> int:
        """The bytes of all listings of a slot, which share them, likewise."""
        return self._count(
            self.listings, os.path.basename(os.path.dirname(self.store.listing_file(slot, "")))
        )

    def _count(self, sizes: dict[str, int], name: str) -> int:
        if name in self.taken:
            return 0
        self.taken.add(name)
        return sizes.get(name, 0)

    def state_items(self) -> list[Item]:
        """Steps and layers."""
        measured = measure_snapshots(
            self.store, [state.snapshot for state in self.states.values() if state.snapshot]
        )
        beside, pulled = self._beside_states()
        items = []
        for state in self.states.values():
            files = measured.get(state.snapshot, (0, 0, 0))
            more = beside.get(state.id, 0)
            used = max(self.used.get(state.id, 0.0), state.created)
            items.append(
                Item(
                    kind="layer" if state.id in pulled else "step",
                    id=state.id.hex(),
                    name=self.titles.get(state.id, "") or (f"layer {pulled.get(state.id, '')[:19]}"),
                    size=files[0] + more,
                    shared=files[0] - files[2],
                    counted=files[1] + more,
                    created=state.created,
                    used=used,
                    parent="" if state.parent == SCRATCH else state.parent.hex(),
                    images=tuple(sorted(self.needed.get(state.id, ()))),
                    in_use=state.id in self.busy,
                )
            )
        return items

    def _beside_states(self) -> tuple[dict[bytes, int], dict[bytes, str]]:
        """Bytes of states' blobs and listings, and the digests of those that were pulled."""
        sizes: dict[bytes, int] = {}
        pulled: dict[bytes, str] = {}
        for state, digest, was_pulled in self.store.database.all("SELECT state, digest, pulled FROM layers"):
            if state in self.states:
                sizes[state] = sizes.get(state, 0) + self.blob(str(digest))
                if was_pulled:
                    pulled[state] = str(digest)
        for state, slot in self.store.database.all(
            "SELECT state, slot FROM records WHERE listing != '' ORDER BY created DESC"
        ):
            sizes[state] = sizes.get(state, 0) + self.listings_of(str(slot))
        return sizes, pulled

    def image_items(self) -> list[Item]:
        """The documents of images."""
        items = []
        for image in self.images:
            size = self.blob(str(image.manifest)) + self.blob(str(image.config))
            size += sum(self.blob(digest) for digest in layer_digests(self.store, image))
            names = tuple(parse_reference(name).familiar for name in image.names)
            held = in_use(self.store.fd, f"blobs/sha256/{image.manifest.hex}")
            items.append(
                Item(
                    kind="image",
                    id=str(image.manifest),
                    name=", ".join(names) or f"image without a name ({image.config.short})",
                    size=size,
                    shared=0,
                    counted=size,
                    created=image.created,
                    used=max([image.created, *(self.used.get(image.state, 0.0),)]),
                    parent="" if image.state == SCRATCH else image.state.hex(),
                    images=names,
                    in_use=held,
                )
            )
        return items

    def image_sizes(self, items: Iterable[Item]) -> tuple[ImageSize, ...]:
        """Images with their chains."""
        by_state = {item.id: item for item in items if item.kind in ("step", "layer")}
        documents = {item.id: item.size for item in items if item.kind == "image"}
        users: dict[bytes, int] = {}
        for chain in self.chains.values():
            for state in chain:
                users[state] = users.get(state, 0) + 1
        found = []
        for image in self.images:
            chain = tuple(state for state in self.chains[image.manifest] if state.hex() in by_state)
            own = [state for state in chain if users[state] == 1]
            size = documents[str(image.manifest)]
            found.append(
                ImageSize(
                    id=str(image.config),
                    names=tuple(parse_reference(name).familiar for name in image.names),
                    size=size + sum(by_state[state.hex()].size for state in chain),
                    own=size
                    + sum(by_state[state.hex()].size - by_state[state.hex()].shared for state in own),
                    created=image.created,
                    states=tuple(state.hex() for state in chain),
                )
            )
        return tuple(found)

    def download_items(self) -> list[Item]:
        """Blobs that URLs gave."""
        items = []
        for key, digest in self.store.database.all("SELECT url, digest FROM downloads"):
            name = str(digest).removeprefix("sha256:")
            path = f"blobs/sha256/{name}"
            used = time_of(self.store.fd, path)
            size = self.blob(str(digest))
            items.append(
                Item(
                    kind="download",
                    id=raw(key).hex(),
                    name=f"what a URL gave ({str(digest)[:19]})",
                    size=size,
                    shared=0,
                    counted=size,
                    created=used,
                    used=used,
                    in_use=in_use(self.store.fd, path),
                )
            )
        return items

    def cache_items(self) -> list[Item]:
        """Folders of RUN --mount=type=cache."""
        ids = self.store.cache_ids()
        return [
            Item(
                kind="cache",
                id=name,
                name=f"cache mount {ids.get(name.partition('-')[0]) or name[:12]}",
                size=size,
                shared=0,
                counted=size,
                created=used,
                used=used,
                in_use=in_use(self.store.fd, f"caches/{name}", folder=True),
            )
            for name, (size, used) in measure_caches(self.store).items()
        ]

    def index_items(self) -> list[Item]:
        """Stat data of contexts."""
        items = []
        for name, size in files(self.store.fd, "indexes").items():
            used = time_of(self.store.fd, f"indexes/{name}")
            if set(name) <= set("0123456789abcdef"):
                items.append(
                    Item("index", name, f"index of a context ({name[:12]})", size, 0, size, used, used)
                )
        return items

    def syntax_items(self) -> list[Item]:
        """Parsed build files, which are rows of the database: one item for all."""
        row = self.store.database.one("SELECT count(*), coalesce(sum(length(tree)), 0) FROM parsed")
        count, size = row or (0, 0)
        if not count:
            return []
        return [Item("syntax", "syntax", f"{count} parsed build files", size, 0, 0, self.now, self.now)]


def survey(store: Store) -> Survey:
    """Look through a whole store. Snapshots that were measured before are not read again, unless they share files."""
    gathered = _Surveyor(store)
    items = [
        *gathered.state_items(),
        *gathered.image_items(),
        *gathered.download_items(),
        *gathered.cache_items(),
        *gathered.index_items(),
        *gathered.syntax_items(),
    ]
    database = sum(size for name, size in files(store.fd, ".").items() if name.startswith("pybuild.db"))
    work = folder_size(store.fd, "runs")
    lost = sum(gathered.blobs.values()) + sum(gathered.listings.values())
    lost -= sum(gathered.blobs.get(name, 0) + gathered.listings.get(name, 0) for name in gathered.taken)
    known = {state.snapshot for state in gathered.states.values()}
    lost += sum(
        folder_size(store.fd, f"snapshots/{name}")
        for name in names(store.fd, "snapshots")
        if name not in known
    )
    items.sort(key=lambda item: item.used)
    total = sum(item.counted for item in items) + database + work + lost
    return Survey(tuple(items), gathered.image_sizes(items), total, database, work, lost, gathered.now)


def layer_digests(store: Store, image: StoredImage) -> list[str]:
    """The digests of an image's layers as its manifest has them; none if that is damaged."""
    try:
        return [str(layer.digest) for layer in store.manifest_of(image).layers]
    except (ImageError, AssertionError):
        return []


def digest_or_none(text: str) -> Digest | None:
    """A digest of the database, None for one that nobody of this program wrote."""
    try:
        return parse_digest(text)
    except ImageError:
        return None
