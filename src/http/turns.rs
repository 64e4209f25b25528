//! Turns: of all connections that give the thread much to do, one does so at a time.
//!
//! The runtime serves tasks in the order in which they become ready. Without turns, whoever comes while a thousand
//! connections have work of some milliseconds each would be behind all of it; a health check would take seconds.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// The turns, given in the order in which they are asked for.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Turns {
        Turns(Arc::new(Semaphore::new(1)))
    }

    /// Waits for a turn. It lasts until the task that has it waits for anything: the thread is the only one of its
    /// runtime, so it cannot come back to another task before. Nobody can keep a turn, or forget to end it.
    pub(super) async fn take(self) {
        // It is closed by nobody.
        let turn = self.0.acquire_owned().await;
        tokio::spawn(async move {
            // Behind all who are ready by now, and those of whom the kernel tells.
            yield_now().await;
            drop(turn);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::runtime;

    use super::*;

    #[test]
    fn who_does_little_waits_for_one_turn_and_not_for_all() {
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        let done = Arc::<Mutex<Vec<u32>>>::default();
        runtime.block_on(async {
            let turns = Turns::new();
            let busy: Vec<_> = (0..100)
                .map(|number| {
                    let (turns, done) = (turns.clone(), done.clone());
                    tokio::spawn(async move {
                        turns.take().await;
                        done.lock().unwrap().push(number);
                    })
                })
                .collect();
            let others = done.clone();
            tokio::spawn(async move { others.lock().unwrap().push(1000) });
            for task in busy {
                task.await.unwrap();
            }
        });
        let expected = [&[0, 1000][..], &(1..100).collect::<Vec<_>>()].concat();
        assert_eq!(*done.lock().unwrap(), expected);
    }
}
