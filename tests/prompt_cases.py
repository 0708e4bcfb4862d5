"""Prompts with weights, and the words and weights of their chunks, written down by hand."""

from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of

TOKENIZER = Tokenizer(vocabulary_of(clip_vocabulary().merges[:100]), 77, 613)

Words = list[tuple[str, float]]

R, S = 1.1, 1 / 1.1


def many(count: int) -> str:
    """Words of one token each."""
    return " ".join(["a"] * count)


ONE_CHUNK: dict[str, Words] = {
    "": [],
    "a cat": [("a cat", 1)],
    "a cat, sitting; 16:9": [("a cat, sitting; 16:9", 1)],
    "(cat)": [("cat", R)],
    "((cat))": [("cat", R**2)],
    "(((cat)))": [("cat", R**3)],
    "[cat]": [("cat", S)],
    "[[cat]]": [("cat", S**2)],
    "(cat:1.5)": [("cat", 1.5)],
    "(cat:0.5)": [("cat", 0.5)],
    "(cat:0)": [("cat", 0)],
    "(cat:-1)": [("cat", -1)],
    "(cat:+1.25)": [("cat", 1.25)],
    "(cat:.5)": [("cat", 0.5)],
    "(cat:2.)": [("cat", 2)],
    "( cat : 1.3 )": [(" cat ", 1.3)],
    "((cat:1.3))": [("cat", 1.3 * R)],
    "[(cat:1.3)]": [("cat", 1.3 * S)],
    "[(cat)]": [("cat", 1)],
    "((cat:1.3):1.2)": [("cat", 1.3 * 1.2)],
    "a (cat:1.2) sits": [("a ", 1), ("cat", 1.2), (" sits", 1)],
    "a (red:1.3) (cat:0.7)": [("a ", 1), ("red", 1.3), (" ", 1), ("cat", 0.7)],
    "a (red cat:1.3) sits": [("a ", 1), ("red cat", 1.3), (" sits", 1)],
    "(a red (cat:1.5):0.8)": [("a red ", 0.8), ("cat", 1.5 * 0.8)],
    "(a [red] cat)": [("a ", R), ("red", 1), (" cat", R)],
    "[a (red) cat]": [("a ", S), ("red", 1), (" cat", S)],
    "(a)(b)": [("ab", R)],
    "(a:1.2)(b:1.3)": [("a", 1.2), ("b", 1.3)],
    "(a:1.2)b": [("a", 1.2), ("b", 1)],
    r"\(cat\)": [("(cat)", 1)],
    r"(\(cat\):1.4)": [("(cat)", 1.4)],
    r"a \[cat\] (sits)": [("a [cat] ", 1), ("sits", R)],
    r"a \\ cat": [("a \\ cat", 1)],
    r"a \cat": [("a cat", 1)],
    r"(a\)b:1.3)": [("a)b", 1.3)],
    "(cat": [("cat", R)],
    "a (cat": [("a ", 1), ("cat", R)],
    "[cat": [("cat", S)],
    "((cat)": [("cat", R**2)],
    "a (b [c": [("a ", 1), ("b ", R), ("c", R * S)],
    "cat)": [("cat)", 1)],
    "cat]": [("cat]", 1)],
    "cat:1.2)": [("cat:1.2)", 1)],
    "[cat:cow]": [("cat:cow", S)],
    "(cat:dog)": [("cat:dog", R)],
    "(cat:dog:1.2)": [("cat:dog", 1.2)],
    "(a, b, c:1.1)": [("a, b, c", 1.1)],
    "()": [],
    "(:1.2) cat": [(" cat", 1)],
    "[]": [],
    "a  (b:1.2)\n(c:0.9)": [("a  ", 1), ("b", 1.2), ("\n", 1), ("c", 0.9)],
    "(caf\u00e9 \U0001f600:1.2)": [("caf\u00e9 \U0001f600", 1.2)],
    "(a:1.2), b, [c], ((d))": [("a", 1.2), (", b, ", 1), ("c", S), (", ", 1), ("d", R**2)],
    "{cat}": [("{cat}", 1)],
    r"\{a|b\}": [("{a|b}", 1)],
}
"""Prompt -> its words."""

SEVERAL_CHUNKS: dict[str, list[Words]] = {
    "a BREAK (b:1.2)": [[("a", 1)], [("b", 1.2)]],
    "(a BREAK b:1.5) c": [[("a", 1.5)], [("b", 1.5), (" c", 1)]],
    "BREAK (a)": [[], [("a", R)]],
    f"({many(80)}:1.2) b": [[(many(75), 1.2)], [(many(5), 1.2), ("b", 1)]],
    f"(b:0.8) {many(59)}, {many(20)}": [
        [("b", 0.8), (f"{many(59)},", 1)],
        [(many(20), 1)],
    ],
    f"(b:0.8) {many(50)}, {many(30)}": [
        [("b", 0.8), (f"{many(50)}, {many(23)}", 1)],
        [(many(7), 1)],
    ],
}
"""Prompt -> the words of each chunk, of 75 tokens; at a comma up to 20 tokens earlier."""

CHUNKS = {prompt: [words] for prompt, words in ONE_CHUNK.items()} | SEVERAL_CHUNKS
