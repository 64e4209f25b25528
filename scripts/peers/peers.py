"""The peers as data: what peer.toml says, how one is installed, and how it runs."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

INSTALL_SECONDS = 330  # somewhat more than `install` and `make-venv` give themselves
START_SECONDS = 20
END_SECONDS = 5


class Failure(Exception):
    """What is wrong, in one sentence."""


class Skip(Exception):
    """Why a peer is left out, in one sentence."""


def load_peers():
    """Every peer and variant, in the order of their folders."""
    peers = []
    for path in sorted(HERE.glob("**/peer.toml")):
        if "node_modules" in path.parts:
            continue
        try:
            base = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as error:
            sys.exit(f"check: {path.relative_to(ROOT)}: {error}")
        variants = base.pop("variant", [])
        for peer in [base, *({**base, **variant} for variant in variants)]:
            check_fields(path, peer)
            peers.append({**peer, "folder": path.parent})
    names = [peer["name"] for peer in peers]
    for name in names:
        if names.count(name) > 1:
            sys.exit(f"check: two peers are called {name}")
    return peers


def check_fields(path, peer):
    """The contract of peer.toml, as README.md has it."""
    texts = ["name", "title", "what", "source", "speed", "installed", "url"]
    lists = ["version", "run"]
    wrong = [name for name in texts if not isinstance(peer.get(name), str) or not peer[name]]
    wrong += [name for name in lists if not is_command(peer.get(name))]
    if not isinstance(peer.get("install"), list) or not all(map(is_command, peer["install"])):
        wrong.append("install")
    if not re.fullmatch(r"[a-z0-9-]+", peer.get("name", "")):
        wrong.append("name")
    if peer.get("threads") not in ("one", "all"):
        wrong.append("threads")
    if peer.get("role") not in ("ours", "limit", "baseline", "peer"):
        wrong.append("role")
    if "tls" in peer and not is_command(peer["tls"]):
        wrong.append("tls")
    if wrong:
        sys.exit(f"check: {path.relative_to(ROOT)}: {peer.get('name')}: wrong or missing: {', '.join(wrong)}")


def is_command(value):
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)


def fill(words, **values):
    values = {"root": str(ROOT), "workers": str(len(os.sched_getaffinity(0))), **values}
    for name, value in values.items():
        words = [word.replace("{" + name + "}", value) for word in words]
    return words


def install(peer, target, allowed):
    """Installs it unless it is there; returns its version, which must be the one that its source names."""
    (installed,) = fill([peer["installed"]], target=target)
    there = peer["folder"] / installed
    if not there.exists():
        if not allowed:
            raise Skip("it is not installed")
        print(f"installing {peer['name']} ...", file=sys.stderr, flush=True)
        for command in peer["install"]:
            status, said = run(fill(command, target=target), peer["folder"], INSTALL_SECONDS)
            if status != 0:
                lines = said.strip().splitlines()
                raise Skip(lines[-1] if lines else f"{command[0]} ended with {status}")
    if not there.exists():
        raise Failure(f"installing it has not made {installed}")
    status, version = run(fill(peer["version"], target=target), peer["folder"], 30)
    version = version.strip().splitlines()
    if status != 0 or not version:
        raise Failure("its version command failed")
    for pinned in re.findall(r"\d+(?:\.\d+)+", peer["source"]):
        if pinned not in re.findall(r"\d+(?:\.\d+)+", version[0]):
            raise Failure(f"{version[0]} is installed, its source names {pinned}: remove {installed} and try again")
    return version[0]


def run(command, folder, seconds):
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return 1, f"gave up on {command[0]} after {seconds} s"
    except OSError as error:
        return 1, f"cannot run {command[0]}: {error.strerror}"
    return done.returncode, done.stdout


class Server:
    """A running peer. What it prints goes to a file; it leads a session of its own."""

    def __init__(self, peer, target, tls=None):
        self.port = free_port()
        words = peer["run"] + (peer["tls"] if tls else [])
        values = dict(zip(("cert", "key"), tls)) if tls else {}
        command = fill(words, target=target, port=str(self.port), **values)
        self.output = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                command,
                cwd=peer["folder"],
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"cannot run {command[0]}: {error.strerror}") from error
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failure(f"it ended at once: {(self.said() or ['it did not say why'])[-1]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"it does not listen after {START_SECONDS} s")

    def said(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace").splitlines()

    def end(self):
        """Asks it to end; complains if it, or one that it started, does not."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_SECONDS)
            deadline = time.monotonic() + END_SECONDS
            while self.is_left() and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.is_left():
                raise Failure("a process that it started outlives it")
        except subprocess.TimeoutExpired as error:
            raise Failure(f"it does not end within {END_SECONDS} s of SIGTERM") from error
        finally:
            self.kill()

    def is_left(self):
        try:
            os.killpg(self.process.pid, 0)
            return True
        except (ProcessLookupError, PermissionError):
            return False

    def kill(self):
        if self.is_left():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
