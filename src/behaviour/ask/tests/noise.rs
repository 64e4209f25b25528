//! Whatever comes, it is read or refused in one sentence.

use proptest::prelude::*;

use super::*;

/// Pieces that reach past the first check, among noise.
fn piece() -> impl Strategy<Value = String> {
    let names = ENTRIES.iter().map(|entry| entry.name);
    let parameters = ENTRIES.iter().flat_map(|entry| entry.parameters);
    let words: Vec<_> = names.chain(parameters.map(|it| it.name)).collect();
    let word = proptest::sample::select(words).prop_map(str::to_owned);
    prop_oneof![
        4 => word,
        4 => "[/?&=%]",
        2 => "[0-9]{1,6}(ms|s|KiB|GiB)?",
        1 => "%[0-9a-fA-F]{2}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_makes_it_panic(
        pieces in proptest::collection::vec(piece(), 0..12),
        begins_right in any::<bool>(),
    ) {
        let begin = if begins_right { "/x/" } else { "" };
        let path = format!("{begin}{}", pieces.concat());
        if Ask::read(&path).is_err() {
            fault(&path);
        }
    }
}

#[test]
fn what_is_huge_is_refused() {
    let many: String = (0..10_000).map(|key| format!("&k{key}=v")).collect();
    for path in [
        format!("/x/echo?{many}"),
        format!("/x/echo?{}", "upper&".repeat(10_000)),
        format!("/x/{}", long(1 << 20)),
        format!("/x/{}", "%F0%9F%92%A9".repeat(10_000)),
        format!("/x/echo?{}", long(1 << 20)),
        format!("/x/close/{}", "%C2%80".repeat(10_000)),
        format!("/x/greet?text={}", long(1 << 20)),
    ] {
        fault(&path);
    }
    assert!(Ask::read(&format!("/x/echo?{}", "&".repeat(10_000))).is_ok());
}
