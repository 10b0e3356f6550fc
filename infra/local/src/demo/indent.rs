//! Lays JSON out for reading without touching what it says: order, digits and escapes stay as they were sent.

/// The text with a line for each member. The text must be JSON.
pub fn indent(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut in_text = false;
    let mut escaped = false;
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_text {
            out.push(character);
            in_text = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '"' => {
                in_text = true;
                out.push(character);
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("{}", "{}")]
    #[case("[ ]", "[]")]
    #[case(
        r#"{"b":1.50,"a":[1,2]}"#,
        "{\n  \"b\": 1.50,\n  \"a\": [\n    1,\n    2\n  ]\n}"
    )]
    #[case(r#"{"a" : "x, {y}: \"z\\" }"#, "{\n  \"a\": \"x, {y}: \\\"z\\\\\"\n}")]
    fn layout_changes_and_content_stays(#[case] json: &str, #[case] expected: &str) {
        assert_eq!(indent(json), expected);
        let [before, after] =
            [json, expected].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(before, after);
    }
}
