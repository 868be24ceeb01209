"""What any asyncio process needs: clock, small asyncio helpers, signals, logs, version."""
