//! When to look: soon after something has happened, but not while it is still happening, and every so often anyway.

use std::time::{Duration, Instant};

/// So many times the interval is the longest pause, as a power of two.
const MOST_DOUBLINGS: u32 = 5;

/// The times that decide.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Between two looks when nothing happens.
    pub interval: Duration,
    /// How long nothing must have happened.
    pub settle: Duration,
    /// How long the first of many events may have to wait.
    pub at_most: Duration,
}

/// Why the specification is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// NVML is not well, or behind the kernel, for a moment perhaps.
    MayPass,
    /// Anything else. To try may cost NVML's whole time limit.
    Other,
}

/// Events that have not been looked into.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    /// The burst with one more event.
    pub fn with(burst: Option<Burst>, now: Instant) -> Burst {
        Burst { first: burst.map_or(now, |burst| burst.first), last: now }
    }
}

impl Rhythm {
    /// The pause after so many attempts at the same. It grows: soon, where a moment may be enough.
    pub fn again(&self, trouble: Trouble, attempts: u32) -> Duration {
        let longest = self.interval * (1 << MOST_DOUBLINGS);
        let first = match trouble {
            Trouble::MayPass => self.settle,
            Trouble::Other => self.interval * 2,
        };
        first.saturating_mul(1 << attempts.saturating_sub(1).min(31)).min(longest)
    }

    /// When the next look is due: `regular` if nothing has happened.
    pub fn due(&self, burst: Option<Burst>, regular: Instant) -> Instant {
        let soon = burst.map(|burst| (burst.last + self.settle).min(burst.first + self.at_most));
        soon.map_or(regular, |soon| soon.min(regular))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        interval: Duration::from_secs(10),
        settle: Duration::from_millis(500),
        at_most: Duration::from_secs(5),
    };

    /// Milliseconds after the start at which a look is due, with events at these.
    fn due(events: &[u64]) -> u128 {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let burst = events.iter().fold(None, |burst, ms| Some(Burst::with(burst, after(*ms))));
        (RHYTHM.due(burst, after(10_000)) - start).as_millis()
    }

    #[test]
    fn a_burst_is_one_look_and_cannot_put_it_off() {
        for (events, want) in [
            (&[][..], 10_000),
            (&[0], 500),
            (&[0, 400, 800], 1300),
            (&[1000, 4900, 5400, 5900], 6000),
            (&[9900], 10_000),
        ] {
            assert_eq!(due(events), want, "{events:?}");
        }
    }

    #[test]
    fn failures_make_pauses_longer() {
        let pauses = |trouble| [1, 2, 3, 6, 10, 11, 1000].map(|attempts| RHYTHM.again(trouble, attempts).as_millis());
        assert_eq!(pauses(Trouble::MayPass), [500, 1000, 2000, 16_000, 256_000, 320_000, 320_000]);
        assert_eq!(pauses(Trouble::Other), [20_000, 40_000, 80_000, 320_000, 320_000, 320_000, 320_000]);
    }
}
