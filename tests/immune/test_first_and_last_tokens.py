"""What stands at the beginning of an answer, at its end, and before a prompt."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ledger import asked, generations, remaining
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from evalc.exec.model.bundle import bundle
from planned_requests import cell_requests
from tiny_models import FIRST_MERGE, MERGES, SPECIAL
from workspaces import Workspace

VOCABULARY = FIRST_MERGE + len(MERGES)
SPACE = "\u2581"
SCORED = """
[tasks.s]
dataset = "d"
type    = "multiple_choice"
prompt  = "{{ q }}"
choices = ["1", "2"]
target  = 0
metrics = ["acc"]
"""
GENERATED = """
[datasets.d]
path = "d.jsonl"
[tasks.t]
dataset  = "d"
type     = "generate"
prompt   = "{{ q }}"
target   = "x"
generate = { max_new_tokens = 4, stop = [] }
metrics  = ["exact_match"]
"""


def sentencepiece() -> Tokenizer:
    """As Llama 2, with as many tokens as the tiny model has, most of which begin with a space."""
    letters = [*string.ascii_letters, *string.digits, *string.punctuation]
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, "<unk>", SPACE, *letters])}
    merges = []
    for head, letter in [
        *product([SPACE], string.ascii_lowercase),
        *product([SPACE + letter for letter in "abcdefg"], string.ascii_lowercase),
    ]:
        if len(vocabulary) < VOCABULARY:
            vocabulary[head + letter] = len(vocabulary)
            merges.append((head, letter))
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return made


def copied(workspace: Workspace, name: str) -> Workspace:
    """The workspace with a copy of its model."""
    return Workspace(workspace.root, shutil.copytree(workspace.model, workspace.root / name))


def test_an_answer_begins_with_its_first_space(workspace: Workspace) -> None:
    """I26: decoders that strip a leading space took it from the answer when its ids stood alone."""
    mine = copied(workspace, "stripping")
    made = sentencepiece()
    made.save(str(mine.model / "tokenizer.json"))
    mine.rows("d.jsonl", [{"q": f"{word} is it"} for word in ("a", "b", "how", "what", "so", "x")])
    mine.write(GENERATED)
    assert asked(mine) == 6
    found = list(generations(mine).values())
    spaced = 0
    for record in found:
        # the decoder takes one space from what comes first: here from a token before the answer's
        head = made.token_to_id(SPACE + "x")
        whole = made.decode([head, *record["tokens"]])
        assert record["text"] == whole.removeprefix("x")
        spaced += record["text"].startswith(" ")
    assert spaced, "no answer shows the difference"


def test_what_ended_an_answer_is_not_in_its_text(workspace: Workspace) -> None:
    """I27: ids that end an answer by `generation_config.json` alone were left in its text."""
    mine = copied(workspace, "ending")
    ends = [1, *range(150, VOCABULARY)]
    (mine.model / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    mine.rows("d.jsonl", [{"q": f"{n} + {n} ="} for n in range(8)])
    mine.write(GENERATED)
    assert asked(mine) == 8
    made = Tokenizer.from_file(str(mine.model / "tokenizer.json"))
    ended = [r for r in generations(mine).values() if r["finish"] == "eos" and r["tokens"][-1] > 2]
    assert ended, "no answer shows the difference"
    for record in ended:
        assert record["text"] == made.decode(record["tokens"][:-1])
        assert record["text"] != made.decode(record["tokens"])


def _other_decoder(tokenizer: dict[str, Any]) -> None:
    tokenizer["decoder"] = {"type": "Sequence", "decoders": [tokenizer["decoder"], UPPER]}


UPPER = {"type": "Replace", "pattern": {"String": "a"}, "content": "A"}


def _shown_token(tokenizer: dict[str, Any]) -> None:
    """A special token that is not hidden any more."""
    tokenizer["added_tokens"][-1]["special"] = False


def _renamed_tokens(tokenizer: dict[str, Any]) -> None:
    """Two ids that no prompt has change their tokens."""
    words = tokenizer["model"]["vocab"]
    words["Y"], words["Z"] = words["Z"], words["Y"]


@pytest.mark.parametrize("edit", [_other_decoder, _shown_token, _renamed_tokens])
def test_texts_belong_to_the_tokenizer_that_made_them(
    edit: Callable[[dict[str, Any]], None], workspace: Workspace
) -> None:
    """The ids of the prompts and of the answers stay as they are; only their texts change."""
    mine = copied(workspace, "edited")
    mine.rows("d.jsonl", [{"q": f"{n} + {n} ="} for n in range(8)])
    mine.write(GENERATED + SCORED)
    assert asked(mine) == 8 + 16
    before = generations(mine)
    path = mine.model / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    edit(tokenizer)
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    assert remaining(mine) == {("m", "t"): 8}, "likelihoods have no texts"
    assert asked(mine) == 8
    new = [record for key, record in generations(mine).items() if key not in before]
    assert len(new) == 8
    made = Tokenizer.from_file(str(path))
    for record in new:
        ids = record["tokens"][: -1 if record["finish"] == "eos" else None]
        assert record["text"] == made.decode(ids)


def bert(folder: Path, template: str) -> None:
    """A WordPiece tokenizer, to which white space is nothing, with a template around texts."""
    words = ["[UNK]", "[CLS]", "[SEP]", *string.ascii_letters, *string.digits, *string.punctuation]
    words += [f"##{letter}" for letter in string.ascii_letters + string.digits]
    vocabulary = {word: index for index, word in enumerate(words)}
    made = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = TemplateProcessing(
        single=template, special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    special: dict[str, Any] = {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="[CLS]", eos_token="[SEP]", **special
    ).save_pretrained(folder)


@pytest.mark.parametrize("template", ["[CLS] $A", "[CLS] $A [SEP]"])
def test_a_prompt_begins_with_what_the_tokenizer_puts_first(
    template: str, workspace: Workspace
) -> None:
    """I32: it was lost where a line end has no ids; what the tokenizer puts last is never sent."""
    mine = copied(workspace, "bert")
    bert(mine.model, template)
    assert bundle(mine.model, trust_remote_code=False)["prefix_ids"] == [1]
    mine.rows("d.jsonl", [{"q": "a b"}, {"q": "c"}])
    mine.write(GENERATED)
    prompts = cell_requests(mine.planned().handle, 0)
    made = Tokenizer.from_file(str(mine.model / "tokenizer.json"))
    assert sorted(one.context for case in prompts for one in case) == sorted(
        (1, *made.encode(text, add_special_tokens=False).ids) for text in ("a b", "c")
    )
