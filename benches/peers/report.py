"""From the rounds' figures to a table, to promises and whether they held, and to benches/PEERS.md."""

import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

import livekit_server
from contenders import Contender
from measures import SESSIONS, Figures, Round

COLUMNS = [
    "Antiphon", "raw SDK", "livekit-agents, no session", "livekit-agents, AgentSession", "pipecat", "pipecat, tuned",
]

SPEAKERS_COLUMN = {"livekit-agents": "livekit-agents, AgentSession"}
"""Who speaks does so through a session."""

OURS = COLUMNS[0]

ROUNDS, CONFIRM_MS = 3, 200
"""Unless it is said."""


def middle(values: list[float]) -> float:
    return float(np.median(values))


def high(values: list[float]) -> float:
    return float(np.percentile(values, 95))


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    text: str
    figure: str
    of: Callable[[list[float]], float] = middle
    digits: int = 0
    more_is_better: bool = False


ROWS = [
    Row("echo, click to click: p50, ms", "echo"),
    Row("echo, click to click: p95, ms", "echo", high),
    Row("processor, one echo that is spoken to, % of a core", "cpu_1", digits=1),
    Row(f"processor, each of {SESSIONS} echoes, % of a core", "cpu_5", digits=1),
    Row("memory before any session, MB", "memory_base", digits=1),
    Row("– of it heap and stacks, MB", "memory_base_anonymous", digits=1),
    Row("memory with one session, MB", "memory_1", digits=1),
    Row(f"memory with {SESSIONS} sessions, MB", "memory_5", digits=1),
    Row("memory of each session after the first, MB", "memory_further", digits=2),
    Row("asked for → first sound: p50, ms", "start"),
    Row("asked for → first sound: p95, ms", "start", high),
    Row("barge-in, first voice → silence: p50, ms", "barge_in"),
    Row("barge-in, first voice → silence: p95, ms", "barge_in", high),
    Row("packets at rest, gaps: p99, ms", "pace_idle_p99", digits=1),
    Row("packets at rest, gaps: longest, ms", "pace_idle_max", max, digits=1),
    Row("packets at rest: sent, % of those due", "pace_idle_sent", digits=1, more_is_better=True),
    Row("packets, every core busy, gaps: p99, ms", "pace_busy_p99", digits=1),
    Row("packets, every core busy, gaps: longest, ms", "pace_busy_max", max, digits=1),
    Row("packets, every core busy: sent, % of those due", "pace_busy_sent", digits=1, more_is_better=True),
]

ALIKE = 0.02
"""Figures that differ by less are alike."""


class Results:
    """The rounds of each side, by the column that they stand in."""

    def __init__(self) -> None:
        self.rounds: dict[str, dict[str, list[Figures]]] = {}
        self.realtime: set[str] = set()
        self.shortfalls: list[str] = []

    def add(self, kind: str, contender: Contender, found: Round) -> None:
        column = SPEAKERS_COLUMN.get(contender.name, contender.name)
        self.rounds.setdefault(column, {}).setdefault(kind, []).append(found.figures)
        if found.realtime:
            self.realtime.add(contender.side)

    def raw(self) -> dict[str, dict[str, list[Figures]]]:
        return self.rounds

    def of(self, column: str, figure: str) -> list[list[float]]:
        """The values of a figure, a list a round."""
        kinds = self.rounds.get(column, {}).values()
        return [found[figure] for rounds in kinds for found in rounds if figure in found]

    def value(self, column: str, row: Row) -> float | None:
        """Of all values of all rounds."""
        rounds = self.of(column, row.figure)
        return row.of([value for values in rounds for value in values]) if rounds else None

    def cell(self, column: str, row: Row) -> str:
        """The value, and between which the rounds' own lie; a round is too short for a high percentile of its own."""
        value = self.value(column, row)
        if value is None:
            return "–"
        rounds = [row.of(values) for values in self.of(column, row.figure)]
        if len(rounds) == 1 or row.of is high:
            return f"{value:.{row.digits}f}"
        return f"{value:.{row.digits}f} ({min(rounds):.{row.digits}f}–{max(rounds):.{row.digits}f})"


def tables(results: Results) -> str:
    """The table, what was promised, and where others are better."""
    columns = [column for column in COLUMNS if column in results.rounds]
    lines = [["", *columns]]
    lines += [[row.text, *(results.cell(column, row) for column in columns)] for row in ROWS
              if any(results.value(column, row) is not None for column in columns)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns) + 1)]
    drawn = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines]
    drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    parts = ["\n".join(drawn), deaf(results), "\n".join(promises(results)), worse(results, columns)]
    return "\n\n".join(part for part in parts if part)


