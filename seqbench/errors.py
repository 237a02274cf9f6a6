"""The one exception that means: what the user gave us is wrong."""


class InputError(ValueError):
    """A card, an option or a path that can't be used.

    Its message says what was wrong, where (file, key, value) and what is allowed; the command line
    prints it without a traceback and exits with status 2.
    """
