"""Our rates beside those of other libraries, in turns of one run."""
