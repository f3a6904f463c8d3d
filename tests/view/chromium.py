"""A headless Chromium for tests of pages, driven over the DevTools protocol.

The protocol is spoken through two pipes, which takes the standard library alone. The packages that
do this as well bring 53 MB and an event loop (playwright), or need a driver, with which Debian
brings a second browser of 280 MB (selenium).
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.view.found import find

FLAGS = (
    "--headless",
    "--no-sandbox",  # needs rights that a container does not give; only our own pages are opened
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--enable-precise-memory-info",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
ANSWER_S = 60.0


class Chromium:
    """A browser with one page."""

    def __init__(self) -> None:
        browser = find()
        self._folder = tempfile.TemporaryDirectory(prefix="dlcc-chromium-")
        flags = [*FLAGS, f"--user-data-dir={self._folder.name}"]
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        # The protocol's two pipes are file descriptors 3 and 4 of the browser.
        command = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        with open(Path(self._folder.name) / "stderr", "wb") as said:
            self.process = subprocess.Popen(
                ["bash", "-c", command, "chromium", browser.program, *flags, "about:blank"],
                env={**os.environ, **browser.variables},
                pass_fds=(to_read, to_write),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        os.close(to_read)
        os.close(to_write)
        self._rest = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        self._session = ""
        pages = self.send("Target.getTargets")["targetInfos"]
        page = next(row["targetId"] for row in pages if row["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Performance"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and all its processes."""
        os.close(self._write)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._read)
        self._folder.cleanup()

    def send(self, method: str, **params: object) -> dict[str, Any]:
        """Ask the browser and wait for its answer; what it tells meanwhile goes to `events`."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._read, 1 << 20)
            if not read:
                said = (Path(self._folder.name) / "stderr").read_text("utf-8", "replace")
                raise RuntimeError(f"the browser ended: {said[-2000:]}")
            self._rest += read
        line, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(line))

    def open(self, path: Path, width: int = 1280, height: int = 800) -> None:
        """Load a file and wait until it is there; `events` holds what it did from then on."""
        self.size(width, height)
        self.events.clear()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.until("document.readyState === 'complete'")

    def size(self, width: int, height: int, scale: float = 1) -> None:
        """The window's size in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)

    def media(self, **features: str) -> None:
        """`prefers_color_scheme="dark"` and its like."""
        rows = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.send("Emulation.setEmulatedMedia", features=rows)

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, a promise's when it is kept."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        _until(lambda: bool(self.run(expression)), expression)

    def key(self, key: str, *, shift: bool = False) -> None:
        """Press a key by its name in events: "ArrowDown", "Enter", "a"."""
        text = {"Enter": "\r", "Tab": ""}.get(key, key if len(key) == 1 else "")
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38}
        row: dict[str, object] = {"key": key, "modifiers": 8 * shift, "text": text}
        row["windowsVirtualKeyCode"] = codes.get(key, ord(key.upper()) if len(key) == 1 else 0)
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **row)
        self.send("Input.dispatchKeyEvent", type="keyUp", **row)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """kind: "mousePressed", "mouseMoved", "mouseReleased" or "mouseWheel"."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float, count: int = 1) -> None:
        self.mouse("mouseMoved", x, y)
        for number in range(1, count + 1):
            button: Mapping[str, object] = {"button": "left", "clickCount": number}
            self.mouse("mousePressed", x, y, **button)
            self.mouse("mouseReleased", x, y, **button)

    def screenshot(self, path: Path) -> None:
        """A PNG of what is seen."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def requests(self) -> list[str]:
        """Addresses that the page asked for since it was opened."""
        rows = [row for row in self.events if row["method"] == "Network.requestWillBeSent"]
        return [row["params"]["request"]["url"] for row in rows]

    def complaints(self) -> list[str]:
        """Errors and warnings of the page since it was opened."""
        found = []
        for row in self.events:
            if row["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(row["params"]["exceptionDetails"]))
            elif row["method"] == "Log.entryAdded":
                found.append(row["params"]["entry"]["text"])
            elif row["method"] == "Runtime.consoleAPICalled":
                found.append(json.dumps(row["params"]["args"]))
        return found


def _until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + ANSWER_S
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {ANSWER_S:.0f} s: {what}")
        time.sleep(0.01)
