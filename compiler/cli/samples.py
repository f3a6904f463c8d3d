"""Files of inputs as samples: what `verify --data` reads, each when it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from dlcc.compiler.cli.arrays import Arrays, gather_feeds
from dlcc.compiler.container.manifest import TensorSpec
from dlcc.compiler.errors import BadFeed, UsageError

SUFFIXES = (".npz", ".npy", ".raw")


class Files(Mapping[str, Mapping[str, np.ndarray]]):
    """Name of a file -> the arrays in it by input."""

    def __init__(self, paths: Sequence[Path], specs: Sequence[TensorSpec]) -> None:
        """paths: files, or folders of them.   Raises UsageError for a folder without any."""
        self._specs = specs
        self._paths = {str(file): file for path in paths for file in _files(path)}

    def __getitem__(self, name: str) -> Arrays:
        """Raises BadFeed where a file does not have the model's inputs."""
        path = self._paths[name]
        if len(self._specs) == 1:
            return gather_feeds(self._specs, [f"{self._specs[0].name}={path}"])
        if path.suffix != ".npz":
            names = ", ".join(spec.name for spec in self._specs)
            raise BadFeed(
                f"{path} has one tensor, and the model takes {len(self._specs)}",
                hint=f"a .npz of all: {names}",
            )
        return gather_feeds(self._specs, [str(path)])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not found:
        raise UsageError(f"{path} has no samples", hint=f"files of {', '.join(SUFFIXES)}")
    return found
