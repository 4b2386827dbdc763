"""Modules that are loaded when first needed, since a probe that never needs them must start fast."""

import asyncio
import importlib
from types import ModuleType

_loaded: dict[str, ModuleType] = {}


async def loaded(name: str) -> ModuleType:
    """The module of this name; at once if it was asked for before."""
    if name not in _loaded:
        # Beside the event loop, since others are under way whose times are measured. Not by a look at sys.modules,
        # where a module is from the beginning of its import on.
        _loaded[name] = await asyncio.to_thread(importlib.import_module, name)
    return _loaded[name]
