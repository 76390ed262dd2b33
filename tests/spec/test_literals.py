from __future__ import annotations

import tomli
from hypothesis import given
from hypothesis import strategies as st

from evalc.spec.literals import narrowed

TEXT = st.text(st.sampled_from('ab"\\\té数😀{} \n\u0301'), min_size=1, max_size=12)
ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "é": "\\u00e9", "😀": "\\U0001F600"}


def escaped(text: str) -> str:
    return "".join(ESCAPED.get(char, char) for char in text)


def forms(text: str) -> list[str]:
    """TOML literals of `text`, in every kind of quotes that can hold it."""
    found = [f'"{escaped(text)}"', f'"""{escaped(text)}"""', f'"""\n{escaped(text)}"""']
    found.append(f'"""\r\n{escaped(text)}"""')
    found.append('"""\\\n   ' + escaped(text).replace(" ", "\\u0020") + '\\\r\n  """')
    found.append(f"'''\n{text}'''")
    found.append(f"'''{text}'''" if not text.startswith("\n") else f'"{escaped(text)}"')
    if "\n" not in text:
        found.append(f"'{text}'")
    if "\n" in text:
        crlf = text.replace("\n", "\r\n")
        found.append(f"'''\r\n{crlf}'''")
    return found


@given(TEXT, st.data())
def test_a_span_of_the_value_is_found_in_every_kind_of_literal(
    text: str, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(text) - 1))
    last = data.draw(st.integers(first + 1, len(text)))
    span = (len(text[:first].encode()), len(text[:last].encode()))
    for literal in forms(text):
        assert tomli.loads(f"x = {literal}")["x"] == text
        found = narrowed(literal, span)
        assert found is not None
        part = literal.encode()[found[0] : found[1]].decode()
        again = f"x = '''\n{part}'''" if literal[0] == "'" else f'x = """\n{part}"""'
        assert tomli.loads(again)["x"] == text[first:last]


def test_what_is_no_text_or_lies_outside_has_no_span() -> None:
    assert narrowed("12", (0, 1)) is None
    assert narrowed('"ab"', (1, 3)) is None
    assert narrowed('"é"', (1, 2)) is None


def test_an_empty_span_is_a_position() -> None:
    assert narrowed('"ab"', (2, 2)) == (3, 3)
