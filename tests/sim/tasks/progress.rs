//! How operations go on, complete and are reported: one step at a time, in any order that
//! `engine::tokio_uring::world` allows.

use crate::sim::network::{Line, Read};
use crate::sim::world::World;

use super::operations::{Kernel, Operation, What};

impl Kernel {
    /// Lets one operation go on, or be reported; whether there was any that could.
    pub(super) fn work(&self, world: &mut World) -> bool {
        let faults = world.scenario.faults;
        world.workers[self.worker].woken |= world.random.one_in(faults.spurious * 10);
        let mut operations = self.operations.borrow_mut();
        let able = self.able(&operations, world);
        if able.is_empty() {
            return false;
        }
        if world.strikes(faults.late) {
            return true;
        }
        let place = match faults.keep_order() {
            true => first(&able, &operations),
            false => world.random.pick(&able),
        };
        if matches!(operations[place].what, What::Turn) {
            self.settle(&mut operations, world);
            operations[place].result = Some(Ok(0));
            report(&mut operations, place);
            return true;
        }
        self.step(&mut operations, place, world);
        if faults.late == 0 && is_reportable(&operations, place) {
            report(&mut operations, place);
        }
        true
    }

    /// Which operations can go on, or be reported.
    fn able(&self, operations: &[Operation], world: &World) -> Vec<usize> {
        let able = |place: &usize| {
            let operation = &operations[*place];
            match operation.result {
                Some(_) => is_reportable(operations, *place),
                None => self.is_ready(operation, world),
            }
        };
        (0..operations.len()).filter(able).collect()
    }

    fn step(&self, operations: &mut [Operation], place: usize, world: &mut World) {
        let operation = &mut operations[place];
        match operation.result {
            Some(_) => report(operations, place),
            None => operation.result = Some(self.perform(operation, world)),
        }
    }

    /// Whatever can complete does, and is reported.
    fn settle(&self, operations: &mut [Operation], world: &mut World) {
        loop {
            let mut able = self.able(operations, world);
            able.retain(|place| !matches!(operations[*place].what, What::Turn));
            if able.is_empty() {
                return;
            }
            let place = world.random.pick(&able);
            self.step(operations, place, world);
        }
    }

    /// Whether an operation could complete.
    fn is_ready(&self, operation: &Operation, world: &World) -> bool {
        let line = operation.line.unwrap_or(0);
        let network = &world.network;
        match operation.what {
            What::Accept(listener) => {
                let shut = self.shut.borrow().contains(&listener);
                shut || !network.queues[listener].is_empty()
            }
            What::Wake => world.workers[self.worker].woken,
            What::Sleep(due) => due <= world.moment(),
            What::Turn => true,
            What::Read(_) => operation.cancelled || network.is_readable(line),
            What::Write(..) => operation.cancelled || is_writable(world, line),
        }
    }

    /// What a ready operation comes to.
    fn perform(&self, operation: &mut Operation, world: &mut World) -> Result<usize, i32> {
        let line = operation.line.unwrap_or(0);
        let can_do = match operation.what {
            What::Read(_) => world.network.is_readable(line),
            What::Write(..) => is_writable(world, line),
            _ => true,
        };
        if !can_do || (operation.cancelled && world.random.one_in(2)) {
            return Err(libc::ECANCELED);
        }
        match &mut operation.what {
            What::Accept(listener) => self.accept(*listener, world),
            What::Wake | What::Sleep(_) | What::Turn => Ok(0),
            What::Read(buffer) => read(line, buffer, world),
            What::Write(bytes, copy) => {
                if bytes.bytes() != &copy[..] {
                    world.fail(Some(line), "the bytes have changed before they went");
                }
                write(line, copy, world)
            }
        }
    }

    fn accept(&self, listener: usize, world: &mut World) -> Result<usize, i32> {
        if self.shut.borrow().contains(&listener) {
            return Err(libc::EINVAL);
        }
        let fault = world.strikes(world.scenario.faults.accept);
        if world.network.abort(listener) {
            return Err(libc::ECONNABORTED);
        }
        if world.network.open >= world.scenario.descriptors_max || fault {
            let error = if fault { libc::ENFILE } else { libc::EMFILE };
            world.note(None, "accept fails", i64::from(error));
            return Err(error);
        }
        let line = world.network.accept(listener);
        world.note(line, "is accepted", 0);
        line.ok_or(libc::EINTR)
    }
}

/// Whether a write need not wait.
pub(super) fn is_writable(world: &World, line: Line) -> bool {
    world.network.room(line) > 0 || world.network.connections[line].broken
}

/// Which of them was begun first.
fn first(able: &[usize], operations: &[Operation]) -> usize {
    let first = able.iter().min_by_key(|place| operations[**place].number);
    first.copied().unwrap_or(0)
}

/// Whether its task may be told that an operation has completed.
fn is_reportable(operations: &[Operation], place: usize) -> bool {
    let operation = &operations[place];
    let waits = |it: &Operation| operation.behind == Some(it.number) && !it.reported;
    operation.result.is_some() && !operation.reported && !operations.iter().any(waits)
}

fn report(operations: &mut [Operation], place: usize) {
    operations[place].reported = true;
    operations[place].waker.wake_by_ref();
}

fn read(line: Line, buffer: &mut [u8], world: &mut World) -> Result<usize, i32> {
    let faults = world.scenario.faults;
    if world.strikes(faults.nothing) {
        return Err(world.random.pick(&[libc::EINTR, libc::EAGAIN]));
    }
    let unread = world.network.unread(line);
    let max = match unread {
        0 => 1,
        _ if world.random.one_in(2) => unread,
        _ => world.random.within(1..unread + 1),
    };
    let max = max.min(buffer.len());
    let result = match world.network.read(line, &mut buffer[..max]) {
        Read::Bytes(count) => Ok(count),
        Read::Nothing | Read::Finished => Ok(0),
        Read::Failed => Err(libc::ECONNRESET),
    };
    note(world, line, "a read takes", result);
    result
}

fn write(line: Line, bytes: &[u8], world: &mut World) -> Result<usize, i32> {
    let faults = world.scenario.faults;
    if world.strikes(faults.nothing) {
        return Err(world.random.pick(&[libc::EINTR, libc::EAGAIN]));
    }
    let short = world.strikes(faults.short) && !bytes.is_empty();
    let end = match short {
        true => world.random.within(1..bytes.len() + 1),
        false => bytes.len(),
    };
    let errors = [libc::EPIPE, libc::ECONNRESET];
    let written = world.network.write(line, &bytes[..end]);
    let result = written.ok_or_else(|| world.random.pick(&errors));
    note(world, line, "a write takes", result);
    result
}

fn note(world: &mut World, line: Line, what: &'static str, result: Result<usize, i32>) {
    let number = match result {
        Ok(count) => count as i64,
        Err(error) => -i64::from(error),
    };
    world.note(Some(line), what, number);
}
