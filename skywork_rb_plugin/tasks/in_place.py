"""Names in an order of their own, for a host that sorts them."""


class InPlace(str):
    """A name that sorts by its place among others of this kind, and is in all else the text that it is."""

    def __new__(cls, name: str, place: int = 0) -> "InPlace":
        """The name with its place; a copy gets that afterwards."""
        text = super().__new__(cls, name)
        text.place = place
        return text

    def __lt__(self, other: str) -> bool:
        return self.place < other.place if isinstance(other, InPlace) else super().__lt__(other)
