//! The text that Apideck signs: the body with the members of its objects sorted by name, and no white space.
//! <https://developers.apideck.com/guides/webhooks>
//!
//! Texts of the body are put in another order and never printed anew, so numbers and escapes stay as they were
//! spelled. What is verified before anybody is trusted is bounded: [`MOST_BYTES`], [`MOST_DEPTH`], and a stack of its
//! own in place of recursion.
//!
//! The order is the one in which a program in JavaScript writes an object whose names it sorted: names that are array
//! indexes first, by number, then the others by their UTF-16 units.
//! <https://tc39.es/ecma262/#sec-ordinaryownpropertykeys>

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::value::RawValue;

/// The largest body that is sorted, in bytes. Apideck's deliveries have a few hundred.
pub(super) const MOST_BYTES: usize = 256 * 1024;
/// How deep objects and lists may stand in one another.
pub(super) const MOST_DEPTH: usize = 64;
/// The largest array index: one less than the longest array has elements.
const LAST_INDEX: u32 = u32::MAX - 1;

/// What becomes of objects that stand in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InLists {
    /// They are sorted like all others, as the guide's text says.
    Sorted,
    /// They keep their order, as the guide's helper leaves them.
    Kept,
}

/// The sorted text of a body. `None` where it is no JSON, too large or too deep, or where an object has a name twice or one
/// that is no Unicode text: of such a body nobody knows what a sender would have made.
pub(super) fn canonical(body: &[u8], in_lists: InLists) -> Option<Vec<u8>> {
    if body.len() > MOST_BYTES {
        return None;
    }
    // From here on the text is JSON, so a scan of its tokens has only its structure to find.
    let text = serde_json::from_slice::<&RawValue>(body).ok()?.get();
    let mut writer = Writer::new(text.len(), in_lists);
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let (token, behind) = rest.split_at_checked(match first {
            b'"' => length_of_string(rest)?,
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => 1,
            _ => length_of_scalar(rest),
        })?;
        rest = behind;
        match first {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' => writer.open(token)?,
            b'}' | b']' => writer.close(token)?,
            b',' => writer.comma(),
            b'"' => writer.string(token)?,
            _ => writer.write(token),
        }
    }
    Some(writer.out)
}

/// The length of the string that a text begins with, with its quotes.
fn length_of_string(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    Some(end + 2)
}

/// The length of the number or word that a text begins with.
fn length_of_scalar(text: &str) -> usize {
    let ends = |byte: u8| matches!(byte, b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r');
    text.bytes().position(ends).unwrap_or(text.len())
}

/// An object or a list that is open.
struct Frame {
    is_object: bool,
    /// Whether its members, and those of the objects in it, are sorted.
    sorts: bool,
    /// Whether the next string is a name.
    at_name: bool,
    /// Where in the output what is in it begins.
    begin: usize,
    /// Which of the members is its first.
    first_member: usize,
}

/// A member of an object that is open.
struct Member<'a> {
    name: Name<'a>,
    /// Where in the output its name and value stand.
    begin: usize,
    end: usize,
}

struct Writer<'a> {
    out: Vec<u8>,
    frames: Vec<Frame>,
    /// Those of all objects that are open, the inner ones behind the outer ones.
    members: Vec<Member<'a>>,
    /// Where members are put in order.
    sorted: Vec<u8>,
    in_lists: InLists,
}

impl<'a> Writer<'a> {
    fn new(capacity: usize, in_lists: InLists) -> Self {
        Self {
            out: Vec::with_capacity(capacity),
            frames: Vec::new(),
            members: Vec::new(),
            sorted: Vec::new(),
            in_lists,
        }
    }

    fn write(&mut self, token: &str) {
        self.out.extend_from_slice(token.as_bytes());
    }

