//! Reading a TOML file so that what is wrong in it is told with file, line and key.

use std::fs;
use std::path::Path;

use ringload::usage::UsageError;
use serde::de::DeserializeOwned;

/// The longest file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// Reads `path`, which messages call `shown`.
pub(super) fn read<T: DeserializeOwned>(path: &Path, shown: &str) -> Result<T, UsageError> {
    let wrong = |why: String| UsageError(format!("{shown}: {why}"));
    let length = fs::metadata(path).map(|file| file.len());
    if length.is_ok_and(|length| length > BYTES_MAX) {
        return Err(wrong("more than 1 MiB is no such file".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    parse(&text).map_err(wrong)
}

/// The error says where and what.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        let message = error.message().replace('\n', " ");
        match line {
            Some(line) => format!("line {line}: {message}"),
            None => message,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct File {
        name: String,
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_key() {
        assert_eq!(parse::<File>("name = 'x'").unwrap().name, "x");
        let why = parse::<File>("name = 'x'\nnmae = 'y'").unwrap_err();
        assert!(
            why.starts_with("line 2: ") && why.contains("`nmae`"),
            "{why}"
        );
        let why = parse::<File>("").unwrap_err();
        assert!(why.contains("missing field `name`"), "{why}");
        let why = parse::<File>("name = ").unwrap_err();
        assert!(why.starts_with("line 1: "), "{why}");
        let why = parse::<File>("name = 1").unwrap_err();
        assert!(
            why.starts_with("line 1: ") && why.contains("string"),
            "{why}"
        );
    }
}
