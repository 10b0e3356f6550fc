"""Writes the samples that a dictionary is trained on: the documented examples of every source, as whole deliveries and
record by record, each many times with other values: the dictionary is to know the names of members and the forms of values, not
what one example says.

    samples.py {fixtures} {empty folder} [{source that is left out} …]
"""

import json
import pathlib
import random
import re
import sys

# Folders of a source with deliveries as its documentation has them; `made` has what no provider sends.
DOCUMENTED = ("current/", "seed/", "variants-2025/")
# How often a sample is written with other values.
VARIANTS = 24
# A JSON text: a member's name with its colon, or a text or number that is a value.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"\s*:|"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*')
# What is alike in every text of its kind: a time's form, a country, a currency, the beginning of an id or an address.
TIME = re.compile(r"\d{4}-\d\d-\d\d")
PREFIX = re.compile(r"^(?:[a-z]{2,4}_|https?://[^/]+/|[A-Z]{2}$|[A-Z]{3}$)")
WORDS = (
    "Abbey Acre Amber Anna Apple Arch Baker Bath Bay Bell Berry Bloom Blue Bridge Brook Brown Cafe Castle Cedar Church City Clay "
    "Coffee Corner Cotton Court Daniel Dark Deep East Edge Elm Emma Farm Field Fine Fox Fresh Garden George Glass Gold Grand Green "
    "Grey Hall Harbour Hazel High Hill Home House James Joanna Kent King Lake Lane Large Leaf Light Lily Linen Little Long Maple "
    "Maria Market Meadow Mill Moon Natural New North Oak Old Olive Orange Organic Park Pearl Peter Pine Port Print Queen Red Ridge "
    "River Road Rose Royal Sand Sarah Sea Silk Silver Small Smith South Spring Square Star Stone Street Summer Sun Thomas Tower "
    "Valley View Village Walnut Water West White Wild William Winter Wood Wool York"
).split()
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def other_word(word, rng):
    """Another word of the same form: a name for a name, digits for digits, letters and digits for an id."""
    if word.isdigit():
        return "".join(rng.choice("0123456789") for _ in word)
    if word.isalpha():
        chosen = rng.choice(WORDS)
        return chosen if word[0].isupper() else chosen.lower()
    return "".join(rng.choice(LETTERS) for _ in word)


def other_text(text, rng):
    if TIME.match(text):
        return text[:3] + rng.choice("0123456789") + re.sub(r"(?<=\D)\d\d(?!\d)", lambda _: f"{rng.randint(1, 12):02}", text[4:])
    prefix = PREFIX.match(text)
    start = prefix.group() if prefix else ""
    return start + re.sub(r"[^\W_]{2,}", lambda word: other_word(word.group(), rng), text[len(start) :])


def with_other_values(sample, rng):
    def other(token):
        token = token.group()
        if token.endswith(":") or len(token) < 3 or "\\" in token:
            return token
        if token[0] != '"':
            return token[0] + re.sub(r"\d", lambda _: rng.choice("0123456789"), token[1:])
        # A state, a type or a choice is one of few words.
        if re.fullmatch(r'"[a-z_.]+"', token):
            return token
        return json.dumps(other_text(token[1:-1], rng))

    return TOKEN.sub(other, sample)


def main(fixtures, folder, *left_out):
    # The same samples, whenever they are made.
    rng = random.Random(1)
    samples = []
    for manifest in sorted(pathlib.Path(fixtures).glob("*/manifest.json")):
        if manifest.parent.name in left_out:
            continue
        for fixture in json.loads(manifest.read_text())["files"]:
            if fixture["file"].startswith(DOCUMENTED) and fixture.get("good"):
                body = (manifest.parent / fixture["file"]).read_bytes()
                records = [body[slice(*event["at"])] for event in fixture["good"]]
                samples += dict.fromkeys(text.decode() for text in [body, *records])
    for number, sample in enumerate(samples):
        for variant in range(VARIANTS):
            text = with_other_values(sample, rng)
            (pathlib.Path(folder) / f"{number:04}-{variant:02}.json").write_text(text)


main(*sys.argv[1:])
