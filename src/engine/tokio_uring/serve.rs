//! A worker's life: accepting, deadlines, the end.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::connection;
use super::core::{Presence, Shared};
use super::world::{Listener, World};
use crate::engine::state::State;
use crate::engine::{Letter, Post, Stop, StopPhase};
use crate::protocol::Moment;

/// Turns in which tasks that are to end do so: what the first of them finds complete is acted on before the
/// second begins.
const ENDING_TURNS: u32 = 2;

/// How long operations that were told to end may take to do so.
const ENDING_MAX: Duration = Duration::from_secs(2);

/// Serves until `stop` says otherwise, then says goodbye. `woken` is ready once it may have said something.
///
/// Whether all is over that was under way. If not, the memory of `shared` must not be given back.
///
/// # Panics
/// If a task did.
pub async fn serve<W: World>(
    shared: &Rc<Shared<W>>,
    listeners: Vec<W::Listener>,
    stop: &Stop,
    woken: impl AsyncFn(),
) -> bool {
    let doors = listeners.into_iter().map(Door::new);
    let doors: Vec<_> = doors.map(Rc::new).collect();
    accept_everywhere(shared, &doors);
    loop {
        let next = shared.core().state.next_due();
        attend(shared, stop, next, woken()).await;
        time_turn(shared).await;
        read_letters(shared);
        if stop.phase() == StopPhase::Closing {
            // Who waits to be accepted is, once the kernel has been asked.
            shared.world.turn().await;
        }
        let mut core = shared.core_now();
        let turns = core.state.door_turns(stop);
        core.end_turn(stop);
        let state = &mut core.state;
        state.go_on_surveying(|seat| seat.peer());
        if core.state.is_done() {
            break;
        }
        drop(core);
        match turns {
            Some(true) => accept_everywhere(shared, &doors),
            Some(false) => doors.iter().for_each(|door| door.listener.shut()),
            None => {}
        }
    }
    end(shared, stop, &doors).await
}

/// Attends to deadlines once there is something to attend to, at `next` at the latest, or once `woken`.
async fn attend<W: World>(
    shared: &Shared<W>,
    stop: &Stop,
    next: Option<Moment>,
    woken: impl Future<Output = ()>,
) {
    shared.core().attends = next;
    let mut sleep = pin!(async {
        match next {
            Some(due) => shared.world.sleep_until(due).await,
            None => pending().await,
        }
    });
    let mut woken = pin!(woken);
    poll_fn(|context| {
        if woken.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let rung = shared.core().attendant.poll_rung(context);
        match rung.is_ready() || sleep.as_mut().poll(context).is_ready() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    let mut core = shared.core_now();
    assert!(!core.broken, "a task of this worker panicked");
    core.attend(stop);
}

/// Takes the time of a turn of the runtime, if it is time to: between now and when it comes round to this task again, all
/// others have their turn that can go on, and nothing waits. Not in a drain, whose end is this task's to see at once.
async fn time_turn<W: World>(shared: &Shared<W>) {
    let is_due = {
        let mut core = shared.core();
        std::mem::take(&mut core.times_turn) && !core.state.shard.is_draining()
    };
    if is_due {
        let began = shared.world.now();
        shared.world.turn().await;
        let took = shared.world.now().since(began);
        shared.core().state.note_turn(took);
    }
}

/// Ends what is left, and waits until all tasks have seen their operations end.
async fn end<W: World>(shared: &Shared<W>, stop: &Stop, doors: &[Rc<Door<W>>]) -> bool {
    let ends = shared.world.now() + ENDING_MAX;
    shared.core_now().end();
    for door in doors {
        door.listener.shut();
    }
    for _ in 0..ENDING_TURNS {
        shared.world.turn().await;
    }
    shared.core_now().fail_all();
    while shared.core().tasks > 0 && shared.world.now() < ends {
        let due = shared.core().state.shard.next_due();
        let next = due.map_or(ends, |due| due.min(ends));
        attend(shared, stop, Some(next), pending()).await;
    }
    let core = shared.core();
    assert!(!core.broken, "a task of this worker panicked");
    core.tasks == 0
}

/// Does what others have for this worker.
fn read_letters<W: World>(shared: &Rc<Shared<W>>) {
    while let Some(letter) = shared.world.post().next_letter() {
        match letter {
            Letter::Connection(stream, origin) => connection::take_in(shared, stream, origin),
            Letter::Survey(survey) => shared.core().state.begin_survey(survey),
            Letter::PutDown(wanted) => {
                let ids = shared.core().state.choose(&wanted);
                ids.into_iter().for_each(|id| shared.leave(id, wanted.to));
            }
            Letter::RollCall(call) => call.answer(),
        }
    }
}

/// A listener, and whether there is a task that accepts by it.
struct Door<W: World> {
    listener: W::Listener,
    attended: Cell<bool>,
}

impl<W: World> Door<W> {
    fn new(listener: W::Listener) -> Self {
        let attended = Cell::new(false);
        Door { listener, attended }
    }
}

/// Gives each listener a task that accepts, if it has none.
fn accept_everywhere<W: World>(shared: &Rc<Shared<W>>, doors: &[Rc<Door<W>>]) {
    for (number, door) in (0..).zip(doors) {
        if !door.attended.replace(true) {
            let (shared, present) = (Rc::clone(shared), shared.presence());
            let accepting = accept(shared.clone(), present, Rc::clone(door), number);
            shared.world.spawn(accepting);
        }
    }
}

/// Accepts, one connection at a time, until the door is shut.
async fn accept<W: World>(
    shared: Rc<Shared<W>>,
    _present: Presence<W>,
    door: Rc<Door<W>>,
    number: u32,
) {
    loop {
        rest(&shared).await;
        if shared.core().state.door.is_closed() {
            door.attended.set(false);
            return;
        }
        match door.listener.accept().await {
            Ok(stream) => connection::place(&shared, stream, number),
            Err(error) => shared.core().state.door.failed(&error, shared.world.now()),
        }
    }
}

/// Rests as long as there is reason to.
async fn rest<W: World>(shared: &Shared<W>) {
    loop {
        let now = shared.world.now();
        let reopens = {
            let mut core = shared.core();
            let State { shard, door, .. } = &mut core.state;
            door.reopen(now);
            if !shard.may_accept() && !door.is_closed() {
                door.rest(now);
            }
            door.reopens()
        };
        match reopens {
            Some(due) => shared.world.sleep_until(due).await,
            None => return,
        }
    }
}
