//! docs/requirements.toml names what the RFCs require of this server, and of the load generator as a client; where in
//! the code each requirement is met, and which test shows it. Here it is held true: what it names exists, and no section
//! is left out. docs/CONFORMANCE.md is made from it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

const LEDGER: &str = "docs/requirements.toml";
const DOCUMENT: &str = "docs/CONFORMANCE.md";
const WRITE: &str = "RINGBACK_WRITE_DOCS";

/// How many sections the RFCs have that are gone through from the first to the last.
const WHOLE: [(u16, usize); 2] = [(6455, 88), (7692, 37)];

/// In small letters where an RFC requires something without the capitals.
const LEVELS: &str = " MUST  MUST NOT  SHOULD  SHOULD NOT  RECOMMENDED  must  must not  should ";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    rfc: Vec<Rfc>,
    requirement: Vec<Requirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rfc {
    number: u16,
    title: String,
    /// What of it is here, and why not more.
    scope: String,
    #[serde(default)]
    sections: Vec<Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    number: String,
    title: String,
    /// What it is about, where it requires nothing.
    nothing: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    rfc: u16,
    section: String,
    /// `server`, or `client`: the load generator.
    part: String,
    level: String,
    text: String,
    /// `file::item`, with its type in front of it if need be.
    #[serde(default)]
    code: Vec<String>,
    /// `file::function`.
    #[serde(default)]
    test: Vec<String>,
    not_applicable: Option<String>,
    gap: Option<String>,
    note: Option<String>,
}

/// How a requirement may stand, in words.
const STANDINGS: [&str; 3] = ["met, and shown", "binds nobody here", "**not met**"];

impl Requirement {
    fn place(&self) -> String {
        format!("RFC {}, {}: {}", self.rfc, self.section, self.text)
    }

    /// How it stands, and why where it is not met.
    fn standing(&self) -> (&str, Option<&String>) {
        match (&self.not_applicable, &self.gap) {
            (_, Some(gap)) => (STANDINGS[2], Some(gap)),
            (Some(reason), None) => (STANDINGS[1], Some(reason)),
            (None, None) => (STANDINGS[0], None),
        }
    }
}

fn read(file: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).ok()
}

fn ledger() -> Ledger {
    let text = read(LEDGER).expect("the ledger");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{LEDGER}: {error}"))
}

/// Whether `line` has `words`, and not within longer ones.
fn has(line: &str, words: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(words).any(|(at, _)| {
        !line[..at].ends_with(is_part) && !line[at + words.len()..].starts_with(is_part)
    })
}

/// Whether a file defines each name of a path such as `Refusal::Key`: an item, and what is in it.
fn defines(text: &str, path: &str) -> bool {
    const KINDS: &str = "fn const static struct enum trait type mod";
    let is_defined = |(depth, name): (usize, &str)| {
        text.lines().map(str::trim).any(|line| {
            let mut kinds = KINDS.split(' ');
            let is_item = kinds.any(|kind| has(line, &format!("{kind} {name}")));
            let is_inside = depth > 0 && line.starts_with(name) && has(line, name);
            !line.starts_with("//") && (is_item || is_inside)
        })
    };
    path.split("::").enumerate().all(is_defined)
}

/// Whether a file has that test: a function with the attribute, or a case that `main.rs` beside it lists for each engine.
fn tests(file: &str, text: &str, name: &str) -> bool {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let definition = format!("fn {name}");
    let Some(at) = lines.iter().position(|line| has(line, &definition)) else {
        return false;
    };
    let above = lines[..at].iter().rev();
    let mut above = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
    let main = Path::new(file).with_file_name("main.rs");
    let main = read(&main.to_string_lossy()).unwrap_or_default();
    let cases = main.split_once("\non_every_engine!").unwrap_or_default().1;
    above.any(|line| line.starts_with("#[test]")) || cases.lines().any(|line| has(line, name))
}

