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
    for name in ["run", "storm", "idle", "knee", "compare"] {
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
    assert!(run.target.tls.tls_insecure && run.rate.is_some());
    assert_eq!(run.traffic.connections, 8);
    assert_eq!(run.target.headers.len(), 1);
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
