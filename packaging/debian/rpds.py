"""What jsonschema and referencing need of rpds, in Python: collections that never change.

rpds is compiled for one version of Python. This package goes on with the next one, too, when the
distribution is upgraded; and only an error in a configuration needs it.
"""


class HashTrieMap(dict):
    @classmethod
    def convert(cls, value):
        return value if isinstance(value, cls) else cls(value)

    def insert(self, key, value):
        return HashTrieMap({**self, key: value})

    def remove(self, key):
        rest = HashTrieMap(self)
        del rest[key]
        return rest

    def update(self, *maps):
        new = HashTrieMap(self)
        for other in maps:
            dict.update(new, other)
        return new


class HashTrieSet(frozenset):
    def insert(self, value):
        return HashTrieSet(self | {value})

    def discard(self, value):
        return HashTrieSet(self - {value})

    def update(self, *iterables):
        return HashTrieSet(self.union(*iterables))


class List(tuple):
    __slots__ = ()

    def push_front(self, value):
        return List((value, *self))
