"""One sync: which lines it tells of, and what its answer changes. Under the lock, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from outlay.capture.limits.wants import (
    ABANDONED_S,
    Draft,
    Want,
    answered,
    draft,
    rest_of,
    settled,
    stand,
    wanted,
)

if TYPE_CHECKING:
    from outlay.capture.limits.plans import Table

MAX_DRAFTS: Final = 1000
"""Most lines in one sync; further ones go with the next."""


class Client(Protocol):
    """What of the lease client is looked at and changed; see there."""

    valid_until: float
    wants: dict[Want, None]
    give_back: bool

    def drop(self, want: Want | None) -> None:
        """Ask no longer."""


def drafted(
    client: Client, table: Table, now: float, *, closing: bool
) -> tuple[list[Want], list[Draft]]:
    """Return the wants that a sync tells of, and its lines."""
    valid = now < client.valid_until
    if not valid:
        # The authority may have let go of all: what is not on its way is not ours.
        for line in list(table.lines.values()):
            period = line.now
            period.ceiling = min(period.ceiling, period.reported + period.flying)
    for want in list(client.wants):  # a copy, as a garbage collection may end one meanwhile
        if now > want.due_at + ABANDONED_S:
            client.drop(want)
    client.give_back = False
    wants = list(client.wants)
    asked = {} if closing else wanted(wants, valid)
    lines = list(dict.fromkeys([*asked, *list(table.active)]))[:MAX_DRAFTS]
    if len(table.active) > MAX_DRAFTS:
        for line in lines:  # the others are first next time
            if table.active.pop(line, 0) is None:
                table.active[line] = None
    drafts = [draft(line, asked.get(line, (0, 0)), now, closing=closing) for line in lines]
    # Last, so that their answers do not hide those of the periods that go on.
    drafts += [rest_of(period) for period in table.ended[:MAX_DRAFTS]]
    return wants, drafts


def took(
    client: Client,
    table: Table,
    drafts: list[Draft],
    answers: list[dict[str, Any] | None],
    at: float,
    *,
    closing: bool,
) -> bool:
    """Take the answers to a sync; tell whether a line is gone, so that the policy is another.

    Args:
        client: whose sync it was.
        table: the lines.
        drafts: what was sent.
        answers: in the order of the drafts.
        at: when it was sent, by the clock that only grows.
        closing: everything was given back.
    """
    gone = False
    for sent, answer in zip(drafts, answers, strict=True):
        period = sent.period
        line = period.line
        if answer is None or answer.get("verdict") == "gone":
            gone = True
            period.said = (sent.reported, sent.calls)  # nobody wants to hear more of it
            table.lose(line)
            continue
        if period is not line.now:
            period.said = (sent.reported, sent.calls)
            if line.now.counter == str(answer["counter"]) and not closing:
                # It is about the period that goes on: what both were granted is in two parts.
                line.now.ceiling += int(answer["granted"])
        elif not answered(sent, answer, at):
            now = table.roll(line)
            now.counter = str(answer["counter"])
            now.ends_at = int(answer.get("ends_at") or 0)
            stand(now, answer, at)
        if line.now.exact and line.free():
            client.give_back = True  # others may be waiting for it
        if not settled(line):
            table.touch(line)
        elif line.active:
            line.active = False
            table.active.pop(line, None)
    table.ended[:] = [
        period
        for period in table.ended
        if period.flying or period.said != (period.reported, period.calls)
    ]
    return gone
