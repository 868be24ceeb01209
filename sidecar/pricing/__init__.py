"""From quotes and supplies to a market cap: pure functions and what they remember."""
