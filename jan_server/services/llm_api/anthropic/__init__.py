"""Anthropic's Messages API, translated onto chat completions and back; knows no HTTP.

Source: Anthropic API reference, "Messages", "Streaming messages" and "Count message tokens"
(version 2023-06-01).
"""
