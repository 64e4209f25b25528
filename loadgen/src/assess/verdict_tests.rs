//! A table of what was seen, and what is to be said of it.

use super::*;

/// One thread on a CPU, and waiting for one, for these shares of a second in percent.
fn task(cpu_percent: u64, wait_percent: u64) -> TaskTime {
    TaskTime {
        cpu_ns: cpu_percent * 10_000_000,
        wait_ns: Some(wait_percent * 10_000_000),
    }
}

/// A side with one thread.
fn busy(cpu_percent: u64, wait_percent: u64) -> Busy {
    Busy::of(&[task(cpu_percent, wait_percent)], 1.0)
}

/// A side with threads that were on a CPU for these shares.
fn threads(cpu_percent: &[u64]) -> Busy {
    let tasks: Vec<TaskTime> = cpu_percent.iter().map(|cpu| task(*cpu, 0)).collect();
    Busy::of(&tasks, 1.0)
}

/// Both sides half busy, undisturbed.
fn calm() -> Evidence {
    Evidence {
        seconds: 5.0,
        generator: busy(50, 1),
        server: Some(busy(50, 1)),
        others: Some(Others {
            percent: 1.0,
            error_percent: 2.0,
            is_judged: true,
        }),
        ..Evidence::default()
    }
}

fn server(server: Busy) -> Evidence {
    Evidence {
        server: Some(server),
        ..calm()
    }
}

fn generator(generator: Busy) -> Evidence {
    Evidence {
        generator,
        ..calm()
    }
}

/// A schedule of 10,000 messages that was held.
fn held() -> Schedule {
    Schedule {
        due: Due::Messages,
        offered: 10_000.0,
        answered: Some(9_990),
        backlog_end: 0,
        lateness_p99_9_ns: 60_000,
        latency_p99_9_ns: 400_000,
    }
}

fn open(schedule: Schedule, evidence: Evidence) -> Evidence {
    Evidence {
        schedule: Some(schedule),
        ..evidence
    }
}

fn others(percent: f64, error_percent: f64, is_judged: bool) -> Evidence {
    Evidence {
        others: Some(Others {
            percent,
            error_percent,
            is_judged,
        }),
        ..calm()
    }
}

