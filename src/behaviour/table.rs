//! All that can be asked for, told once: what the parser checks, what `GET /x` lists and what
//! `docs/behaviours.md` says is all made from here.

mod entries;
mod kind;
mod markdown;
mod parameters;

use std::fmt;

pub use entries::{ENTRIES, RULES};
pub use kind::{Kind, MISTAKES, Mistake};
pub use markdown::markdown;

/// The path below which behaviours are.
pub const PATH: &str = "/x";

/// The name of the behaviour that is none: an echo, to combine others with.
pub const ECHO: &str = "echo";

/// From this likeness on a name is taken for another that was mistyped: between 0 and 1.
const LIKENESS_MIN: f64 = 0.7;

/// The longest name for which a likeness is looked for, in bytes.
const MISTYPED_BYTES_MAX: usize = 64;

/// One behaviour.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name, as it stands in the path.
    pub name: &'static str,
    /// What it is about.
    pub group: Group,
    /// What it does, in a sentence or two.
    pub does: &'static str,
    /// What it can be given. The first of them may be written as its VALUE: `/x/NAME/VALUE`, or `NAME=VALUE` behind
    /// the path of another.
    pub parameters: &'static [Parameter],
    /// Whether the first parameter is usually written as the VALUE.
    pub takes_value: bool,
    /// Paths to try.
    pub examples: &'static [&'static str],
    /// Whether it does the same for a plain HTTP request.
    pub is_over_http: bool,
}

/// Something that a behaviour can be given.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name in the query. No behaviour has the same.
    pub name: &'static str,
    /// What may be written, and its bounds; shown, it reads as "a time from 10ms to 60s".
    pub kind: Kind,
    /// What is taken where nothing is written, as one would write it; `None`: it has to be written (a flag: it is off).
    pub default: Option<&'static str>,
    /// What it does, in a few words.
    pub does: &'static str,
}

/// What a behaviour is about. Shown, it is a heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// How the WebSocket is opened, or is not.
    Opening,
    /// What is sent.
    Answers,
    /// In which frames and writes it is sent.
    Framing,
    /// When it is sent.
    Time,
    /// How the connection ends.
    End,
    /// What no server should do.
    Mistakes,
    /// What the server knows.
    Knowing,
}

/// Behaviours of which only one can be had at a time.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Their names.
    pub names: &'static [&'static str],
    /// Why: a part of a sentence.
    pub because: &'static str,
}

impl Entry {
    /// How it is written: `/x/close/CODE`.
    pub fn written(&self) -> String {
        match self.parameters.first() {
            Some(value) if self.takes_value => {
                format!("{PATH}/{}/{}", self.name, value.name.to_uppercase())
            }
            _ => format!("{PATH}/{}", self.name),
        }
    }

    /// What it can be given by this name.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }
}

impl Group {
    /// All of them, in the order in which they are told.
    pub const ALL: [Group; 7] = [
        Group::Opening,
        Group::Answers,
        Group::Framing,
        Group::Time,
        Group::End,
        Group::Mistakes,
        Group::Knowing,
    ];

    /// What belongs to it.
    pub fn entries(self) -> impl Iterator<Item = &'static Entry> {
        ENTRIES.iter().filter(move |entry| entry.group == self)
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Group::Opening => "Opening",
            Group::Answers => "Answers",
            Group::Framing => "Framing",
            Group::Time => "Time",
            Group::End => "End",
            Group::Mistakes => "Mistakes",
            Group::Knowing => "Knowing",
        })
    }
}

/// The behaviour of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// The behaviour that somebody will have meant who wrote `name`, if there is one that is like it.
pub fn nearest(name: &str) -> Option<&'static Entry> {
    let known = nearest_of(name, ENTRIES.iter().map(|entry| entry.name));
    known.and_then(find)
}

/// The one of `known` that somebody will have meant who wrote `name`, if there is one that is like it.
pub(super) fn nearest_of(
    name: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    if name.len() > MISTYPED_BYTES_MAX {
        return None;
    }
    let name = name.to_lowercase();
    known
        .map(|known| (strsim::jaro(&name, known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unlike_and_can_be_written_as_they_are() {
        let is_plain = |name: &str| name.bytes().all(|it| it.is_ascii_lowercase() || it == b'-');
        for (index, entry) in ENTRIES.iter().enumerate() {
            assert!(is_plain(entry.name), "{}", entry.name);
            let rest = &ENTRIES[index + 1..];
            assert!(rest.iter().all(|other| other.name != entry.name));
            for (index, parameter) in entry.parameters.iter().enumerate() {
                let name = parameter.name;
                assert!(is_plain(name), "{name}");
                assert!(find(name).is_none(), "{name} may be either");
                let rest = &entry.parameters[index + 1..];
                assert!(rest.iter().all(|other| other.name != name), "{name}");
            }
        }
        for name in RULES.iter().flat_map(|rule| rule.names) {
            assert!(find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn each_group_is_in_one_piece() {
        let told: Vec<_> = Group::ALL.into_iter().flat_map(Group::entries).collect();
        let names = |entries: Vec<&Entry>| entries.iter().map(|it| it.name).collect::<Vec<_>>();
        assert_eq!(names(told), names(ENTRIES.iter().collect()));
    }
}
