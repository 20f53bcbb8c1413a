"""Telling a retry from a reused id."""

from billing.domain import Transaction
from billing.ports import Books
from kit.errors import RequestIdReused


def posted_before(books: Books, transaction: Transaction) -> bool:
    """Return whether this very transaction is in the books.

    Raises RequestIdReused when its id is there with other content.
    """
    input_hash = books.find_transaction(transaction.id)
    if input_hash is not None and input_hash != transaction.input_hash:
        raise RequestIdReused(transaction=transaction.id)
    return input_hash is not None
