"""Frames are found wherever the network cuts the stream."""

from hypothesis import given
from hypothesis import strategies as st

from jan_server.http.sse import FrameSplitter, data_frame, frame_data

payloads = st.lists(
    st.binary(min_size=1, max_size=30).filter(lambda b: b"\n" not in b and b"\r" not in b), max_size=8
)


@given(payloads, st.lists(st.integers(1, 20), min_size=1, max_size=50))
def test_frames_survive_any_cut(contents, cuts):
    stream = b"".join(map(data_frame, contents))
    splitter = FrameSplitter()
    frames = []
    at = 0
    for cut in cuts:
        frames += splitter.feed(stream[at : at + cut])
        at += cut
    frames += splitter.feed(stream[at:])
    assert [frame_data(frame) for frame in frames] == contents
    assert splitter.rest() == b""


def test_carriage_returns_end_lines_too():
    splitter = FrameSplitter()
    assert splitter.feed(b"data: a\r") == []
    assert splitter.feed(b"\n\r\ndata: b") == [b"data: a\n\n"]
    assert splitter.rest() == b"data: b"


def test_the_data_lines_of_a_frame_are_joined_and_comments_dropped():
    assert frame_data(b": ping\nevent: x\ndata: 1\ndata:2\n\n") == b"1\n2"
