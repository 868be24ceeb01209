"""How a fleet's keys in Redis are called. All lie in one hash slot, so that Redis Cluster works."""

from typing import Final

import msgspec

FORMAT: Final = 1
"""Raised when a reader of the format before would misunderstand a value: the two are two fleets then."""


class Keys(msgspec.Struct, frozen=True):
    """The keys of one namespace; the braces make the namespace alone decide on the hash slot."""

    namespace: str

    def _key(self, name: str) -> str:
        return f"{{{self.namespace}}}:{FORMAT}:{name}"

    @property
    def lease(self) -> str:
        """String: `<fencing number>:<member>` of the leader, expires with the lease."""
        return self._key("lease")

    @property
    def fence(self) -> str:
        """String: the last fencing number given."""
        return self._key("fence")

    @property
    def members(self) -> str:
        """Sorted set: member by the time of its last beat, in milliseconds."""
        return self._key("members")

    @property
    def values(self) -> str:
        """Hash: the newest record of each mint."""
        return self._key("values")

    @property
    def deadlines(self) -> str:
        """Sorted set: mint by the time when its record expires, in milliseconds."""
        return self._key("deadlines")

    @property
    def changes(self) -> str:
        """Stream: what the leader says, numbered without a gap."""
        return self._key("changes")

    @property
    def sequence(self) -> str:
        """String: the last number in `changes`."""
        return self._key("sequence")

    @property
    def wanted(self) -> str:
        """Stream: misses and demand of the followers, for the leader."""
        return self._key("wanted")

    @property
    def popular(self) -> str:
        """Hash: member to the digest of its popular list."""
        return self._key("popular")

    @property
    def lists(self) -> str:
        """Hash: digest to popular list."""
        return self._key("lists")

    def demand(self, slice_number: int) -> str:
        """Hash: mint to the requests of the whole fleet within one slice of time."""
        return self._key(f"demand:{slice_number}")

    @property
    def types(self) -> dict[str, str]:
        """What type each key is of, a number being a string of digits; the demand's are apart, they are hashes."""
        return {
            self.lease: "string",
            self.fence: "number",
            self.members: "zset",
            self.values: "hash",
            self.deadlines: "zset",
            self.changes: "stream",
            self.sequence: "number",
            self.wanted: "stream",
            self.popular: "hash",
            self.lists: "hash",
        }
