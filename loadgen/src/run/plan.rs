//! From options to what every load thread is given.

use std::sync::Arc;

use anyhow::Context;

use crate::control::Control;
use crate::dial::Dialer;
use crate::echo::workload::{Limits, Pace, Workload};
use crate::engine::Selection;
use crate::load::{Heavy, Plan};
use crate::payload::Random;
use crate::payload::size::Sizes;
use crate::result::load::{HeavyLoad, Load, Loop};
use crate::run::options::{RunOptions, Verify};

/// Everything that the load threads need.
pub(super) fn plan(options: &RunOptions, selection: &Selection, seed: u64) -> anyhow::Result<Plan> {
    let RunOptions { load, traffic, .. } = options;
    let dialer = Dialer::from_options(&load.target)?;
    let kinds = traffic.kinds(load);
    let sizes = load.sizes();
    let bytes_max = match traffic.heavy {
        0 => sizes.bytes_max(),
        _ => sizes.bytes_max().max(traffic.heavy_size),
    };
    let random = &mut Random::new(seed, 0);
    let pool = load.exchange.pool(kinds, bytes_max, random);
    let pace = match (&options.timing.rate, options.pace.duplex) {
        (Some(_), _) => Pace::Scheduled,
        (None, true) => Pace::Duplex,
        (None, false) => Pace::Depth(options.in_flight()),
    };
    let workload = Workload {
        protocol: load.target.protocol(),
        kinds,
        sizes,
        pool: Arc::new(pool),
        pace,
        fragments: traffic.fragments,
        keep_going: traffic.keep_going,
        dialogue: load.exchange.dialogue(load.target.answer()),
        verify_all: traffic.verify == Verify::Full,
        limits: Limits::for_connections(load.connections),
    };
    let heavy = (traffic.heavy > 0).then(|| Heavy {
        connections: traffic.heavy,
        workload: Workload {
            sizes: Sizes::fixed(traffic.heavy_size),
            pace: Pace::Duplex,
            ..workload.clone()
        },
    });
    let control = Control::new(load.threads(), usize::from(heavy.is_some()));
    Ok(Plan {
        control: Arc::new(control.context("creating an event fd")?),
        dialer: Arc::new(dialer),
        workload,
        heavy,
        schedule: options
            .timing
            .timeline()
            .map(|timeline| (timeline, options.timing.arrivals)),
        ping_every: traffic.ping_every,
        reconnect: traffic.reconnect,
        engine: selection.engine,
        connections: load.connections,
        seed,
        cpus: options.place.cpus(),
    })
}

/// The load as the result tells it.
pub(super) fn describe(options: &RunOptions, plan: &Plan, selection: &Selection) -> Load {
    let RunOptions { load, traffic, .. } = options;
    let addresses = plan.dialer.addresses();
    // Every connection gets the same answer from the same server; the first URL's speaks for all.
    let (accepted, tls) = plan.control.agreed.get().cloned().unwrap_or_default();
    let (loop_kind, in_flight) = match plan.workload.pace {
        Pace::Depth(depth) => (Loop::Closed, Some(depth)),
        Pace::Scheduled => (Loop::Open, None),
        Pace::Duplex => (Loop::Duplex, None),
    };
    let described = load.describe(plan.workload.kinds, plan.seed);
    let mut described = options.timing.describe(described);
    described.message.fragments = traffic.fragments;
    if load.exchange.expect.is_exact() {
        described.message.verify = traffic.verify.name().to_owned();
    }
    Load {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        tls,
        deflate: accepted.deflate.map(|deflate| deflate.to_string()),
        subprotocol: accepted.subprotocol,
        loop_kind,
        in_flight,
        ping_every_seconds: traffic.ping_every.map(|every| every.as_secs_f64()),
        keep_going: traffic.keep_going,
        slow_readers: traffic.slow_readers,
        heavy: plan.heavy.as_ref().map(|heavy| HeavyLoad {
            connections: heavy.connections,
            message_bytes: traffic.heavy_size,
        }),
        cpus: plan.cpus.clone(),
        engine: selection.engine.to_string(),
        engine_reason: selection.reason.clone(),
        ..described
    }
}
