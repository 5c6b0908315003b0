"""The Messages API as a small real server on loopback: scripted, strict about what it is sent, and recording it.

    api.says(tool("view", path="src/app.py"))      # one reply, stop reason `tool_use`
    api.says(text("done"), stop="end_turn")
    api.fails(429, "rate_limit_error", headers={"retry-after": "3"})
    api.breaks("drop", text("half a rep"))          # in the midst of a stream

Replies are handed out in the order in which they were scripted. Not modelled: token counts and cache hits.
"""

from messages_api.blocks import Block, block, text, thinking, tool
from messages_api.replies import Answer, Failure, Fault, Reply
from messages_api.server import MessagesApi, Recorded

__all__ = [
    "Answer",
    "Block",
    "Failure",
    "Fault",
    "MessagesApi",
    "Recorded",
    "Reply",
    "block",
    "text",
    "thinking",
    "tool",
]
