//! How operations go on: one step at a time, in any order that a kernel may choose.

use ringback::engine::uring::{Completion, Key};
use ringback::shard::SlotId;

use crate::sim::network::{Line, Read};
use crate::sim::world::World;

use super::{Kind, Operation, Ring};

/// Buffers that a multishot receive fills before others have their turn (`MULTISHOT_MAX_RETRY`).
const FILLS_MAX: usize = 32;

impl Ring {
    /// What can be received when it is asked for is received at once, as the kernel does where it keeps to
    /// its order: who comes first has the buffers.
    pub(super) fn attempt(&mut self, world: &mut World) {
        let Some(operation) = self.operations.last() else {
            return;
        };
        let receives = matches!(operation.kind, Kind::Receive { .. });
        if receives && world.scenario.faults.keep_order() && self.is_ready(operation, world) {
            self.go_on(self.operations.len() - 1, world);
        }
    }

    /// Lets one operation go on, or one completion show; whether there was any that could.
    pub(super) fn work(&mut self, world: &mut World) -> bool {
        let faults = world.scenario.faults;
        if world.strikes(faults.stale) {
            self.report_stale(world);
        }
        // Somebody else's signal, or the same once more.
        world.workers[self.worker].woken |= world.random.one_in(faults.spurious * 10);
        if !self.late.is_empty() && !world.strikes(faults.late) {
            let number = world.random.within(0..self.late.len());
            let completion = self.late.swap_remove(number);
            self.visible.push_back((completion, None));
            return true;
        }
        let ready = |operation: &Operation| self.is_ready(operation, world);
        let ready: Vec<_> = (0..self.operations.len())
            .filter(|number| ready(&self.operations[*number]))
            .collect();
        if ready.is_empty() {
            return !self.late.is_empty();
        }
        if !world.strikes(faults.late) {
            let mut number = world.random.pick(&ready);
            if world.scenario.faults.keep_order() {
                let alike = |other: &&usize| {
                    let kind =
                        |number: usize| std::mem::discriminant(&self.operations[number].kind);
                    kind(**other) == kind(number)
                };
                number = *ready.iter().find(alike).unwrap_or(&number);
            }
            self.go_on(number, world);
        }
        true
    }

    /// One operation takes a step.
    fn go_on(&mut self, number: usize, world: &mut World) {
        let operation = self.operations[number];
        let (key, line) = (operation.key, operation.line.unwrap_or(0));
        let ends = world.strikes(world.scenario.faults.ends);
        let passes = world.random.one_in(3)
            && self.is_ready(
                &Operation {
                    cancelled: false,
                    ..operation
                },
                world,
            );
        if operation.cancelled && !passes {
            return self.complete(number, -libc::ECANCELED, world);
        }
        match operation.kind {
            Kind::Wake => self.report(number, 1, ends, world),
            Kind::Accept { listener, many } => self.accept(number, listener, ends || !many, world),
            Kind::Receive { max } => self.receive(number, line, max, ends, world),
            Kind::Send { wait } => {
                let result = self.transmit(key, line, wait, world);
                world.note(Some(line), "a send takes", result.into());
                self.complete(number, result, world);
            }
        }
    }

    /// The final completion of an operation.
    fn complete(&mut self, number: usize, result: i32, world: &World) {
        self.report(number, result, true, world);
    }

    /// A completion of an operation without a buffer.
    fn report(&mut self, number: usize, result: i32, last: bool, world: &World) {
        let key = self.operations[number].key;
        if last {
            self.operations.remove(number);
        }
        let completion = Completion {
            key,
            result,
            more: !last,
            buffer: None,
            buffer_more: false,
        };
        // Those of one multishot operation keep their order.
        let waits = last && matches!(key, Key::Send(_));
        if waits && world.scenario.faults.late > 0 {
            self.late.push(completion);
        } else {
            self.visible.push_back((completion, None));
        }
    }

    fn accept(&mut self, number: usize, listener: u32, last: bool, world: &mut World) {
        let fault = world.strikes(world.scenario.faults.accept);
        if world.network.abort(listener as usize) {
            return self.report(number, -libc::ECONNABORTED, true, world);
        }
        if world.network.open >= world.scenario.descriptors_max || fault {
            let error = if fault { libc::ENFILE } else { libc::EMFILE };
            world.note(None, "accept fails", i64::from(error));
            return self.report(number, -error, true, world);
        }
        let Some(line) = world.network.accept(listener as usize) else {
            return;
        };
        let socket = self.number(line);
        world.note(Some(line), "is accepted as socket", socket as i64);
        self.report(number, socket as i32, last, world);
    }

