"""Commands on run directories; each has a `Config` and a `main`."""
