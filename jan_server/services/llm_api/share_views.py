"""Views of public links: counted while they are served, written together a moment later."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, bindparam, func, update

from jan_server.database.engine import Database
from jan_server.services.llm_api.tables.share import SHARES

_ADD = (
    update(SHARES)
    .where(SHARES.c.id == bindparam("share", type_=BigInteger))
    .values(
        view_count=SHARES.c.view_count + bindparam("views", type_=Integer),
        last_viewed_at=func.clock_timestamp(),
        # Being looked at is no change.
        updated_at=SHARES.c.updated_at,
    )
)


class ShareViews:
    """Counts the views of links in this process.

    Args:
        database: Where the shares are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._views: dict[int, int] = {}

    def note(self, share_id: int) -> None:
        """Count one view of a share, by the key of its row."""
        self._views[share_id] = self._views.get(share_id, 0) + 1

    async def record(self) -> None:
        """Write the views that were counted since the last call."""
        views, self._views = self._views, {}
        if not views:
            return
        # Sorted, so that two processes never wait for one another's rows.
        rows = [{"share": share, "views": count} for share, count in sorted(views.items())]
        try:
            async with self._database.engine.begin() as connection:
                await connection.execute(_ADD, rows)
        except BaseException:
            for share, count in views.items():
                self._views[share] = self._views.get(share, 0) + count
            raise
