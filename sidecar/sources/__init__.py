"""One file per upstream: its URLs, its parser, the models it yields. They do not import each other."""
