"""Every collector, declared once."""
