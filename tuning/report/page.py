"""The report as one HTML file that needs no network and no scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from dlcc.targets.atomic import written_whole
from dlcc.tuning.report.chart import chart
from dlcc.tuning.report.style import STYLE
from dlcc.tuning.report.values import Report, TaskResult
from dlcc.tuning.wording import cost_text, gain_text, printable

REPORT = "report.html"
REWARDS = {
    "seconds": "seconds, measured on the device",
    "instructions": "executed instructions, counted by the emulator",
    "packets": "packets of instructions, counted by the emulator",
}


def write(reports: Sequence[Report], path: str | Path) -> None:
    """Write a page to a file, wholly or not at all.   Raises UsageError."""
    with written_whole(path) as file:
        file.write(page(reports).encode("utf-8"))


def page(reports: Sequence[Report], at: datetime | None = None) -> str:
    """The page of some reports.   at: when it is made; None: now."""
    title = text(", ".join(dict.fromkeys(report.title for report in reports)) or "nothing tuned")
    made = (at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    body = "".join("".join(_section(report)) for report in reports)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        # whatever a name in a model may hold, nothing of it is run or fetched
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Tuning {title}</title><style>{STYLE}</style></head><body>"
        f'<h1>Tuning {title}</h1><p class="small">Made by dlcc on {made}.</p>'
        f"{body or '<p>There are no records.</p>'}</body></html>\n"
    )


def text(value: object) -> str:
    """Escaped, without control characters, and with nothing that UTF-8 cannot hold."""
    shown = printable(str(value)).encode("utf-8", "backslashreplace").decode()
    return escape(shown, quote=True)


def _section(report: Report) -> Iterator[str]:
    head = f"{report.target}, {report.processor}" if report.processor else report.target
    threads = f"{report.threads} thread{'s'[: report.threads > 1]}"
    yield f"<section><h2>{text(head)}, {threads}</h2>"
    if report.stale:
        yield f'<p class="note">Stale: {text(report.stale)}. No build uses this.</p>'
    yield from _facts(report)
    yield from (f'<p class="note">{text(note)}</p>' for note in report.notes)
    if report.curve:
        yield "<h3>Estimate of the network, by trial</h3>"
        yield chart(report.curve, "{:.1%}".format, name="the best so far, of the defaults")
    yield from _tasks(report)
    yield from _devices(report)
    yield from _failures(report)
    yield from _sessions(report)
    yield "</section>"


def _facts(report: Report) -> Iterator[str]:
    """What there is to know before any table."""
    rows = [
        ("reward", REWARDS.get(report.reward, report.reward)),
        ("device", report.device),
        ("made with", report.tools),
        ("trials", f"{report.trials:,}, of which {report.failed:,} failed or were wrong"),
    ]
    if (estimate := report.estimate) is not None:
        rows.append(("estimate, tuned kernels", _pair(*estimate, report.reward)))
    if measured := report.end_to_end:
        pair = _pair(measured.before, measured.after, report.reward)
        rows.append(("measured, whole network", f"{pair}; measured in turns"))
    else:
        rows.append(("measured, whole network", "not in these records"))
    yield "<dl>"
    yield from (f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in rows)
    yield "</dl>"


def _pair(before: float, after: float, reward: str) -> str:
    costs = f"{cost_text(before, reward)} before, {cost_text(after, reward)} after"
    return f"{costs}: {gain_text(before, after)} as fast"


def _tasks(report: Report) -> Iterator[str]:
    total = sum(task.default_cost or 0.0 for task in report.tasks)
    rows = [_task(report, task, total) for task in report.tasks]
    titles = (
        "kernel",
        "calls",
        "share",
        "trials",
        "failed",
        "default",
        "best",
        "faster",
        "of peak",
    )
    yield "<h3>Kernels</h3>"
    yield from _table((*titles, "choice"), rows, numbers=range(1, 9))
    for task in report.tasks:
        if len(task.curve) > 1:
            name = text(task.label or task.workload)
            yield f"<details><summary>{name}</summary><p class='small'>{text(task.workload)}</p>"
            yield chart(
                task.curve, lambda y: cost_text(y, report.reward), name="best cost so far, by trial"
            )
            yield "</details>"


def _task(report: Report, task: TaskResult, total: float) -> Sequence[str]:
    share = task.share
    if share is None and total and task.default_cost is not None:
        share = task.default_cost / total
    peak = report.peak_share(task)
    return (
        task.label or task.workload,
        "-" if task.calls is None else f"{task.calls:,}",
        "-" if share is None else f"{share:.1%}",
        f"{task.trials:,}",
        f"{task.failed:,}",
        cost_text(task.default_cost, report.reward),
        cost_text(task.best_cost, report.reward),
        gain_text(task.default_cost, task.best_cost),
        "-" if peak is None else f"{peak:.0%}",
        task.choice or "default",
    )


def _devices(report: Report) -> Iterator[str]:
    if report.devices:
        rows = [
            (d.address, f"{d.trials:,}", f"{d.failed:,}", f"{d.set_aside:,}", d.why)
            for d in report.devices
        ]
        yield "<h3>Devices of the last session</h3>"
        yield from _table(("device", "trials", "failed", "set aside", "why"), rows, (1, 2, 3))


def _failures(report: Report) -> Iterator[str]:
    if report.failures:
        rows = [(f.label, f.choice, f"{f.count:,}", f.error) for f in report.failures]
        yield "<h3>Failures</h3>"
        yield from _table(("kernel", "choice", "times", "why"), rows, (2,))


def _sessions(report: Report) -> Iterator[str]:
    if report.sessions:
        rows = [(s.session, s.first, s.last, f"{s.records:,}") for s in report.sessions]
        yield "<h3>Sessions</h3>"
        yield from _table(("session", "from", "to", "records"), rows, (3,))


def _table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]
) -> Iterator[str]:
    """numbers: which columns are set to the right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if n in numbers else ''}>{text(cell)}</{tag}>"
            for n, cell in enumerate(row)
        )

    yield f"<div class=scroll><table><thead><tr>{cells('th', titles)}</tr></thead><tbody>"
    yield from (f"<tr>{cells('td', row)}</tr>" for row in rows)
    yield "</tbody></table></div>"
