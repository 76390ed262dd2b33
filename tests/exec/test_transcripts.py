"""Where an output ends: stop strings in decoded text, end ids, lengths."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from evalc.contract.settings import Setting
from evalc.exec.answer.transcripts import Decoder, Transcript, _first
from evalc.exec.model.tokenizer import decoded
from tokenizer_families import FAMILIES, SPECIAL, trained


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


def test_of_two_stops_that_begin_together_the_longer_one_is_told() -> None:
    for stops in (("s", "sum"), ("sum", "s")):
        assert _first("the sum", stops) == (4, "sum")
        assert _first("the su", stops) == (4, "s")
    assert _first("the sum", ("um", "sum", "e")) == (2, "e")
    assert _first("the sum", ("x",)) is None


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


def wordpiece() -> Tokenizer:
    """As BERT: words of letters, and pieces of words behind `##`."""
    words = ["[UNK]", *SPECIAL, "the", "sum", "is", ".", "a", "##b", "##sum", "42"]
    vocabulary = {word: index for index, word in enumerate(words)}
    made = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    made.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return made


@cache
def decoder_of(name: str) -> Decoder:
    made = wordpiece() if name == "wordpiece" else trained(name)
    return Decoder.of(PreTrainedTokenizerFast(tokenizer_object=made))


def behind(decoder: Decoder, chosen: Setting, prompt: list[int], ids: list[int]) -> Transcript:
    transcript = Transcript(decoder, chosen, len(ids), decoder.tail(prompt))
    for token in ids:
        if transcript.push(token):
            break
    return transcript


KINDS = [*FAMILIES, "wordpiece"]
PIECES = ["the", " sum", " ", "  ", "\n", "    return", "é", "日本", "🙂", "12", "", "def f():"]
texts = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def test_decoders_that_change_what_comes_first_are_known() -> None:
    lossy = {name for name in KINDS if decoder_of(name).loses_first_space}
    assert lossy == {"prepended", "metaspace", "wordpiece"}


@pytest.mark.parametrize("name", KINDS)
@limits(deadline=None, max_examples=100)
@given(
    prompt=texts,
    output=texts,
    special=st.sampled_from([[], [0], [1]]),
    data=st.data(),
)
def test_prompt_and_text_together_are_what_all_the_ids_decode_to(
    name: str, prompt: str, output: str, special: list[int], data: st.DataObject
) -> None:
    """I26: whatever the cut, and whatever special tokens stand at it."""
    decoder = decoder_of(name)
    first = [*special, *plain(decoder, prompt), *special]
    answer = plain(decoder, output)
    if name != "wordpiece":
        # what a model says need not begin as an encoded text begins
        answer = answer[data.draw(st.integers(0, min(2, len(answer)))) :]
    whole = decoder.text([*first, *answer])
    said = behind(decoder, setting(eos=10**6), first, answer).text()
    if "\ufffd" not in whole:
        assert decoder.text(first) + said == whole
    if not decoder.loses_first_space:
        return
    # and the cut may fall inside a character, which then belongs to the answer
    cut = data.draw(st.integers(0, len(first)))
    late = [*first[cut:], *answer]
    said = behind(decoder, setting(eos=10**6), first[:cut], late).text()
    if "\ufffd" not in whole:
        assert decoder.text(first[:cut]).rstrip("\ufffd") + said == whole


@pytest.mark.parametrize("name", ["prepended", "metaspace"])
def test_a_stop_that_begins_with_a_space_is_met_at_the_first_token(name: str) -> None:
    """I26: the space of the first token is there, so the stop ends the output at once."""
    decoder = decoder_of(name)
    prompt = plain(decoder, "what is the")
    answer = decoder.tokenizer.convert_tokens_to_ids(["\u2581", *"sum", "\u2581", *"of"])
    transcript = behind(decoder, setting(" sum"), prompt, answer)
    assert (transcript.text(), transcript.stop) == ("", " sum")
    assert len(transcript.tokens) < len(answer)


@pytest.mark.parametrize("name", ["prepended", "metaspace"])
def test_an_output_that_breaks_off_inside_a_character_keeps_the_text_before_it(name: str) -> None:
    """I26: its bytes join those of the prompt's last character, which stays whole."""
    decoder = decoder_of(name)
    prompt = plain(decoder, "the 漢")
    answer = prompt[-3:-1]
    assert len(prompt) > 3, "a letter of three bytes, two of which follow"
    said = behind(decoder, setting(eos=10**6), prompt, answer).text()
    assert set(said) == {"\ufffd"}


def with_turns(*, special: bool) -> Decoder:
    made = trained("byte_level")
    made.add_tokens([AddedToken("<end_of_turn>", special=special, normalized=False)])
    return Decoder.of(PreTrainedTokenizerFast(tokenizer_object=made))


@pytest.mark.parametrize("special", [True, False])
def test_the_token_that_ended_an_answer_is_no_part_of_its_text(special: bool) -> None:
    """I27: `42<end_of_turn>` matched no target."""
    decoder = with_turns(special=special)
    ids = plain(decoder, "42<end_of_turn>")
    end = ids[-1]
    assert decoded(decoder.tokenizer, [end]) == ("" if special else "<end_of_turn>")
    ends = Setting(1000, (), 0.0, 1.0, 0, 0, 0, frozenset({1, end}))
    transcript = written(decoder, ends, [*ids, *ids])
    assert (transcript.text(), transcript.finish) == ("42", "eos")
    assert transcript.tokens == ids


def test_what_is_spelled_like_the_end_stays_in_the_text() -> None:
    """I27: only the token that ended the answer goes, not a text that looks like it."""
    decoder = with_turns(special=False)
    end = plain(decoder, "<end_of_turn>")[0]
    spelled = [token for c in "<end_of_turn>" for token in plain(decoder, c)]
    assert end not in spelled
    ends = Setting(1000, (), 0.0, 1.0, 0, 0, 0, frozenset({end}))
    transcript = written(decoder, ends, [*spelled, *plain(decoder, " x"), end])
    assert (transcript.text(), transcript.finish) == ("<end_of_turn> x", "eos")
