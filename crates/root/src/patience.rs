//! How long an image may keep us busy.
//!
//! Numbers of things are no bound on time: one way through forty links of four thousand bytes each takes the kernel some
//! milliseconds, and an image of a few megabytes has room for a hundred thousand such ways. So what looks through something that
//! an image chooses the amount of (what its loader reads, its libraries, its cache) asks before each piece whether that has taken
//! long enough, and then leaves the rest.
//!
//! What counts is the processor time of this thread: neither a busy machine nor a slow disk uses it up. To ask for that is a
//! system call, so at first only the clock on the wall is asked, which needs none (`vdso(7)`). An ordinary start ends long before
//! it would have to ask for more.

use crate::Defence;
use rustix::time::{ClockId, clock_gettime};
use std::{
    cell::RefCell,
    fmt::Display,
    time::{Duration, Instant},
};

/// Time on the wall after which processor time is counted.
const AT_FIRST: Duration = Duration::from_millis(500);
/// Processor time from then on. An ordinary start takes a few milliseconds, one that reads ten thousand libraries a few
/// hundred.
const MOST: Duration = Duration::from_secs(1);

/// What one operation has of it.
#[derive(Debug)]
pub(crate) struct Patience(RefCell<Taken>);

#[derive(Debug)]
struct Taken {
    since: Instant,
    /// The thread's processor time when it was first asked for.
    counted_from: Option<Duration>,
    /// What was to be looked at when it was over.
    over_at: Option<String>,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience(RefCell::new(Taken { since: Instant::now(), counted_from: None, over_at: None }))
    }

    /// Another operation begins.
    pub(crate) fn renew(&self) {
        *self.0.borrow_mut() = Patience::new().0.into_inner();
    }

    /// What there is to look at next, and everything after it, is to be left.
    pub(crate) fn is_over(&self, next: impl Display) -> bool {
        self.0.borrow_mut().is_over(next)
    }

    /// What was left, if anything was.
    pub(crate) fn remark(&self) -> Option<String> {
        let next = self.0.borrow().over_at.clone()?;
        Some(format!(
            "{next} in the container, and what would be looked at after it, is passed over: to look through this image takes too long; \
             its loader cache may lack libraries of its own"
        ))
    }
}

impl Taken {
    fn is_over(&mut self, next: impl Display) -> bool {
        if self.over_at.is_some() {
            return true;
        }
        if !Defence::BoundedTime.stands() || self.since.elapsed() < AT_FIRST {
            return false;
        }
        let now = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
        let from = *self.counted_from.get_or_insert(now);
        if now.saturating_sub(from) < MOST {
            return false;
        }
        self.over_at = Some(next.to_string());
        true
    }
}
