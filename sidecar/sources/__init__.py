"""One file per upstream: what it is, its URLs, its parser. They do not import each other."""
