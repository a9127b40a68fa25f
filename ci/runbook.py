#!/usr/bin/env python3
"""Checks the commands of runtime-probe/docs/runbook.md on the programs with the faults that it names.

Each `<!-- run: PROGRAM [PATH] -->` starts a program with the probe on a unix socket (for the shop, PATH switches a fault on). The command
after `$` is run on it until its answer has each line of the section, for at most 60 s. Numbers, durations and the spaces between columns
are ignored. With an argument only the sections of that program are run. Four sections run at a time: most of their time is waiting."""

import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
SECTION = re.compile(r"<!-- run: (\S+)(?: (\S+))? -->\n```text\n\$ (.+)\n((?:.*\n)*?)```\n")


class Wrong(Exception):
    """A section is wrong."""


def general(line):
    line = re.sub(r"\S*/(?=examples/)|\.\.\./(?=examples/)", "", line)
    line = re.sub(r"(?:[0-9][0-9.,]*(?:ns|us|\u00b5s|ms|s|m|h)(?![a-z]))+", "TIME", line)
    line = re.sub(r"[+-]?[0-9][0-9.,]*", "N", line)
    return re.sub(r"\s+", " ", line).strip()


def missing(shown, answer):
    lines = [general(line) for line in answer.splitlines()]
    for line in shown.splitlines():
        if line.strip() in ("", "..."):
            continue
        whole = not line.endswith(" ...")
        wanted = general(line.removesuffix(" ...").removesuffix(","))
        if not any(line == wanted if whole else line.startswith(wanted) for line in lines):
            yield wanted


def start(program, path, folder):
    socket = folder / "probe.sock"
    socket.unlink(missing_ok=True)
    arguments = []
    said = open(folder / "stdout", "w+")
    environment = dict(os.environ)
    if program == "checkout":
        arguments = ["--listen", "127.0.0.1:0", "--probe", "127.0.0.1:0"]
    else:
        environment["RUNTIME_PROBE_LISTEN"] = f"unix:{socket}"
    process = subprocess.Popen([TARGET / program, *arguments], stdout=said, stderr=said, env=environment)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        text = (folder / "stdout").read_text()
        listening = re.search(r"^The shop listens on ([0-9.:]+), the probe on ([0-9.:]+);", text, re.M)
        if listening:
            with urllib.request.urlopen(f"http://{listening[1]}{path}", timeout=30) as reply:
                reply.read()
            return process, listening[2]
        if socket.exists():
            return process, str(socket)
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise Wrong(f"{program} does not start: {text}")


def holds(program, path, command, shown):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        process, source = start(program, path, folder)
        try:
            words = [source if word == "127.0.0.1:6060" else word for word in shlex.split(command)]
            words[0] = str(TARGET / words[0])
            end = time.monotonic() + 60
            while True:
                answer = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
                gone = list(missing(shown, answer.stdout))
                if answer.returncode == 0 and not gone:
                    print(f"runbook.py: {program} {path}: {command}")
                    return
                if time.monotonic() > end:
                    raise Wrong(f"{program}: {command}: not in its answer: {gone}\n{answer.stdout}{answer.stderr}")
                time.sleep(0.5)
        finally:
            process.kill()
            process.wait()


page = (ROOT / "runtime-probe/docs/runbook.md").read_text()
sections = [(m[1], m[2] or "", m[3], m[4]) for m in SECTION.finditer(page)]
if len(sections) != page.count("<!-- run: ") or len(sections) < 12:
    sys.exit(f"runbook.py: {len(sections)} sections of {page.count('<!-- run: ')} are understood")
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    runs = [pool.submit(holds, *section) for section in sections if len(sys.argv) < 2 or section[0] in sys.argv[1:]]
wrong = [f"runbook.py: {run.exception()}" for run in runs if run.exception()]
if wrong:
    sys.exit("\n".join(wrong))
