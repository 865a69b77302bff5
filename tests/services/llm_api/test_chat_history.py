"""How stored turns and a request's messages become what the model is sent."""

from __future__ import annotations

from typing import Any

from jan_server.services.llm_api.chat_history import with_history

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
