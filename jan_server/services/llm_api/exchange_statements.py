"""What stored chats say to the database: one statement reads their conversations, one writes to them.

They are the driver's own SQL for `Database.direct`, because every stored chat runs them, and each
serves any number of chats at once, given as a JSON array of rows. Each is a transaction of its
own. The writing ones do what `items.append_items` and
`conversations.create_conversation` do, under the same locks in the same order: the conversation,
then its branch, whose row hands out the numbers of items.
"""

from __future__ import annotations

READ = """
    select
        given.place, b.id is not null, p.instruction,
        (
            select json_agg(
                json_build_array(
                    type, role, call_id, coalesce(content, '[]'::json), coalesce(details, '{}'::json)
                )
                order by sequence_number
            )
            from llm_api.conversation_items
            where branch_id = b.id and sequence_number > b.item_count - %(newest)s::bigint
        ),
        c.id, c.public_id, c.user_id, c.title, c.metadata, c.referrer, c.project_id, c.project_public_id,
        c.active_branch, c.created_at, c.updated_at
    from json_to_recordset(%(given)s::json) as given (place int, conv_id text, user_id int, branch text)
    join llm_api.conversations c
        on c.public_id = given.conv_id and c.user_id = given.user_id and c.deleted_at is null
    left join llm_api.conversation_branches b
        on b.conversation_id = c.id and b.deleted_at is null
        and b.name = coalesce(given.branch, c.active_branch)
    left join llm_api.projects p on p.id = c.project_id and p.deleted_at is null
"""
"""For each that is there: its place among those asked for, whether it has the branch, the
instruction of its project, the newest items, each as `[type, role, call_id, content, details]`,
and the columns of a `Conversation`."""

_GIVEN_ITEMS = """
    json_to_recordset(%(items)s::json) as item (
        conv_id text, public_id text, sequence_number int, type text, role text, status text, call_id text,
        content_json json, details_json json,
        created_at timestamptz, completed_at timestamptz, incomplete_at timestamptz
    )
"""
_WRITE_ITEMS = f"""
    insert into llm_api.conversation_items (
        conversation_id, branch_id, public_id, sequence_number, type, role, status, call_id,
        content, details, created_at, completed_at, incomplete_at
    )
    select
        grown.conversation_id, grown.branch_id, item.public_id, grown.before + item.sequence_number,
        item.type, item.role, item.status, item.call_id,
        item.content_json, item.details_json, item.created_at, item.completed_at, item.incomplete_at
    from {_GIVEN_ITEMS} join grown on grown.conv_id = item.conv_id
"""  # noqa: S608 - made of the constant above

_APPEND = f"""
    with given as materialized (
        select * from json_to_recordset(%(given)s::json)
            as given (conv_id text, conversation bigint, branch text, title text, count int)
    ), mine as materialized (
        select c.id, c.active_branch, given.*
        from given join llm_api.conversations c on c.id = given.conversation
        where c.deleted_at is null
        order by c.id
        for no key update of c {{waiting}}
    ), grown as (
        update llm_api.conversation_branches b
        set item_count = b.item_count + mine.count, updated_at = clock_timestamp()
        from mine
        where b.conversation_id = mine.id and b.deleted_at is null
            and b.name = coalesce(mine.branch, mine.active_branch)
        returning
            b.id as branch_id, b.conversation_id, b.item_count - mine.count as before,
            mine.conv_id, mine.title
    ), touched as (
        update llm_api.conversations c
        set updated_at = clock_timestamp(),
            title = case
                when c.metadata ->> 'title_locked' is distinct from 'true' then coalesce(grown.title, c.title)
                else c.title
            end
        from grown
        where c.id = grown.conversation_id
    ), written as (
        {_WRITE_ITEMS}
    )
    select conv_id from grown
"""  # noqa: S608 - made of the constants above

APPEND = _APPEND.format(waiting="skip locked")
"""Appends to conversations, each named once, and gives them titles, unless those are locked.

Returns those that were written to. A conversation that another transaction is changing is left
alone, so that it keeps nobody waiting and two such statements never wait for one another."""

APPEND_IN_TURN = _APPEND.format(waiting="")
"""The same for a single conversation, which waits until others have changed it. Nothing is written,
no title either, when it or the branch is gone; a branch renamed during the wait is found at a second try."""

BEGIN = f"""
    with given as materialized (
        select * from json_to_recordset(%(given)s::json)
            as given (conv_id text, user_id int, title text, referrer text, count int)
    ), made as (
        insert into llm_api.conversations
            (public_id, user_id, title, metadata, referrer, created_at, updated_at)
        select
            conv_id, user_id, title, '{{"title_locked": "false"}}', referrer,
            statement_timestamp(), statement_timestamp()
        from given
        returning id, public_id
    ), main as (
        insert into llm_api.conversation_branches (conversation_id, name, item_count)
        select made.id, 'MAIN', given.count from made join given on given.conv_id = made.public_id
        returning id, conversation_id
    ), grown as (
        select main.id as branch_id, made.id as conversation_id, 0 as before, made.public_id as conv_id
        from main join made on made.id = main.conversation_id
    )
    {_WRITE_ITEMS}
    returning 1
"""  # noqa: S608 - made of the constants above
"""Makes conversations with their first items."""
