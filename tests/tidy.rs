//! The house stays as it was planned: who may import what, no file without a home, no `unsafe` without
//! its fence and its reason, no file too long to hold in the head.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

mod rust_source;

use rust_source::{code, module_path, paths};

/// Lines that a Rust file has at most.
const LINES_MAX: usize = 500;

/// Lines above an `unsafe` among which its reason stands.
const REASON_LINES_MAX: usize = 10;

/// Where `unsafe` may stand.
const UNSAFE_PLACES: [&str; 7] = [
    "src/sys/",
    "src/engine/",
    "mask/src/",
    "loadgen/src/sys.rs",
    "loadgen/src/engine/",
    "tests/support/allocations.rs",
    "tests/sim/ring/",
];

/// Who must not know what. A path is forbidden with everything below it.
const IMPORT_RULES: [(&str, &[&str]); 29] = [
    ("src/memory/", PURE),
    ("src/memory/", ROOF),
    (
        "src/memory/",
        &[
            "crate::engine",
            "crate::http",
            "crate::protocol",
            "crate::shard",
            "crate::sys",
        ],
    ),
    ("src/protocol/", PURE),
    ("src/protocol/", ROOF),
    (
        "src/protocol/",
        &["crate::engine", "crate::http", "crate::shard", "crate::sys"],
    ),
    ("src/behaviour/", PURE),
    ("src/behaviour/", ROOF),
    (
        "src/behaviour/",
        &["crate::engine", "crate::http", "crate::shard", "crate::sys"],
    ),
    ("src/link/", PURE),
    ("src/link/", ROOF),
    (
        "src/link/",
        &[
            "crate::behaviour",
            "crate::engine",
            "crate::http",
            "crate::protocol",
            "crate::shard",
            "crate::sys",
        ],
    ),
    ("src/memory/", &["crate::link"]),
    ("src/protocol/", &["crate::link"]),
    ("src/engine/", &["rustls", "crate::link"]),
    ("src/shard/", &["rustls"]),
    ("src/http/", &["rustls"]),
    ("src/shard/", ROOF),
    (
        "src/shard/",
        &[
            "std::net",
            "rustix",
            "libc",
            "io_uring",
            "socket2",
            "tokio",
            "axum",
            "hyper",
            "crate::engine",
            "crate::http",
            "crate::sys",
        ],
    ),
    ("src/engine/", ROOF),
    ("src/engine/", &["axum", "hyper", "crate::http"]),
    ("src/http/", ROOF),
    (
        "src/http/",
        &[
            "crate::engine",
            "crate::memory",
            "crate::protocol::carried",
            "crate::protocol::session",
            "crate::shard",
            "crate::sys",
        ],
    ),
    ("src/admin/", ROOF),
    ("src/admin/", &["crate::behaviour", "crate::shard"]),
    ("src/sys/", ROOF),
    (
        "src/sys/",
        &[
            "crate::engine",
            "crate::http",
            "crate::memory",
            "crate::protocol::session",
            "crate::shard",
        ],
    ),
    ("loadgen/", &["ringback", "ringback_mask"]),
    ("ringbench/", &["ringback", "ringback_mask"]),
];

/// What stands on all floors, and which none of them may know.
const ROOF: &[&str] = &[
    "clap",
    "crate::choose",
    "crate::config",
    "crate::probe",
    "crate::serve",
];

/// What nothing pure may know.
const PURE: &[&str] = &[
    "std::net",
    "std::os",
    "std::fs",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "rustix",
    "libc",
    "io_uring",
    "socket2",
    "tokio",
    "clap",
    "axum",
    "hyper",
];