    fn open(&mut self, token: &str) -> Option<()> {
        if self.frames.len() == MOST_DEPTH {
            return None;
        }
        self.write(token);
        let is_object = token == "{";
        let is_kept = !is_object && self.in_lists == InLists::Kept;
        self.frames.push(Frame {
            is_object,
            sorts: self.frames.last().is_none_or(|around| around.sorts) && !is_kept,
            at_name: is_object,
            begin: self.out.len(),
            first_member: self.members.len(),
        });
        Some(())
    }

    fn close(&mut self, token: &str) -> Option<()> {
        self.end_member();
        let frame = self.frames.pop()?;
        if frame.is_object {
            self.sort(&frame)?;
        }
        self.write(token);
        Some(())
    }

    fn comma(&mut self) {
        self.end_member();
        if let Some(frame) = self.frames.last_mut() {
            frame.at_name = frame.is_object;
        }
        self.write(",");
    }

    fn string(&mut self, token: &'a str) -> Option<()> {
        if let Some(frame) = self.frames.last_mut().filter(|frame| frame.at_name) {
            frame.at_name = false;
            let begin = self.out.len();
            self.members.push(Member {
                name: Name::read(token)?,
                begin,
                end: begin,
            });
        }
        self.write(token);
        Some(())
    }

    /// The value before this place was the last member's, if the innermost frame is an object with any.
    fn end_member(&mut self) {
        let Some(frame) = self.frames.last().filter(|frame| frame.is_object) else {
            return;
        };
        if self.members.len() > frame.first_member
            && let Some(member) = self.members.last_mut()
        {
            member.end = self.out.len();
        }
    }

    /// Puts the members of an object in order, of which none may have another's name.
    fn sort(&mut self, frame: &Frame) -> Option<()> {
        let own = self.members.get_mut(frame.first_member..)?;
        let was_sorted = own.is_sorted_by(|one, other| one.name < other.name);
        if !was_sorted {
            own.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            let is_twice =
                |pair: &[Member<'_>]| matches!(pair, [one, other] if one.name == other.name);
            if own.windows(2).any(is_twice) {
                return None;
            }
        }
        if frame.sorts && !was_sorted {
            self.sorted.clear();
            for (position, member) in own.iter().enumerate() {
                if position > 0 {
                    self.sorted.push(b',');
                }
                let text = self.out.get(member.begin..member.end)?;
                self.sorted.extend_from_slice(text);
            }
            self.out.truncate(frame.begin);
            self.out.extend_from_slice(&self.sorted);
        }
        self.members.truncate(frame.first_member);
        Some(())
    }
}

/// A member's name, in the order of JavaScript.
#[derive(PartialEq, Eq)]
struct Name<'a> {
    text: Cow<'a, str>,
    /// Its number, where it is an array index.
    index: Option<u32>,
}

impl<'a> Name<'a> {
    /// Reads a name with its quotes and escapes.
    fn read(token: &'a str) -> Option<Self> {
        let text = if token.contains('\\') {
            Cow::Owned(serde_json::from_str(token).ok()?)
        } else {
            Cow::Borrowed(token.get(1..token.len().checked_sub(1)?)?)
        };
        let index = index_of(&text);
        Some(Self { text, index })
    }
}

/// The array index that a name is, in the one spelling that counts as such.
fn index_of(name: &str) -> Option<u32> {
    let is_plain =
        name == "0" || (!name.starts_with('0') && name.bytes().all(|b| b.is_ascii_digit()));
    let index = name.parse().ok().filter(|_| is_plain)?;
    (index <= LAST_INDEX).then_some(index)
}

