"""A small parsing engine: rules written as patterns, matched over words with memory, in the order they are written.

Pattern language: plain words stand for themselves; ``(a|b)`` one of; ``[x]`` x or nothing; ``<rule>`` another rule;
``@name`` a lexical class (phrases looked up at a place, longest first). Literal brackets are written ``LP`` and ``RP``.
For every rule and place the first way to reach each end counts, so the order of alternatives is their preference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Grammar", "Lexicon", "Rule"]

#: Turns the values of a pattern's rules and classes into one value; None rejects the match.
Action = Callable[..., Any]
#: class name -> first word -> phrases (words, value), longest first; "*" for number-like classes is a function.
Lexicon = dict[str, dict[str, list[tuple[tuple[str, ...], Any]]]]
Found = tuple[int, tuple[Any, ...]]

_PATTERN = re.compile(r"<\w+>|@\w+|[\[\]()|]|[^\s\[\]()|<>@]+")
_LITERAL = {"LP": "(", "RP": ")"}


@dataclass(frozen=True)
class Rule:
    """One alternative of a rule."""

    name: str
    pattern: str
    action: Action


@dataclass(frozen=True)
class _Node:
    kind: str  # word, rule, class, seq, alt, opt
    text: str = ""
    parts: tuple[_Node, ...] = ()


def _compile(pattern: str) -> _Node:
    pieces = _PATTERN.findall(pattern)
    node, at = _alternatives(pieces, 0)
    if at != len(pieces):
        raise ValueError(f"unbalanced pattern: {pattern}")
    return node


def _alternatives(pieces: Sequence[str], at: int) -> tuple[_Node, int]:
    options: list[_Node] = []
    parts: list[_Node] = []
    while at < len(pieces) and pieces[at] not in ("]", ")"):
        piece = pieces[at]
        at += 1
        if piece == "|":
            options.append(_Node("seq", parts=tuple(parts)))
            parts = []
        elif piece in ("[", "("):
            inner, at = _alternatives(pieces, at)
            at += 1
            parts.append(_Node("opt", parts=(inner,)) if piece == "[" else inner)
        elif piece[0] == "<":
            parts.append(_Node("rule", piece[1:-1]))
        elif piece[0] == "@":
            parts.append(_Node("class", piece[1:]))
        else:
            parts.append(_Node("word", _LITERAL.get(piece, piece)))
    options.append(_Node("seq", parts=tuple(parts)))
    return (options[0] if len(options) == 1 else _Node("alt", parts=tuple(options))), at


class Grammar:
    """Rules and phrases, compiled once. ``read`` gives the value of the first way that covers all words, or None."""

    def __init__(self, rules: Sequence[Rule], lexicon: Lexicon, number: re.Pattern[str]) -> None:
        self._rules: dict[str, list[tuple[_Node, Action, frozenset[str] | None]]] = {}
        compiled: dict[str, list[tuple[_Node, Action]]] = {}
        for rule in rules:
            compiled.setdefault(rule.name, []).append((_compile(rule.pattern), rule.action))
        self._compiled = compiled
        self._lexicon, self._number = lexicon, number
        self._firsts: dict[str, set[str] | None] = {}
        for name, options in compiled.items():
            self._rules[name] = []
            for node, action in options:
                first, empty = self._first(node, frozenset((name,)))
                self._rules[name].append((node, action, None if empty else frozenset(first)))

    def _first(self, node: _Node, inside: frozenset[str]) -> tuple[set[str], bool]:
        """Words ("w") and classes ("@c") that can begin a node, and whether it can be empty."""
        if node.kind == "word":
            return {node.text}, False
        if node.kind == "class":
            return {"@" + node.text}, False
        if node.kind == "rule":
            if node.text in inside and node.text in self._firsts:
                return set(), False
            if node.text not in self._compiled:
                raise ValueError(f"no rule is called {node.text}")
            self._firsts[node.text] = None
            out: set[str] = set()
            empty = False
            for option, _ in self._compiled[node.text]:
                more, nothing = self._first(option, inside | {node.text})
                out |= more
                empty |= nothing
            return out, empty
        if node.kind == "opt":
            return self._first(node.parts[0], inside)[0], True
        if node.kind == "alt":
            firsts = [self._first(part, inside) for part in node.parts]
            return set().union(*(f for f, _ in firsts)), any(e for _, e in firsts)
        out = set()
        for part in node.parts:
            more, empty = self._first(part, inside)
            out |= more
            if not empty:
                return out, False
        return out, True

    def read(self, words: Sequence[str], start: str) -> Any | None:
        """Value of rule ``start`` over all of ``words``; None where they cannot be parsed in full."""
        for end, value in _Run(self, words).rule(start, 0):
            if end == len(words):
                return value
        return None


class _Run:
    def __init__(self, grammar: Grammar, words: Sequence[str]) -> None:
        self.words = words
        self.rules = grammar._rules
        self.memory: dict[tuple[str, int], tuple[tuple[int, Any], ...]] = {}
        self.starts: list[dict[str, list[tuple[int, Any]]]] = []
        self.keys: list[set[str]] = []
        n = len(words)
        for at, word in enumerate(words):
            found: dict[str, list[tuple[int, Any]]] = {}
            for name, table in grammar._lexicon.items():
                hits = [
                    (at + len(phrase), value)
                    for phrase, value in table.get(word, ())
                    if at + len(phrase) <= n and (len(phrase) == 1 or tuple(words[at : at + len(phrase)]) == phrase)
                ]
                if hits:
                    found[name] = hits
            if grammar._number.fullmatch(word):
                found["number"] = [(at + 1, word)]
            self.starts.append(found)
            self.keys.append({word, *("@" + name for name in found)})
        self.starts.append({})
        self.keys.append(set())

    def rule(self, name: str, at: int) -> tuple[tuple[int, Any], ...]:
        key = (name, at)
        known = self.memory.get(key)
        if known is not None:
            return known
        self.memory[key] = ()  # a rule that begins with itself finds nothing, rather than running on
        ends: dict[int, Any] = {}
        keys = self.keys[at]
        for node, action, first in self.rules[name]:
            if first is not None and first.isdisjoint(keys):
                continue
            for end, values in self.match(node, at):
                if end not in ends:
                    value = action(*values)
                    if value is not None:
                        ends[end] = value
        out = tuple(ends.items())
        self.memory[key] = out
        return out

    def match(self, node: _Node, at: int) -> Iterator[Found]:
        kind = node.kind
        if kind == "word":
            if at < len(self.words) and self.words[at] == node.text:
                yield at + 1, ()
        elif kind == "class":
            for end, value in self.starts[at].get(node.text, ()):
                yield end, (value,)
        elif kind == "rule":
            for end, value in self.rule(node.text, at):
                yield end, (value,)
        elif kind == "opt":
            yield from self.match(node.parts[0], at)
            yield at, ()
        elif kind == "alt":
            for part in node.parts:
                yield from self.match(part, at)
        else:
            yield from self._sequence(node.parts, 0, at, ())

    def _sequence(self, parts: tuple[_Node, ...], i: int, at: int, values: tuple[Any, ...]) -> Iterator[Found]:
        if i == len(parts):
            yield at, values
            return
        part = parts[i]
        if part.kind == "word":
            if at < len(self.words) and self.words[at] == part.text:
                yield from self._sequence(parts, i + 1, at + 1, values)
            return
        for end, more in self.match(part, at):
            yield from self._sequence(parts, i + 1, end, values + more)
