"""Hostile text, and what may not be in any output whatever was put in.

Independent of `evalc.diagnostics.visible`: what is raw, what a runner would obey and what GitHub
would render is decided here once more.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

from markdown_it import MarkdownIt

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
HIDDEN = [*"\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f",
          *"\u061c\u2060\ufeff\u00ad\u034f\u115f\u3164\ufffe\uffff\U000e0041\ue000"]  # fmt: skip
COMMANDS = (
    "::error title=F::x", "::stop-commands::tok", "::add-mask::a", "::set-output name=a::b",
    "::debug::x", "##[group]x", "##[error]x", "##vso[task.setvariable variable=a]b",
    "##teamcity[message text='x']", "::warning file=a.py,line=1::x", "::notice::x",
)  # fmt: skip
TERMINAL = (
    "\x1b[2J", "\x1b]0;owned\x07", "\x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\",
    "\x1b[5;41mx", "\x1bc", "\x9b2J", "\x9d0;x\x9c", "\x07", "\x08\x08\x08", "\rok: all passed",
    "\x1bP1$rx\x1b\\", "\x1b[1A\x1b[2K", "\x0e", "\x85::error::nel",
)  # fmt: skip
MARK_UP = (
    "@everyone", "@octocat", "@org/team", "#1", "GH-1", "http://evil.example/a", "www.evil.example",
    "<script>window.broken=1</script>", "</script><script>window.broken=1</script>",
    "<img src=x onerror='window.broken=1'>", "<!-- ", " -->", "</details>", "</table></td>", "|",
    "| a | b |\n|---|---|", "`", "``` js", "~~~", "[x](javascript:alert(1))",
    "![](http://evil.example/i)",
    "# heading", "> quote", "- item", "1. item", "***", "~~s~~", "$x$", "&lt;b&gt;",
    "&#64;everyone",
    "<b>", "<a href=x>", "\\", "\\|", "]]>", "<![CDATA[", "&", "\"'", "{{ 7*7 }}", "{% raw %}",
    "evil@example.com", ":tada:", "[^1]", "[ref]: http://evil.example", "<https://evil.example>",
    "]: ", "!(", "user@evil.example", "===", "---", "\u0661", "\\@user", "%0A::error::x", "%25",
)  # fmt: skip
WORDS = ("a", "key", "é", "数学", "שלום", "x=1", "7", "❤️", "👩‍👧", "می‌خواهم")
SURROGATES = ("\ud800", "\udfff", "\udc80")
ENDS = ("\n", "\r\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", " ", "", "\t", "\u3000")


def hostile(rng: random.Random, *, surrogates: bool = False) -> str:
    """A text of a few hostile pieces between innocent words."""
    kinds = [CONTROLS, HIDDEN, COMMANDS, TERMINAL, MARK_UP, WORDS]
    if surrogates:
        kinds.append(SURROGATES)
    parts = []
    for _ in range(rng.randint(1, 5)):
        parts += [rng.choice(ENDS), rng.choice(rng.choice(kinds))]
    return "".join(parts)


def toml(text: str) -> str:
    """A TOML basic string."""
    return '"' + "".join(_toml(char) for char in text) + '"'


def _toml(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    code = ord(char)
    if code < 0x20 or 0x7F <= code < 0xA0 or code in (0x2028, 0x2029, 0x202E, 0xFEFF):
        return f"\\u{code:04x}"
    return char


STYLED = re.compile(r"\x1b\[(?:0|[1-4]|2[2-4]|[1-4];3[0-7]|3[0-7]|39)m")
"""What our own output is styled with; hostile text has other sequences."""
DRAWN = re.compile(r"\x1b\[(?:\?25[lh]|2K|1A|(?:38;[25];[0-9;]+|90)m)|\r")
"""What a progress bar moves the cursor with."""
KEPT = re.compile(r"(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")
"""Joiners within scripts and emoji that need them."""


def raw(text: str, allowed: str = "\n") -> list[str]:
    """Characters that nobody sees and somebody obeys."""
    found = []
    for char in KEPT.sub("", text):
        if char not in allowed and unicodedata.category(char) in (
            "Cc",
            "Cf",
            "Zl",
            "Zp",
            "Cs",
            "Co",
        ):
            near = text.index(char)
            found.append(f"U+{ord(char):04X} in {text[max(0, near - 30) : near + 30]!r}")
    return found


OURS = re.compile(
    r"::(?:error|warning|notice) (?:(?:file|line|col|endLine|endColumn)=[^:,\n]*,)*"
    r"title=evalc[^:,\n]*::[^\n]*"
)


def commands(text: str, *, ours: bool) -> list[str]:
    """Lines that a runner of workflows obeys and that we did not mean. `ours`: some may be."""
    found = []
    for line in re.split(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", text):
        told = STYLED.sub("", line).strip()
        begins = told.startswith("::") and not told.startswith(":::")
        if begins and not (ours and OURS.fullmatch(line)):
            found.append(line[:80])
        if re.search(r"##[A-Za-z]*\[", told):
            found.append(line[:80])
    return found


def stream_faults(text: str, *, tty: bool = False, ours: bool = False) -> Iterator[str]:
    """What is wrong with what a command wrote to a stream."""
    plain = STYLED.sub("", text)
    plain = DRAWN.sub("", plain) if tty else text
    for found in raw(plain):
        yield f"raw {found}"
    for found in commands(text, ours=ours):
        yield f"command {found!r}"
    for phrase in ("Traceback (most recent", "internal error"):
        if phrase in text:
            yield text[text.index(phrase) :][:300]


HTML_OF_MARKDOWN = re.compile(r"<!-- evalc -->|<details><summary>[^<]*</summary>|</details>")
SMALL = {"inline", "text", "softbreak", "code_inline", "strong_open", "strong_close", "html_inline",
         "html_block", "heading_open", "heading_close", "paragraph_open", "paragraph_close",
         "table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close",
         "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close", "bullet_list_open",
         "bullet_list_close", "list_item_open", "list_item_close", "blockquote_open",
         "blockquote_close"}  # fmt: skip
"""Everything that our Markdown consists of: no link, no picture, no fence, no rule."""
LIVE = re.compile(
    r"(?<![0-9A-Za-z])@(?=[A-Za-z0-9])|(?<![\w&])#\d|\bGH-\d|://|\bwww\.|:[a-z0-9_+-]*[a-z][a-z0-9_+-]*:",
    re.IGNORECASE,
)


def markdown_faults(text: str) -> Iterator[str]:
    """What GitHub would make of a comment that we did not write into it."""
    yield from stream_faults(text)
    for token in _tokens(text):
        if token.type not in SMALL:
            yield f"markdown {token.type} {token.content[:60]!r}"
        if token.type in ("html_block", "html_inline"):
            rest = HTML_OF_MARKDOWN.sub("", token.content).strip()
            if rest:
                yield f"html {rest[:80]!r}"
            yield from _live(re.sub(r"<!--.*?-->", "", token.content))
        if token.type == "heading_open" and token.tag != "h2":
            yield f"heading {token.tag}"
        if token.type == "text":
            yield from _live(token.content)
    yield from _torn_rows(text)


def _tokens(text: str) -> Iterator[Any]:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    for token in parser.parse(text):
        yield token
        yield from token.children or ()


def _live(text: str) -> Iterator[str]:
    for found in LIVE.finditer(text):
        yield f"live {text[max(0, found.start() - 20) : found.end() + 20]!r}"


def _torn_rows(text: str) -> Iterator[str]:
    """Rows of a table that have more or fewer cells than its head."""
    width = 0
    for line in text.split("\n"):
        cells = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else 0
        if cells and width and cells != width:
            yield f"a row of {cells - 1} cells in a table of {width - 1}: {line[:80]!r}"
        width = cells


JUNIT = {"testsuites", "testsuite", "properties", "property", "testcase", "failure", "error",
         "skipped", "system-out"}  # fmt: skip


def junit_faults(text: str) -> Iterator[str]:
    """What is wrong with a JUnit file."""
    yield from (f"raw {found}" for found in raw(text, "\n\t"))
    yield from (f"command {found!r}" for found in commands(text, ours=False))
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        yield f"xml {error}"
        return
    yield from (f"xml <{one.tag}>" for one in root.iter() if one.tag not in JUNIT)
    for element in root.iter():
        for value in (element.text or "", *element.attrib.values()):
            yield from (f"raw {found}" for found in raw(value, "\n\t"))
            yield from (f"command {found!r}" for found in commands(value, ours=False))


def json_faults(text: str) -> Iterator[str]:
    """What is wrong with a JSON document."""
    yield from stream_faults(text)
    try:
        json.loads(text)
    except ValueError as error:
        yield f"json {error}"


TAGS = {"html", "head", "meta", "title", "style", "script", "body", "header", "main", "footer",
        "nav", "section", "details", "summary", "figure", "figcaption", "div", "span", "p", "a",
        "h1", "h2", "h3", "h4", "table", "caption", "thead", "tbody", "tr", "th", "td", "dl", "dt",
        "dd", "i", "form", "label", "select", "option", "input", "button", "dialog", "noscript",
        "pre", "code", "ul", "li", "svg", "g", "path", "rect", "line", "text", "desc", "circle",
        "clippath", "defs", "tspan", "b", "strong", "template", "output", "bdi"}  # fmt: skip
VOID = {"meta", "input", "img", "br", "link"}


class Page(HTMLParser):
    """A page's elements; notes what is not ours."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.scripts = 0
        self.data = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.faults.append(f"<{tag}>")
        self.scripts += tag == "script"
        for name, value in attrs:
            given = value or ""
            if name.startswith("on") or name in ("src", "srcdoc", "action", "formaction"):
                self.faults.append(f"{tag} {name}={given[:60]!r}")
            if name in ("href", "xlink:href") and not given.startswith("#"):
                self.faults.append(f"{tag} {name}={given[:60]!r}")
            self.faults += [f"raw {found} in {tag} {name}" for found in raw(given, "\n\t")]
        if tag not in VOID:
            self._open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop()[0] != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1][1].get("id") == "case-data":
            self.data += data

    def handle_comment(self, data: str) -> None:
        self.faults.append(f"comment {data[:60]!r}")


def page_faults(text: str) -> Iterator[str]:
    """What is wrong with a page, its cases included."""
    yield from (f"raw {found}" for found in raw(text, "\n\t"))
    yield from (f"command {found!r}" for found in commands(text, ours=False))
    page = Page(text)
    yield from page.faults
    if page.scripts > 2:
        yield f"{page.scripts} scripts"
    if page.data:
        yield from _case_faults(json.loads(gzip.decompress(base64.b64decode(page.data))))


def _case_faults(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (f"raw {found} in a case" for found in raw(value, "\n\t"))
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _case_faults(key)
            yield from _case_faults(one)
    elif isinstance(value, list):
        for one in value:
            yield from _case_faults(one)
