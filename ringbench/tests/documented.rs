//! `docs/ringload-json.md` names every field of every document, each in the section of its schema. The
//! fields are those of the program's own types, so that none is missed for want of an example.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The section that every schema shares.
const COMMON: &str = "In every document";

/// Files of `loadgen/src/result`, and the section that has them; that of any other file has its name.
const RESULTS: [(&str, &str); 5] = [
    ("mod", COMMON),
    ("gate", COMMON),
    ("latency", COMMON),
    ("load", COMMON),
    ("figures", "Run and churn"),
];

/// Documents that stand with their commands.
const OTHERS: [(&str, &str); 3] = [
    ("loadgen/src/check/document.rs", "`ringload-check/1`"),
    ("ringbench/src/selftest/mod.rs", "`ringload-selftest/2`"),
    ("ringbench/src/suite/document.rs", "A results directory"),
];

/// Types of other files that documents hold.
const PARTS: [(&str, &str, &str); 9] = [
    ("assess/stability.rs", "Slice", "Run and churn"),
    ("assess/stability.rs", "Stability", "Run and churn"),
    ("assess/busy.rs", "Busy", COMMON),
    ("assess/finding.rs", "Finding", COMMON),
    ("observe/process.rs", "Memory", COMMON),
    ("observe/host.rs", "Host", COMMON),
    ("observe/host.rs", "Cpu", COMMON),
    ("observe/host.rs", "Limits", COMMON),
    ("observe/placement.rs", "Placement", "A results directory"),
];

fn root() -> &'static Path {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().expect("a workspace around it")
}

fn source(file: &str) -> String {
    let path = root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fields of the structures in `text`, as JSON names them.
fn fields(text: &str) -> Vec<String> {
    let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((text, ""));
    let mut fields = Vec::new();
    let mut attributes = String::new();
    for line in code.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes += line;
            continue;
        }
        let field = line
            .strip_prefix("pub")
            .map(|rest| rest.trim_start_matches("(crate)").trim_start())
            .and_then(|rest| rest.split_once(": "))
            .map(|(name, _)| name)
            .filter(|name| name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()));
        if let Some(name) = field
            && !attributes.contains("flatten")
        {
            let renamed = attributes.split("rename = \"").nth(1);
            let renamed = renamed.and_then(|rest| rest.split('"').next());
            fields.push(renamed.unwrap_or(name).to_owned());
        }
        if !line.starts_with("///") {
            attributes.clear();
        }
    }
    fields
}

/// The lines of the structure `name` in `text`.
fn structure<'a>(text: &'a str, name: &str) -> &'a str {
    let begin = text.find(&format!("struct {name} {{")).unwrap();
    let rest = &text[begin..];
    &rest[..rest.find("\n}").unwrap()]
}

#[test]
fn fields_are_found_as_serde_writes_them() {
    let text = "
        pub(crate) struct Side {
            /// One.
            #[serde(rename = \"loop\")]
            pub(crate) loop_kind: Loop,
            #[serde(flatten)]
            pub(crate) busy: Busy,
            pub(crate) p50_ns: u64,
        }
        pub(crate) fn not_a_field(a: u32) {}
        #[cfg(test)]
        pub(crate) nor_this: u64,";
    assert_eq!(fields(text), ["loop", "p50_ns"]);
}

#[test]
fn every_field_is_named_in_the_section_of_its_schema() {
    let documentation = fs::read_to_string(root().join("docs/ringload-json.md")).unwrap();
    let sections: BTreeMap<&str, &str> = documentation
        .split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .collect();
    let results = fs::read_dir(root().join("loadgen/src/result")).unwrap();
    let of_documents = results.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let section = RESULTS.iter().find(|(file, _)| *file == name);
        let own = |(heading, _): &(&&str, &&str)| heading.to_lowercase() == name;
        let section = section.map(|(_, section)| *section);
        let section = section.or(sections.iter().find(own).map(|(heading, _)| *heading));
        let section = section.unwrap_or_else(|| panic!("no section is called {name}"));
        (fields(&fs::read_to_string(&path).unwrap()), section)
    });
    let of_parts = PARTS.iter().map(|(file, name, section)| {
        let text = source(&format!("loadgen/src/{file}"));
        (fields(structure(&text, name)), *section)
    });
    let of_others = OTHERS.iter().map(|(file, section)| {
        let text = source(file);
        // What an archive is read into is in no file itself.
        let of_reader = text
            .find("struct Archive {")
            .map(|_| structure(&text, "Archive"));
        (
            fields(&text.replace(of_reader.unwrap_or("\0"), "")),
            *section,
        )
    });
    let mut absent = Vec::new();
    for (fields, section) in of_documents.chain(of_parts).chain(of_others) {
        assert!(!fields.is_empty(), "{section}");
        let text = [sections[COMMON], sections[section]].concat();
        let is_named = |field: &String| {
            ["", ".", "result.", "sum."]
                .iter()
                .any(|before| text.contains(&format!("`{before}{field}`")))
        };
        let missing = fields.into_iter().filter(|field| !is_named(field));
        absent.extend(missing.map(|field| format!("{field} in {section}")));
    }
    assert!(
        absent.is_empty(),
        "docs/ringload-json.md lacks {}",
        absent.join(", ")
    );
}
