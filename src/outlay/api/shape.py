"""How an endpoint's shape is said: the types of its body and of its answer. It checks nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Shape:
    """The types of one endpoint, as `msgspec` reads them.

    Args:
        answer: type of the answer when all is well; `None` where it is not JSON.
        body: type of the body, `None` where there is none.
        status: status when all is well.
        media: media type of the answer.
        bodies: other media types that the body may have.
        others: types of the answers of other statuses, where they are not the usual error.
    """

    answer: Any
    body: Any = None
    status: int = 200
    media: str = JSON
    bodies: tuple[str, ...] = field(default=())
    others: Mapping[int, Any] = field(default_factory=dict)
