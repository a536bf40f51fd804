"""A clean guest and local servers for every test of a pitfall."""

from tests.guest.conftest import clean_guest, loopback

__all__ = ["clean_guest", "loopback"]
