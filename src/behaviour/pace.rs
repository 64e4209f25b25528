//! When what waits is due: kept back (`delay`, `jitter`), or kept together (`coalesce`). The order stays, always.

use std::collections::VecDeque;
use std::time::Duration;

use crate::protocol::Moment;

use super::framing::Item;
use super::{Ask, trim};

/// How long answers are kept that are to leave together, where there are not enough of them.
const TOGETHER: Duration = Duration::from_millis(50);

/// The queue of what waits.
#[derive(Debug)]
pub(super) struct Pace {
    /// In order: what is due waits for what is in front.
    queue: VecDeque<(Moment, Item)>,
    /// What all of it counts for, in bytes.
    cost: usize,
    delay: Duration,
    jitter: Duration,
    random: Random,
    together: Option<Together>,
}

/// Answers that are to leave together.
#[derive(Debug)]
struct Together {
    /// So many messages are enough.
    enough: u32,
    messages: u32,
    items: Vec<Item>,
    /// When it is enough however many there are.
    until: Option<Moment>,
}

impl Pace {
    pub(super) fn new(ask: &Ask, seed: u64) -> Self {
        Pace {
            queue: VecDeque::new(),
            cost: 0,
            delay: ask.delay,
            jitter: ask.jitter,
            random: Random(seed),
            together: ask.coalesce.map(|enough| Together {
                enough,
                messages: 0,
                items: Vec::new(),
                until: None,
            }),
        }
    }

    /// Takes an answer given at `now`, to be kept back as long as was asked for.
    pub(super) fn answer(&mut self, item: Item, now: Moment) {
        self.cost += item.cost();
        let is_message = matches!(item, Item::Message(_));
        match &mut self.together {
            Some(together) if is_message || !together.items.is_empty() => {
                together.items.push(item);
                together.messages += u32::from(is_message);
                together.until.get_or_insert(now + TOGETHER);
                if together.messages >= together.enough {
                    self.let_go(now);
                }
            }
            _ => {
                let due = self.due(now);
                self.queue.push_back((due, item));
            }
        }
    }

    /// Takes what is no answer: it is due at that moment, or when all in front of it has gone.
    pub(super) fn push(&mut self, item: Item, due: Moment) {
        self.let_go(due);
        self.cost += item.cost();
        self.queue.push_back((due, item));
    }

    /// When what is kept together has to go.
    pub(super) fn together_until(&self) -> Option<Moment> {
        self.together.as_ref()?.until
    }

    /// Lets what is kept together go, all of it at the same moment.
    pub(super) fn let_go(&mut self, now: Moment) {
        let Some(together) = &mut self.together else {
            return;
        };
        let items = std::mem::take(&mut together.items);
        (together.messages, together.until) = (0, None);
        if !items.is_empty() {
            let due = self.due(now);
            self.queue.extend(items.into_iter().map(|item| (due, item)));
        }
    }

    /// The next, if it is due.
    pub(super) fn pop(&mut self, now: Moment) -> Option<Item> {
        let (_, item) = self.queue.pop_front_if(|(due, _)| *due <= now)?;
        trim(&mut self.queue);
        self.cost -= item.cost();
        Some(item)
    }

    /// Whether the answer to the request still waits, which is in front of all.
    pub(super) fn holds_opening(&self) -> bool {
        matches!(self.queue.front(), Some((_, Item::Opening(_))))
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.queue.front().map(|(due, _)| *due)
    }

    /// What all that waits counts for, in bytes; zero if nothing does.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Nothing is kept back any more.
    pub(super) fn hurry(&mut self, now: Moment) {
        self.let_go(now);
        (self.delay, self.jitter) = (Duration::ZERO, Duration::ZERO);
        for (due, _) in &mut self.queue {
            *due = now;
        }
    }

    /// Drops what is not to be `kept`.
    pub(super) fn retain(&mut self, kept: impl Fn(&Item) -> bool) {
        if let Some(together) = &mut self.together {
            (together.messages, together.until) = (0, None);
            self.cost -= together
                .items
                .drain(..)
                .map(|item| item.cost())
                .sum::<usize>();
        }
        self.queue.retain(|(_, item)| kept(item));
        self.cost = self.queue.iter().map(|(_, item)| item.cost()).sum();
    }

    fn due(&mut self, now: Moment) -> Moment {
        now + self.delay + self.random.up_to(self.jitter)
    }
}

/// Chance that a seed decides: SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A time of at most `longest`.
    fn up_to(&mut self, longest: Duration) -> Duration {
        let range = u128::from(u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX)) + 1;
        Duration::from_nanos(((u128::from(self.next()) * range) >> 64) as u64)
    }
}