#[test]
fn every_requirement_names_code_and_tests_that_exist_or_says_why_not() {
    let mut found = Vec::new();
    for it in ledger().requirement {
        let (place, is_shown) = (it.place(), !it.code.is_empty() && !it.test.is_empty());
        let reasons = it.not_applicable.iter().chain(&it.gap).count();
        if reasons != usize::from(!is_shown) {
            found.push(format!("{place}: not code with a test, nor one reason"));
        }
        if !LEVELS.contains(&format!(" {} ", it.level)) {
            found.push(format!("{place}: {} is no level", it.level));
        }
        for name in it.code.iter().chain(&it.test) {
            let (file, item) = name.split_once("::").unwrap_or((name, ""));
            let text = read(file).unwrap_or_default();
            let is_test = it.test.contains(name);
            if !(is_test && tests(file, &text, item) || !is_test && defines(&text, item)) {
                found.push(format!("{place}: there is no {name}"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_section_is_left_out() {
    let ledger = ledger();
    let all = ledger.requirement.iter();
    let required: BTreeSet<_> = all.map(|it| (it.rfc, it.section.as_str())).collect();
    let mut listed = BTreeSet::new();
    let mut found = Vec::new();
    for rfc in &ledger.rfc {
        for section in &rfc.sections {
            let place = (rfc.number, section.number.as_str());
            listed.insert(place);
            if required.contains(&place) == section.nothing.is_some() {
                found.push(format!("{place:?}: neither requirements nor a reason"));
            }
        }
    }
    let stray = required.difference(&listed);
    found.extend(stray.map(|place| format!("{place:?}: not listed")));
    assert!(found.is_empty(), "{found:#?}");
    for (rfc, count) in WHOLE {
        let listed = listed.iter().filter(|place| place.0 == rfc);
        assert_eq!(listed.count(), count, "sections of RFC {rfc}");
    }
}

const INTRODUCTION: &str = "# Conformance\n\nWhat the RFCs require of the server, and of `ringload` as a client: where \
    it is met and which test shows it, or why not. Made from [`requirements.toml`](requirements.toml), which says how to \
    read and how to change it.\n\n| | server | `ringload` |\n|---|---:|---:|\n";

/// Links to files, each under the name of the item.
fn links(names: &[String]) -> String {
    let link = |name: &String| {
        let (file, item) = name.split_once("::").unwrap_or((name, name));
        format!("[`{item}`](../{file})")
    };
    names.iter().map(link).collect::<Vec<_>>().join(", ")
}

/// The whole document.
fn markdown(ledger: &Ledger) -> String {
    let all = &ledger.requirement;
    let mut out = INTRODUCTION.to_owned();
    for standing in STANDINGS {
        let count = |part: &str| {
            let all = all.iter().filter(|it| it.standing().0 == standing);
            all.filter(|it| it.part == part).count()
        };
        let (server, client) = (count("server"), count("client"));
        let _ = writeln!(out, "| {standing} | {server} | {client} |");
    }
    out += "\n## What is not met\n\n";
    for (it, gap) in all.iter().filter_map(|it| Some((it, it.gap.as_ref()?))) {
        let _ = writeln!(out, "- {} ({}, {}) *{gap}*", it.place(), it.part, it.level);
    }
    for rfc in &ledger.rfc {
        let (number, title, scope) = (rfc.number, &rfc.title, &rfc.scope);
        let _ = write!(out, "\n## RFC {number}: {title}\n\n{scope}\n");
        for section in &rfc.sections {
            let _ = write!(out, "\n### {} {}\n\n", section.number, section.title);
            if let Some(nothing) = &section.nothing {
                let _ = writeln!(out, "Nothing is required: {nothing}.");
                continue;
            }
            out += "| | | requirement | code | tests |\n|---|---|---|---|---|\n";
            let place = (number, &section.number);
            for it in all.iter().filter(|it| (it.rfc, &it.section) == place) {
                let note = it.note.as_ref().map(|note| format!(" *{note}*"));
                let note = note.unwrap_or_default();
                let code = match it.standing() {
                    (_, None) => links(&it.code),
                    (standing, Some(reason)) => format!("{standing}: {reason}"),
                };
                let (part, level, text, test) = (&it.part, &it.level, &it.text, links(&it.test));
                let _ = writeln!(out, "| {part} | {level} | {text}{note} | {code} | {test} |");
            }
        }
    }
    out
}

#[test]
fn the_document_says_what_the_ledger_says() {
    let right = markdown(&ledger());
    if std::env::var_os(WRITE).is_some() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
        fs::write(document, &right).expect("a document that can be written");
    }
    let is_right = read(DOCUMENT).is_some_and(|text| text == right);
    assert!(
        is_right,
        "{DOCUMENT} is another: {WRITE}=1 cargo test --test ledger writes it"
    );
}

/// Other documents name a test as `file::test`.
#[test]
fn every_test_that_a_document_names_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut found = Vec::new();
    for document in fs::read_dir(folder).expect("the documents") {
        let path = document.expect("a document").path();
        if path.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        for (file, name) in text.split('`').filter_map(|it| it.split_once(".rs::")) {
            let file = format!("{file}.rs");
            if !read(&file).is_some_and(|text| tests(&file, &text, name)) {
                found.push(format!("{}: {file}::{name}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "no such test:\n  {}", found.join("\n  "));
}
