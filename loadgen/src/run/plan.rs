//! From options to what every load thread is given.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::control::Control;
use crate::dial::Dialer;
use crate::echo::workload::{Limits, Pace, Workload};
use crate::engine::Selection;
use crate::load::{Heavy, Plan, Threads, allowed_cpus};
use crate::payload::Random;
use crate::payload::size::Sizes;
use crate::result::load::{HeavyLoad, Load, Loop, Message, Rate};
use crate::run::options::{RunOptions, Verify};
use crate::schedule::Timeline;

/// How long is measured if nobody says.
const DURATION: Duration = Duration::from_secs(5);

/// How long to measure.
pub(super) fn duration(options: &RunOptions) -> Duration {
    let steps = options.rate.as_ref().and_then(|rates| rates.length());
    options.duration.or(steps).unwrap_or(DURATION)
}

/// How many load threads.
fn threads(options: &RunOptions) -> usize {
    match options.traffic.threads {
        Threads::Count(threads) => threads,
        Threads::Auto => {
            let cpus = match &options.traffic.cpu {
                Some(cpus) => cpus.0.len(),
                None => allowed_cpus(),
            };
            cpus.clamp(1, options.traffic.connections)
        }
    }
}

/// The schedule of an open loop.
pub(super) fn timeline(options: &RunOptions) -> Option<Arc<Timeline>> {
    let rates = options.rate.as_ref()?;
    Some(Arc::new(rates.timeline(options.warmup)))
}

/// Everything that the load threads need.
pub(super) fn plan(options: &RunOptions, selection: &Selection, seed: u64) -> anyhow::Result<Plan> {
    let traffic = &options.traffic;
    let protocol = options.target.protocol();
    let dialer = Dialer::from_options(&options.target)?;
    let kinds = traffic.kinds();
    let sizes = traffic.sizes();
    let bytes_max = match traffic.heavy {
        0 => sizes.bytes_max(),
        _ => sizes.bytes_max().max(traffic.heavy_size),
    };
    let random = &mut Random::new(seed, 0);
    let pool = traffic.exchange.pool(kinds, bytes_max, random);
    let pace = match (&options.rate, options.duplex) {
        (Some(_), _) => Pace::Scheduled,
        (None, true) => Pace::Duplex,
        (None, false) => Pace::Depth(options.depth()),
    };
    let workload = Workload {
        protocol,
        kinds,
        sizes,
        pool: Arc::new(pool),
        pace,
        fragments: traffic.fragments,
        keep_going: traffic.keep_going,
        dialogue: traffic.exchange.dialogue(options.target.answer()),
        verify_all: traffic.verify == Verify::Full,
        limits: Limits::for_connections(traffic.connections),
    };
    let heavy = (traffic.heavy > 0).then(|| Heavy {
        connections: traffic.heavy,
        workload: Workload {
            sizes: Sizes::fixed(traffic.heavy_size),
            pace: Pace::Duplex,
            ..workload.clone()
        },
    });
    let control = Control::new(threads(options), usize::from(heavy.is_some()));
    Ok(Plan {
        control: Arc::new(control.context("creating an event fd")?),
        dialer: Arc::new(dialer),
        workload,
        heavy,
        schedule: timeline(options).map(|timeline| (timeline, options.arrivals)),
        ping_every: traffic.ping_every,
        reconnect: traffic.reconnect,
        engine: selection.engine,
        connections: traffic.connections,
        seed,
        cpus: traffic
            .cpu
            .as_ref()
            .map_or_else(Vec::new, |cpus| cpus.0.clone()),
    })
}

/// The load as the result tells it.
pub(super) fn describe(options: &RunOptions, plan: &Plan, selection: &Selection) -> Load {
    let traffic = &options.traffic;
    let sizes = traffic.sizes();
    let exchange = &traffic.exchange;
    let seconds = |time: Duration| time.as_secs_f64();
    // Every connection gets the same answer from the same server; the first URL's speaks for all.
    let agreed = plan.control.agreed.get().cloned().unwrap_or_default();
    let (loop_kind, in_flight) = match plan.workload.pace {
        Pace::Depth(depth) => (Loop::Closed, Some(depth)),
        Pace::Scheduled => (Loop::Open, None),
        Pace::Duplex => (Loop::Duplex, None),
    };
    Load {
        urls: options
            .target
            .urls
            .iter()
            .map(|target| target.url.clone())
            .collect(),
        addresses: plan
            .dialer
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect(),
        protocol: plan.workload.protocol.to_string(),
        tls: agreed.tls,
        deflate: agreed.deflate.map(|deflate| deflate.to_string()),
        subprotocol: agreed.subprotocol,
        loop_kind,
        in_flight,
        rate: options.rate.as_ref().map(|rates| Rate {
            text: rates.text().to_owned(),
            arrivals: options.arrivals.name().to_owned(),
        }),
        message: Message {
            kind: plan.workload.kinds.name().to_owned(),
            size: sizes.text().to_owned(),
            bytes_min: sizes.bytes_min(),
            bytes_max: sizes.bytes_max(),
            given: exchange
                .message
                .as_ref()
                .map(|message| message.text().to_owned()),
            expect: exchange.expect.to_string(),
            fragments: traffic.fragments,
            verify: match exchange.expect.is_exact() {
                true => traffic.verify.name().to_owned(),
                false => "none".to_owned(),
            },
        },
        ping_every_seconds: traffic.ping_every.map(seconds),
        keep_going: traffic.keep_going,
        connections: traffic.connections,
        slow_readers: traffic.slow_readers,
        heavy: plan.heavy.as_ref().map(|heavy| HeavyLoad {
            connections: heavy.connections,
            message_bytes: traffic.heavy_size,
        }),
        sessions: None,
        threads: plan.control.measured().len(),
        cpus: plan.cpus.clone(),
        engine: selection.engine.to_string(),
        engine_reason: selection.reason.clone(),
        server_pids: traffic.server_pids.clone(),
        seed: plan.seed,
        warmup_seconds: seconds(options.warmup),
        duration_seconds: seconds(duration(options)),
    }
}
