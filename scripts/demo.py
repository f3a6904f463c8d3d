"""The second half of scripts/demo: one model, every engine, one table.

Exit code 0 when every engine says what TensorFlow says, 1 when one does not.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from checkout import ROOT, VENV, cache_folder, environment
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dlcc.compiler import open_container
from dlcc.targets.device import Bench
from dlcc.targets.errors import DlccError


@dataclass(frozen=True, slots=True)
class Engine:
    """One row of the table. device: where it runs here, None: the first place that it can.
    count: the event that is its cost."""

    target: str
    device: str | None
    summary: str
    count: str | None = None


ENGINES = (
    Engine("host", "local", "this machine's CPU"),
    Engine("arm", "emulator", "Arm CPU, emulated", count="instructions"),
    Engine("opencl", None, "a GPU through OpenCL; without one, PoCL on the CPU"),
    Engine("hexagon", "emulator", "Hexagon DSP, emulated", count="packets"),
)

TOLERANCE = 1e-4  # of a probability; float32 sums in another order differ by less than 1e-5
ACCURACY = 0.97

# in a log the table may be wider than the 80 columns that rich would take
console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one engine made of the images held out of training. device: where it ran."""

    device: str
    accuracy: float
    same_class: float
    max_difference: float
    cost: str
    size_bytes: int

    @property
    def agrees(self) -> bool:
        """Whether it says what TensorFlow says. A class may change only where two were equal, and
        then the probabilities still agree."""
        return self.max_difference <= TOLERANCE and self.accuracy >= ACCURACY


def step(text: str) -> None:
    console.print(f"[bold]{text}[/bold]")


def shell(command: list[str], folder: Path) -> None:
    """Show a command as a user would type it, and run it. Leaves the demo where it fails."""
    console.print(f"[cyan]$ {shlex.join(command)}[/cyan]", soft_wrap=True)
    program = [str(VENV / "bin" / command[0]), *command[1:]]
    done = subprocess.run(program, cwd=folder, env=environment(), check=False)
    if done.returncode:
        sys.exit(done.returncode)


def trained(folder: Path) -> None:
    """digits.pb and digits.npz in a folder, trained once for each version of the two scripts."""
    if (folder / "digits.pb").exists():
        return
    command = [sys.executable, str(ROOT / "scripts" / "digits.py"), str(folder)]
    done = subprocess.run(command, env=environment(), check=False)
    if done.returncode:
        sys.exit(done.returncode)


def model_folder() -> Path:
    """A folder of the cache that is named after what makes the model."""
    made_by = (ROOT / "scripts" / name for name in ("digits.py", "zoo.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in made_by)).hexdigest()
    return cache_folder() / "demo" / digest[:12]


def measure(engine: Engine, container: Path, data: dict[str, np.ndarray]) -> Measured:
    """Run every image on an engine, one at a time as a phone would, and take the cost of one."""
    opened = open_container(container)
    images = data["image"]
    with opened.session(device=engine.device, target=engine.target, threads=1) as session:
        said = np.concatenate(
            [session.run({"image": image[None]})["probabilities"] for image in images]
        )
        bench = session.bench({"image": images[:1]}, repeat=50)
        device = session.device
    row = next(row for row in opened.targets if row.kind == engine.target)
    code = opened.artifact(row)
    expected = data["probabilities"]
    return Measured(
        device=device,
        accuracy=float((said.argmax(axis=1) == data["label"]).mean()),
        same_class=float((said.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        max_difference=float(np.abs(said - expected).max()),
        cost=cost_of(engine, bench),
        size_bytes=sum(map(len, code.files.values())) + sum(w.nbytes for w in code.weights),
    )


def cost_of(engine: Engine, bench: Bench) -> str:
    """Events where the device counts them, else milliseconds; an emulator's time means nothing."""
    if engine.count:
        counted = bench.counts.get(engine.count)
        return "not counted" if counted is None else f"{counted:,} {engine.count}"
    return f"{np.median(bench.times_s) * 1e3:.3f} ms"


def attempt(engine: Engine, container: Path, data: dict[str, np.ndarray]) -> Measured | DlccError:
    """What an engine made of the images, or why it could not be asked."""
    step(f"Run it on {engine.target}: {engine.summary}")
    try:
        return measure(engine, container, data)
    except DlccError as error:
        console.print(f"{error.what}\n  hint: {error.hint}", style="red")
        return error


def show(rows: dict[Engine, Measured | DlccError], data: dict[str, np.ndarray]) -> None:
    """The table; TensorFlow's own accuracy is its first row."""
    table = Table(title=f"{len(data['label'])} images that training has not seen", box=SIMPLE_HEAD)
    table.add_column("engine")
    table.add_column("device")
    headings = ("accuracy", "same class\nas TensorFlow", "largest\ndifference", "cost of\nan image")
    for heading in (*headings, "size"):
        table.add_column(heading, justify="right")
    right = (data["probabilities"].argmax(axis=1) == data["label"]).mean()
    table.add_row("TensorFlow", "local", f"{right:.1%}")
    for engine, row in rows.items():
        if isinstance(row, DlccError):
            table.add_row(engine.target, engine.device or "", "[red]not run[/red]")
            continue
        table.add_row(
            engine.target if row.agrees else f"{engine.target} [red]WRONG[/red]",
            row.device,
            f"{row.accuracy:.1%}",
            f"{row.same_class:.1%}",
            f"{row.max_difference:.1e}",
            row.cost,
            f"{row.size_bytes / 1024:.0f} KiB",
        )
    console.print(table)


def verdict(rows: dict[Engine, Measured | DlccError]) -> int:
    """Exit code: 1 where an engine is wrong, else that of the first that could not be asked."""
    if any(isinstance(row, Measured) and not row.agrees for row in rows.values()):
        return 1
    errors = (row.exit_code for row in rows.values() if isinstance(row, DlccError))
    return next(errors, 0)


def main() -> int:
    started = time.perf_counter()
    os.environ.update(environment())
    folder = model_folder()
    container = folder / "digits.dlc"
    step("Model: a small convolutional network on scikit-learn's handwritten digits")
    trained(folder)
    data = dict(np.load(folder / "digits.npz"))
    step("Compile it, once for all engines")
    targets = ",".join(engine.target for engine in ENGINES)
    console.print(f"[cyan]$ source .venv/bin/activate; cd {folder}[/cyan]", soft_wrap=True)
    shape = "image=1,8,8,1"  # one image at a time: what is known at compile time is faster
    shell(["compile", "-t", targets, "--input", shape, "digits.pb", "-o", "digits.dlc"], folder)
    rows = {engine: attempt(engine, container, data) for engine in ENGINES}
    show(rows, data)
    console.print(f"[dim]{time.perf_counter() - started:.0f} s; the container: {container}[/dim]")
    return verdict(rows)


if __name__ == "__main__":
    sys.exit(main())
