//! That the command line is as its users know it.

use clap::CommandFactory;

use super::*;

/// The short flags of wrk, oha and vegeta, wherever the long one is.
#[test]
fn short_flags_are_those_of_other_load_generators() {
    let shorts = [
        ("connections", 'c'),
        ("duration", 'd'),
        ("threads", 't'),
        ("rate", 'q'),
        ("header", 'H'),
        ("tls-insecure", 'k'),
    ];
    let mut command = Options::command();
    command.build();
    for name in ["run", "churn", "idle", "capacity", "compare"] {
        let command = command.find_subcommand(name).unwrap();
        for (long, short) in shorts {
            let of_it = |arg: &&clap::Arg| arg.get_long() == Some(long);
            if let Some(arg) = command.get_arguments().find(of_it) {
                assert_eq!(arg.get_short(), Some(short), "{name} --{long}");
            }
        }
    }
    let line = "ringload run wss://h -k -c 8 -d 3s -t 2 -q 5k -HA:b";
    let Command::Run(run) = Options::parse_from(line.split(' ')).command else {
        panic!("{line} is a run");
    };
    assert!(run.load.target.tls.tls_insecure && run.timing.rate.is_some());
    assert_eq!(run.load.connections, 8);
    assert_eq!(run.load.target.headers.len(), 1);
}

#[test]
fn an_option_is_advised_only_if_it_is_similar() {
    let told = |option: &str| {
        let line = ["ringload", "run", "ws://h", option];
        let error = Options::try_parse_from(line).unwrap_err();
        without_odd_advice(error).to_string()
    };
    assert!(told("--conections").contains("'--connections'"));
    assert!(told("--connection").contains("'--connections'"));
    assert!(told("--durations").contains("'--duration'"));
    for odd in [
        "--requests",
        "--timeout",
        "--latency",
        "--users",
        "--method",
        "--body",
    ] {
        let told = told(odd);
        assert!(!told.contains("similar"), "{told}");
    }
}

#[test]
fn old_spellings_are_taken_and_told_of() {
    let told = |line: &str| {
        let words = line.split(' ');
        Options::try_parse_from(words.clone()).unwrap();
        hints(words.map(str::to_owned))
    };
    let is_called = |old: &str, new: &str| {
        format!("ringload: {old} is called {new} now; the next release takes nothing else")
    };
    for (line, renamed) in [
        (
            "ringload run ws://storm --depth=2",
            &[("--depth", "--in-flight")][..],
        ),
        ("ringload run ws://h --in-flight 2 --keep-going", &[]),
        (
            "ringload storm ws://h --visits 2 --tolerate",
            &[
                ("storm", "churn"),
                ("--visits", "--sessions"),
                ("--tolerate", "--keep-going"),
            ],
        ),
        (
            "ringload churn ws://h --first-visit 2 --visit-timeout 1s",
            &[
                ("--first-visit", "--first-session"),
                ("--visit-timeout", "--session-timeout"),
            ],
        ),
        ("ringload knee ws://h", &[("knee", "capacity")]),
    ] {
        let expected: Vec<_> = renamed
            .iter()
            .map(|(old, new)| is_called(old, new))
            .collect();
        assert_eq!(told(line), expected, "{line}");
    }
}

/// What makes no sense for a command is not there, and what it sets for itself has its own default.
#[test]
fn commands_share_their_options_and_no_more() {
    let mut command = Options::command();
    command.build();
    for (name, missing) in [
        (
            "churn",
            &["in-flight", "duplex", "heavy", "slow-readers"][..],
        ),
        ("idle", &["rate", "duration", "warmup", "in-flight"]),
        ("capacity", &["rate", "duration", "in-flight", "duplex"]),
        ("compare", &["server-pid", "cpu", "start-at", "csv"]),
    ] {
        let command = command.find_subcommand(name).unwrap();
        let longs: Vec<_> = command
            .get_arguments()
            .filter_map(|arg| arg.get_long())
            .collect();
        for shared in [
            "connections",
            "size",
            "message",
            "seed",
            "fail-if",
            "summary",
            "junit",
            "json",
        ] {
            assert!(longs.contains(&shared), "{name} --{shared}");
        }
        for option in missing {
            assert!(!longs.contains(option), "{name} --{option}");
        }
    }
    let line = ["ringload", "compare", "a", "b"];
    let Command::Compare(compare) = Options::parse_from(line).command else {
        panic!("that is a comparison");
    };
    assert_eq!(compare.timing.duration(), std::time::Duration::from_secs(2));
    assert_eq!(compare.load.target.urls[0].url, "ws://127.0.0.1:{port}/");
    let line = ["ringload", "idle", "ws://h", "--server-pid", "1"];
    let Command::Idle(idle) = Options::parse_from(line).command else {
        panic!("those are idle");
    };
    assert_eq!(idle.load.connections, 10_000);
}
