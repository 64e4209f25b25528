//! Results say nothing about the machine that is nobody's business: no paths, no hosts that were asked.
//!
//! The name of this machine is written nowhere, so it is not looked for: a host may be called like any word.

use std::env;

use super::peers::Places;

/// The shortest path that is told from ordinary words.
const PATH_CHARS_MIN: usize = 4;

/// How the key of a histogram ends.
const HISTOGRAM: &str = "_base64\": ";

/// What is replaced in every file of the results.
pub(super) struct Scrubber {
    /// Longest first, so that what is below something else goes first.
    replacements: Vec<(String, &'static str)>,
}

impl Scrubber {
    /// Replaces the places of the project and the home directory.
    pub(super) fn new(places: &Places) -> Scrubber {
        let home = env::var("HOME").unwrap_or_default();
        let temporary = env::temp_dir();
        Scrubber::of(&[
            (&places.target.to_string_lossy(), "target"),
            (&places.root.to_string_lossy(), "."),
            (&home, "~"),
            (&temporary.to_string_lossy(), "tmp"),
        ])
    }

    fn of(replacements: &[(&str, &'static str)]) -> Scrubber {
        let mut replacements: Vec<(String, &'static str)> = replacements
            .iter()
            .filter(|(path, _)| path.len() >= PATH_CHARS_MIN && path.starts_with('/'))
            .map(|(path, name)| ((*path).to_owned(), *name))
            .collect();
        replacements.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Scrubber { replacements }
    }

    /// The text without them. A histogram, which is a line of a document, is left alone: its letters
    /// stand for something else.
    pub(super) fn clean(&self, text: &str) -> String {
        text.split_inclusive('\n')
            .map(|line| match line.contains(HISTOGRAM) {
                true => line.to_owned(),
                false => self.clean_line(line),
            })
            .collect()
    }

    fn clean_line(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (path, name) in &self.replacements {
            text = replace_whole(&text, path, name);
        }
        text
    }

    /// The same for what an installation says: without the hosts that it asks, too.
    pub(super) fn clean_log(&self, text: &str) -> String {
        self.clean(text)
            .split_inclusive(char::is_whitespace)
            .map(without_host)
            .collect()
    }
}

/// Replaces `word` where it does not go on as part of a longer name.
fn replace_whole(text: &str, word: &str, with: &str) -> String {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, found) = rest.split_at(at);
        let after = &found[word.len()..];
        let is_whole = !before.ends_with(is_name) && !after.starts_with(is_name);
        clean.push_str(before);
        clean.push_str(if is_whole { with } else { word });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// A word without the host in it: what stands behind `://`, or is itself made of three labels or more.
fn without_host(word: &str) -> String {
    if let Some((scheme, rest)) = word.split_once("://") {
        let end = rest.find(|c: char| "/?#'\"),;".contains(c) || c.is_whitespace());
        let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
        if authority.starts_with("127.") || authority.starts_with("localhost") {
            return word.to_owned();
        }
        return format!("{scheme}://[host]{path}");
    }
    let is_edge = |c: char| !c.is_ascii_alphanumeric();
    let core = word.trim_matches(is_edge);
    let labels: Vec<&str> = core
        .split(':')
        .next()
        .unwrap_or_default()
        .split('.')
        .collect();
    let is_label = |label: &&str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let last_is_name = labels
        .last()
        .is_some_and(|last| last.len() > 1 && last.chars().all(|c| c.is_ascii_alphabetic()));
    if labels.len() >= 3 && labels.iter().all(is_label) && last_is_name {
        return word.replace(core, "[host]");
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubber() -> Scrubber {
        let places = [
            ("/home/jo/ringback", "."),
            ("/home/jo/ringback/target", "target"),
            ("/home/jo", "~"),
            ("", "nothing"),
            ("/", "root"),
        ];
        Scrubber::of(&places)
    }

    #[test]
    fn places_of_the_machine_go() {
        let clean = |text| scrubber().clean(text);
        assert_eq!(clean("/home/jo/ringback/target/x"), "target/x");
        assert_eq!(
            clean(r#"{"a":"/home/jo/ringback/scripts"}"#),
            r#"{"a":"./scripts"}"#
        );
        assert_eq!(clean("in /home/jo/.npm"), "in ~/.npm");
        assert_eq!(clean("/home/john /home/jo"), "/home/john ~");
    }

    #[test]
    fn a_histogram_is_not_a_path() {
        let document =
            "{\n  \"histogram_v2_deflate_base64\": \"+/home/jo/+\",\n  \"a\": \"/home/jo/x\"\n}\n";
        let clean = scrubber().clean(document);
        assert!(
            clean.contains("\"+/home/jo/+\"") && clean.contains("\"~/x\""),
            "{clean}"
        );
    }

    #[test]
    fn a_log_keeps_versions_and_files_and_loses_hosts() {
        let clean = |text| scrubber().clean_log(text);
        assert_eq!(
            clean("GET https://packages.example.org/ws/-/ws.tgz failed"),
            "GET https://[host]/ws/-/ws.tgz failed"
        );
        assert_eq!(
            clean("getaddrinfo ENOTFOUND packages.example.org\n"),
            "getaddrinfo ENOTFOUND [host]\n"
        );
        assert_eq!(clean("(packages.example.org:443)"), "([host])");
        for kept in [
            "ws 8.23.0 on Node 20.20.2",
            "package.json",
            "http://127.0.0.1:1/x",
        ] {
            assert_eq!(clean(kept), kept);
        }
    }
}