def deaf(results: Results) -> str:
    """What a side has not done, and trials in which an agent talked on."""
    told = [f"- NOT MEASURED, {shortfall}" for shortfall in results.shortfalls]
    for column in results.rounds:
        missed = sum(map(len, results.of(column, "not_interrupted")))
        if missed:
            tried = missed + sum(map(len, results.of(column, "barge_in")))
            told.append(f"- {column} was not interrupted in {missed} of {tried} trials, which are not in its times.")
    return "\n".join(told)


def row_of(figure: str) -> Row:
    return next(row for row in ROWS if row.figure == figure)


def promises(results: Results) -> list[str]:
    """What Antiphon is held to, each with what came out in this run."""
    lines = []

    def judge(figure: str, column: str, share: float, what: str) -> None:
        ours, theirs = results.value(OURS, row_of(figure)), results.value(column, row_of(figure))
        if ours is not None and theirs:
            verdict = "held" if ours <= theirs * share else "NOT HELD"
            bound = "below" if share == 1 else f"at most 1/{1 / share:.0f} of"
            ratio = f"1/{theirs / ours:.1f}" if ours < theirs else f"{ours / theirs:.2f} ×"
            lines.append(f"- {verdict}: {what}, {bound} {column}'s: {ours:.2f} beside {theirs:.2f}, {ratio}")

    for column in ["livekit-agents, AgentSession", "pipecat"]:
        judge("barge_in", column, 1, "barge-in to silence, p50 in ms")
    for column in ["livekit-agents, no session", "livekit-agents, AgentSession"]:
        judge("cpu_5", column, 1 / 4, f"processor of each of {SESSIONS} echoes in % of a core")
    for figure, what in [
        ("memory_further", "memory of each session after the first in MB"),
        ("memory_base", "memory before any session in MB"),
        ("memory_5", f"memory with {SESSIONS} sessions in MB, all in all"),
    ]:
        for column in ["livekit-agents, no session", "livekit-agents, AgentSession"]:
            judge(figure, column, 1 / 30, what)
    return lines


def worse(results: Results, columns: list[str]) -> str:
    """Each measure in which somebody is better."""
    lines = []
    for row in ROWS:
        ours = results.value(OURS, row)
        if ours is None:
            continue
        sign, slack = (-1 if row.more_is_better else 1), ALIKE * ours
        better = [
            f"{column} {value:.{row.digits}f}" for column in columns
            if column != OURS and (value := results.value(column, row)) is not None and sign * (ours - value) > slack
        ]
        if better:
            lines.append(f"- {row.text.removeprefix('– ')}: Antiphon {ours:.{row.digits}f}, {', '.join(better)}")
    return "Where another side was better in this run:\n\n" + "\n".join(lines) if lines else ""


def machine(antiphon: Path) -> str:
    """What this ran on, and which versions of everything."""
    try:
        cpu = next(line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                   if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or "an unknown processor"
    own = subprocess.run([antiphon, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    packages = ", ".join(f"{name} {version(name)}" for name in ["livekit-agents", "pipecat-ai", "livekit"])
    return (
        f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}; load average before "
        f"the run {os.getloadavg()[0]:.1f}. {own or 'antiphon'}; {packages}, Python {platform.python_version()}; "
        f"livekit-server {livekit_server.version()}."
    )


def page(tables: str, machine: str, results: Results, confirm_ms: int) -> str:
    """benches/PEERS.md."""
    rounds = max(len(found) for kinds in results.rounds.values() for found in kinds.values())
    text = Path(__file__).with_name("page.md").read_text().split("---\n", 1)[1]
    words = [
        f"{word} {value}" for word, value, usual in
        [("--rounds", rounds, ROUNDS), ("--confirm-ms", confirm_ms, CONFIRM_MS)] if value != usual
    ]
    command = f'make bench-peers ARGS="{" ".join(words)}"' if words else "make bench-peers"
    realtime = ", ".join(sorted(results.realtime)) or "nobody"
    for name, value in [("COMMAND", command), ("TABLES", tables), ("MACHINE", machine), ("ROUNDS", str(rounds)),
                        ("CONFIRM", str(confirm_ms)), ("REALTIME", realtime)]:
        text = text.replace(f"{{{name}}}", value)
    return text
