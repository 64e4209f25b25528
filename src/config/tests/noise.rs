//! Whatever is said, it ends in a configuration or in one line.

use proptest::prelude::*;

use super::*;

/// Words that reach past the first check, among noise.
fn word() -> impl Strategy<Value = String> {
    let name = || {
        proptest::sample::select(option_table())
            .prop_map(|row| row.flag.split(' ').next().unwrap_or_default().to_owned())
    };
    let number = "[0-9.:\\[\\]]{0,12}(ms|s|m|KiB|MB|EiB)?";
    prop_oneof![
        any::<String>(),
        name(),
        (name(), any::<String>()).prop_map(|(name, value)| format!("{name}={value}")),
        (name(), number).prop_map(|(name, value)| format!("{name}={value}")),
        number.prop_map(String::from),
        Just("serve".to_owned()),
        Just("--config=ringback.toml".to_owned()),
    ]
}

fn variable() -> impl Strategy<Value = String> {
    word().prop_map(|word| {
        let name = word
            .trim_start_matches("--")
            .split('=')
            .next()
            .unwrap_or_default();
        format!("RINGBACK_{}", name.to_uppercase().replace('-', "_"))
    })
}

fn lines() -> impl Strategy<Value = String> {
    let line = (word(), prop_oneof![any::<String>(), word()], any::<bool>()).prop_map(
        |(key, value, quoted)| match quoted {
            true => format!("{} = {value:?}\n", key.trim_start_matches("--")),
            false => format!("{key} = {value}\n"),
        },
    );
    proptest::collection::vec(line, 0..3).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_makes_it_panic_and_every_mistake_is_one_line(
        args in proptest::collection::vec(word(), 0..5),
        environment in proptest::collection::vec((variable(), word()), 0..2),
        file in lines(),
    ) {
        let args = std::iter::once(OsString::from("ringback")).chain(args.iter().map(OsString::from));
        match parse_on(FOUR, args, &environment, |_| Ok(file.clone())) {
            Err(ParseStop::Error(error)) => {
                let sentence = error.to_string();
                prop_assert!(sentence.ends_with('.') && !sentence.ends_with(".."), "{}", sentence);
                prop_assert!(!sentence.chars().any(char::is_control), "{:?}", sentence);
                for part in [error.option(), error.problem(), error.remedy()] {
                    prop_assert!(!part.is_empty(), "{}", sentence);
                }
            }
            Ok(Command::Serve(config)) => prop_assert!(!config.listen.is_empty()),
            Ok(_) | Err(ParseStop::Show(_)) => {}
        }
    }
}
