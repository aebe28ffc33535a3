//! The consumers of a machine's posted writes, served on JavaScript's thread: one batch after the
//! other, by turns.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use vmm::{Feed, PostedWrite, RouteId, Watch};

use crate::asking::letter::{Answer, Heard, Letter};
use crate::asking::pace::{Change, Pace};
use crate::ffi::{Returned, Words};
use crate::pump::turn::Served;

/// All posted routes of a machine.
pub struct Posted {
    routes: Vec<Rc<Consumer>>,
    /// Something may wait for a consumer that is free.
    due: Cell<bool>,
    /// Whose turn is next.
    next: Cell<usize>,
}

/// One route.
struct Consumer {
    route: RouteId,
    feed: Feed,
    /// The consumer has not finished, perhaps because of a promise.
    busy: Cell<bool>,
    /// Writes taken since the last look at the pace.
    taken: Cell<u64>,
    pace: Pace,
    /// Its writes are announced.
    announced: Cell<bool>,
    /// Under `run`, of an `event` route.
    watch: RefCell<Option<Watch>>,
}

/// What waited in each feed when a question was posted; a question comes after it.
pub type Marks = Vec<(usize, u64)>;

/// The marks of these feeds; those in which nothing waits have none.
pub fn marks(feeds: &[Feed]) -> Marks {
    let marks = feeds.iter().enumerate();
    marks
        .filter_map(|(index, feed)| Some((index, feed.mark()?)))
        .collect()
}

impl Posted {
    /// Of feeds by route.
    pub fn new(feeds: Vec<(RouteId, Feed)>) -> Self {
        Self::of_routes(feeds.into_iter().map(Consumer::new).collect())
    }

    /// Of the same machine, whose routes have changed: consumers that are still there may be at
    /// work.
    pub fn with(&self, feeds: Vec<(RouteId, Feed)>) -> Self {
        let kept = |(route, feed)| match self.routes.iter().find(|one| one.route == route) {
            Some(consumer) => Rc::clone(consumer),
            None => Consumer::new((route, feed)),
        };
        Self::of_routes(feeds.into_iter().map(kept).collect())
    }

    const fn of_routes(routes: Vec<Rc<Consumer>>) -> Self {
        Self {
            routes,
            due: Cell::new(true),
            next: Cell::new(0),
        }
    }

    /// The feeds, in the order of [`Marks`].
    pub fn feeds(&self) -> Arc<[Feed]> {
        self.routes.iter().map(|one| one.feed.clone()).collect()
    }

    /// A run begins: promises of an earlier one are ignored.
    pub fn begin(&self) {
        self.due.set(true);
        for consumer in &self.routes {
            consumer.busy.set(false);
            consumer.pace.reset();
        }
    }

    /// Writes are announced from now on, counts by `call`: for a run on threads of its own. Those
    /// that are announced already stay as they are.
    pub fn announce(&self, call: impl Fn() + Clone + Send + 'static) -> vmm::Result<()> {
        let silent = self.routes.iter().filter(|one| !one.announced.get());
        for consumer in silent {
            consumer.feed.set_eager(true);
            consumer.announced.set(true);
            let watch = Watch::new(&consumer.feed, call.clone());
            *consumer.watch.borrow_mut() = watch.inspect_err(|_| consumer.end())?;
        }
        Ok(())
    }

    /// The run is over: no consumer is called any more.
    pub fn end(&self) {
        self.routes.iter().for_each(|consumer| consumer.end());
    }

    /// Something was announced, or a consumer came free: JavaScript's thread shall look.
    pub fn set_due(&self) {
        self.due.set(true);
    }

    /// Whether JavaScript's thread shall look.
    pub fn is_due(&self) -> bool {
        self.due.get()
    }

    /// The consumer of a route has settled its promise.
    pub fn consumed(&self, route: RouteId) {
        if let Some(consumer) = self.of(route) {
            consumer.busy.set(false);
            self.due.set(true);
        }
    }

    /// Whether JavaScript's thread has to look soon, since writes gather without being announced.
    pub fn gathers(&self) -> bool {
        let gathers = |one: &Rc<Consumer>| one.pace.gathers() && !one.busy.get();
        self.routes.iter().any(gathers)
    }