impl Ord for Name<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.index, other.index) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.text.encode_utf16().cmp(other.text.encode_utf16()),
        }
    }
}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::Value;

    fn sorted(body: &str) -> Option<String> {
        text(body, InLists::Sorted)
    }

    fn text(body: &str, in_lists: InLists) -> Option<String> {
        canonical(body.as_bytes(), in_lists).map(|text| String::from_utf8(text).unwrap())
    }

    #[rstest]
    #[case::sorted(r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#)]
    #[case::in_order(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#)]
    #[case::at_every_level(
        r#"{"b":{"d":{"f":1,"e":2},"c":3},"a":{"z":4,"y":5}}"#,
        r#"{"a":{"y":5,"z":4},"b":{"c":3,"d":{"e":2,"f":1}}}"#
    )]
    #[case::without_space("\n { \"b\" :\t[ 1 , 2 ] ,\r\n\"a\": { } }\n", r#"{"a":{},"b":[1,2]}"#)]
    #[case::space_in_strings_stays(r#"{"b":" , : ","a b":"\t"}"#, r#"{"a b":"\t","b":" , : "}"#)]
    #[case::numbers_as_they_are_spelled(
        r#"{"c":1.50,"b":1e400,"a":-0,"d":123456789012345678901234567890}"#,
        r#"{"a":-0,"b":1e400,"c":1.50,"d":123456789012345678901234567890}"#
    )]
    #[case::escapes_as_they_are_spelled(
        r#"{"b":"\u0061\/\ud800","a":"a"}"#,
        r#"{"a":"a","b":"\u0061\/\ud800"}"#
    )]
    #[case::escaped_names_by_their_characters(
        r#"{"b":1,"\u0063":2,"a\"":3}"#,
        r#"{"a\"":3,"b":1,"\u0063":2}"#
    )]
    #[case::structure_in_strings(
        r#"{"b":"{\"z\":1,\"a\":[","a":"\\"}"#,
        r#"{"a":"\\","b":"{\"z\":1,\"a\":["}"#
    )]
    #[case::lists_keep_their_order(r#"{"b":[3,1,2],"a":[]}"#, r#"{"a":[],"b":[3,1,2]}"#)]
    #[case::upper_case_before_lower(r#"{"a":1,"B":2}"#, r#"{"B":2,"a":1}"#)]
    #[case::a_shorter_name_first(r#"{"ab":1,"a":2,"":3}"#, r#"{"":3,"a":2,"ab":1}"#)]
    #[case::indexes_first_and_by_number(
        r#"{"a":1,"10":2,"9":3,"-1":4,"01":5,"0":6}"#,
        r#"{"0":6,"9":3,"10":2,"-1":4,"01":5,"a":1}"#
    )]
    #[case::what_is_too_large_for_an_index(
        r#"{"4294967295":1,"4294967294":2,"5":3}"#,
        r#"{"5":3,"4294967294":2,"4294967295":1}"#
    )]
    #[case::by_utf16_units("{\"\u{FFFF}\":1,\"\u{1F950}\":2}", "{\"\u{1F950}\":2,\"\u{FFFF}\":1}")]
    #[case::no_object("[{},[], \"a\" ,null]", r#"[{},[],"a",null]"#)]
    #[case::a_scalar(" 17 ", "17")]
    #[case::equal_names_in_other_objects(
        r#"{"b":{"a":1},"a":{"a":1}}"#,
        r#"{"a":{"a":1},"b":{"a":1}}"#
    )]
    fn members_are_sorted(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(sorted(body).as_deref(), Some(expected));
    }

    #[test]
    fn objects_in_lists_are_sorted_or_kept() {
        let body = r#"{"b":[{"z":1,"a":{"d":2,"c":3}}],"a":[[{"z":1,"y":2}]]}"#;
        let all = r#"{"a":[[{"y":2,"z":1}]],"b":[{"a":{"c":3,"d":2},"z":1}]}"#;
        let kept = r#"{"a":[[{"z":1,"y":2}]],"b":[{"z":1,"a":{"d":2,"c":3}}]}"#;
        assert_eq!(text(body, InLists::Sorted).as_deref(), Some(all));
        assert_eq!(text(body, InLists::Kept).as_deref(), Some(kept));
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_json("{a:1}")]
    #[case::cut(r#"{"a":1"#)]
    #[case::two_values("{} {}")]
    #[case::byte_order_mark("\u{feff}{}")]
    #[case::twice(r#"{"a":1,"b":2,"a":1}"#)]
    #[case::twice_in_a_row(r#"{"a":1,"a":1}"#)]
    #[case::twice_in_two_spellings(r#"{"a":1,"\u0061":1}"#)]
    #[case::twice_further_in(r#"{"c":{"a":1,"a":2}}"#)]
    #[case::twice_in_a_list(r#"[{"a":1,"a":2}]"#)]
    #[case::no_text(r#"{"\ud800":1}"#)]
    fn what_has_no_sorted_form(#[case] body: &str) {
        for in_lists in [InLists::Sorted, InLists::Kept] {
            assert_eq!(text(body, in_lists), None);
        }
    }

    #[test]
    fn bytes_that_are_no_text_have_no_sorted_form() {
        assert_eq!(canonical(b"{\"a\":\"\xff\"}", InLists::Sorted), None);
    }

    #[rstest]
    #[case::at_the_limit(MOST_DEPTH, true)]
    #[case::one_more(MOST_DEPTH + 1, false)]
    #[case::as_deep_as_fits(MOST_BYTES / 6, false)]
    fn depth_is_bounded(#[case] depth: usize, #[case] has_form: bool) {
        let lists = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(sorted(&lists).is_some(), has_form);
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_eq!(sorted(&objects).is_some(), has_form);
    }

    #[rstest]
    #[case::at_the_limit(MOST_BYTES, true)]
    #[case::one_more(MOST_BYTES + 1, false)]
    fn size_is_bounded(#[case] size: usize, #[case] has_form: bool) {
        let frame = r#"{"b":"","a":1}"#.len();
        let body = format!(r#"{{"b":"{}","a":1}}"#, "x".repeat(size - frame));
        assert_eq!(body.len(), size);
        assert_eq!(sorted(&body).is_some(), has_form);
    }

    /// A hostile body: as many members as fit, at every depth, in the worst order. It has to be done in the time that a
    /// delivery has.
    #[test]
    fn the_largest_bodies_are_sorted() {
        let members = |count: usize| {
            let names = (0..count).rev().map(|n| format!("\"n{n:05}\":1"));
            names.collect::<Vec<_>>().join(",")
        };
        let body = format!("{{{}}}", members(23_000));
        assert!(body.len() <= MOST_BYTES);
        let text = sorted(&body).unwrap();
        assert!(text.starts_with(r#"{"n00000":1,"n00001":1,"#) && text.len() == body.len());
        let deep = 63;
        let inner = format!("{{{}}}", members(20_000));
        let body = format!(
            "{}{inner}{}",
            "{\"z\":".repeat(deep),
            ",\"a\":1}".repeat(deep)
        );
        assert!(body.len() <= MOST_BYTES);
        let text = sorted(&body).unwrap();
        assert!(text.starts_with(r#"{"a":1,"z":{"a":1,"z":"#) && text.len() == body.len());
    }

    /// JSON as a tree whose objects have each name once.
    #[derive(Debug, Clone)]
    enum Tree {
        Leaf(String),
        List(Vec<Tree>),
        Object(Vec<(String, Tree)>),
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
            "\"[^\"\\\\\\x00-\\x1f]{0,8}\"",
            Just(r#""\ud83c\udf75 \u0026 \/ \" { , ""#.to_owned()),
        ];
        leaf.prop_map(Tree::Leaf).prop_recursive(4, 40, 5, |inner| {
            let name = prop_oneof!["[^\\x00-\\x1f]{0,4}", "[0-9]{1,3}", "[a-c]{1,2}"];
            let members = proptest::collection::btree_map(name, inner.clone(), 0..5);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Tree::List),
                members.prop_map(|members| Tree::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Writes a tree, the members of its objects in an order that the numbers decide, with or without space.
    fn write(tree: &Tree, order: &mut impl FnMut() -> u32, space: &str) -> String {
        match tree {
            Tree::Leaf(text) => text.clone(),
            Tree::List(items) => {
                let items: Vec<_> = items.iter().map(|item| write(item, order, space)).collect();
                let comma = format!("{space},{space}");
                format!("[{space}{}{space}]", items.join(&comma))
            }
            Tree::Object(members) => {
                let mut members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| {
                        let name = serde_json::to_string(name).unwrap();
                        let value = write(value, order, space);
                        (order(), format!("{name}{space}:{space}{value}"))
                    })
                    .collect();
                members.sort();
                let members: Vec<_> = members.into_iter().map(|(_, text)| text).collect();
                let comma = format!("{space},{space}");
                format!("{{{space}{}{space}}}", members.join(&comma))
            }
        }
    }

    /// The sorted text by another way: each object written from a map of what its names are sorted by.
    fn reference(tree: &Tree) -> String {
        match tree {
            Tree::Leaf(text) => text.clone(),
            Tree::List(items) => {
                let items: Vec<_> = items.iter().map(reference).collect();
                format!("[{}]", items.join(","))
            }
            Tree::Object(members) => {
                let by_order: BTreeMap<_, _> = members
                    .iter()
                    .map(|(name, value)| {
                        let index: Option<u32> = name.parse().ok();
                        let index = index.filter(|index| index.to_string() == *name);
                        let order = (
                            index.is_none(),
                            index,
                            name.encode_utf16().collect::<Vec<_>>(),
                        );
                        let name = serde_json::to_string(name).unwrap();
                        (order, format!("{name}:{}", reference(value)))
                    })
                    .collect();
                let members: Vec<_> = by_order.into_values().collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    /// A source of numbers that are the same for the same seed.
    fn numbers(seed: u32) -> impl FnMut() -> u32 {
        let mut state = seed | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        }
    }

    proptest! {
        #[test]
        fn the_order_of_members_and_white_space_change_nothing(
            tree in tree(),
            seeds in proptest::array::uniform2(any::<u32>()),
            space in "[ \t\r\n]{0,3}",
        ) {
            let one = write(&tree, &mut numbers(seeds[0]), "");
            let other = write(&tree, &mut numbers(seeds[1]), &space);
            let canonical = sorted(&one).unwrap();
            prop_assert_eq!(&sorted(&other).unwrap(), &canonical);
            prop_assert_eq!(&sorted(&canonical).unwrap(), &canonical);
        }

        #[test]
        fn the_texts_of_values_are_those_that_were_sent(tree in tree(), seed in any::<u32>()) {
            let body = write(&tree, &mut numbers(seed), "\n");
            prop_assert_eq!(sorted(&body), Some(reference(&tree)));
        }

        #[test]
        fn the_values_are_the_same(tree in tree(), seed in any::<u32>()) {
            let body = write(&tree, &mut numbers(seed), " ");
            let canonical = sorted(&body).unwrap();
            let kept = text(&body, InLists::Kept).unwrap();
            // A number that no float holds stops the comparison, not the sorting.
            if let Ok(value) = serde_json::from_str::<Value>(&body) {
                prop_assert_eq!(&serde_json::from_str::<Value>(&canonical).unwrap(), &value);
                prop_assert_eq!(&serde_json::from_str::<Value>(&kept).unwrap(), &value);
            }
        }

        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            for in_lists in [InLists::Sorted, InLists::Kept] {
                if let Some(text) = canonical(&body, in_lists) {
                    prop_assert!(serde_json::from_slice::<&RawValue>(&text).is_ok());
                }
            }
        }

        #[test]
        fn no_text_of_json_s_characters_panics(body in "[{}\\[\\],:\"\\\\ a0u]{0,40}") {
            let _: Option<String> = sorted(&body);
            let _: Option<String> = text(&body, InLists::Kept);
        }
    }
}
