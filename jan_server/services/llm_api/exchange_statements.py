"""What a stored chat says to the database: one statement to read its conversation, one to write to it.

They are the driver's own SQL for `Database.direct`, because every stored chat runs them. Each is
a transaction of its own. The writing ones do what `items.append_items` and
`conversations.create_conversation` do, under the same locks in the same order: the conversation,
then its branch, whose row hands out the numbers of items.
"""

from __future__ import annotations

READ = """
    select
        c.id, c.public_id, c.user_id, c.title, c.metadata, c.referrer, c.project_id, c.project_public_id,
        c.active_branch, c.created_at, c.updated_at,
        b.id is not null,
        (
            select instruction from llm_api.projects
            where id = c.project_id and deleted_at is null
        ),
        (
            select json_agg(json_build_array(type, role, call_id, content, details) order by sequence_number)
            from llm_api.conversation_items
            where branch_id = b.id and sequence_number > b.item_count - %(newest)s::bigint
        )
    from llm_api.conversations c
    left join llm_api.conversation_branches b
        on b.conversation_id = c.id and b.deleted_at is null
        and b.name = coalesce(%(branch)s::text, c.active_branch)
    where c.public_id = %(conv_id)s::text and c.user_id = %(user_id)s::int and c.deleted_at is null
"""
"""The columns of a `Conversation`, whether it has the branch, its project's instruction, and the
newest items, each as `[type, role, call_id, content, details]`."""

_WRITE_ITEMS = """
    insert into llm_api.conversation_items (
        conversation_id, branch_id, public_id, sequence_number, type, role, status, call_id,
        content, details, created_at, completed_at, incomplete_at
    )
    select
        grown.conversation_id, grown.id, item.public_id,
        grown.item_count - %(count)s::int + item.sequence_number,
        item.type, item.role, item.status, item.call_id,
        item.content_json, item.details_json, item.created_at, item.completed_at, item.incomplete_at
    from grown, json_to_recordset(%(items)s::json) as item (
        public_id text, sequence_number int, type text, role text, status text, call_id text,
        content_json json, details_json json,
        created_at timestamptz, completed_at timestamptz, incomplete_at timestamptz
    )
"""

APPEND = f"""
    with touched as (
        update llm_api.conversations
        set updated_at = clock_timestamp(),
            title = case
                when metadata ->> 'title_locked' is distinct from 'true' then coalesce(%(title)s::text, title)
                else title
            end
        where id = %(conversation)s::bigint and deleted_at is null
        returning id, active_branch
    ), grown as (
        update llm_api.conversation_branches b
        set item_count = b.item_count + %(count)s::int, updated_at = clock_timestamp()
        from touched
        where b.conversation_id = touched.id and b.deleted_at is null
            and b.name = coalesce(%(branch)s::text, touched.active_branch)
        returning b.id, b.conversation_id, b.item_count
    ), written as (
        {_WRITE_ITEMS}
    )
    select id from grown
"""  # noqa: S608 - made of the constant above
"""Appends items to a conversation and gives it a title, unless that is locked; no row when it, or
the branch, is not there (a branch that was renamed while this waited is found at the second try)."""

BEGIN = f"""
    with made as (
        insert into llm_api.conversations
            (public_id, user_id, title, metadata, referrer, created_at, updated_at)
        values (
            %(conv_id)s::text, %(user_id)s::int, %(title)s::text, '{{"title_locked": "false"}}',
            %(referrer)s::text, statement_timestamp(), statement_timestamp()
        )
        returning id
    ), grown as (
        insert into llm_api.conversation_branches (conversation_id, name, item_count)
        select id, 'MAIN', %(count)s::int from made
        returning id, conversation_id, item_count
    ), written as (
        {_WRITE_ITEMS}
    )
    select id from made
"""  # noqa: S608 - made of the constant above
"""Makes a conversation with its first items."""
