"""Google's `:predict` of image models and `:predictLongRunning` of video models.

Neither tells usage: the images of the reply are counted, and the seconds of video that were asked
for. A video is a job: the reading that starts it says `job_accepted`, since nobody knows yet
whether it will be made and charged. Embeddings by `:predict` are in `google_embeddings`.
"""

from __future__ import annotations

from typing import Any, Final

from outlay.core import units
from outlay.core.event import MAX_COUNT
from outlay.wire.base import Endpoint, Request, as_count, as_dict, as_list, as_text
from outlay.wire.long_values import LongValues
from outlay.wire.reader import BodyReader, error_type_of
from outlay.wire.usage_object import is_name

DEFAULT_SECONDS: Final = 8
"""The length of a video that is not asked for (Veo's reference, `durationSeconds`)."""

_MEDIA: Final = ("bytesBase64Encoded", "gcsUri")
"""Where a prediction has what was made; one that was filtered out has neither."""

_NOTED: Final = ("sampleImageSize", "resolution", "mode", "generateAudio", "editMode")
"""What decides the price of an image or a video beside its count."""


class GooglePredictReader(BodyReader):
    """Reads one attempt of `:predict` or `:predictLongRunning` of an image or video model."""

    __slots__ = ("_asked", "_instances", "_job", "_values")

    def __init__(self, request: Request, endpoint: Endpoint) -> None:
        self._values = LongValues()
        self._asked: dict[str, Any] = {}
        self._instances = 1
        self._job = request.path.endswith(":predictLongRunning")
        super().__init__(request, endpoint)
        self.request_body = {}  # it may hold images in base64

    def on_request(self, body: dict[str, Any]) -> None:
        """Read what was asked."""
        self._asked = as_dict(body.get("parameters"))
        self._instances = max(1, len(as_list(body.get("instances"))))

    def feed(self, chunk: bytes) -> None:
        """Take decoded body bytes; images in base64 are not kept."""
        super().feed(self._values.feed(chunk))

    def on_json(self, body: dict[str, Any]) -> None:
        """Read what was made, or the name of the job that will make it."""
        if self._job:
            self._take_job(body)
        else:
            self._take_images(body)
        for name in _NOTED:
            value = self._asked.get(name)
            if isinstance(value, bool) or (isinstance(value, str) and is_name(value)):
                self.reading.usage_raw = {**(self.reading.usage_raw or {}), name: value}

    def on_error(self, body: dict[str, Any] | None) -> None:
        """Read an error's status name; its text is not kept."""
        self.reading.error_type = error_type_of(body)

    def on_end(self) -> None:
        """Say so when nothing tells what was made."""
        reading = self.reading
        if reading.http_status is not None and reading.http_status < 400 and not reading.usage:
            reading.find("usage_missing")
            reading.billed = "possible"

    # -- inside --------------------------------------------------------------------------------

    def _take_images(self, body: dict[str, Any]) -> None:
        reading = self.reading
        made = [as_dict(item) for item in as_list(body.get("predictions"))]
        images = sum(_is_image(item) for item in made)
        filtered = sum("raiFilteredReason" in item for item in made)
        if filtered:
            reading.find("filtered")
            if not images:
                reading.status = "refused"
        if images:
            reading.put(units.IMAGES, images)
            reading.usage_raw = {"predictions": len(made)}

    def _take_job(self, body: dict[str, Any]) -> None:
        reading, asked = self.reading, self._asked
        name = as_text(body.get("name"))
        reading.response_id = name.rpartition("/")[2][:64] if name else None
        seconds = as_count(asked.get("durationSeconds"))
        if seconds <= 0:
            seconds = DEFAULT_SECONDS
            reading.find("duration_assumed")
        videos = max(1, as_count(asked.get("sampleCount"))) * self._instances
        total = seconds * videos
        reading.put(units.VIDEO_SECONDS, total if total <= MAX_COUNT else 0)
        reading.usage_raw = {
            "durationSeconds": min(seconds, MAX_COUNT),
            "videos": min(videos, MAX_COUNT),
        }
        reading.usage_source = "counted"
        reading.find("job_accepted")
        reading.billed = "possible"


def _is_image(prediction: dict[str, Any]) -> bool:
    kind = as_text(prediction.get("mimeType")) or "image/"
    return kind.startswith("image/") and any(key in prediction for key in _MEDIA)


SURFACES: Final[dict[str, type[BodyReader]]] = {"google.predict": GooglePredictReader}
"""The reader of each surface this module speaks."""
