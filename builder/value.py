"""`dataclass`, `field`, `replace` and `fields` of the standard library's module, made for start-up time.

The standard `dataclass` writes source text for six methods of every class and compiles it: for the hundred and
twenty classes of this program that was half the time of a cached build, 33 of 63 ms. Here the methods are shared by all
classes and read the names of the fields, and nothing is compiled. Making one object costs two microseconds instead of one.

What is supported is what the program uses: `@dataclass(slots=True)` with or without `frozen=True`, defaults, factories,
`repr=False`, `__post_init__`, inheritance. The functions of the standard module (`asdict`, `fields`, `is_dataclass`) take
these classes too, and type checkers see the standard module itself.
"""

from __future__ import annotations

TYPE_CHECKING = False
__all__ = ["dataclass", "field", "fields", "replace"]
if TYPE_CHECKING:
    from dataclasses import dataclass, field, fields, replace
else:
    _MISSING = object()
    _OWN = "__value_fields__"

    class _Field:
        """How a field is filled when the caller does not, and whether it is shown."""

        __slots__ = ("default", "factory", "name", "shown", "type")

        def __init__(self, name, default=_MISSING, factory=None, shown=True):
            self.name = name
            self.default = default
            self.factory = factory
            self.shown = shown
            self.type = ""

    def field(*, default=_MISSING, default_factory=None, repr=True):  # noqa: A002 - the standard module's name
        """What a field's declaration may say besides its type."""
        return _Field("", default, default_factory, repr)

    def fields(class_or_object):
        """The fields, in their order; of each `name` and `type` are of interest."""
        return getattr(class_or_object, _OWN)

    def replace(value, /, **changes):
        """A copy with some fields changed."""
        for item in getattr(value, _OWN):
            if item.name not in changes:
                changes[item.name] = getattr(value, item.name)
        return value.__class__(**changes)

    class _StandardFields:
        """What the standard module's functions look for, made when they do."""

        def __get__(self, instance, owner):
            import dataclasses

            made = {}
            for item in getattr(owner, _OWN):
                if item.factory is not None:
                    standard = dataclasses.field(default_factory=item.factory, repr=item.shown)
                elif item.default is not _MISSING:
                    standard = dataclasses.field(default=item.default, repr=item.shown)
                else:
                    standard = dataclasses.field(repr=item.shown)
                standard.name, standard.type = item.name, item.type
                standard._field_type = dataclasses._FIELD
                made[item.name] = standard
            owner.__dataclass_fields__ = made
            return made

    def _init_of(cls, own, setters, finish):
        count = len(own)
        name = cls.__qualname__

        def __init__(self, /, *args, **given):  # noqa: N807 - it becomes a method
            if len(args) > count:
                raise TypeError(f"{name}() takes {count} values, not {len(args)}")
            at = 0
            for value in args:
                setters[at](self, value)
                at += 1
            while at < count:
                item = own[at]
                if item.name in given:
                    value = given.pop(item.name)
                elif item.default is not _MISSING:
                    value = item.default
                elif item.factory is not None:
                    value = item.factory()
                else:
                    raise TypeError(f"{name}() needs {item.name!r}")
                setters[at](self, value)
                at += 1
            if given:
                raise TypeError(f"{name}() has no place for {next(iter(given))!r}")
            if finish:
                self.__post_init__()

        return __init__

    def _values(self):
        return tuple([getattr(self, item.name) for item in getattr(self, _OWN)])

    def _equal(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self is other or _values(self) == _values(other)

    def _hash(self):
        return hash(_values(self))

    def _repr(self):
        shown = [f"{item.name}={getattr(self, item.name)!r}" for item in getattr(self, _OWN) if item.shown]
        return f"{self.__class__.__qualname__}({', '.join(shown)})"

    def _refuse_set(_, name, __):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_delete(_, name):
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _get_state(self):
        return list(_values(self))

    def _set_state(self, state):
        for item, value in zip(getattr(self, _OWN), state, strict=True):
            object.__setattr__(self, item.name, value)

    def dataclass(*, slots, frozen=False):
        """Make a class of values of one that declares its fields; `slots` is always true here."""
        assert slots

        def make(cls):
            found = {}
            for base in reversed(cls.__mro__[1:]):
                for item in base.__dict__.get(_OWN, ()):
                    found[item.name] = item
            space = dict(cls.__dict__)
            inherited = set(found)
            for name, kind in space.get("__annotations__", {}).items():
                declared = space.pop(name, _MISSING)
                item = declared if isinstance(declared, _Field) else _Field(name, declared)
                item.name, item.type = name, kind
                found[name] = item
            own = tuple(found.values())
            space.pop("__dict__", None)
            space.pop("__weakref__", None)
            space["__slots__"] = tuple(name for name in found if name not in inherited)
            space[_OWN] = own
            space["__dataclass_fields__"] = _StandardFields()
            space["__match_args__"] = tuple(found)
            space.setdefault("__repr__", _repr)
            space.setdefault("__eq__", _equal)
            if frozen:
                space["__hash__"] = space.get("__hash__") or _hash
                space["__setattr__"], space["__delattr__"] = _refuse_set, _refuse_delete
                space["__getstate__"], space["__setstate__"] = _get_state, _set_state
            elif "__hash__" not in space:
                space["__hash__"] = None
            made = type(cls)(cls.__name__, cls.__bases__, space)
            made.__qualname__ = cls.__qualname__
            # A slot's own setter is what `object.__setattr__` would look up each time.
            setters = [getattr(made, name).__set__ for name in found]
            if "__init__" not in space:
                made.__init__ = _init_of(made, own, setters, hasattr(made, "__post_init__"))
            return made

        return make
