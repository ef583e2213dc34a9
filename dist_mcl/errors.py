"""The two errors that a command prints as one line."""


class UserError(Exception):
    """A mistake that the user can mend: its message is one line that names the field, the value and the mend.

    Commands print the message without a traceback and exit with code 2; nothing has been changed when it is raised.
    """


class StageFailedError(Exception):
    """A stage ended without its result, and not by a user's mistake: the message says why and where the logs are.

    Commands print the message without a traceback and exit with code 1; what was committed before is unharmed.
    """
