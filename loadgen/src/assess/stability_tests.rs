use super::*;

/// Ten slices of half a second; `change` is applied to those of the second half.
fn slices(offered: Option<f64>, change: impl Fn(&mut Slice)) -> Vec<Slice> {
    let slice = |index: u32| {
        let mut slice = Slice {
            until_seconds: 0.5 * f64::from(index + 1),
            seconds: 0.5,
            completed: 10_000,
            offered,
            in_flight: 64,
            p50_ns: 200_000,
            // A slice that stands out does not make a half.
            p99_ns: if index == 1 { 9_000_000 } else { 400_000 },
            max_ns: 1_000_000,
            server_cpu_ns: Some(300_000_000),
            ..Slice::default()
        };
        if index >= 5 {
            change(&mut slice);
        }
        slice
    };
    (0..10).map(slice).collect()
}

#[track_caller]
fn assert_unstable(slices: &[Slice], phrase: &str) {
    let stability = compare(slices, "message").stability;
    assert!(!stability.is_stable, "{stability:?}");
    assert!(stability.reason.contains(phrase), "{stability:?}");
}

#[track_caller]
fn assert_stable(slices: &[Slice], phrase: &str) {
    let stability = compare(slices, "message").stability;
    assert!(stability.is_stable, "{stability:?}");
    assert!(stability.reason.contains(phrase), "{stability:?}");
}

#[test]
fn halves_that_agree_are_stable() {
    assert_stable(&slices(None, |_| {}), "agree");
    assert_stable(&slices(Some(10_000.0), |_| {}), "agree");
    let same = compare(&slices(None, |_| {}), "message").stability;
    assert_eq!(same.throughput_change_percent, 0.0);
    assert_eq!(same.server_cpu_change_percent, Some(0.0));
    // A little of everything.
    let near = slices(None, |slice| {
        slice.completed = 9_700;
        slice.p50_ns = 215_000;
        slice.p99_ns = 600_000;
    });
    assert_stable(&near, "agree");
}

#[test]
fn what_differs_is_named_with_its_amount() {
    let slower = slices(None, |slice| slice.completed = 8_000);
    assert_unstable(&slower, "throughput -20.0 %");
    assert_unstable(&slower, "throughput -20.0 %");
    let dearer = slices(None, |slice| slice.server_cpu_ns = Some(330_000_000));
    assert_unstable(&dearer, "CPU time per message +10.0 %");
    let late = slices(Some(10_000.0), |slice| slice.p50_ns = 300_000);
    assert_unstable(&late, "p50 of the latency +50.0 %");
    let early = slices(Some(10_000.0), |slice| slice.p50_ns = 100_000);
    assert_unstable(&early, "p50 of the latency -50.0 %");
    let mut tail = slices(Some(10_000.0), |slice| slice.p99_ns = 1_000_000);
    assert_stable(&tail, "agree");
    tail[1].p99_ns = 400_000;
    assert_unstable(&tail, "p99 of the latency +150.0 %");
}

#[test]
fn a_stall_in_one_half_is_no_change_of_pace() {
    let mut stalled = slices(None, |_| {});
    for (slice, completed) in stalled[6..8].iter_mut().zip([0, 2_000]) {
        slice.server_cpu_ns = Some(30_000 * completed);
        slice.completed = completed;
    }
    let stability = compare(&stalled, "message").stability;
    assert_eq!(stability.throughput_change_percent.round(), -36.0);
    assert_stable(&stalled, "agree");
}

#[test]
fn the_servers_cpu_time_is_judged_by_itself() {
    let slower = compare(
        &slices(None, |slice| {
            slice.completed = 8_000;
            slice.server_cpu_ns = Some(240_000_000);
        }),
        "message",
    );
    assert!(
        slower.unsteady.is_some() && slower.cpu_unsteady.is_none(),
        "{slower:?}"
    );
    let dearer = compare(
        &slices(None, |slice| slice.server_cpu_ns = Some(330_000_000)),
        "message",
    );
    assert!(
        dearer.unsteady.is_none() && dearer.cpu_unsteady.is_some(),
        "{dearer:?}"
    );
}

#[test]
fn what_differs_most_is_held_against_its_limit() {
    let slower = slices(None, |slice| {
        slice.completed = 8_000;
        slice.p50_ns = 800_000;
    });
    let worst = compare(&slower, "message").unsteady.unwrap();
    assert_eq!(
        (worst.percent.round(), worst.limit_percent),
        (300.0, P50_PERCENT)
    );
    assert!(worst.all.starts_with("throughput -20.0 %"), "{worst:?}");
}

#[test]
fn a_server_that_falls_behind_is_seen_in_the_halves() {
    let behind =
        |change: fn(&mut Slice)| compare(&slices(Some(10_000.0), change), "message").behind;
    assert_eq!(behind(|_| {}), Some((64, 64)));
    assert_eq!(behind(|slice| slice.backlog = 2_000), Some((64, 2_064)));
    assert_eq!(behind(|slice| slice.in_flight = 5_000), Some((64, 5_000)));
    assert_eq!(compare(&slices(None, |_| {}), "message").behind, None);
}

#[test]
fn latency_that_goes_up_and_down_has_not_changed() {
    let mut uneasy = slices(Some(10_000.0), |slice| slice.p50_ns = 300_000);
    // Two of five are as in the other half.
    uneasy[0].p50_ns = 310_000;
    uneasy[7].p50_ns = 190_000;
    assert_stable(&uneasy, "agree");
}

#[test]
fn an_open_loops_throughput_is_not_its_servers() {
    let fewer = slices(Some(10_000.0), |slice| slice.completed = 8_000);
    let stability = compare(&fewer, "message").stability;
    // The CPU time per message did change.
    assert!(!stability.reason.contains("throughput"), "{stability:?}");
    assert!((stability.throughput_change_percent + 20.0).abs() < 1e-9);
}

#[test]
fn tiny_latencies_may_double() {
    let mut quick = slices(None, |slice| slice.p50_ns = 18_000);
    quick[..5].iter_mut().for_each(|slice| slice.p50_ns = 9_000);
    assert_stable(&quick, "agree");
}

#[test]
fn what_cannot_be_told_is_said() {
    assert_stable(&[], "too few slices");
    let all = slices(None, |slice| slice.completed = 100);
    assert_stable(&all[4..6], "too few slices");
    let few = slices(None, |slice| slice.completed = 20);
    assert_stable(&few, "one of them has 100 messages");
    let ramp = slices(Some(10_000.0), |slice| slice.offered = Some(20_000.0));
    assert_stable(&ramp, "from 20000 to 40000 messages/s");
}

#[test]
fn a_few_ticks_of_cpu_time_are_not_compared() {
    let idle = |slice: &mut Slice| slice.server_cpu_ns = Some(9_000_000);
    let mut slices = slices(None, idle);
    slices[..5].iter_mut().for_each(idle);
    slices[0].server_cpu_ns = Some(90_000_000);
    let stability = compare(&slices, "message").stability;
    assert_eq!(stability.server_cpu_change_percent, None);
    assert!(stability.is_stable);
}
