"""Makes the credentials that are missing.

Laws:
- What is there stays, byte for byte; only certificates of our own CA are renewed, for the same key, and the copies of
  its own certificate follow it.
- Nothing random is made anew while something made from it is still there: the two would not fit, and nobody would know.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from stack.credentials.files import Files
from stack.credentials.recipes import Recipe
from stack.credentials.table import TIERS, Tier, places
from stack.errors import StackError
from stack.progress import say


def make(into: Path, now: datetime | None = None, tiers: Sequence[Tier] = TIERS) -> None:
    """Fills ``into``; says what it made, and what is not as it should be. Raises StackError."""
    files, now = Files(into), now or datetime.now(UTC)
    for tier in tiers:
        files.make_folder(tier)
    with files.alone(tiers[0]):
        _refuse_orphans(files, tiers)
        outcomes = [_ensured(files, place, tier, recipe, now) for place, tier, recipe in places(tiers)]
    made = outcomes.count("made")
    say(f"credentials: {made} made, {len(outcomes) - made} were there, in {into}")


def show(into: Path, place: str) -> str:
    """The text of TIER/FILE. Raises StackError when the table has no such credential, or it is not made yet."""
    known = [known for known, _tier, _recipe in places()]
    if place not in known:
        raise StackError(f"there is no credential {place}; there are: {', '.join(known)}")
    files = Files(into)
    if not files.exists(place):
        raise StackError(f"{place} is not made yet: run the same command without --show")
    return files.read(place)


def _ensured(files: Files, place: str, tier: Tier, recipe: Recipe, now: datetime) -> str:
    """What was done with one of them: made, kept, renewed."""
    try:
        return _ensure(files, place, tier, recipe, now)
    except ValueError as error:  # what it or its source holds is no key, no certificate, no text
        raise StackError(f"{' or '.join((place, *recipe.sources))} cannot be used: {error}") from error


def _ensure(files: Files, place: str, tier: Tier, recipe: Recipe, now: datetime) -> str:
    sources = [files.read(source) for source in recipe.sources]
    if not files.exists(place):
        files.write(place, tier, recipe.make(sources, now))
        return "made"
    fault = recipe.fault(files.read(place), sources, now)
    if fault is None:
        return "kept"
    if not fault.renewable:
        say(f"credentials: {place} is kept, but {fault.reason}")
        return "kept"
    files.write(place, tier, recipe.make(sources, now))
    taken = "services and RabbitMQ take it at once, others at their next start"
    say(f"credentials: {place} is renewed: {fault.reason}; {taken}")
    return "renewed"


def _refuse_orphans(files: Files, tiers: Sequence[Tier]) -> None:
    for place, _tier, recipe in places(tiers):
        for source in recipe.sources:
            if files.exists(place) and not files.exists(source):
                raise StackError(f"{source} is gone, but {place} was made from it: put it back, or remove {place} too")
