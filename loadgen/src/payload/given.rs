//! A message of the user's own.

use std::sync::Arc;

use super::read_file;

/// Longest message that is taken from a file: what a server of messages would call large, many times over.
const FILE_MIB_MAX: u64 = 256;

/// A payload that somebody wrote, and the text that asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    text: String,
    bytes: Arc<[u8]>,
}

impl Message {
    /// Takes `TEXT` as it stands, or all that is in the file of `@FILE`. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Message, String> {
        let bytes = match text.strip_prefix('@') {
            Some(path) => read_file(path, FILE_MIB_MAX)?.into(),
            None => text.as_bytes().into(),
        };
        Ok(Message {
            text: text.to_owned(),
            bytes,
        })
    }

    /// As it was asked for.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The payload.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it may go as a text message.
    pub(crate) fn is_utf8(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_message_is_the_text_or_all_of_the_file() {
        let message = Message::parse("42[\"a\"]").unwrap();
        assert_eq!(message.bytes(), b"42[\"a\"]");
        assert!(message.is_utf8());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"\xff one\ntwo\n").unwrap();
        let message = Message::parse(&format!("@{}", file.path().display())).unwrap();
        assert_eq!(message.bytes(), b"\xff one\ntwo\n");
        assert!(!message.is_utf8());
        let error = Message::parse("@/nowhere").unwrap_err();
        assert!(error.starts_with("cannot read /nowhere: "), "{error}");
    }
}