    /// Takes what has gathered.
    pub fn look(&self) {
        for consumer in &self.routes {
            if consumer.pace.gathers() && !consumer.busy.get() {
                if consumer.feed.waits() {
                    self.due.set(true);
                } else {
                    self.keep_pace(consumer);
                }
            }
        }
    }

    /// Whether everything before these marks was delivered.
    pub fn reached(&self, marks: &Marks) -> bool {
        marks.iter().all(|&(index, mark)| {
            let consumer = self.routes.get(index);
            consumer.is_none_or(|one| one.feed.reached(mark))
        })
    }

    /// Takes the writes of a ring.
    pub fn drain(&self, route: RouteId) -> Vec<PostedWrite> {
        let Some(consumer) = self.of(route) else {
            return Vec::new();
        };
        let writes = consumer.feed.drain();
        consumer.take(writes.len() as u64);
        writes
    }

    /// Takes a count.
    pub fn take_count(&self, route: RouteId) -> u64 {
        let Some(consumer) = self.of(route) else {
            return 0;
        };
        let count = consumer.feed.take_count();
        consumer.take(count);
        count
    }

    /// Hands over what waits, one batch of each route, to consumers that are free. `is_over` is
    /// asked after each batch whether the others come later; `failed` is called when a consumer
    /// failed.
    pub fn hand_over(
        &self,
        words: Words,
        call: impl Fn() -> Option<Returned>,
        is_over: impl Fn() -> bool,
        failed: impl Fn(),
    ) -> Served {
        if !self.due.replace(false) {
            return Served::Nothing;
        }
        let (first, mut served) = (self.next.get(), Served::Nothing);
        let count = self.routes.len();
        for index in (0..count).map(|step| (first + step) % count) {
            let Some(consumer) = self.routes.get(index) else {
                continue;
            };
            if consumer.busy.get() || !consumer.feed.noticed() {
                continue;
            }
            if served != Served::Nothing && is_over() {
                self.due.set(true);
                break;
            }
            self.next.set(index + 1);
            served = served.max(self.hand_to(consumer, words, &call, &failed));
        }
        served
    }

    fn hand_to(
        &self,
        consumer: &Consumer,
        words: Words,
        call: &impl Fn() -> Option<Returned>,
        failed: &impl Fn(),
    ) -> Served {
        // Its handler may make us look again.
        consumer.busy.set(true);
        // One alone needs no arrays that are made here.
        let lone = consumer.feed.take_lone();
        consumer.take(lone.iter().len() as u64);
        let heard = Letter::posted(consumer.route, lone).ask(words, |_| call());
        let waits = matches!(heard, Heard::Promised);
        consumer.busy.set(waits);
        if matches!(heard, Heard::Answer(Answer::Failed)) {
            failed();
        }
        self.keep_pace(consumer);
        if waits {
            Served::Promise
        } else {
            Served::Something
        }
    }

    /// Announces or gathers, by what was taken.
    fn keep_pace(&self, consumer: &Consumer) {
        let watch = consumer.watch.borrow();
        match consumer.pace.took(consumer.taken.take(), Instant::now()) {
            Some(Change::Gather) => consumer.feed.set_eager(false),
            Some(Change::Announce) => consumer.feed.set_eager(true),
            None => {}
        }
        if consumer.pace.gathers() {
            return;
        }
        match &*watch {
            // It calls at once when there is something already.
            Some(watch) => watch.arm(),
            // What came before did not ring.
            None if consumer.feed.noticed() => self.due.set(true),
            None => {}
        }
    }

    fn of(&self, route: RouteId) -> Option<&Consumer> {
        let mut routes = self.routes.iter();
        routes.find(|one| one.route == route).map(|one| &**one)
    }
}

impl Consumer {
    fn new((route, feed): (RouteId, Feed)) -> Rc<Self> {
        Rc::new(Self {
            route,
            feed,
            busy: Cell::new(false),
            taken: Cell::new(0),
            pace: Pace::default(),
            announced: Cell::new(false),
            watch: RefCell::default(),
        })
    }

    /// Nothing is announced any more.
    fn end(&self) {
        self.feed.set_eager(false);
        self.announced.set(false);
        self.watch.take();
    }

    fn take(&self, count: u64) {
        self.taken.set(self.taken.get().saturating_add(count));
    }
}
