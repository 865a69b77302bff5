"""How stored turns and a request's messages become what the model is sent."""

from __future__ import annotations

from typing import Any

import pytest

from jan_server.services.llm_api.chat_history import messages_of, with_history
from jan_server.services.llm_api.exchange_store import StoredItem

Message = dict[str, Any]


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def answer(text: str | None, *calls: str) -> Message:
    message: Message = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": call, "type": "function", "function": {"name": "f", "arguments": "{}"}} for call in calls
        ]
    return message


def result(call: str, text: str = "x") -> Message:
    return {"role": "tool", "tool_call_id": call, "content": text}


SYSTEM: Message = {"role": "system", "content": "Be kind"}
TALK = [user("a"), answer("A"), user("b"), answer("B")]


def test_white_space_and_an_absent_text_make_no_difference() -> None:
    sent = [user(" a\n"), answer("A "), user("b"), answer("B"), user("c")]
    assert with_history(TALK, sent, "auto") == sent


def test_instructions_of_the_request_stay_in_front() -> None:
    assert with_history(TALK, [SYSTEM, user("c")], "auto") == [SYSTEM, *TALK, user("c")]
    resent = [SYSTEM, *TALK, user("c")]
    assert with_history(TALK, resent, "auto") == resent


def test_a_window_of_the_talk_is_completed_by_what_came_before() -> None:
    assert with_history(TALK, [answer("B"), user("c")], "auto") == [*TALK, user("c")]


def test_the_same_short_question_again_is_a_new_turn() -> None:
    talk = [user("again"), answer("A")]
    assert with_history(talk, [user("again")], "auto") == [*talk, user("again")]


def test_a_question_that_waits_for_its_answer_is_not_doubled() -> None:
    assert with_history([*TALK, user("c")], [user("c")], "auto") == [*TALK, user("c")]


def test_a_reworded_answer_marks_the_clients_own_version() -> None:
    own = [user("a"), answer("A, but shorter"), user("b")]
    assert with_history(TALK, own, "auto") == own


def test_parallel_calls_are_answered_in_their_order_and_each_once() -> None:
    talk = [user("a"), answer(None, "c1", "c2"), result("c1", "logged")]
    sent = with_history(talk, [result("c2", "two"), result("c1", "one")], "auto")
    assert sent == [user("a"), answer(None, "c1", "c2"), result("c1", "one"), result("c2", "two")]


def test_a_stored_call_without_a_result_is_left_out() -> None:
    talk = [user("a"), answer("Let me see", "c1", "c2"), result("c2")]
    sent = with_history(talk, [user("never mind")], "always")
    assert sent == [user("a"), answer("Let me see", "c2"), result("c2"), user("never mind")]


def test_a_chain_of_calls_is_completed_from_its_question_on() -> None:
    talk = [*TALK, user("go"), answer(None, "c1"), result("c1"), answer(None, "c2")]
    sent = with_history(talk, [result("c2")], "never")
    assert sent == [user("go"), answer(None, "c1"), result("c1"), answer(None, "c2"), result("c2")]


def test_a_result_that_belongs_to_nothing_is_the_providers_to_refuse() -> None:
    assert with_history(TALK, [result("unknown")], "never") == [result("unknown")]


def stored(
    kind: str = "message",
    role: str | None = None,
    *blocks: Message,
    call_id: str | None = None,
    **details: Any,
) -> StoredItem:
    return StoredItem(kind, role, call_id, list(blocks), details)


def call_item(call: str, kind: str = "function_call", **details: Any) -> StoredItem:
    return stored(kind, call_id=call, **{"name": "f", "arguments": "{}"} | details)


def output_item(call: str, output: Any) -> StoredItem:
    return stored("function_call_output", call_id=call, output=output)


ASKED = stored("message", "user", {"type": "input_text", "input_text": "a"})
SAID = stored(
    "message", "assistant", {"type": "output_text", "output_text": {"text": "A", "annotations": []}}
)


def test_calls_side_by_side_are_one_turn_and_their_results_follow() -> None:
    items = [ASKED, call_item("c1"), call_item("c2"), output_item("c1", "one"), output_item("c2", "two")]
    talk = [user("a"), answer(None, "c1", "c2"), result("c1", "one"), result("c2", "two")]
    assert messages_of(items) == talk


def test_a_call_belongs_to_the_words_before_it_and_the_next_one_to_a_turn_of_its_own() -> None:
    items = [ASKED, SAID, call_item("c1"), output_item("c1", "one"), call_item("c2")]
    assert messages_of(items) == [user("a"), answer("A", "c1"), result("c1", "one"), answer(None, "c2")]


def test_a_call_that_is_told_twice_counts_once() -> None:
    calls = answer(None, "c1")["tool_calls"]
    said = stored("message", "assistant", tool_calls=calls)
    assert messages_of([ASKED, said, call_item("c1")]) == [user("a"), answer(None, "c1")]


def test_a_call_without_a_name_or_an_id_is_no_part_of_the_talk() -> None:
    assert messages_of([ASKED, stored("function_call", call_id="c1"), stored("function_call", name="f")]) == [
        user("a")
    ]


def test_a_custom_tools_call_is_told_as_a_functions() -> None:
    [_, turn, told] = messages_of(
        [
            ASKED,
            call_item("c1", "custom_tool_call", input='say "hi"'),
            stored("custom_tool_call_output", call_id="c1", output="hi"),
        ]
    )
    assert turn["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"input":"say \\"hi\\""}'}
    assert told == result("c1", "hi")


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("plain", "plain"),
        ([{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}], "one\ntwo"),
        ({"degrees": 21}, '{"degrees":21}'),
    ],
    ids=["text", "parts", "object"],
)
def test_a_tools_output_is_text_to_the_model(output: Any, text: str) -> None:
    assert messages_of([call_item("c1"), output_item("c1", output)])[1]["content"] == text


def test_output_text_of_a_user_is_not_lost() -> None:
    quoted = stored(
        "message", "user", {"type": "output_text", "output_text": {"text": "a", "annotations": []}}
    )
    assert messages_of([quoted]) == [user("a")]


def test_a_file_by_its_address_is_told_as_text() -> None:
    files = [
        {"type": "file", "file": {"file_url": "https://files.example/a.pdf"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,YQ==", "filename": "a.txt"}},
    ]
    assert messages_of([stored("message", "user", *files)])[0]["content"] == [
        {"type": "text", "text": "https://files.example/a.pdf"},
        files[1],
    ]
