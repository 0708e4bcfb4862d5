"""Captions say what the picture shows, and no caption is said of two pictures."""

import re
from collections import Counter

import pytest
from emoji import captions, pictures
from emoji.concepts import Concept, concepts
from emoji.words import COLOURS, COUNTRIES, SHAPES

APPLE = Concept("red apple", "apple", ("a red apple", "an apple"))


@pytest.fixture(scope="module")
def listed() -> list[pictures.Picture]:
    tags = ("thing", "object", "picture")
    found = [p for concept in concepts() for p in pictures.of_concept(concept, tags)]
    found += [p for concept in concepts()[:40] for p in pictures.pairs_of(concept, concepts())]
    return found + pictures.of_shapes() + [picture for _, picture in pictures.of_flags()]


def test_plain_captions_of_an_apple():
    texts = captions.plain(APPLE, ("fruit", "food"))
    assert texts[0] == "a red apple"
    assert {"an apple", "apple", "a picture of an apple", "apple emoji"} <= set(texts)
    assert any(text in texts for text in ("red apple, fruit, food", "red apple, food, fruit"))


def test_colours_take_their_article_and_both_spellings():
    assert captions.silhouette(APPLE, "orange", "white")[0] == "an orange apple icon"
    grey = captions.shape("ring", "gray", "orange")
    assert grey[0] == "a gray ring on an orange background"
    assert "a grey ring on an orange background" in grey
    assert captions.background(APPLE, "light blue")[0] == "a red apple on a light blue background"


def test_counts_have_plurals():
    names = {concept.glyph: concept for concept in concepts()}
    assert captions.count(names["mouse face"], "two")[0] == "two mice"
    assert captions.count(names["tomato"], "three")[0] == "three tomatoes"
    assert captions.count(names["fox"], "four")[1] == "a picture of four foxes"
    mass = {c.glyph for c in concepts() if not c.countable}
    assert {"scissors", "french fries", "cheese wedge", "bread", "popcorn"} <= mass
    assert len(mass) < 40


def test_every_style_but_the_first_is_named_first():
    texts = captions.plain(APPLE, ("fruit", "food"))
    noto, flat = (captions.styled(texts, style) for style in ("noto", "flat"))
    assert noto[0] == "a red apple"
    assert "a red apple, noto style" in noto
    assert flat[0] == "a red apple, flat style"
    assert "a red apple in flat style" in flat
    silent = [text for text in flat if "style" not in text]
    assert 0.25 < len(silent) / len(flat) < 0.45
    assert not any("flat" in text for text in noto)


def test_corners_and_pairs():
    pear = Concept("pear", "pear", ("a pear",))
    assert captions.corner(APPLE, "top left")[0] == "a small red apple in the top left corner"
    pair = captions.pair(APPLE, pear, "above")
    assert pair[:2] == ("a red apple above a pear", "a pear below a red apple")
    pair = captions.pair(APPLE, pear, "to the left of")
    assert pair[1] == "a pear to the right of a red apple"


@pytest.mark.parametrize(
    ("phrase", "bare"),
    [("a red apple", "red apple"), ("the moon", "moon"), ("some fries", "fries"), ("fire", "fire")],
)
def test_bare_phrase(phrase, bare):
    assert captions.bare(phrase) == bare


def test_flags():
    uk = next(country for country in COUNTRIES if country.code == "gb")
    assert captions.flag(uk)[0] == "flag of the United Kingdom"
    assert {"the British flag", "United Kingdom flag"} <= set(captions.flag(uk))
    assert all("round" in text for text in captions.round_flag(uk))


def test_silhouettes_are_always_called_so(listed):
    for picture in listed:
        said = [re.search(r"\b(icon|silhouette)\b", text) for text in picture.captions]
        if picture.template == "silhouette":
            assert all(said), picture
        elif picture.template != "flag":
            assert not any(said), picture


def test_articles(listed):
    wrong = re.compile(r"\b(a [aeio]|an [^aeiouh])", re.IGNORECASE)
    texts = {text for picture in listed for text in picture.captions}
    assert not [text for text in texts if wrong.search(text)]


def test_no_caption_is_said_of_two_pictures_but_for_their_style(listed):
    shown = {}
    for picture in listed:
        what = picture._replace(split="", style="", captions=())
        for text in picture.captions:
            assert shown.setdefault(text.lower(), what) == what, text


def test_file_names_are_unique_and_plain(listed):
    names = [picture.file_name for picture in listed]
    assert max(Counter(names).values()) == 1
    assert all(re.fullmatch(r"[\w.%-]+", name, re.ASCII) for name in names)


def test_concepts_are_unlike():
    assert len({concept.glyph for concept in concepts()}) == len(concepts())
    phrases = Counter(phrase.lower() for concept in concepts() for phrase in concept.phrases)
    assert max(phrases.values()) == 1


def test_held_out_pairs_are_few_and_never_trained_on(listed):
    splits = {}
    for picture in listed:
        if picture.template != "plain":
            ground = picture.background if picture.template == "background" else None
            other = ground or picture.colour or picture.other or picture.layout
            pair = (picture.template, picture.object, other)
            assert splits.setdefault(pair, picture.split) == picture.split
    share = Counter(splits.values())["heldout"] / len(splits)
    assert 0.04 < share < 0.08


def test_plain_pictures_and_white_grounds_are_always_trained_on(listed):
    held = [picture for picture in listed if picture.split == "heldout"]
    assert not [p for p in held if p.template == "plain"]
    flags = [p.object for p in held if p.template == "flag"]
    assert len(set(flags)) == len(flags) > 0
    assert not [p for p in held if p.template == "background" and p.background == "white"]


def test_splits_do_not_depend_on_the_run():
    held = [
        (shape, colour)
        for shape in SHAPES
        for colour in COLOURS
        if pictures.split_of("shape", shape, colour) == "heldout"
    ]
    assert held == [
        ("triangle", "red"),
        ("star", "green"),
        ("star", "brown"),
        ("diamond", "black"),
    ]
