"""BLAKE3 of up to 1,024 bytes, written from its paper: the oracle shares no code with evalc.

O'Connor, Aumasson, Neves, Wilcox-O'Hearn: "BLAKE3, one function, fast everywhere" (2020), section
2; a message of at most one chunk has no tree.
"""

from __future__ import annotations

from functools import lru_cache

IV = (
    *(0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A),
    *(0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19),
)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIXED = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)
CHUNK_START, CHUNK_END, ROOT, KEYED = 1, 2, 8, 16
BLOCK, CHUNK, WORD = 64, 1024, 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def blake3(message: bytes, key: bytes | None = None) -> bytes:
    """The 32 bytes of a hash, keyed with 32 bytes if `key` is given."""
    if len(message) > CHUNK:
        raise ValueError("only one chunk is hashed here")
    chain = IV if key is None else _words(key)
    mode = 0 if key is None else KEYED
    blocks = [message[at : at + BLOCK] for at in range(0, len(message), BLOCK)] or [b""]
    for index, block in enumerate(blocks):
        flags = mode | (CHUNK_START if index == 0 else 0)
        flags |= CHUNK_END | ROOT if index == len(blocks) - 1 else 0
        chain = _compressed(chain, _words(block.ljust(BLOCK, b"\0")), len(block), flags)
    return b"".join(word.to_bytes(4, "little") for word in chain)


def _words(content: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4))


def _compressed(
    chain: tuple[int, ...], block: tuple[int, ...], length: int, flags: int
) -> tuple[int, ...]:
    state = [*chain, *IV[:4], 0, 0, length, flags]
    for _ in range(7):
        for place, (a, b, c, d) in enumerate(MIXED):
            _mix(state, (a, b, c, d), block[2 * place : 2 * place + 2])
        block = tuple(block[at] for at in PERMUTATION)
    return tuple(state[at] ^ state[at + 8] for at in range(8))


def _mix(state: list[int], places: tuple[int, ...], words: tuple[int, ...]) -> None:
    a, b, c, d = places
    for word, turns in zip(words, ((16, 12), (8, 7)), strict=True):
        state[a] = (state[a] + state[b] + word) & WORD
        state[d] = _turned(state[d] ^ state[a], turns[0])
        state[c] = (state[c] + state[d]) & WORD
        state[b] = _turned(state[b] ^ state[c], turns[1])


def _turned(word: int, count: int) -> int:
    return ((word >> count) | (word << (32 - count))) & WORD
