mod known;
mod mistakes;
mod noise;

use super::super::table::{self, ENTRIES, Kind, RULES};
use super::*;

/// Why `path` is refused.
fn fault(path: &str) -> Fault {
    let fault = match Ask::read(path) {
        Err(fault) => fault,
        Ok(ask) => panic!("{path} is read as {ask:?}"),
    };
    let sentence = fault.text.strip_suffix('\n').expect("a line that ends");
    assert!(sentence.ends_with('.'), "{path}: {sentence:?}");
    assert!(!sentence.contains(char::is_control), "{path}: {sentence:?}");
    assert!(sentence.len() < 2000, "{path}: {sentence:?}");
    assert!(matches!(fault.status, 400 | 404), "{path}: {fault:?}");
    fault
}

/// As long as this.
fn long(length: usize) -> String {
    "a".repeat(length)
}
