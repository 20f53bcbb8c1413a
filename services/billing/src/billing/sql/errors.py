"""What can go wrong between the books and the database that callers of the books never see as such."""

from kit.errors import Internal


class Raced(Exception):
    """Another writer was faster; the unit of work has to run again and will find what that writer left."""


class BooksBroken(Internal):
    """The books contradict themselves; nothing was written."""
