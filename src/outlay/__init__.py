"""Know, cap and charge what every tenant's AI agents cost."""

__version__ = "0.1.0"
