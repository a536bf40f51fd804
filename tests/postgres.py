"""A real PostgreSQL server for tests and benchmarks: made in a folder, thrown away at the end.

It needs the server's programs (`apt-get install postgresql`); without them `find` returns nothing,
and tests are skipped by the name "PostgreSQL".
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg

from outlay.store.books.sql import SqlBooks

USER: Final = "outlay"
TEMPLATE: Final = "outlay_template"
START_S: Final = 30.0
UNPRIVILEGED: Final = ("postgres", "nobody")
"""Users that the server may run as, when this process is root; it refuses to be root."""

SETTINGS: Final = {
    "max_connections": "300",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_min_messages": "fatal",
    "autovacuum_naptime": "10s",
}
CARELESS: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests that do not kill it."""

_SNAPSHOT: Final = """
CREATE SCHEMA fresh;
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
    EXECUTE format('CREATE TABLE fresh.%1$I AS TABLE public.%1$I', name);
  END LOOP;
END $$"""
_RESTORE: Final = """
DO $$ DECLARE name text; used boolean; BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica;  -- no foreign keys, no triggers
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'fresh' LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO used;
    IF used THEN
      EXECUTE format('DELETE FROM public.%I', name);
      EXECUTE format('INSERT INTO public.%1$I SELECT * FROM fresh.%1$I', name);
    END IF;
  END LOOP;
  FOR name IN SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL LOOP
    EXECUTE format('ALTER SEQUENCE public.%I RESTART', name);
  END LOOP;
END $$"""


def find() -> Path | None:
    """Return the folder of the server's programs, of the newest version there is."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3])
    )
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent


class Postgres:
    """A server of its own on a free port, with durable writes or careless ones."""

    def __init__(self, bin_folder: Path, folder: Path, *, durable: bool) -> None:
        self._bin, self._folder, self._durable = bin_folder, folder, durable
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._templated = False
        self._shared = ""
        self.port = _free_port()
        if os.geteuid() == 0:
            _give(folder, _unprivileged())
        self._run(
            "initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Return a URL as people give it for the books."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def clean_books(self) -> str:
        """Empty the one database of books that tests share after each other; return its URL.

        Many times faster than a new database. Connections that an earlier test left are ended.
        """
        if not self._shared:
            self._shared = self.new_books()
            with psycopg.connect(self._shared, autocommit=True) as connection:
                connection.execute(_SNAPSHOT)
        with psycopg.connect(self._shared, autocommit=True) as connection:
            connection.execute(_RESTORE)
        return self._shared

    def spoil_books(self) -> None:
        """Have the next test get new shared books: emptying does not mend what this one changed."""
        self._shared = ""

    def new_books(self) -> str:
        """Make a database with migrated, empty books; return its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            if not self._templated:
                self._templated = True
                connection.execute(f"CREATE DATABASE {TEMPLATE}")
                SqlBooks(self.url(TEMPLATE)).close()
            self._databases += 1
            name = f"books_{self._databases}"
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self.url(name)

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            self._databases += 1
            name = f"empty_{self._databases}"
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            self._spawn()
            # A killed server's shared memory may take a moment to be free.
            if self._answers(deadline):
                return
            time.sleep(0.1)
        raise RuntimeError("PostgreSQL did not start")

    def stop(self) -> None:
        """End the server; a second call does nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_S)
            self._process = None

    def kill9(self) -> None:
        """Kill the server and every process of it at once, as a power cut would."""
        assert self._process is not None
        parent = self._process.pid
        os.kill(parent, signal.SIGSTOP)
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(START_S)
        self._process = None

    def restart(self) -> None:
        """Start again after `kill9` or `stop`, on the same port and data."""
        self.stop()
        self.start()

    def _spawn(self) -> None:
        settings = SETTINGS if self._durable else {**SETTINGS, **CARELESS}
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [
            "postgres", "-D", str(self._data), "-p", str(self.port), "-k", str(self._folder),
            "-c", "listen_addresses=127.0.0.1", *given,
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._as_user(command), stdout=log, stderr=log)

    def _answers(self, deadline: float) -> bool:
        assert self._process is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url(), connect_timeout=2).close()
                return True
            time.sleep(0.03)
        return False

    def _as_user(self, command: list[str]) -> list[str]:
        program, *rest = command
        who: list[str] = []
        if os.geteuid() == 0:
            user = _unprivileged()
            who = [f"--reuid={user}", f"--regid={_group(user)}", "--clear-groups"]
        # A test process that is killed takes its server along.
        return ["setpriv", *who, "--pdeathsig=QUIT", str(self._bin / program), *rest]

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            self._as_user(list(command)), check=False, capture_output=True, cwd=self._folder
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode())


@contextmanager
def server(*, durable: bool) -> Iterator[Postgres]:
    """Run a server in a folder of its own.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    programs = find()
    if programs is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="outlay-pg-", ignore_cleanup_errors=True) as folder:
        running = Postgres(programs, Path(folder), durable=durable)
        try:
            yield running
        finally:
            running.stop()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _unprivileged() -> str:
    import pwd

    for name in UNPRIVILEGED:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError("There is no user for PostgreSQL to run as.")


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _give(folder: Path, user: str) -> None:
    shutil.chown(folder, user)
