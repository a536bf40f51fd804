"""What `outlay doctor` finds: the form of one checked fact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked fact: what was looked at, how it is, and what to do about it."""

    check: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""
