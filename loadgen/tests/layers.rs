//! No module of the library imports one that stands above it, so there is no circle.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules, from the roof down. What stands in one line may not import one another either.
const LAYERS: &str = "
    lib
    cli api
    check compare
    trial
    capacity merge
    idle churn
    run
    slow
    load
    engine
    worker
    session
    live
    output
    result
    assess
    interrupt
    control
    dial
    pacer
    schedule
    tunnel
    link echo
    fault
    wire payload
    quantity
    usage target alarm sys observe
";

/// The Rust files below `folder`, but for those of tests.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path));
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && name != "main.rs" {
            found.push(path);
        }
    }
    found
}

/// The names behind each `crate::` of a file's code; its tests are at its end.
fn imports(text: &str) -> Vec<String> {
    let (code, _) = text
        .split_once("#[cfg(test)]\nmod tests")
        .unwrap_or((text, ""));
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let is_of_a_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    lines
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| is_of_a_name(*c)).collect())
        .collect()
}

#[test]
fn no_module_imports_one_above_it() {
    let layer = |module: &str| {
        let mut layers = LAYERS.trim().lines();
        layers.position(|line| line.split_whitespace().any(|name| name == module))
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in files(&source) {
        let below = file.strip_prefix(&source).unwrap();
        let first = below.iter().next().unwrap().to_string_lossy();
        let module = first.trim_end_matches(".rs");
        let own = layer(module);
        assert!(own.is_some(), "{module} has no place in LAYERS");
        for name in imports(&fs::read_to_string(&file).unwrap()) {
            if name != module && layer(&name) <= own {
                wrong.push(format!("{}: crate::{name}", below.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports upwards:\n{}", wrong.join("\n"));
}
