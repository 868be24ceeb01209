"""What is in memory, and how it becomes public."""
