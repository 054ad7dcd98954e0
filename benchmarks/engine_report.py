"""What the engine's benchmark shows of its rows: a table, a summary for README, a plot."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import COMPARED, PEERS

OURS, DESCRIBED, ONE_ROW = "quantumedge", "quantumedge, described", "quantumedge, one new row"

PANELS = 4
"""Beside each other in a drawing."""


@dataclass(frozen=True)
class Row:
    """One library on one problem; times in milliseconds."""

    library: str
    objective: str
    n: int
    periods: int
    median: float
    p99: float
    runs: int
    value: float | None = None
    excess: float | None = None
    violation: float | None = None
    gap: float | None = None
    times_ours: float | None = None
    error: str | None = None


def table(rows: list[Row]) -> str:
    lines = [
        (
            "| objective | n/T | library | median ms | p99 | runs | × ours | objective excess"
            " | violation | gap |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = (
            f"{row.median:.3g} | {row.p99:.3g} | {row.runs} | "
            + (f"{row.times_ours:.3g}" if row.times_ours else "–")
            + " | "
            + (f"{row.excess:.1e}" if row.excess is not None else "–")
            + " | "
            + (f"{row.violation:.0e}" if row.violation is not None else "–")
            + " | "
            + (f"{row.gap:.0e}" if row.gap is not None else "–")
        )
        figures = figures if row.error is None else f"{row.error[:60]} | | | | | |"
        lines.append(f"| {row.objective} | {row.n}/{row.periods} | {row.library} | {figures} |")
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    """Ours and the fastest peer for every problem: the table for README."""
    lines = [
        "| objective | assets/days | ms | described | one new row | p99 | best peer | ms | ratio |",
        "|---|---|---:|---:|---:|---:|---|---:|---:|",
    ]
    problems = dict.fromkeys((row.objective, row.n, row.periods) for row in rows)
    for objective, n, periods in problems:
        found = {
            r.library: r for r in rows if (r.objective, r.n, r.periods) == (objective, n, periods)
        }
        if DESCRIBED not in found:
            continue
        ours, described, warm = found[OURS], found[DESCRIBED], found[ONE_ROW]
        peers = [row for name, row in found.items() if name in PEERS and row.error is None]
        best = min(peers, key=lambda row: row.median, default=None)
        cells = [f"{ours.median:.2f}", f"{described.median:.2f}", f"{warm.median:.2f}"]
        cells.append(f"{warm.p99:.2f}")
        cells += [best.library, f"{best.median:.0f}"] if best else ["–", "–"]
        cells.append(f"{best.median / ours.median:.0f}" if best else "–")
        lines.append(f"| {objective} | {n}/{periods} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(rows: list[Row], path: Path) -> None:
    """Time against the number of assets, one panel per objective."""
    import matplotlib as mpl

    mpl.use("svg" if path.suffix == ".svg" else "agg")
    mpl.rcParams["svg.hashsalt"] = "quantumedge"  # the same figures, the same file
    from matplotlib import pyplot as plt

    drawn = [row for row in rows if row.library in (OURS, ONE_ROW, *PEERS) and row.runs]
    names = [name for name in COMPARED if any(row.objective == name for row in drawn)]
    across = min(len(names), PANELS)
    down = -(-len(names) // across)
    size = (3.1 * across, 3.0 * down + 0.6)
    figure, axes = plt.subplots(down, across, figsize=size, sharey=True, squeeze=False)
    panels = axes.ravel()[: len(names)]
    for unused in axes.ravel()[len(names) :]:
        unused.set_axis_off()
    for axis, name in zip(panels, names, strict=True):
        for library in (OURS, ONE_ROW, *PEERS):
            found = [row for row in drawn if (row.library, row.objective) == (library, name)]
            # One window length per size: the longest.
            longest = {row.n: row for row in sorted(found, key=lambda row: row.periods)}
            sizes, own = sorted(longest), library in (OURS, ONE_ROW)
            axis.plot(
                sizes,
                [longest[n].median for n in sizes],
                marker="o",
                markersize=3,
                linewidth=2 if own else 1,
                label=library,
            )
        axis.set(title=name.replace("_", " "), xlabel="assets", xscale="log", yscale="log")
        axis.grid(alpha=0.3)
    for first in axes[:, 0]:
        first.set_ylabel("milliseconds, median")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=len(labels), frameon=False)
    figure.tight_layout(rect=(0, 0.3 / size[1], 1, 1))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
