"""The compiled module, where there is one."""

from __future__ import annotations

import importlib
from typing import Any, Optional

from otel_tracepoints.engine import hook
from otel_tracepoints.engine.build import MODULE, why_not_compiled
from otel_tracepoints.interrupts import is_for_application


class Compiled:
    """Loads the module once, and tells it what it needs of Python."""

    def __init__(self) -> None:
        self._module: Optional[Any] = None
        self._why: Optional[str] = None

    def module(self) -> Optional[Any]:
        """The module; None where it was not built, or does not load."""
        if self._module is None and self._why is None:
            try:
                module = importlib.import_module(MODULE)
                module.prepare(hook.SITES, is_for_application)
                self._module = module
            except ImportError as error:
                self._why = why_not_compiled() or f"it does not load: {error}"
        return self._module

    def loaded(self) -> Optional[Any]:
        """The module, if anybody has asked for it."""
        return self._module

    def why_not(self) -> str:
        """Why there is none, as a part of a sentence."""
        return "" if self.module() is not None else str(self._why)


#: The one of this process.
COMPILED = Compiled()
