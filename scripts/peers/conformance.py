"""Puts peers to the test with `ringload check`, and writes down what came of it."""

import datetime
import json
import platform
import re
import subprocess
import tempfile
from pathlib import Path

from peers import ROOT, Failure, Server

RESULT = ROOT / "results" / "conformance" / "check.md"
LIMIT_SECONDS = 900
# Of the cases that show the same.
CASES_NAMED = 8
# Of several requirements that a peer does not meet, the one that is named first is of the first of these groups.
GRAVEST = ["utf8", "frames", "fragments", "deflate", "close", "resources", "handshake", "syntax"]
HEAD = """\
# What `ringload check` finds

Each server as [`scripts/peers`](../../scripts/peers/README.md) starts it, on loopback. What the verdicts mean and how
strict they are: [docs/check.md](../../docs/check.md). A FAIL is a requirement that a document puts on servers in so many
words; a WARN is advice not taken, or a limit that is missing. Idle timeouts and pings are switched off where a server
has them, so a WARN for half a frame that is borne with says nothing about its defaults. What had to be built
otherwise stands in `scripts/peers`, too.

What is tested is a library together with the few lines of ours that make an echo server of it, in the form of its own
examples: where a library leaves something to its user and its examples do not do it (methods, an answer to a handshake
that is wrong, a deadline), the server lacks it.

Made by `scripts/peers/check --conformance`.
"""


def find_ringload(target):
    """The generator, as it is built for release or else for tests."""
    for profile in ("release", "debug"):
        path = Path(target) / profile / "ringload"
        if path.exists():
            return path
    raise Failure("ringload is not built: cargo build --release --package ringload")


def examine(peer, target, ringload):
    """What the check finds in a peer."""
    server = Server(peer, target)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "check.json"
            url = peer["url"].replace("{port}", str(server.port))
            command = [str(ringload), "check", url, "--pid", str(server.process.pid), "--json", str(path)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise Failure(f"the check is not over after {LIMIT_SECONDS} s") from error
            if not path.exists():
                raise Failure((done.stderr.strip().splitlines() or ["the check wrote no result"])[-1])
            return json.loads(path.read_text())
    finally:
        server.kill()


def write(findings):
    """findings: (peer, version, document) for each peer."""
    findings = sorted(findings, key=lambda finding: finding[0]["role"] != "ours")
    groups = list(dict.fromkeys(group(case) for _, _, document in findings for case in document["cases"]))
    environment = findings[0][2]["environment"]
    lines = [HEAD]
    lines.append(
        f"{datetime.date.today()}; ringload {environment['ringload_version']}, {len(findings[0][2]['cases'])} cases; "
        f"Linux {environment['kernel']}, {platform.machine()}, {environment['cpus_online']} CPUs.\n"
    )
    lines += table(findings)
    lines.append("\n## By group\n\nPASS / WARN / FAIL; cases that do not apply are left out.\n")
    lines.append(f"| server | {' | '.join(groups)} |")
    lines.append("|---|" + "---:|" * len(groups))
    for peer, _, document in findings:
        cells = [" / ".join(str(count(document, name, verdict)) for verdict in ("PASS", "WARN", "FAIL")) for name in groups]
        lines.append(f"| {peer['title']} | {' | '.join(cells)} |")
    for peer, version, document in findings:
        if document["error"] and not document["error"].endswith("cases failed"):
            lines.append(f"\n**{peer['title']} {version}**: {document['error']}.")
    for verdict, title in (("FAIL", "Requirements not met"), ("WARN", "Warnings")):
        lines.append(f"\n## {title}")
        for peer, version, document in findings:
            told = list(rules(document, verdict))
            if told:
                lines.append(f"\n### {peer['title']} {version}\n")
                tell = accuse if verdict == "FAIL" else warn
                lines += [line for rule in told for line in tell(*rule)]
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text("\n".join(lines) + "\n")
    return RESULT


def table(findings):
    yield "| server | version | PASS | WARN | FAIL | does not apply | foremost requirement not met |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for peer, version, document in findings:
        totals = document["totals"]
        told = sorted(rules(document, "FAIL"), key=lambda rule: (gravity(rule[1]), -len(rule[1])))
        foremost = f"{told[0][0][0]}: {told[0][0][1]}" if told else ""
        cells = [peer["title"], version, *(str(totals[name]) for name in ("pass", "warn", "fail", "skip")), foremost]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def group(case):
    return case["id"].split("/")[0]


def gravity(cases):
    name = group(cases[0])
    return GRAVEST.index(name) if name in GRAVEST else len(GRAVEST)


def count(document, name, verdict):
    return sum(group(case) == name and case["verdict"] == verdict for case in document["cases"])


def rules(document, verdict):
    """((section, requirement), cases) for each rule whose cases came to this."""
    found = {}
    for case in document["cases"]:
        if case["verdict"] == verdict:
            found.setdefault((case["section"], case["requirement"]), []).append(case)
    return found.items()


def accuse(rule, cases):
    """A requirement, the cases that show that it is not met, and of these the one that sends least."""
    section, says = rule
    least = min(cases, key=sent_bytes)
    yield f"- **{section}**: {says}  "
    yield f"  Cases: {names(cases)}. The smallest, `{least['id']}`, expects: {least['expected']}; what happened:"
    yield f"  {least['happened']}"
    yield ""
    yield "  ```text"
    yield from (f"  {line}" for line in least["transcript"])
    yield "  ```"


def warn(rule, cases):
    section, says = rule
    yield f"- {section}: {says}: {names(cases)} ({cases[0]['happened']})"


def names(cases):
    shown = ", ".join(f"`{case['id']}`" for case in cases[:CASES_NAMED])
    return shown if len(cases) <= CASES_NAMED else f"{shown} and {len(cases) - CASES_NAMED} more"


def sent_bytes(case):
    """How much the case sent behind its upgrade."""
    counts = (re.match(r"sent (\d+) bytes", line) for line in case["transcript"])
    return sum(int(count[1]) for count in counts if count)
