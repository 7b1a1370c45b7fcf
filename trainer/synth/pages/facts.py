"""Sentences that state relations between named things, marked so that the graph can be read off.

Entity types: person, organisation, place, date. Relation types: works_for, located_in, founded_on,
born_in, born_on, acquired. Nothing else on such a page names a person, a firm, a town or a day.
"""

from collections.abc import Mapping
from types import MappingProxyType

from markupsafe import Markup

from trainer.synth.pages.writer import Writer

RELATIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "works_for": ("person", "organisation"),
        "located_in": ("organisation", "place"),
        "founded_on": ("organisation", "date"),
        "born_in": ("person", "place"),
        "born_on": ("person", "date"),
        "acquired": ("organisation", "organisation"),
    }
)
ENTITIES = ("person", "organisation", "place", "date")
_CAST = {"person": 4, "organisation": 3, "place": 3, "date": 4}
_TRIES = 30


class Cast:
    """The named things of one page and what is said about them.

    Args:
        writer: of the page.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._rng = writer.rng
        self._things: dict[str, list[str]] = {}
        makers = {
            "person": writer.person,
            "organisation": writer.organisation,
            "place": writer.city,
            "date": writer.dated,
        }
        taken: list[str] = []
        for kind, count in _CAST.items():
            names = self._things.setdefault(kind, [])
            for _ in range(_TRIES):
                name = makers[kind]()
                # A name within another one would be counted twice.
                if len(names) < count and not any(
                    name in other or other in name for other in taken
                ):
                    names.append(name)
                    taken.append(name)
        self._stated: set[tuple[str, str, str]] = set()

    def statement(self) -> Markup:
        """A sentence that states a relation which the page has not stated yet, or a mention."""
        for _ in range(_TRIES):
            relation = self._rng.choice(list(RELATIONS))
            head_kind, tail_kind = RELATIONS[relation]
            head = self._rng.choice(self._things[head_kind])
            tail = self._rng.choice(self._things[tail_kind])
            known = {(r, h) for r, h, _ in self._stated}
            # One employer, one birthplace, one day each: a page does not contradict itself.
            if head == tail or (relation, head) in known or (relation, tail, head) in self._stated:
                continue
            self._stated.add((relation, head, tail))
            pattern = self._rng.choice(list(self._writer.words.facts[relation]))
            text = Markup(pattern).format(  # noqa: S704 a sentence of our own word list
                head=_entity(head_kind, head), tail=_entity(tail_kind, tail)
            )
            return Markup('<span data-fact="{}" data-head="{}" data-tail="{}">{}</span>').format(
                relation, head, tail, text
            )
        return self.mention()

    def mention(self) -> Markup:
        """A sentence that names something and relates it to nothing."""
        kind, pattern = self._rng.choice(list(self._writer.words.facts["mention"]))
        return Markup(pattern).format(  # noqa: S704 as above
            one=_entity(kind, self._rng.choice(self._things[kind]))
        )

    def paragraph(self, statements: int, fillers: int) -> Markup:
        """A paragraph of statements with ordinary sentences between them."""
        parts: list[Markup | str] = [self.statement() for _ in range(statements)]
        for _ in range(fillers):
            parts.insert(self._rng.randint(0, len(parts)), self._writer.sentence())
        return Markup(" ").join(parts)

    def person(self) -> Markup:
        """One of the page's persons, marked."""
        return _entity("person", self._rng.choice(self._things["person"]))


def _entity(kind: str, text: str) -> Markup:
    return Markup('<span data-entity="{}">{}</span>').format(kind, text)
