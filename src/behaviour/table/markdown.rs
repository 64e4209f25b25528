//! The table as `docs/behaviours.md` has it.

use super::{Entry, Group, Kind, MISTAKES, Parameter, RULES};

/// The table in Markdown: a part for each group, then what can be sent that is bad, then what cannot be had together.
pub fn markdown() -> String {
    let groups: String = Group::ALL.into_iter().map(group).collect();
    let mistakes: String = MISTAKES
        .iter()
        .map(|mistake| format!("| `{}` | {} |\n", mistake.name, mistake.does))
        .collect();
    let rules: String = RULES
        .iter()
        .map(|rule| format!("- {}: {}.\n", code(rule.names), rule.because))
        .collect();
    format!(
        "{groups}### What is bad\n\n| WHAT | what is sent |\n|---|---|\n{mistakes}\n\
        ### Only one of them at a time\n\n{rules}"
    )
}

fn group(group: Group) -> String {
    let rows: String = group.entries().map(rows).collect();
    let examples: Vec<_> = group.entries().flat_map(|entry| entry.examples).collect();
    let examples: String = examples.iter().map(|path| format!("{path}\n")).collect();
    format!(
        "### {group}\n\n| written | what it does | what is right | if left out |\n|---|---|---|---|\n{rows}\n\
        ```text\n{examples}```\n\n"
    )
}

/// A behaviour in a row, and what it can be given in the rows below.
fn rows(entry: &Entry) -> String {
    let over_http = if entry.is_over_http {
        " Over plain HTTP, too."
    } else {
        ""
    };
    let parameters: String = entry.parameters.iter().map(row).collect();
    let (written, does) = (entry.written(), entry.does);
    format!("| **`{written}`** | {does}{over_http} | | |\n{parameters}")
}

fn row(parameter: &Parameter) -> String {
    let Parameter {
        name, kind, does, ..
    } = parameter;
    let default = match (parameter.default, kind) {
        (Some(""), _) => "empty".to_owned(),
        (Some(default), _) => format!("`{default}`"),
        (None, Kind::Flag) => "not so".to_owned(),
        (None, _) => "refused".to_owned(),
    };
    format!("| `{name}` | {does} | {kind} | {default} |\n")
}

/// Each as code.
fn code(texts: &[&str]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| format!("`{text}`")).collect();
    texts.join(", ")
}
