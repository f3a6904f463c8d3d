"""`dlc.metadata`: who made a DLC and how, as lines `key=value`."""

from __future__ import annotations

from collections.abc import Mapping

MAX_METADATA_BYTES = 1 << 20


def encode_metadata(version: str, options: Mapping[str, str]) -> bytes:
    """The entry. version: of dlcc.   options: what the user asked for, no paths and no times."""
    command = " ".join(["dlcc compile", *(f"{k}={v}" for k, v in sorted(options.items()))])
    rows = {
        "converter-command": command,
        "converter-version": version,
        "model-copyright": "N/A",
        "model-version": "N/A",
        "quantizer-command": "N/A",
    }
    return "".join(f"{key}={' '.join(value.split())}\n" for key, value in rows.items()).encode()


def decode_metadata(content: bytes) -> dict[str, str]:
    """The lines that have a key; N/A is how the tools of DLC files say that there is no value."""
    lines = content[:MAX_METADATA_BYTES].decode("utf-8", "backslashreplace").splitlines()
    pairs = (line.partition("=") for line in lines)
    return {key: value for key, mark, value in pairs if key and mark}
