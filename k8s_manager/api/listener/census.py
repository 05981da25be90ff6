"""How many connections there are, by address."""

from collections import Counter

from k8s_manager.runtime.settings import ConnectionBounds


class Census:
    """Counts connections up to bounds."""

    def __init__(self) -> None:
        self._by_address: Counter[str] = Counter()
        self._all = 0

    def enter(self, address: str, bounds: ConnectionBounds) -> bool:
        """Count a connection; return False where there are enough."""
        if self._all >= bounds.most or self._by_address[address] >= bounds.most_of_an_address:
            return False
        self._all += 1
        self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Stop counting a connection, which has ended."""
        self._all -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
