//! The two texts of the tutorial, and whose word counts.

use super::*;

#[test]
fn the_tutorial_speaks_at_its_own_level() {
    let texts = |args: &[&str], environment: &[(&str, &str)], file: &str| {
        let args = [&["--config=ringback.toml"], args].concat();
        let policy = Start {
            args: &args,
            environment,
            file,
            ..PLAIN
        }
        .config()
        .policy;
        (
            policy.greeting.unwrap_or_default(),
            policy.prefix.unwrap_or_default().to_string(),
        )
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let tutorial = pair("Hi there", "Received: ");
    assert_eq!(texts(&["--tutorial"], &[], ""), tutorial);
    assert_eq!(
        texts(&["--tutorial", "--prefix=> "], &[], ""),
        pair("Hi there", "> ")
    );
    assert_eq!(
        texts(&["--tutorial", "--greeting="], &[], ""),
        pair("", "Received: ")
    );
    assert_eq!(
        texts(
            &["--tutorial"],
            &[("RINGBACK_GREETING", "yo")],
            "prefix = 'p'"
        ),
        tutorial
    );
    assert_eq!(
        texts(&["--greeting=yo"], &[], "tutorial = true"),
        pair("yo", "Received: ")
    );
    assert_eq!(
        texts(&[], &[("RINGBACK_TUTORIAL", "0")], "tutorial = true"),
        pair("", "")
    );
    assert_eq!(
        texts(
            &[],
            &[("RINGBACK_TUTORIAL", "0")],
            "tutorial = true\nprefix = 'p'"
        ),
        pair("", "p")
    );
}
