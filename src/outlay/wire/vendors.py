"""Finds a vendor's row, by host or by name. The rows stand in `vendor_rows` and `compatible`."""

from __future__ import annotations

from typing import Final

from outlay.wire.compatible import COMPATIBLE
from outlay.wire.vendor_rows import NAMED, Vendor

__all__ = ["BY_NAME", "VENDORS", "Vendor", "by_host", "conventions", "unlisted"]

VENDORS: Final[tuple[Vendor, ...]] = (*NAMED, *COMPATIBLE)
"""Every vendor that is recognised; those without hosts are found through the `hosts` setting."""


def _by_name() -> dict[str, Vendor]:
    rows = {vendor.name: vendor for vendor in VENDORS}
    for vendor in VENDORS:
        rows.update(dict.fromkeys(vendor.aliases, vendor))
    return rows


BY_NAME: Final[dict[str, Vendor]] = _by_name()
"""Vendors by name and alias."""

_HOSTS: Final = {host: v for v in VENDORS for host in v.hosts if "*" not in host}
_PATTERNS: Final = tuple(
    (head, tail, vendor)
    for vendor in VENDORS
    for head, star, tail in (host.partition("*") for host in vendor.hosts)
    if star
)


def by_host(host: str) -> Vendor | None:
    """Return the vendor of a public host name (lower case, without port)."""
    if (vendor := _HOSTS.get(host)) is not None:
        return vendor
    for head, tail, vendor in _PATTERNS:
        if len(host) > len(head) + len(tail) and host.startswith(head) and host.endswith(tail):
            return vendor
    return None


def unlisted(name: str) -> Vendor:
    """Return a row for a name that the table does not know: it may speak either common shape."""
    return Vendor(name, name, openai=("/v1",), anthropic=("/v1",))


def conventions(vendor: str) -> Vendor:
    """Return the row whose conventions a dialect's counters follow."""
    return BY_NAME.get(vendor) or unlisted(vendor)
