"""What a run holds between two blocks as plain data: JSON and arrays, and back into objects made for the same plan.

No pickle: what is read can name no code. Objects are not made from it at all; those of a run that begins are filled
with what those of the one that was stopped held, attribute by attribute, so that both must be of one plan and one
version. What belongs to a process stays as it is: threads, functions, the plan, arrays that are only used again.
"""

from __future__ import annotations

from collections import deque
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from heatgrid.engine.block import Array, Buffers
from heatgrid.engine.crew import Crew, Member
from heatgrid.engine.workers import Workers

_OURS = ("heatgrid.engine.", "heatgrid.words.ledger")
_KINDS: dict[str, type] = {"list": list, "tuple": tuple, "deque": deque, "set": set}


def freeze(thing: Any, arrays: list[Array]) -> Any:
    """The thing as JSON; its arrays go to the list, each once."""
    return _Freezer(arrays).node(thing, "run")


def thaw(node: Any, arrays: list[Array], into: Any) -> Any:
    """The thing again, in objects of ``into``, which was made as the frozen one was.

    Raises ValueError where the two are not alike.
    """
    return _Thawer(arrays).thing(node, into, "run")


class _Freezer:
    def __init__(self, arrays: list[Array]) -> None:
        self._arrays = arrays
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []
        """So that no id is given twice."""

    def node(self, thing: Any, path: str) -> Any:
        if thing is None or isinstance(thing, bool | str) or type(thing) is int:
            return thing
        if isinstance(thing, float):
            return {"float": thing.hex()}
        if isinstance(thing, np.generic):
            return {"array": self._put(np.asarray(thing)), "scalar": 1}
        if _stays(thing):
            return {"stays": 1}
        if id(thing) in self._seen:
            return {"again": self._seen[id(thing)]}
        if isinstance(thing, np.ndarray):
            found: dict[str, Any] = {"array": self._put(thing)}
        elif type(thing) in _KINDS.values():
            items = sorted(thing) if isinstance(thing, set) else thing
            found = {type(thing).__name__: [self.node(item, f"{path}[{i}]") for i, item in enumerate(items)]}
            if isinstance(thing, deque) and thing.maxlen is not None:
                raise TypeError(f"{path}: a deque of a fixed length")
        elif type(thing) is dict:
            # not by id: a key is equal to one of another process
            found = {"dict": [[self.node(k, path), self.node(v, f"{path}[{k!r}]")] for k, v in thing.items()]}
        elif type(thing).__module__.startswith(_OURS):
            return self._object(thing, path)
        else:
            raise TypeError(f"{path}: {type(thing)} is not known")
        if isinstance(thing, np.ndarray | list | dict):
            self._remember(thing)
            found["id"] = self._seen[id(thing)]
        return found

    def _object(self, thing: Any, path: str) -> Any:
        self._remember(thing)
        number = self._seen[id(thing)]
        stays = getattr(type(thing), "of_process", ())
        held = {name: self.node(v, f"{path}.{name}") for name, v in vars(thing).items() if name not in stays}
        return {"object": type(thing).__name__, "id": number, "held": held}

    def _remember(self, thing: Any) -> None:
        self._seen[id(thing)] = len(self._kept)
        self._kept.append(thing)

    def _put(self, array: Array) -> int:
        if array.dtype.kind not in "?biuf":
            raise TypeError(f"an array of {array.dtype}")
        self._arrays.append(array)
        return len(self._arrays) - 1


class _Thawer:
    def __init__(self, arrays: list[Array]) -> None:
        self._arrays = arrays
        self._made: dict[int, Any] = {}

    def thing(self, node: Any, into: Any, path: str) -> Any:
        if not isinstance(node, dict):
            return node
        if "stays" in node:
            return into
        if "float" in node:
            return float.fromhex(node["float"])
        if "again" in node:
            return self._made[node["again"]]
        if "array" in node:
            made: Any = self._arrays[node["array"]]
            made = made[()] if "scalar" in node else made
        elif "object" in node:
            return self._object(node, into, path)
        elif "dict" in node:
            made = into if isinstance(into, dict) else {}
            old = dict(made)
            made.clear()
            for k, v in node["dict"]:
                key = self.thing(k, None, path)
                made[key] = self.thing(v, old.get(key), f"{path}[{key!r}]")
        else:
            made = self._several(node, into, path)
        if "id" in node:
            self._made[node["id"]] = made
        return made

    def _several(self, node: dict[str, Any], into: Any, path: str) -> Any:
        name = next(name for name in _KINDS if name in node)
        old = list(into) if isinstance(into, list | tuple | deque) else []
        items = [
            self.thing(item, old[i] if i < len(old) else None, f"{path}[{i}]") for i, item in enumerate(node[name])
        ]
        if isinstance(into, list) and name == "list":
            into[:] = items  # whoever else holds the list sees it
            return into
        return _KINDS[name](items)

    def _object(self, node: dict[str, Any], into: Any, path: str) -> Any:
        if type(into).__name__ != node["object"]:
            raise ValueError(f"{path}: {type(into).__name__} where {node['object']} was")
        self._made[node["id"]] = into
        stays = getattr(type(into), "of_process", ())
        if set(node["held"]) != {name for name in vars(into) if name not in stays}:
            raise ValueError(f"{path}: other attributes")
        for name, value in node["held"].items():
            setattr(into, name, self.thing(value, vars(into)[name], f"{path}.{name}"))
        return into


def _stays(thing: Any) -> bool:
    """What was made for the plan, or for the process."""
    if isinstance(thing, Crew | Member | Workers | Buffers | ZoneInfo):
        return True
    if callable(thing) and not type(thing).__module__.startswith(_OURS):
        return True
    frozen = getattr(type(thing), "__dataclass_params__", None)
    return frozen is not None and bool(frozen.frozen) and type(thing).__module__.startswith("heatgrid.words")
