//! Answers of AWS's query protocol.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/making-query-requests.html>

use roxmltree::{Document, Node};

use super::error::Error;

/// An answer that is XML.
#[derive(Debug)]
pub(crate) struct Reply {
    action: String,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(action: &str, body: Vec<u8>) -> Self {
        Self {
            action: action.to_owned(),
            body,
        }
    }

    /// Reads the answer by its root element.
    pub(crate) fn read<T>(&self, read: impl FnOnce(Node<'_, '_>) -> Option<T>) -> Result<T, Error> {
        let what = || format!("the answer of {}", self.action);
        let text = std::str::from_utf8(&self.body);
        let text = text.map_err(|error| Error::unreadable(what(), error))?;
        let document = Document::parse(text);
        let document = document.map_err(|error| Error::unreadable(what(), error))?;
        read(document.root_element())
            .ok_or_else(|| Error::unreadable(what(), "an element is missing"))
    }
}

/// The first element below, at any depth, of this name.
pub(crate) fn find<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.descendants()
        .find(|element| element.is_element() && element.tag_name().name() == name)
}

/// The text of the child of this name; empty where it has none.
pub(crate) fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let mut children = node.children();
    let child = children.find(|child| child.is_element() && child.tag_name().name() == name)?;
    Some(child.text().unwrap_or_default().trim())
}

/// The members of the list of this name below.
pub(crate) fn members<'a, 'i>(
    node: Node<'a, 'i>,
    name: &str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    let mut children = node.children();
    let list = children.find(|child| child.is_element() && child.tag_name().name() == name);
    list.into_iter()
        .flat_map(|list| list.children())
        .filter(Node::is_element)
}

/// Code and message of an error's answer; empty where it is none.
pub(crate) fn error_in(body: &[u8]) -> (String, String) {
    let text_in = |text: &str| {
        let document = Document::parse(text).ok()?;
        let root = document.root_element();
        // S3's root is the error itself, which the others wrap.
        let error = find(root, "Error")?;
        let part = |name| text_of(error, name);
        Some((part("Code"), part("Message")))
    };
    let text = std::str::from_utf8(body).ok();
    text.and_then(text_in).unwrap_or_default()
}

fn text_of(node: Node<'_, '_>, name: &str) -> String {
    text(node, name).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::wrapped(
        "<ErrorResponse xmlns=\"u\"><Error><Type>Sender</Type><Code>A</Code><Message>b</Message></Error></ErrorResponse>",
        "A",
        "b"
    )]
    #[case::s3(
        "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>b</Message></Error>",
        "NoSuchKey",
        "b"
    )]
    #[case::none("<html><body>Bad Gateway</body></html>", "", "")]
    #[case::not_xml("upstream died", "", "")]
    #[case::nothing("", "", "")]
    fn an_errors_words(#[case] body: &str, #[case] code: &str, #[case] message: &str) {
        assert_eq!(
            error_in(body.as_bytes()),
            (code.to_owned(), message.to_owned())
        );
    }

    #[test]
    fn lists_are_read_and_what_is_missing_is_said() {
        let reply = Reply::new(
            "sns:X",
            b"<R><L><member><N>1</N></member><member><N/></member></L></R>".to_vec(),
        );
        let read = reply.read(|root| {
            members(root, "L")
                .map(|member| text(member, "N").map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        });
        assert_eq!(read.unwrap(), ["1", ""]);
        let missing = reply.read(|root| text(root, "Nothing").map(str::to_owned));
        assert!(missing.unwrap_err().to_string().contains("sns:X"));
        let broken = Reply::new("sns:X", b"<R>".to_vec()).read(|_| Some(()));
        assert!(matches!(broken, Err(Error::Unreadable { .. })));
    }
}
