"""The files of a tokenizer folder, as diffusers and transformers lay them out."""

import json
from pathlib import Path
from typing import Any

from jaxsd.config import TextConfig
from jaxsd.terminal import printable
from jaxsd.text.tokenizer import Tokenizer
from jaxsd.text.vocabulary import BOS, EOS, Vocabulary, format_merges, parse_merges
from jaxsd.text_files import read_json, read_text


def read_tokenizer(folder: str | Path, config: TextConfig) -> Tokenizer:
    """The tokenizer of a `tokenizer/` folder: vocab.json and merges.txt, or tokenizer.json.

    Padding and length are those that the folder states; the length is at most the text encoder's
    number of positions.

    Raises:
      ValueError: no tokenizer there, files that do not fit together, or ids beyond the text
        encoder's table.
    """
    folder = Path(folder)
    stated = _stated(folder)
    vocabulary = _read_vocabulary(folder, stated)
    highest = max(vocabulary.ids.values())
    if highest >= config.vocab_size:
        raise ValueError(
            f"the tokenizer in {folder} has ids up to {highest}, but its text encoder has "
            f"{config.vocab_size} tokens; they must be of one model"
        )
    end = config.vocab_size - config.added_tokens - 1
    if config.added_tokens and config.projection_dim and vocabulary.ids[EOS] != end:
        raise ValueError(
            f"the tokenizer in {folder} ends prompts with {vocabulary.ids[EOS]}, its text encoder "
            f"expects {end}; they must be of one model"
        )
    pad = stated.get("pad_token", EOS)
    if not isinstance(pad, str) or pad not in vocabulary.ids:
        raise ValueError(f"padding {pad!r} of the tokenizer in {folder} is not in its vocabulary")
    length = stated.get("model_max_length", config.max_length)
    if isinstance(length, bool) or not isinstance(length, int | float) or length < 2:
        raise ValueError(f"the tokenizer in {folder} has model_max_length {length!r}")
    return Tokenizer(vocabulary, int(min(length, config.max_length)), vocabulary.ids[pad])


def write_tokenizer(folder: str | Path, tokenizer: Tokenizer) -> None:
    """Writes vocab.json, merges.txt, special_tokens_map.json and tokenizer_config.json.

    Tokens that were added to the vocabulary go to added_tokens.json. The folder is made if it is
    missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ids, added = tokenizer.vocabulary.ids, tokenizer.vocabulary.added
    own = {token: i for token, i in ids.items() if token not in added}
    tokens = {
        "bos_token": _special(BOS),
        "eos_token": _special(EOS),
        "pad_token": tokenizer.pad,
        "unk_token": _special(EOS),
    }
    config = {
        "add_prefix_space": False,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": tokenizer.max_length,
        "tokenizer_class": "CLIPTokenizer",
        "pad_token": tokenizer.pad,
        "bos_token": {"__type": "AddedToken", **_special(BOS)},
        "eos_token": {"__type": "AddedToken", **_special(EOS)},
        "unk_token": {"__type": "AddedToken", **_special(EOS)},
    }
    _write(folder / "vocab.json", json.dumps(own, ensure_ascii=False, separators=(",", ":")))
    _write(folder / "merges.txt", format_merges(tokenizer.vocabulary.merges))
    _write(folder / "special_tokens_map.json", json.dumps(tokens, indent=2) + "\n")
    _write(folder / "tokenizer_config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    if added:
        _write(folder / "added_tokens.json", json.dumps({token: ids[token] for token in added}))


def _special(token: str) -> dict[str, Any]:
    return {
        "content": token,
        "lstrip": False,
        "normalized": True,
        "rstrip": False,
        "single_word": False,
    }


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file; an empty one where there is no file."""
    return read_json(path) if path.is_file() else {}


def _stated(folder: Path) -> dict[str, Any]:
    """What the folder states, with tokens as plain strings.

    special_tokens_map.json wins over tokenizer_config.json, unless the latter lists its added
    tokens: transformers' own rule, and SD 2 folders depend on it ("!" in one, EOS in the other).
    """
    stated = _read_json(folder / "tokenizer_config.json")
    if "added_tokens_decoder" not in stated:
        stated = stated | _read_json(folder / "special_tokens_map.json")
    return {
        key: value.get("content", value) if isinstance(value, dict) else value
        for key, value in stated.items()
        if value is not None
    }


def _read_vocabulary(folder: Path, stated: dict[str, Any]) -> Vocabulary:
    whole = folder / "tokenizer.json"
    try:
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            ids = _read_json(folder / "vocab.json")
            merges = parse_merges(read_text(folder / "merges.txt"), folder / "merges.txt")
            added = _read_json(folder / "added_tokens.json")
            decoder = stated.get("added_tokens_decoder", {})
            numbers = {i: int(i) if i.isdecimal() else i for i in decoder}
            added |= {token["content"]: numbers[i] for i, token in decoder.items()}
        elif whole.is_file():
            ids, merges, added = _of_tokenizer_json(_read_json(whole))
        else:
            raise ValueError(
                f"no tokenizer in {folder}: expected vocab.json and merges.txt, or tokenizer.json"
            )
        _check_ids(folder, ids | added)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the tokenizer in {folder} is not laid out as transformers does: {error!r}"
        ) from None
    named = {BOS, EOS, stated.get("pad_token")}
    new = {token: i for token, i in added.items() if token not in named}
    try:
        return Vocabulary(ids | new, merges, tuple(new))
    except ValueError as error:
        raise ValueError(f"the tokenizer in {folder}: {error}") from None


def _of_tokenizer_json(
    whole: dict[str, Any],
) -> tuple[dict[str, int], tuple[tuple[str, str], ...], dict[str, int]]:
    """Ids, merges, and ids of added tokens."""
    merges = tuple(
        tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair)
        for pair in whole["model"]["merges"]
    )
    for pair in merges:
        if len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise TypeError(f"{pair} is not a pair of tokens")
    added = {token["content"]: token["id"] for token in whole.get("added_tokens", ())}
    return whole["model"]["vocab"], merges, added


def _check_ids(folder: Path, ids: dict[str, Any]) -> None:
    tokens: dict[int, str] = {}
    for token, number in ids.items():
        if type(number) is not int or not 0 <= number < 2**31:
            raise TypeError(f"token {token!r} has id {number!r}")
        if (other := tokens.setdefault(number, token)) != token:
            both = f"{printable(other, 40)!r} and {printable(token, 40)!r}"
            raise ValueError(f"the tokenizer in {folder} has the id {number} twice, for {both}")
