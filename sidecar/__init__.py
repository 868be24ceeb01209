"""mc-sidecar: warm Solana token market caps for the application in the same pod."""

__version__ = "0.1.0"
