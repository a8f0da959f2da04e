"""Run work in child processes that hold nothing of value and can be killed at any time.

child.py    one child: started, spoken to, watched, ended
wire.py     the messages between the two
sandbox.py  what is taken from a child before it works
"""

from __future__ import annotations
