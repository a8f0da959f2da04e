"""Exit statuses of the command line, beside 0 for done."""

EXIT_ERROR, EXIT_USAGE, EXIT_FAILED_FILES, EXIT_INTERRUPTED = 1, 2, 3, 130
