"""JSON from a file that nobody vouches for: every key and type is checked as it is taken."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from dlcc.compiler.container.tensors import DTYPES

MAX_JSON_BYTES = 64 << 20
MAX_RANK = 64
MAX_ELEMENTS = 1 << 40
_FILE_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Malformed(Exception):
    """`what` is wrong with the content; the caller adds the file's name."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class Checked:
    """One JSON object and the place where it stands, such as `targets[0].weights[3]`.

    document: what the errors call the whole.
    """

    def __init__(self, value: object, place: str, document: str = "manifest") -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{place or document} is not an object")
        self.value: dict[str, Any] = value
        self.place = place
        self.document = document

    @classmethod
    def parse(cls, content: bytes, document: str = "manifest") -> Checked:
        """The object that JSON holds. Refuses what is too large, too deep or says a key twice."""
        if len(content) > MAX_JSON_BYTES:
            raise Malformed(f"{document} has {len(content)} bytes; {MAX_JSON_BYTES} are the limit")
        try:
            value = json.loads(
                content.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant
            )
        except (ValueError, RecursionError) as error:
            raise Malformed(f"{document} is not JSON ({error})") from error
        return cls(value, "", document)

    def _take(self, key: str) -> Any:
        if key not in self.value:
            raise Malformed(f"{self.document} lacks {self._at(key)}")
        return self.value[key]

    def _at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def _wrong(self, key: str, wanted: str) -> NoReturn:
        shown = repr(self.value[key])
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise Malformed(f"{self.document}: {self._at(key)} is {shown}, not {wanted}")

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str):
            self._wrong(key, "a text")
        return value

    def integer(self, key: str) -> int:
        value = self._take(key)
        if not _is_size(value):
            self._wrong(key, "a whole number of 0 or more")
        return int(value)

    def table(self, key: str) -> Checked:
        return Checked(self._take(key), self._at(key), self.document)

    def texts(self, key: str) -> dict[str, str]:
        table = self.table(key)
        return {name: table.text(name) for name in table.value}

    def files(self, key: str) -> dict[str, str]:
        """File name -> entry. Devices write files under these names, so they may hold no path."""
        files = self.texts(key)
        for name in files:
            if not _FILE_NAME.fullmatch(name):
                raise Malformed(f"{self.document}: {self._at(key)} has {name!r}, not a file name")
        return files

    def rows(self, key: str) -> list[Checked]:
        value = self._take(key)
        if not isinstance(value, list):
            self._wrong(key, "a list")
        place = self._at(key)
        return [Checked(row, f"{place}[{i}]", self.document) for i, row in enumerate(value)]

    def tables(self, key: str) -> dict[str, Checked]:
        table = self.table(key)
        return {name: table.table(name) for name in table.value}

    def list_of_texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self._wrong(key, "a list of texts")
        return tuple(value)

    def number(self, key: str) -> int | float:
        """A whole number where it is written as one."""
        value = self._take(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            self._wrong(key, "a number")
        return value

    def dtype(self) -> str:
        if self.text("dtype") not in DTYPES:
            self._wrong("dtype", "a known dtype")
        return self.text("dtype")

    def sha256(self) -> str:
        if not _SHA256.fullmatch(self.text("sha256")):
            self._wrong("sha256", "64 hex digits")
        return self.text("sha256")

    def symbolic_shape(self, key: str = "shape") -> tuple[int | str, ...] | None:
        """Sizes and symbols; None where the rank is not known."""
        value = self._take(key)
        if value is None:
            return None
        fine = isinstance(value, list) and len(value) <= MAX_RANK
        if not fine or not all(isinstance(d, str) or _is_size(d) for d in value):
            self._wrong(key, "a list of sizes and symbols")
        if math.prod(max(d, 1) for d in value if not isinstance(d, str)) > MAX_ELEMENTS:
            self._wrong(key, f"a shape of at most {MAX_ELEMENTS} elements")
        return tuple(value)

    def static_shape(self) -> tuple[int, ...]:
        """Sizes alone."""
        shape = self.symbolic_shape()
        if shape is None or any(isinstance(d, str) for d in shape):
            self._wrong("shape", "a list of sizes")
        return tuple(int(d) for d in shape)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object says a key twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