#[test]
fn what_was_seen_and_what_is_said_of_it() {
    use Verdict::{GeneratorBound, Invalid, LoadBound, Noisy, ServerBound, Unobserved};
    let behind = Schedule {
        backlog_end: 3_000,
        ..held()
    };
    let unanswered = Schedule {
        answered: Some(8_000),
        ..held()
    };
    let late = Schedule {
        lateness_p99_9_ns: 300_000,
        ..held()
    };
    let unobserved = |evidence| Evidence {
        server: None,
        ..evidence
    };
    let unstable = |evidence| Evidence {
        unstable: Some("the second half was 20 % faster".to_owned()),
        ..evidence
    };
    let steal = |steal_percent, evidence| Evidence {
        steal_percent: Some(steal_percent),
        ..evidence
    };
    let failed = |evidence| Evidence {
        failure: Some("the server closed".to_owned()),
        ..evidence
    };
    // Four threads that take turns on as many CPUs as `within` says.
    let crowd = |cpu, wait| Busy::of(&[task(cpu, wait); 4], 1.0);
    #[rustfmt::skip]
    let cases: Vec<(&str, Evidence, Verdict, &str)> = vec![
        ("closed loop, both idle", calm(), LoadBound, "the load asked for set the pace"),
        ("open loop, held easily", open(held(), calm()), LoadBound, "the rate asked for was held"),
        ("closed loop, server full", server(busy(99, 0)), ServerBound, "the server had no CPU time left, and the generator had"),
        ("closed loop, generator full", generator(busy(99, 0)), GeneratorBound, "lower bound"),
        ("both full on two cores", Evidence { generator: busy(97, 0), ..server(busy(98, 0)) }, GeneratorBound, "neither side had CPU time left"),
        ("open loop, held at a full server", open(held(), server(busy(97, 0))), ServerBound, "no CPU time left"),
        ("open loop, server full and behind", open(behind, server(busy(99, 0))), ServerBound, "3000 were due and could not be sent"),
        ("open loop, sockets full, server has time", open(behind, calm()), ServerBound, "the server waited for something else"),
        ("open loop, all sent, not all answered", open(unanswered, server(busy(99, 0))), ServerBound, "8000 were answered in the time"),
        ("open loop, generator full and behind", open(behind, generator(busy(99, 0))), GeneratorBound, "the generator had no CPU time left"),
        ("open loop, generator late", open(late, calm()), Noisy, "kept the generator from its CPU"),
        ("open loop, generator late and nearly full", open(late, Evidence { generator: busy(90, 1), ..calm() }), GeneratorBound, "300 µs late"),
        ("open loop, late and behind", open(Schedule { lateness_p99_9_ns: 300_000, ..behind }, Evidence { generator: busy(90, 1), ..calm() }), GeneratorBound, "could not hold the schedule"),
        ("open loop, late beside far slower replies", open(Schedule { latency_p99_9_ns: 9_000_000, ..late }, calm()), LoadBound, "was held"),
        ("open loop, late, latency unknown", open(Schedule { latency_p99_9_ns: 0, ..late }, calm()), Noisy, "300 µs late"),
        ("open loop, a few messages on their way", open(Schedule { offered: 20.0, answered: Some(12), ..held() }, calm()), LoadBound, "was held"),
        ("unobserved, nothing against the generator", unobserved(calm()), Unobserved, "--server-pid"),
        ("unobserved, generator full", unobserved(generator(busy(99, 0))), GeneratorBound, "no CPU time left"),
        ("unobserved, behind", open(behind, unobserved(calm())), ServerBound, "the server or the way to it"),
        ("server of threads, all full", server(threads(&[99, 97, 96])), ServerBound, "the server had no CPU time left"),
        ("server of threads, one full", server(threads(&[99, 40, 40])), ServerBound, "one of the server's 3 working threads"),
        ("server of threads, one works and is full", server(threads(&[98, 1, 0])), ServerBound, "the server had no CPU time left"),
        ("one thread on a machine of many CPUs, full", server(busy(98, 0).within(8)), ServerBound, "in its 1 working thread, of 8 CPUs"),
        ("server of threads, none full", server(threads(&[80, 60])), LoadBound, "both sides"),
        ("generator of threads, one full", generator(threads(&[97, 50])), GeneratorBound, "one of the generator's 2 working threads"),
        ("more server threads than CPUs, CPUs full", server(crowd(49, 45).within(2)), ServerBound, "used up the 2 CPUs"),
        ("more server threads than CPUs, time left", server(crowd(20, 9).within(2)), LoadBound, "both sides"),
        ("server threads wait, CPUs enough", server(crowd(20, 9).within(4)), Noisy, "the server had to wait for a CPU"),
        ("server starved", server(busy(50, 48)), Noisy, "the two sides shared one"),
        ("generator starved", generator(busy(50, 6)), Noisy, "the generator had to wait for a CPU for 6.0 %"),
        ("generator starved, a short window", Evidence { generator: busy(50, 6), ..others(0.0, 0.0, false) }, Noisy, "had to wait"),
        ("steal", steal(2.5, calm()), Noisy, "hypervisor withheld 2.5 %"),
        ("little steal", steal(1.5, calm()), LoadBound, "both sides"),
        ("steal and a full generator", steal(9.0, generator(busy(99, 0))), GeneratorBound, "lower bound"),
        ("steal and a full server", steal(9.0, server(busy(99, 0))), Noisy, "hypervisor"),
        ("steal and a late generator", steal(9.0, open(late, calm())), Noisy, "hypervisor"),
        ("others", others(12.0, 2.0, true), Noisy, "other tasks used 12.0 % of a CPU (± 2.0)"),
        ("others, not certain", others(6.0, 2.0, true), LoadBound, "both sides"),
        ("others, too short to tell", others(50.0, 2.0, false), LoadBound, "both sides"),
        ("halves disagree", unstable(calm()), Noisy, "the second half was 20 % faster"),
        ("halves disagree, server full", unstable(server(busy(99, 0))), Noisy, "20 % faster"),
        ("halves disagree since the server fell behind", unstable(open(behind, server(busy(99, 0)))), ServerBound, "not held"),
        ("halves disagree, unobserved", unstable(unobserved(calm())), Noisy, "20 % faster"),
        ("failed, whatever else", failed(steal(9.0, generator(busy(99, 0)))), Invalid, "the server closed"),
    ];
    for (case, evidence, verdict, phrase) in cases {
        let (said, why) = judge(&evidence);
        assert_eq!(said, verdict, "{case}: {why}");
        assert!(why.contains(phrase), "{case}: {why}");
        assert!(why.contains("% on CPU"), "{case}: {why}");
    }
}

#[test]
fn a_short_window_says_so() {
    let short = Evidence {
        seconds: 0.2,
        ..calm()
    };
    assert!(judge(&short).1.contains("under 1 s"));
    assert!(!judge(&calm()).1.contains("under 1 s"));
}

#[test]
fn what_is_not_known_is_not_called_nothing() {
    let ticks = TaskTime {
        wait_ns: None,
        ..task(50, 0)
    };
    let side = Busy::of(&[task(50, 9), ticks], 1.0);
    assert_eq!(side.cpu_wait_percent, None);
    let (verdict, why) = judge(&server(side));
    assert_eq!(verdict, Verdict::LoadBound, "{why}");
    assert!(why.contains("- % waiting for one"), "{why}");
}

#[test]
fn idle_threads_are_no_workers() {
    let side = threads(&[98, 3, 0]);
    assert_eq!((side.threads, side.on_cpu_percent), (1, 98.0));
    assert_eq!(Busy::of(&[], 1.0), Busy::default());
    assert_eq!(Busy::of(&[task(50, 0)], 0.0), Busy::default());
    assert_eq!(busy(1, 0).within(0).cpus, None);
}
