"""The service that the listeners and the embedding API share: its parts, its life, its look-ups."""