const ENGINES: [&str; 3] = ["epoll", "uring", "tokio_uring"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` with this ending, as paths from the root, sorted.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.map_while(Result::ok) {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" && name != "results" {
                folders.push(path);
            } else if name.ends_with(ending) {
                let path: PathBuf = path.strip_prefix(root()).expect("below the root").into();
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file of the workspace.
fn rust_files() -> Vec<String> {
    let folders = [
        "src",
        "loadgen",
        "ringbench",
        "mask",
        "tests",
        "benches",
        "fuzz",
    ];
    let found: Vec<_> = folders
        .iter()
        .flat_map(|folder| files(folder, ".rs"))
        .collect();
    assert!(found.iter().any(|file| file == "src/lib.rs"), "{found:?}");
    found
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

fn is_below(path: &str, forbidden: &str) -> bool {
    path.strip_prefix(forbidden)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The paths in `file` that are, or are below, one of `forbidden`.
fn trespasses(file: &str, forbidden: &[&str]) -> Vec<String> {
    let used: BTreeSet<_> = paths(&code(&read(file)), &module_path(file))
        .into_iter()
        .collect();
    used.iter()
        .filter(|path| forbidden.iter().any(|forbidden| is_below(path, forbidden)))
        .map(|path| format!("{file}: {path}"))
        .collect()
}

#[test]
fn each_folder_imports_only_what_it_may_know() {
    for (folder, forbidden) in IMPORT_RULES {
        let found: Vec<_> = files(folder, ".rs")
            .iter()
            .flat_map(|file| trespasses(file, forbidden))
            .collect();
        assert_none("imports that the architecture forbids", &found);
    }
}

#[test]
fn no_engine_knows_another() {
    for engine in ENGINES {
        let others: Vec<_> = ENGINES.iter().filter(|other| **other != engine).collect();
        let forbidden: Vec<_> = others
            .iter()
            .map(|other| format!("crate::engine::{other}"))
            .collect();
        let forbidden: Vec<_> = forbidden.iter().map(String::as_str).collect();
        let mine = |file: &&String| {
            **file == format!("src/engine/{engine}.rs")
                || file.starts_with(&format!("src/engine/{engine}/"))
        };
        let engine_files = files("src/engine", ".rs");
        let mine: Vec<_> = engine_files.iter().filter(mine).collect();
        assert!(!mine.is_empty(), "the engine {engine} has no file");
        let found: Vec<_> = mine
            .iter()
            .flat_map(|file| trespasses(file, &forbidden))
            .collect();
        assert_none("one engine imports another", &found);
    }
}

#[test]
fn the_load_generator_does_not_depend_on_the_server() {
    let manifests = read("loadgen/Cargo.toml") + &read("ringbench/Cargo.toml");
    let found: Vec<_> = manifests
        .lines()
        .filter(|line| line.trim_start().starts_with("ringback"))
        .map(str::to_owned)
        .collect();
    assert_none("one bug could agree with itself", &found);
}

#[test]
fn every_file_is_a_module() {
    let mut orphans = Vec::new();
    for file in rust_files() {
        let path = Path::new(&file);
        let folder = path.parent().expect("a folder");
        let stem = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let is_root = matches!(stem.as_str(), "main" | "lib" | "build")
            || ["tests", "benches", "examples", "fuzz_targets", "bin"]
                .iter()
                .any(|roots| folder.ends_with(roots) && !file.contains("/src/") && stem != "mod");
        let home = if stem == "mod" {
            folder.parent().expect("a folder")
        } else {
            folder
        };
        let name = if stem == "mod" {
            folder
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        } else {
            stem
        };
        let named_here = files(&home.to_string_lossy(), ".rs").iter().any(|other| {
            let text = code(&read(other));
            let declared = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let by_name = declared.contains(&format!("mod {name};"));
            let by_path = read(other).contains(&format!(
                "{}\"]",
                path.file_name().expect("a name").to_string_lossy()
            ));
            *other != file && (by_name || by_path)
        });
        let sibling = home.with_extension("rs");
        let named_beside = root().join(&sibling).exists()
            && code(&read(&sibling.to_string_lossy())).contains(&format!("mod {name};"));
        if !is_root && !named_here && !named_beside {
            orphans.push(file);
        }
    }
    assert_none("files that no module names", &orphans);
}

#[test]
fn unsafe_is_fenced_and_explained() {
    let mut found = Vec::new();
    for file in rust_files() {
        let text = read(&file);
        let plain = code(&text);
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in plain.lines().enumerate() {
            let mut words = line.split(|it: char| !it.is_alphanumeric() && it != '_');
            if !words.any(|word| word == "unsafe") {
                continue;
            }
            let place = format!("{file}:{}", number + 1);
            if !UNSAFE_PLACES
                .iter()
                .any(|allowed| file.starts_with(allowed))
            {
                found.push(format!("{place} is outside the fence"));
            }
            let above = &lines[number.saturating_sub(REASON_LINES_MAX)..=number];
            let explained = above.iter().any(|line| line.contains("SAFETY:"));
            let contract = line.contains("unsafe fn") || line.contains("unsafe extern");
            if !explained && !contract {
                found.push(format!("{place} does not say why it is sound"));
            }
        }
    }
    assert_none("unsafe", &found);
}

#[test]
fn the_library_denies_unsafe_where_it_is_not_allowed() {
    let map = read("src/lib.rs");
    assert!(map.contains("#![deny(unsafe_code)]"));
    for module in ["admin", "http", "memory", "protocol", "shard"] {
        assert!(
            map.contains(&format!("#[forbid(unsafe_code)]\npub mod {module};")),
            "{module}"
        );
    }
}

#[test]
fn no_file_is_too_long() {
    let long = |file: &String| {
        let count = read(file).lines().count();
        (count >= LINES_MAX).then(|| format!("{file}: {count} lines"))
    };
    let found: Vec<_> = rust_files().iter().filter_map(long).collect();
    assert_none("files to split by idea", &found);
}

/// The tables in lists, wherever they are in `value`: in deny.toml, the exemptions.
fn tables_in_lists(value: &toml::Value) -> Vec<&toml::Table> {
    match value {
        toml::Value::Table(table) => table.values().flat_map(tables_in_lists).collect(),
        toml::Value::Array(list) => list.iter().filter_map(toml::Value::as_table).collect(),
        _ => Vec::new(),
    }
}

/// What is wrong with an exemption on the day `now`.
fn fault_of_exemption(exemption: &toml::Table, now: SystemTime) -> Option<String> {
    let reason = exemption.get("reason").and_then(toml::Value::as_str);
    let dated = reason.and_then(|it| it.strip_prefix("until ")?.split_once(": "));
    let Some((day, why)) = dated.filter(|(_, why)| !why.is_empty()) else {
        return Some(format!("no reason with a last day: {exemption}"));
    };
    let Ok(end) = humantime::parse_rfc3339(&format!("{day}T23:59:59Z")) else {
        return Some(format!("{day} is no day: {exemption}"));
    };
    (end < now).then(|| format!("over since {day}, {why}: {exemption}"))
}

#[test]
fn what_is_exempt_from_the_rules_on_dependencies_is_so_for_a_time() {
    let rules: toml::Table = toml::from_str(&read("deny.toml")).expect("TOML");
    let now = SystemTime::now();
    let faults = |rules: toml::Table| -> Vec<_> {
        let rules = toml::Value::Table(rules);
        let exemptions = tables_in_lists(&rules).into_iter();
        exemptions
            .filter_map(|it| fault_of_exemption(it, now))
            .collect()
    };
    assert_none("exemptions", &faults(rules));
    for (reason, faults_expected) in [
        ("reason = 'until 2999-01-01: a while'", 0),
        ("reason = 'until 2020-01-01: a while'", 1),
        ("reason = 'until soon: a while'", 1),
        ("reason = 'a while'", 1),
        ("other = 1", 1),
    ] {
        let text = format!("[bans]\nskip = [{{ crate = 'a', {reason} }}]");
        let rules = toml::from_str(&text).expect("TOML");
        assert_eq!(faults(rules).len(), faults_expected, "{reason}");
    }
}

#[test]
fn nothing_is_left_to_be_done() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let mut found = Vec::new();
    for ending in [".rs", ".md", ".toml", ".mjs", ".js", ".py", ".sh"] {
        for file in files("", ending) {
            for (number, line) in read(&file).lines().enumerate() {
                if marks.iter().any(|mark| line.contains(mark)) {
                    found.push(format!("{file}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert_none("marks of unfinished work", &found);
}

#[test]
fn lockfiles_name_no_download_address() {
    let locks: Vec<_> = files("", "package-lock.json");
    assert!(!locks.is_empty());
    let found: Vec<_> = locks
        .into_iter()
        .filter(|file| read(file).contains("\"resolved\""))
        .collect();
    assert_none("lockfiles bound to one registry", &found);
}

#[test]
fn the_readme_has_every_option_as_the_help_has_it() {
    let readme = read("README.md");
    let rows: BTreeSet<_> = readme
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .collect();
    let options: Vec<_> = ringback::config::option_table()
        .iter()
        .map(ToString::to_string)
        .collect();
    let options: BTreeSet<_> = options.iter().map(String::as_str).collect();
    let missing: Vec<_> = options
        .difference(&rows)
        .map(|row| format!("missing {row}"))
        .collect();
    let extra: Vec<_> = rows
        .difference(&options)
        .map(|row| format!("extra {row}"))
        .collect();
    assert_none("the README's table of options", &[missing, extra].concat());
}

#[test]
fn the_documents_have_every_behaviour_and_metric_as_the_tables_have_them() {
    let behaviours = ringback::behaviour::table::markdown();
    assert_has_table("docs/behaviours.md", &behaviours);
    assert_has_table("docs/metrics.md", &ringback::admin::markdown());
}

/// Checks that a document has this table where its marks are, or writes it there where that is wanted.
fn assert_has_table(file: &str, table: &str) {
    const WRITE: &str = "RINGBACK_WRITE_DOCS";
    let (begin, end) = ("<!-- table: begin -->\n", "<!-- table: end -->\n");
    let document = read(file);
    let (before, rest) = document.split_once(begin).expect("where the table begins");
    let (_, after) = rest.split_once(end).expect("where the table ends");
    let right = format!("{before}{begin}\n{table}\n{end}{after}");
    if std::env::var_os(WRITE).is_some() {
        fs::write(root().join(file), &right).expect("a document that can be written");
    }
    let is_right = read(file) == right;
    assert!(
        is_right,
        "{file} is not what the table says: {WRITE}=1 cargo test --test tidy writes it"
    );
}
