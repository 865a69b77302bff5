"""Which parts run: what profiles and the command line name, with everything that those need."""

from __future__ import annotations

from collections.abc import Iterable

from jan_server.settings.profiles import Profile
from jan_server.stack.catalogue import PARTS, find
from jan_server.stack.order import with_needs
from jan_server.stack.service import Part


def select(profiles: Iterable[Profile] = (), services: Iterable[str] = ()) -> list[Part]:
    """The parts that were asked for and what they need, in the catalogue's order.

    Args:
        profiles: Their services are united; a profile without services names none.
        services: Names from the command line; when given, they alone count.

    Returns:
        All parts when neither profiles nor the command line name any.

    Raises:
        UnknownPartError: A name is not in the catalogue.
    """
    named = list(services) or [name for profile in profiles for name in profile.services]
    if not named:
        return list(PARTS)
    return with_needs([find(name).name for name in named], PARTS)
