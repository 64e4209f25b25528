//! The fuzzer's corpus, and every input in which it once found a fault, tried again on whatever compiler there is.
//! See `docs/TESTING.md`.

#[path = "../behaviour/alike.rs"]
mod alike;
#[path = "../behaviour/rig.rs"]
#[allow(dead_code, reason = "the tests of behaviours use more of it")]
mod rig;
#[path = "../sim/mod.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;
mod targets;

use std::fs;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: support::allocations::Counting = support::allocations::Counting;

/// Tries every input that is kept for a target.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).expect("a corpus for each target");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{target} has no corpus");
    for file in files {
        // Said before, since what is found may be a panic, or no end; the harness shows it with that.
        println!("{}", file.display());
        check(&fs::read(&file).expect("a file"));
    }
}

macro_rules! corpus_of {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            replay(stringify!($target), targets::$target);
        }
    )*};
}

corpus_of!(behaviours carried deflate extensions fastwebsockets handshake session shard tungstenite);

#[test]
fn the_document_has_every_difference() {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/TESTING.md");
    let document = fs::read_to_string(document).expect("a document");
    for difference in targets::differences() {
        let row = difference.to_string();
        assert!(document.contains(&row), "docs/TESTING.md lacks\n{row}");
    }
}
