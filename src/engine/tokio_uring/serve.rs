//! A worker's life: accepting, deadlines, the end.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::connection;
use super::core::{Presence, Shared};
use super::world::{Listener, Stream, World};
use crate::protocol::Moment;

/// How long a draining server goes on taking in what peers send without a pause.
const TAKE_IN_MAX: Duration = Duration::from_millis(200);

/// Turns without input after which nothing of what had arrived is left: what the first of them finds
/// complete is taken in before the second begins.
const QUIET_TURNS: u32 = 2;

/// How long operations that were told to end may take to do so.
const ENDING_MAX: Duration = Duration::from_secs(2);

/// Serves until `told`, then says goodbye for at most `drain_timeout`.
///
/// Whether all is over that was under way. If not, the memory of `shared` must not be given back.
///
/// # Panics
/// If a task did.
pub async fn serve<W: World>(
    shared: &Rc<Shared<W>>,
    listeners: Vec<W::Listener>,
    told: impl Future<Output = ()>,
    drain_timeout: Duration,
) -> bool {
    let listeners: Vec<_> = listeners.into_iter().map(Rc::new).collect();
    for listener in &listeners {
        let accepting = accept(Rc::clone(shared), shared.presence(), Rc::clone(listener));
        shared.world.spawn(accepting);
    }
    let mut told = pin!(told);
    while !attend(shared, None, told.as_mut()).await {}
    let ends = shared.world.now() + drain_timeout;
    drain(shared, ends).await;
    while !shared.shard().is_empty() && shared.world.now() < ends {
        attend(shared, Some(ends), pin!(pending())).await;
    }
    end(shared, &listeners).await
}

/// Attends to deadlines once there is something to attend to, at `until` at the latest; true as soon as
/// the worker is told to stop.
async fn attend<W: World>(
    shared: &Shared<W>,
    until: Option<Moment>,
    mut told: Pin<&mut impl Future<Output = ()>>,
) -> bool {
    let next = {
        let mut core = shared.core();
        core.attends = core.shard.next_due().into_iter().chain(until).min();
        core.attends
    };
    let mut sleep = pin!(async {
        match next {
            Some(due) => shared.world.sleep_until(due).await,
            None => pending().await,
        }
    });
    let is_told = poll_fn(|context| {
        if told.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        let rung = shared.core().attendant.poll_rung(context);
        let awake = rung.is_ready() || sleep.as_mut().poll(context).is_ready();
        if awake {
            Poll::Ready(false)
        } else {
            Poll::Pending
        }
    })
    .await;
    let mut core = shared.core_now();
    assert!(!core.broken, "a task of this worker panicked");
    core.attend();
    is_told
}

/// Takes in what has arrived already, then says goodbye to everyone.
///
/// The kernel completes only so much in a turn, so there are turns until it has nothing more, or for a
/// while where peers go on sending.
async fn drain<W: World>(shared: &Shared<W>, ends: Moment) {
    let until = ends.min(shared.world.now() + TAKE_IN_MAX);
    let mut quiet = 0;
    while quiet < QUIET_TURNS && shared.world.now() < until {
        let before = shared.core().reads;
        shared.world.turn().await;
        let is_quiet = shared.core().reads == before;
        quiet = if is_quiet { quiet + 1 } else { 0 };
    }
    shared.core_now().drain();
}

/// Ends what is left, and waits until all tasks have seen their operations end.
async fn end<W: World>(shared: &Shared<W>, listeners: &[Rc<W::Listener>]) -> bool {
    let ends = shared.world.now() + ENDING_MAX;
    shared.core_now().end();
    for listener in listeners {
        listener.shut();
    }
    for _ in 0..QUIET_TURNS {
        shared.world.turn().await;
    }
    shared.core_now().fail_all();
    while shared.core().tasks > 0 && shared.world.now() < ends {
        attend(shared, Some(ends), pin!(pending())).await;
    }
    let core = shared.core();
    assert!(!core.broken, "a task of this worker panicked");
    core.tasks == 0
}

/// Accepts, one connection at a time, while there may be more.
async fn accept<W: World>(shared: Rc<Shared<W>>, _present: Presence<W>, listener: Rc<W::Listener>) {
    loop {
        rest(&shared).await;
        if shared.core().ending {
            return;
        }
        let accepted = listener.accept().await;
        let may_accept = shared.core().shard.may_accept();
        match accepted {
            Ok(stream) if may_accept => connection::open(&shared, stream),
            // Another worker has taken the last place in the meantime.
            Ok(stream) => stream.close(false),
            Err(_) if shared.core().ending => return,
            Err(error) => shared.core().door.failed(&error, shared.world.now()),
        }
    }
}

/// Rests as long as there is reason to.
async fn rest<W: World>(shared: &Shared<W>) {
    loop {
        let now = shared.world.now();
        let reopens = {
            let mut core = shared.core();
            core.door.reopen(now);
            if !core.shard.may_accept() && !core.door.is_resting() {
                core.door.rest(now);
            }
            core.door.reopens().filter(|_| !core.ending)
        };
        match reopens {
            Some(due) => shared.world.sleep_until(due).await,
            None => return,
        }
    }
}
