"""Chat templates of real models render as `transformers` renders them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from evalc import _core

utils = pytest.importorskip("transformers.utils.chat_template_utils")

DATE = "2024-07-05"
SPECIAL_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}
Conversation = list[tuple[str, str]]
CONVERSATIONS: dict[str, Conversation] = {
    "one question": [("user", "What is 2 + 2?")],
    "with a system prompt": [("system", "You are terse."), ("user", "Hi")],
    "several turns": [
        ("system", "Answer in one word."),
        ("user", "Capital of France?"),
        ("assistant", "Paris"),
        ("user", "And of Spain?"),
    ],
    "ends with the assistant": [("user", "Hi"), ("assistant", "Hello!")],
    "unicode": [("user", "日本語 \U0001f600 ﬁ İ \u00a0\u2028end"), ("assistant", "naïve café")],
    "quotes and tags": [("user", """it's "so" <|im_end|> \\n {{ x }} {% y %} &amp; </s>""")],
    "line ends": [("user", "\n\n  a\r\nb\tc  \n"), ("assistant", " x \n"), ("user", "\n")],
    "empty": [("system", ""), ("user", ""), ("assistant", ""), ("user", "")],
    "reasoning": [
        ("user", "Think."),
        ("assistant", "<think>\nhmm\n</think>\n\nDone."),
        ("user", "Again."),
    ],
    "two users": [("user", "a"), ("user", "b")],
    "an unknown role": [("user", "a"), ("critic", "b")],
    "nobody": [],
}


class _Pinned(datetime.datetime):
    """A clock that stands still at the pinned date."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> _Pinned:
        return cls.fromisoformat(DATE)


def _theirs(template: str, conversation: Conversation, prompt: bool) -> str | None:
    messages = [{"role": role, "content": content} for role, content in conversation]
    arguments: dict[str, Any] = {"add_generation_prompt": prompt, **SPECIAL_TOKENS}
    try:
        rendered, _ = utils.render_jinja_template([messages], chat_template=template, **arguments)
    except Exception:
        return None
    return str(rendered[0])


def _ours(template: str, conversation: Conversation, prompt: bool) -> str | None:
    try:
        return _core.render_chat(template, SPECIAL_TOKENS, DATE, conversation, prompt)
    except ValueError:
        return None


def test_real_chat_templates_render_as_transformers_renders_them(
    chat_templates: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils, "datetime", _Pinned)
    different = []
    rendered = set()
    for family, template in chat_templates.items():
        for name, conversation in CONVERSATIONS.items():
            for prompt in (False, True):
                theirs = _theirs(template, conversation, prompt)
                ours = _ours(template, conversation, prompt)
                if theirs is not None:
                    rendered.add(family)
                if theirs != ours:
                    different.append(f"{family}, {name}, {prompt}:\n{theirs!r}\n{ours!r}")
    assert not different, "\n".join(different)
    assert len(rendered) >= 25


def test_a_template_that_refuses_a_conversation_says_why() -> None:
    template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(ValueError, match="refuses the conversation: roles must alternate"):
        _core.render_chat(template, {}, None, [("user", "x")], True)


def test_a_template_that_prints_the_date_needs_a_pinned_one() -> None:
    template = "{{ strftime_now('%d %B %Y, %A') }}"
    with pytest.raises(ValueError, match="no date is pinned"):
        _core.render_chat(template, {}, None, [], False)
    assert _core.render_chat(template, {}, DATE, [], False) == "05 July 2024, Friday"


@pytest.mark.parametrize("date", ["2024-02-29", "1999-12-31", "2000-01-01", "2026-11-23"])
def test_a_date_is_formatted_as_python_formats_it(date: str) -> None:
    day = datetime.datetime.fromisoformat(date)
    for directive in "aAbBdjmyYHIMSpuwFT%":
        template = f"{{{{ strftime_now('%{directive}|%-d') }}}}"
        expected = day.strftime(f"%{directive}|%-d")
        assert _core.render_chat(template, {}, date, [], False) == expected


def test_json_in_a_chat_template_is_that_of_json_dumps() -> None:
    template = (
        "{{ messages | tojson }}{{ messages | tojson(indent=2) }}"
        "{{ messages[0] | tojson(sort_keys=true, separators=(',', ':'), ensure_ascii=true) }}"
    )
    conversation = [("user", "é <\"'> \x7f\u2028\U0001f600\x01")]
    ours = _core.render_chat(template, {}, None, conversation, False)
    assert ours == _theirs(template, conversation, False)


def test_generation_tags_print_their_body_in_a_scope_of_their_own() -> None:
    template = (
        "{% set a = 1 %}{% for m in messages %}\n  {%- generation %}\n{% set a = 2 %}"
        "{{ m.content }}\n{% endgeneration -%}\n{% endfor %}{{ a }}"
    )
    conversation = [("user", "x"), ("assistant", "y")]
    ours = _core.render_chat(template, {}, None, conversation, False)
    assert ours == _theirs(template, conversation, False)
