"""Where an output ends: stop strings in decoded text, end ids, lengths."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from evalc.exec.settings import Setting
from evalc.exec.transcripts import Decoder, Transcript


def setting(*stop: str, eos: int = 1) -> Setting:
    return Setting(1000, stop, 0.0, 1.0, 0, 0, 0, frozenset({eos}))


@pytest.fixture
def decoder(tokenizer: Any) -> Decoder:
    return Decoder.of(tokenizer)


def written(decoder: Decoder, chosen: Setting, ids: list[int]) -> Transcript:
    transcript = Transcript(decoder, chosen, len(ids))
    for token in ids:
        if transcript.push(token):
            break
    return transcript


def plain(decoder: Decoder, text: str) -> list[int]:
    return decoder.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_stop_that_spans_tokens_is_found_as_soon_as_it_is_whole(decoder: Decoder) -> None:
    ids = plain(decoder, "it is 42.\n\nQuestion: next")
    transcript = written(decoder, setting("Question:"), ids)
    assert transcript.text() == "it is 42.\n\n"
    assert transcript.finish == "stop"
    assert decoder.text(transcript.tokens).endswith("Question:")


def test_a_multi_byte_stop_is_cut_between_characters(decoder: Decoder) -> None:
    ids = plain(decoder, "mañana 🙂🙂 語 end")
    assert len(ids) > len("mañana 🙂🙂 語 end")
    transcript = written(decoder, setting("語"), ids)
    assert transcript.text() == "mañana 🙂🙂 "
    smile = written(decoder, setting("🙂"), ids)
    assert smile.text() == "mañana "
    assert smile.stop == "🙂"


def test_the_earliest_of_several_stops_wins(decoder: Decoder) -> None:
    transcript = written(decoder, setting("sum", "the"), plain(decoder, "what is the sum"))
    assert (transcript.text(), transcript.stop) == ("what is ", "the")


def test_special_tokens_do_not_reach_the_text(decoder: Decoder) -> None:
    transcript = written(decoder, setting(), [*plain(decoder, "the"), 2, *plain(decoder, " sum")])
    assert transcript.text() == "the sum"
    assert transcript.finish == "length"


def test_a_special_token_can_be_a_stop_string(decoder: Decoder) -> None:
    ids = [*plain(decoder, "the"), 2, *plain(decoder, " sum")]
    transcript = written(decoder, setting("<|other|>"), ids)
    assert (transcript.text(), transcript.stop) == ("the", "<|other|>")


def test_an_end_id_is_kept_among_the_tokens_but_not_in_the_text(decoder: Decoder) -> None:
    transcript = written(decoder, setting(), [*plain(decoder, "the"), 1, 5])
    record = json.loads(transcript.payload())
    assert record["tokens"][-1] == 1
    assert record == {"text": "the", "tokens": record["tokens"], "finish": "eos", "stop": None}


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.text(st.sampled_from("ab c\n🙂é語."), max_size=30),
    stops=st.lists(st.text(st.sampled_from("ab c\n🙂é語."), min_size=1, max_size=4), max_size=3),
)
def test_the_text_is_what_precedes_the_first_stop(
    decoder: Decoder, text: str, stops: list[str]
) -> None:
    # of a stop within another the inner one is met first, and the outer one never
    assume(not any(one != two and one in two for one in stops for two in stops))
    transcript = written(decoder, setting(*stops), plain(decoder, text))
    places = [text.find(stop) for stop in stops if stop in text]
    assert transcript.text() == text[: min(places, default=len(text))]
    if text:
        assert (transcript.finish == "stop") == bool(places)
