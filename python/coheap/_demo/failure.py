"""Why a command did not do what it was asked for; the exit status says so.

What always holds: a failure is reported once, on standard error, as one line for people, and its
status is 1, or 2 for arguments and paths that make no sense; a signal needs no words and gives 128
plus its number.
Not here: how a command cleans up, which it does before it answers.
"""


class Failure(Exception):  # noqa: N818 - as the terminal calls it
    """A command ended early."""

    status = 1


class Failed(Failure):
    """Something broke, or a result is wrong."""


class Misused(Failure):
    """The command line or a path in it makes no sense."""

    status = 2


class Stopped(BaseException):
    """A signal asked the program to stop; raised wherever it is, and caught by nobody else."""

    def __init__(self, number: int) -> None:
        """Remember which one."""
        super().__init__(number)
        self.status = 128 + number
