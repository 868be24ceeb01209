"""The version, alone in its file so that everything may import it."""

__version__ = "0.2.0"
