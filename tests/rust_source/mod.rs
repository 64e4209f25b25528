//! Rust source, read just well enough to know which paths it uses.

/// `source` with comments, strings and characters blanked, line by line as before.
pub(crate) fn code(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while !rest.is_empty() {
        let skipped = skipped_bytes(rest);
        if skipped > 0 {
            plain.extend(
                rest[..skipped]
                    .chars()
                    .map(|it| if it == '\n' { '\n' } else { ' ' }),
            );
            rest = &rest[skipped..];
            continue;
        }
        // A whole word at once: the `r` of `for` opens no raw string.
        let word = rest
            .find(|it: char| !it.is_alphanumeric() && it != '_')
            .unwrap_or(rest.len());
        let taken = word.max(rest.chars().next().map_or(0, char::len_utf8));
        plain.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    plain
}

/// How many bytes of comment or literal `rest` begins with.
fn skipped_bytes(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    let prefix = rest.len() - rest.trim_start_matches(['b', 'c', 'r']).len();
    let literal = &rest[prefix.min(2)..];
    if rest[..prefix.min(2)].ends_with('r') && literal.starts_with(['"', '#']) {
        let hashes = literal.len() - literal.trim_start_matches('#').len();
        if literal[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = prefix.min(2) + hashes + 1;
            return rest[body..]
                .find(&close)
                .map_or(rest.len(), |end| body + end + close.len());
        }
    }
    let quoted = &rest[prefix.min(1)..];
    if quoted.starts_with('"') {
        return prefix.min(1) + quoted_bytes(quoted, '"');
    }
    if quoted.starts_with('\'') && is_character(quoted) {
        return prefix.min(1) + quoted_bytes(quoted, '\'');
    }
    0
}

/// Whether a quote opens a character and not a lifetime.
fn is_character(quoted: &str) -> bool {
    let mut characters = quoted.chars().skip(1);
    characters.next() == Some('\\') || characters.next() == Some('\'')
}

fn quoted_bytes(literal: &str, quote: char) -> usize {
    let mut escaped = false;
    for (place, it) in literal.char_indices().skip(1) {
        match it {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if it == quote => return place + 1,
            _ => {}
        }
    }
    literal.len()
}

/// The module that `file` is, such as `crate::protocol::frame`.
pub(crate) fn module_path(file: &str) -> Vec<String> {
    let inner = file.split_once("src/").map_or(file, |(_, inner)| inner);
    let parts = inner.trim_end_matches(".rs").split('/');
    let named = parts.filter(|part| !matches!(*part, "mod" | "lib" | "main"));
    std::iter::once("crate")
        .chain(named)
        .map(str::to_owned)
        .collect()
}

/// Every path in `code`, those in `use` groups spelt out, `self` and `super` resolved for `module`.
pub(crate) fn paths(code: &str, module: &[String]) -> Vec<String> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        if tokens[place] == "use" {
            place = group(&tokens, place + 1, &[], &mut found);
        } else if is_word(tokens[place]) {
            let start = place;
            while place + 2 < tokens.len()
                && tokens[place + 1] == "::"
                && is_word(tokens[place + 2])
            {
                place += 2;
            }
            found.push(
                tokens[start..=place]
                    .iter()
                    .copied()
                    .filter(|it| *it != "::")
                    .collect(),
            );
            place += 1;
        } else {
            place += 1;
        }
    }
    found
        .into_iter()
        .map(|path: Vec<&str>| resolve(&path, module))
        .collect()
}

fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("::") {
            2
        } else if is_word(rest) {
            rest.find(|it: char| !it.is_alphanumeric() && it != '_')
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_word(token: &str) -> bool {
    token.starts_with(|it: char| it.is_alphanumeric() || it == '_')
}

/// Reads a `use` tree below `prefix` and returns the place behind it.
fn group<'a>(
    tokens: &[&'a str],
    mut place: usize,
    prefix: &[&'a str],
    found: &mut Vec<Vec<&'a str>>,
) -> usize {
    let mut path = prefix.to_vec();
    while place < tokens.len() {
        match tokens[place] {
            "::" => {}
            "{" => {
                place += 1;
                while tokens.get(place).is_some_and(|it| *it != "}") {
                    place = group(tokens, place, &path, found);
                    if tokens.get(place) == Some(&",") {
                        place += 1;
                    }
                }
                return place + 1;
            }
            "as" => place += 1,
            word if is_word(word) => path.push(word),
            "*" => {}
            _ => break,
        }
        place += 1;
    }
    if path.len() > prefix.len() {
        found.push(path);
    }
    place
}

fn resolve(path: &[&str], module: &[String]) -> String {
    let mut base = module.to_vec();
    let mut rest = path;
    while let [first @ ("super" | "self"), tail @ ..] = rest {
        if *first == "super" {
            base.pop();
        }
        rest = tail;
    }
    let rest: Vec<_> = rest.iter().map(ToString::to_string).collect();
    let is_relative = rest.len() < path.len();
    if is_relative {
        [base, rest].concat().join("::")
    } else {
        rest.join("::")
    }
}

#[test]
fn paths_are_found_in_every_form() {
    let source = r#"
        use std::{io, net::{self, TcpStream as Stream}, time::*};
        use super::super::shard::Shard; // use tokio::net;
        fn f<'a>(x: &'a str) -> crate::sys::Fd { "libc::open"; b'\''; libc::close(1) }
    "#;
    let module = module_path("src/protocol/session/mod.rs");
    assert_eq!(module, ["crate", "protocol", "session"]);
    let found = paths(&code(source), &module);
    for path in [
        "std::io",
        "std::net::self",
        "std::net::TcpStream",
        "crate::shard::Shard",
        "crate::sys::Fd",
        "libc::close",
    ] {
        assert!(
            found.iter().any(|it| it == path),
            "{path} is not in {found:?}"
        );
    }
    assert!(
        !found
            .iter()
            .any(|it| it.contains("tokio") || it == "libc::open"),
        "{found:?}"
    );
}
