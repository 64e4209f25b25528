//! A path and a query below `/x`, and what a client then sends: whatever is asked for, it is served within its bounds,
//! and the same however the client's bytes are cut.

use ringback::behaviour::{Ask, Source};

use super::input::Input;
use crate::alike;
use crate::support::streams::Cuts;

/// What is sent here is short, and so must be what is made of it, which is looked at whole.
const HUGE_BYTES_MAX: u64 = 100_000;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let takes = input.pick(&[usize::MAX, 1, 100, 1460]);
    let cuts = input.cuts();
    let Ok(path) = std::str::from_utf8(input.line()) else {
        return;
    };
    let stream = input.rest();
    let mut ask = match Ask::read(path) {
        Ok(ask) => ask,
        Err(fault) => {
            assert!(matches!(fault.status, 400 | 404), "{fault:?}");
            assert!(fault.text.ends_with('\n'), "{fault:?}");
            return;
        }
    };
    assert_eq!(Ask::read(path).as_ref(), Ok(&ask), "the same is asked for");
    if let Source::Huge { bytes } = &mut ask.source {
        *bytes %= HUGE_BYTES_MAX;
    }
    let whole = alike::serve(&ask, stream, &Cuts::Whole, usize::MAX);
    alike::check(&ask, &whole, stream, &cuts, takes)
        .unwrap_or_else(|why| panic!("{ask:?} {cuts:?}: {why}"));
}
