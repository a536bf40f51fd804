"""Images and videos of the OpenAI shape, as OpenAI, xAI, Together and OpenRouter serve them.

Images are charged by tokens where the reply counts them, by image where it does not; the size and
quality that decide the price are kept in `usage_raw`. What an image model writes is image tokens
unless the details say otherwise.

A video is a job: the reading that starts it says `job_accepted`, since nobody knows yet whether it
will be made and charged. It counts the seconds, and looks at the job are free, except where the
vendor states what the video cost: there the first look that shows it done is billed, with `once`
and `retrieved`, and the start is not.
"""

from __future__ import annotations

from typing import Any, Final

from outlay.core import units
from outlay.wire.base import (
    Endpoint,
    Reading,
    Request,
    Segment,
    as_count,
    as_dict,
    as_list,
    as_text,
    as_time,
)
from outlay.wire.modality import unnamed_as
from outlay.wire.openai_cost import stated_cost, without_decimals
from outlay.wire.openai_media import MediaReader, rounded_up
from outlay.wire.openai_usage import RESPONSES, fill, shape_of
from outlay.wire.reader import BodyReader
from outlay.wire.usage_object import is_name

_NOTED: Final = ("size", "quality", "resolution")
"""What decides the price of an image or a video beside its count."""


_DONE: Final = ("completed", "done")
_FAILED: Final = ("failed", "expired", "cancelled")
"""How jobs end, as OpenAI, OpenRouter and xAI call it."""


class OpenAiImagesReader(MediaReader):
    """Reads one attempt of `/images/generations`, `/images/edits` or `/images/variations`."""

    __slots__ = ("_images", "_svg", "_usages")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._images = 0
        self._usages = 0
        self._svg: dict[str, Any] = {}
        super().__init__(request, endpoint)

    def on_json(self, body: dict[str, Any]) -> None:
        """Read a whole reply."""
        self.take_facts(body)
        self._images = sum(isinstance(image, dict) for image in as_list(body.get("data")))
        self._look(body)
        if body.get("error"):
            self.fail(body["error"])

    def on_event(self, name: str, body: dict[str, Any]) -> None:
        """Read one event: a partial image, a finished one, or an error."""
        kind = as_text(body.get("type")) or name
        if kind.endswith(".completed"):
            self._images += 1
            self._look(body)
            self.terminal = self._images >= max(1, rounded_up(self.asked.get("n")))
        elif body.get("error") or kind == "error":
            self.fail(body.get("error"))
        else:
            self.output_characters += 1  # a part of an image was made

    def count(self) -> None:
        """Put tokens where they are told, else images."""
        if self.complete and self._images:
            self.terminal = True
        usage = self.usage or {}
        for name in _NOTED:
            self._note(name, self.asked.get(name))
        shape = shape_of(usage)
        told = max(as_count(usage.get(shape.input)), as_count(usage.get(shape.output))) > 0
        self.usage_final = told and self.terminal
        if not told:
            self.reading.put(units.IMAGES, self._images)
        if usage:
            self.settle(unnamed_as("image", usage, shape.output, shape.output_details), shape)
        if self._svg:
            self._settle_svg(self._svg)
        self.keep_raw(without_decimals(usage))
        if not self.reading.usage:
            self.missing()
        if self._usages > 1:
            self.reading.find("several_usages")

    # -- inside --------------------------------------------------------------------------------

    def _look(self, body: dict[str, Any]) -> None:
        usage = body.get("usage")
        self._usages += isinstance(usage, dict)
        self.take_usage(usage)
        self._svg = as_dict(body.get("svg_usage")) or self._svg
        for name in _NOTED:
            self._note(name, body.get(name))

    def _note(self, name: str, value: Any) -> None:
        text = as_text(value)
        if text is not None and is_name(text):
            self.evidence.setdefault(name, text)

    def _settle_svg(self, svg: dict[str, Any]) -> None:
        """Put the model that wrote a vector image: a call of its own, outside of `usage`."""
        own = Reading(self.reading.provider, self.reading.surface, self.reading.vendor)
        counts = {key: svg[key] for key in svg.keys() - {"model", "reasoning_tokens"}}
        details = {"reasoning_tokens": svg.get("reasoning_tokens")}
        fill(own, {**counts, RESPONSES.output_details: details}, RESPONSES, self.vendor)
        self.reading.add_part(Segment(as_text(svg.get("model")) or "", own.usage, "svg"))
        for finding in own.findings:
            self.reading.find(finding)
        self.evidence["svg_usage"] = svg


class OpenAiVideoReader(MediaReader):
    """Reads one attempt to start a video (a new one, an edit, an extension, a remix), or a look."""

    __slots__ = ("_extends", "_job", "_looked")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._job: dict[str, Any] = {}
        path = request.path.rstrip("/")
        self._extends = path.endswith("/extensions")
        self._looked = path.rpartition("/")[2] if request.method.upper() == "GET" else ""
        """The job that is looked at; empty where one is started."""
        super().__init__(request, endpoint)

    def on_json(self, body: dict[str, Any]) -> None:
        """Read the job."""
        reading = self.reading
        self.take_facts(body)
        name = self._looked or as_text(body.get("request_id"))
        reading.response_id = name or reading.response_id
        reading.created_at = as_time(body.get("created_at"))
        self._job = body
        self.take_usage(body.get("usage"))
        failed = body.get("error") or body.get("status") in _FAILED
        if self.vendor.cost and (failed or body.get("status") in _DONE):
            reading.once = reading.response_id or ""
        if self._looked:
            reading.find("retrieved")
        if failed:
            self.fail(body.get("error"))

    def finish(self, *, complete: bool = True, error: str | None = None) -> Reading:
        """End the attempt; a look that bills nothing is free."""
        reading = super().finish(complete=complete, error=error)
        if self._looked and not reading.once:
            reading.surface = f"{reading.vendor}.free"
            reading.billed = "no"
        return reading

    def count(self) -> None:
        """Put the seconds of the video, as the job states them or as they were asked for."""
        reading, job, asked = self.reading, self._job, self.asked
        if not job:
            self.missing()
            return
        # The job of an extension states the length of both pieces together.
        made = as_dict(job.get("video")).get("duration")
        seconds = 0 if self._extends else rounded_up(job.get("seconds", made))
        if not seconds:
            seconds = rounded_up(asked.get("seconds", asked.get("duration")))
            reading.usage_source = "counted" if seconds else "none"
        if reading.once or not self.vendor.cost:
            reading.put(units.VIDEO_SECONDS, seconds)
        for name in _NOTED:
            text = as_text(job.get(name)) or as_text(asked.get(name))
            if text is not None and is_name(text):
                self.evidence[name] = text
        usage = self.usage or {}
        reading.provider_cost_nanos = stated_cost(reading, usage, self.vendor)
        self.keep_raw({"seconds": seconds, **without_decimals(usage)})
        if job.get("status") not in _DONE:
            reading.find("job_accepted")
            reading.billed = "no" if self.vendor.cost else "possible"
        if reading.billed != "no" and not seconds and reading.provider_cost_nanos is None:
            self.missing()


SURFACES: Final[dict[str, type[BodyReader]]] = {
    "openai.images": OpenAiImagesReader,
    "openai.video": OpenAiVideoReader,
}
"""The reader of each surface this module speaks."""
