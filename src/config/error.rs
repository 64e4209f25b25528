//! What the operator got wrong, in one sentence.

use std::fmt;

/// The longest piece of the operator's own input that a sentence repeats, in characters.
const QUOTED_CHARS_MAX: usize = 60;

/// Something that the operator has to change before Ringback can run: which option, what was wrong,
/// and what would be right.
///
/// It reads as one sentence on one line, whatever the three parts contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    option: String,
    problem: String,
    remedy: String,
}

impl ConfigError {
    /// An error about `option` (`--listen`, say). Neither part is a whole sentence: they are joined
    /// as `option: problem; remedy.`
    pub fn new(
        option: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        ConfigError {
            option: option.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// The option, variable or key of the file that is wrong.
    pub fn option(&self) -> &str {
        &self.option
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What would be right.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = format!("{}: {}; {}", self.option, self.problem, self.remedy);
        write_on_one_line(f, sentence.trim_end_matches('.'))?;
        f.write_str(".")
    }
}

impl std::error::Error for ConfigError {}

/// A value cannot smuggle a line break or a terminal's control sequence into the sentence.
fn write_on_one_line(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    text.chars().try_for_each(
        |c| match c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            true => write!(f, "{}", c.escape_default()),
            false => f.write_char(c),
        },
    )
}

/// A value, its name or nothing, as a sentence can carry it. What is too long is cut.
pub(super) fn quote(value: &str) -> String {
    match value.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", &value[..end]),
        None => format!("`{value}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_on_one_line() {
        let error = ConfigError::new(
            "--listen",
            "`a\nb\u{1b}[1m` is not an address",
            "write less.",
        );
        assert_eq!(
            error.to_string(),
            "--listen: `a\\nb\\u{1b}[1m` is not an address; write less."
        );
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(quote("é"), "`é`");
        assert_eq!(
            quote(&"é".repeat(QUOTED_CHARS_MAX)),
            format!("`{}`", "é".repeat(60))
        );
        assert_eq!(
            quote(&"é".repeat(1000)),
            format!("`{}…`", "é".repeat(QUOTED_CHARS_MAX))
        );
    }
}
