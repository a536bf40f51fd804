"""The gateways that the bench compares with: LiteLLM's proxy from PyPI and Portkey's from npm.

They are installed once, into a folder outside the sources, in environments of their own. Each runs
as its documentation says for production, in one process, without a database, and asks nothing of
the network: it is held to the loopback upstream.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.gateway_client import Way
from bench.gateway_process import Process, until
from bench.gateway_upstream import MODEL

LITELLM: Final = "1.109.1"
FORBIDDEN: Final = ("1.82.7", "1.82.8", "1.107.*")
"""Versions of LiteLLM that must never be installed."""
PORTKEY: Final = "1.15.2"
NODE_SERVER: Final = "1.14.1"
"""Newer ones hand Portkey's streams headers that cannot be changed, and it answers 500."""
INSTALL_S: Final = 600.0
MASTER_KEY: Final = "sk-bench"
PROVIDER_KEY: Final = "sk-upstream"
OFFLINE: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that runs, and how it is called."""

    name: str
    version: str
    process: Process
    way: Way


class NotInstalledError(Exception):
    """A peer could not be installed; the text says why."""


def litellm(peers: Path, upstream: str, folder: Path, core: int | None) -> Peer:
    """Install LiteLLM if it is not there, and start it.

    Raises:
        NotInstalledError: it cannot be installed.
        RuntimeError: it does not start.
    """
    home = peers / f"litellm-{LITELLM}"
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        _install_litellm(home, python)
    program = "from importlib.metadata import version; print(version('litellm'))"
    version = _said([str(python), "-c", program])
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "litellm.yaml"
    config.write_text(
        json.dumps(
            {
                "model_list": [
                    {
                        "model_name": MODEL,
                        "litellm_params": {
                            "model": f"openai/{MODEL}",
                            "api_base": f"{upstream}/v1",
                            "api_key": PROVIDER_KEY,
                        },
                    }
                ],
                "general_settings": {"master_key": MASTER_KEY},
                "litellm_settings": {"telemetry": False, "set_verbose": False},
            }
        )
    )
    port = free_port()
    command = [
        str(home / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1",
        "--port", str(port), "--num_workers", "1",
    ]  # fmt: skip
    env = _env(folder) | OFFLINE | {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR"}
    process = Process("litellm", command, folder, env=env, core=core, speaks=False, cwd=folder)
    _wait(process, port, "/health/liveliness")
    headers = (("authorization", f"Bearer {MASTER_KEY}"),)
    return Peer(
        "LiteLLM", version, process, Way("127.0.0.1", port, "/v1/chat/completions", headers)
    )


def _install_litellm(home: Path, python: Path) -> None:
    """Install the newest version, or what of it the registry can give.

    A release may ask for a certificate bundle that the registry does not serve yet. Then the newest
    release that fits is installed with all it needs, and the wanted one is laid over it.
    """
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", str(home)])
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        _run([*install, f"litellm[proxy]=={LITELLM}"])
    except NotInstalledError:
        _run([*install, "litellm[proxy]" + ",".join(f"!={one}" for one in FORBIDDEN)])
        _run([*install, "--no-deps", f"litellm=={LITELLM}"])
    (home / "installed").touch()


def portkey(peers: Path, upstream: str, folder: Path, core: int | None) -> Peer:
    """Install Portkey if it is not there, and start it.

    Raises:
        NotInstalledError: it cannot be installed.
        RuntimeError: it does not start.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstalledError("node and npm are not on the PATH")
    home = peers / f"portkey-{PORTKEY}"
    if not (home / "installed").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        wanted = {
            "private": True,
            "dependencies": {"@portkey-ai/gateway": PORTKEY},
            "overrides": {"@hono/node-server": NODE_SERVER},
        }
        (home / "package.json").write_text(json.dumps(wanted))
        flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        _run([npm, "install", *flags], cwd=home)
        (home / "installed").touch()
    port = free_port()
    start = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    process = Process(
        "portkey",
        [node, str(start), f"--port={port}", "--headless"],
        folder,
        env=_env(folder) | {"NODE_ENV": "production"},
        core=core,
        speaks=False,
    )
    _wait(process, port, "/")
    headers = (
        ("authorization", f"Bearer {PROVIDER_KEY}"),
        ("x-portkey-provider", "openai"),
        ("x-portkey-custom-host", f"{upstream}/v1"),
    )
    way = Way("127.0.0.1", port, "/v1/chat/completions", headers)
    return Peer("Portkey", PORTKEY, process, way)


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _env(folder: Path) -> dict[str, str]:
    """Return an environment without settings of ours, theirs or a proxy's, and a home apart."""
    mine = ("OUTLAY_", "LITELLM_", "OPENAI_", "DATABASE_", "REDIS_", "HTTP_", "HTTPS_", "ALL_")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(mine)}
    return kept | {"HOME": str(folder)}


def _wait(process: Process, port: int, path: str) -> None:
    """Wait until a peer listens; end it if it does not."""

    def ready() -> bool:
        if not process.alive():
            raise RuntimeError(f"{process.name} ended:\n{process.tail()}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < 500
        except OSError:
            return False
        finally:
            connection.close()

    try:
        until(ready, f"{process.name} listens")
    except BaseException:
        process.end()
        raise


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, timeout=INSTALL_S, capture_output=True, text=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"could not be installed: {error}") from error
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        said = [line for line in lines if "error" in line.lower()] or lines[-1:]
        why = said[0][:300] if said else f"exit {done.returncode}"
        raise NotInstalledError(f"could not be installed; is its registry reached? {why}")


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()
