"""Dependencies that differ on a free-threaded interpreter are computed when the package is built."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any, Dict, List

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

try:
    import tomllib
except ImportError:  # before 3.11; hatchling brings it there
    import tomli as tomllib  # type: ignore[import-not-found,no-redef]

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


class CustomMetadataHook(MetadataHookInterface):
    """Fills in ``dependencies`` and ``optional-dependencies``; the extra ``all`` is all the others."""

    def update(self, metadata: Dict[str, Any]) -> None:
        """Called by hatchling with the ``project`` table."""
        project = tomllib.loads((Path(self.root) / "pyproject.toml").read_text("utf-8"))
        table = project["tool"]["otel-tracepoints"]
        own = "dependencies-free-threaded" if FREE_THREADED else "dependencies-with-gil"
        metadata["dependencies"] = [*table["dependencies"], *table[own]]
        extras: Dict[str, List[str]] = {name: list(needs) for name, needs in table["extras"].items()}
        extras["all"] = sorted({need for needs in extras.values() for need in needs})
        metadata["optional-dependencies"] = extras


class CustomBuildHook(BuildHookInterface[Any]):
    """Tags a wheel that was built for a free-threaded interpreter: its dependencies fit no other."""

    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Called by hatchling before it builds."""
        if FREE_THREADED:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
