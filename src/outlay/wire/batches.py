"""Batch results: each line of a results file is one call, read by the codec of its own surface.

A batch is billed by what it brought, not when it is asked for, so a download gives one reading per
answered line in `ready`, each with the identity of its response in `once`: reading the same file
again, anywhere, tells nothing new. Lines that failed, expired or were cancelled cost nothing and
give none. The download itself is free, unless lines were lost: then its own reading says so. A
file that is no batch output is passed over. One line is held at a time.

A look at a batch job is free, too. Its reading tells when the job was made and under which name
its results will be read (`job`), since lines of some providers carry no time of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from outlay.wire.base import (
    MAX_BODY_BYTES,
    Endpoint,
    Reader,
    Reading,
    Request,
    as_dict,
    as_list,
    as_text,
    as_time,
    load_json,
)
from outlay.wire.batch_lines import BatchLines
from outlay.wire.ndjson import NdjsonParser
from outlay.wire.openai_cost import load_exact
from outlay.wire.reader import BodyReader
from outlay.wire.vendors import conventions

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ResultsReader:
    """Follows the download of a results file, or of any other file."""

    __slots__ = (
        "_begun", "_broken", "_endpoint", "_finished", "_lines", "_number", "_opened", "_parse",
        "_passing", "_reading", "_splitter", "ready", "streamed",
    )  # fmt: skip

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self.streamed = False
        self.ready: list[Reading] = []
        job = _job_of(request.path)
        self._endpoint = endpoint
        self._reading = Reading(
            endpoint.provider,
            f"{endpoint.vendor}.free",
            endpoint.vendor,
            host_class=endpoint.host_class,
            region_class=endpoint.region_class,
            billed="no",
            job=job,
        )
        self._lines = BatchLines(endpoint, job, self.ready)
        self._splitter = NdjsonParser(MAX_BODY_BYTES)
        self._parse = load_exact if conventions(endpoint.vendor).cost else load_json
        self._opened = False
        """The first byte that is not blank was seen, and may begin a line of results."""
        self._begun = False
        """The first line was seen, and is one of a batch."""
        self._passing = False
        """This is no batch output: the rest is not looked at."""
        self._number = 0
        self._broken = 0
        self._finished = False

    def response(self, status: int, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        """Take the status; a part of a file (206) cannot be read as lines."""
        self._reading.http_status = status
        self._passing = status != 200

    def feed(self, chunk: bytes) -> None:
        """Take decoded body bytes; the lines they complete are read at once."""
        if self._passing:
            return
        if not self._opened and (begin := chunk.lstrip()):
            self._opened = True
            self._passing = not begin.startswith(b"{")
        if not self._passing:
            self._run(chunk)

    def finish(self, *, complete: bool = True, error: str | None = None) -> Reading:
        """Give the reading of the download; a line cut short is not read."""
        reading = self._reading
        if self._finished:
            return reading
        self._finished = True
        if complete and error is None and not self._passing:
            self._run(None)
        if error is not None:
            reading.status = "timeout" if error == "timeout" else "error"
        elif (reading.http_status or 0) >= 400:
            reading.status = "error"
        elif not complete:
            reading.status = "aborted"
        if self._begun and (self._broken or self._splitter.dropped):
            self._say_lost()
        return reading

    # -- inside --------------------------------------------------------------------------------

    def _run(self, chunk: bytes | None) -> None:
        """Read the lines that a chunk completes, or the one that the end does."""
        lines = self._splitter.close() if chunk is None else self._splitter.feed(chunk)
        for line in lines:
            try:
                self._line(line.data)
            except Exception:
                self._broken += 1
            if self._passing:
                self._splitter = NdjsonParser()
                return

    def _line(self, data: bytes) -> None:
        line = self._parse(data)
        self._number += 1
        known = isinstance(line, dict) and self._lines.is_result(line)
        if not self._begun:
            if not known:
                self._passing = True
                return
            self._begun = True
        if known:
            self._lines.take(line, self._number)
        else:
            self._broken += 1

    def _say_lost(self) -> None:
        reading = self._reading
        reading.surface = self._endpoint.surface
        reading.operation = self._endpoint.operation
        reading.batch = True
        reading.billed = "possible"
        reading.once = f"{reading.job}#lost"
        reading.find("usage_missing")
        if self._splitter.dropped:
            reading.find("event_too_large")
        if self._broken:
            reading.find("malformed_event")


class JobReader(BodyReader):
    """Reads a look at a batch job: its time, the name of its results, and those inside of it."""

    __slots__ = ("_endpoint",)

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        super().__init__(request, replace(endpoint, operation="other"))
        self._endpoint = endpoint
        self.reading.job = _job_of(request.path)

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a job object of any of the providers."""
        told = as_dict(body.get("metadata"))
        model = as_text(body.get("model")) or as_text(told.get("model")) or ""
        self.reading.model_requested = model.removeprefix("models/") or None
        answer = as_dict(body.get("response")) or as_dict(told.get("output"))
        created = as_time(body.get("created_at")) or _moment(body.get("created_at"))
        created = created or _moment(told.get("createTime", body.get("createTime")))
        self.reading.created_at = created
        lines: list[Any] = as_list(body.get("outputs"))
        for kind in ("inlinedResponses", "inlinedEmbedContentResponses"):
            lines = lines or as_list(as_dict(answer.get(kind)).get("inlinedResponses"))
        if lines:
            self._read(lines, created)
        for name in (body.get("output_file_id"), body.get("output_file")):
            self.reading.job = as_text(name) or self.reading.job
        if file := as_text(answer.get("responsesFile")):
            self.reading.job = _job_of(file)

    def finish(self, *, complete: bool = True, error: str | None = None) -> Reading:
        """Give the reading: free, unless the job was too large to read what is inside."""
        reading = super().finish(complete=complete, error=error)
        if "body_too_large" in reading.findings:
            reading.operation = self._endpoint.operation
            reading.billed = "possible"
            reading.once = f"{reading.job}#lost"
        else:
            reading.surface = f"{reading.vendor}.free"
            reading.billed = "no"
        return reading

    def _read(self, lines: list[Any], created: int | None) -> None:
        surface = f"{self._endpoint.surface.removesuffix('_results')}_results"
        endpoint = replace(self._endpoint, surface=surface, model=self.reading.model_requested)
        reader = BatchLines(endpoint, self.reading.job, self.ready)
        for number, line in enumerate(map(as_dict, lines), 1):
            if reader.is_result(line):
                reader.take(line, number, created)


def _job_of(path: str) -> str:
    """Return the id of the batch or file that a path names."""
    path = path.removesuffix("/").removesuffix("/results").removesuffix("/content")
    return path.removesuffix(":download").rpartition("/")[2]


def _moment(value: Any) -> int | None:
    """Return microseconds UTC for RFC 3339 text."""
    try:
        return (datetime.fromisoformat(value) - _EPOCH) // timedelta(microseconds=1)
    except (TypeError, ValueError, OverflowError):  # also: a time without its zone
        return None


def _open_google(request: Request, endpoint: Endpoint) -> Reader:
    kind = ResultsReader if request.path.endswith(":download") else JobReader
    return kind(request, endpoint)


SURFACES: Final[dict[str, Callable[[Request, Endpoint], Reader]]] = {
    "openai.batch_results": ResultsReader,
    "openai.batch": JobReader,
    "anthropic.batch_results": ResultsReader,
    "anthropic.batch": JobReader,
    "google.batch_results": _open_google,
}
"""The reader of each surface this module speaks."""
