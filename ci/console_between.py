"""Compares the values of each task in tokio-console with two goroutine dumps, one from before and one from after.

Usage: console_between.py BEFORE SCREEN AFTER AGE LEAST [STATE..]

AGE is the most seconds that the service has run, LEAST the least number of tasks that all three must have. Each STATE (running,
scheduled, idle) must have been compared for some task. Prints each value that is not between those of the dumps.
"""

import re
import sys

UNITS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
PART = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
STATES = {"▶": "running", "⏫": "scheduled", "⏸": "idle", "⏹": "completed"}
KINDS = {"root of a block_on": "block_on"}
# The error of the clock's rate: a few hundredths in a young process on a busy machine, and less later.
RATE = 0.05


def duration(text):
    """In nanoseconds: the value, and the unit of its last digit."""
    parts = PART.findall(text)
    assert parts and "".join(map("".join, parts)) == text, text
    number, unit = parts[-1]
    digit = UNITS[unit] / 10 ** len(number.partition(".")[2])
    return sum(float(number) * UNITS[unit] for number, unit in parts), digit


def dump(path):
    """Each task by its id: state, since when, polls, busy, location, kind, name."""
    line = re.compile(
        r"# (?:(?P<name>\w+), )?(?P<state>running|runnable|waiting) (?P<since>[^,]+), polls (?P<polls>\d+), "
        r"busy (?P<busy>[^,]+), spawned at (?P<location>[^,]+)(?P<more>.*)"
    )
    tasks, last = {}, None
    for text in open(path, encoding="utf-8"):
        text = text.rstrip("\n")
        last = line.fullmatch(text) or (last if text.startswith("goroutine ") else None)
        if last and text.startswith("goroutine "):
            task = last.groupdict()
            task["since"], task["busy"] = duration(task["since"])[0], duration(task["busy"])[0]
            task["polls"] = int(task["polls"])
            task["kind"] = next((kind for words, kind in KINDS.items() if words in task["more"]), "task")
            tasks[int(text.split()[1])] = task
            last = None
    return tasks


def screen(path):
    """The same for the rows of the list."""
    row = re.compile(
        r"│.*? (?P<id>\d+) +(?P<state>[▶⏫⏸⏹])\S* +(?:(?P<name>[a-z]\w*) +)?(?P<total>\S+) +(?P<busy>\S+) +"
        r"(?P<sched>\S+) +(?P<idle>\S+) +(?P<polls>\d+) +(?P<kind>task|block_on|blocking|local) +(?P<location>\S+) .*"
    )
    found = map(row.match, open(path, encoding="utf-8"))
    return {int(row["id"]): row.groupdict() for row in found if row}


def complaints(row, before, after, age, held):
    def within(what, least, shown, most):
        value, digit = duration(shown)
        # Shown values are rounded to the nearest digit; minutes are cut off.
        if not least * (1 - RATE) - digit <= value <= most * (1 + RATE) + digit:
            yield f"{what} {shown}, and not between {least / 1e6} ms and {most / 1e6} ms"

    if not before["polls"] <= int(row["polls"]) <= after["polls"]:
        yield f"polls {row['polls']}, and not between {before['polls']} and {after['polls']}"
    for what in ("kind", "name"):
        if row[what] != before[what]:
            yield f"{what} {row[what]}, and not {before[what]}"
    # The client shortens the path before the package.
    if not before["location"].endswith(row["location"].removeprefix("<cargo>/")):
        yield f"location {row['location']}, and not {before['location']}"
    yield from within("busy", before["busy"], row["busy"], after["busy"])
    # At least as old as its own times, and no older than the service.
    yield from within("total", max(before["since"], before["busy"]), row["total"], age)
    names = ("busy", "sched", "idle")
    parts = [duration(row[name]) for name in names]
    total, digit = duration(row["total"])
    if abs(sum(value for value, _ in parts) - total) > sum(digit for _, digit in parts) + digit:
        yield f"total {row['total']}, and not the sum of {[row[name] for name in names]}"
    # A task that did nothing between the dumps has the same state on the screen.
    if before["polls"] != after["polls"] or before["state"] != after["state"]:
        return
    state = {"running": "running", "runnable": "scheduled", "waiting": "idle"}[before["state"]]
    if STATES[row["state"]] != state:
        yield f"state {STATES[row['state']]}, and not {state}"
    held.add(state)
    where = {"running": "busy", "scheduled": "sched", "idle": "idle"}[state]
    yield from within(f"{where} as it is {state}", before["since"], row[where], age)


def main():
    before, rows, after = dump(sys.argv[1]), screen(sys.argv[2]), dump(sys.argv[3])
    age, least, states = float(sys.argv[4]) * 1e9, int(sys.argv[5]), set(sys.argv[6:])
    common = sorted(rows.keys() & before.keys() & after.keys())
    held = set()
    wrong = [
        f"task {task}: {what}"
        for task in common
        for what in complaints(rows[task], before[task], after[task], age, held)
    ]
    if len(common) < least:
        wrong.append(f"{len(common)} tasks in all three, and not {least}")
    wrong += [f"no task was {state} all the time" for state in states - held]
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(bool(wrong))


main()
