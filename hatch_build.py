"""What is decided when the package is built: its dependencies, and whether it has a compiled engine."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Optional

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
    """Compiles the engine's fast part. Where that cannot be, the package is made without, and says why.

    With ``TRACEPOINTS_REQUIRE_NATIVE=1``, for those who make wheels for others, it must be.
    """

    _work: Optional[tempfile.TemporaryDirectory[str]] = None

    def dependencies(self) -> List[str]:
        """Called by hatchling before all: what the build needs besides what pyproject.toml says."""
        required: List[str] = self._native().requirements()
        return required

    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        """Called by hatchling before it packs."""
        native = self._native()
        self._work = tempfile.TemporaryDirectory(prefix="otel-tracepoints-")
        work = Path(self._work.name)
        # An editable installation is the source tree.
        folder = native.ENGINE if version == "editable" else work
        why = native.attempt(folder, work / "cmake")
        if why is not None and os.environ.get("TRACEPOINTS_REQUIRE_NATIVE", "0") not in ("", "0"):
            raise RuntimeError(f"The compiled engine is required (TRACEPOINTS_REQUIRE_NATIVE), but {why}")
        name = native.MODULE if why is None else native.REASON
        self._record(folder, native, why)
        if version != "editable":
            build_data["force_include"][str(folder / name)] = f"otel_tracepoints/engine/{name}"
        if why is None or FREE_THREADED:
            # Fits this interpreter only; without the GIL even in pure Python, by its dependencies.
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: Dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Called by hatchling when the package is there."""
        if self._work is not None:
            self._work.cleanup()

    def _record(self, folder: Path, native: Any, why: Optional[str]) -> None:
        """The module or the reason: an editable installation may have the other from before."""
        try:
            (folder / (native.REASON if why is None else native.MODULE)).unlink(missing_ok=True)
            if why is not None:
                (folder / native.REASON).write_text(f"{why}\n", "utf-8")
        except OSError as error:
            self.app.display_warning(f"{folder} cannot be written to: {error}")

    def _native(self) -> Any:
        # By its path: a build's own folder is not where Python looks for modules.
        spec = importlib.util.spec_from_file_location("build_native", Path(self.root) / "build_native.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