    /// A receive takes its turn; those that wait come before its next one.
    fn receive(
        &mut self,
        number: usize,
        line: Line,
        max: Option<u32>,
        ends: bool,
        world: &mut World,
    ) {
        let many = max.is_none() && world.scenario.faults.keep_order();
        let fills_max = if many { FILLS_MAX } else { 1 };
        let last = ends || max.is_some();
        for _ in 0..fills_max {
            let goes_on = self.fill(number, line, max, last, world);
            if !goes_on {
                return;
            }
            if world.network.unread(line) == 0 {
                break;
            }
        }
        let operation = self.operations.remove(number);
        self.operations.push(operation);
    }

    /// One completion of a receive; whether it goes on.
    fn fill(
        &mut self,
        number: usize,
        line: Line,
        bytes_max: Option<u32>,
        last: bool,
        world: &mut World,
    ) -> bool {
        let unread = world.network.unread(line);
        let fault = world.strikes(world.scenario.faults.no_buffer);
        if unread == 0 {
            let result = match world.network.read(line, &mut [0]) {
                Read::Failed => -libc::ECONNRESET,
                _ => 0,
            };
            world.note(Some(line), "a receive ends with", result.into());
            self.complete(number, result, world);
            return false;
        }
        if fault || !self.memory.is_available() {
            world.note(Some(line), "a receive finds no buffer", 0);
            self.complete(number, -libc::ENOBUFS, world);
            return false;
        }
        let max = if world.random.one_in(2) {
            unread
        } else {
            world.random.within(1..unread + 1)
        };
        let max = bytes_max.map_or(max, |bytes| max.min(bytes as usize));
        let filling = self.memory.fill(|place| {
            let place_max = place.len().min(max);
            match world.network.read(line, &mut place[..place_max]) {
                Read::Bytes(count) => count,
                _ => 0,
            }
        });
        let count = filling.range.len();
        world.note(Some(line), "a receive takes", count as i64);
        let completion = Completion {
            key: self.operations[number].key,
            result: count as i32,
            more: !last,
            buffer: Some(filling.buffer),
            buffer_more: filling.more,
        };
        if last {
            self.operations.remove(number);
        }
        self.visible.push_back((completion, Some(filling)));
        !last
    }

    /// What a send comes to.
    fn transmit(&mut self, key: Key, line: Line, wait: bool, world: &mut World) -> i32 {
        let faults = world.scenario.faults;
        let Some(send) = self.sends.iter().find(|send| Key::Send(send.id) == key) else {
            world.fail(Some(line), "a send that nobody began");
        };
        if world.strikes(faults.nothing) {
            return world.random.pick(&[0, -libc::EINTR]);
        }
        let full = world.network.room(line) == 0 && !world.network.connections[line].broken;
        if !wait && (full || world.strikes(faults.again)) {
            return -libc::EAGAIN;
        }
        let mut bytes = &send.bytes[..];
        if world.strikes(faults.short) && !bytes.is_empty() {
            bytes = &bytes[..world.random.within(0..bytes.len())];
        }
        match world.network.write(line, bytes) {
            Some(count) => count as i32,
            None => world.random.pick(&[-libc::EPIPE, -libc::ECONNRESET]),
        }
    }

    /// Reports something of a connection that is gone.
    fn report_stale(&mut self, world: &mut World) {
        let Some((_, id)) = self.names.last().copied() else {
            return;
        };
        // The life of the same slot before this one, whichever it was.
        let id = SlotId {
            generation: world.random.below(u64::from(id.generation)) as u32,
            ..id
        };
        let (key, result) = world.random.pick(&[
            (Key::Receive(id), -libc::ECANCELED),
            (Key::Receive(id), 0),
            (Key::Send(id), 1),
            (Key::Send(id), -libc::EPIPE),
        ]);
        let completion = Completion {
            key,
            result,
            more: false,
            buffer: None,
            buffer_more: false,
        };
        self.visible.push_back((completion, None));
    }

    /// Whether an operation has something to report, now or after a cancel.
    fn is_ready(&self, operation: &Operation, world: &World) -> bool {
        let line = operation.line.unwrap_or(0);
        let network = &world.network;
        operation.cancelled
            || match operation.kind {
                Kind::Wake => world.workers[self.worker].woken,
                Kind::Accept { listener, .. } => !network.queues[listener as usize].is_empty(),
                Kind::Receive { .. } => network.is_readable(line),
                Kind::Send { wait } => {
                    !wait || network.room(line) > 0 || network.connections[line].broken
                }
            }
    }
}
