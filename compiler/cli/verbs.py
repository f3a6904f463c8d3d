"""Commands and groups of the command line: what every verb has in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, Literal, NamedTuple, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])
VERBOSITY = "dlcc.verbosity"


def _count(ctx: click.Context, steps: int) -> None:
    ctx.meta[VERBOSITY] = ctx.meta.get(VERBOSITY, 0) + steps  # click shares meta among verbs


def talk_options() -> list[click.Option]:
    """`-v` and `-q`, which every verb takes so that they may stand before or after it."""
    return [
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=lambda ctx, _, given: _count(ctx, int(given)),
            help="Say more on stderr: each step with its time, full tracebacks.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=lambda ctx, _, given: _count(ctx, -int(given)),
            help="Say nothing on stderr but errors.",
        ),
    ]


class Verb(click.Command):
    """A command that takes `-v` and `-q`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += talk_options()

    def invoke(self, ctx: click.Context) -> Any:
        from dlcc.compiler.cli.talk import Talk

        ctx.obj = Talk(ctx.meta[VERBOSITY])
        return super().invoke(ctx)


class Verbs(click.Group):
    """A group that suggests verbs near to a misspelt one and lists them in their own order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {"help_option_names": ["-h", "--help"]})
        super().__init__(*args, **kwargs)
        self.params += talk_options()

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from dlcc.compiler.errors import did_you_mean

            error = click.UsageError(f"no such command '{name}'", ctx)
            error.hint = did_you_mean(name, self.list_commands(ctx))  # type: ignore[attr-defined]
            raise error
        return super().resolve_command(ctx, args)


def _show_versions(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from dlcc.compiler.container.tools import llvm_version, package_version

    click.echo(f"dlcc        {package_version('dlcc')}")
    click.echo(f"TVM         {package_version('apache-tvm')}")
    click.echo(f"LLVM        {llvm_version()}")
    click.echo(f"TensorFlow  {package_version('tensorflow')}")
    ctx.exit()


def version_option(command: F) -> F:
    """`--version`, which loads TVM to ask for its LLVM."""
    option = click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_versions,
        help="Show the versions of dlcc, TVM, LLVM and TensorFlow.",
    )
    return option(command)


def json_option(command: F) -> F:
    """`--json`: rows as JSON on stdout, an error as one JSON object on stderr."""
    option = click.option("--json", "as_json", is_flag=True, help="Show JSON on stdout.")
    return option(command)


device_option = click.option(
    "--device",
    metavar="ADDRESS",
    help="local, emulator, rpc://HOST:PORT or rpc://TRACKER:PORT/KEY; default: what the target's "
    "kind uses.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(1), metavar="N", help="CPU threads; default: all."
)
runtime_option = click.option(
    "--runtime",
    type=click.Choice(["tvm", "aot"]),
    help="aot: libraries with a C API, which need no TVM; default: the target's own, for CPUs tvm.",
)
fp16_option = click.option(
    "--fp16",
    is_flag=True,
    help="Keep floats in half precision on GPUs that compute in it; sums stay float32.",
)


class Place(NamedTuple):
    """Where a container runs: what `Container.session` takes."""

    device: str | None
    target: str | None
    threads: int | None
    time_limit_s: float


class Feeds(NamedTuple):
    """What a container is fed: what `arrays.gather_feeds` takes after the inputs."""

    files: tuple[str, ...]
    raw_dtype: str | None
    seed: int | None


class Part(NamedTuple):
    """Which part of a SavedModel is meant: what `load` and `compile` take by these names."""

    signature: str | None
    tag: str | None


class How(NamedTuple):
    """How a model is compiled: what `compile` takes by these names."""

    checks: Literal["drop", "keep"]
    runtime: str | None
    fp16: bool


def how_options(command: F) -> F:
    """`--checks --runtime --fp16`, as the command's `how`."""
    return gathered(
        command,
        How,
        "how",
        click.option(
            "--checks",
            type=click.Choice(["drop", "keep"]),
            default="drop",
            show_default=True,
            help="Whether Assert and CheckNumerics of the model stop it while it runs.",
        ),
        runtime_option,
        fp16_option,
    )


def part_options(command: F) -> F:
    """`--signature --tag`, as the command's `part`."""
    return gathered(
        command,
        Part,
        "part",
        click.option(
            "--signature",
            metavar="NAME",
            help="Signature of a SavedModel; `compile` takes several, joined by commas, or all. "
            "Default: serving_default, or the only one.",
        ),
        click.option(
            "--tag",
            metavar="TAG",
            help="Tags of a SavedModel's graph, joined by commas; default: serve, or the only.",
        ),
    )


def ops_option(command: F) -> F:
    """`--ops`, repeatable."""
    option = click.option(
        "--ops",
        multiple=True,
        metavar="FILE.py",
        help="A Python file with ops of your own, whose code is run; repeatable. none: not even "
        "those of installed packages.",
    )
    return option(command)


def signature_option(command: F) -> F:
    """`--signature` of a container."""
    option = click.option(
        "--signature",
        metavar="NAME",
        help="Which of several signatures; default: serving_default, or the first.",
    )
    return option(command)


def time_limit_option(command: F) -> F:
    """`--time-limit`."""
    option = click.option(
        "--time-limit",
        "time_limit_s",
        type=click.FloatRange(0, min_open=True),
        default=60.0,
        show_default=True,
        metavar="S",
        help="Seconds that one remote call may take.",
    )
    return option(command)


def device_options(command: F) -> F:
    """`--device --target --order --threads --time-limit`, as the command's `place`."""
    return gathered(
        command,
        _place,
        "place",
        device_option,
        click.option(
            "-t",
            "--target",
            metavar="TARGET",
            help="Kind or chip; default: the first in the container whose device opens.",
        ),
        click.option(
            "--order",
            metavar="TARGET,…",
            help="Kinds or chips, the preferred first: the first whose device opens is taken.",
        ),
        threads_option,
        time_limit_option,
    )


def _place(
    device: str | None,
    target: str | None,
    order: str | None,
    threads: int | None,
    time_limit_s: float,
) -> Place:
    if target is not None and order is not None:
        from dlcc.compiler.errors import UsageError

        raise UsageError(
            "--target and --order both say where to run", hint="leave one of them away"
        )
    return Place(device, order if target is None else target, threads, time_limit_s)


def feed_options(command: F) -> F:
    """`--input --raw --random`, as the command's `feeds`."""
    return gathered(
        command,
        Feeds,
        "feeds",
        click.option(
            "-i",
            "--input",
            "files",
            multiple=True,
            metavar="NAME=FILE",
            help="A .npy, .npz or .raw file for an input, or FILE.npz for all by name; repeatable.",
        ),
        click.option(
            "--raw",
            "raw_dtype",
            metavar="DTYPE",
            help="What .raw files hold; default: the dtype of the input.",
        ),
        click.option(
            "--random",
            "seed",
            type=click.IntRange(0),
            metavar="SEED",
            help="Random values for the inputs without a file.",
        ),
    )


def gathered(command: F, make: Callable[..., Any], name: str, *options: Callable[[Any], Any]) -> F:
    """The command with these options, whose values it gets under `name` as `make` puts them."""
    fields = signature(make).parameters

    @wraps(command)
    def with_record(**values: Any) -> Any:
        values[name] = make(**{field: values.pop(field) for field in fields})
        return command(**values)

    for option in reversed(options):
        option(with_record)
    return cast(F, with_record)
