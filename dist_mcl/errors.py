"""The one error that stands for a user's mistake."""


class UserError(Exception):
    """A mistake that the user can mend: its message is one line that names the field, the value and the mend.

    Commands print the message without a traceback and exit with code 2; nothing has been changed when it is raised.
    """
