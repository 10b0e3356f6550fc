//! Records into the forms of the table and back.

use aws::dynamo::records::forms;
use testkit::contract::is_same_json;

/// What a form holds reads back: from a map equal in value, from compressed text byte for byte. Whatever else lies in a
/// table is no reason to panic.
pub fn records(data: &[u8]) {
    let _ = forms::unpacked(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert_eq!(forms::through_compressed_text(text).as_deref(), Some(text));
    if let Some(read) = forms::through_a_map(text) {
        let read = read.expect("what a map holds can be read");
        assert!(is_same_json(&read, text), "{text} reads back as {read}");
    }
}
